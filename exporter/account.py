"""What has been counted of one workflow's executions, and what must be remembered to count none twice.

Everything goes by execution ID. What is told here are facts, of a list or of a single call, in any order
and as often as one likes: an execution that has ended has ended for good, so what was counted once is not
counted again, and an older answer that comes late changes nothing.

Of what has ended only that is remembered which a later list may show again. A list reaches back to `floor`;
whatever started before it and is not under watch has been dealt with.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from exporter.records import GONE, SETTLED, Facts, Look, Record, earlier, later
from exporter.standing import (
    ACTIVE,
    DURATION_BOUNDS,
    STEP_BOUNDS,
    STEP_ENDS,
    Exemplar,
    Group,
    Key,
    Standing,
)
from exporter.statefile import Change
from exporter.unsaved import Unsaved
from exporter.yandex.history import History
from exporter.yandex.models import NANOS, Execution, Status, Step, StepStatus
from exporter.yandex.workflows import Workflow

OVERLAP = 600.0
"""Seconds that a list reaches back before the newest start, for executions that become visible late."""
LONGEST_RUN = 172_800.0
"""Seconds that an execution may run: what started earlier cannot change any more."""
MOST_RECORDS = 100_000
MOST_OPEN = 20_000
"""Executions of a workflow that may be active, or owe something, at once."""
NONE_ACTIVE = MappingProxyType(dict.fromkeys(ACTIVE, Group()))
NONE_RECENT = MappingProxyType(dict.fromkeys(Status, 0))
MOST_STEPS_OVER = 1000
MOST_UNSEEN = 10
"""Lists that do not show an ended execution without a start before it is forgotten."""


class Account:
    """The counts of one workflow. Not safe between threads; the ledger holds its lock around it.

    The keys of `totals`: `("started",)`; `("completed", status)`; `("failures", error class)`;
    `("seconds", bound)` for the bucket that a duration falls into, and `("seconds", "sum")` in nanoseconds;
    `("step_completed", step, status)`; `("step_failures", step, error class)`; `("step_retries", step)`;
    `("step_seconds", step, bound or "sum")`.
    """

    def __init__(self, facts: Facts | None = None) -> None:
        self.facts = facts or Facts()
        self.records: dict[str, Record] = {}
        self.totals: dict[Key, int] = {}
        self.exemplars: dict[float, Exemplar] = {}
        self.saved: Mapping[Key, int] = {}
        self._unsaved = Unsaved()
        self._open: dict[str, None] = {}
        self._over: set[str] = set()
        self._unseen: Counter[str] = Counter()

    def restore(self, records: Mapping[str, Record], totals: Mapping[Key, int]) -> None:
        """Take what a file has kept."""
        self.records.update(records)
        self.totals.update(totals)
        self.saved = dict(totals)
        self._open = {id_: None for id_, record in self.records.items() if not record.settled}

    def hand_over(self, workflow_id: str) -> Change | None:
        """Return what is to be written to the file, None if nothing is."""
        return self._unsaved.hand_over(workflow_id, self.facts, self.totals, self.records)

    def saved_as(self, change: Change) -> None:
        """Take that a change has been written: now its totals may be shown."""
        if change.totals:
            self.saved = {**self.saved, **change.totals}

    def not_saved(self, change: Change) -> None:
        """Take that a change has not been written."""
        self._unsaved.take_back(change)

    def see(self, execution: Execution, look: Look, max_steps: int | None) -> bool:
        """Take what a list shows of an execution; say whether it is news."""
        look.show(execution)
        self._note_last(execution)
        known = self.records.get(execution.id)
        if known is not None:
            return self._progress(execution, known, max_steps)
        if self._is_settled(execution):
            self._remember_for_a_while(execution, look)
            return False
        if self._is_since(execution.started_at, look):
            self._add(("started",))
        if not execution.status.terminal:
            self._put(execution.id, Record(execution.status, execution.started_at))
        elif self._is_since(execution.ended_at, look):
            self._complete(execution, max_steps, None)
        else:
            self._remember_for_a_while(execution, look)
        return True

    def learn(self, execution: Execution, max_steps: int | None) -> bool:
        """Take what a call for an execution under watch has answered; say whether it is news."""
        known = self.records.get(execution.id)
        if known is None:
            return False
        self._note_last(execution)
        error = execution.error
        news = self._progress(execution, known, max_steps, error.error_class if error else None)
        if execution.status.terminal:
            self.classify(execution.id, error.error_class if error else "OTHER")
        return news

    def miss(self, execution_id: str) -> None:
        """Note that an execution was not found; at the second time it is taken for deleted, uncounted."""
        known = self.records.get(execution_id)
        if known is not None and not known.status.terminal:
            self._put(execution_id, replace(known, missing=known.missing + 1))

    def describe(self, workflow: Workflow) -> None:
        """Take what the list of a folder says of the workflow."""
        if self.facts.workflow is None or self.facts.workflow.to_json() != workflow.to_json():
            self._change(workflow=workflow)

    def classify(self, execution_id: str, error_class: str) -> None:
        """Count a failed execution by its class, if that has not been done."""
        known = self.records.get(execution_id)
        if known is not None and known.owes_class:
            self._add(("failures", error_class))
            self._put(execution_id, replace(known, owes_class=False))

    def settle_steps(self, execution_id: str, history: History | None, max_steps: int) -> None:
        """Count the steps of an execution that ended, once; None: they are not to be had."""
        known = self.records.get(execution_id)
        if known is None or not known.owes_steps:
            return
        self._put(execution_id, replace(known, owes_steps=False))
        if history is None:
            return
        self.admit(history.steps, max_steps)
        for run in history.runs:
            if run.step_id not in self.facts.steps or run.status not in STEP_ENDS:
                continue
            self._add(("step_completed", run.step_id, run.status.name))
            self._add(("step_retries", run.step_id), run.retries)
            if run.status is StepStatus.FAILED:
                self._add(("step_failures", run.step_id, run.error_class or "OTHER"))
            if run.duration is not None:
                self._observe(("step_seconds", run.step_id), STEP_BOUNDS, run.duration)

    def admit(self, steps: Iterable[Step], max_steps: int) -> None:
        """Give steps series of their own, at most so many; what is over is counted."""
        known = dict(self.facts.steps)
        for step in steps:
            if step.id in known or len(known) < max_steps:
                known[step.id] = (step.type, step.title)
            elif len(self._over) < MOST_STEPS_OVER:
                self._over.add(step.id)
        if known != self.facts.steps:
            self._change(steps=MappingProxyType(known))

    def complete(self, look: Look, max_steps: int | None, now: float) -> int:
        """Take that a look has shown all there is; forget what no later one will count again.

        Returns how many executions were given up that had not ended for all that is known.
        """
        facts = self.facts
        # What starts while the look goes on may be on a page that has passed, or never.
        newest = facts.newest if look.newest is None else later(facts.newest, min(look.newest, look.began))
        reach = look.since if newest is None else newest - OVERLAP
        floor = reach if facts.floor is None else max(facts.floor, reach)
        baseline = facts.baseline if facts.looked else look.baseline
        self._change(looked=True, unfiltered=look.unfiltered, newest=newest, floor=floor, baseline=baseline)
        if max_steps is None:
            for id_ in [id_ for id_ in self._open if self.records[id_].owes_steps]:
                self._put(id_, replace(self.records[id_], owes_steps=False))
        self._forget(min(floor, now - look.window), look.unstarted)
        return self._let_go(look.began)

    def open(self) -> tuple[tuple[str, Record], ...]:
        """Return the executions that are still to be asked for: active, or owing something."""
        return tuple((id_, self.records[id_]) for id_ in self._open)

    def standing(self, now: float, window: float) -> Standing:
        """Return what a page says, with the totals that are saved."""
        facts = self.facts
        active, recent = NONE_ACTIVE.copy(), NONE_RECENT.copy()
        for record in self.records.values():
            if record.status in active and not record.missing:
                group = active[record.status]
                active[record.status] = Group(group.count + 1, earlier(group.oldest, record.started))
            if record.started is not None and record.started > now - window and not record.missing:
                recent[record.status] += 1
        return Standing(
            active=active,
            recent=recent,
            totals=self.saved,
            exemplars=dict(self.exemplars),
            steps=facts.steps,
            steps_over_limit=len(self._over),
            last_started=facts.last_started,
            last_completed=facts.last_completed,
            last_success=facts.last_success,
            last_failure=facts.last_failure,
        )

    def _is_settled(self, execution: Execution) -> bool:
        """Whether an execution that is not remembered has been dealt with."""
        if execution.started_at is None:
            # When it ended nothing tells. It is new if the last list would have shown it.
            return execution.status.terminal and not self.facts.unfiltered
        return self.facts.floor is not None and execution.started_at <= self.facts.floor

    def _is_since(self, at: float | None, look: Look) -> bool:
        """Whether the start or end of what is seen for the first time lies after the first look."""
        if self.facts.looked:
            return at is None or self.facts.baseline is None or at > self.facts.baseline
        return at is not None and look.instant is not None and at > look.instant

    def _remember_for_a_while(self, execution: Execution, look: Look) -> None:
        """Keep what has ended, uncounted, where a later list may show it or the recent window holds it."""
        started, ended = execution.started_at, execution.ended_at
        if not execution.status.terminal:
            return
        recent = started is None or started > look.began - look.window
        doubtful = look.first and (ended is None or ended > look.began - look.doubt - SETTLED)
        if recent or doubtful:
            self._put(execution.id, Record(execution.status, started))

    def _progress(
        self, execution: Execution, known: Record, max_steps: int | None, error_class: str | None = None
    ) -> bool:
        """Take the state of an execution that is remembered; what has ended stays as it is."""
        given_up = known.missing >= GONE and execution.status is Status.UNKNOWN
        if known.status.terminal or given_up:
            return False
        started = known.started if execution.started_at is None else execution.started_at
        if execution.status.terminal:
            self._complete(replace(execution, started_at=started), max_steps, error_class)
            return True
        record = Record(execution.status, started)
        if record != known:
            self._put(execution.id, record)
        return record != known

    def _complete(self, execution: Execution, max_steps: int | None, error_class: str | None) -> None:
        """Count an execution that has ended."""
        status, duration = execution.status, execution.duration
        self._add(("completed", status.name))
        if duration is not None:
            bound = self._observe(("seconds",), DURATION_BOUNDS, duration)
            if execution.ended_at is not None:
                self.exemplars[bound] = Exemplar(execution.id, duration, execution.ended_at)
        failed = status is Status.FAILED
        if failed and error_class is not None:
            self._add(("failures", error_class))
        owes_class = failed and error_class is None
        self._put(execution.id, Record(status, execution.started_at, owes_class, max_steps is not None))

    def _note_last(self, execution: Execution) -> None:
        facts = self.facts.noting(execution)
        if facts is not self.facts:
            self.facts = facts
            self._unsaved.fact()

    def _forget(self, before: float, unstarted: set[str]) -> None:
        """Forget what has ended and started before an instant; with too much left, raise the floor."""
        for id_, record in list(self.records.items()):
            if record.started is None and record.settled:
                # It has no time to go by, and an older answer that comes late must not make it new.
                self._unseen[id_] = 0 if id_ in unstarted else self._unseen[id_] + 1
            over = self._unseen[id_] > MOST_UNSEEN if record.started is None else record.started <= before
            if record.settled and over:
                self._put(id_, None)
        excess = len(self.records) - MOST_RECORDS
        if excess > 0:
            ended = [(r.started or 0.0, id_) for id_, r in self.records.items() if r.settled]
            for started, id_ in sorted(ended)[: excess + MOST_RECORDS // 10]:
                self._put(id_, None)
                self._change(floor=max(self.facts.floor or 0.0, started))

    def _let_go(self, now: float) -> int:
        """Give up what is in an unknown state for longer than any execution runs, and what is too much."""
        oldest = now - LONGEST_RUN - SETTLED
        gone = [
            id_
            for id_ in self._open
            if (record := self.records[id_]).status is Status.UNKNOWN
            and record.started is not None
            and record.started < oldest
        ]
        gone += list(self._open)[: max(0, len(self._open) - len(gone) - MOST_OPEN)]
        for id_ in gone:
            self.classify(id_, "OTHER")
            record = self.records[id_]
            # It stays known until no list shows it any more, so that it is not taken for new.
            missing = record.missing if record.status.terminal else GONE
            self._put(id_, replace(record, owes_steps=False, missing=missing))
        return len(gone)

    def _put(self, execution_id: str, record: Record | None) -> None:
        self._unsaved.record(execution_id)
        if record is None:
            self.records.pop(execution_id, None)
            self._unseen.pop(execution_id, None)
        else:
            self.records[execution_id] = record
        if record is None or record.settled:
            self._open.pop(execution_id, None)
        else:
            self._open[execution_id] = None

    def _add(self, key: Key, by: int = 1) -> None:
        if by:
            self.totals[key] = self.totals.get(key, 0) + by
            self._unsaved.total(key)

    def _observe(self, prefix: Key, bounds: tuple[float, ...], seconds: float) -> float:
        """Count a duration; return the bound of its bucket."""
        bound = next((bound for bound in bounds if seconds <= bound), float("inf"))
        self._add((*prefix, str(bound)))
        self._add((*prefix, "sum"), round(seconds * NANOS))
        return bound

    def _change(self, **facts: Any) -> None:
        changed = {name: value for name, value in facts.items() if getattr(self.facts, name) != value}
        if changed:
            self.facts = replace(self.facts, **changed)
            self._unsaved.fact()
