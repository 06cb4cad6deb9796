"""HTTP connections whose timeout is a total: for connect, TLS, headers and body taken together.

The timeout of `requests` and of a socket starts anew with each read, so a server that drips can
hold a caller for as long as it likes. Here every read gets only what is left.
"""

import functools
import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

_INSTANT = 0.001  # a socket takes 0 for "non-blocking", so the last moment is a little longer

_INFORMATIONAL = range(102, 200)  # all but 100, and 101, after which HTTP is over

_Address = tuple[int, int, int, str, Any]  # what getaddrinfo answers


class _TimedReader(io.RawIOBase):
    """Reads a socket until the timeout that the socket had at first is used up."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        timeout = sock.gettimeout()
        self._raw = raw
        self._sock = sock
        self._end = None if timeout is None else time.monotonic() + timeout
        self._is_armed = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._is_armed and self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        # The first read comes with the timeout at once; to set it again is a call of the system.
        self._is_armed = False
        return self._raw.readinto(buffer)

    def hurry(self, seconds: float) -> None:
        self._is_armed = False
        end = time.monotonic() + seconds
        self._end = end if self._end is None else min(self._end, end)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # The file made by the base class holds the socket open after a "Connection: close".
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status line, 100 for all that is only informational: the base class passes that over."""
        version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed does not know it
        informational = status in _INFORMATIONAL
        return version, int(HTTPStatus.CONTINUE) if informational else status, reason

    def hurry(self, seconds: float) -> None:
        """Let what is left of the answer take no more than so many seconds."""
        reader = getattr(self.fp, "raw", None)
        if isinstance(reader, _TimedReader):
            reader.hurry(seconds)


def hurry(answer: urllib3.BaseHTTPResponse, seconds: float) -> None:
    """Let the rest of an answer take no more than so many seconds, if its timeout leaves as many."""
    original = getattr(answer, "_original_response", None)
    if isinstance(original, _TimedResponse):
        original.hurry(seconds)


class Resolver:
    """Resolves names by a deadline. The system's resolver knows none, and may take half a minute.

    So it runs in a thread that is left behind when the time is over: one for each name, whoever waits
    for it, however often. `localhost` is this machine, whatever the resolver says: a token goes there in
    the clear. `_lock` guards `_lookups`. `getaddrinfo` is a parameter for the tests.
    """

    def __init__(self, getaddrinfo: Callable[..., Any] = socket.getaddrinfo) -> None:
        self._getaddrinfo = getaddrinfo
        self._lock = threading.Lock()
        self._lookups: dict[tuple[str, int | None], Future[list[_Address]]] = {}

    def addresses(self, host: str, port: int | None, end: float) -> list[_Address]:
        """Return the addresses of a name; raises OSError, which is TimeoutError when the time is over."""
        name = (host, port)
        with self._lock:
            lookup = self._lookups.get(name)
            if lookup is None:
                lookup = self._begun(name)
        try:
            return lookup.result(max(_INSTANT, end - time.monotonic()))
        except TimeoutError:
            raise TimeoutError("timed out") from None

    def _begun(self, name: tuple[str, int | None]) -> "Future[list[_Address]]":
        """Begin to resolve a name; raises OSError where no thread can be had, and the next may try again."""
        lookup: Future[list[_Address]] = Future()
        thread = threading.Thread(target=self._resolve, args=(name, lookup), name="resolve", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise OSError("no thread to resolve the name with") from None
        self._lookups[name] = lookup
        return lookup

    def _resolve(self, name: tuple[str, int | None], lookup: Future[list[_Address]]) -> None:
        try:
            found = list(self._getaddrinfo(*name, type=socket.SOCK_STREAM))
            if name[0].lower() == "localhost":
                found = [each for each in found if ipaddress.ip_address(each[4][0]).is_loopback]
        except OSError as error:
            failure: OSError | None = error
        except Exception:  # noqa: BLE001  # whatever it is, who waits must hear of it
            failure = OSError("no name of a host")
        else:
            failure = None
        with self._lock:
            del self._lookups[name]
        if failure is None:
            lookup.set_result(found)
        else:
            lookup.set_exception(failure)


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse

    def __init__(self, *args: Any, resolver: Resolver, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._resolver = resolver

    def _new_conn(self) -> socket.socket:
        end = time.monotonic() + float(self.timeout or 0)
        try:
            return _connected(self._resolver.addresses(self._dns_host, self.port, end), end)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except OSError as error:
            # With an errno it is the network that gave up, before the time was over.
            if isinstance(error, TimeoutError) and error.errno is None:
                raise ConnectTimeoutError(self, "timed out") from error
            raise NewConnectionError(self, str(error)) from error


class _TimedTlsConnection(_TimedConnection, HTTPSConnection):
    pass


class TimedAdapter(HTTPAdapter):
    """Makes the pools of `requests`, in which `urllib3.Timeout(total=…)` means what it says.

    Their connections share one TLS context. By default each has its own, for which it reads all authorities
    anew: that takes 40 ms of CPU and 0.7 MB. `trust` is the path of a CA bundle or folder, None for the one
    that comes with `requests`.
    """

    def __init__(self, resolver: Resolver, trust: str | None, **kwargs: Any) -> None:
        self._resolver = resolver
        self._trust = trust or DEFAULT_CA_BUNDLE_PATH
        super().__init__(**kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self._time(self.poolmanager)

    @functools.cached_property
    def _context(self) -> ssl.SSLContext:
        """What the connections share, made for the first that needs it."""
        context = urllib3.util.create_urllib3_context()
        folder = Path(self._trust).is_dir()
        context.load_verify_locations(
            cafile=None if folder else self._trust, capath=self._trust if folder else None
        )
        return context

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        """Return where a pool leads to, and what all its connections share."""
        place, _ = super().build_connection_pool_key_attributes(*args, **kwargs)
        return place, {"ssl_context": self._context} if place["scheme"] == "https" else {}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        if proxy.lower().startswith("https:"):
            kwargs["proxy_ssl_context"] = self._context
        manager = super().proxy_manager_for(proxy, **kwargs)
        self._time(manager)
        return manager

    def _time(self, manager: urllib3.PoolManager) -> None:
        resolver = self._resolver

        class Plain(HTTPConnectionPool):
            ConnectionCls = staticmethod(functools.partial(_TimedConnection, resolver=resolver))  # type: ignore[assignment]

        class Secure(HTTPSConnectionPool):
            ConnectionCls = staticmethod(functools.partial(_TimedTlsConnection, resolver=resolver))  # type: ignore[assignment]

        manager.pool_classes_by_scheme = {"http": Plain, "https": Secure}


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
