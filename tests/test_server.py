"""The exporter's own door, over real sockets."""

import base64
import datetime as dt
import http.client
import ipaddress
import logging
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from processes import free_port, until

from exporter.crew import Lane
from exporter.gateway import Ends, Request, answered
from exporter.guard import guarded
from exporter.server import THREADS, ListenFailed, Server
from exporter.web import LANES
from exporter.webconfig import MOST_WAITING, WebConfigFile

SLOW = b"GET /slow? HTTP/1.0\r\nContent-Length: 0\r\n\r\n"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the path."""
    body = environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@contextmanager
def serving(
    config: Path | WebConfigFile | None = None,
    *,
    app: WSGIApplication = app,
    threads: int = 8,
    timeout: int = 10,
) -> Iterator[int]:
    """Serve the application on loopback and return the port."""
    file = WebConfigFile(config) if isinstance(config, Path) else config
    server = Server(app, ["127.0.0.1:0"], web_config=file, threads=threads, timeout=timeout)
    server.start()
    try:
        yield server.addresses[0][1]
    finally:
        server.stop(1.0)


@dataclass
class Gate:
    """An application that tells when it is entered, and answers when it may leave."""

    entered: threading.Event = field(default_factory=threading.Event)
    leave: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer when it may."""
        self.entered.set()
        self.leave.wait(60)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]


def connected(port: int, said: bytes = b"", timeout: float = 5.0) -> socket.socket:
    """Return a connection over which something was said."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    sock.sendall(said)
    return sock


def said_until_closed(sock: socket.socket) -> bytes:
    """Return all that the other side says before it closes; fails when that takes too long."""
    heard = bytearray()
    while more := sock.recv(65536):
        heard += more
    return bytes(heard)


def served_certificate(port: int) -> bytes:
    """Return the certificate that a TLS port shows, whoever signed it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connected(port)) as sock:
        return sock.getpeercert(binary_form=True) or b""


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
    folder: Path,
    name: str,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    *,
    names: Iterable[x509.GeneralName] = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),),
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
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made, key


def hashed(password: str, cost: int = 4) -> str:
    """Return a bcrypt hash, a cheap one unless told."""
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(cost)).decode()


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


def test_a_client_that_is_silent_is_dropped() -> None:
    """Before its first byte and in the middle of its request."""
    with serving(timeout=1) as port:
        with connected(port) as sock:
            assert said_until_closed(sock) == b""
        with connected(port, b"GET / HTTP/1.1\r\nHost:") as sock:
            assert said_until_closed(sock).startswith(b"HTTP/1.1 408 ")


def test_clients_that_say_nothing_hold_no_thread() -> None:
    """Many more of them than threads, and a request is answered."""
    with serving(threads=2) as port, ExitStack() as silent:
        for _ in range(20):
            silent.enter_context(connected(port))
        with connected(port, b"GET /hello HTTP/1.0\r\n\r\n") as sock:
            assert said_until_closed(sock).endswith(b"/hello")


def test_whom_no_thread_can_serve_is_told_so_at_once() -> None:
    """When all threads are taken and the queue is full, 503 and when to come back."""
    gate = Gate()
    with serving(app=gate, threads=1) as port, ExitStack() as asking:
        asking.enter_context(connected(port, b"GET / HTTP/1.0\r\n\r\n"))
        assert gate.entered.wait(10)
        waiting = [asking.enter_context(connected(port, b"GET / HTTP/1.0\r\n\r\n")) for _ in range(4)]
        heard = [said_until_closed(sock) for sock in waiting[2:]]
        gate.leave.set()
        assert [text.split(b"\r\n")[0] for text in heard] == [b"HTTP/1.1 503 Service Unavailable"] * 2
        assert all(b"Retry-After: 5" in text for text in heard)


def test_a_flood_of_one_kind_leaves_room_for_all_others() -> None:
    """While more of them wait than may begin, another path is answered; then those that waited are."""
    inside, leave = threading.Semaphore(0), threading.Event()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            inside.release()
            leave.wait(60)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    server = Server(app, ["127.0.0.1:0"], threads=5, lanes={"/slow": Lane("slow", 4)})
    server.start()
    port = server.addresses[0][1]
    with ExitStack() as asking:
        # However the path is written, it is of its kind; and no two ask for the same.
        ways = (b"/slow", b"/%73low", b"http://a/slow")
        said = [b"GET %s?%d HTTP/1.0\r\n\r\n" % (ways[n % 3], n) for n in range(12)]
        flood = [asking.enter_context(connected(port, each)) for each in said[:4]]
        assert all(inside.acquire(timeout=10) for _ in range(4))
        flood += [asking.enter_context(connected(port, each)) for each in said[4:]]
        assert [ask(port).status for _ in range(3)] == [200] * 3
        assert not inside.acquire(blocking=False)
        leave.set()
        assert [said_until_closed(sock)[:12] for sock in flood] == [b"HTTP/1.1 200"] * 12
    server.stop(1.0)


def test_a_page_is_not_copied_for_who_takes_it() -> None:
    """The bytes of the application are the bytes of the answer, so that many can share them."""
    page = bytes(1000)

    def app(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [page]

    ends = Ends(("127.0.0.1", 80), ("127.0.0.1", 1024))
    assert answered(guarded(app, None), Request("GET", "/", b"", "1.1", ()), ends).body is page


def test_what_a_client_asks_for_again_meanwhile_is_answered_with_it() -> None:
    """However many of his connections ask the same, one thread works, and who leaves takes nothing away."""
    entered: list[str] = []
    leave = threading.Event()

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        entered.append(f"{environ['REQUEST_METHOD']} {environ['QUERY_STRING']}")
        number = len(entered)
        leave.wait(60)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"answer %d" % number]

    server = Server(app, ["127.0.0.1:0"], threads=8, lanes={"/slow": Lane("slow", 6)})
    server.start()
    port = server.addresses[0][1]
    with ExitStack() as asking:
        first = connected(port, SLOW)
        assert until(lambda: entered)
        same = [asking.enter_context(connected(port, SLOW)) for _ in range(100)]
        others = [SLOW.replace(b"?", b"?x"), SLOW.replace(b"GET", b"POST"), SLOW.replace(b"GET", b"POST")]
        apart = [asking.enter_context(connected(port, each)) for each in others]
        assert until(lambda: len(entered) == 4)
        first.close()
        leave.set()
        assert {said_until_closed(sock)[-8:] for sock in same} == {b"answer 1"}
        assert {said_until_closed(sock)[-8:] for sock in apart} == {b"answer 2", b"answer 3", b"answer 4"}
        later = asking.enter_context(connected(port, SLOW))
        assert said_until_closed(later)[-8:] == b"answer 5"
    server.stop(1.0)
    assert sorted(entered) == ["GET ", "GET ", "GET x", "POST ", "POST "]


def test_there_are_threads_for_what_needs_no_cloud() -> None:
    """Whatever the pages that wait for it do, health is answered, also when passwords are guessed."""
    lanes = set(LANES.values())
    assert sum(lane.most for lane in lanes) + MOST_WAITING < THREADS


def test_an_error_of_ours_keeps_its_traceback_in_one_record(caplog: pytest.LogCaptureFixture) -> None:
    """What the application lets out is an error, told once."""

    def broken(_: WSGIEnvironment, __: StartResponse) -> Iterable[bytes]:
        raise LookupError("of ours")

    with serving(app=broken) as port:
        assert ask(port).status == 500
    records = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert [(record.levelname, record.exc_info is not None) for record in records] == [("ERROR", True)]


def refused(port: int) -> bool:
    """Say whether nobody listens any more."""
    try:
        connected(port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_stop_lets_a_request_end() -> None:
    """A request that is under way is read and answered to its end, and then nothing more is waited for."""

    def echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(4)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    server = Server(echo, ["127.0.0.1:0"], threads=2)
    server.start()
    port = server.addresses[0][1]
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    with connected(port, head) as sock, connected(port) as silent:
        assert sock.recv(12) == b"HTTP/1.1 100"
        stopping = threading.Thread(target=server.stop, args=(60.0,))
        stopping.start()
        assert until(lambda: refused(port))
        assert said_until_closed(silent) == b""
        stopping.join(1.0)  # time in which a stop without grace would have cut the request off
        assert stopping.is_alive()
        sock.sendall(b"done")
        said = said_until_closed(sock)
        assert (said.endswith(b"\r\n\r\ndone"), b"Connection: close" in said) == (True, True)
    stopping.join(10)
    assert not stopping.is_alive()


def test_what_still_waits_when_the_grace_is_over_is_not_begun() -> None:
    """Its connection ends without an answer."""
    gate = Gate()
    server = Server(gate, ["127.0.0.1:0"], threads=1)
    server.start()
    port = server.addresses[0][1]
    with connected(port, b"GET / HTTP/1.0\r\n\r\n") as first, connected(port) as second:
        assert gate.entered.wait(10)
        gate.entered.clear()
        second.sendall(b"GET / HTTP/1.0\r\n\r\n")
        server.stop(0.1)
        gate.leave.set()
        assert [said_until_closed(sock) for sock in (first, second)] == [b"", b""]
    assert not gate.entered.is_set()


@pytest.mark.parametrize("tls", [False, True])
def test_stop_cuts_off_a_request_after_the_grace(tls: bool, tmp_path: Path) -> None:
    """However many threads are stuck, and on all addresses at once; the client sees its connection end."""
    gate = Gate()
    server = Server(
        gate, ["127.0.0.1:0", "127.0.0.1:0"], threads=6, web_config=tls_file(tmp_path) if tls else None
    )
    server.start()
    context = ssl.create_default_context(cafile=str(tmp_path / "server.crt")) if tls else None
    with ExitStack() as stack:
        asking = []
        for _, port in server.addresses * 3:
            gate.entered.clear()
            sock = connected(port, timeout=30)
            sock = context.wrap_socket(sock, server_hostname="127.0.0.1") if context else sock
            asking.append(stack.enter_context(sock))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert gate.entered.wait(10)
        began = time.monotonic()
        server.stop(0.5)
        took = time.monotonic() - began
        heard = [until_eof(sock) for sock in asking]
    gate.leave.set()
    assert (heard, 0.5 <= took < 3.0) == ([b""] * 6, True)


def until_eof(sock: socket.socket) -> bytes:
    """Return what is said until the connection ends, be it without the good manners of TLS."""
    try:
        return said_until_closed(sock)
    except (ssl.SSLEOFError, ConnectionResetError):
        return b""


def test_a_stuck_request_does_not_keep_the_program_alive() -> None:
    """After stop the interpreter ends, whatever its threads are doing."""
    program = """
import http.client, threading
from exporter.server import Server
entered = threading.Event()
def stuck(environ, start_response):
    entered.set()
    threading.Event().wait(60)
server = Server(stuck, ["127.0.0.1:0"], threads=2)
server.start()
connection = http.client.HTTPConnection("127.0.0.1", server.addresses[0][1], timeout=60)
connection.request("GET", "/")
entered.wait(10)
server.stop(0.1)
print("stopped", flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


def test_a_host_that_is_no_name_is_refused_in_one_line() -> None:
    """Also one that cannot even be encoded."""
    for host in ("...", "a" * 70, "nowhere.invalid"):
        with pytest.raises(ListenFailed, match=rf"cannot listen on {host}:20404: .*--web.listen-address$"):
            Server(app, [f"{host}:20404"]).start()


def test_the_same_address_twice_is_refused_and_leaves_nothing_open() -> None:
    """The port is free again afterwards."""
    port, open_files = free_port(), Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    with pytest.raises(ListenFailed, match="the port is in use"):
        Server(app, [f"127.0.0.1:{port}", f"127.0.0.1:{port}"], threads=2).start()
    assert refused(port)
    assert len(list(open_files.iterdir())) <= before


def test_urls_are_what_people_can_open(tmp_path: Path) -> None:
    """Everywhere is localhost, IPv6 has brackets, TLS is https."""
    for listen, host in ((":0", "localhost"), ("0.0.0.0:0", "localhost"), ("[::1]:0", "[::1]")):
        server = Server(app, [listen], threads=1)
        server.start()
        try:
            assert server.urls == [f"http://{host}:{server.addresses[0][1]}"]
        finally:
            server.stop(1.0)
    server = Server(app, ["127.0.0.1:0"], threads=1, web_config=tls_file(tmp_path))
    server.start()
    try:
        assert server.urls == [f"https://127.0.0.1:{server.addresses[0][1]}"]
    finally:
        server.stop(1.0)


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


def test_configured_headers_are_on_the_refusal_too(tmp_path: Path) -> None:
    """Whoever is not let in gets them as well."""
    path = tmp_path / "web.yml"
    path.write_text(
        f"{{http_server_config: {{headers: {{X-Frame-Options: deny}}}}, "
        f"basic_auth_users: {{ann: '{hashed('a')}'}}}}\n"
    )
    with serving(path) as port:
        answer = ask(port)
        assert (answer.status, answer.headers["X-Frame-Options"]) == (401, "deny")


def test_who_cannot_be_checked_in_time_is_asked_to_come_back(tmp_path: Path) -> None:
    """503 with Retry-After, which is no word about the password; who names none is refused at once."""
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ann: '{hashed('right', 13)}'}}\n")
    start = threading.Barrier(5)
    answers: list[http.client.HTTPResponse] = []
    with serving(WebConfigFile(path, patience=0)) as port:

        def guess(user: str) -> None:
            start.wait(10)
            answers.append(ask(port, user=user))

        guessing = [threading.Thread(target=guess, args=(f"ann:{n}",)) for n in range(4)]
        for thread in guessing:
            thread.start()
        start.wait(10)
        assert ask(port).status == 401
        for thread in guessing:
            thread.join(30)
    said = {(answer.status, answer.headers["Retry-After"]) for answer in answers}
    assert said == {(401, None), (503, "5")}


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


def tls_file(folder: Path) -> WebConfigFile:
    """Return a file that asks for TLS with a certificate made for it."""
    certificate(folder, "server")
    path = folder / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    return WebConfigFile(path)


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """The file itself has not changed."""
    with serving(tls_file(tmp_path)) as port:
        old = served_certificate(port)
        made, _ = certificate(tmp_path, "server")
        renewed = made.public_bytes(serialization.Encoding.DER)
        assert old != renewed
        assert served_certificate(port) == renewed


def test_a_client_authority_taken_out_of_the_file_is_trusted_no_more(tmp_path: Path) -> None:
    """Its clients are refused from the next handshake, those of the new one come in."""
    for name in ("old", "new"):
        certificate(tmp_path, f"{name}-client", certificate(tmp_path, name))
    certificate(tmp_path, "server")
    path, text = (
        tmp_path / "web.yml",
        (
            "tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: {}.crt, "
            "client_auth_type: RequireAndVerifyClientCert}}\n"
        ),
    )

    def client(name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
        context.load_cert_chain(tmp_path / f"{name}-client.crt", tmp_path / f"{name}-client.key")
        return context

    rewrite(path, text.format("old"), 1)
    with serving(path) as port:
        assert ask(port, context=client("old")).status == 200
        rewrite(path, text.format("new"), 2)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(port, context=client("old"))
        assert ask(port, context=client("new")).status == 200


def test_a_client_that_stops_in_its_handshake_holds_up_nobody(tmp_path: Path) -> None:
    """Others shake hands meanwhile."""
    with serving(tls_file(tmp_path)) as port, ExitStack() as stack:
        for said in (b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"):
            stack.enter_context(connected(port, said))
        assert served_certificate(port)  # within the 5 s of a connection


def test_a_handshake_that_is_never_ended_is_dropped(tmp_path: Path) -> None:
    """The read timeout holds for it too."""
    with serving(tls_file(tmp_path), timeout=1) as port, connected(port, b"\x16\x03\x01\x02\x00") as sock:
        assert said_until_closed(sock) == b""


def test_an_application_behind_tls_is_told_so_and_connections_are_kept(tmp_path: Path) -> None:
    """The scheme is https; Prometheus scrapes over one connection here too."""

    def scheme(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return [environ["wsgi.url_scheme"].encode()]

    file = tls_file(tmp_path)
    context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
    with serving(file, app=scheme) as port:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        kept = set()
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"https"
            kept.add(connection.sock.getsockname())
        connection.close()
        assert len(kept) == 1


def test_who_speaks_plain_http_to_a_tls_port_is_told_what_to_do(tmp_path: Path) -> None:
    """In words that he can read."""
    with serving(tls_file(tmp_path)) as port, connected(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") as sock:
        said = said_until_closed(sock)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"HTTPS only" in said


def test_what_clients_do_to_their_connections_is_told_to_debuggers_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Strange bytes, plain HTTP, no certificate, a hang-up: no record above debug and no traceback."""
    caplog.set_level(logging.DEBUG)
    certificate(tmp_path, "server")
    path = tmp_path / "web.yml"
    path.write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: server.crt, "
        "client_auth_type: RequireAndVerifyClientCert}\n"
    )
    reset = struct.pack("ii", 1, 0)
    with serving(path) as secure, serving(tls_file(tmp_path)) as open_, serving() as plain:
        for said in (b"", b"\x16\x03\x01\x02\x00", b"strange\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            for port in (secure, open_, plain):
                with connected(port, said) as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
        for port in (secure, open_):
            with suppress(OSError), context.wrap_socket(connected(port), server_hostname="127.0.0.1") as sock:
                sock.sendall(b"GET / HT")
        assert served_certificate(open_)
    ours = [record for record in caplog.records if record.name in {"exporter.visit", "exporter.reception"}]
    assert ours
    assert [record for record in ours if record.levelno > logging.DEBUG or record.exc_info] == []
