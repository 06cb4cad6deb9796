"""One collection under way: which target is asked for next, what has landed, and when to stop asking."""

import threading
from collections import deque
from collections.abc import Iterable

from exporter.outcome import Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import Unauthorized


class Flight:
    """One collection under way, for those who make it and those who wait for it.

    A refused token puts a flight in doubt: nothing new is asked until a call that is under way shows
    that the token is good after all, and if none does, nothing more is asked. So one execution that
    answers 401 costs no other its data, and a token that is bad costs a call or two. A flight that
    begins in `doubt`, because the last one ended so, asks for one execution first.

    `_turn` guards all that is private; `finished` is set once every target has an outcome.
    """

    def __init__(
        self,
        targets: tuple[ExecutionTarget, ...],
        budget: Budget,
        started: float,
        doubt: Unauthorized | None = None,
    ) -> None:
        self.targets = targets
        self.budget = budget
        self.started = started
        self.began = budget.clock.monotonic()
        self.finished = threading.Event()
        self._turn = threading.Condition()
        self._pending: deque[ExecutionTarget] = deque()
        self._outcomes: dict[str, Outcome] = {}
        self._doubt = doubt
        self._asked = 0
        self._asking = 0
        self._accepted = False

    def queue(self, targets: Iterable[ExecutionTarget]) -> int:
        """Let these be asked for, in this order; return how many they are."""
        with self._turn:
            self._pending.extend(targets)
            return len(self._pending)

    def next_target(self) -> tuple[ExecutionTarget, Unauthorized | None] | None:
        """Take the next target, with the refusal on account of which it must not be asked for."""
        with self._turn:
            while self._doubt and self._asking and self._turn.wait(self.budget.remaining()):
                pass
            if not self._pending:
                return None
            refused = self._doubt if self._asked else None
            self._asked += 1
            self._asking += 1
            return self._pending.popleft(), refused

    def land(self, outcome: Outcome) -> None:
        """Take the outcome of a target that was taken."""
        with self._turn:
            self._asking -= 1
            if outcome.reason != Unauthorized.reason:
                self._doubt, self._accepted = None, True
            elif not self._accepted:
                self._doubt = Unauthorized(outcome.message, outcome.http_code)
            else:
                self._accepted = False
            self._add(outcome)
            self._turn.notify_all()

    def known(self, outcomes: Iterable[Outcome]) -> None:
        """Take outcomes that nobody had to ask for."""
        with self._turn:
            for outcome in outcomes:
                self._add(outcome)
            if not self.targets:
                self.finished.set()

    def _add(self, outcome: Outcome) -> None:
        self._outcomes[outcome.target.id] = outcome
        if len(self._outcomes) == len(self.targets):
            self.finished.set()

    @property
    def doubt(self) -> Unauthorized | None:
        """The refusal of the token that ended the asking, if it did."""
        with self._turn:
            return self._doubt

    def outcomes(self) -> dict[str, Outcome]:
        """Return what has landed so far, by execution ID."""
        with self._turn:
            return dict(self._outcomes)
