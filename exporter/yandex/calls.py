"""The values that a call is made of: its budget, its limits, request, answer and record."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from exporter.yandex.secrets import one_line, redact


class Clock(Protocol):
    """Time, as a parameter. Seconds."""

    def monotonic(self) -> float:
        """Return an instant that never goes back."""

    def time(self) -> float:
        """Return Unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The time of this machine."""

    def monotonic(self) -> float:
        """Return an instant that never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One attempt of a call, for those who count or show calls; holds no secret.

    `method` is the API's name of the call, `code` the HTTP status (0: no answer), `attempt` counts
    from 0, `error` is a reason of the exception tree or empty. `url` is empty unless somebody watches
    just these calls: to clean it of secrets takes time.
    """

    method: str
    url: str
    code: int
    seconds: float
    attempt: int
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Budget:
    """The seconds that a piece of work may take, the instant at which they end, and who watches its calls."""

    seconds: float
    at: float
    clock: Clock
    observers: tuple[Callable[[CallRecord], None], ...] = ()

    @classmethod
    def of(
        cls, seconds: float, clock: Clock, observers: tuple[Callable[[CallRecord], None], ...] = ()
    ) -> Self:
        """Return a budget that ends so many seconds from now."""
        return cls(seconds, clock.monotonic() + seconds, clock, observers)

    def remaining(self) -> float:
        """Return the seconds left, 0 if there are none."""
        return max(0.0, self.at - self.clock.monotonic())

    @property
    def spent(self) -> bool:
        """Whether no time is left."""
        return self.remaining() <= 0


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `method` is the API's name of the call, `verb` that of HTTP.

    `token` becomes the Authorization header; every value of `form` and `json` counts as secret.
    """

    method: str
    verb: str
    url: str
    params: tuple[tuple[str, str], ...] = ()
    token: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    form: Mapping[str, str] | None = field(default=None, repr=False)
    json: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        return (self.token, *(self.form or {}).values(), *(self.json or {}).values())

    def clean(self, text: str) -> str:
        """Return the text on one line, without this request's secrets."""
        return one_line(redact(text, *self.secrets))


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with status 200: `body` is the decoded JSON. It may be a secret, so it is not shown.

    `date` is the header of this name, the time by the clock of who answered; "" if there is none.
    """

    code: int
    body: Any = field(repr=False)
    date: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transport allows itself.

    Seconds for one call, calls per second (None: any number), decoded bytes of one answer, attempts
    after the first, connections kept.
    """

    timeout: float
    requests_per_second: float | None
    max_response_bytes: int
    retries: int = 2
    pool: int = 32


class Authorizer(Protocol):
    """Gives the token that goes with a call."""

    def token(self, budget: Budget) -> str:
        """Return a token that should be accepted; raises ApiError if none is to be had."""

    def renew(self, stale: str, budget: Budget) -> str | None:
        """Return a fresher token than the one that was refused; None if none is to be had."""
