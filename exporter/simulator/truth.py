"""What is true of a workflow's executions, to hold an exporter's counters and gauges against.

It is computed from the same plans as the answers, so that the two agree to the nanosecond, and it knows
what the API has forgotten: runs beyond what a stream keeps, and executions that were removed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.simulator.values import NANO, TERMINAL, Execution, Status

CLASSES: Final = ("STEP", "HTTP_CALL", "GRPC_CALL", "FUNCTION_CALL", "CONTAINER_CALL", "YDB_CALL", "OTHER")
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_ACTIVE: Final = tuple(status for status in Status if status not in TERMINAL)
_ENDS: Final = tuple(status for status in Status if status in TERMINAL)


@dataclass(frozen=True, slots=True)
class Run:
    """The last that the API could tell of one execution by some moment; times in nanoseconds.

    `started` and `duration` are those of the wire, None where it tells none or none that can be read.
    `ended` is None while it is active; where no duration tells it, when it was put. `gone` if it had been
    removed by then: it is listed no more, and what became of it later is nobody's knowledge.
    """

    id: str
    status: str
    started: int | None = None
    duration: int | None = None
    ended: int | None = None
    error_code: str = ""
    gone: bool = False

    @property
    def error_class(self) -> str:
        """The longest documented class that the code begins with, OTHER for none and for what is no code."""
        if not _CODE.fullmatch(self.error_code):
            return "OTHER"
        fitting = [name for name in CLASSES if self.error_code.startswith(f"{name}_")]
        return max(fitting, key=len, default="OTHER")


def told(execution: Execution, put_at: int | None = None, gone: bool = False) -> Run:
    """Return an execution as a Run; `put_at` if a test has put it."""
    ended = execution.finished_at
    if execution.status in TERMINAL and ended is None:
        ended = put_at
    return Run(
        id=execution.id,
        status=str(execution.status),
        started=execution.begun_at,
        duration=execution.took,
        ended=ended,
        error_code=execution.error.code if execution.error else "",
        gone=gone,
    )


@dataclass(frozen=True, slots=True)
class Truth:
    """A workflow's executions from `since` (exclusive) to `until` (inclusive), and as they are at `until`.

    Only what the API had shown by `until` counts; `hidden` is the number of executions that had started
    and were not shown yet. Removed executions count with the last that was shown of them. The mappings
    are dense. The fields are in nanoseconds, the properties in seconds; None where there is none.
    """

    started: frozenset[str]
    completed: Mapping[str, int]
    failures: Mapping[str, int]
    active: Mapping[str, int]
    lasted: tuple[int, ...]
    newest_start: int | None
    newest_success: int | None
    newest_failure: int | None
    hidden: int = 0

    @property
    def durations(self) -> tuple[float, ...]:
        """Seconds that each of those took that completed in the window and tell it."""
        return tuple(nanos / NANO for nanos in self.lasted)

    @property
    def duration_count(self) -> int:
        """How many those are."""
        return len(self.lasted)

    @property
    def duration_sum(self) -> float:
        """Seconds that they took together, rounded once."""
        return sum(self.lasted) / NANO

    @property
    def last_started(self) -> float | None:
        """The newest start, Unix seconds."""
        return _seconds(self.newest_start)

    @property
    def last_success_end(self) -> float | None:
        """The newest end of a FINISHED one, Unix seconds."""
        return _seconds(self.newest_success)

    @property
    def last_failure_end(self) -> float | None:
        """The newest end of a FAILED one, Unix seconds."""
        return _seconds(self.newest_failure)


def _seconds(nanos: int | None) -> float | None:
    return None if nanos is None else nanos / NANO


def truth(runs: Iterable[Run], since: int, until: int, hidden: int = 0) -> Truth:
    """Return the truth of these runs, each as it was told by `until`; times in nanoseconds."""
    known = list(runs)
    begun = [run for run in known if run.started is not None and run.started <= until]
    ended = [run for run in known if run.ended is not None and run.ended <= until]
    fresh = [run for run in ended if run.ended is not None and run.ended > since]
    failed = [run for run in fresh if run.status == Status.FAILED]
    return Truth(
        started=frozenset(run.id for run in begun if run.started is not None and run.started > since),
        completed=_dense(_ENDS, (run.status for run in fresh)),
        failures=_dense(CLASSES, (run.error_class for run in failed)),
        active=_dense(_ACTIVE, (run.status for run in known if not run.gone)),
        lasted=tuple(run.duration for run in fresh if run.duration is not None),
        newest_start=max((run.started for run in begun if run.started is not None), default=None),
        newest_success=_newest_end(ended, Status.FINISHED),
        newest_failure=_newest_end(ended, Status.FAILED),
        hidden=hidden,
    )


def _dense(keys: Iterable[str], values: Iterable[str]) -> dict[str, int]:
    counted = Counter(values)
    return {str(key): counted[key] for key in keys}


def _newest_end(runs: Iterable[Run], status: Status) -> int | None:
    return max((run.ended for run in runs if run.status == status and run.ended is not None), default=None)
