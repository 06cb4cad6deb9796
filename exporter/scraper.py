"""Reads many executions within one budget. Knows nothing of samples.

Executions that ended are kept and cost no call; those that are still alive are read at each
collection, by a bounded number of workers. Collections of the same targets that come at the
same time are one.
"""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from exporter.flight import Flight
from exporter.memory import Memory, Record
from exporter.outcome import Collection, Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import (
    ApiError,
    BadRequest,
    BadResponse,
    BudgetSpent,
    Forbidden,
    NotFound,
    Unauthorized,
)
from exporter.yandex.transport import Budget, Clock

log = logging.getLogger(__name__)

TERMINAL_RECHECK = 3600.0
"""Seconds after which an execution that ended is asked for again, to notice its deletion."""
FAILED_RECHECK = 300.0
"""Seconds to leave alone an execution that does not exist, or a recheck that failed."""
LASTING = {NotFound.reason, Forbidden.reason, BadRequest.reason, BadResponse.reason}
"""Failures that asking again at once will not mend."""


class Scraper:
    """Reads executions: many targets, one budget, bounded workers.

    `_lock` guards `_flights` and `_doubt`. At most `concurrency` worker threads exist, whatever the
    number of collections; each call they make ends with its budget.
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
        self._concurrency = concurrency
        self._max_steps = max_steps
        self._observe = tuple(observe)
        self._jitter = jitter
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="scrape")
        self._lock = threading.Lock()
        self._flights: dict[tuple[ExecutionTarget, ...], Flight] = {}
        self._doubt: Unauthorized | None = None

    def collect(self, targets: Sequence[ExecutionTarget], budget: Budget) -> Collection:
        """Read these targets, each ID once; return when all are read or the budget is spent.

        Never raises because the cloud did: what failed is said by the outcomes.
        """
        key = tuple({target.id: target for target in targets}.values())
        flight, leads = self._board(key, budget)
        if leads:
            return self._lead(flight)
        flight.finished.wait(budget.remaining())
        return self._collection(flight)

    def latest(self, targets: Sequence[ExecutionTarget]) -> Collection | None:
        """Return what is known of these targets without asking; None if one was never read."""
        records = [self._memory.get(target.id) for target in targets]
        outcomes = tuple(
            replace(record.outcome, target=target)
            for record, target in zip(records, targets, strict=True)
            if record is not None
        )
        if len(outcomes) < len(records):
            return None
        return Collection(outcomes, min((o.at for o in outcomes), default=self._clock.time()), 0.0)

    def close(self) -> None:
        """Take no new work; the calls under way end with their budgets."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _board(self, key: tuple[ExecutionTarget, ...], budget: Budget) -> tuple[Flight, bool]:
        """Join the flight of these targets, unless it would end much earlier than we can wait."""
        with self._lock:
            flight = self._flights.get(key)
            watched = bool(budget.observers)
            if flight and not watched and flight.budget.remaining() >= budget.remaining() / 2:
                return flight, False
            flight = Flight(key, budget, self._clock.time(), self._doubt)
            if not watched:
                self._flights[key] = flight
            return flight, True

    def _lead(self, flight: Flight) -> Collection:
        self._memory.reserve(len(flight.targets))
        try:
            for _ in range(min(self._concurrency, self._filed(flight))):
                self._pool.submit(self._work, flight)
            flight.finished.wait(flight.budget.remaining())
        finally:
            with self._lock:
                self._doubt = flight.doubt
                if self._flights.get(flight.targets) is flight:
                    del self._flights[flight.targets]
        collection = self._collection(flight)
        for observe in self._observe:
            observe(collection)
        return collection

    def _filed(self, flight: Flight) -> int:
        """Give a flight what is known, let the rest be asked for, and return how many that is.

        An execution whose call was refused comes last, lest it ends the asking before the others.
        """
        known, due, refused = [], [], []
        for target in flight.targets:
            record = self._memory.get(target.id)
            if record is not None and self._clock.monotonic() < record.ask_after:
                known.append(self._remembered(record, target))
            elif record is not None and record.outcome.reason == Unauthorized.reason:
                refused.append(target)
            else:
                due.append(target)
        flight.known(known)
        return flight.queue([*due, *refused])

    def _collection(self, flight: Flight) -> Collection:
        landed = flight.outcomes()
        late = BudgetSpent("the scrape's budget ended before this execution was read")
        outcomes = tuple(landed.get(t.id) or self._failed(t, late) for t in flight.targets)
        took, allowed = self._clock.monotonic() - flight.began, flight.budget.at - flight.began
        return Collection(outcomes, flight.started, took, allowed)

    def _work(self, flight: Flight) -> None:
        while (taken := flight.next_target()) is not None:
            target, refusal = taken
            # What was not asked for is not remembered, so that it is not taken for what was refused.
            flight.land(self._failed(target, refusal) if refusal else self._read(target, flight.budget))

    def _read(self, target: ExecutionTarget, budget: Budget) -> Outcome:
        try:
            outcome = self._fetched(target, budget)
        except ApiError as error:
            outcome = self._failed(target, error)
        except Exception:
            log.exception("reading an execution failed in an unforeseen way")
            outcome = self._failed(target, BadResponse("the answer could not be handled; see the log"))
        self._memory.put(Record(outcome, self._ask_after(outcome)))
        return outcome

    def _remembered(self, record: Record, target: ExecutionTarget) -> Outcome:
        kept = replace(record.outcome, target=target, at=self._clock.time(), fresh=False, cached=True)
        outcome = replace(kept, reason="", message="") if kept.success else kept
        self._memory.put(replace(record, outcome=outcome))
        return outcome

    def _fetched(self, target: ExecutionTarget, budget: Budget) -> Outcome:
        execution = self._client.execution(target.id, budget)
        now = self._clock.time()
        outcome = Outcome(target, now, execution, success=True, http_code=200, last_success=now, fresh=True)
        if self._max_steps is None:
            return outcome
        try:
            return replace(outcome, history=self._client.history(target.id, self._max_steps, budget))
        except ApiError as error:
            return replace(outcome, reason=error.reason, message=f"history: {error}")

    def _failed(self, target: ExecutionTarget, error: ApiError) -> Outcome:
        """Say what failed; an execution that ended keeps its data, unless it is gone."""
        record = self._memory.get(target.id)
        last = record.outcome if record else Outcome(target, 0.0)
        failed = Outcome(
            target,
            self._clock.time(),
            http_code=error.http_code,
            reason=error.reason,
            message=str(error),
            last_success=last.last_success,
        )
        if last.ended and not isinstance(error, NotFound):
            return replace(failed, execution=last.execution, history=last.history, success=True)
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
