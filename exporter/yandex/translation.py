"""Foreign exceptions translated: what sockets, TLS, HTTP and `requests` raise becomes one of our tree."""

import datetime as dt
import email.utils
import http.client
import ssl
import traceback
import urllib.parse
from dataclasses import dataclass

import urllib3

from exporter.yandex.calls import Request
from exporter.yandex.errors import ApiError, BadRequest, BadResponse, TlsFailed, Unreachable

# ValueError: an address or a header that cannot be put on the wire.
FOREIGN = (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that gave no data; `again`: another may help, but not within `after` seconds."""

    error: ApiError
    again: bool = False
    after: float = 0.0


def causes(error: BaseException) -> list[BaseException]:
    """Return the exception and those that it wraps, the outermost first."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop(0)
        if isinstance(current, BaseException) and not any(current is other for other in seen):
            seen.append(current)
            waiting += [*current.args, getattr(current, "reason", None), current.__cause__]
    return seen


def let_go(chain: list[BaseException]) -> None:
    """Clear a chain, with all that its tracebacks hold.

    Their frames hold the exceptions in turn, those of libraries too: a socket and whoever waited for it
    would stay until the garbage is collected.
    """
    for error in chain:
        traceback.clear_frames(error.__traceback__)
    chain.clear()


def translated(chain: list[BaseException], request: Request, timed_out: type[ApiError]) -> Failure:
    """Return what a chain of causes means for a call; `timed_out` is what it is if the time was over."""
    host = urllib.parse.urlsplit(request.url).netloc
    said = next((text for cause in reversed(chain) if (text := _words(cause))), "")
    what = request.clean(f"{host}: {said or type(chain[-1]).__name__}")
    if any(map(_is_timeout, chain)):
        return Failure(timed_out(request.clean(f"{host}: no complete answer in time")))
    if any(isinstance(e, ssl.SSLEOFError | ssl.SSLZeroReturnError) for e in chain):
        # Who hangs up in the middle of TLS says nothing of trust.
        return Failure(Unreachable(what), again=True)
    if any(isinstance(e, ssl.SSLError | urllib3.exceptions.SSLError) for e in chain):
        certificate = any(isinstance(e, ssl.SSLCertVerificationError) for e in chain)
        return Failure(TlsFailed(what), again=not certificate)
    if any(map(_is_gibberish, chain)):
        return Failure(BadResponse(f"{host}: the answer is not HTTP"))
    if isinstance(chain[0], ValueError):
        return Failure(BadRequest(f"{host}: the request cannot be sent"))
    return Failure(Unreachable(what), again=True)


def http_date(text: str) -> float | None:
    """Return the Unix seconds of a date of HTTP; None if it is none."""
    try:
        date = email.utils.parsedate_to_datetime(text)
        # Without a zone Python would take it for local time; HTTP dates are UTC.
        return date.replace(tzinfo=date.tzinfo or dt.UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _words(error: BaseException) -> str:
    """Return what the network or a proxy said, empty if nobody did."""
    if not isinstance(error, OSError):
        return ""
    # A proxy's refusal is an OSError of one text; the library's own wrap other exceptions.
    told = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else ""
    return error.strerror or (told if told.startswith("Tunnel connection failed") else "")


def _is_timeout(error: BaseException) -> bool:
    # With an errno it is the network that gave up, before the time was over.
    ours = isinstance(error, TimeoutError) and error.errno is None
    # urllib3 derives "no connection could be made" from its timeouts.
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    return ours or (isinstance(error, urllib3.exceptions.TimeoutError) and not refused)


def _is_gibberish(error: BaseException) -> bool:
    broken = (http.client.RemoteDisconnected, http.client.IncompleteRead)
    header = urllib3.exceptions.InvalidHeader
    return isinstance(error, http.client.HTTPException | header) and not isinstance(error, broken)
