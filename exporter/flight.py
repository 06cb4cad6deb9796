"""One collection under way: what is asked for next, what is known so far, and when to stop asking."""

import threading
from collections import deque
from collections.abc import Iterable

from exporter.outcome import Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import BadRequest, Forbidden, NotFound, RateLimited, Unauthorized

ACCEPTED = {kind.reason for kind in (Forbidden, NotFound, BadRequest, RateLimited)}
"""Answers that say no to a target, and so yes to the token."""


class Flight:
    """One collection under way, for those who make it and those who wait for it.

    A call that is refused (401) may mean that the token is bad, or only that execution. So nothing new is
    asked until a call that is under way, or one more, has a verdict: if the token is good after all, the
    asking goes on; if that is refused as well, nothing more is asked. One execution that is refused costs
    no other its data, and a bad token costs few calls. A flight that inherits the `refusal` in which the
    last one ended asks for one execution first.

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
        self._taken: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._left = len(targets)
        self._refusal = refusal
        self._inherited = refusal is not None
        self._refusals = int(self._inherited)
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
                wanted = int(self._may_ask_one())
            hired = max(0, wanted - self._workers)
            self._workers += hired
            return hired

    def take(self) -> ExecutionTarget | None:
        """Take the next target to ask for; None if the worker is not wanted any more."""
        with self._lock:
            stopped = self._refusal is not None and not self._may_ask_one()
            if stopped or not self._pending or self.budget.spent:
                self._workers -= 1
                self._end_if_over()
                return None
            self._asking += 1
            target = self._pending.popleft()
            self._taken.add(target.id)
            return target

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
            if outcome.fresh or outcome.reason in ACCEPTED:
                self._refusal, self._refusals, self._accepted = None, 0, True
            elif outcome.reason == Unauthorized.reason:
                self._refused(Unauthorized(outcome.message, outcome.http_code))
            elif self._inherited:
                self._refusal, self._refusals = None, 0
            self._inherited = False
            self._end_if_over()

    def trust(self) -> None:
        """Forget an inherited refusal on which no call has had a verdict yet."""
        with self._lock:
            if self._inherited:
                self._refusal, self._refusals, self._inherited = None, 0, False

    def close(self) -> None:
        """Ask for nothing more, and let nobody wait any longer."""
        with self._lock:
            self._pending.clear()
            self.finished.set()

    def _refused(self, refusal: Unauthorized) -> None:
        self._refusals += 1
        if self._accepted:
            # The token was good a moment ago: it takes a second refusal to doubt it.
            self._accepted = False
        else:
            self._refusal = refusal

    def _may_ask_one(self) -> bool:
        """Whether, in doubt of the token, one more call may tell."""
        return not self._asking and (self._inherited or self._refusals < 2)

    def _is_refused(self) -> bool:
        in_doubt = self._refusal is not None and not self._asking
        return in_doubt and not (self._may_ask_one() and self._pending)

    def _end_if_over(self) -> None:
        if not self._left or self._is_refused():
            self.finished.set()

    @property
    def suspicious(self) -> bool:
        """Whether the flight still has to find out about the refusal that it inherited."""
        with self._lock:
            return self._inherited

    @property
    def refusal(self) -> Unauthorized | None:
        """The refusal on account of which the rest was not asked for, if that is what ended the asking."""
        with self._lock:
            return self._refusal if self._is_refused() else None

    def asked(self, execution_id: str) -> bool:
        """Whether a target was asked for."""
        with self._lock:
            return execution_id in self._taken

    def outcomes(self) -> dict[str, Outcome]:
        """Return what is known so far, by execution ID."""
        with self._lock:
            return dict(self._outcomes)
