"""The web configuration file: what is refused and why, what a change does, what a password costs."""

import logging
import os
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from test_server import certificate, hashed, rewrite

from exporter.webconfig import Admission, WebConfig, WebConfigFile, read

TLS = "cert_file: server.crt, key_file: server.key"
HASH = "$2b$10$J0VSQbWCbbPAZTRlHtOiv.Q3B0fnC/tgRZ/KFyGRBrnUBIgd4Mryy"
WRONG = [
    ("basic_auth_user: {}", "basic_auth_user: unknown key; did you mean basic_auth_users?"),
    ("5: a", "5: unknown key"),
    ("- a", "the file: must map keys to values"),
    ("tls_server_config: []", "tls_server_config: must map keys to values"),
    ("http_server_config: 0", "http_server_config: must map keys to values"),
    ("basic_auth_users: []", "basic_auth_users: must map keys to values"),
    ("basic_auth_users: false", "basic_auth_users: must map keys to values"),
    ("a: [", "cannot be read"),
    ("http_server_config: {http2: !!bool x}", "is not true or false; quote it"),
    ("http_server_config: {http2: !!timestamp x}", "is not a date; quote it"),
    ("tls_server_config: {cert_file: 2020-99-99}", "is not a date; quote it"),
    ("[" * 10_000, "cannot be read"),
    ("basic_auth_users: {ann: secret-password}", "basic_auth_users.ann: not a bcrypt hash"),
    ("basic_auth_users: {ann: 5}", "basic_auth_users.ann: not a bcrypt hash"),
    ("basic_auth_users: {ann: [secret-password]}", "basic_auth_users.ann: not a bcrypt hash"),
    (f"basic_auth_users: {{5: {HASH}}}", "basic_auth_users.5: is not text"),
    (f"basic_auth_users: {{ann: {HASH}, ann: {HASH}}}", "the key ann comes twice; keep one"),
    (f"basic_auth_users: {{ann: {HASH.replace('$10$', '$03$')}}}", "of cost 4 to 31"),
    (f"basic_auth_users: {{ann: {HASH.replace('$10$', '$32$')}}}", "of cost 4 to 31"),
    (f"basic_auth_users: {{ann: '{HASH[:-1]}!'}}", "not a bcrypt hash"),
    (f"basic_auth_users: {{ann: {HASH.replace('v.Q', 'v/Q')}}}", "not a bcrypt hash"),
    ("basic_auth_users: {}\nbasic_auth_users: {}", ":2:1: cannot be read: the key basic_auth_users comes"),
    ("tls_server_config: {cert_file: a}", "tls_server_config.key_file: is missing; name a PEM file"),
    ("tls_server_config: {cert_file: 5, key_file: b}", "cert_file: 5 is no printable text; use quotes"),
    ("tls_server_config: {cert_file: [x], key_file: b}", "cert_file: ['x'] is no printable text"),
    ('tls_server_config: {cert_file: "a\\0", key_file: b}', r"cert_file: 'a\x00' is no printable text"),
    ('tls_server_config: {cert_file: a, key_file: "\\ud800"}', "web.yml:1:48: cannot be read: found invalid"),
    (f"tls_server_config: {{{TLS}, client_ca_file: [x]}}", "client_ca_file: ['x'] is no printable text"),
    (f"tls_server_config: {{{TLS}, client_auth_type: [a]}}", "client_auth_type: ['a'] is no printable text"),
    (f"tls_server_config: {{{TLS}, client_auth_type: a}}", "client_auth_type: 'a' is none of NoClientCert, "),
    (f"tls_server_config: {{{TLS}, client_ca_file: c}}", "NoClientCert verifies nothing; drop client_ca"),
    (f"tls_server_config: {{{TLS}, client_auth_type: VerifyClientCertIfGiven}}", "client_ca_file: is needed"),
    (f"tls_server_config: {{{TLS}, min_version: [a]}}", "min_version: ['a'] is no printable text"),
    (f"tls_server_config: {{{TLS}, min_version: TLS09}}", "min_version: 'TLS09' is none of TLS12, TLS13"),
    (f"tls_server_config: {{{TLS}, min_version: TLS13, max_version: TLS12}}", "TLS13 is above max_version"),
    (f"tls_server_config: {{{TLS}, curve_preferences: [X]}}", "curves are Python's own"),
    ("http_server_config: {http2: yes please}", "http2: 'yes please' is neither true nor false"),
    ("http_server_config: {headers: [a]}", "http_server_config.headers: must map keys to values"),
    ("http_server_config: {headers: {5: a}}", "http_server_config.headers.5: unknown key"),
    ("http_server_config: {headers: {X-Frame-Options: maybe}}", "'maybe' is not a value for this header"),
    ("http_server_config: {headers: {X-Frame-Options: [deny]}}", "['deny'] is not a value for this header"),
    ("http_server_config: {headers: {X-XSS-Protection: 0}}", "X-XSS-Protection: 0 cannot be sent"),
    ('http_server_config: {headers: {X-XSS-Protection: "a\\nb"}}', r"'a\nb' cannot be sent"),
    ("http_server_config: {headers: {X-XSS-Protection: пять}}", "'пять' cannot be sent"),
    ("http_server_config: {headers: {X-Other: a}}", "headers.X-Other: unknown key"),
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
    assert not any(secret in str(caught.value) for secret in ("secret-password", HASH[-20:]))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """Its bytes must be UTF-8."""
    path = tmp_path / "web.yml"
    path.write_bytes(b"basic_auth_users: {\xff: a}\n")
    with pytest.raises(ValueError, match="not UTF-8; save it as UTF-8"):
        read(path)


def test_everything_that_may_be_said_is_taken(tmp_path: Path) -> None:
    """Each key of the format that is not refused, once."""
    path = tmp_path / "web.yml"
    path.write_text(f"""
tls_server_config:
  {{{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt,
    min_version: TLS12, max_version: TLS12}}
http_server_config:
  http2: true
  headers:
    {{X-Frame-Options: deny, X-Content-Type-Options: nosniff, Content-Security-Policy: "default-src 'self'"}}
basic_auth_users: {{ann: {HASH}, "": {HASH.replace("2b", "2y")}}}
""")
    config = read(path)
    assert config.tls
    assert {key: file.name for key, file in config.tls.files.items()} == {
        "cert_file": "server.crt",
        "key_file": "server.key",
        "client_ca_file": "ca.crt",
    }
    assert [name for name, _ in config.headers] == [
        "X-Frame-Options", "X-Content-Type-Options", "Content-Security-Policy",
    ]  # fmt: skip
    assert set(config.users) == {"ann", ""}
    assert HASH not in repr(config)


@pytest.mark.parametrize("text", ["", "{}", "tls_server_config:", "basic_auth_users: {}"])
def test_a_file_that_asks_for_nothing_is_as_none(text: str, tmp_path: Path) -> None:
    """Everybody is let in."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    assert (read(path), WebConfigFile(path).admits(None)) == (WebConfig(), Admission.GRANTED)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("server.crt", None, "tls_server_config.cert_file: '.*server.crt' cannot be read: No such file"),
        ("server.key", b"nothing", "tls_server_config.cert_file: .* cannot be used: .*; give PEM files"),
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
    with pytest.raises(ValueError, match="key_file: is encrypted; give a key without a passphrase"):
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
    assert new.tls.files["cert_file"].name == "later.crt"
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


def test_a_right_password_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    """A scrape costs no bcrypt but the first, and the first after a change."""
    path = rewrite(tmp_path / "web.yml", f"basic_auth_users: {{ann: '{hashed('a', 11)}'}}\n", 1)
    file = WebConfigFile(path)
    first, second = (spent(file, "ann", b"a", Admission.GRANTED) for _ in range(2))
    os.utime(path, ns=(2, 2))
    file.current()
    third = spent(file, "ann", b"a", Admission.GRANTED)
    assert second < first / 4
    assert third > first / 4


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


def test_a_password_with_a_tag_is_not_repeated(tmp_path: Path) -> None:
    """What does not fit its tag may be a secret here, so that only its place is told."""
    path = tmp_path / "web.yml"
    path.write_text("basic_auth_users:\n  ann: !!int hunter2\n")
    with pytest.raises(ValueError, match=r"web\.yml:2:8: cannot be read: is not a whole number") as caught:
        read(path)
    assert "hunter2" not in str(caught.value)
