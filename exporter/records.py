"""What must be remembered to count no execution twice: of each one, of its workflow, of a look at it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

from exporter.standing import Run
from exporter.yandex.models import Execution, Status
from exporter.yandex.workflows import Workflow

SETTLED = 60.0
"""Seconds before the first look at which an execution that has ended needs no remembering."""
SKEW = 3.0
"""Seconds by which two clocks may differ and still be taken to agree."""
DOUBT = 3600.0
"""Seconds by which the cloud's clock may differ from ours if no answer tells the time."""
GONE = 2
"""How often an execution is not to be found before it is taken for deleted."""
_MOST_SECONDS = 1e12
"""More than any time and any duration of protobuf has, both added."""


@dataclass(frozen=True, slots=True)
class Record:
    """An execution that is remembered: its last status and its start.

    `owes_class`, `owes_steps`: its error code, its history are still to be read. `missing`: how often it
    was not found, though it had not ended.
    """

    status: Status
    started: float | None
    owes_class: bool = False
    owes_steps: bool = False
    missing: int = 0

    @property
    def settled(self) -> bool:
        """Whether it has ended, or is gone, and nothing more is wanted of it."""
        over = self.status.terminal or self.missing >= GONE
        return over and not (self.owes_class or self.owes_steps)

    def to_json(self) -> tuple[Any, ...]:
        """Return it as a JSON array."""
        return (self.status.value, self.started, self.owes_class, self.owes_steps, self.missing)

    @classmethod
    def of(cls, row: Iterable[Any]) -> Self:
        """Read it from a JSON array."""
        status, started, owes_class, owes_steps, missing = row
        return cls(Status(status), _instant(started), bool(owes_class), bool(owes_steps), int(missing))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the workflow beside single executions.

    `baseline`: what ended before it had ended before the first look. `newest` is the newest start that
    a complete list has shown, `floor` how far back the next one must reach; both None before the first.
    `unfiltered`: that list showed what has no start, which a filter hides. `workflow` is what the list of its
    folder last said of it.
    """

    looked: bool = False
    unfiltered: bool = False
    baseline: float | None = None
    newest: float | None = None
    floor: float | None = None
    last_started: float | None = None
    last_completed: Run | None = None
    last_success: float | None = None
    last_failure: float | None = None
    steps: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    workflow: Workflow | None = None

    def noting(self, execution: Execution) -> Self:
        """Return them with the newest start and ends, whatever the order in which executions are told."""
        end, last = execution.ended_at, self.last_completed
        if end is not None and execution.duration is not None and (last is None or end > last.end):
            last = Run(execution.status, end, execution.duration)
        success = end if execution.status is Status.FINISHED else None
        failure = end if execution.status is Status.FAILED else None
        told = (
            later(self.last_started, execution.started_at),
            last,
            later(self.last_success, success),
            later(self.last_failure, failure),
        )
        # Most executions of a list are no news, and a list may be long.
        if told == (self.last_started, self.last_completed, self.last_success, self.last_failure):
            return self
        started, last, success, failure = told
        return replace(
            self, last_started=started, last_completed=last, last_success=success, last_failure=failure
        )

    def to_json(self) -> dict[str, Any]:
        """Return them as a JSON object."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        run = self.last_completed
        last = None if run is None else [run.status.value, run.end, run.duration]
        workflow = self.workflow.to_json() if self.workflow else None
        return {**plain, "last_completed": last, "steps": dict(self.steps), "workflow": workflow}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Self:
        """Read them from a JSON object."""
        run = plain["last_completed"]
        last = None if run is None else Run(Status(run[0]), _seconds(run[1]), _seconds(run[2]))
        steps = {id_: (str(type_), str(title)) for id_, (type_, title) in plain["steps"].items()}
        workflow = None if plain["workflow"] is None else Workflow.of(plain["workflow"])
        times = ("baseline", "newest", "floor", "last_started", "last_success", "last_failure")
        known = {"last_completed": last, "steps": MappingProxyType(steps), "workflow": workflow}
        return cls(**{**plain, **{name: _instant(plain[name]) for name in times}, **known})


@dataclass(slots=True)
class Look:
    """One reading of a workflow's list, from its first page to its last, over several scrapes if need be.

    `since` and `began` are Unix seconds, `window` seconds; `first`: nothing has been counted yet.
    `filter_way` is how its filter is written, `newest` the newest start that was shown, `latest` the newest
    time of the first page. `shown` are the executions that have not ended which the pages of this scrape have
    shown, `unstarted` those without a start on any page. `unfiltered`: the list shows more than was asked
    for. `doubt` is by how many seconds `began` may be wrong by the cloud's clock. Only who has begun it
    changes it.
    """

    workflow_id: str
    since: float
    began: float
    window: float
    first: bool
    token: str = ""
    filter_way: int = 0
    pages: int = 0
    skipped: int = 0
    latest: float | None = None
    newest: float | None = None
    unfiltered: bool = False
    doubt: float = DOUBT
    shown: set[str] = field(default_factory=set)
    unstarted: set[str] = field(default_factory=set)

    def served(self, at: float | None, now: float) -> None:
        """Take when the first page was served, by a clock of whole seconds, and when it came, by ours.

        Where the two clearly differ it is the cloud's that its times are to be compared with.
        """
        if self.pages or at is None:
            return
        self.doubt = SKEW
        if abs(at + 0.5 - now) > SKEW:
            self.began = at + 1

    def show(self, execution: Execution) -> None:
        """Note an execution of a page, for `newest`, `latest` and `shown`."""
        started, ended = execution.started_at, execution.ended_at
        if not execution.status.terminal:
            self.shown.add(execution.id)
        if started is None:
            self.unstarted.add(execution.id)
        self.newest = later(self.newest, started)
        if not self.pages:
            self.latest = later(later(self.latest, started), ended)

    @property
    def instant(self) -> float | None:
        """What ended later than this ended while the look went on; None on the first page."""
        return max(self.began, self.latest or 0.0) if self.pages else None

    @property
    def baseline(self) -> float:
        """What ended no later than this had ended before this look; told to the looks after it."""
        return max(min(self.latest or 0.0, self.began), self.began - self.doubt)


def _instant(value: Any) -> float | None:
    """Return what a file holds of an instant; raises ValueError for what is none."""
    return None if value is None else _seconds(value)


def _seconds(value: Any) -> float:
    """Return a number of seconds that the API can have told; raises ValueError for what is none."""
    if type(value) not in {int, float} or not abs(value) <= _MOST_SECONDS:
        raise ValueError("not a number of seconds")
    return float(value)


def later(known: float | None, told: float | None) -> float | None:
    """Return the later of two instants, each of which may be unknown."""
    return known if told is None else told if known is None else max(known, told)


def earlier(known: float | None, told: float | None) -> float | None:
    """Return the earlier of two instants, each of which may be unknown."""
    return known if told is None else told if known is None else min(known, told)
