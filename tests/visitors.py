"""Who comes to an exporter: several Prometheus servers, people, probes, and clients who do not behave."""

import base64
import contextlib
import http.client
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

PATIENCE_SECONDS = 20.0
SERVERS = 3
"""Prometheus servers that scrape at the same time."""
LATE_SECONDS = 5.0
"""By so much a page may come later than its budget, on a machine that has more to do."""
SCRAPE_TIMEOUT = 2.0
Samples = dict[str, float]


@dataclass(frozen=True)
class Door:
    """Where an exporter is to be found, and what it asks of who comes in."""

    port: int
    context: ssl.SSLContext | None = None
    authorization: str = field(default="", repr=False)

    def with_user(self, name: str, password: str) -> "Door":
        """Return the same for a user."""
        known = base64.b64encode(f"{name}:{password}".encode()).decode()
        return replace(self, authorization=f"Basic {known}")

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection that is opened by its first request."""
        if self.context is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE_SECONDS, context=self.context
        )

    def headers(self, **more: str) -> dict[str, str]:
        """Return the headers of a request."""
        known = {"Authorization": self.authorization} if self.authorization else {}
        return {**known, **{name.replace("_", "-"): value for name, value in more.items()}}

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Return status and body over a connection of its own; raises OSError or HTTPException."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, headers=self.headers(Connection="close", **headers))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def line(self) -> socket.socket:
        """Return an open connection without a word said; raises OSError."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        if self.context is None:
            return plain
        try:
            return self.context.wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise

    def request(self, path: str) -> bytes:
        """Return the bytes of a request."""
        lines = [f"GET {path} HTTP/1.1", "Host: a", *(f"{k}: {v}" for k, v in self.headers().items())]
        return "\r\n".join((*lines, "", "")).encode()


def samples(text: str) -> Samples:
    """Return the samples of a page by name and labels as they stand there."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {key: float(value) for key, _, value in lines}


@dataclass(frozen=True, slots=True)
class Page:
    """What /metrics said: what had been said before it was asked for, and how many seconds it took."""

    samples: Samples
    before: Samples
    seconds: float


class Visit:
    """So many scrapes by several servers at once, and passers-by meanwhile; ended by `with`.

    `take` is called with each page, `before` when one is asked for. `_changed` guards all that is private.
    """

    def __init__(
        self,
        door: Door,
        scrapes: int,
        paths: Sequence[str],
        *,
        before: Callable[[], Samples],
        take: Callable[[Page], None],
        seed: str,
    ) -> None:
        self.door = door
        self._paths = paths
        self._before = before
        self._take = take
        self._seed = seed
        self._scrapes = scrapes
        self._changed = threading.Condition()
        self._begun = self._done = self._passed = 0
        self._forgiven = False
        self._failures: list[str] = []
        self._threads = [
            threading.Thread(target=self._scrape, name="prometheus", daemon=True) for _ in range(SERVERS)
        ]
        self._threads.append(threading.Thread(target=self._pass_by, name="passer-by", daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS * (2 + self._scrapes))
        if any(thread.is_alive() for thread in self._threads):
            self._failed("a visitor never came back")

    def reached(self, number: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until so many pages have come, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= min(number, self._scrapes), seconds)

    def forgive(self) -> None:
        """Take that the exporter is about to be killed: what fails from now on is no fault of it."""
        with self._changed:
            self._forgiven = True
            self._changed.notify_all()

    @property
    def failures(self) -> list[str]:
        """What nobody may be told who behaves."""
        with self._changed:
            return list(self._failures)

    @property
    def done(self) -> tuple[int, int]:
        """How many pages have come, and how many passers-by."""
        with self._changed:
            return self._done, self._passed

    def _failed(self, what: str) -> None:
        with self._changed:
            if not self._forgiven:
                self._failures.append(what)

    def _goes_on(self) -> bool:
        with self._changed:
            goes_on = self._begun < self._scrapes and not self._forgiven
            self._begun += goes_on
            return goes_on

    def _scrape(self) -> None:
        """Scrape as Prometheus does, over one connection."""
        connection = self.door.connection()
        given = self.door.headers(X_Prometheus_Scrape_Timeout_Seconds=str(SCRAPE_TIMEOUT))
        with contextlib.closing(connection):
            while self._goes_on():
                before, began = self._before(), time.monotonic()
                try:
                    connection.request("GET", "/metrics", headers=given)
                    answer = connection.getresponse()
                    text = answer.read().decode()
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    self._failed(f"/metrics: {error!r}")
                else:
                    self._came(answer.status, text, before, time.monotonic() - began)
                with self._changed:
                    self._done += 1
                    self._changed.notify_all()

    def _came(self, status: int, text: str, before: Samples, seconds: float) -> None:
        if status != 200:
            self._failed(f"/metrics answers {status}: {text[:200]}")
            return
        if seconds > SCRAPE_TIMEOUT + LATE_SECONDS:
            self._failed(f"/metrics took {seconds:.1f} s")
        self._take(Page(samples(text), before, seconds))

    def _pass_by(self) -> None:
        """Be somebody else for each other page."""
        dice = random.Random(self._seed)
        for number in range(0, self._scrapes, 2):
            self.reached(number)
            with self._changed:
                if self._forgiven:
                    return
            passer_by = dice.choice(PASSERS_BY)
            try:
                passer_by(self.door, dice.choice(self._paths))
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self._failed(f"{passer_by.__name__}: {error!r}")
            with self._changed:
                self._passed += 1


def _asker(path: str, expected: Sequence[int] = (200,), method: str = "GET", **headers: str) -> "PasserBy":
    def ask(door: Door, probed: str) -> None:
        status, body = door.ask(path.replace("PROBED", probed), method, **headers)
        assert status in expected, f"{path} answers {status}: {body[:200]!r}"

    ask.__name__ = f"{method} {path}"
    return ask


def _hang_up(door: Door, probed: str) -> None:
    """Ask and go, with a reset."""
    with contextlib.closing(door.line()) as line:
        line.sendall(door.request(f"/probe?{probed}"))
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _stop_listening(door: Door, _: str) -> None:
    """Ask for a page and read no more than its beginning, a few bytes at a time."""
    with contextlib.closing(door.line()) as line:
        line.sendall(door.request("/metrics"))
        for _size in range(1, 5):
            line.recv(_size)


def _say_nothing_whole(door: Door, _: str) -> None:
    """Begin a request and go."""
    with contextlib.closing(door.line()) as line:
        line.sendall(door.request("/metrics")[:30])


def _ask_all_at_once(door: Door, probed: str) -> None:
    """Ask for several pages without waiting, and hear the first."""
    with contextlib.closing(door.line()) as line:
        line.sendall(door.request("/-/healthy") * 3 + door.request(f"/probe?{probed}"))
        line.recv(100)


PasserBy = Callable[[Door, str], None]
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
PASSERS_BY: Sequence[PasserBy] = (
    _asker("/probe?PROBED"),
    _asker("/probe?PROBED"),
    _asker("/probe?PROBED&debug=true"),
    _asker("/probe?execution_id=made-up-1&workflow_id=made-up-2"),
    _asker("/probe?workflow_id=not%20an%20id", (400,)),
    _asker("/metrics", Accept=OPEN_METRICS, Accept_Encoding="gzip"),
    _asker("/metrics", method="HEAD"),
    _asker("/metrics?name[]=yc_workflow_up"),
    _asker("/metrics", (405,), method="POST"),
    _asker("/sd", (200, 503)),
    _asker("/"),
    _asker("/config"),
    _asker("/nowhere", (404,)),
    _asker("/-/ready", (200, 503)),
    _asker("/-/healthy"),
    _hang_up,
    _stop_listening,
    _say_nothing_whole,
    _ask_all_at_once,
)
"""What passers-by do, with an exporter and the query of a probe."""
