"""What became of every execution that was put or removed, and of every stream that ended: for the truth.

The world forgets what it does not answer with any more; here it is kept, each change with its moment.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from exporter.simulator.plans import Plan
from exporter.simulator.streams import Stream
from exporter.simulator.truth import Run, told
from exporter.simulator.values import UNSET, Execution

Version = tuple[int, Execution | None]
"""From when on, in nanoseconds, and what was told then; None for nothing."""


class Chronicle:
    """The record of a world; times in nanoseconds. Its owner serialises the calls.

    `plans` are those that are there from the first moment.
    """

    def __init__(self, plans: Iterable[Plan]) -> None:
        self._plans: dict[str, list[Plan]] = defaultdict(list)
        for plan in plans:
            self._plans[plan.workflow_id].append(plan)
        self._versions: dict[str, list[Version]] = defaultdict(list)
        self._owned: dict[str, set[str]] = defaultdict(set)
        self._gone: dict[str, int] = {}
        self._streams: dict[str, list[tuple[Stream, int | None]]] = defaultdict(list)

    def put(self, execution: Execution, now: int) -> None:
        """Note that this is what the API tells from now on; payloads and histories are not kept."""
        light = replace(execution, history=(), raw=UNSET, raw_history=UNSET)
        self._versions[execution.id].append((now, light))
        self._owned[execution.workflow_id].add(execution.id)

    def removed(self, execution_id: str, now: int) -> None:
        """Note that the API tells nothing of an execution from now on."""
        if execution_id in self._versions:
            self._versions[execution_id].append((now, None))
        self._gone.setdefault(execution_id, now)

    def began(self, stream: Stream) -> None:
        """Note a stream."""
        self._streams[stream.workflow_id].append((stream, None))

    def ended(self, workflow_id: str, now: int) -> None:
        """Note that a workflow's streams are told of no more."""
        streams = self._streams.get(workflow_id, [])
        self._streams[workflow_id] = [(s, now if end is None else end) for s, end in streams]

    def excerpt(self, workflow_id: str) -> "Excerpt":
        """Return all there is about a workflow, as it is now."""
        return Excerpt(
            workflow_id,
            tuple(self._plans.get(workflow_id, ())),
            tuple(self._streams.get(workflow_id, ())),
            {id_: tuple(self._versions[id_]) for id_ in sorted(self._owned.get(workflow_id, ()))},
            dict(self._gone),
        )


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The record of one workflow: plans, streams with their end, what was put, what was removed when."""

    workflow_id: str
    plans: tuple[Plan, ...]
    streams: tuple[tuple[Stream, int | None], ...]
    versions: Mapping[str, tuple[Version, ...]]
    gone: Mapping[str, int]

    def runs(self, until: int, run: Callable[[Stream, int], Plan]) -> tuple[list[Run], int]:
        """Return what was shown of each execution by `until`, and how many had begun unseen.

        `run` computes a run of a stream.
        """
        put = list(self._put(until))
        known, hidden = {each.id for each in put}, 0
        lives: list[Run] = []
        for plan, end in self._living(until, run):
            if plan.id in known:
                continue
            ends = [at for at in (end, self.gone.get(plan.id)) if at is not None and at <= until]
            seen = plan.preview(min(ends, default=until))
            if seen is not None:
                lives.append(told(seen, gone=bool(ends)))
            elif not ends and plan.phases[0].at <= until:
                hidden += 1
        return [*lives, *put], hidden

    def _living(self, until: int, run: Callable[[Stream, int], Plan]) -> Iterator[tuple[Plan, int | None]]:
        for plan in self.plans:
            yield plan, None
        for stream, end in self.streams:
            for number in stream.all_until(until if end is None else min(until, end)):
                yield run(stream, number), end

    def _put(self, until: int) -> Iterator[Run]:
        """Yield the newest that was put of each; of one that was removed what it was before."""
        for everything in self.versions.values():
            versions = [(at, value) for at, value in everything if at <= until]
            values = [(at, value) for at, value in versions if value is not None]
            if not values or values[-1][1].workflow_id != self.workflow_id:
                continue
            last = values[-1][1]
            since = min(at for at, value in values if value.status == last.status)
            yield told(last, put_at=since, gone=versions[-1][1] is None)
