"""When single executions were last asked for, and how often in vain."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from exporter.memory import FAILED_RECHECK
from exporter.yandex.calls import Clock

MOST_TRIES = 12
"""Answers in vain, five minutes apart, after which an execution is given up: an hour."""
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last call for something; `asked` and `until`, before which it is left alone, are monotonic."""

    asked: float
    tries: int = 0
    until: float = float("-inf")


class Patience:
    """The last attempt at each key. `_lock` guards `_attempts`, which holds at most 100,000."""

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

    def ask(self, key: str, pause: float = 0.0) -> None:
        """Note that a key is asked for now, and not again before so many seconds."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._attempts.pop(key, Attempt(now))
            self._attempts[key] = replace(last, asked=now, until=now + pause)
            while len(self._attempts) > MOST:
                self._attempts.popitem(last=False)

    def fail(self, key: str) -> bool:
        """Note that asking again at once is of no use; return whether it is time to give up."""
        self.ask(key, FAILED_RECHECK)
        with self._lock:
            attempt = self._attempts[key]
            self._attempts[key] = replace(attempt, tries=attempt.tries + 1)
        return attempt.tries + 1 >= MOST_TRIES

    def forget(self, key: str) -> None:
        """Take that nothing more is wanted of a key."""
        with self._lock:
            self._attempts.pop(key, None)

    def _get(self, key: str) -> Attempt | None:
        with self._lock:
            return self._attempts.get(key)
