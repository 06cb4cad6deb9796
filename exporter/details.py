"""Asks for what a workflow's list does not say: active executions it did not show, error codes, histories."""

import threading
from collections import OrderedDict
from dataclasses import replace
from functools import partial

from exporter.flight import Flight, Job
from exporter.ledger import Ledger
from exporter.looks import Seen
from exporter.memory import FAILED_RECHECK
from exporter.outcome import WorkflowOutcome
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
MOST_TRIES = 3
MOST_PATIENCE = 10_000
MOST_STEPS = 10_000
"""Steps of one history that are looked at; how many get series is for the ledger."""


class Details:
    """Makes the calls about single executions of workflows, and tells the ledger.

    `_lock` guards `_patience`: how often an execution could not be read, and the monotonic instant before
    which it is left alone; at most 10,000.
    """

    def __init__(
        self, client: WorkflowsClient, ledger: Ledger, clock: Clock, *, max_steps: int | None
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._max_steps = max_steps
        self._lock = threading.Lock()
        self._patience: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, target: WorkflowTarget, seen: Seen, flight: Flight) -> None:
        """Hand the flight the work that a look leaves; histories come after all the rest."""
        due = [(id_, record) for id_, record in seen.open if self._is_due(id_)]
        flight.enqueue(
            Job(target, partial(self._read, target, id_))
            for id_, record in due
            if record.owes_class or (not record.status.terminal and id_ not in seen.look.shown)
        )
        if self._max_steps is None:
            return
        active = [id_ for id_, record in due if not record.status.terminal]
        flight.amend(target, lambda outcome: replace(outcome, histories_missing=len(active)))
        wanted = [(id_, record) for id_, record in due if record.owes_steps or not record.status.terminal]
        flight.enqueue_behind(
            Job(target, partial(self._steps, target, id_, record)) for id_, record in wanted
        )

    def _is_due(self, execution_id: str) -> bool:
        with self._lock:
            _, until = self._patience.get(execution_id, (0, float("-inf")))
        return self._clock.monotonic() >= until

    def _read(self, target: WorkflowTarget, execution_id: str, flight: Flight) -> ApiError | None:
        """Ask for one execution."""
        try:
            execution = self._client.execution(execution_id, flight.budget)
        except NotFound as error:
            self._ledger.miss(target.id, execution_id)
            self._ledger.give_up(target.id, execution_id)
            self._failed(execution_id, error)
            return error
        except ApiError as error:
            if self._failed(execution_id, error):
                self._ledger.give_up(target.id, execution_id)
            _tell(target, error, flight)
            return error
        self._read_well(execution_id)
        unread = self._ledger.learn(target.id, execution, self._max_steps)
        flight.amend(target, lambda outcome: outcome.with_unread(unread))
        if self._max_steps is not None and execution.status.terminal:
            ended = Record(execution.status, execution.started_at, owes_steps=True)
            flight.enqueue_behind([Job(target, partial(self._steps, target, execution_id, ended))])
        return None

    def _steps(
        self, target: WorkflowTarget, execution_id: str, record: Record, flight: Flight
    ) -> ApiError | None:
        """Ask for one history. That histories are refused says nothing of the token, for or against it."""
        nothing = NotSent("histories are refused")
        if flight.histories_refused is not None or self._max_steps is None:
            return nothing
        try:
            history = self._client.history(execution_id, MOST_STEPS, flight.budget)
        except Unauthorized as error:
            flight.histories_refused = error
            _tell(target, error, flight)
            return nothing
        except ApiError as error:
            if self._failed(execution_id, error) or isinstance(error, NotFound):
                self._ledger.settle_steps(target.id, execution_id, None, self._max_steps)
            _tell(target, error, flight)
            return error
        self._read_well(execution_id)
        if record.status.terminal:
            self._ledger.settle_steps(target.id, execution_id, history, self._max_steps)
            flight.amend(target, lambda outcome: outcome.with_unread(history.unread))
        else:
            self._ledger.admit(target.id, history.steps, self._max_steps)
            flight.amend(target, lambda outcome: _with_active_steps(outcome, history))
        return None

    def _failed(self, execution_id: str, error: ApiError) -> bool:
        """Note a failure that asking again at once will not mend; whether it is time to give up."""
        if not isinstance(error, (*LASTING, NotFound)):
            return False
        with self._lock:
            tries, _ = self._patience.pop(execution_id, (0, 0.0))
            self._patience[execution_id] = (tries + 1, self._clock.monotonic() + FAILED_RECHECK)
            while len(self._patience) > MOST_PATIENCE:
                self._patience.popitem(last=False)
        return tries + 1 >= MOST_TRIES

    def _read_well(self, execution_id: str) -> None:
        with self._lock:
            self._patience.pop(execution_id, None)


def _tell(target: WorkflowTarget, error: ApiError, flight: Flight) -> None:
    """Say at the workflow that some of its executions could not be read, and why."""
    flight.amend(target, lambda outcome: outcome.troubled("an execution of it", error))


def _with_active_steps(outcome: WorkflowOutcome, history: History) -> WorkflowOutcome:
    steps = dict(outcome.active_steps)
    for step_id, count in history.active:
        steps[step_id] = steps.get(step_id, 0) + count
    return replace(outcome, active_steps=steps, histories_missing=outcome.histories_missing - 1)
