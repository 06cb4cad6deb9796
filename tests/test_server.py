"""The exporter's own door, over real sockets."""

import base64
import datetime as dt
import http.client
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.server import ListenFailed, Server
from exporter.webconfig import WebConfigFile, read


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the path."""
    body = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@contextmanager
def serving(config: Path | None = None) -> Iterator[int]:
    """Serve the application on loopback and return the port."""
    server = Server(app, ["127.0.0.1:0"], web_config=WebConfigFile(config) if config else None, threads=8)
    server.start()
    try:
        yield server.addresses[0][1]
    finally:
        server.stop(1.0)


def ask(
    port: int, method: str = "GET", *, context: ssl.SSLContext | None = None, user: str = ""
) -> http.client.HTTPResponse:
    """Return the answer to one request."""
    headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} if user else {}
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    secure = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection = secure if context else plain
    try:
        connection.request(method, "/hello", headers=headers)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    return answer


def certificate(
    folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Write a certificate and its key, signed by itself or by an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made, key


def hashed(password: str) -> str:
    """Return a cheap bcrypt hash."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def rewrite(path: Path, text: str, when: int) -> Path:
    """Write a file with a modification time of its own."""
    path.write_text(text)
    os.utime(path, ns=(when, when))
    return path


def test_a_connection_is_kept_for_the_next_request() -> None:
    """Prometheus scrapes over one connection."""
    with serving() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for _ in range(3):
            connection.request("GET", "/again")
            assert connection.getresponse().read() == b"/again"
            kept = connection.sock
        assert kept is not None
        connection.close()


def test_the_answer_does_not_tell_what_serves_it() -> None:
    """No versions in the Server header."""
    with serving() as port:
        assert ask(port).headers["Server"] == "yc-workflow-exporter"


def test_a_port_in_use_says_what_to_do() -> None:
    """The message names the address and the flag."""
    with (
        serving() as port,
        pytest.raises(ListenFailed, match=f"127.0.0.1:{port}: the port is in use; .*--web.listen-address"),
    ):
        Server(app, [f"127.0.0.1:{port}"]).start()


def test_a_bare_port_listens_everywhere_and_several_addresses_are_served() -> None:
    """`:0` answers on loopback too."""
    server = Server(app, [":0", "127.0.0.1:0"], threads=2)
    server.start()
    try:
        assert [ask(port).status for _, port in server.addresses] == [200, 200]
    finally:
        server.stop(1.0)


def test_a_header_that_is_too_large_is_refused() -> None:
    """A flood of header bytes gets a 4xx, and the next request its answer."""
    with serving() as port:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Flood: " + b"a" * 100_000)
            assert sock.recv(12).startswith(b"HTTP/1.1 4")
        assert ask(port).status == 200


def test_stop_lets_a_request_end() -> None:
    """A scrape that is under way gets its page."""
    entered, leave = threading.Event(), threading.Event()

    def slow(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        entered.set()
        leave.wait(10)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    server = Server(slow, ["127.0.0.1:0"], threads=2)
    server.start()
    said: list[int] = []
    asking = threading.Thread(target=lambda: said.append(ask(server.addresses[0][1]).status))
    asking.start()
    assert entered.wait(10)
    stopping = threading.Thread(target=server.stop, args=(5.0,))
    stopping.start()
    leave.set()
    asking.join(10)
    stopping.join(10)
    assert said == [200]


def test_only_users_with_the_right_password_come_in(tmp_path: Path) -> None:
    """A wrong password, an unknown user and none at all get 401 and the realm."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('right')}'}}\n")
    with serving(path) as port:
        for user in ("", "ann:wrong", "bob:right", "ann:"):
            answer = ask(port, user=user)
            assert (answer.status, "Basic" in answer.headers["WWW-Authenticate"]) == (401, True)
        assert [ask(port, user="ann:right").status for _ in range(2)] == [200, 200]


def test_a_changed_file_holds_from_the_next_request(tmp_path: Path) -> None:
    """New users come in, old ones no longer; a broken file changes nothing."""
    path = rewrite(tmp_path / "web.yml", f"basic_auth_users: {{ann: '{hashed('a')}'}}\n", 1)
    with serving(path) as port:
        assert ask(port, user="ann:a").status == 200
        rewrite(path, f"basic_auth_users: {{bob: '{hashed('b')}'}}\n", 2)
        assert (ask(port, user="ann:a").status, ask(port, user="bob:b").status) == (401, 200)
        rewrite(path, "basic_auth_user: {}\n", 3)
        assert ask(port, user="bob:b").status == 200


def test_configured_headers_are_on_every_answer(tmp_path: Path) -> None:
    """Also on those of the application that has its own."""
    path = tmp_path / "web.yml"
    path.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    with serving(path) as port:
        assert ask(port).headers["X-Frame-Options"] == "deny"


def test_tls_is_served_and_a_client_certificate_asked_for(tmp_path: Path) -> None:
    """Without a certificate of the client CA the handshake fails, with one it does not."""
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "server", authority)
    certificate(tmp_path, "client", authority)
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: authority.crt, "
        "client_auth_type: RequireAndVerifyClientCert}\n"
    )
    trusting = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))
    known = ssl.create_default_context(cafile=str(tmp_path / "authority.crt"))
    known.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
    with serving(path) as port:
        assert ask(port, context=known).status == 200
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ask(port, context=trusting)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("basic_auth_user: {}\n", "did you mean basic_auth_users?"),
        ("basic_auth_users: {ann: secret-password}\n", "basic_auth_users.ann: not a bcrypt hash"),
        ("tls_server_config: {cert_file: a}\n", "tls_server_config.key_file: is missing"),
        ("tls_server_config: {cert_file: a, key_file: b, min_version: TLS09}\n", "min_version: 'TLS09'"),
        (
            "tls_server_config: {cert_file: a, key_file: b, curve_preferences: [X]}\n",
            "curves are Python's own",
        ),
        ("http_server_config: {headers: {X-Frame-Options: maybe}}\n", "'maybe' is not a value"),
        ("http_server_config: {headers: {X-Other: a}}\n", "unknown key"),
        ("- a\n", "must map keys to values"),
        ("a: [\n", "not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_reason(text: str, said: str, tmp_path: Path) -> None:
    """The message names the key and what to write; it never shows a password."""
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".") as caught:
        read(path)
    assert said in str(caught.value)
    assert "secret-password" not in str(caught.value)
