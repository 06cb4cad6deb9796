# mypy: disable-error-code="no-untyped-call"
"""Sockets: listen, TLS, limits and shutdown, around any WSGI application."""

import errno
import logging
import queue
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from wsgiref.types import WSGIApplication

from cheroot import wsgi
from cheroot.errors import FatalSSLAlert
from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection
from cheroot.ssl import Adapter
from cheroot.workers.threadpool import ThreadPool, WorkerThread

from exporter.guard import guarded
from exporter.webconfig import WebConfigFile

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024
MOST_IDLE = 128
THREADS = 96
SOCKET_SECONDS = 10
CUT_SECONDS = 0.8
NOISE = (ConnectionError, TimeoutError, ssl.SSLError, FatalSSLAlert)
"""What clients do to their connections: no error of ours."""
HTTPS_ONLY = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks HTTPS only.\n"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n\r\nToo many wait.\n"


class ListenFailed(Exception):
    """An address could not be listened on; the message says which, why and what to do."""


class _Connection(HTTPConnection):
    """One client, who shakes hands in the thread that serves him and so holds up nobody else."""

    is_new = True
    is_secure = False

    def communicate(self) -> bool:
        """Serve one request; True when the connection is to be kept."""
        with self.server.busy_with(self) as may_serve:
            return may_serve and self._shakes_hands() and bool(super().communicate())

    def _shakes_hands(self) -> bool:
        if self.is_secure or not isinstance(self.socket, ssl.SSLSocket):
            return True
        try:
            self.socket.do_handshake()
        except OSError as error:
            log.debug(
                "TLS handshake failed", extra={"fields": {"client": self.remote_addr, "error": str(error)}}
            )
            if getattr(error, "reason", "") == "HTTP_REQUEST":
                self._say_https_only()
            return False
        self.is_secure = True
        return True

    def _say_https_only(self) -> None:
        """Answer past TLS; what of the request is left unread would turn the close into a reset."""
        with suppress(OSError):
            self.socket.settimeout(0)
            socket.socket.send(self.socket, HTTPS_ONLY)
            socket.socket.recv(self.socket, MAX_HEADER_BYTES)

    def turn_away(self) -> None:
        """Say that nobody has time, without ever waiting: who still has to shake hands hears nothing."""
        with suppress(OSError):
            self.socket.settimeout(0)
            self.socket.send(BUSY)
            self.socket.recv(MAX_HEADER_BYTES)
        with suppress(OSError):
            self.close()

    def cut(self) -> None:
        """End the connection under the thread that serves it."""
        with suppress(OSError):
            # Past TLS, whose own shutdown would let that thread write on in the clear.
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class _Pool(ThreadPool):
    """Threads that do not keep the interpreter alive when one of them is stuck in a request."""

    def _spawn_worker(self) -> WorkerThread:
        worker = WorkerThread(self.server)
        worker.name, worker.daemon = f"serve {worker.name}", True
        worker.start()
        return worker


class _TlsAdapter(Adapter):
    """TLS by the context that the file gives now."""

    def __init__(self, file: WebConfigFile) -> None:
        self._file = file

    def bind(self, sock: socket.socket) -> socket.socket:
        """Return the listening socket as it is."""
        return sock

    def wrap(self, sock: socket.socket) -> tuple[socket.socket, dict[str, str]]:
        """Wrap without shaking hands: this is the thread that accepts for all."""
        context = self._file.current().context
        assert context is not None  # noqa: S101  # a file that switches TLS off is not taken
        try:
            sock.getpeername()  # raises where the client has gone, before TLS takes the socket
            wrapped = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            sock.close()
            raise FatalSSLAlert(str(error)) from error
        return wrapped, self.get_environ()

    def get_environ(self) -> dict[str, str]:
        """Return what WSGI asks for; nothing here asks for more."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: socket.socket, mode: str = "r", bufsize: int = -1) -> Any:
        """Return a file over a socket."""
        return MakeFile(sock, mode, bufsize)


class _Listener(wsgi.Server):
    """One bound address.

    `_lock` guards `_busy`, the connections that threads are serving, and `_is_cut`, after which none begins.
    """

    ConnectionClass = _Connection
    keep_alive_conn_limit = MOST_IDLE

    def __init__(self, bind: tuple[str, int], app: WSGIApplication, threads: int, timeout: int) -> None:
        super().__init__(
            bind, app, server_name="yc-workflow-exporter", request_queue_size=128, timeout=timeout
        )
        # Whom the queue has no place for is turned away: to wait for one would be to accept nobody.
        self.requests = _Pool(self, min=threads, accepted_queue_size=2 * threads, accepted_queue_timeout=0)
        self.max_request_header_size = MAX_HEADER_BYTES
        self.max_request_body_size = MAX_BODY_BYTES
        self.refusal: OSError | None = None
        self._lock = threading.Lock()
        self._busy: set[_Connection] = set()
        self._is_cut = False

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Write to our log, one record for one error; what clients do is of interest to a debugger only."""
        if isinstance(sys.exception(), NOISE):
            log.debug(msg.strip())
        else:
            log.log(level, msg.strip(), exc_info=traceback)

    def bind(self, family: int, type: int, proto: int = 0) -> Any:  # noqa: A002  # the library's name
        """Keep the error that binding gives, which the library folds into a text."""
        try:
            return super().bind(family, type, proto)
        except OSError as error:
            self.refusal = error
            raise

    @staticmethod
    def bind_socket(socket_: socket.socket, bind_addr: tuple[str, int]) -> socket.socket:
        """Bind, and close what cannot be bound, which the library leaves open."""
        try:
            socket_.bind(bind_addr)
        except OSError:
            socket_.close()
            raise
        return socket_

    def process_conn(self, conn: _Connection) -> None:
        """Give a connection to a thread; a new one first waits, without a thread, for its first byte."""
        if conn.is_new and self.can_add_keepalive_connection:
            conn.is_new = False
            self.put_conn(conn)
            return
        try:
            self.requests.put(conn)
        except queue.Full:
            conn.turn_away()

    @contextmanager
    def busy_with(self, conn: _Connection) -> Iterator[bool]:
        """Say whether a connection may be served, and note that it is."""
        with self._lock:
            self._busy.add(conn)
            may_serve = not self._is_cut
        try:
            yield may_serve
        finally:
            with self._lock:
                self._busy.discard(conn)

    def cut(self) -> None:
        """End every request that is under way."""
        with self._lock:
            self._is_cut = True
            for conn in self._busy:
                conn.cut()


class Server:
    """Serves an application on all addresses, each request in one of a bounded number of threads."""

    def __init__(
        self,
        app: WSGIApplication,
        listen: Sequence[str],
        *,
        web_config: WebConfigFile | None = None,
        threads: int = THREADS,
        timeout: int = SOCKET_SECONDS,
    ) -> None:
        self._app = guarded(app, web_config)
        self._listen = tuple(listen)
        self._web_config = web_config
        self._threads = threads
        self._timeout = timeout
        self._servers: list[_Listener] = []

    def start(self) -> None:
        """Bind every address and serve; raises ListenFailed if one cannot be had."""
        try:
            for address in self._listen:
                self._servers.append(self._bound(address))
        except ListenFailed:
            self.stop(0.0)
            raise
        for server in self._servers:
            threading.Thread(target=server.serve, name="accept", daemon=True).start()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses that are listened on, with their real ports."""
        return [server.bind_addr[:2] for server in self._servers]

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

        Returns at most a second later, whatever the threads do: the library waits for each to its end, so
        it waits in threads of its own.
        """
        deadline = time.monotonic() + grace
        stopping = []
        for server in self._servers:
            server.shutdown_timeout = grace
            stopping.append(threading.Thread(target=server.stop, name="stop", daemon=True))
            stopping[-1].start()
        _join(stopping, deadline)
        for server in self._servers:
            server.cut()
        _join(stopping, deadline + CUT_SECONDS)

    def _bound(self, address: str) -> _Listener:
        host, _, port = address.rpartition(":")
        hosts = [host.strip("[]")] if host else ["::", "0.0.0.0"]  # noqa: S104  # a bare port means everywhere
        failure: Exception = OSError()
        for name in hosts:
            server = _Listener((name, int(port)), self._app, self._threads, self._timeout)
            if self._web_config and self._web_config.current().tls:
                server.ssl_adapter = _TlsAdapter(self._web_config)
            try:
                server.prepare()
            except (OSError, UnicodeError) as error:
                failure = server.refusal or error
                continue
            return server
        raise ListenFailed(f"cannot listen on {address}: {_remedy(failure)}")


def _join(threads: Iterable[threading.Thread], deadline: float) -> None:
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


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
