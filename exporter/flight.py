"""One collection under way: what is asked for next, what is known so far, and when to stop asking."""

import threading
from collections import deque
from collections.abc import Iterable

from exporter.outcome import Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import Unauthorized


class Flight:
    """One collection under way, for those who make it and those who wait for it.

    A call that is refused (401) may mean that the token is bad, or only that execution. So nothing new is
    asked until a call that is under way shows that the token is good after all; if none does, nothing
    more is asked. One execution that is refused costs no other its data, and a bad token costs few calls.
    A flight that inherits the `refusal` in which the last one ended asks for one execution first.

    `_lock` guards all that is private; `finished` is set when nothing more will come;
    `histories_refused` is written once, by whoever is refused a history first.
    """

    def __init__(
        self,
        targets: tuple[ExecutionTarget, ...],
        budget: Budget,
        started: float,
        refusal: Unauthorized | None = None,
    ) -> None:
        self.targets = targets
        self.budget = budget
        self.started = started
        self.began = budget.clock.monotonic()
        self.finished = threading.Event()
        self.histories_refused: Unauthorized | None = None
        self._lock = threading.Lock()
        self._pending: deque[ExecutionTarget] = deque()
        self._outcomes: dict[str, Outcome] = {}
        self._left = len(targets)
        self._refusal = refusal
        self._inherited = refusal is not None
        self._accepted = False
        self._workers = 0
        self._asking = 0

    def enqueue(self, known: Iterable[Outcome], due: Iterable[ExecutionTarget]) -> None:
        """Take what nobody has to ask for, and what is to be asked for, in this order."""
        with self._lock:
            self._pending.extend(due)
            for outcome in known:
                self._outcomes[outcome.target.id] = outcome
                self._left -= 1
            self._end_if_over()

    def hire(self, limit: int) -> int:
        """Return how many more workers are wanted now, at most `limit` in all."""
        with self._lock:
            if self._refusal is None:
                wanted = min(limit, self._workers + len(self._pending))
            else:
                wanted = int(self._inherited)
            hired = max(0, wanted - self._workers)
            self._workers += hired
            return hired

    def take(self) -> ExecutionTarget | None:
        """Take the next target to ask for; None if the worker is not wanted any more."""
        with self._lock:
            stopped = self._refusal is not None and not (self._inherited and not self._asking)
            if stopped or not self._pending or self.budget.spent:
                self._workers -= 1
                self._end_if_over()
                return None
            self._asking += 1
            return self._pending.popleft()

    def note(self, outcome: Outcome) -> None:
        """Take what is known of a target that is still being read."""
        with self._lock:
            self._outcomes[outcome.target.id] = outcome

    def done(self, outcome: Outcome) -> None:
        """Take the outcome of a target that was taken."""
        with self._lock:
            self._outcomes[outcome.target.id] = outcome
            self._asking -= 1
            self._left -= 1
            if outcome.fresh or outcome.reason != Unauthorized.reason:
                self._refusal, self._accepted = None, True
            elif self._accepted:
                self._accepted = False
            else:
                self._refusal = Unauthorized(outcome.message, outcome.http_code)
            self._inherited = False
            self._end_if_over()

    def trust(self) -> None:
        """Forget an inherited refusal on which no call has had a verdict yet."""
        with self._lock:
            if self._inherited:
                self._refusal, self._inherited = None, False

    def close(self) -> None:
        """Ask for nothing more, and let nobody wait any longer."""
        with self._lock:
            self._pending.clear()
            self.finished.set()

    def _end_if_over(self) -> None:
        refused = self._refusal is not None and not self._inherited and not self._asking
        if not self._left or refused:
            self.finished.set()

    @property
    def refusal(self) -> Unauthorized | None:
        """The refusal that is in force: what was not asked for is not read because of it."""
        with self._lock:
            return self._refusal

    def outcomes(self) -> dict[str, Outcome]:
        """Return what is known so far, by execution ID."""
        with self._lock:
            return dict(self._outcomes)
