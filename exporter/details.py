"""Asks for what a workflow's list does not say: active executions it did not show, error codes, histories."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from exporter.account import LONGEST_RUN
from exporter.flight import Flight, Job
from exporter.ledger import Ledger
from exporter.looks import Seen
from exporter.memory import FAILED_RECHECK
from exporter.outcome import WorkflowOutcome
from exporter.patience import Patience
from exporter.records import Record
from exporter.targets import WorkflowTarget
from exporter.yandex.calls import Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import (
    ApiError,
    BadRequest,
    BadResponse,
    Forbidden,
    NotFound,
    NotSent,
    Unauthorized,
)
from exporter.yandex.history import History

LASTING = (Forbidden, BadRequest, BadResponse)
MOST_STEPS = 10_000
"""Steps of one history that are looked at; how many get series is for the ledger."""


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
            (id_, record)
            for id_, record in seen.open
            if record.owes_class or (not record.status.terminal and id_ not in seen.look.shown)
        ]
        self._tell_of_resting(target, (id_ for id_, _ in wanted), flight)
        flight.enqueue(
            Job(target, partial(self._read, target, id_, record), self._patience.waited(id_))
            for id_, record in wanted
            if not self._patience.rests(id_)
        )
        if self._max_steps is None:
            return
        active = sum(not record.status.terminal for _, record in seen.open)
        flight.amend(target, lambda outcome: replace(outcome, histories_missing=active))
        self._begin_steps(target, seen.open, flight)

    def _tell_of_resting(self, target: WorkflowTarget, keys: Iterable[str], flight: Flight) -> None:
        """Say what is wrong with those that are not asked for now because of it."""
        for key in keys:
            error = self._patience.error(key)
            if error is not None:
                _tell(target, key, error, flight)

    def _begin_steps(
        self, target: WorkflowTarget, wanted: Iterable[tuple[str, Record]], flight: Flight
    ) -> None:
        wanted = [each for each in wanted if each[1].owes_steps or not each[1].status.terminal]
        self._tell_of_resting(target, (_history(id_) for id_, _ in wanted), flight)
        flight.enqueue_behind(
            Job(target, partial(self._steps, target, id_, record), self._patience.waited(_history(id_)))
            for id_, record in wanted
            if not self._patience.rests(_history(id_))
        )

    def _read(
        self, target: WorkflowTarget, execution_id: str, record: Record, flight: Flight
    ) -> ApiError | None:
        """Ask for one execution."""
        self._patience.ask(execution_id, self._pause(record))
        try:
            execution = self._client.execution(execution_id, flight.budget)
        except ApiError as error:
            self._unread(target, execution_id, error, flight)
            return error
        unread = self._ledger.learn(target.id, execution, self._max_steps)
        flight.amend(target, lambda outcome: outcome.with_unread(unread))
        if execution.status.terminal:
            self._patience.forget(execution_id)
            if self._max_steps is not None and not record.status.terminal:
                ended = replace(record, status=execution.status, owes_steps=True)
                self._begin_steps(target, [(execution_id, ended)], flight)
        return None

    def _pause(self, record: Record) -> float:
        """Return how long to leave an execution alone: what is older than any may run changes no more."""
        oldest = self._clock.time() - LONGEST_RUN - FAILED_RECHECK
        return FAILED_RECHECK if record.started is not None and record.started < oldest else 0.0

    def _unread(self, target: WorkflowTarget, execution_id: str, error: ApiError, flight: Flight) -> None:
        if isinstance(error, NotFound):
            self._ledger.miss(target.id, execution_id)
            self._ledger.give_up(target.id, execution_id)
            self._patience.ask(execution_id, FAILED_RECHECK)
            return
        if isinstance(error, LASTING) and self._patience.fail(execution_id, error):
            self._ledger.give_up(target.id, execution_id)
        _tell(target, execution_id, error, flight)

    def _steps(
        self, target: WorkflowTarget, execution_id: str, record: Record, flight: Flight
    ) -> ApiError | None:
        """Ask for one history. That histories are refused says nothing of the token, for or against it."""
        nothing = NotSent("histories are refused")
        if flight.histories_refused is not None or self._max_steps is None:
            return nothing
        self._patience.ask(_history(execution_id))
        try:
            history = self._client.history(execution_id, MOST_STEPS, flight.budget)
        except Unauthorized as error:
            flight.histories_refused = error
            _tell(target, _history(execution_id), error, flight)
            return nothing
        except ApiError as error:
            lasting = isinstance(error, LASTING) and self._patience.fail(_history(execution_id), error)
            if lasting or isinstance(error, NotFound):
                self._ledger.settle_steps(target.id, execution_id, None, self._max_steps)
            _tell(target, _history(execution_id), error, flight)
            return error
        if record.status.terminal:
            self._patience.forget(_history(execution_id))
            self._ledger.settle_steps(target.id, execution_id, history, self._max_steps)
            flight.amend(target, lambda outcome: outcome.with_unread(history.unread))
        else:
            self._ledger.admit(target.id, history.steps, self._max_steps)
            flight.amend(target, lambda outcome: _with_active_steps(outcome, history))
        return None


def _history(execution_id: str) -> str:
    """Return the key of a history, beside that of its execution."""
    return f"{execution_id}/history"


def _tell(target: WorkflowTarget, key: str, error: ApiError, flight: Flight) -> None:
    """Say at the workflow which execution or history of it could not be read, and why."""
    if not isinstance(error, NotSent):
        flight.amend(target, lambda outcome: outcome.troubled(f"execution {key}", error))


def _with_active_steps(outcome: WorkflowOutcome, history: History) -> WorkflowOutcome:
    steps = dict(outcome.active_steps)
    for step_id, count in history.active:
        steps[step_id] = steps.get(step_id, 0) + count
    return replace(outcome, active_steps=steps, histories_missing=outcome.histories_missing - 1)
