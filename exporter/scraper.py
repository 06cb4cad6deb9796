"""Reads many executions within one budget. Knows nothing of samples.

Executions that ended are kept and cost no call; those that are still alive are read at each
collection, by a bounded number of workers. Collections of the same targets that come at the
same time are one.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from exporter.flight import Flight
from exporter.memory import Memory, Record
from exporter.outcome import Collection, Outcome
from exporter.targets import ExecutionTarget
from exporter.workers import Turns, Workers
from exporter.yandex.calls import Budget, Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import (
    ApiError,
    BadRequest,
    BadResponse,
    BudgetSpent,
    Forbidden,
    NotFound,
    NotSent,
    Unauthorized,
)

log = logging.getLogger(__name__)

TERMINAL_RECHECK = 3600.0
"""Seconds after which an execution that ended is asked for again, to notice its deletion."""
FAILED_RECHECK = 300.0
"""Seconds to leave alone an execution that does not exist, or a recheck that failed."""
LASTING = {NotFound.reason, Forbidden.reason, BadRequest.reason, BadResponse.reason}
"""Failures that asking again at once will not mend."""
HANDICAP = 60.0
"""Seconds by which what failed stands behind the others in the queue, since it may have held them up."""
JOINABLE = 0.75
"""The share of its own time for which a collection may wait for another one instead of beginning."""

_Key = tuple[ExecutionTarget, ...]


class Scraper:
    """Reads executions: many targets, one budget, bounded workers.

    At most `concurrency` calls are under way, those of probes at most half of them, so that no probe
    keeps the scrape waiting. Each call ends with its budget. Where one collection needs several turns,
    others have theirs in between.

    `_lock` guards `_joinable`, `_flights`, `_closed`, `_refusal` and `_latest`.
    """

    def __init__(
        self,
        client: WorkflowsClient,
        memory: Memory,
        clock: Clock,
        *,
        concurrency: int,
        max_steps: int | None = None,
        observe: Sequence[Callable[[Collection], None]] = (),
        jitter: random.Random,
    ) -> None:
        self._client = client
        self._memory = memory
        self._clock = clock
        self._max_steps = max_steps
        self._observe = tuple(observe)
        self._jitter = jitter
        self._calls = Turns(concurrency)
        self._scrapes = Workers(concurrency)
        self._probes = Workers(max(1, concurrency // 2))
        self._lock = threading.Lock()
        self._joinable: dict[tuple[_Key, bool], Flight] = {}
        self._flights: set[Flight] = set()
        self._closed = False
        self._refusal: Unauthorized | None = None
        self._latest: tuple[_Key, float, Collection] | None = None

    def collect(
        self, targets: Sequence[ExecutionTarget], budget: Budget, *, probe: bool = False
    ) -> Collection:
        """Read these targets, each ID once; return when all are read or the budget is spent.

        Never raises because the cloud did: what failed is said by the outcomes.
        """
        key = tuple({target.id: target for target in targets}.values())
        flight, joined = self._join(key, budget, probe=probe)
        if joined:
            flight.finished.wait(budget.remaining())
            return self._collection(flight, probe=probe)
        return self._fly(flight, probe=probe)

    def latest(self, targets: Sequence[ExecutionTarget], max_age: float) -> Collection | None:
        """Return the last collection of just these targets; None if it is older than so many seconds."""
        with self._lock:
            latest = self._latest
        if latest is None or latest[0] != tuple(targets) or self._clock.monotonic() - latest[1] > max_age:
            return None
        return latest[2]

    def close(self) -> None:
        """End every collection, later ones too; calls under way end with their own time limit."""
        with self._lock:
            self._closed = True
            flights = list(self._flights)
        for flight in flights:
            flight.close()
        self._scrapes.close()
        self._probes.close()

    def _join(self, key: _Key, budget: Budget, *, probe: bool) -> tuple[Flight, bool]:
        """Return the flight of these targets if it leaves us our time, else a new one."""
        with self._lock:
            flight = self._joinable.get((key, probe))
            watched = bool(budget.observers)
            if flight and not watched and flight.budget.remaining() >= budget.remaining() * JOINABLE:
                return flight, True
            flight = Flight(key, budget, self._clock.time(), None if probe else self._refusal)
            self._flights.add(flight)
            if not watched:
                self._joinable[key, probe] = flight
            if self._closed:
                flight.close()
            return flight, False

    def _fly(self, flight: Flight, *, probe: bool) -> Collection:
        """Make a collection, and let those know who count and log."""
        workers = self._probes if probe else self._scrapes
        if not probe:
            self._memory.reserve(len(flight.targets) * (1 + (self._max_steps or 0)))
        try:
            flight.enqueue(*self._sorted(flight.targets))
            self._hire(flight, workers)
            if flight.suspicious and not flight.finished.wait(flight.budget.remaining() / 4):
                flight.trust()
                self._hire(flight, workers)
            flight.finished.wait(flight.budget.remaining())
        finally:
            flight.close()
            with self._lock:
                self._flights.discard(flight)
                if self._joinable.get((flight.targets, probe)) is flight:
                    del self._joinable[flight.targets, probe]
        collection = self._collection(flight, probe=probe)
        if not probe:
            with self._lock:
                self._refusal = flight.refusal
                self._latest = (flight.targets, self._clock.monotonic(), collection)
        for observe in self._observe:
            observe(collection)
        return collection

    def _sorted(self, targets: _Key) -> tuple[list[Outcome], list[ExecutionTarget]]:
        """Return what is known, and what must be asked for: the longest waiting first."""
        now = self._clock.monotonic()
        known: list[Outcome] = []
        due: list[tuple[float, ExecutionTarget]] = []
        for target in targets:
            record = self._memory.get(target.id)
            if record is not None and now < record.ask_after:
                known.append(self._kept(record.outcome, target))
            elif record is not None:
                due.append((record.asked + HANDICAP * bool(record.outcome.reason), target))
            else:
                due.append((float("-inf"), target))
        return known, [target for _, target in sorted(due, key=lambda each: each[0])]

    def _kept(self, outcome: Outcome, target: ExecutionTarget) -> Outcome:
        kept = replace(outcome, target=target, at=self._clock.time(), fresh=False, cached=True)
        return replace(kept, reason="", message="") if kept.success else kept

    def _collection(self, flight: Flight, *, probe: bool) -> Collection:
        known = flight.outcomes()
        missing = flight.refusal or BudgetSpent("the scrape's budget ended before this execution was read")
        outcomes = tuple(
            known.get(t.id) or self._missed(t, missing, sent=flight.asked(t.id)) for t in flight.targets
        )
        took = self._clock.monotonic() - flight.began
        return Collection(outcomes, flight.started, took, flight.budget.seconds, probe)

    def _missed(self, target: ExecutionTarget, error: ApiError, *, sent: bool) -> Outcome:
        """Return the outcome of a target that was not read in time; it is not remembered."""
        return replace(self._failed(target, error, self._memory.get(target.id)), sent=sent)

    def _hire(self, flight: Flight, workers: Workers) -> None:
        for _ in range(flight.hire(workers.size)):
            workers.submit(self._work, flight, workers)

    def _work(self, flight: Flight, workers: Workers) -> None:
        """Read one target, then go behind the work of the other flights for the next."""
        target = flight.take()
        if target is not None:
            flight.done(self._read(target, flight))
            workers.submit(self._work, flight, workers)
            self._hire(flight, workers)

    def _read(self, target: ExecutionTarget, flight: Flight) -> Outcome:
        if not self._calls.acquire(flight.budget.remaining()):
            return self._missed(target, NotSent("no time was left for the call"), sent=False)
        try:
            return self._asked(target, flight)
        finally:
            self._calls.release()

    def _asked(self, target: ExecutionTarget, flight: Flight) -> Outcome:
        """Ask for one target and remember the outcome; what was not sent has none."""
        asked, generation = self._clock.monotonic(), self._memory.generation

        def record(outcome: Outcome) -> Record:
            return Record(outcome, asked, self._ask_after(outcome))

        try:
            outcome = self._fetched(target, flight)
        except NotSent as error:
            return self._missed(target, error, sent=False)
        except ApiError as error:
            failure = error
        except Exception:
            log.exception("reading an execution failed in an unforeseen way")
            failure = BadResponse("the answer could not be handled; see the log")
        else:
            return self._memory.update(target.id, lambda _: record(outcome), generation)
        return self._memory.update(
            target.id, lambda last: record(self._failed(target, failure, last)), generation
        )

    def _fetched(self, target: ExecutionTarget, flight: Flight) -> Outcome:
        execution = self._client.execution(target.id, flight.budget)
        now = self._clock.time()
        outcome = Outcome(target, now, execution, http_code=200, last_success=now, fresh=True)
        if self._max_steps is None:
            return outcome
        # Should the history take all the time that is left, this is what is known of the execution.
        flight.note(_without_history(outcome, BudgetSpent("the scrape's budget ended before it was read")))
        if flight.histories_refused is not None:
            return _without_history(outcome, flight.histories_refused)
        try:
            return replace(outcome, history=self._client.history(target.id, self._max_steps, flight.budget))
        except ApiError as error:
            if isinstance(error, Unauthorized):
                flight.histories_refused = error
            return _without_history(outcome, error)

    def _failed(self, target: ExecutionTarget, error: ApiError, last: Record | None) -> Outcome:
        """Say what failed; an execution that ended keeps its data, unless it is gone."""
        failed = Outcome(
            target,
            self._clock.time(),
            http_code=error.http_code,
            reason=error.reason,
            message=str(error),
            last_success=last.outcome.last_success if last else None,
        )
        if last and last.outcome.ended and not isinstance(error, NotFound):
            return replace(failed, execution=last.outcome.execution, history=last.outcome.history)
        return failed

    def _ask_after(self, outcome: Outcome) -> float:
        """Return when to ask again; rechecks are spread, so that they do not come all at once."""
        now = self._clock.monotonic()
        if outcome.reason == NotFound.reason and not outcome.success:
            return now + FAILED_RECHECK
        if not outcome.ended:
            return now
        if outcome.fresh and not outcome.reason:
            return now + TERMINAL_RECHECK * self._jitter.uniform(0.9, 1.1)
        # A history that could not be read for a passing reason is asked for at the next collection.
        passing = outcome.fresh and outcome.reason not in LASTING
        return now if passing else now + FAILED_RECHECK


def _without_history(outcome: Outcome, error: ApiError) -> Outcome:
    return replace(outcome, reason=error.reason, message=f"history: {error}")
