"""The one function through which every request leaves: deadline, rate, retries, errors.

Foreign exceptions end here. What comes out is a `Response` or an `ApiError`, within the budget.
"""

import collections
import json
import math
import random
import re
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import NoReturn

import urllib3

from exporter.yandex.calls import (
    Budget,
    CallRecord,
    Clock,
    Limits,
    Request,
    Response,
)
from exporter.yandex.errors import (
    ApiError,
    BadResponse,
    BudgetSpent,
    CallTimeout,
    NotSent,
    RateLimited,
    ServerError,
    refusal,
)
from exporter.yandex.pools import Pools
from exporter.yandex.sockets import hurry
from exporter.yandex.translation import FOREIGN, Failure, causes, http_date, let_go, translated

_INSTANT = 0.001  # seconds; no time at all is no time limit
_LARGE = 1024 * 1024
_MAX_ERROR_BODY = 64 * 1024
_MAX_ERROR_SECONDS = 0.5  # an error's body comes with its head, or is not worth the time
_FIRST_BACKOFF = 0.2  # seconds; doubles with each attempt
_HEADERS = {"User-Agent": "yc-workflow-exporter", "Accept": "application/json", "Accept-Encoding": "gzip"}


class Transport:
    """Sends requests. Safe to share between threads; `_decoding` is held while a large answer is decoded.

    `observe` receives a record of each attempt; `trust` is the path of a CA bundle or folder, None for
    the one that comes with `requests`; `proxies` has a URL for each scheme. Nothing is read from the
    environment.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        observe: Callable[[CallRecord], None],
        jitter: random.Random,
        trust: str | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._observe = observe
        self._jitter = jitter
        self._rate = _Rate(limits.requests_per_second, clock)
        self._pools = Pools(limits.pool, trust, proxies or {})
        self._decoding = threading.Lock()
        self._json = json.JSONDecoder(parse_constant=_no_constant)

    def send(self, request: Request, budget: Budget) -> Response:
        """Return the answer, within the budget; raises a subclass of ApiError.

        The error's `http_code` is that of the last attempt.
        """
        outcome = self._tried(request, budget)
        if isinstance(outcome, Response):
            return outcome
        try:
            raise outcome
        finally:
            # Else this frame would hold the error, whose traceback holds this frame and all who called it.
            del outcome

    def close(self) -> None:
        """Close the connections that are kept; those of calls under way when these end."""
        self._pools.close()

    def _tried(self, request: Request, budget: Budget) -> Response | ApiError:
        """Return the answer, or the error of the last attempt."""
        error: ApiError = NotSent("no time was left for the call")
        for attempt in range(self._limits.retries + 1):
            if not self._rate.admit(budget) or budget.spent:
                break
            outcome = self._attempt(request, budget, attempt)
            if isinstance(outcome, Response):
                return outcome
            error = outcome.error
            pause = max(outcome.after, self._backoff(attempt))
            if not outcome.again or attempt == self._limits.retries or pause >= budget.remaining():
                break
            self._clock.sleep(pause)
        return error

    def _backoff(self, attempt: int) -> float:
        return _FIRST_BACKOFF * 2.0**attempt * (0.5 + self._jitter.random())

    def _attempt(self, request: Request, budget: Budget, attempt: int) -> Response | Failure:
        started = self._clock.monotonic()
        address = _address(request)
        outcome = self._exchange(request, address, budget)
        failed = outcome.error if isinstance(outcome, Failure) else None
        record = CallRecord(
            method=request.method,
            url=request.clean(address) if budget.observers else "",
            code=failed.http_code if failed else 200,
            seconds=self._clock.monotonic() - started,
            attempt=attempt,
            error=failed.reason if failed else "",
            message=str(failed) if failed else "",
        )
        for observer in (self._observe, *budget.observers):
            observer(record)
        return outcome

    def _exchange(self, request: Request, address: str, budget: Budget) -> Response | Failure:
        left = max(budget.remaining(), _INSTANT)
        try:
            answer = self._ask(request, address, min(left, self._limits.timeout))
            try:
                return self._read(answer, request, budget)
            finally:
                # A connection that was not read to the end cannot be used again.
                answer.close()
                answer.release_conn()
        except FOREIGN as error:
            chain = causes(error)
        # Outside of the handler, so that the foreign exception, which knows the request, is let go.
        timed_out = BudgetSpent if left <= self._limits.timeout else CallTimeout
        failure = translated(chain, request, timed_out)
        let_go(chain)
        return failure

    def _ask(self, request: Request, address: str, seconds: float) -> urllib3.BaseHTTPResponse:
        origin, target = _split(address)
        pool = self._pools.of(origin)
        headers, body = _headers_and_body(request)
        return pool.connections.urlopen(
            request.verb,
            pool.prefix + target,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(total=seconds),
            retries=False,
            # A redirect would carry the token to wherever the answer says.
            redirect=False,
            assert_same_host=False,
            preload_content=False,
        )

    def _read(self, answer: urllib3.BaseHTTPResponse, request: Request, budget: Budget) -> Response | Failure:
        code = answer.status
        if code >= 400:
            return self._refused(answer, request, budget)
        if code != 200:
            return Failure(BadResponse(f"HTTP {code} is no answer of this API", code))
        try:
            body = _body(answer, self._limits.max_response_bytes)
        except urllib3.exceptions.DecodeError:
            return Failure(BadResponse("the answer's content encoding is broken", code))
        if body is None:
            limit = self._limits.max_response_bytes
            return Failure(BadResponse(f"the answer has more than {limit} bytes", code))
        return self._decoded(body, answer.headers.get("Date", ""), budget)

    def _decoded(self, body: bytes, date: str, budget: Budget) -> Response | Failure:
        """Decode an answer; large ones one by one, for at once they take memory and no less time."""
        large = len(body) > _LARGE
        if large and not self._decoding.acquire(timeout=budget.remaining()):
            return Failure(BudgetSpent("no time was left to decode the answer"))
        try:
            return Response(200, self._json.decode(body.decode("utf-8-sig")), date)
        except (ValueError, RecursionError):
            return Failure(BadResponse("the answer is not JSON", 200))
        finally:
            if large:
                self._decoding.release()

    def _refused(self, answer: urllib3.BaseHTTPResponse, request: Request, budget: Budget) -> Failure:
        code = answer.status
        said = _status_message(answer, budget)
        error = refusal(code, request.clean(f"HTTP {code}: {said}" if said else f"HTTP {code}"))
        again = isinstance(error, RateLimited | ServerError) and code != 501
        after = self._retry_after(answer) if isinstance(error, RateLimited) else 0.0
        return Failure(error, again, after)

    def _retry_after(self, answer: urllib3.BaseHTTPResponse) -> float:
        value = answer.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", value):
            return float(value)
        date = http_date(value)
        return 0.0 if date is None else date - self._clock.time()


class _Rate:
    """Lets at most N = ceil(rate) calls start in any N / rate seconds."""

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        size = math.ceil(per_second) if per_second else 0
        self._window = size / per_second if per_second else 0.0
        self._starts: collections.deque[float] = collections.deque(maxlen=size)
        self._clock = clock
        self._lock = threading.Lock()

    def admit(self, budget: Budget) -> bool:
        """Wait for the next free slot; False, and no slot taken, if it lies beyond the budget."""
        with self._lock:
            now = self._clock.monotonic()
            full = self._starts and len(self._starts) == self._starts.maxlen
            slot = max(now, self._starts[0] + self._window) if full else now
            if slot >= budget.at:
                return False
            self._starts.append(slot)
        if slot > now:
            self._clock.sleep(slot - now)
        return True


def _split(address: str) -> tuple[str, str]:
    """Return the origin of a URL, and what is asked of it."""
    end = address.find("/", address.index("://") + 3)
    return (address, "/") if end < 0 else (address[:end], address[end:])


def _headers_and_body(request: Request) -> tuple[dict[str, str], str | None]:
    headers = {**_HEADERS, **dict(request.headers)}
    if request.token:
        headers["Authorization"] = f"Bearer {request.token}"
    if request.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return headers, urllib.parse.urlencode(request.form)
    if request.json is not None:
        headers["Content-Type"] = "application/json"
        return headers, json.dumps(request.json)
    return headers, None


def _body(answer: urllib3.BaseHTTPResponse, limit: int) -> bytes | None:
    """Return the decoded body, None if it is larger than the limit."""
    body = answer.read(limit + 1, decode_content=True)
    return None if len(body) > limit else body


def _status_message(answer: urllib3.BaseHTTPResponse, budget: Budget) -> str:
    """Return what a google.rpc.Status says; the HTTP status stands, whatever the body is or when it comes."""
    hurry(answer, min(_MAX_ERROR_SECONDS, budget.remaining() / 2))
    try:
        status = json.loads(_body(answer, _MAX_ERROR_BODY) or b"")
    except (*FOREIGN, RecursionError):
        return ""
    message = status.get("message") if isinstance(status, dict) else None
    return message if isinstance(message, str) else ""


def _address(request: Request) -> str:
    query = urllib.parse.urlencode(request.params)
    return f"{request.url}?{query}" if query else request.url


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
