"""The image: what can be said of it without building it, and its health check."""

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from processes import free_port
from test_server import certificate, hashed, tls_file

from exporter.server import Server
from exporter.webconfig import WebConfigFile

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_hadolint_has_nothing_to_say() -> None:
    """The Dockerfile is clean under hadolint."""
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_user_is_numeric_and_not_root() -> None:
    """Kubernetes can prove runAsNonRoot only of a number."""
    found = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert found
    assert "0" not in found[-1]


def test_the_health_check_needs_no_other_program() -> None:
    """The image has no curl, and needs none."""
    assert re.search(
        r"^HEALTHCHECK .*\n\s+CMD \[\"python\", \"-m\", \"exporter.health\"\]$", DOCKERFILE, re.MULTILINE
    )
    assert not re.search(r"curl|wget", DOCKERFILE)


def answering(status: str) -> WSGIApplication:
    """Return an application that says one thing."""

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [("Content-Length", "0")])
        return []

    return app


def health(server: Server) -> tuple[int, str]:
    """Serve, and return the exit code and the line of the health check."""
    server.start()
    try:
        return checked(f"http://127.0.0.1:{server.addresses[0][1]}/-/healthy")
    finally:
        server.stop(1.0)


def checked(url: str) -> tuple[int, str]:
    """Return the exit code of the health check as the image runs it, and its line without the address."""
    command = [sys.executable, "-m", "exporter.health", url]
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environ)
    (line,) = (done.stdout + done.stderr).splitlines()
    return done.returncode, line.removeprefix(f"{url}: ")


@pytest.mark.parametrize(
    ("status", "code"), [("200 OK", 0), ("404 Not Found", 0), ("500 Oh", 1), ("503 Service Unavailable", 1)]
)
def test_any_answer_that_is_no_server_error_is_health(status: str, code: int) -> None:
    """Also to one that asks by another path; no proxy is asked instead."""
    assert health(Server(answering(status), ["127.0.0.1:0"], threads=2)) == (code, f"HTTP {status[:3]}")


def test_an_exporter_with_users_is_healthy(tmp_path: Path) -> None:
    """The check has no password."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('a')}'}}\n")
    server = Server(answering("200 OK"), ["127.0.0.1:0"], threads=2, web_config=WebConfigFile(path))
    assert health(server) == (0, "HTTP 401")


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("500 Oh", 1)])
def test_an_exporter_with_tls_is_asked_over_tls(status: str, code: int, tmp_path: Path) -> None:
    """By a certificate that nobody vouches for."""
    server = Server(answering(status), ["127.0.0.1:0"], threads=2, web_config=tls_file(tmp_path))
    assert health(server) == (code, f"HTTP {status[:3]}")


def test_an_exporter_that_wants_a_client_certificate_is_healthy(tmp_path: Path) -> None:
    """The check has none; what the port says to plain HTTP is an answer."""
    certificate(tmp_path, "server")
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: server.crt, "
        "client_auth_type: RequireAndVerifyClientCert}\n"
    )
    server = Server(answering("200 OK"), ["127.0.0.1:0"], threads=2, web_config=WebConfigFile(path))
    assert health(server) == (0, "HTTP 400")


def test_a_port_that_says_nothing_of_plain_http_is_asked_over_tls_too(tmp_path: Path) -> None:
    """As one that a proxy holds, which answers a plain request with a TLS alert."""
    certificate(tmp_path, "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    def answer(listening: socket.socket) -> None:
        for _ in range(2):
            sock, _ = listening.accept()
            with sock, suppress(ssl.SSLError), context.wrap_socket(sock, server_side=True) as secure:
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)
        thread.start()
        assert checked(f"http://127.0.0.1:{listening.getsockname()[1]}/") == (0, "HTTP 200")
        thread.join(10)


def test_nobody_there_is_no_health() -> None:
    """Nor is an address that is none."""
    assert checked(f"http://127.0.0.1:{free_port()}/-/healthy") == (1, "[Errno 111] Connection refused")
    assert checked("http://127.0.0.1:port/")[0] == 1


def test_only_what_the_image_needs_is_sent_to_the_engine() -> None:
    """Everything is left out but what the Dockerfile copies."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert allowed == {name for names in copied for name in names.split()}
