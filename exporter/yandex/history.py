"""What the entries of an execution's history come to: taken together by step; payloads are never kept."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from exporter.yandex.models import NANOS, Fields, Step, StepStatus, execution_of, json_object, seconds

_ACTIVE = frozenset({StepStatus.STARTED, StepStatus.CANCEL_REQUESTED})


@dataclass(frozen=True, slots=True)
class StepRun:
    """One entry of a history, for those who count: `duration` in seconds, None if not stated.

    `error_class` is "" unless the entry has an `error` or is FAILED; `retries` are the attempts after
    the first.
    """

    step_id: str
    status: StepStatus
    error_class: str
    retries: int
    duration: float | None


@dataclass(frozen=True, slots=True)
class History:
    """What the steps of one execution came to.

    `steps` are distinct, in order of start, at most as many as asked for; `over_limit` is how many
    more there were. The counts (`by_status`, dense; `failed`; `retries`) are over all entries, so
    they know of iterations. `runs` has every entry that says its step, in the API's order, without
    a cap; `active` how many entries of a step are at work now, for each step that has one. `unread`
    has the field's name once for each value that could not be read: status, duration, started_at,
    attempts, error_code.
    """

    steps: tuple[Step, ...]
    by_status: tuple[tuple[StepStatus, int], ...]
    failed: int
    retries: int
    over_limit: int
    unread: tuple[str, ...]
    runs: tuple[StepRun, ...]
    active: tuple[tuple[str, int], ...]

    @classmethod
    def from_json(cls, body: object, max_steps: int) -> Self:
        """Read the answer of Execution.GetHistory; raises ValueError if it is none."""
        execution_of(body)
        found = json_object(body, "the answer").get("entries")
        if found is not None and not isinstance(found, list):
            raise ValueError("`entries` is not a list")
        entries = [_Entry.read(item) for item in found or ()]
        steps = _aggregate(entries)
        kept = steps[: max(0, max_steps)]
        runs = tuple(entry.run for entry in entries if entry.run.step_id)
        statuses = Counter(entry.run.status for entry in entries)
        active = Counter(run.step_id for run in runs if run.status in _ACTIVE)
        return cls(
            steps=kept,
            by_status=tuple((status, statuses[status]) for status in StepStatus),
            failed=statuses[StepStatus.FAILED],
            retries=sum(entry.run.retries for entry in entries),
            over_limit=len(steps) - len(kept),
            unread=tuple(name for entry in entries for name in entry.unread),
            runs=runs,
            active=tuple(active.items()),
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a history; times in nanoseconds, so that sums and differences stay exact."""

    run: StepRun
    title: str
    type: str
    start: int | None
    duration: int | None
    attempts: int | None
    unread: tuple[str, ...]

    @classmethod
    def read(cls, item: object) -> Self:
        fields = Fields(item if isinstance(item, dict) else {})
        status = fields.member(StepStatus, StepStatus.UNKNOWN)
        error = fields.error(failed=status is StepStatus.FAILED)
        duration, attempts = fields.duration(), fields.attempts()
        return cls(
            run=StepRun(
                step_id=fields.label("id"),
                status=status,
                error_class=error.error_class if error else "",
                retries=max(0, (attempts or 0) - 1),
                duration=seconds(duration),
            ),
            title=fields.label("title"),
            type=fields.label("type"),
            start=fields.timestamp(),
            duration=duration,
            attempts=attempts,
            unread=tuple(fields.unread),
        )

    @property
    def end(self) -> int | None:
        return None if self.start is None or self.duration is None else self.start + self.duration


def _aggregate(entries: Iterable[_Entry]) -> tuple[Step, ...]:
    groups: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.run.step_id:
            groups.setdefault(entry.run.step_id, []).append(entry)
    steps = [_step(group) for group in groups.values()]
    # Steps that have not started yet come last.
    return tuple(sorted(steps, key=lambda step: (step.started_at is None, step.started_at or 0)))


def _step(group: list[_Entry]) -> Step:
    ordered = sorted(group, key=lambda entry: entry.start or 0)
    last = ordered[-1]
    start = min((entry.start for entry in group if entry.start is not None), default=None)
    end = max((entry.end for entry in group if entry.end is not None), default=None)
    return Step(
        id=last.run.step_id,
        title=last.title,
        type=last.type,
        status=last.run.status,
        started_at=seconds(start),
        duration=None if start is None or end is None else (end - start) / NANOS,
        attempts=max((entry.attempts for entry in group if entry.attempts is not None), default=None),
    )
