"""What clients say that is no good request, and what they do to connections, over real sockets."""

import contextlib
import logging
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
from siege import Footprint
from test_server import app, connected, said_until_closed, serving, tls_file

from exporter.server import Server

HEAD = b"GET /a HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = {
    "two lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "two lengths in one": (POST + b"Content-Length: 1, 2\r\n\r\nab", 400),
    "a length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and a length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "another encoding": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "an encoding twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 501),
    "an encoding that looks like it": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "a length with a sign": (POST + b"Content-Length: +1\r\n\r\na", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\na", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x1\r\n\r\na", 400),
    "a length of 5,000 digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "a length beyond all limits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    "a body over the limit": (POST + b"Content-Length: 65537\r\n\r\n", 413),
    "chunks over the limit": (CHUNKED + b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n2\r\naa\r\n0\r\n\r\n", 413),
    "very many chunks": (CHUNKED + b"1\r\na\r\n" * 2000, 413),
    "a chunk size that is no number": (CHUNKED + b"x\r\n", 400),
    "a negative chunk size": (CHUNKED + b"-1\r\n", 400),
    "an endless chunk size": (CHUNKED + b"f" * 30 + b"\r\n", 400),
    "an endless chunk extension": (CHUNKED + b"1;" + b"a" * 70_000, 400),
    "a chunk longer than it says": (CHUNKED + b"1\r\nabc\r\n", 400),
    "a space before the colon": (HEAD + b"X : y\r\n\r\n", 400),
    "a name with a space": (HEAD + b"X y: z\r\n\r\n", 400),
    "no name": (HEAD + b": y\r\n\r\n", 400),
    "no colon": (HEAD + b"X\r\n\r\n", 400),
    "NUL in a value": (HEAD + b"X: a\0b\r\n\r\n", 400),
    "NUL in the target": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a bare CR": (HEAD + b"X: a\rY: b\r\n\r\n", 400),
    "a first line that is continued": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "bytes beyond ASCII in the target": (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (HEAD + b"Host: b\r\n\r\n", 400),
    "a hundred and one headers": (HEAD + b"X: y\r\n" * 100 + b"\r\n", 431),
    "a target over the limit": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3.0": (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target that is a star": (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a target without a slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a URL of another scheme": (b"GET ftp://a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a URL without a host": (b"GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method that is none": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n", 400),
    "anything": (bytes(range(256)) * 4 + b"\r\n\r\n", 400),
    "an empty line": (b"\r\n", 400),
}
TAKEN = {
    "a URL": (b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n", b"/b?c"),
    "a URL without a path": (b"GET HTTPS://a HTTP/1.1\r\nHost: a\r\n", b"/?"),
    "a URL with a query only": (b"GET http://a?b=/c HTTP/1.1\r\nHost: a\r\n", b"/?b=/c"),
    "dots in disguise": (b"GET /%2e%2e/%2E%2e/etc HTTP/1.1\r\nHost: a\r\n", b"/../../etc?"),
    "percents that are none": (b"GET /%zz%%4 HTTP/1.1\r\nHost: a\r\n", b"/%zz%%4?"),
    "bytes that are no UTF-8": (b"GET /%ff%00 HTTP/1.1\r\nHost: a\r\n", b"/\xff\0?"),
    "lines that end in LF": (b"GET /b HTTP/1.1\nHost: a\n", b"/b?"),
    "a folded header": (HEAD + b"X: a\r\n b\r\n", b"/a?"),
    "a wish to upgrade": (HEAD + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n", b"/a?"),
    "a method of one's own": (b"BREW /b HTTP/1.1\r\nHost: a\r\n", b"/b?"),
    "a hundred headers": (HEAD + b"X: y\r\n" * 98, b"/a?"),
}
CLOSE = b"Connection: close\r\n\r\n"


def seen(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with what was asked for, in the bytes that WSGI's text stands for."""
    body = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}".encode("latin-1")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@contextlib.contextmanager
def at_most(connections: int, app: WSGIApplication = app, timeout: float = 30.0) -> Iterator[int]:
    """Serve so many connections on loopback and return the port."""
    server = Server(app, ["127.0.0.1:0"], connections=connections, timeout=timeout)
    server.start()
    try:
        yield server.addresses[0][1]
    finally:
        server.stop(1.0)


def answered(port: int, said: bytes) -> bytes:
    """Return all that is answered to bytes of one connection, to its end."""
    with connected(port) as sock:
        # The answer may come, and the connection end, before all is said.
        with contextlib.suppress(ConnectionError):
            sock.sendall(said)
        return said_until_closed(sock)


def test_what_is_no_request_is_refused_with_a_remedy_and_the_connection_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each gets its status once, nothing that follows is answered, and none is an error of ours."""
    caplog.set_level(logging.INFO)
    with serving(app=seen) as port:
        said = {what: answered(port, bad + HEAD + b"\r\n") for what, (bad, _) in REFUSED.items()}
        assert answered(port, HEAD + CLOSE).endswith(b"/a?")
    statuses = {what: (text[9:12], text.count(b"\r\nDate: ")) for what, text in said.items()}
    assert statuses == {what: (b"%d" % status, 1) for what, (_, status) in REFUSED.items()}
    assert all(b"; " in text.partition(b"\r\n\r\n")[2] for text in said.values())
    assert caplog.records == []


def test_what_is_strange_but_right_is_answered() -> None:
    """As RFC 9112 has it; what is decoded is decoded once."""
    with serving(app=seen) as port:
        said = {what: answered(port, head + CLOSE) for what, (head, _) in TAKEN.items()}
    assert {what: text.partition(b"\r\n\r\n")[2] for what, text in said.items()} == {
        what: wanted for what, (_, wanted) in TAKEN.items()
    }


def test_requests_that_are_sent_ahead_are_answered_in_their_order() -> None:
    """Pipelining, which ends at what is no request."""
    with serving(app=seen) as port:
        ahead = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(300))
        said = answered(port, ahead + b"garbage\r\n\r\n")
    answers = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 ")[1:]]
    assert answers[:300] == [b"/%d?" % n for n in range(300)]
    assert [answer[:18] for answer in answers[300:]] == [b"This is no request"]


def test_who_has_closed_his_side_gets_his_answer() -> None:
    """The request was whole."""
    with serving(app=seen) as port, connected(port, HEAD + b"\r\n") as sock:
        sock.shutdown(socket.SHUT_WR)
        assert said_until_closed(sock).endswith(b"\r\n\r\n/a?")


def test_a_head_request_gets_no_body_and_the_connection_is_kept() -> None:
    """Also where the application gives one."""
    with serving(app=seen) as port:
        said = answered(port, b"HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n" + HEAD + CLOSE)
    first, _, rest = said.partition(b"\r\n\r\n")
    assert b"Content-Length: 3" in first
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"\r\n\r\n/a?")


def test_a_client_is_told_to_go_on_only_with_a_body_that_may_come() -> None:
    """Expect: 100-continue; a body over the limit is refused before it is sent."""
    with serving(app=seen) as port:
        expecting = POST + b"Expect: 100-continue\r\nContent-Length: "
        with connected(port, expecting + b"3\r\n\r\n") as sock:
            assert sock.recv(4096).startswith(b"HTTP/1.1 100 Continue\r\n")
            sock.sendall(b"abc")
            assert sock.recv(4096).endswith(b"\r\n\r\n/a?")
        assert answered(port, expecting + b"99999\r\n\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_header_with_an_underscore_does_not_pass_for_another() -> None:
    """`X_A` and `X-A` would be the same variable."""

    def told(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["HTTP_X_A"].encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with serving(app=told) as port:
        said = answered(port, HEAD + b"X_A: forged\r\nX-A: right\r\nX-A: too\r\n" + CLOSE)
    assert said.endswith(b"\r\n\r\nright,too")


def test_an_answer_that_cannot_be_sent_is_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    """A header with a line in it does not split the answer: 500, and one traceback."""

    def splitting(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("X-A", "b\r\nX-C: d")])
        return [b"body"]

    with serving(app=splitting) as port:
        said = answered(port, HEAD + CLOSE)
    assert (said[9:12], b"X-C" in said) == (b"500", False)
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [("ERROR", True)]


def test_a_client_that_does_not_take_his_answer_is_dropped() -> None:
    """It holds no thread meanwhile, and is not waited for to the end of days."""

    def large(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4000000")])
        return [b"a" * 4_000_000]

    with serving(app=large, threads=2, timeout=1) as port, ExitStack() as stack:
        deaf = [stack.enter_context(connected(port, HEAD + b"\r\n")) for _ in range(3)]
        assert len(answered(port, HEAD + CLOSE)) > 4_000_000
        end = select.poll()
        end.register(deaf[0], 0)
        assert end.poll(10_000)  # it is three seconds; what the system still had for him is thrown away
        with pytest.raises(ConnectionResetError):
            said_until_closed(deaf[0])


def test_who_has_been_waited_for_longest_makes_room_for_the_next() -> None:
    """Clients that say nothing lose their places one by one, and honest ones have theirs."""
    with at_most(4, seen) as port, ExitStack() as stack:
        silent = [stack.enter_context(connected(port)) for _ in range(4)]
        for _ in range(3):
            assert answered(port, HEAD + CLOSE).endswith(b"/a?")
        assert said_until_closed(silent[0]) == b""
        silent[3].sendall(HEAD + CLOSE)
        assert said_until_closed(silent[3]).endswith(b"/a?")


def test_nobody_makes_room_while_he_is_worked_for() -> None:
    """Whoever comes when all are waits outside until one has gone."""
    entered, leave = threading.Semaphore(0), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        entered.release()
        leave.wait(60)
        return seen(environ, start_response)

    with at_most(2, slow) as port, ExitStack() as stack:
        asking = [stack.enter_context(connected(port, HEAD + CLOSE)) for _ in range(2)]
        assert all(entered.acquire(timeout=10) for _ in asking)
        late = stack.enter_context(connected(port, HEAD + CLOSE))
        assert not entered.acquire(timeout=0.3)
        leave.set()
        assert [said_until_closed(sock)[-3:] for sock in (*asking, late)] == [b"/a?"] * 3


def test_plain_garbage_to_a_tls_port_is_no_handshake(tmp_path: Path) -> None:
    """It is told what the port speaks, and so is who closes at once, without harm."""
    with serving(tls_file(tmp_path)) as port:
        assert b"HTTPS only" in answered(port, b"\0" * 100_000)
        with connected(port) as sock:
            sock.shutdown(socket.SHUT_WR)
            assert said_until_closed(sock) == b""


def test_a_second_stop_is_harmless_and_nothing_is_left() -> None:
    """No thread, no open file, nobody who listens; kept connections end at once."""
    files = Path("/proc/self/fd")
    threads, before = threading.active_count(), len(list(files.iterdir()))
    server = Server(seen, ["127.0.0.1:0", "[::1]:0"])
    server.start()
    with connected(server.addresses[0][1], HEAD + b"\r\n") as sock:
        assert sock.recv(4096)
        for _ in range(2):
            server.stop(60.0)
        assert said_until_closed(sock) == b""
    assert (threading.active_count(), len(list(files.iterdir()))) == (threads, before)


def test_a_server_that_never_started_can_be_stopped() -> None:
    """As after a failed start."""
    Server(seen, ["127.0.0.1:0"]).stop(1.0)


def test_no_file_left_for_a_client_is_no_reason_to_spin_or_to_end() -> None:
    """The limit is below what the server was told: it makes room, says so once, and goes on."""
    program = """
import logging, resource, sys, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
logging.basicConfig(format="%(levelname)s", stream=sys.stdout)
from exporter.server import Server
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return [b"here"]
server = Server(app, ["127.0.0.1:0"], connections=500)
server.start()
print(server.addresses[0][1], flush=True)
sys.stdin.read()
server.stop(0.0)
"""
    with (
        subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process,
        ExitStack() as stack,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(60):
            stack.enter_context(connected(port))
        for _ in range(3):
            assert answered(port, HEAD + CLOSE).endswith(b"\r\n\r\nhere")
        assert Footprint.of(process.pid).cpu < 2.0
        said, _ = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, "WARNING\n")
