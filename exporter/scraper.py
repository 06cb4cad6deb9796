"""Reads many executions within one budget. Knows nothing of samples.

Executions that ended are kept and cost no call; those that are still alive are read at each
collection, by a bounded number of workers. Collections of the same targets that come at the
same time are one.
"""

import logging
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from exporter.targets import ExecutionTarget
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import ApiError, BadResponse, BudgetSpent, NotFound, Unauthorized
from exporter.yandex.history import History
from exporter.yandex.models import Execution
from exporter.yandex.transport import Budget, Clock

log = logging.getLogger(__name__)

TERMINAL_RECHECK = 3600.0
"""Seconds after which an execution that ended is asked for again, to notice its deletion."""
FAILED_RECHECK = 300.0
"""Seconds to leave alone an execution that does not exist, or a recheck that failed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one collection knows of one execution.

    `execution` is None when there is no valid data; `http_code` is that of the last attempt, 0 if
    it had no answer; `reason` and `message` say what failed, empty if nothing did; times are Unix
    seconds. `fresh` is data read in this collection, `cached` an answer that cost no call.
    """

    target: ExecutionTarget
    at: float
    execution: Execution | None = None
    history: History | None = None
    success: bool = False
    http_code: int = 0
    reason: str = ""
    message: str = ""
    last_success: float | None = None
    fresh: bool = False
    cached: bool = False

    @property
    def ended(self) -> bool:
        """Whether this is valid data that will not change any more."""
        return self.execution is not None and self.execution.status.terminal


@dataclass(frozen=True, slots=True)
class Collection:
    """The outcomes of one reading of targets; `started` in Unix seconds, `seconds` it took."""

    outcomes: tuple[Outcome, ...]
    started: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Record:
    """The last outcome of an execution, and the monotonic instant before which it is not asked again."""

    outcome: Outcome
    ask_after: float


class Memory:
    """The last record of each execution, at most `size` of them, the least recently used go first.

    It outlives a reload. `_lock` guards `_records`.
    """

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._records: OrderedDict[str, Record] = OrderedDict()

    def get(self, execution_id: str) -> Record | None:
        """Return what is remembered of an execution."""
        with self._lock:
            record = self._records.get(execution_id)
            if record is not None:
                self._records.move_to_end(execution_id)
            return record

    def put(self, record: Record) -> None:
        """Remember this, and forget what was used least if there is no room."""
        with self._lock:
            self._records[record.outcome.target.id] = record
            self._records.move_to_end(record.outcome.target.id)
            while len(self._records) > self._size:
                self._records.popitem(last=False)

    def reserve(self, targets: int) -> None:
        """Make room for at least twice this many executions, so that none evicts another."""
        with self._lock:
            self._size = max(self._size, 2 * targets)

    def forget(self) -> None:
        """Forget everything, as when another cloud is asked from now on."""
        with self._lock:
            self._records.clear()

    def ask_missing_again(self) -> None:
        """Forget which executions do not exist."""
        with self._lock:
            missing = [key for key, record in self._records.items() if not record.outcome.success]
            for key in missing:
                self._records[key] = replace(self._records[key], ask_after=0.0)


class Flight:
    """One collection under way, for whoever waits for it.

    `_lock` guards `_pending`, `_outcomes` and `refused`; `finished` is set once all are there.
    """

    def __init__(self, targets: tuple[ExecutionTarget, ...], budget: Budget, started: float) -> None:
        self.targets = targets
        self.budget = budget
        self.started = started
        self.finished = threading.Event()
        self._lock = threading.Lock()
        self._pending: Iterator[ExecutionTarget] = iter(targets)
        self._outcomes: dict[str, Outcome] = {}
        self._refused: Unauthorized | None = None

    def next_target(self) -> ExecutionTarget | None:
        """Take the next target that nobody reads yet."""
        with self._lock:
            return next(self._pending, None)

    def land(self, outcome: Outcome) -> None:
        """Take the outcome of one target."""
        with self._lock:
            self._outcomes[outcome.target.id] = outcome
            if len(self._outcomes) == len(self.targets):
                self.finished.set()

    def refuse(self, error: Unauthorized) -> None:
        """Ask for nothing more: the token is refused."""
        with self._lock:
            self._refused = error

    @property
    def refused(self) -> Unauthorized | None:
        """The refusal that ended the asking, if there was one."""
        with self._lock:
            return self._refused

    def outcomes(self) -> dict[str, Outcome]:
        """Return what has landed so far, by execution ID."""
        with self._lock:
            return dict(self._outcomes)


class Scraper:
    """Reads executions: many targets, one budget, bounded workers.

    `_lock` guards `_flights`. At most `concurrency` worker threads exist, whatever the number of
    collections; each call they make ends with its budget.
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
            flight = Flight(key, budget, self._clock.time())
            if not watched:
                self._flights[key] = flight
            return flight, True

    def _lead(self, flight: Flight) -> Collection:
        self._memory.reserve(len(flight.targets))
        try:
            if flight.targets:
                for _ in range(min(self._concurrency, len(flight.targets))):
                    self._pool.submit(self._work, flight)
                flight.finished.wait(flight.budget.remaining())
        finally:
            with self._lock:
                if self._flights.get(flight.targets) is flight:
                    del self._flights[flight.targets]
        collection = self._collection(flight)
        for observe in self._observe:
            observe(collection)
        return collection

    def _collection(self, flight: Flight) -> Collection:
        landed = flight.outcomes()
        late = BudgetSpent("the scrape's budget ended before this execution was read")
        outcomes = tuple(landed.get(t.id) or self._failed(t, late) for t in flight.targets)
        return Collection(outcomes, flight.started, self._clock.time() - flight.started)

    def _work(self, flight: Flight) -> None:
        while (target := flight.next_target()) is not None:
            flight.land(self._read(target, flight))

    def _read(self, target: ExecutionTarget, flight: Flight) -> Outcome:
        record = self._memory.get(target.id)
        if record is not None and self._clock.monotonic() < record.ask_after:
            outcome = self._remembered(record.outcome, target)
            self._memory.put(replace(record, outcome=outcome))
            return outcome
        try:
            outcome = self._fetched(target, flight)
        except ApiError as error:
            if isinstance(error, Unauthorized):
                flight.refuse(error)
            outcome = self._failed(target, error)
        except Exception:
            log.exception("reading an execution failed in an unforeseen way")
            outcome = self._failed(target, BadResponse("the answer could not be handled; see the log"))
        self._memory.put(Record(outcome, self._ask_after(outcome)))
        return outcome

    def _remembered(self, outcome: Outcome, target: ExecutionTarget) -> Outcome:
        kept = replace(outcome, target=target, at=self._clock.time(), fresh=False, cached=True)
        return replace(kept, reason="", message="") if kept.success else kept

    def _fetched(self, target: ExecutionTarget, flight: Flight) -> Outcome:
        budget = flight.budget
        if (refused := flight.refused) is not None:
            raise refused
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
        if outcome.fresh:
            return now if outcome.reason else now + TERMINAL_RECHECK * self._jitter.uniform(0.9, 1.1)
        return now + FAILED_RECHECK
