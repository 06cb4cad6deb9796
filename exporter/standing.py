"""What a page says of one workflow's executions: frozen values, and the bounds of their histograms."""

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.yandex.models import Status, StepStatus

DURATION_BOUNDS = (
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0,
    21600.0, 43200.0, 86400.0, 172800.0,
)  # fmt: skip
STEP_BOUNDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 86400.0)
ENDS = (Status.STOPPED, Status.FAILED, Status.FINISHED)
ACTIVE = (Status.QUEUED, Status.RUNNING, Status.PAUSED)
STEP_ENDS = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED)

Key = tuple[str, ...]
"""What a total is of: `started`, `completed` and a status, and so on; see `Account`."""


@dataclass(frozen=True, slots=True)
class Run:
    """An execution that ended, at `end` (Unix seconds); `duration` in seconds."""

    status: Status
    end: float
    duration: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """An execution that stands for those of its bucket."""

    execution_id: str
    duration: float
    end: float


@dataclass(frozen=True, slots=True)
class Group:
    """The active executions of one status: how many, and when the oldest started (Unix seconds)."""

    count: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a page says of one workflow's executions. `totals` never fall; times in Unix seconds."""

    active: Mapping[Status, Group]
    recent: Mapping[Status, int]
    totals: Mapping[Key, int]
    exemplars: Mapping[float, Exemplar]
    steps: Mapping[str, tuple[str, str]]
    steps_over_limit: int = 0
    last_started: float | None = None
    last_completed: Run | None = None
    last_success: float | None = None
    last_failure: float | None = None


NOTHING = Standing({}, {}, {}, {}, {})
