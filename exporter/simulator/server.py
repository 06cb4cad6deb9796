"""Speaks HTTP for the simulated cloud: sockets, keep-alive, the request log, an end to every thread."""

import contextlib
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from exporter.simulator import delivery, framing
from exporter.simulator.api import Admin, Answer, Api, Request, refusal, route
from exporter.simulator.conditions import Weather
from exporter.simulator.faults import Fault, FaultRule, Faults

_MAX_BODY: Final = 1 << 20
_IDLE_SECONDS: Final = 300
_JOIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it was answered; `code` 0 when the connection got no answer; `at` in unix seconds."""

    method: str
    path: str
    target: str
    code: int
    authorization_ok: bool
    at: float


class CallLog:
    """The newest calls and the count of all; how many are under way, and how many were at most."""

    def __init__(self, size: int = 10_000) -> None:
        self._lock = threading.Condition()
        self._calls: deque[Call] = deque(maxlen=size)
        self._counts: Counter[str] = Counter()
        self._in_flight = 0
        self._peak = 0

    def __enter__(self) -> None:
        with self._lock:
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)
            self._lock.notify_all()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._in_flight -= 1
            self._lock.notify_all()

    def add(self, call: Call) -> None:
        """Note a call before its answer leaves, so that who has the answer finds it here."""
        with self._lock:
            self._calls.append(call)
            self._counts[call.method] += 1

    def clear(self) -> None:
        """Forget the calls; the peak is what is under way now."""
        with self._lock:
            self._calls.clear()
            self._counts.clear()
            self._peak = self._in_flight

    @property
    def calls(self) -> tuple[Call, ...]:
        """The newest calls, oldest first."""
        with self._lock:
            return tuple(self._calls)

    def count(self, method: str) -> int:
        """Return how many calls of this name there were, of any when it is empty."""
        with self._lock:
            return self._counts[method] if method else self._counts.total()

    @property
    def in_flight(self) -> int:
        """The calls under way."""
        with self._lock:
            return self._in_flight

    def wait(self, number: int, timeout: float) -> bool:
        """Wait until exactly so many calls are under way; False after `timeout` seconds."""
        with self._lock:
            return self._lock.wait_for(lambda: self._in_flight == number, timeout)

    @property
    def peak_in_flight(self) -> int:
        """The most calls that were under way at once."""
        with self._lock:
            return self._peak


@dataclass(frozen=True, slots=True)
class Cloud:
    """What a connection needs to be answered."""

    api: Api
    admin: Admin
    faults: Faults
    log: CallLog
    clock: Callable[[], float]
    weather: Weather


class CloudServer(ThreadingHTTPServer):
    """Listens at once; `serve` starts a thread, `close` ends it with every connection."""

    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], cloud: Cloud) -> None:
        self.cloud = cloud
        self.stopping = threading.Event()
        self._guard = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._serving: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._loop, name="simulator", daemon=True)
        super().__init__(address, _Handler)

    def serve(self) -> None:
        """Accept connections, in a thread."""
        self._thread.start()

    def _loop(self) -> None:
        self.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """End everything: stalled and dripping connections too, within seconds."""
        self.stopping.set()
        if self._thread.ident is not None:
            self.shutdown()
            self._thread.join(_JOIN_SECONDS)
        self.server_close()
        with self._guard:
            left, threads = set(self._connections), list(self._serving)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a connection's thread, and remember both: the thread until it has ended, to be waited for."""
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._guard:
            self._connections.add(request)
        thread.start()
        with self._guard:
            self._serving = [each for each in self._serving if each.is_alive()]
            self._serving.append(thread)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: to hang up is what they are tested for."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: CloudServer
    protocol_version = "HTTP/1.1"
    server_version = "simulator"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Print nothing: the call log is the record."""

    def do_GET(self) -> None:
        """Answer a request of any verb that this API has."""
        body = self._body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        if self.server.cloud.admin.knows(request):
            self._send(self.server.cloud.admin.answer(request))
            return
        with self.server.cloud.log:
            self._call(request)

    do_POST = do_GET  # noqa: N815 - the base class looks for these names
    do_DELETE = do_GET  # noqa: N815

    def _body(self) -> bytes | None:
        """Read the request's body; None when it was refused."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > _MAX_BODY:
            self.close_connection = True
            self._send(refusal(400, f"A body needs a Content-Length of at most {_MAX_BODY}"))
            return None
        return self.rfile.read(int(length))

    def _call(self, request: Request) -> None:
        cloud = self.server.cloud
        method, target = route(request)
        rules = cloud.faults.take(method, target) if method else ()
        rule = next((r for r in rules if r.kind is not Fault.LATENCY), None)
        answer = cloud.api.answer(request, method, target)
        if rule:
            answer = delivery.faulty(rule, answer, request.query.get("pageToken", ""))
        code = 0 if rule and rule.kind in delivery.SILENT else answer.code
        ok = cloud.api.authorized(request)
        cloud.log.add(Call(method, request.path, target, code, ok, cloud.clock()))
        if self.server.stopping.wait(cloud.weather.now.latency + sum(r.latency for r in rules)):
            self.close_connection = True
            return
        self._send(answer, rule)

    def _send(self, answer: Answer, rule: FaultRule | None = None) -> None:
        sent = framing.frame(rule, answer, close=self.close_connection, now=self.server.cloud.clock())
        line = delivery.Line(self.connection, self.server.stopping)
        if not delivery.deliver(line, sent, rule):
            self.close_connection = True
