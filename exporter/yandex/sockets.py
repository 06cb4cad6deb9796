"""HTTP connections whose timeout is a total: for connect, TLS, headers and body taken together.

The timeout of `requests` and of a socket starts anew with each read, so a server that drips can
hold a caller for as long as it likes. Here every read gets only what is left.
"""

import http.client
import io
import queue
import socket
import threading
import time
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

_INSTANT = 0.001  # a socket takes 0 for "non-blocking", so the last moment is a little longer

_Address = tuple[int, int, int, str, Any]  # what getaddrinfo answers


class _TimedReader(io.RawIOBase):
    """Reads a socket until the timeout that the socket had at first is used up."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        timeout = sock.gettimeout()
        self._raw = raw
        self._sock = sock
        self._end = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # The file made by the base class holds the socket open after a "Connection: close".
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        end = time.monotonic() + float(self.timeout or 0)
        try:
            return _connected(_addresses(self._dns_host, self.port, end), end)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except OSError as error:
            # With an errno it is the network that gave up, before the time was over.
            if isinstance(error, TimeoutError) and error.errno is None:
                raise ConnectTimeoutError(self, "timed out") from error
            raise NewConnectionError(self, str(error)) from error


class _TimedTlsConnection(_TimedConnection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


class TimedAdapter(HTTPAdapter):
    """Mounted on a `requests` session, makes `urllib3.Timeout(total=…)` mean what it says."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _time(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        _time(manager)
        return manager


def _time(manager: urllib3.PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _addresses(host: str, port: int | None, end: float) -> list[_Address]:
    """Resolve a name by an instant; the resolver itself knows no deadline, and may take half a minute."""
    answers: queue.SimpleQueue[list[_Address] | OSError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:
            answers.put(error if isinstance(error, OSError) else OSError("no name of a host"))

    threading.Thread(target=resolve, name="resolve", daemon=True).start()
    try:
        found = answers.get(timeout=max(_INSTANT, end - time.monotonic()))
    except queue.Empty:
        raise TimeoutError("timed out") from None
    if isinstance(found, OSError):
        raise found
    return found


def _connected(addresses: list[_Address], end: float) -> socket.socket:
    """Return a socket connected to the first address that answers, its timeout what is left."""
    failure = OSError("the name has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        # Each address gets a share: a dead first one leaves time for the others.
        share = (end - time.monotonic()) / (len(addresses) - tried)
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(_INSTANT, share))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            sock.settimeout(max(_INSTANT, end - time.monotonic()))
            return sock
    raise failure
