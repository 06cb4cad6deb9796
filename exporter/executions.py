"""Reads single executions: those that ended are kept and cost no call, the others are read each time."""

import random
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from exporter.flight import Flight, Job
from exporter.memory import FAILED_RECHECK, Memory, Remembered
from exporter.outcome import ExecutionOutcome
from exporter.targets import ExecutionTarget
from exporter.yandex.calls import Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import (
    LASTING,
    ApiError,
    BudgetSpent,
    NotFound,
    NotSent,
    Unauthorized,
)
from exporter.yandex.history import History

TERMINAL_RECHECK = 3600.0
"""Seconds after which an execution that ended is asked for again, to notice its deletion."""


class Executions:
    """Reads executions, with their steps if `max_steps` is a number. Shared by all threads.

    All that changes is in `memory`, which guards itself.
    """

    def __init__(
        self,
        client: WorkflowsClient,
        memory: Memory[ExecutionOutcome],
        clock: Clock,
        *,
        max_steps: int | None,
        jitter: random.Random,
    ) -> None:
        self._client = client
        self._memory = memory
        self._clock = clock
        self._max_steps = max_steps
        self._jitter = jitter

    def reserve(self, number: int) -> None:
        """Make room to remember so many executions."""
        self._memory.reserve(number * (1 + (self._max_steps or 0)))

    def jobs(self, targets: Iterable[ExecutionTarget], flight: Flight) -> list[Job]:
        """Note what is known, and return the work for what must be asked for."""
        now = self._clock.monotonic()
        jobs = []
        for target in targets:
            known = self._memory.resting(target.id, now)
            if known is not None:
                flight.note(self._kept(known, target))
            else:
                jobs.append(Job(target, partial(self._read, target), self._memory.waited(target.id)))
        return jobs

    def outcomes(self, flight: Flight) -> tuple[ExecutionOutcome, ...]:
        """Return what the flight knows of its executions; what was not read in time is not remembered."""
        found = []
        for target in flight.watched.executions:
            outcome = flight.outcome(target)
            if not isinstance(outcome, ExecutionOutcome):
                outcome = self._missed(target, flight.missing(target), sent=flight.asked(target))
            found.append(outcome)
        return tuple(found)

    def _kept(self, outcome: ExecutionOutcome, target: ExecutionTarget) -> ExecutionOutcome:
        # Made anew: to replace fields takes three times as long, and there may be tens of thousands.
        kept = ExecutionOutcome(
            target,
            self._clock.time(),
            http_code=outcome.http_code,
            last_success=outcome.last_success,
            cached=True,
            execution=outcome.execution,
            history=outcome.history,
        )
        return kept if kept.success else replace(kept, reason=outcome.reason, message=outcome.message)

    def _missed(self, target: ExecutionTarget, error: ApiError, *, sent: bool) -> ExecutionOutcome:
        return replace(self._failed(target, error, self._memory.get(target.id)), sent=sent)

    def _read(self, target: ExecutionTarget, flight: Flight) -> ApiError | None:
        """Ask for one execution and remember the outcome; what was not sent has none."""
        asked, generation = self._clock.monotonic(), self._memory.generation

        def record(outcome: ExecutionOutcome) -> Remembered[ExecutionOutcome]:
            return Remembered(outcome, asked, self._ask_after(outcome))

        try:
            outcome = self._fetched(target, flight)
        except NotSent as error:
            flight.note(self._missed(target, error, sent=False))
            return error
        except ApiError as error:
            failure = error
        else:
            flight.note(self._memory.update(target.id, lambda _: record(outcome), generation))
            return None
        flight.note(
            self._memory.update(
                target.id, lambda last: record(self._failed(target, failure, last)), generation
            )
        )
        return failure

    def _fetched(self, target: ExecutionTarget, flight: Flight) -> ExecutionOutcome:
        execution = self._client.execution(target.id, flight.budget)
        now = self._clock.time()
        outcome = ExecutionOutcome(target, now, execution, http_code=200, last_success=now, fresh=True)
        if self._max_steps is None:
            return outcome
        # Should the history take all the time that is left, this is what is known of the execution.
        flight.note(_without_history(outcome, BudgetSpent("the scrape's budget ended before it was read")))
        if flight.histories_refused is not None:
            return _without_history(outcome, flight.histories_refused)
        try:
            return replace(outcome, history=self._history(target.id, self._max_steps, flight))
        except ApiError as error:
            # The flight may keep it.
            return _without_history(outcome, error.bare())

    def _history(self, execution_id: str, max_steps: int, flight: Flight) -> History:
        try:
            history = self._client.history(execution_id, max_steps, flight.budget)
        except Unauthorized as error:
            flight.history_told(error)
            raise
        flight.history_told(None)
        # Runs are for counters; what is kept here are the steps.
        return replace(history, runs=())

    def _failed(
        self, target: ExecutionTarget, error: ApiError, last: Remembered[ExecutionOutcome] | None
    ) -> ExecutionOutcome:
        """Say what failed; an execution that ended keeps its data, unless it is gone."""
        last_success = last.outcome.last_success if last else None
        failed = ExecutionOutcome(target, self._clock.time(), last_success=last_success).failed(error)
        if last and last.outcome.ended and not isinstance(error, NotFound):
            return replace(failed, execution=last.outcome.execution, history=last.outcome.history)
        return failed

    def _ask_after(self, outcome: ExecutionOutcome) -> float:
        """Return when to ask again; rechecks are spread, so that they do not come all at once."""
        now = self._clock.monotonic()
        if outcome.reason == NotFound.reason and not outcome.success:
            return now + FAILED_RECHECK
        if not outcome.ended:
            return now
        if outcome.fresh and not outcome.reason:
            return now + TERMINAL_RECHECK * self._jitter.uniform(0.9, 1.1)
        # A history that could not be read for a passing reason is asked for at the next collection.
        passing = outcome.fresh and outcome.reason not in {error.reason for error in LASTING}
        return now if passing else now + FAILED_RECHECK


def _without_history(outcome: ExecutionOutcome, error: ApiError) -> ExecutionOutcome:
    return replace(outcome, reason=error.reason, message=f"history: {error}")
