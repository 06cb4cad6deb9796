"""One collection under way: what is asked for next, what is known so far, and when to stop asking."""

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from exporter.outcome import Collection, Outcome, WorkflowOutcome
from exporter.targets import Target, Watched, WorkflowTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import (
    ApiError,
    BadRequest,
    BudgetSpent,
    Forbidden,
    NotFound,
    NotSent,
    RateLimited,
    Unauthorized,
)

GLIMPSE_SECONDS = 0.5
"""How old what is known of a flight under way may be, for those who cannot wait for its end."""
ACCEPTED = (Forbidden, NotFound, BadRequest, RateLimited)
"""Answers that say no to a target, and so yes to the token."""


@dataclass(frozen=True, slots=True)
class Job:
    """A part of the work for a target: some calls, one after another.

    `work` returns the error that ended it, None if it read what it was for. `waited` orders jobs: those that
    have waited since the earliest instant come first, and of these the one that was handed in first.
    """

    target: Target
    work: Callable[["Flight"], ApiError | None]
    waited: float = 0.0


_Waiting = tuple[float, int, Job]


class Flight:
    """One collection under way, for those who make it and those who wait for it.

    A call that is refused (401) may mean that the token is bad, or only that target. So nothing new is
    asked until a call that is under way, or one more, has a verdict: if the token is good after all, the
    asking goes on; if that is refused as well, nothing more is asked. One target that is refused costs
    no other its data, and a bad token costs few calls. A flight that inherits the `refusal` in which the
    last one ended asks for one target first.

    Targets may join while it goes on. Work in the background is begun when no other waits.

    A history that is refused says nothing of the token; after two, with none read between them, no more are
    asked for.

    `_lock` guards all that is private; `finished` is set when nothing more will come, `landed` when
    `collection`, what came of it, is there and those who count and log have been told. `_glimpsing` is held
    while a glimpse is put together, and guards `_glimpse` and `_glimpsed`.
    """

    def __init__(
        self,
        watched: Watched,
        budget: Budget,
        started: float,
        *,
        refusal: Unauthorized | None = None,
        searching: bool = False,
    ) -> None:
        self.watched = watched
        self.budget = budget
        self.started = started
        self.searching = searching
        self.began = budget.clock.monotonic()
        self.finished = threading.Event()
        self.landed = threading.Event()
        self.collection: Collection | None = None
        self._glimpsing = threading.Lock()
        self._glimpse: Collection | None = None
        self._glimpsed = 0.0
        self._lock = threading.Lock()
        self._closed = False
        self._pending: list[_Waiting] = []
        self._background: list[_Waiting] = []
        self._handed_in = itertools.count()
        self._unfinished: Counter[tuple[str, str]] = Counter()
        self._targets: dict[tuple[str, str], Target] = {_key(target): target for target in watched.all}
        self._sent: Counter[tuple[str, str]] = Counter()
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._claimed: set[str] = set()
        self._broken: dict[tuple[str, str], ApiError] = {}
        self._left = 0
        self._refusal = refusal
        self._inherited = refusal is not None
        self._refusals = int(self._inherited)
        self._accepted = False
        self._workers = 0
        self._asking = 0
        self._history_refusals = 0
        self._histories_refused: Unauthorized | None = None

    def enqueue(self, jobs: Iterable[Job]) -> None:
        """Take work to be done; what comes after the end is left undone."""
        with self._lock:
            self._push(self._pending, jobs)
            self._end_if_over()

    def enqueue_behind(self, jobs: Iterable[Job]) -> None:
        """Take work that nothing else is to wait for."""
        with self._lock:
            self._push(self._background, jobs)

    def _push(self, queue: list[_Waiting], jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._unfinished[_key(job.target)] += 1
            if not self._closed:
                heapq.heappush(queue, (job.waited, next(self._handed_in), job))
                self._left += 1

    def join(self, targets: Iterable[Target]) -> list[Target]:
        """Take targets that have been found meanwhile; return those that are new here."""
        with self._lock:
            fresh = [target for target in targets if _key(target) not in self._targets]
            self._targets.update((_key(target), target) for target in fresh)
            return fresh

    @property
    def histories_refused(self) -> Unauthorized | None:
        """The refusal on account of which no more histories are to be asked for."""
        with self._lock:
            return self._histories_refused

    def history_told(self, refusal: Unauthorized | None) -> None:
        """Take that a history was read, or refused."""
        with self._lock:
            self._history_refusals = self._history_refusals + 1 if refusal else 0
            if self._history_refusals > 1:
                self._histories_refused = refusal

    def claim(self, what: str) -> bool:
        """Whether the caller is the first of this flight to see to something."""
        with self._lock:
            first = what not in self._claimed
            self._claimed.add(what)
            return first

    def hire(self, limit: int) -> int:
        """Return how many more workers are wanted now, at most `limit` in all."""
        with self._lock:
            if self._refusal is None:
                wanted = min(limit, self._workers + len(self._pending) + len(self._background))
            else:
                wanted = int(self._may_ask_one())
            hired = max(0, wanted - self._workers)
            self._workers += hired
            return hired

    def take(self) -> Job | None:
        """Return the next job; None if there is nothing to do (yet), which ends the worker."""
        with self._lock:
            stopped = self._refusal is not None and not self._may_ask_one()
            if stopped or self.budget.spent or not (self._pending or self._background):
                self._workers -= 1
                self._end_if_over()
                return None
            self._asking += 1
            _, _, job = heapq.heappop(self._pending or self._background)
            self._sent[_key(job.target)] += 1
            return job

    def note(self, outcome: Outcome) -> None:
        """Take what is known of a target, in place of what was known before."""
        with self._lock:
            self._outcomes[_key(outcome.target)] = outcome

    def amend(self, target: WorkflowTarget, change: Callable[[WorkflowOutcome], WorkflowOutcome]) -> None:
        """Change what is known of a workflow, of which several jobs tell."""
        with self._lock:
            known = self._outcomes.get(_key(target))
            if isinstance(known, WorkflowOutcome):
                self._outcomes[_key(target)] = change(known)

    def done(self, job: Job, error: ApiError | None) -> None:
        """Take that a job has been done, and what ended it."""
        with self._lock:
            if isinstance(error, NotSent):
                self._sent[_key(job.target)] -= 1
            self._asking -= 1
            self._left -= 1
            self._unfinished[_key(job.target)] -= 1
            if error is None or isinstance(error, ACCEPTED):
                self._refusal, self._refusals, self._accepted = None, 0, True
            elif isinstance(error, Unauthorized):
                self._refused(error)
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
            self._closed = True
            self._pending.clear()
            self._background.clear()
            self.finished.set()

    def land(self, collection: Collection | None) -> None:
        """Give those who wait what came of it; None where nothing did."""
        self.collection = collection
        self.landed.set()

    def glimpse(self, put_together: Callable[[], Collection]) -> Collection:
        """Return what is known so far, put together once for all who ask within a moment."""
        with self._glimpsing:
            clock = self.budget.clock
            if self._glimpse is None or clock.monotonic() - self._glimpsed > GLIMPSE_SECONDS:
                self._glimpse, self._glimpsed = put_together(), clock.monotonic()
            return self._glimpse

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
        return in_doubt and not (self._may_ask_one() and (self._pending or self._background))

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

    def broke(self, target: Target, error: ApiError) -> None:
        """Take that work for a target ended in a way that nobody foresaw."""
        with self._lock:
            self._broken[_key(target)] = error

    def missing(self, target: Target) -> ApiError:
        """Return why there is no outcome of a target that has none."""
        with self._lock:
            broken = self._broken.get(_key(target))
        return broken or self.refusal or BudgetSpent("the scrape's budget ended before this was read")

    def asked(self, target: Target) -> bool:
        """Whether a target was asked for."""
        with self._lock:
            return self._sent[_key(target)] > 0

    def unfinished(self, target: Target) -> int:
        """Return how many jobs of a target were not done."""
        with self._lock:
            return self._unfinished[_key(target)]

    def outcome(self, target: Target) -> Outcome | None:
        """Return what is known of a target so far."""
        with self._lock:
            return self._outcomes.get(_key(target))

    def targets(self) -> tuple[Target, ...]:
        """Return the targets, those that have joined last."""
        with self._lock:
            return tuple(self._targets.values())


def _key(target: Target) -> tuple[str, str]:
    return target.kind, target.id
