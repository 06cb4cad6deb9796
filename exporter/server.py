"""Sockets: listen, TLS, users, limits and shutdown, around any WSGI application."""

import errno
import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

from exporter.webconfig import WebConfigFile

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 64 * 1024
MAX_BODY_BYTES = 64 * 1024
THREADS = 64
SOCKET_SECONDS = 10
REALM = ("WWW-Authenticate", 'Basic realm="yc-workflow-exporter"')


class ListenFailed(Exception):
    """An address could not be listened on; the message says which, why and what to do."""


class _Listener(wsgi.Server):
    """One bound address; what goes wrong with a client is no error of ours."""

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Write to our log, at most as a warning."""
        log.log(min(level, logging.WARNING), msg.strip(), exc_info=traceback)


class _TlsAdapter(BuiltinSSLAdapter):
    """TLS by a context that is kept up to date elsewhere."""

    def __init__(self, file: WebConfigFile, certificate: str, key: str) -> None:
        super().__init__(certificate, key)
        self._file = file
        self.context = file.context

    def wrap(self, sock: socket.socket) -> Any:
        """Look for new certificates, then shake hands."""
        self._file.current()
        return super().wrap(sock)  # type: ignore[no-untyped-call]


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
        self._app = app
        self._listen = tuple(listen)
        self._web_config = web_config
        self._threads = threads
        self._timeout = timeout
        self._servers: list[_Listener] = []
        self._serving: list[threading.Thread] = []

    def start(self) -> None:
        """Bind every address and serve; raises ListenFailed if one cannot be had."""
        try:
            for address in self._listen:
                self._servers.append(self._bound(address))
        except ListenFailed:
            self.stop(0.0)
            raise
        for server in self._servers:
            thread = threading.Thread(target=server.serve, name="accept", daemon=True)
            thread.start()
            self._serving.append(thread)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """The addresses that are listened on, with their real ports."""
        return [server.bind_addr[:2] for server in self._servers]

    def stop(self, grace: float) -> None:
        """Take no more connections, let the requests under way end within `grace` seconds, and return."""
        for server in self._servers:
            server.shutdown_timeout = grace
            server.stop()
        for thread in self._serving:
            thread.join(grace + 1.0)

    def _bound(self, address: str) -> _Listener:
        host, _, port = address.rpartition(":")
        hosts = [host.strip("[]")] if host else ["::", "0.0.0.0"]  # noqa: S104  # a bare port means everywhere
        failure = OSError()
        for name in hosts:
            try:
                _try_to_bind(name, int(port))
                server = self._server((name, int(port)))
                server.prepare()
            except OSError as error:
                failure = error
                continue
            return server
        raise ListenFailed(f"cannot listen on {address}: {_remedy(failure)}")

    def _server(self, bind: tuple[str, int]) -> _Listener:
        server = _Listener(
            bind,
            self._guarded,
            numthreads=self._threads,
            server_name="yc-workflow-exporter",
            request_queue_size=128,
            timeout=self._timeout,
            accepted_queue_size=4 * self._threads,
        )
        server.max_request_header_size = MAX_HEADER_BYTES
        server.max_request_body_size = MAX_BODY_BYTES
        tls = self._web_config.current().tls if self._web_config else None
        if self._web_config and tls:
            server.ssl_adapter = _TlsAdapter(self._web_config, str(tls.cert_file), str(tls.key_file))
        return server

    def _guarded(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let in who may come in, and add the configured headers."""
        if self._web_config is None:
            return self._app(environ, start_response)
        if not self._web_config.admits(environ.get("HTTP_AUTHORIZATION", "")):
            start_response("401 Unauthorized", [REALM, ("Content-Type", "text/plain; charset=utf-8")])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"Unauthorized\n"]
        extra = list(self._web_config.current().headers)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            replaced = {name.lower() for name, _ in extra}
            kept = [(name, value) for name, value in headers if name.lower() not in replaced]
            return start_response(status, kept + extra, exc_info)

        return self._app(environ, start)


def _try_to_bind(host: str, port: int) -> None:
    """Raise the OSError that binding gives, which the library folds into a text."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)


def _remedy(failure: OSError) -> str:
    said = {
        errno.EADDRINUSE: "the port is in use; stop what uses it or choose another",
        errno.EACCES: "no permission; choose a port above 1023",
        errno.EADDRNOTAVAIL: "this machine has no such address; correct it",
    }.get(failure.errno or 0, f"{failure.strerror or failure}; correct it")
    return f"{said} with --web.listen-address"
