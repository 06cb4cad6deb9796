"""Every request ends in time, as an answer or as one of the errors that the exporter knows."""

import email.utils
import gzip
import random
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ToldClock
from wire import Reply, answer, drips, says, serving

from exporter.yandex import errors
from exporter.yandex.calls import Budget, CallRecord, Clock, Limits, Request, Response, SystemClock
from exporter.yandex.sockets import Resolver
from exporter.yandex.transport import Transport

BOMB = gzip.compress(b'"' + b"x" * 30_000_000 + b'"')
TOKEN = "t1.secret-token-value"
LIMITS = Limits(timeout=5.0, requests_per_second=None, max_response_bytes=100_000, pool=4)


class Sender:
    """A transport, and the records of what it did."""

    def __init__(self, limits: Limits = LIMITS, clock: Clock | None = None, **options: object) -> None:
        self.records: list[CallRecord] = []
        self.clock = clock or ToldClock()
        self.transport = Transport(
            limits,
            self.clock,
            observe=self.records.append,
            jitter=random.Random(1),
            **options,  # type: ignore[arg-type]
        )

    def send(self, url: str, seconds: float = 60.0) -> Response:
        """Send a GET with a token."""
        request = Request(method="Execution.Get", verb="GET", url=f"{url}/x", token=TOKEN)
        return self.transport.send(request, Budget.of(seconds, self.clock))

    def fails(self, url: str, seconds: float = 60.0) -> tuple[str, int]:
        """Return reason and code of the error that sending ends in."""
        with pytest.raises(errors.ApiError) as caught:
            self.send(url, seconds)
        assert TOKEN not in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is None
        return caught.value.reason, caught.value.http_code


def limits(timeout: float = 5.0, rate: float | None = None, size: int = 100_000, retries: int = 2) -> Limits:
    """Return limits."""
    return Limits(timeout, rate, size, retries, 4)


def reset(sock: socket.socket, _: bytes) -> None:
    """Break the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def leave(sock: socket.socket, _: bytes) -> None:
    """Close the connection without a word."""
    sock.close()


def test_an_answer_is_decoded_and_recorded() -> None:
    """The body comes back as JSON, the token goes as a header, and the call is on record."""
    sender = Sender()
    with serving(says(answer(200, {"a": 1}))) as wire:
        response = sender.send(wire.url)
    assert (response.code, response.body) == (200, {"a": 1})
    assert "{" not in repr(response)
    assert wire.header("Authorization") == f"Bearer {TOKEN}"
    (record,) = sender.records
    assert (record.method, record.code, record.attempt, record.error) == ("Execution.Get", 200, 0, "")


def test_connections_are_kept() -> None:
    """One connection serves many calls."""
    sender = Sender()
    with serving(says(answer(200, {}), answer(404, {}), answer(200, {}))) as wire:
        sender.send(wire.url)
        sender.fails(wire.url)
        sender.send(wire.url)
    assert (len(wire.requests), len(wire.connections)) == (3, 1)


def test_a_chunked_answer_on_a_closing_connection_is_read() -> None:
    """The body is there although the server says that it closes."""

    def reply(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        sock.sendall(b"7\r\n[1,2,3]\r\n0\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)

    with serving(reply) as wire:
        assert Sender().send(wire.url).body == [1, 2, 3]


@pytest.mark.parametrize(
    ("code", "reason", "attempts"),
    [
        (400, "bad_request", 1),
        (401, "unauthorized", 1),
        (403, "forbidden", 1),
        (404, "not_found", 1),
        (418, "bad_request", 1),
        (429, "rate_limited", 3),
        (499, "server_error", 3),
        (500, "server_error", 3),
        (501, "server_error", 1),
        (503, "server_error", 3),
        (504, "server_error", 3),
        (204, "bad_response", 1),
        (201, "bad_response", 1),
        (302, "bad_response", 1),
        (304, "bad_response", 1),
    ],
)
def test_each_status_has_its_error_and_its_retries(code: int, reason: str, attempts: int) -> None:
    """The table of failures, row by row, for answers with a status."""
    sender = Sender()
    with serving(
        says(answer(code, raw=b"") if code in {204, 304} else answer(code, {"message": "m"}))
    ) as wire:
        assert sender.fails(wire.url) == (reason, code)
        assert len(wire.requests) == attempts
    assert [record.attempt for record in sender.records] == list(range(attempts))
    assert {record.error for record in sender.records} == {reason}


def test_a_second_attempt_can_succeed() -> None:
    """An error of the server is forgotten when the next attempt gives the data."""
    sender = Sender()
    with serving(says(answer(503), answer(200, {}))) as wire:
        assert sender.send(wire.url).code == 200
    assert [record.code for record in sender.records] == [503, 200]


def test_the_code_is_that_of_the_last_attempt() -> None:
    """A 503 and then a broken connection is a broken connection."""
    replies: list[Reply] = [says(answer(503)), leave]

    def reply(sock: socket.socket, request: bytes) -> None:
        (replies.pop(0) if len(replies) > 1 else replies[0])(sock, request)

    with serving(reply) as wire:
        assert Sender(limits(retries=1)).fails(wire.url) == ("connection", 0)


def test_a_redirect_does_not_take_the_token_along() -> None:
    """The place that a redirect names is never asked."""
    with serving(says(answer(200, {}))) as thief:
        redirect = answer(302, {}, f"Location: {thief.url}/")
        with serving(says(redirect)) as wire:
            assert Sender().fails(wire.url) == ("bad_response", 302)
    assert thief.requests == []


def test_retry_after_is_honoured_in_seconds_and_as_a_date() -> None:
    """The next attempt comes when the server asked for it."""
    for value in ("7", email.utils.formatdate(ToldClock().time() + 7, usegmt=True)):
        clock = ToldClock()
        with serving(says(answer(429, {}, f"Retry-After: {value}"), answer(200, {}))) as wire:
            Sender(clock=clock).send(wire.url)
        assert clock.slept == [pytest.approx(7, abs=1)]


@pytest.mark.parametrize("value", ["60", "999999999", "Wed, 01 Jan 2098 00:00:00 GMT"])
def test_retry_after_beyond_the_budget_fails_at_once(value: str) -> None:
    """A 429 that asks for more time than there is, is the result."""
    clock = ToldClock()
    with serving(says(answer(429, {}, f"Retry-After: {value}"))) as wire:
        assert Sender(clock=clock).fails(wire.url, seconds=10) == ("rate_limited", 429)
    assert clock.slept == []


@pytest.mark.parametrize("value", ["soon", "-5", "٣", "1e3", "Wed, 99 Foo 2098 99:00:00 GMT", "", "1" * 5000])
def test_a_strange_retry_after_means_a_short_pause(value: str) -> None:
    """What cannot be read is as if it were not there."""
    clock = ToldClock()
    retry = f"Retry-After: {value}".encode().decode("latin-1")
    with serving(says(answer(429, {}, retry), answer(200, {}))) as wire:
        assert Sender(clock=clock).send(wire.url).code == 200
    assert 0 < sum(clock.slept) < 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (answer(200, raw=b"<html>"), 200),
        (answer(200, raw=b""), 200),
        (answer(200, raw=b"[NaN]"), 200),
        (answer(200, raw=b"[" * 90_000), 200),
        (answer(200, raw=b"\xff\xfe{"), 200),
        (answer(200, raw=b"[" + b"9" * 5000 + b"]"), 200),
        (answer(200, raw=b'"' + b"x" * 100_000 + b'"'), 200),
        (answer(200, None, "Content-Encoding: gzip", raw=BOMB), 200),
        (answer(200, None, "Content-Encoding: gzip", raw=b"no gzip at all"), 200),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0),
    ],
)  # fmt: skip
def test_what_is_not_an_answer_of_this_api_is_a_bad_response(data: bytes, code: int) -> None:
    """HTML, broken JSON, a body too large, packed or not, and what is no HTTP are not asked for again."""
    sender = Sender()
    with serving(says(data)) as wire:
        assert sender.fails(wire.url) == ("bad_response", code)
    assert len(sender.records) == 1


def test_a_large_error_page_is_still_the_error() -> None:
    """The status counts, whatever hangs on it."""
    with serving(says(answer(403, raw=b"x" * 1_000_000))) as wire:
        assert Sender().fails(wire.url) == ("forbidden", 403)


def test_the_message_of_an_error_is_redacted_and_short() -> None:
    """People read what the API said, without the token, on one line."""
    sender = Sender()
    body = {"code": 7, "message": f"no\n{TOKEN} and Bearer abc " + "x" * 999}
    with serving(says(answer(403, body))) as wire:
        sender.fails(wire.url)
    assert sender.records[0].message.startswith("HTTP 403: no\\n<secret> and Bearer <secret> xxx")
    assert len(sender.records[0].message) <= 200


def test_a_request_shows_no_secret() -> None:
    """Neither token nor body is in what a traceback may print."""
    request = Request("m", "POST", "http://h", token=TOKEN, form={"a": "hush"}, json={"b": "hush"})
    assert "hush" not in repr(request)
    assert TOKEN not in repr(request)


def stall(sock: socket.socket, _: bytes) -> None:
    """Say nothing until the other end goes away."""
    sock.recv(1)


SLOW: dict[str, Callable[[threading.Event], Reply]] = {
    "stalled": lambda _: stall,
    "status line": lambda stop: drips(b"HTTP/1.1 200 ", b"O", stop),
    "headers": lambda stop: drips(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", stop),
    "continue": lambda stop: drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", stop),
    "body": lambda stop: drips(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n[", b"1", stop),
    "chunks": lambda stop: drips(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n", stop
    ),
    "until closed": lambda stop: drips(b"HTTP/1.1 200 OK\r\n\r\n[", b" ", stop),
}


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kind", SLOW)
@pytest.mark.parametrize(("call", "budget", "reason"), [(0.2, 30.0, "timeout"), (30.0, 0.2, "budget")])
def test_a_slow_server_is_left_in_time(
    kind: str, call: float, budget: float, reason: str, certificate: Path, *, secure: bool
) -> None:
    """However an answer is drawn out, the call ends with its limit or the budget, whichever is first."""
    stop = threading.Event()
    sender = Sender(limits(timeout=call), SystemClock(), trust=str(certificate))
    started = time.monotonic()
    with serving(SLOW[kind](stop), server_tls(certificate) if secure else None) as wire:
        try:
            assert sender.fails(wire.url, budget) == (reason, 0)
        finally:
            stop.set()
    assert time.monotonic() - started < 5
    assert len(sender.records) == 1


def test_a_tls_handshake_that_stalls_is_left_in_time() -> None:
    """A port that accepts and says nothing is a timeout too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        assert Sender(limits(timeout=0.2)).fails(url) == ("timeout", 0)


def test_a_server_that_does_not_accept_is_left_in_time() -> None:
    """A connection that is never made ends with the call's limit."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(8)]
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(full.getsockname())
        reason = Sender(limits(timeout=0.2)).fails(f"http://127.0.0.1:{full.getsockname()[1]}")
        for sock in waiting:
            sock.close()
    assert reason == ("timeout", 0)


def test_a_large_answer_comes_whole() -> None:
    """Reading in pieces against a deadline loses nothing, plain or packed."""
    text = "x" * 3_000_000
    packed = gzip.compress(f'"{text}"'.encode())
    sender = Sender(limits(size=4_000_000))
    with serving(says(answer(200, text), answer(200, None, "Content-Encoding: gzip", raw=packed))) as wire:
        assert [sender.send(wire.url).body == text for _ in range(2)] == [True, True]


@pytest.mark.parametrize("reply", [reset, leave, says(answer(200, raw=b"x" * 50)[:-9])])
def test_a_broken_connection_is_tried_again(reply: Reply) -> None:
    """Resets and truncated bodies are connection errors, retried twice with growing pauses."""

    def then_close(sock: socket.socket, request: bytes) -> None:
        reply(sock, request)
        sock.close()

    clock = ToldClock()
    sender = Sender(clock=clock)
    with serving(then_close) as wire:
        assert sender.fails(wire.url) == ("connection", 0)
    assert len(sender.records) == 3
    assert [0.1 <= clock.slept[0] <= 0.3, 0.2 <= clock.slept[1] <= 0.6] == [True, True]


def test_nobody_there_is_a_connection_error() -> None:
    """A refused connection and a name that does not exist end the same way."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert Sender().fails(f"http://127.0.0.1:{unused.getsockname()[1]}") == ("connection", 0)
    assert Sender().fails("http://nobody.invalid") == ("connection", 0)


def test_retries_end_with_the_budget() -> None:
    """No pause begins that the budget does not cover."""
    clock = ToldClock()
    with serving(says(answer(500))) as wire:
        assert Sender(clock=clock).fails(wire.url, seconds=0.05) == ("server_error", 500)
        assert Sender(clock=clock).fails(wire.url, seconds=0) == ("budget", 0)
    assert (clock.slept, len(wire.requests)) == ([], 1)


def test_a_certificate_that_nobody_vouches_for_is_a_tls_error(certificate: Path) -> None:
    """Without trust there is no second attempt; with the CA bundle there is an answer."""
    sender = Sender()
    with serving(says(answer(200, {})), server_tls(certificate)) as wire:
        assert sender.fails(wire.url) == ("tls", 0)
        assert len(sender.records) == 1
        assert Sender(trust=str(certificate)).send(wire.url).code == 200


def test_a_trusted_certificate_of_another_name_is_a_tls_error(tmp_path: Path) -> None:
    """Trust goes by name: who proves to be another one gets no request, and so no token."""
    other = self_signed(tmp_path, "DNS:other.example")
    with serving(says(answer(200, {})), server_tls(other)) as wire:
        assert Sender(limits(retries=0), trust=str(other)).fails(wire.url) == ("tls", 0)
        assert not wire.requests


def test_all_connections_share_what_is_trusted(certificate: Path, tmp_path: Path) -> None:
    """It is read once, not by each connection for itself: that would take 40 ms and 0.7 MB of each."""
    trusted = Path(shutil.copy(certificate, tmp_path))
    sender = Sender(trust=str(trusted))
    with serving(says(answer(200, {}, "Connection: close")), server_tls(certificate)) as wire:
        assert sender.send(wire.url).code == 200
        trusted.unlink()
        assert sender.send(wire.url).code == 200
        assert len(wire.connections) == 2


def test_netrc_and_proxies_of_the_environment_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's home directory or shell changes where the token goes, or what it is."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serving(says(answer(200, {}))) as wire:
        Sender().send(wire.url)
    assert wire.header("Authorization") == f"Bearer {TOKEN}"


def test_a_proxy_is_used_where_it_should_be() -> None:
    """The proxy gets what is outside, not what is on this machine."""
    with serving(says(answer(200, {}))) as proxy, serving(says(answer(200, {}))) as wire:
        sender = Sender(limits(retries=0), proxies={"http": proxy.url})
        assert sender.send("http://outside.invalid").code == 200
        assert sender.send(wire.url).code == 200
    assert [request.split()[1] for request in proxy.requests] == [b"http://outside.invalid/x"]


def test_a_proxy_that_speaks_tls_must_be_trusted(certificate: Path) -> None:
    """It is held to the same authorities as the cloud."""
    with serving(says(answer(200, {})), server_tls(certificate)) as proxy:
        knows = Sender(limits(retries=0), trust=str(certificate), proxies={"http": proxy.url})
        assert knows.send("http://outside.invalid").code == 200
        doubts = Sender(limits(retries=0), proxies={"http": proxy.url})
        assert doubts.fails("http://outside.invalid") == ("tls", 0)
    assert len(proxy.requests) == 1


def test_what_a_proxy_says_is_told() -> None:
    """Who has to log in at the proxy reads so, and not the name of an exception."""
    with serving(says(answer(407))) as proxy:
        sender = Sender(limits(retries=0), proxies={"https": proxy.url})
        assert sender.fails("https://outside.invalid") == ("connection", 0)
    assert "407" in sender.records[0].message


def test_no_more_calls_start_than_the_rate_allows() -> None:
    """At most ceil(rate) calls start in any window of ceil(rate) / rate seconds."""
    clock = ToldClock()
    starts = []
    with serving(says(answer(200, {}))) as wire:
        sender = Sender(limits(rate=2.5), clock)
        for _ in range(10):
            sender.send(wire.url)
            starts.append(clock.now)
    assert starts == [pytest.approx(1000 + 1.2 * (n // 3)) for n in range(10)]


def test_a_slot_beyond_the_budget_is_not_taken() -> None:
    """Who cannot wait long enough leaves the slot to the next."""
    clock = ToldClock()
    with serving(says(answer(200, {}))) as wire:
        sender = Sender(limits(rate=0.1), clock)
        sender.send(wire.url)
        assert sender.fails(wire.url, seconds=5) == ("budget", 0)
        assert sender.send(wire.url, seconds=11).code == 200
    assert clock.slept == [10]


def test_the_budgets_observers_see_its_calls_only() -> None:
    """A probe can show its own calls, whoever else uses the transport."""
    seen: list[CallRecord] = []
    sender = Sender()
    with serving(says(answer(200, {}))) as wire:
        budget = Budget.of(5, sender.clock, (seen.append,))
        request = Request(method="Execution.List", verb="GET", url=wire.url, params=(("filter", 'a="b"'),))
        sender.transport.send(request, budget)
        sender.send(wire.url)
    assert [record.url for record in seen] == [f"{wire.url}?filter=a%3D%22b%22"]


def test_cookies_are_not_kept() -> None:
    """One answer does not change the next request."""
    sender = Sender()
    with serving(says(answer(200, {}, "Set-Cookie: a=b"))) as wire:
        sender.send(wire.url)
        sender.send(wire.url)
    assert wire.header("Cookie") == ""


def test_a_token_that_is_no_header_is_not_in_the_error() -> None:
    """A line break in a token is refused, and the token not shown."""
    sender = Sender()
    request = Request("m", "GET", "http://127.0.0.1:9", token="hush\nhush")
    with pytest.raises(errors.BadRequest) as caught:
        sender.transport.send(request, Budget.of(5, sender.clock))
    assert "hush" not in str(caught.value)


def server_tls(certificate: Path) -> ssl.SSLContext:
    """Return the server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def self_signed(folder: Path, names: str) -> Path:
    """Write a PEM file with a key and a certificate of these names, signed by itself, and return its path."""
    path, key = folder / "both.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", f"subjectAltName={names}", "-keyout", key, "-out", path],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with a key and a self-signed certificate of loopback."""
    return self_signed(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1,DNS:localhost")


def test_a_resolver_that_hangs_is_left_in_time_and_asked_once() -> None:
    """However many wait for a name, and however often, one thread hangs; each waits no longer than it may."""
    answered, asked = threading.Event(), []

    def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        answered.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    resolver = Resolver(getaddrinfo)
    for _ in range(20):
        with pytest.raises(TimeoutError):
            resolver.addresses("slow.example", 443, time.monotonic() + 0.01)
    assert asked == ["slow.example"]
    answered.set()
    found = resolver.addresses("slow.example", 443, time.monotonic() + 10)
    assert found[0][4] == ("127.0.0.1", 443)


def test_a_name_that_nobody_knows_is_a_connection_error() -> None:
    """The call fails at once, is tried again, and says the name."""
    sender = Sender(limits(timeout=5.0))
    assert sender.fails("http://no-such-host.invalid") == ("connection", 0)
    assert "no-such-host.invalid" in sender.records[0].message


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/x", "http://[::1", "/elsewhere"])
def test_the_body_of_a_redirect_is_not_read(location: str) -> None:
    """However large or endless it is: the status says enough, and nobody is followed."""
    stop = threading.Event()
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 99999999\r\n\r\n".encode()
    sender = Sender(limits(timeout=5.0), SystemClock())
    began = time.monotonic()
    with serving(drips(head, b"x" * 100, stop)) as wire:
        assert sender.fails(wire.url) == ("bad_response", 302)
        stop.set()
    assert time.monotonic() - began < 4


def test_the_status_of_an_error_is_not_kept_waiting_by_its_body() -> None:
    """Half of a body that never ends costs half a second at most, and half of what is left of the budget."""
    half = b"HTTP/1.1 501 Said\r\nContent-Length: 100\r\n\r\n{"
    stop = threading.Event()
    with serving(drips(half, b" ", stop)) as wire:
        began = time.monotonic()
        assert Sender(clock=SystemClock()).fails(wire.url) == ("server_error", 501)
        assert time.monotonic() - began < 2.0
        assert Sender(clock=SystemClock()).fails(wire.url, 0.4) == ("server_error", 501)
        stop.set()


@pytest.mark.parametrize("code", [100, 102, 103, 199])
def test_what_is_only_informational_is_passed_over(code: int) -> None:
    """Any number of them may come before the answer, with headers of their own."""
    hint = f"HTTP/1.1 {code} Hint\r\nLink: </x>\r\n\r\n".encode()
    with serving(says(hint * 3 + answer(200, {"a": 1}))) as wire:
        assert Sender().send(wire.url).body == {"a": 1}


def test_hints_without_end_end_with_the_time() -> None:
    """They are no answer."""
    stop = threading.Event()
    hint = b"HTTP/1.1 103 Hint\r\n\r\n"
    with serving(drips(hint, hint, stop)) as wire:
        assert Sender(limits(timeout=0.3)).fails(wire.url) == ("timeout", 0)
        stop.set()


def test_no_connection_is_left_after_the_end() -> None:
    """What was kept is closed at once; a call that comes later has a connection of its own."""
    ended = threading.Event()

    def reply(sock: socket.socket, _: bytes) -> None:
        sock.sendall(answer(200, {}))
        if not sock.recv(1):
            ended.set()

    with serving(reply) as wire:
        sender = Sender()
        sender.send(wire.url)
        assert not ended.is_set()
        sender.transport.close()
        assert ended.wait(5)
        assert sender.send(wire.url).body == {}
        sender.transport.close()


def test_a_name_that_found_no_thread_is_resolved_the_next_time() -> None:
    """Where the system gives no thread the lookup fails in words, and leaves nothing that waits for it."""
    resolver = Resolver()
    before = threading.stack_size(1 << 40)
    try:
        with pytest.raises(OSError, match="no thread to resolve the name with"):
            resolver.addresses("localhost", 1, time.monotonic() + 5.0)
    finally:
        threading.stack_size(before)
    assert resolver.addresses("localhost", 1, time.monotonic() + 5.0)
