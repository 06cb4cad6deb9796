"""Base URLs and the addresses to listen on, checked before anybody resolves or calls them."""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from exporter.settings.refusal import Refused

METADATA = "http://169.254.169.254"
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"(?P<host>[^\[\]:\s]*|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_NETLOC = re.compile(r"(?:[^\[\]:]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_LIKE = "write it like :10317, 127.0.0.1:10317 or [::1]:10317"


def listening(value: object) -> str:
    """Take `:port`, `host:port` and `[address]:port`; raises Refused."""
    words = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if re.fullmatch(r"[0-9]{1,5}", words) and int(words) <= 65535:
        raise Refused(f'not an address but a port; {_LIKE}: here ":{words}"')
    match = _ADDRESS.fullmatch(words)
    if match is None or int(match["port"]) > 65535 or not (match["host"] == "" or _host(match["host"])):
        raise Refused(f"not an address; {_LIKE}")
    return words


def _host(text: str) -> bool:
    """Whether this is an address of IPv4, one of IPv6 in brackets, or a name."""
    try:
        if text.startswith("[") and text.endswith("]"):
            return bool(ipaddress.IPv6Address(text[1:-1]))
        if re.fullmatch(r"[0-9.]+", text):
            return bool(ipaddress.IPv4Address(text)) or text == "0.0.0.0"  # noqa: S104  # compared, not bound
    except ValueError:
        return False
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))


def endpoint(value: object) -> str:
    """Take a base URL with https, or with http on loopback; raises Refused."""
    return _url(
        value, _loopback, "must be https: a token must not travel in the clear (http is for loopback only)"
    )


def metadata_endpoint(value: object) -> str:
    """Take a base URL with https, or with http on loopback and link-local addresses; raises Refused."""
    return _url(
        value,
        lambda host: _loopback(host) or _is(host, "is_link_local"),
        f"must be https: http is for loopback and link-local addresses only, like {METADATA}",
    )


def _url(value: object, plain: Callable[[str], bool], clear: str) -> str:
    """Return a base URL; what could be a password or a token in it is in no message."""
    text = value if isinstance(value, str) else ""
    if re.search(r"[@?#]", text):
        raise Refused("a base URL has no user, password, query or fragment", shown=False)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise Refused("not a URL; write it like https://host") from None
    # Whoever reads the address again must find the same host in it.
    rest = re.fullmatch(r"[!-~]+", text) and _NETLOC.fullmatch(parts.netloc)
    if parts.scheme not in {"http", "https"} or not rest or not _host(f"[{host}]" if ":" in host else host):
        raise Refused("not a base URL; write it like https://host")
    if parts.scheme == "http" and not plain(host):
        raise Refused(clear)
    return text.rstrip("/")


def _loopback(host: str) -> bool:
    return host == "localhost" or _is(host, "is_loopback")


def _is(host: str, kind: str) -> bool:
    """Whether a host is written as an address of some kind."""
    try:
        return bool(getattr(ipaddress.ip_address(host), kind))
    except ValueError:
        return False
