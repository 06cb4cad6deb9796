"""Reads folders: lists their workflows at each collection, and has the new ones followed."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from exporter.discovery import Discovery
from exporter.flight import Flight, Job
from exporter.memory import FAILED_RECHECK, Memory, Remembered
from exporter.outcome import FolderOutcome
from exporter.targets import FolderTarget, WorkflowTarget
from exporter.yandex.calls import Budget, Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import ApiError, BadResponse, NotFound, NotSent
from exporter.yandex.workflows import Workflow

MOST_PAGES = 1000


class Folders:
    """Reads folders. Shared by all threads; what changes is in `discovery` and `memory`.

    `follow` turns workflows that a flight did not know into work for it.
    """

    def __init__(
        self,
        client: WorkflowsClient,
        discovery: Discovery,
        memory: Memory[FolderOutcome],
        clock: Clock,
        follow: Callable[[list[WorkflowTarget], Flight], list[Job]],
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._memory = memory
        self._clock = clock
        self._follow = follow

    def jobs(self, targets: Iterable[FolderTarget], flight: Flight) -> list[Job]:
        """Note what is known, and return the work for what must be asked for."""
        now, at = self._clock.monotonic(), self._clock.time()
        jobs = self._known(flight)
        for target in targets:
            known = self._memory.resting(target.id, now)
            if known is not None:
                flight.note(replace(known, target=target, at=at, fresh=False, cached=True))
            else:
                jobs.append(Job(target, partial(self._read, target), self._memory.waited(target.id)))
        return jobs

    def outcomes(self, flight: Flight) -> tuple[FolderOutcome, ...]:
        """Return what the flight knows of its folders; what was not read in time is not remembered."""
        found = []
        for target in flight.watched.folders:
            outcome = flight.outcome(target)
            if not isinstance(outcome, FolderOutcome):
                outcome = replace(self._failed(target, flight.missing(target)), sent=flight.asked(target))
            found.append(replace(outcome, found=self._discovery.known(target.id) or ()))
        return tuple(found)

    def _known(self, flight: Flight) -> list[Job]:
        """Return the work for workflows that are known: those of before need not wait for the list."""
        found = self._discovery.found(flight.watched.folders)
        return self._follow(_workflows(flight.join(WorkflowTarget(id_) for id_ in found)), flight)

    def _read(self, target: FolderTarget, flight: Flight) -> ApiError | None:
        """List one folder, and let the flight follow what is new in it."""
        asked, generation = self._clock.monotonic(), self._memory.generation
        try:
            outcome = self._listed(target, asked, flight.budget)
        except ApiError as error:
            last = self._memory.get(target.id)
            if isinstance(error, NotFound) and last and last.outcome.reason == NotFound.reason:
                # One such answer may be wrong; a second one, minutes later, is believed.
                self._discovery.listed(target.id, (), asked)
            outcome = self._failed(target, error)
            flight.note(outcome)
            if not isinstance(error, NotSent):
                self._remember(outcome, asked, generation)
            return error
        flight.note(outcome)
        self._remember(outcome, asked, generation)
        flight.enqueue(self._known(flight))
        return None

    def _listed(self, target: FolderTarget, asked: float, budget: Budget) -> FolderOutcome:
        found: dict[str, Workflow] = {}
        token, skipped = "", 0
        for _ in range(MOST_PAGES):
            page = self._client.workflows(target.id, budget, page_token=token)
            found.update((workflow.id, workflow) for workflow in page.items)
            token, skipped = page.next_token, skipped + page.skipped
            if not token:
                break
        else:
            raise BadResponse(f"the list has not ended after {MOST_PAGES} pages", 200)
        self._discovery.listed(target.id, tuple(found.values()), asked)
        now = self._clock.time()
        outcome = FolderOutcome(target, now, listed=True, http_code=200, last_success=now, fresh=True)
        if not skipped:
            return outcome
        left_out = BadResponse(f"left out, without an ID or of another folder: {skipped}")
        return outcome.troubled("the list", left_out)

    def _remember(self, outcome: FolderOutcome, asked: float, generation: int) -> None:
        gone = outcome.reason == NotFound.reason and not outcome.listed
        record = Remembered(outcome, asked, self._clock.monotonic() + (FAILED_RECHECK if gone else 0.0))
        self._memory.update(outcome.target.id, lambda _: record, generation)

    def _failed(self, target: FolderTarget, error: ApiError) -> FolderOutcome:
        """Say what failed."""
        last = self._memory.get(target.id)
        last_success = last.outcome.last_success if last else None
        return FolderOutcome(target, self._clock.time(), last_success=last_success).failed(error)


def _workflows(targets: Iterable[object]) -> list[WorkflowTarget]:
    return [target for target in targets if isinstance(target, WorkflowTarget)]
