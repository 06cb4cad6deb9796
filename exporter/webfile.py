"""The web configuration file as it is written: YAML in, values out, each refusal with key, value and remedy.

The format is that of Prometheus' exporter-toolkit (its docs/web-configuration.md). As there, a scalar is
what its place asks for: `1` is text where text belongs.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml.resolver import Resolver

from exporter import files
from exporter.strictyaml import StrictLoader
from exporter.webtls import CURVES, SUITES, VERSIONS, ClientAuth, Pem, Tls, refusal_of
from exporter.yandex.secrets import one_line, redact

MAX_FILE_BYTES = 1024 * 1024
HEADERS = {
    "Content-Security-Policy": None,
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": None,
}
TOP_KEYS = {"tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"}
TLS_KEYS = {
    "cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type",
    "client_allowed_sans", "min_version", "max_version", "cipher_suites", "prefer_server_cipher_suites",
    "curve_preferences",
}  # fmt: skip
SWITCHES = ("cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type")
"""The keys of which one switches TLS on; the others alone do nothing in the toolkit."""
HTTP2_SUITES = {"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}
DIRECTIVE = re.compile(r"^%YAML[ \t]+(?!1\.1\s)", re.MULTILINE)
HASH = re.compile(r"(\$2[aby]\$)(?:0[4-9]|[12][0-9]|3[01])(\$[./A-Za-z0-9]{53})")
BOOLEANS = dict.fromkeys(("true", "yes", "on", "y"), True) | dict.fromkeys(("false", "no", "off", "n"), False)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|μs|ms|s|m|h)")
_NULL, _MERGE, _BOOL, _INT, _STR = (
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "merge", "bool", "int", "str")
)

_Nodes = Mapping[str, yaml.Node]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: one request more every `interval` seconds, `burst` at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class WebFile:
    """What the file says; the hashes of passwords are no part of its repr."""

    tls: Tls | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    rate_limit: RateLimit | None = None


def read(path: Path) -> WebFile:
    """Read the file; raises OSError, or ValueError that names key, value and remedy."""
    top = _section(_parsed(path), "", TOP_KEYS)
    http = _section(top.get("http_server_config"), "http_server_config", {"http2", "headers"})
    tls = _tls(_section(top.get("tls_server_config"), "tls_server_config", TLS_KEYS), path.parent)
    # HTTP/2 is agreed upon by those who both speak it; here nobody does.
    if _boolean(http.get("http2"), "http_server_config.http2", default=True):
        _refuse_suites_without_http2(tls)
    return WebFile(
        tls=tls,
        headers=_headers(_section(http.get("headers"), "http_server_config.headers", HEADERS)),
        users=_users(_section(top.get("basic_auth_users"), "basic_auth_users")),
        rate_limit=_rate_limit(_section(top.get("rate_limit"), "rate_limit", {"interval", "burst"})),
    )


def _parsed(path: Path) -> yaml.Node | None:
    raw = files.read(path, MAX_FILE_BYTES)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"{path}: has more than {MAX_FILE_BYTES} bytes; name another file")
    try:
        text = raw.decode("utf-8-sig")
        if DIRECTIVE.search(text):
            raise ValueError(f"{path}: %YAML is not 1.1, by which the toolkit reads; remove that line")
        return yaml.compose(text, StrictLoader)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or "not YAML"
        raise ValueError(f"{path}{where}: cannot be read: {one_line(redact(said))}; correct it") from None
    except RecursionError:
        raise ValueError(f"{path}: is nested too deep; correct it") from None


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return one_line(repr(redact(node.value)), 60)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _is_none(node: yaml.Node | None) -> bool:
    return node is None or node.tag == _NULL


def _section(node: yaml.Node | None, where: str, known: Collection[str] | None = None) -> _Nodes:
    """Return the values of a mapping by their keys, none where there is nothing; all keys are `known`."""
    if node is None or _is_none(node):
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{where or 'the file'}: must map keys to values; write key: value")  # noqa: TRY004  # as all else here
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"{where or 'the file'}: {_shown(key)} is no key; write key: value")  # noqa: TRY004  # as all else here
        name = key.value
        shown = f"{where}.{one_line(redact(name), 60)}".lstrip(".")
        if key.tag == _MERGE:
            raise ValueError(f"{shown}: keys are not merged; write them out")
        if name in found:
            raise ValueError(f"{shown}: comes twice, again in line {key.start_mark.line + 1}; keep one")
        if known is not None and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            said = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
            raise ValueError(f"{shown}: unknown key; {said}")
        found[name] = value
    return found


def _text(node: yaml.Node | None, where: str) -> str:
    """Return text, empty where there is none."""
    if node is None or _is_none(node):
        return ""
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError(f"{where}: {_shown(node)} is no text; write one value, in quotes")  # noqa: TRY004  # as all else here
    # A tag that the value does not bear by itself would have to be obeyed: !!binary is another text.
    own: str = Resolver().resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    if node.tag not in {_STR, own}:
        raise ValueError(f"{where}: bears a tag, which is not taken here; write the value alone, in quotes")
    return str(node.value)


def _line(node: yaml.Node | None, where: str) -> str:
    """Return text of one line; what cannot be printed (NUL, a lone surrogate) cannot name anything either."""
    text = _text(node, where)
    if not text.isprintable():
        raise ValueError(f"{where}: {one_line(repr(redact(text)), 60)} is no printable text; correct it")
    return text


def _boolean(node: yaml.Node | None, where: str, *, default: bool) -> bool:
    if node is None or _is_none(node):
        return default
    is_plain = isinstance(node, yaml.ScalarNode) and (node.style is None or node.tag == _BOOL)
    said = node.value.lower() if is_plain else ""
    if said not in BOOLEANS:
        raise ValueError(f"{where}: {_shown(node)} is neither true nor false; write one of them, unquoted")
    return BOOLEANS[said]


def _list(node: yaml.Node | None, where: str) -> tuple[str, ...]:
    if node is None or _is_none(node):
        return ()
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(f"{where}: {_shown(node)} is no list; write [one, another]")  # noqa: TRY004  # as all else here
    return tuple(_line(item, f"{where}[{index}]") for index, item in enumerate(node.value))


def _choices(node: yaml.Node | None, where: str, table: Collection[str]) -> tuple[str, ...]:
    values = _list(node, where)
    for value in values:
        if value not in table:
            near = difflib.get_close_matches(value, table, 1)
            said = f"did you mean {near[0]}?" if near else f"known: {', '.join(table)}"
            raise ValueError(f"{where}: {one_line(repr(redact(value)), 60)} is none that is safe; {said}")
    return values


def _tls(raw: _Nodes, base: Path) -> Tls | None:
    if not raw:
        return None
    where = "tls_server_config."
    if all(_is_none(raw.get(key)) for key in SWITCHES):
        raise ValueError(f"{where}cert_file: is missing, and without it there is no TLS; name a PEM file")
    auth = _line(raw.get("client_auth_type"), f"{where}client_auth_type") or "NoClientCert"
    tls = Tls(
        certificate=_pem(raw, "cert", base) or _missing("cert"),
        key=_pem(raw, "key", base) or _missing("key"),
        client_ca=_pem(raw, "client_ca", base),
        client_auth=_client_auth(auth),
        allowed_sans=_sans(raw, f"{where}client_allowed_sans"),
        minimum=_version(raw.get("min_version"), f"{where}min_version", "TLS12"),
        maximum=_version(raw.get("max_version"), f"{where}max_version", "TLS13"),
        suites=_choices(raw.get("cipher_suites"), f"{where}cipher_suites", SUITES),
        prefers_own_order=_boolean(
            raw.get("prefer_server_cipher_suites"), f"{where}prefer_server_cipher_suites", default=True
        ),
        curves=_choices(raw.get("curve_preferences"), f"{where}curve_preferences", CURVES),
    )
    if problem := refusal_of(tls):
        raise ValueError(f"{where}{problem}")
    return tls


def _refuse_suites_without_http2(tls: Tls | None) -> None:
    """Refuse what the toolkit, where it speaks HTTP/2, does not start with: the file is for all exporters."""
    if tls and tls.suites and tls.minimum == "TLS12" and not HTTP2_SUITES.intersection(tls.suites):
        said = f"none is {' or '.join(sorted(HTTP2_SUITES))}, of which HTTP/2 needs one"
        remedy = "name one, or write http2: false in http_server_config"
        raise ValueError(f"tls_server_config.cipher_suites: {said}; {remedy}")


def _sans(raw: _Nodes, where: str) -> frozenset[str] | None:
    node = raw.get("client_allowed_sans")
    return None if _is_none(node) else frozenset(_list(node, where))


def _missing(key: str) -> Pem:
    raise ValueError(f"tls_server_config.{key}_file: is missing; name a PEM file")


def _pem(raw: _Nodes, key: str, base: Path) -> Pem | None:
    """Return what is named, or else what is written: where both are, the file counts, as in the toolkit."""
    text = _text(raw.get(key), f"tls_server_config.{key}")
    name = _line(raw.get(f"{key}_file"), f"tls_server_config.{key}_file")
    if name:
        return Pem(f"{key}_file", base / name)
    return Pem(key, None, text) if text else None


def _client_auth(name: str) -> ClientAuth:
    if name in {"RequireAnyClientCert", "RequireClientCert"}:
        said = "asks for a certificate that nobody verifies, which Python cannot do"
        remedy = "write RequireAndVerifyClientCert and name a client_ca_file"
        raise ValueError(f"tls_server_config.client_auth_type: {name} {said}; {remedy}")
    if name not in {auth.value for auth in ClientAuth}:
        shown = one_line(repr(redact(name)), 60)
        known = ", ".join(auth.value for auth in ClientAuth)
        raise ValueError(f"tls_server_config.client_auth_type: {shown} is none of {known}")
    return ClientAuth(name)


def _version(node: yaml.Node | None, where: str, default: str) -> str:
    value = _line(node, where) or default
    if value in {"TLS10", "TLS11"}:
        raise ValueError(f"{where}: {value} is broken, and not spoken here; write TLS12 or TLS13")
    if value not in VERSIONS:
        raise ValueError(f"{where}: {one_line(repr(redact(value)), 60)} is none of {', '.join(VERSIONS)}")
    return value


def _headers(raw: _Nodes) -> tuple[tuple[str, str], ...]:
    headers = []
    for name, node in raw.items():
        value = _text(node, f"http_server_config.headers.{name}")
        where = f"http_server_config.headers.{name}: {one_line(repr(redact(value)), 60)}"
        allowed = HEADERS[name]
        if allowed and value not in allowed:
            raise ValueError(f"{where} is not a value for this header; write {' or '.join(allowed)}")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"{where} cannot be sent; write one line of ASCII text")
        if value:
            headers.append((name, value))
    return tuple(headers)


def _users(raw: _Nodes) -> Mapping[str, bytes]:
    users = {}
    for user, node in raw.items():
        where = f"basic_auth_users.{one_line(redact(user), 60)}"
        if ":" in user:
            raise ValueError(
                f"{where}: a user's name cannot have a colon, at which a browser ends it; remove it"
            )
        hashed = node.value if isinstance(node, yaml.ScalarNode) else ""
        if not _is_hash(hashed):
            raise ValueError(f"{where}: not a bcrypt hash of cost 4 to 31; make one with `htpasswd -nBC 10`")
        users[user] = hashed.encode()
    return users


def matches(password: bytes, hashed: bytes) -> bool:
    """Whether a password is that of a bcrypt hash; raises ValueError for what is none."""
    import bcrypt  # noqa: PLC0415  # a megabyte for those who have users

    return bcrypt.checkpw(password, hashed)


def _is_hash(text: str) -> bool:
    """Say whether bcrypt takes it, at the least cost: a hash may be made to cost days."""
    parts = HASH.fullmatch(text)
    try:
        return parts is not None and matches(b"", f"{parts[1]}04{parts[2]}".encode()) in {True, False}
    except ValueError:
        return False


def _rate_limit(raw: _Nodes) -> RateLimit | None:
    node = raw.get("interval")
    interval = 0.0 if _is_none(node) else _duration(_line(node, "rate_limit.interval"))
    node = raw.get("burst")
    burst = "0" if _is_none(node) else _line(node, "rate_limit.burst")
    if not re.fullmatch(r"[0-9]{1,9}", burst) or not (node is None or node.tag in {_NULL, _INT}):
        shown = one_line(repr(redact(burst)), 60)
        raise ValueError(f"rate_limit.burst: {shown} is no number of requests; write one like 10, unquoted")
    return RateLimit(interval, int(burst)) if interval else None


def _duration(text: str) -> float:
    """Return the seconds of a duration as Go writes it, 0 for none."""
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        shown = one_line(repr(redact(text)), 60)
        raise ValueError(
            f"rate_limit.interval: {shown} is no duration; write one like 500ms or 1s, 0 for no limit"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
