"""When single executions were last asked for, and how often in vain."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from exporter.memory import FAILED_RECHECK
from exporter.yandex.calls import Clock
from exporter.yandex.errors import ApiError

MOST_TRIES = 12
"""Answers in vain, five minutes apart, after which an execution is given up: an hour."""
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last call for something; `asked` and `until`, before which it is left alone, are monotonic.

    `error` is why it is left alone, if something is wrong with it.
    """

    asked: float
    tries: int = 0
    until: float = float("-inf")
    error: ApiError | None = None


class Patience:
    """The last attempt at each key. Outlives a reload.

    `_lock` guards `_attempts`, which holds at most 100,000.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()

    def waited(self, key: str) -> float:
        """Return the instant since which a key has waited; who was never asked for waits the longest."""
        attempt = self._get(key)
        return float("-inf") if attempt is None else attempt.asked

    def rests(self, key: str) -> bool:
        """Whether a key is to be left alone."""
        attempt = self._get(key)
        return attempt is not None and self._clock.monotonic() < attempt.until

    def error(self, key: str) -> ApiError | None:
        """Return why a key is left alone, if something is wrong with it."""
        attempt = self._get(key)
        return attempt.error if attempt is not None and self._clock.monotonic() < attempt.until else None

    def ask_missing_again(self) -> None:
        """Let what is left alone because something is wrong be asked for at once."""
        with self._lock:
            for key, attempt in self._attempts.items():
                if attempt.error is not None:
                    self._attempts[key] = replace(attempt, until=float("-inf"))

    def ask(self, key: str, pause: float = 0.0) -> None:
        """Note that a key is asked for now, and not again before so many seconds."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._attempts.pop(key, Attempt(now))
            self._attempts[key] = replace(last, asked=now, until=now + pause, error=None)
            while len(self._attempts) > MOST:
                self._attempts.popitem(last=False)

    def fail(self, key: str, error: ApiError) -> bool:
        """Note that asking again at once is of no use; return whether it is time to give up."""
        now = self._clock.monotonic()
        with self._lock:
            tries = self._attempts.get(key, Attempt(now)).tries + 1
            self._attempts[key] = Attempt(now, tries, now + FAILED_RECHECK, error)
        return tries >= MOST_TRIES

    def forget(self, key: str) -> None:
        """Take that nothing more is wanted of a key."""
        with self._lock:
            self._attempts.pop(key, None)

    def _get(self, key: str) -> Attempt | None:
        with self._lock:
            return self._attempts.get(key)
