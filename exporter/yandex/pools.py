"""Connection pools: what `requests` works out for each call, worked out once for each origin.

Certificates, proxies and names are its business. A call then goes straight to the urllib3 pool to which
`requests` would have brought it, and is spared redirects, cookies, hooks and copies of headers, none of
them wanted: that is half of what a call costs.
"""

import ipaddress
import threading
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import requests
import urllib3

from exporter.yandex.sockets import Resolver, TimedAdapter


@dataclass(frozen=True, slots=True)
class Pool:
    """The connections to one origin; `prefix` goes before each target: a plain proxy wants all of a URL."""

    connections: urllib3.HTTPConnectionPool
    prefix: str


class Pools:
    """The pool of each origin, which is scheme, host and port: a handful, those of the configuration.

    `size` connections are kept for each; `trust` is the path of a CA bundle or folder, None for the one
    that comes with `requests`; `proxies` has a URL for each scheme. `_lock` guards `_pools`.
    """

    def __init__(self, size: int, trust: str | None, proxies: Mapping[str, str]) -> None:
        self._proxies = dict(proxies)
        self._adapter = TimedAdapter(Resolver(), trust, pool_maxsize=size)
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] = {}

    def of(self, origin: str) -> Pool:
        """Return the pool of an origin; raises ValueError for one that cannot be."""
        with self._lock:
            pool = self._pools.get(origin)
            if pool is None:
                pool = self._pools[origin] = self._made(origin)
            return pool

    def close(self) -> None:
        """Close the connections that are kept; later calls have new pools."""
        with self._lock:
            self._pools.clear()
            self._adapter.close()

    def _made(self, origin: str) -> Pool:
        request = requests.PreparedRequest()
        request.prepare_method("GET")
        request.prepare_url(f"{origin}/", None)
        request.prepare_headers(None)
        proxies = {} if _is_local(urllib.parse.urlsplit(origin).hostname or "") else self._proxies
        found = self._adapter.get_connection_with_tls_context(request, verify=True, proxies=proxies)
        connections = cast("urllib3.HTTPConnectionPool", found)
        target = self._adapter.request_url(request, proxies)
        return Pool(connections, target.removesuffix("/"))


def _is_local(host: str) -> bool:
    """Whether no proxy can stand between: this machine, and the metadata service beside it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address.is_loopback or address.is_link_local
