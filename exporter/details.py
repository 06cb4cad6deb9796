"""Asks for what a workflow's list does not say: active executions it did not show, error codes, histories."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from exporter.account import LONGEST_RUN
from exporter.flight import Flight, Job
from exporter.ledger import Ledger
from exporter.looks import Seen
from exporter.memory import FAILED_RECHECK
from exporter.outcome import WorkflowOutcome
from exporter.patience import Patience, is_hopeless
from exporter.records import Record
from exporter.targets import WorkflowTarget
from exporter.yandex.calls import Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import ApiError, BudgetSpent, NotFound, NotSent, Unauthorized
from exporter.yandex.history import History

HISTORY = "/history"
MOST_STEPS = 10_000
"""Steps of one history that are looked at; how many get series is for the ledger."""


_Work = Callable[[WorkflowTarget, str, Flight], ApiError | None]


class Details:
    """Makes the calls about single executions of workflows, and tells the ledger.

    Shared by all threads; what changes is in `ledger` and `patience`, which guard themselves.
    """

    def __init__(
        self,
        client: WorkflowsClient,
        ledger: Ledger,
        patience: Patience,
        clock: Clock,
        *,
        max_steps: int | None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._patience = patience
        self._clock = clock
        self._max_steps = max_steps

    def begin(self, target: WorkflowTarget, seen: Seen, flight: Flight) -> None:
        """Hand the flight the work that a look leaves; histories come after all the rest."""
        wanted = [
            id_
            for id_, record in seen.open
            if record.owes_class or (not record.status.terminal and id_ not in seen.look.shown)
        ]
        flight.enqueue(self._jobs(target, self._read, wanted, flight))
        if self._max_steps is None:
            return
        active = [id_ for id_, record in seen.open if not record.status.terminal]
        owing = [id_ for id_, record in seen.open if record.owes_steps]
        flight.amend(target, lambda outcome: replace(outcome, histories_missing=len(active)))
        self._begin_steps(target, [*owing, *active], flight)

    def _begin_steps(self, target: WorkflowTarget, ids: Iterable[str], flight: Flight) -> None:
        flight.enqueue_behind(self._jobs(target, self._steps, map(_history, ids), flight))

    def _jobs(self, target: WorkflowTarget, work: _Work, keys: Iterable[str], flight: Flight) -> list[Job]:
        """Return the work for what is to be asked for now; say what is wrong with the rest."""
        jobs = []
        for key in keys:
            error = self._patience.error(key)
            if error is not None:
                _tell(target, key, error, flight)
            elif not self._patience.rests(key):
                jobs.append(Job(target, partial(work, target, key), self._patience.waited(key)))
        return jobs

    def _read(self, target: WorkflowTarget, execution_id: str, flight: Flight) -> ApiError | None:
        """Ask for one execution, unless another scrape has done so meanwhile."""
        record = self._ledger.record(target.id, execution_id)
        if record is None or (record.status.terminal and not record.owes_class):
            return NotSent("nothing is left to ask for")
        self._patience.ask(execution_id, self._pause(record))
        try:
            execution = self._client.execution(execution_id, flight.budget)
        except ApiError as error:
            self._unread(target, execution_id, error, flight)
            return error
        self._patience.succeed(execution_id)
        unread = self._ledger.learn(target.id, execution, self._max_steps)
        flight.amend(target, lambda outcome: outcome.with_unread(unread))
        if execution.status.terminal:
            self._patience.forget(execution_id)
            if self._max_steps is not None:
                self._begin_steps(target, [execution_id], flight)
        return None

    def _pause(self, record: Record) -> float:
        """Return how long to leave an execution alone: what is older than any may run changes no more."""
        oldest = self._clock.time() - LONGEST_RUN - FAILED_RECHECK
        return FAILED_RECHECK if record.started is not None and record.started < oldest else 0.0

    def _unread(self, target: WorkflowTarget, execution_id: str, error: ApiError, flight: Flight) -> None:
        tries = 0 if isinstance(error, BudgetSpent) else self._patience.fail(execution_id, error)
        if isinstance(error, NotFound):
            if tries:
                self._ledger.miss(target.id, execution_id)
            self._ledger.give_up(target.id, execution_id)
            return
        if is_hopeless(error, tries):
            self._ledger.give_up(target.id, execution_id)
        _tell(target, execution_id, error, flight)

    def _steps(self, target: WorkflowTarget, key: str, flight: Flight) -> ApiError | None:
        """Ask for one history. That histories are refused says nothing of the token, for or against it."""
        nothing = NotSent("nothing is asked for")
        execution_id = key.removesuffix(HISTORY)
        record = self._ledger.record(target.id, execution_id)
        if record is None or (record.status.terminal and not record.owes_steps):
            return nothing
        if flight.histories_refused is not None or self._max_steps is None or not flight.claim(key):
            return nothing
        self._patience.ask(key)
        try:
            history = self._client.history(execution_id, MOST_STEPS, flight.budget)
        except Unauthorized as error:
            flight.history_told(error.bare())
            _tell(target, key, error, flight)
            return nothing
        except ApiError as error:
            tries = 0 if isinstance(error, BudgetSpent) else self._patience.fail(key, error)
            if isinstance(error, NotFound) or is_hopeless(error, tries):
                self._ledger.settle_steps(target.id, execution_id, None, self._max_steps)
            _tell(target, key, error, flight)
            return error
        flight.history_told(None)
        self._learn_steps(target, execution_id, record, history, flight)
        return None

    def _learn_steps(
        self, target: WorkflowTarget, execution_id: str, record: Record, history: History, flight: Flight
    ) -> None:
        max_steps = self._max_steps or 0
        if record.status.terminal:
            self._patience.forget(_history(execution_id))
            self._ledger.settle_steps(target.id, execution_id, history, max_steps)
            flight.amend(target, lambda outcome: outcome.with_unread(history.unread))
        else:
            self._patience.succeed(_history(execution_id))
            self._ledger.admit(target.id, history.steps, max_steps)
            flight.amend(target, lambda outcome: _with_active_steps(outcome, history))


def _history(execution_id: str) -> str:
    """Return the key of a history, beside that of its execution."""
    return execution_id + HISTORY


def _tell(target: WorkflowTarget, key: str, error: ApiError, flight: Flight) -> None:
    """Say at the workflow which execution or history of it could not be read, and why."""
    if not isinstance(error, NotSent):
        flight.amend(target, lambda outcome: outcome.troubled(f"execution {key}", error))


def _with_active_steps(outcome: WorkflowOutcome, history: History) -> WorkflowOutcome:
    steps = dict(outcome.active_steps)
    for step_id, count in history.active:
        steps[step_id] = steps.get(step_id, 0) + count
    return replace(outcome, active_steps=steps, histories_missing=outcome.histories_missing - 1)
