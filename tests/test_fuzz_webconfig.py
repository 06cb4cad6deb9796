"""The web configuration file, whatever is in it: it is taken, or refused in one line that holds no secret."""

import tempfile
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from test_server import certificate

from exporter.webconfig import WebConfigFile
from exporter.webfile import HEADERS, TLS_KEYS, TOP_KEYS
from exporter.webtls import CURVES, SUITES, ClientAuth

HASH = "$2b$04$J0VSQbWCbbPAZTRlHtOiv.Q3B0fnC/tgRZ/KFyGRBrnUBIgd4Mryy"
PASSWORD = "marked-password-5f1c"
KEY = (
    ec.generate_private_key(ec.SECP256R1())
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    .decode()
)
PARTS = (HASH[-20:], PASSWORD, *(line for line in KEY.splitlines() if not line.startswith("-")))
"""What of the secrets no message may show."""
WORDS = (
    "", "0", "1", "-1", "1s", "yes", "null", "~", "a\0b", "\ud800", "é", "TLS09", "TLS12", "TLS13", "nosniff",
    "server.crt", "server.key", ".", "/dev/null", "RequireAnyClientCert", *CURVES, *SUITES,
    *(auth.value for auth in ClientAuth),
)  # fmt: skip
TEXTS = st.sampled_from(WORDS) | st.text(max_size=8)
PLAIN = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.dates()
ANYTHING = st.recursive(
    PLAIN | st.sampled_from((HASH, KEY)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
USERS = st.dictionaries(
    TEXTS, st.sampled_from((HASH, PASSWORD, [PASSWORD], {PASSWORD: HASH}, KEY)), max_size=3
)


def section(keys: set[str], values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return mappings whose keys are known and whose values may be what they like."""
    return st.dictionaries(st.sampled_from(sorted(keys)), values, max_size=5)


def pairs() -> st.SearchStrategy[object]:
    """Return sections of TLS that come as far as the certificate."""
    files: dict[str, object] = {"cert_file": "server.crt", "key_file": "server.key"}
    return section(TLS_KEYS - set(files), ANYTHING).map(
        lambda more: files | more if isinstance(more, dict) else more
    )


SECTIONS = {
    "tls_server_config": section(TLS_KEYS, ANYTHING) | pairs() | ANYTHING,
    "http_server_config": section({"http2", "headers"}, ANYTHING | section(set(HEADERS), ANYTHING)),
    "basic_auth_users": USERS,
    "rate_limit": section({"interval", "burst"}, ANYTHING),
}


def refusal(folder: Path, raw: bytes) -> str:
    """Return what is said of a file, nothing if it is taken."""
    path = folder / "web.yml"
    path.write_bytes(raw)
    try:
        WebConfigFile(path)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def is_one_line_without_secrets(said: str) -> bool:
    """Say whether a message may be shown to anybody, and fits on a line."""
    return said.isprintable() and len(said) < 1000 and not any(part in said for part in PARTS)


@given(st.sampled_from(sorted(SECTIONS)).flatmap(lambda name: st.fixed_dictionaries({name: SECTIONS[name]})))
@fuzzed(200)
def test_values_that_may_be_anything_are_taken_or_refused_in_one_line(file: object) -> None:
    """Of whatever type: no other error comes out, and no hash, key or password with it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate(folder, "server")
        raw = yaml.safe_dump(file, allow_unicode=True).encode("utf-8", "surrogatepass")
        assert is_one_line_without_secrets(refusal(folder, raw))


HEADS = (
    "tls_server_config:",
    "http_server_config:\n  headers:",
    "basic_auth_users:",
    "rate_limit:",
    "---",
    "&a",
)
SPOILED = (
    "{}", "*{}", "!{} x", "&{} x", "!!int {}", "'{}", "{{{}", "[{}", "{}: x", "\t{}", "|\n {}", "%{}", "@{}",
    "{} #", "? {}", "!{}!x", "<<: {}", '"\\q{}"', "\x00{}",
)  # fmt: skip
SECRETS = (HASH, PASSWORD, KEY, KEY[28:], KEY[28:92], KEY.replace("\n", "\n    "))
NAMED = (
    "ann",
    "key",
    "key_file",
    "cert",
    "cert_file",
    "client_ca",
    "client_auth_type",
    "X-XSS-Protection",
    "interval",
)
LINES = st.builds(
    lambda name, form, secret: f"  {name}: {form.format(secret)}",
    st.sampled_from(NAMED),
    st.sampled_from(SPOILED),
    st.sampled_from(SECRETS),
) | st.sampled_from(
    ("  cert_file: server.crt", "  key_file: server.key", f"  - {PASSWORD}", f"  {HASH}: ann")
)
BLOCKS = st.builds(
    lambda head, lines: "\n".join((head, *lines)), st.sampled_from(HEADS), st.lists(LINES, max_size=3)
)
FILES = st.lists(BLOCKS, max_size=2).map(lambda blocks: "\n".join(blocks).encode())


@given(FILES | st.binary(max_size=60))
@fuzzed(300)
def test_texts_that_may_be_no_yaml_are_taken_or_refused_in_one_line(raw: bytes) -> None:
    """Whatever the reader stumbles over, it shows no secret that stands there."""
    with tempfile.TemporaryDirectory() as name:
        assert is_one_line_without_secrets(refusal(Path(name), raw))


def test_each_section_is_tried() -> None:
    """One that is new, too."""
    assert set(SECTIONS) == TOP_KEYS
