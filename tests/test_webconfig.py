"""The web configuration file: what is refused and why, what a change does, what a password costs."""

import logging
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from test_server import certificate, hashed, rewrite

from exporter.webconfig import Admission, WebConfigFile
from exporter.webfile import RateLimit, WebFile, read
from exporter.webtls import ClientAuth, Pem, Tls

TLS = "cert_file: server.crt, key_file: server.key"
VERIFIED = ClientAuth.REQUIRED.value
HASH = "$2b$10$J0VSQbWCbbPAZTRlHtOiv.Q3B0fnC/tgRZ/KFyGRBrnUBIgd4Mryy"
WRONG = [
    ("basic_auth_user: {}", "basic_auth_user: unknown key; did you mean basic_auth_users?"),
    ("5: a", "5: unknown key"),
    ("- a", "the file: must map keys to values"),
    ("hunter2-in-the-wrong-file", "the file: must map keys to values"),
    ("tls_server_config: []", "tls_server_config: must map keys to values"),
    ("http_server_config: 0", "http_server_config: must map keys to values"),
    ("basic_auth_users: []", "basic_auth_users: must map keys to values"),
    ("basic_auth_users: false", "basic_auth_users: must map keys to values"),
    ("a: [", "cannot be read"),
    ("{}\n---\n{}", "cannot be read"),
    ("&a [*b]", "cannot be read"),
    ("%YAML 1.2\n---\n{}", "%YAML is not 1.1, by which the toolkit reads; remove that line"),
    ("[" * 10_000, "cannot be read"),
    ("tls_server_config: &a {min_version: TLS12}\nhttp_server_config:\n  <<: *a", "keys are not merged"),
    ("http_server_config: {http2: !!bool x}", "http2: 'x' is neither true nor false"),
    ("http_server_config: {http2: yes please}", "http2: 'yes please' is neither true nor false"),
    ("http_server_config: {http2: 'true'}", "http2: 'true' is neither true nor false; write one"),
    ("http_server_config: {http2: [true]}", "http2: a list is neither true nor false"),
    ("basic_auth_users: {ann: secret-password}", "basic_auth_users.ann: not a bcrypt hash"),
    ("basic_auth_users: {ann: 5}", "basic_auth_users.ann: not a bcrypt hash"),
    ("basic_auth_users: {ann: [secret-password]}", "basic_auth_users.ann: not a bcrypt hash"),
    ("basic_auth_users: {ann: !!int secret-password}", "basic_auth_users.ann: not a bcrypt hash"),
    (f"basic_auth_users: {{'a:n': {HASH}}}", "basic_auth_users.a:n: a user's name cannot have a colon"),
    (f"basic_auth_users: {{ann: {HASH}, ann: {HASH}}}", "basic_auth_users.ann: comes twice, again in line 1"),
    (f"basic_auth_users: {{ann: {HASH.replace('$10$', '$03$')}}}", "of cost 4 to 31"),
    (f"basic_auth_users: {{ann: {HASH.replace('$10$', '$32$')}}}", "of cost 4 to 31"),
    (f"basic_auth_users: {{ann: '{HASH[:-1]}!'}}", "not a bcrypt hash"),
    (f"basic_auth_users: {{ann: {HASH.replace('v.Q', 'v/Q')}}}", "not a bcrypt hash"),
    ("basic_auth_users: {}\nbasic_auth_users: {}", "basic_auth_users: comes twice, again in line 2"),
    ("http_server_config: {headers: [a]}", "http_server_config.headers: must map keys to values"),
    ("http_server_config: {headers: {5: a}}", "http_server_config.headers.5: unknown key"),
    ("http_server_config: {headers: {X-Frame-Options: maybe}}", "'maybe' is not a value for this header"),
    ("http_server_config: {headers: {X-Frame-Options: }}", "'' is not a value for this header"),
    ("http_server_config: {headers: {X-Frame-Options: [deny]}}", "X-Frame-Options: a list is no text"),
    ('http_server_config: {headers: {X-XSS-Protection: "a\\nb"}}', r"'a\nb' cannot be sent"),
    ("http_server_config: {headers: {X-XSS-Protection: пять}}", "'пять' cannot be sent"),
    ("http_server_config: {headers: {X-Other: a}}", "headers.X-Other: unknown key"),
    (f"basic_auth_users: {{[ann]: {HASH}}}", "basic_auth_users: a list is no key; write key: value"),
    ("rate_limit: {interval: ''}", "rate_limit.interval: '' is no duration"),
    ("rate_limit: {burst: '5'}", "rate_limit.burst: '5' is no number of requests; write one like 10, unq"),
    ("rate_limit: {burst: ''}", "rate_limit.burst: '' is no number of requests"),
    ("rate_limit: 5", "rate_limit: must map keys to values"),
    ("rate_limit: {every: 1s}", "rate_limit.every: unknown key"),
    ("rate_limit: {interval: 5, burst: 1}", "rate_limit.interval: '5' is no duration; write one like 500ms"),
    ("rate_limit: {interval: -1s, burst: 1}", "rate_limit.interval: '-1s' is no duration"),
    ("rate_limit: {interval: 1 s, burst: 1}", "rate_limit.interval: '1 s' is no duration"),
    ("rate_limit: {interval: [1s]}", "rate_limit.interval: a list is no text"),
    ("rate_limit: {interval: 1s, burst: -1}", "rate_limit.burst: '-1' is no number of requests"),
    ("rate_limit: {interval: 1s, burst: many}", "rate_limit.burst: 'many' is no number of requests"),
    ("tls_server_config: {min_version: TLS13}", "tls_server_config.cert_file: is missing, and without it"),
    ("tls_server_config: {cert_file: a}", "tls_server_config.key_file: is missing; name a PEM file"),
    ("tls_server_config: {key: a}", "tls_server_config.cert_file: is missing; name a PEM file"),
    ("tls_server_config: {cert_file: '', key_file: b}", "tls_server_config.cert_file: is missing"),
    ("http_server_config: {headers: {X-XSS-Protection: !!binary aGk=}}", "X-XSS-Protection: bears a tag"),
    ("tls_server_config: {cert_file: !!int a, key_file: b}", "cert_file: bears a tag, which is not taken"),
    (f"tls_server_config: {{{TLS}, client_auth_type: {VERIFIED}}}", "client_ca_file: is needed for"),
    (
        f"tls_server_config: {{{TLS}, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]}}",
        "cipher_suites: none is TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_RSA_WITH_AES_128_GCM_S",
    ),
    ("tls_server_config: {cert_file: [x], key_file: b}", "cert_file: a list is no text"),
    ('tls_server_config: {cert_file: "a\\0", key_file: b}', r"cert_file: 'a\x00' is no printable text"),
    ('tls_server_config: {cert_file: a, key_file: "\\ud800"}', "web.yml:1:48: cannot be read: found invalid"),
    (f"tls_server_config: {{{TLS}, client_ca_file: {{x: y}}}}", "client_ca_file: a mapping is no text"),
    (f"tls_server_config: {{{TLS}, client_auth_type: [a]}}", "client_auth_type: a list is no text"),
    (f"tls_server_config: {{{TLS}, client_auth_type: a}}", "client_auth_type: 'a' is none of NoClientCert, "),
    (f"tls_server_config: {{{TLS}, client_auth_type: RequireAnyClientCert}}", "that nobody verifies"),
    (f"tls_server_config: {{{TLS}, client_auth_type: RequireClientCert}}", "write RequireAndVerify"),
    (f"tls_server_config: {{{TLS}, client_ca_file: c}}", "NoClientCert verifies nothing; drop client_ca"),
    (f"tls_server_config: {{{TLS}, client_allowed_sans: [a]}}", "client_allowed_sans: need"),
    (f"tls_server_config: {{{TLS}, client_allowed_sans: a}}", "client_allowed_sans: 'a' is no list; write ["),
    (
        f"tls_server_config: {{{TLS}, client_auth_type: {VERIFIED}, client_allowed_sans: []}}",
        "client_allowed_sans: [] lets nobody in",
    ),
    (f"tls_server_config: {{{TLS}, min_version: [a]}}", "min_version: a list is no text"),
    (f"tls_server_config: {{{TLS}, min_version: TLS09}}", "min_version: 'TLS09' is none of TLS12, TLS13"),
    (f"tls_server_config: {{{TLS}, max_version: TLS11}}", "max_version: TLS11 is broken"),
    (f"tls_server_config: {{{TLS}, min_version: TLS13, max_version: TLS12}}", "TLS13 is above max_version"),
    (f"tls_server_config: {{{TLS}, cipher_suites: TLS_A}}", "cipher_suites: 'TLS_A' is no list"),
    (f"tls_server_config: {{{TLS}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}}", "128_SHA' is none"),
    (
        f"tls_server_config: {{{TLS}, cipher_suites: [TLS_AES_128_GCM_SHA256], max_version: TLS12}}",
        "cipher_suites: all are of TLS13, and max_version is TLS12",
    ),
    (f"tls_server_config: {{{TLS}, prefer_server_cipher_suites: 1}}", "prefer_server_cipher_suites: '1' is"),
    (f"tls_server_config: {{{TLS}, curve_preferences: [CurveP255]}}", "did you mean CurveP256?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_file_that_is_wrong_is_refused_with_the_reason(text: str, said: str, tmp_path: Path) -> None:
    """The message names the key and what to write, in one line; it never shows a password."""
    path = tmp_path / "web.yml"
    path.write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r".") as caught:
        read(path)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert not any(secret in str(caught.value) for secret in ("secret-password", HASH[-20:], "hunter2"))


def test_a_key_where_a_name_belongs_is_not_shown(tmp_path: Path) -> None:
    """A line of it looks like the name of a file, and is not repeated as one."""
    _, key = certificate(tmp_path, "server")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    line = pem.decode().splitlines()[1].replace("/", "_")
    path = tmp_path / "web.yml"
    path.write_text(f"tls_server_config: {{cert_file: server.crt, key_file: '{line}'}}\n")
    with pytest.raises(ValueError, match="key_file: the name cannot be read: No such file") as caught:
        WebConfigFile(path)
    assert line[:16] not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Its bytes must be UTF-8."""
    path = tmp_path / "web.yml"
    path.write_bytes(b"basic_auth_users: {\xff: a}\n")
    with pytest.raises(ValueError, match="not UTF-8; save it as UTF-8"):
        read(path)


def test_everything_that_may_be_said_is_taken(tmp_path: Path) -> None:
    """Each key of the format, once; a scalar is text where text belongs."""
    path = tmp_path / "web.yml"
    path.write_text(f"""
tls_server_config:
  cert: |
    the certificate
  key_file: 5
  client_ca: the authority
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [one, 2]
  min_version: TLS12
  max_version: TLS12
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: no
  curve_preferences: [X25519]
http_server_config:
  http2: off
  headers:
    X-Frame-Options: deny
    X-XSS-Protection: 1
    Content-Security-Policy: "default-src 'self'"
basic_auth_users: {{ann: {HASH}, "": {HASH.replace("2b", "2y")}, 5: {HASH.replace("2b", "2a")}}}
rate_limit: {{interval: 1m1.5s, burst: 7}}
""")
    config = read(path)
    assert config.tls == Tls(
        certificate=Pem("cert", None, "the certificate\n"),
        key=Pem("key_file", tmp_path / "5"),
        client_ca=Pem("client_ca", None, "the authority"),
        client_auth=ClientAuth.REQUIRED,
        allowed_sans=frozenset({"one", "2"}),
        minimum="TLS12",
        maximum="TLS12",
        suites=("TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        prefers_own_order=False,
        curves=("X25519",),
    )
    assert config.headers == (
        ("X-Frame-Options", "deny"),
        ("X-XSS-Protection", "1"),
        ("Content-Security-Policy", "default-src 'self'"),
    )
    assert set(config.users) == {"ann", "", "5"}
    assert config.rate_limit == RateLimit(61.5, 7)
    assert HASH not in repr(config)


def test_a_file_that_is_named_counts_before_what_is_written(tmp_path: Path) -> None:
    """Where both are given, as in the toolkit."""
    path = tmp_path / "web.yml"
    path.write_text(f"tls_server_config: {{{TLS}, cert: a, key: b, client_ca: c, min_version: TLS13}}\n")
    with pytest.raises(ValueError, match="client_ca"):
        read(path)
    path.write_text(f"tls_server_config: {{{TLS}, cert: a, key: b, min_version: TLS13}}\n")
    tls = read(path).tls
    assert tls
    assert [pem.name for pem in (tls.certificate, tls.key)] == ["cert_file", "key_file"]


@pytest.mark.parametrize("more", ["min_version: TLS13", "max_version: TLS12"])
def test_suites_that_http2_would_want_are_no_matter_where_it_is_not(more: str, tmp_path: Path) -> None:
    """It is switched off, or nobody comes with TLS 1.2."""
    path = tmp_path / "web.yml"
    suites = "cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]"
    path.write_text(
        f"tls_server_config: {{{TLS}, {suites}, {more}}}\n"
        f"http_server_config: {{http2: {'no' if 'max' in more else 'yes'}}}\n"
    )
    assert read(path).tls


@pytest.mark.parametrize(
    "text",
    [
        "%YAML 1.1\n---\n{}",
        "", "{}", "tls_server_config:", "basic_auth_users: {}", "rate_limit: ~", "# nothing", "\ufeff",
        "rate_limit: {interval: 0, burst: 0}", "rate_limit: {burst: 5}",
        "http_server_config: {headers: {X-XSS-Protection: }}",
    ],
)  # fmt: skip
def test_a_file_that_asks_for_nothing_is_as_none(text: str, tmp_path: Path) -> None:
    """Everybody is let in."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    assert (read(path), WebConfigFile(path).admits(None)) == (WebFile(), Admission.GRANTED)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("server.crt", None, "tls_server_config.cert_file: '.*server.crt' cannot be read: No such file"),
        (
            "server.key",
            b"nothing",
            "cert_file: .* cannot be used: .*; give a certificate and a key_file in PEM",
        ),
        ("ca.crt", None, "tls_server_config.client_ca_file: '.*ca.crt' cannot be read: No such file"),
        ("ca.crt", b"nothing", "tls_server_config.client_ca_file: '.*ca.crt' cannot be used: NO_CERT"),
    ],
)
def test_certificates_that_are_wrong_are_refused_with_the_reason(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    """The message names the key and the file."""
    certificate(tmp_path, "server")
    certificate(tmp_path, "ca")
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    path = tmp_path / "web.yml"
    path.write_text(
        f"tls_server_config: {{{TLS}, client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}}"
    )
    with pytest.raises(ValueError, match=said):
        WebConfigFile(path)


def test_a_key_with_a_passphrase_is_refused_and_asks_nobody(tmp_path: Path) -> None:
    """OpenSSL would ask the terminal, and the server would stand still."""
    _, key = certificate(tmp_path, "server")
    (tmp_path / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    path = tmp_path / "web.yml"
    path.write_text(f"tls_server_config: {{{TLS}}}")
    with pytest.raises(ValueError, match=r"key_file: .* is encrypted; give a key without a passphrase"):
        WebConfigFile(path)


@pytest.mark.parametrize(
    "text", [*(text for text, _ in WRONG), "tls_server_config: {cert_file: a, key_file: b}"]
)
def test_a_change_that_is_wrong_is_told_once_and_changes_nothing(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good file holds for every request, and none of them fails."""
    path = rewrite(tmp_path / "web.yml", f"basic_auth_users: {{ann: '{hashed('a')}'}}\n", 1)
    file = WebConfigFile(path)
    good = file.current()
    rewrite(path, f"{text}\n", 2)
    assert [file.current() for _ in range(3)] == [good] * 3
    assert [file.admits(who) for who in (("ann", b"a"), ("ann", b"b"), None)] == [
        Admission.GRANTED, Admission.REFUSED, Admission.REFUSED,
    ]  # fmt: skip
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)]


def test_a_file_that_is_gone_or_no_text_changes_nothing_and_comes_back(tmp_path: Path) -> None:
    """The next good one is taken."""
    path = rewrite(tmp_path / "web.yml", f"basic_auth_users: {{ann: '{hashed('a')}'}}\n", 1)
    file = WebConfigFile(path)
    path.write_bytes(b"\xff")
    assert file.admits(("ann", b"a")) is Admission.GRANTED
    path.unlink()
    assert file.admits(("ann", b"a")) is Admission.GRANTED
    rewrite(path, f"basic_auth_users: {{bob: '{hashed('b')}'}}\n", 2)
    assert [file.admits(who) for who in (("ann", b"a"), ("bob", b"b"))] == [
        Admission.REFUSED, Admission.GRANTED,
    ]  # fmt: skip


def test_a_change_whose_certificates_come_later_is_taken_when_they_are_there(tmp_path: Path) -> None:
    """They are looked at though the file that names them was not taken; TLS is not switched off."""
    certificate(tmp_path, "server")
    path = rewrite(tmp_path / "web.yml", f"tls_server_config: {{{TLS}}}\n", 1)
    file = WebConfigFile(path)
    old = file.current().context
    assert old
    rewrite(path, "tls_server_config: {cert_file: later.crt, key_file: later.key}\n", 2)
    assert file.current().context is old
    certificate(tmp_path, "later")
    new = file.current()
    assert new.context is not old
    assert new.tls
    assert [file.name for file in new.tls.files] == ["later.crt", "later.key"]
    rewrite(path, "{}\n", 3)
    assert file.current() is new


def test_a_file_is_read_once_for_one_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also one that names other certificates than before."""
    caplog.set_level(logging.INFO)
    for name in ("server", "other"):
        certificate(tmp_path, name)
    path = rewrite(tmp_path / "web.yml", f"tls_server_config: {{{TLS}}}\n", 1)
    file = WebConfigFile(path)
    rewrite(path, "tls_server_config: {cert_file: other.crt, key_file: other.key}\n", 2)
    for _ in range(3):
        file.current()
    assert [record.message for record in caplog.records] == ["web.config_file read again"]


def spent(file: WebConfigFile, user: str, password: bytes, said: Admission) -> float:
    """Return the seconds of this thread's processor that an answer took."""
    began = time.thread_time()
    assert file.admits((user, password)) is said
    return time.thread_time() - began


def test_an_unknown_user_costs_as_much_as_a_wrong_password(tmp_path: Path) -> None:
    """Whatever cost the hashes have; who names nobody costs nothing."""
    for cost in (9, 12):
        path = tmp_path / f"{cost}.yml"
        path.write_text(f"basic_auth_users: {{ann: '{hashed('a', cost)}'}}\n")
        file = WebConfigFile(path)
        wrong = spent(file, "ann", b"wrong", Admission.REFUSED)
        unknown = spent(file, "bob", b"a", Admission.REFUSED)
        assert 0.5 < unknown / wrong < 2.0
        began = time.thread_time()
        assert file.admits(None) is Admission.REFUSED
        assert time.thread_time() - began < wrong / 4


def test_an_unknown_user_is_refused_with_the_password_of_another(tmp_path: Path) -> None:
    """Before and after that one was let in."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a')}'}}\n")
    file = WebConfigFile(path)
    for _ in range(2):
        assert file.admits(("bob", b"a")) is Admission.REFUSED
        assert file.admits(("ann", b"a")) is Admission.GRANTED


def test_a_right_password_is_remembered_until_its_hash_changes(tmp_path: Path) -> None:
    """A scrape costs no bcrypt but the first, and the first after a change of the user's hash."""
    path = rewrite(tmp_path / "web.yml", f"basic_auth_users: {{ann: '{hashed('a', 11)}'}}\n", 1)
    file = WebConfigFile(path)
    first, second = (spent(file, "ann", b"a", Admission.GRANTED) for _ in range(2))
    os.utime(path, ns=(2, 2))
    assert file.current().users
    touched = spent(file, "ann", b"a", Admission.GRANTED)
    rewrite(path, f"basic_auth_users: {{ann: '{hashed('a', 11)}'}}\n", 3)
    rehashed = spent(file, "ann", b"a", Admission.GRANTED)
    assert max(second, touched) < first / 4
    assert rehashed > first / 4


def test_a_wrong_password_is_not_remembered(tmp_path: Path) -> None:
    """It costs the same each time."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a', 11)}'}}\n")
    file = WebConfigFile(path)
    first, second = (spent(file, "ann", b"b", Admission.REFUSED) for _ in range(2))
    assert second > first / 4


def test_a_password_counts_to_its_72nd_byte(tmp_path: Path) -> None:
    """As with Prometheus' own servers: a longer one comes in, a shorter one does not."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a' * 100)}'}}\n")
    file = WebConfigFile(path)
    said = [file.admits(("ann", b"a" * length)) for length in (71, 72, 73, 100)]
    assert said == [Admission.REFUSED, Admission.GRANTED, Admission.GRANTED, Admission.GRANTED]
