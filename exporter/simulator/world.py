"""All workflows and executions of the simulated cloud, as they are at any moment.

Streams and plans follow from the time alone; what a test puts stands beside them, and before them.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from exporter.simulator.chronicle import Chronicle
from exporter.simulator.listing import EVERYTHING, Condition
from exporter.simulator.plans import Plan
from exporter.simulator.streams import Stream, owner
from exporter.simulator.truth import Run
from exporter.simulator.values import Execution, Life, Workflow

_REMEMBERED_RUNS: Final = 50_000


class World:
    """Workflows, executions and streams; any thread may look, put and remove. Times in nanoseconds."""

    def __init__(
        self, executions: Iterable[Plan], flows: Iterable[Workflow], streams: Iterable[Stream]
    ) -> None:
        self._lock = threading.Lock()
        # A run never changes and costs some twenty microseconds, which a list of thousands is made of.
        self._run: Callable[[Stream, int], Plan] = lru_cache(_REMEMBERED_RUNS)(Stream.run)
        self._lives: dict[str, Execution | Plan] = {}
        self._owned: dict[str, dict[str, Execution | Plan]] = {}
        self._workflows = {flow.id: flow for flow in flows}
        self._streams: dict[str, tuple[Stream, ...]] = {}
        self._gone: set[str] = set()
        plans = list(executions)
        self._chronicle = Chronicle(plans)
        for plan in plans:
            self._settle(plan)
        for stream in streams:
            self.add_stream(stream)

    def _settle(self, life: Execution | Plan) -> None:
        old = self._lives.get(life.id)
        if old is not None and old.workflow_id != life.workflow_id:
            self._owned[old.workflow_id].pop(old.id)
        self._lives[life.id] = life
        self._owned.setdefault(life.workflow_id, {})[life.id] = life

    def ids(self) -> tuple[str, ...]:
        """Return the executions of the demo and those that were put, in that order; not the streams'."""
        with self._lock:
            return tuple(self._lives)

    def put(self, execution: Execution, now: int) -> None:
        """Add or replace an execution."""
        with self._lock:
            self._settle(execution)
            self._gone.discard(execution.id)
            self._chronicle.put(execution, now)

    def remove(self, execution_id: str, now: int) -> None:
        """Forget an execution; it is not found from now on."""
        with self._lock:
            life = self._lives.pop(execution_id, None)
            if life is not None:
                self._owned[life.workflow_id].pop(execution_id)
            self._gone.add(execution_id)
            self._chronicle.removed(execution_id, now)

    def put_workflow(self, workflow: Workflow) -> None:
        """Add or replace a workflow."""
        with self._lock:
            self._workflows[workflow.id] = workflow

    def update_workflow(self, workflow_id: str, **changes: Any) -> None:
        """Change some fields of a workflow; raises ValueError when there is none, TypeError for a field."""
        with self._lock:
            if workflow_id not in self._workflows:
                raise ValueError(f"{workflow_id}: there is no such workflow; put it first")
            self._workflows[workflow_id] = replace(self._workflows[workflow_id], **changes)

    def remove_workflow(self, workflow_id: str, now: int) -> None:
        """Forget a workflow with all its executions."""
        with self._lock:
            self._workflows.pop(workflow_id, None)
            self._streams.pop(workflow_id, None)
            self._chronicle.ended(workflow_id, now)
            for execution_id in self._owned.pop(workflow_id, {}):
                self._lives.pop(execution_id, None)
                self._chronicle.removed(execution_id, now)

    def add_stream(self, stream: Stream) -> None:
        """Add a stream beside those that the workflow has."""
        with self._lock:
            streams = self._streams.get(stream.workflow_id, ())
            # The ids of two streams of one seed are told apart by their place.
            salted = replace(stream, salt=f" {len(streams)}" if streams else "")
            self._streams[stream.workflow_id] = (*streams, salted)
            self._chronicle.began(salted)

    def execution(self, execution_id: str, now: int) -> Execution | None:
        """Return an execution as it is now."""
        with self._lock:
            if execution_id in self._gone:
                return None
            life: Life | None = self._lives.get(execution_id)
            streams = self._streams.get(owner(execution_id), ())
        life = life or next(filter(None, (self._find(each, execution_id, now) for each in streams)), None)
        return life.at(now) if life else None

    def _find(self, stream: Stream, execution_id: str, now: int) -> Plan | None:
        number = stream.number(execution_id)
        if number not in stream.numbers(now):
            return None
        plan = self._run(stream, number)
        return plan if plan.id == execution_id else None

    def executions(
        self, workflow_id: str, now: int, wanted: Condition = EVERYTHING
    ) -> list[Execution] | None:
        """Return a workflow's executions that fit, without histories; None if there is no such workflow."""
        with self._lock:
            own = dict(self._owned.get(workflow_id, {}))
            streams, gone = self._streams.get(workflow_id, ()), frozenset(self._gone)
            if not own and workflow_id not in self._workflows:
                return None
        lives: list[Life] = list(own.values())
        for stream in streams:
            numbers = stream.numbers(now, *wanted.starts(now, stream.longest))
            plans = [self._run(stream, number) for number in numbers]
            lives += [plan for plan in plans if plan.id not in gone and plan.id not in own]
        told = [execution for life in lives if (execution := life.preview(now))]
        return [execution for execution in told if wanted.keeps(execution)]

    def workflow(self, workflow_id: str) -> Workflow | None:
        """Return a workflow."""
        with self._lock:
            return self._workflows.get(workflow_id)

    def workflows(self, folder_id: str) -> list[Workflow]:
        """Return the workflows of a folder; none for a folder that nobody knows."""
        with self._lock:
            return [flow for flow in self._workflows.values() if flow.folder_id == folder_id]

    def runs(self, workflow_id: str, until: int) -> tuple[list[Run], int]:
        """Return what was shown of a workflow's executions by `until`, and how many had begun unseen."""
        with self._lock:
            excerpt = self._chronicle.excerpt(workflow_id)
        # A long stream takes a while, and nobody's call should wait for that.
        return excerpt.runs(until, self._run)
