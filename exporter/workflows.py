"""Reads whole workflows: one list for each, a few calls beside it, and what the ledger makes of them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from exporter.details import Details
from exporter.discovery import Discovery
from exporter.flight import Flight, Job
from exporter.infos import Infos
from exporter.ledger import Ledger
from exporter.looks import Looks, Seen
from exporter.memory import FAILED_RECHECK, HANDICAP, Memory, Remembered
from exporter.outcome import WorkflowOutcome
from exporter.standing import NOTHING, Standing
from exporter.targets import WorkflowTarget
from exporter.yandex.calls import Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import ApiError, BadResponse, BudgetSpent, NotFound, NotSent
from exporter.yandex.workflows import Workflow


class Workflows:
    """Reads workflows. Shared by all threads: what changes is in its parts, which guard themselves.

    `window` is that of the recent executions, in seconds.
    """

    def __init__(
        self,
        client: WorkflowsClient,
        looks: Looks,
        details: Details,
        *,
        infos: Infos,
        discovery: Discovery,
        ledger: Ledger,
        memory: Memory[WorkflowOutcome],
        clock: Clock,
        window: float,
    ) -> None:
        self._client = client
        self._looks = looks
        self._details = details
        self._infos = infos
        self._discovery = discovery
        self._ledger = ledger
        self._memory = memory
        self._clock = clock
        self._window = window

    def jobs(self, targets: Iterable[WorkflowTarget], flight: Flight) -> list[Job]:
        """Note what is known, and return the work for what must be asked for."""
        now, at = self._clock.monotonic(), self._clock.time()
        # Who only searches wants what workflows are, and of those of a folder its list has said it.
        listed = self._discovery.found(flight.watched.folders) if flight.searching else {}
        jobs = []
        for target in targets:
            known = self._memory.resting(target.id, now)
            if known is not None:
                flight.note(replace(known, target=target, at=at, fresh=False, cached=True))
                continue
            last = self._memory.get(target.id)
            last_success = last.outcome.last_success if last else None
            flight.note(WorkflowOutcome(target, at, sent=False, last_success=last_success))
            if not flight.searching:
                jobs.append(Job(target, partial(self._look, target), self._memory.waited(target.id)))
            if target.id not in listed and self._infos.due(target.id):
                jobs.append(Job(target, partial(self._inform, target), float("inf")))
        return jobs

    def outcomes(self, flight: Flight) -> tuple[WorkflowOutcome, ...]:
        """Return what the flight knows of its workflows, and what the ledger has counted."""
        found = self._discovery.found(flight.watched.folders)
        configured = {target.id for target in flight.watched.workflows}
        targets = [t for t in flight.targets() if isinstance(t, WorkflowTarget)]
        targets = [t for t in targets if t.id in configured or t.id in found]
        # The page keeps its order: as configured, then by ID.
        targets.sort(key=lambda target: "" if target.id in configured else target.id)
        ids = [target.id for target in targets]
        self._ledger.describe(found.values())
        standings: Mapping[str, Standing] = {}
        if not flight.searching:
            left = flight.budget.remaining()
            standings = self._ledger.publish(ids, self._clock.time(), self._window, patience=left)
        return tuple(
            self._outcome(target, found.get(target.id), standings.get(target.id, NOTHING), flight)
            for target in targets
        )

    def _outcome(
        self, target: WorkflowTarget, preview: Workflow | None, standing: Standing, flight: Flight
    ) -> WorkflowOutcome:
        outcome, info = flight.outcome(target), self._infos.now(target.id)
        if not isinstance(outcome, WorkflowOutcome):
            outcome = WorkflowOutcome(target, self._clock.time(), sent=False)
        if info.gone and info.error is not None and preview is None:
            outcome = replace(outcome.failed(info.error), listed=False)
        elif not outcome.listed and not outcome.reason and not flight.searching:
            outcome = replace(outcome.failed(flight.missing(target)), sent=flight.asked(target))
        elif outcome.listed and (left := flight.unfinished(target)):
            outcome = outcome.troubled("calls left undone", BudgetSpent(str(left)))
        if info.error is not None and not flight.searching:
            outcome = outcome.troubled("the workflow itself", info.error)
        return replace(
            outcome,
            workflow=_merged(preview, info.workflow),
            firings=info.firings,
            cron_since=info.cron_since,
            standing=standing,
        )

    def _look(self, target: WorkflowTarget, flight: Flight) -> ApiError | None:
        """Read the list, and begin the calls beside it."""
        asked, generation = self._clock.monotonic(), self._memory.generation
        try:
            seen = self._looks.read(target.id, flight.budget)
        except ApiError as error:
            failure = error
        else:
            flight.amend(target, partial(self._listed, seen=seen))
            self._remember(target, asked, generation, flight)
            self._details.begin(target, seen, flight)
            return None
        flight.amend(target, lambda outcome: outcome.failed(failure))
        if self._looks.goes_on(target.id):
            # It used its time well, and is not to stand behind for it.
            asked -= HANDICAP
        if not isinstance(failure, NotSent):
            self._remember(target, asked, generation, flight)
        return failure

    def _listed(self, outcome: WorkflowOutcome, seen: Seen) -> WorkflowOutcome:
        now = self._clock.time()
        listed = replace(
            outcome, at=now, listed=True, http_code=200, fresh=True, sent=True, last_success=now
        ).with_unread(seen.unread)
        if not seen.look.skipped:
            return listed
        return listed.troubled("the list", BadResponse(f"left out, for want of an ID: {seen.look.skipped}"))

    def _remember(self, target: WorkflowTarget, asked: float, generation: int, flight: Flight) -> None:
        outcome = flight.outcome(target)
        if isinstance(outcome, WorkflowOutcome):
            gone = outcome.reason == NotFound.reason and not outcome.listed
            ask_after = self._clock.monotonic() + (FAILED_RECHECK if gone else 0.0)
            self._memory.update(target.id, lambda _: Remembered(outcome, asked, ask_after), generation)

    def _inform(self, target: WorkflowTarget, flight: Flight) -> ApiError | None:
        """Ask for the workflow itself."""
        try:
            unread = self._infos.read(self._client, target.id, flight.budget)
        except ApiError as error:
            return error
        flight.amend(target, lambda outcome: outcome.with_unread(unread))
        return None


def _merged(preview: Workflow | None, workflow: Workflow | None) -> Workflow | None:
    """Return what the list of the folder says, which is newer, with the schedule, which it does not have."""
    if preview is None or workflow is None:
        return preview or workflow
    return replace(preview, schedule=workflow.schedule)
