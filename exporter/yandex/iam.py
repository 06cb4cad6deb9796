"""An IAM token, four ways, kept fresh for all who call at the same time."""

import collections
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter.yandex.calls import Budget, Clock
from exporter.yandex.errors import ApiError, AuthFailed, NotSent
from exporter.yandex.secrets import one_line, redact
from exporter.yandex.sources import (
    Source,
    Token,
)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_FIRST_INTERVAL = 10.0  # between renewals that a refusal asks for; doubles while they do not help
_LONGEST_INTERVAL = 600.0
_LEAST = 0.1  # seconds; with less there is no point in asking
_SHORTEST_LIFE = 60.0  # of an issued token, however far apart the clocks are
_LONGEST_MARGIN = 1800.0  # so that a renewal that fails is known long before the token runs out


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An attempt to get a token, for those who count them; holds no secret."""

    ok: bool
    expires_at: float | None
    message: str


@dataclass(frozen=True, slots=True)
class _Held:
    """A token, when it should be renewed and until when it may be used, as monotonic instants."""

    token: Token
    renew_at: float
    ends_at: float


class IamAuth:
    """Holds the token of one source: issues it once for all, renews it in good time.

    A token is renewed when a tenth of its life is left, five minutes at most. While renewing fails, a token
    that is still valid is kept. After a failure the source is left alone for 1 to 60 seconds.

    `_lock` is held while a token is issued and guards everything but `_held`, which is replaced in one
    assignment and read without it.
    """

    def __init__(self, source: Source, clock: Clock, observe: Callable[[TokenRecord], None]) -> None:
        self._source = source
        self._clock = clock
        self._observe = observe
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._refused: collections.deque[str] = collections.deque(maxlen=16)
        self._renewed_at = float("-inf")
        self._interval = _FIRST_INTERVAL
        self._failures = 0
        self._paused_until = float("-inf")
        self._message = ""

    def token(self, budget: Budget) -> str:
        """Return a token that should be accepted; raises AuthFailed, or NotSent while waiting."""
        held = self._held
        if held and not self._is_due(held):
            return held.token.value
        valid = self._is_valid(held)
        if not valid and budget.remaining() < _LEAST:
            raise NotSent("no time was left to ask for an IAM token")
        # Who has a valid token need not wait for the one who renews it, and who renews it not for long.
        with self._turn(0.0 if valid else budget.remaining()) as mine:
            held = self._held
            if mine and (held is None or self._is_due(held)):
                self._issue(_share(budget, 0.25 if valid else 0.8))
        held = self._held
        if held and self._is_valid(held):
            return held.token.value
        if not mine:
            raise NotSent("no time was left to wait for an IAM token")
        raise AuthFailed(self._message)

    def renew(self, stale: str, budget: Budget) -> str | None:
        """Return a fresher token than this one, which was refused; None if none is to be had."""
        with self._turn(budget.remaining()) as mine:
            if not mine:
                return None
            if stale not in self._refused:
                self._refused.append(stale)
            if self._usable() is None and self._may_renew():
                self._note_renewal()
                self._issue(_share(budget, 0.8))
            return self._usable()

    def _usable(self) -> str | None:
        value = self._held.token.value if self._held else None
        return None if value in self._refused else value

    def _may_renew(self) -> bool:
        now = self._clock.monotonic()
        return now >= self._paused_until and now - self._renewed_at >= self._interval

    def _note_renewal(self) -> None:
        """Space the renewals more while one follows another; one in a long while does not count."""
        now = self._clock.monotonic()
        follows = now - self._renewed_at < 2 * _LONGEST_INTERVAL
        self._interval = min(2 * self._interval, _LONGEST_INTERVAL) if follows else _FIRST_INTERVAL
        self._renewed_at = now

    @contextlib.contextmanager
    def _turn(self, seconds: float) -> Iterator[bool]:
        mine = self._lock.acquire(timeout=seconds)
        try:
            yield mine
        finally:
            if mine:
                self._lock.release()

    def _is_due(self, held: _Held) -> bool:
        return self._clock.monotonic() >= held.renew_at or self._source.changed()

    def _is_valid(self, held: _Held | None) -> bool:
        return held is not None and self._clock.monotonic() < held.ends_at

    def _issue(self, budget: Budget) -> None:
        if self._clock.monotonic() < self._paused_until:
            return
        try:
            token = self._source.issue(budget)
        except ApiError as error:
            self._failed(error)
            return
        same = self._held is not None and self._held.token.value == token.value
        recovered, self._failures = self._failures > 0, 0
        self._held = self._hold(token)
        if recovered or not same:
            self._observe(TokenRecord(ok=True, expires_at=token.expires_at, message=""))

    def _hold(self, token: Token) -> _Held:
        if token.expires_at is None:
            return _Held(token, float("inf"), float("inf"))
        life = max(token.expires_at - self._clock.time(), _SHORTEST_LIFE)
        margin = min(life * 0.1, _LONGEST_MARGIN)
        now = self._clock.monotonic()
        return _Held(token, now + life - margin, now + life)

    def _failed(self, error: ApiError) -> None:
        pause = min(_FIRST_PAUSE * 2.0**self._failures, _LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        self._paused_until = self._clock.monotonic() + pause
        self._message = one_line(redact(str(error)), 400)
        expires_at = self._held.token.expires_at if self._held else None
        self._observe(TokenRecord(ok=False, expires_at=expires_at, message=self._message))


def _share(budget: Budget, share: float) -> Budget:
    """Return a part of a budget: a source that does not answer must leave time to say so."""
    return Budget.of(budget.remaining() * share, budget.clock, budget.observers)
