"""When single executions were last asked for, how often in vain, and when to ask again."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from exporter.memory import FAILED_RECHECK
from exporter.yandex.calls import Clock
from exporter.yandex.errors import LASTING, ApiError

FIRST_PAUSE = 10.0
"""Seconds after a failure that may pass; doubles with each, up to FAILED_RECHECK."""
MOST_TRIES = 12
"""Answers that will not change, five minutes apart, after which it is time to give up: an hour."""
MOST_PASSING = 288
"""The same for failures that may pass: a day."""
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """The last call for something; `asked` and `until`, before which it is left alone, are monotonic.

    `error` is why it is left alone, if something is wrong with it.
    """

    asked: float = float("-inf")
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
        return self._get(key).asked

    def rests(self, key: str) -> bool:
        """Whether a key is to be left alone."""
        return self._clock.monotonic() < self._get(key).until

    def error(self, key: str) -> ApiError | None:
        """Return why a key is left alone, if something is wrong with it."""
        attempt = self._get(key)
        return attempt.error if self._clock.monotonic() < attempt.until else None

    def ask(self, key: str, pause: float = 0.0) -> None:
        """Note that a key is asked for now, and not again before so many seconds."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._attempts.get(key, Attempt())
            self._put(key, replace(last, asked=now, until=max(last.until, now + pause)))

    def fail(self, key: str, error: ApiError) -> int:
        """Note a failure and let the key rest; return how many there were, 0 if another has just noted it."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._attempts.get(key, Attempt())
            if last.error is not None and now < last.until:
                return 0
            tries = last.tries + 1
            pause = FAILED_RECHECK
            if not isinstance(error, LASTING):
                pause = min(pause, FIRST_PAUSE * 2.0 ** min(last.tries, 10))
            self._put(key, Attempt(now, tries, now + pause, error))
            return tries

    def succeed(self, key: str) -> None:
        """Take that all is well with a key; what it failed in before does not count any more."""
        with self._lock:
            last = self._attempts.get(key)
            if last is not None:
                self._put(key, replace(last, tries=0, error=None))

    def forget(self, key: str) -> None:
        """Take that nothing more is wanted of a key."""
        with self._lock:
            self._attempts.pop(key, None)

    def ask_missing_again(self) -> None:
        """Let what is left alone because something is wrong be asked for at once."""
        with self._lock:
            for key, attempt in self._attempts.items():
                if attempt.error is not None:
                    self._attempts[key] = replace(attempt, until=float("-inf"))

    def _get(self, key: str) -> Attempt:
        with self._lock:
            return self._attempts.get(key, Attempt())

    def _put(self, key: str, attempt: Attempt) -> None:
        self._attempts[key] = attempt
        self._attempts.move_to_end(key)
        while len(self._attempts) > MOST:
            self._attempts.popitem(last=False)


def is_hopeless(error: ApiError, tries: int) -> bool:
    """Whether it is time to give up after so many failures, of which this is the last."""
    return tries >= (MOST_TRIES if isinstance(error, LASTING) else MOST_PASSING)
