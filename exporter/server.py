"""Sockets: listen, TLS, limits and shutdown, around any WSGI application.

The server is our own by measurement (`make servers`): those that give a thread to a client who still
speaks stand still when as many drip as there are threads, and asyncio's own TLS keeps 256 KiB for each
client. Here one thread waits for all clients (see Reception), others only run the application (see Crew).
"""

import asyncio
import contextlib
import errno
import resource
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from wsgiref.types import WSGIApplication

from exporter.crew import Crew, Lane
from exporter.guard import guarded
from exporter.reception import Reception
from exporter.seats import Seats
from exporter.visit import House, Patience
from exporter.webconfig import WebConfigFile

THREADS = 192
REQUEST_SECONDS = 10.0
MOST_CONNECTIONS = 1000
MOST_HELD_BYTES = 64 * 1024 * 1024
OTHER_FILES = 128
"""Open files that are left to the rest of the program: connections to the cloud, the state, the log."""
BACKLOG = 4096
RECEIVE_BYTES = 64 * 1024
SEND_BYTES = 256 * 1024
"""What the system keeps for a connection; it would let it grow to megabytes, for which a container pays."""
CUT_SECONDS = 0.8


class ListenFailed(Exception):
    """An address could not be listened on; the message says which, why and what to do."""


class Server:
    """Serves an application on all addresses, each request in one of a bounded number of threads.

    `lanes` say of which paths how many requests are worked on at once; the others have what is left of
    the threads.

    A request must be there `timeout` seconds after it began, the first after the connection; four times
    that may pass until the next begins, three times until an answer is taken. There are at most so many
    `connections`, by default as many as the limit of open files allows.
    """

    def __init__(
        self,
        app: WSGIApplication,
        listen: Sequence[str],
        *,
        web_config: WebConfigFile | None = None,
        threads: int = THREADS,
        timeout: float = REQUEST_SECONDS,
        connections: int | None = None,
        lanes: Mapping[str, Lane] | None = None,
    ) -> None:
        lanes = lanes or {}
        left = threads - sum(lane.most for lane in set(lanes.values()))
        self._listen = tuple(listen)
        self._web_config = web_config
        self._crew = Crew(threads)
        self._house = House(
            guarded(app, web_config),
            self._crew,
            Seats(connections or most_connections(), MOST_HELD_BYTES),
            Patience(request=timeout, idle=4 * timeout, answer=3 * timeout),
            lanes,
            Lane("others", max(1, left)),
            web_config,
        )
        self._addresses: list[tuple[str, int]] = []
        self._serving: tuple[threading.Thread, asyncio.AbstractEventLoop, Reception] | None = None

    def start(self) -> None:
        """Bind every address and serve; raises ListenFailed if one cannot be had."""
        with contextlib.ExitStack() as bound:
            listeners = [bound.enter_context(_bound(address)) for address in self._listen]
            loop = asyncio.SelectorEventLoop()
            bound.pop_all()
        self._addresses = [listener.getsockname()[:2] for listener in listeners]
        reception = Reception(self._house, listeners)
        thread = threading.Thread(target=_run, args=(loop, reception), name="accept", daemon=True)
        self._serving = thread, loop, reception
        thread.start()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses that are listened on, with their real ports."""
        return list(self._addresses)

    @property
    def urls(self) -> list[str]:
        """The addresses as people open them: everywhere is here, too."""
        scheme = "https" if self._web_config and self._web_config.current().tls else "http"
        shown = {"::": "localhost", "0.0.0.0": "localhost"}  # noqa: S104  # not bound, but shown
        return [
            f"{scheme}://{shown.get(host) or (f'[{host}]' if ':' in host else host)}:{port}"
            for host, port in self.addresses
        ]

    def stop(self, grace: float) -> None:
        """Take no more connections, let the requests under way end within `grace` seconds, then cut them off.

        Returns at most a second later, whatever the threads do; a second time is harmless.
        """
        if self._serving is None:
            return
        (thread, loop, reception), self._serving = self._serving, None
        deadline = time.monotonic() + grace
        loop.call_soon_threadsafe(reception.close)
        thread.join(max(0.0, deadline - time.monotonic()))
        self._crew.close()
        with contextlib.suppress(RuntimeError):  # all had gone, and the loop is closed
            loop.call_soon_threadsafe(reception.cut)
        cut_by = time.monotonic() + CUT_SECONDS
        thread.join(CUT_SECONDS)
        self._crew.join(cut_by)


def most_connections() -> int:
    """Return how many connections the limit of open files leaves room for, at most 1,000."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(limit - OTHER_FILES, limit // 4))


def _run(loop: asyncio.AbstractEventLoop, reception: Reception) -> None:
    try:
        loop.run_until_complete(reception.serve())
    finally:
        loop.close()


def _bound(address: str) -> socket.socket:
    """Return a socket that listens on an address; raises ListenFailed."""
    host, _, port = address.rpartition(":")
    hosts = [host.strip("[]")] if host else ["::", "0.0.0.0"]  # noqa: S104  # a bare port means everywhere
    failure: Exception = OSError()
    for name in hosts:
        try:
            found = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            failure = error
            continue
        for family, kind, protocol, _, place in found:
            try:
                return _listener(socket.socket(family, kind, protocol), place)
            except OSError as error:
                failure = error
    raise ListenFailed(f"cannot listen on {address}: {_remedy(failure)}")


def _listener(sock: socket.socket, place: tuple[object, ...]) -> socket.socket:
    """Return a socket that listens; closed where it cannot."""
    with contextlib.ExitStack() as bound:
        bound.enter_context(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if place[0] == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(place)
        sock.listen(BACKLOG)
        sock.settimeout(0)
        bound.pop_all()
    return sock


def _remedy(failure: Exception) -> str:
    if isinstance(failure, UnicodeError):
        return "this is no host name; correct it with --web.listen-address"
    number, text = getattr(failure, "errno", None), getattr(failure, "strerror", None)
    said = {
        errno.EADDRINUSE: "the port is in use; stop what uses it or choose another",
        errno.EACCES: "no permission; choose a port above 1023",
        errno.EADDRNOTAVAIL: "this machine has no such address; correct it",
    }.get(number or 0, f"{text or failure}; correct it")
    return f"{said} with --web.listen-address"
