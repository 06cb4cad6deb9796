"""Outcomes for the tests of what people see."""

from collections.abc import Mapping
from typing import Any

from exporter.cron import Cron
from exporter.firings import Firings
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, WorkflowOutcome
from exporter.standing import Group, Key, Run, Standing
from exporter.targets import ExecutionTarget, FolderTarget, WorkflowTarget
from exporter.yandex.models import ErrorDetail, Execution, Status
from exporter.yandex.workflows import Schedule, Workflow, WorkflowState

NOW = 1_741_622_400.0
"""2025-03-10 16:00:00 UTC, a Monday."""
FLOW, FOLDER = "dfqud9cbc4k5m0a1b2c3", "b1g681qpemb4v0n1p2q3"


def execution(
    id_: str, status: Status = Status.FINISHED, alias: str = "", *, age: float = 0.0, duration: float = 1.0
) -> ExecutionOutcome:
    """Return an execution that was read now and started `age` seconds ago."""
    error = ErrorDetail("HTTP_CALL_TIMEOUT", "HTTP_CALL") if status is Status.FAILED else None
    read = Execution(id_, FLOW, status, NOW - age, duration, error, ())
    return ExecutionOutcome(
        ExecutionTarget(id_, alias), NOW, execution=read, last_success=NOW, http_code=200, fresh=True
    )


def unread(id_: str, reason: str, code: int) -> ExecutionOutcome:
    """Return an execution that was never read."""
    return ExecutionOutcome(ExecutionTarget(id_), NOW, http_code=code, reason=reason, message=f"HTTP {code}")


def details(
    id_: str, name: str, *, state: WorkflowState = WorkflowState.ACTIVE, schedule: Schedule | None = None
) -> Workflow:
    """Return a workflow of this name."""
    return Workflow(
        id_, FOLDER, name, (), state, express=False, created_at=None, schedule=schedule, unread=()
    )


def standing(
    last: Status | None = None,
    *,
    age: float = 180.0,
    active: Mapping[Status, Group] | None = None,
    totals: Mapping[Key, int] | None = None,
    success: float | None = None,
) -> Standing:
    """Return what is known of executions: the last ended `age` seconds ago after 41 s."""
    return Standing(
        active or {}, {}, totals or {}, {}, {},
        last_started=NOW - age - 41 if last or active else None,
        last_completed=Run(last, NOW - age, 41.0) if last else None,
        last_success=success,
    )  # fmt: skip


def workflow(
    id_: str, last: Standing, name: str = "", *, interval: float | None = None, **fields: Any
) -> WorkflowOutcome:
    """Return a workflow whose executions were listed now."""
    known = {
        "listed": True, "fresh": True, "http_code": 200, "last_success": NOW,
        "workflow": details(id_, name) if name else None,
    }  # fmt: skip
    return WorkflowOutcome(WorkflowTarget(id_, interval), NOW, standing=last, **(known | fields))


def unlisted(id_: str, reason: str = "forbidden", code: int = 403, **fields: Any) -> WorkflowOutcome:
    """Return a workflow whose executions cannot be listed."""
    message = f"HTTP {code}"
    return WorkflowOutcome(WorkflowTarget(id_), NOW, http_code=code, reason=reason, message=message, **fields)


def scheduled(id_: str, name: str, expression: str, zone: str) -> WorkflowOutcome:
    """Return a workflow with a schedule."""
    schedule = Schedule(expression, zone)
    last = standing(Status.FINISHED, success=NOW - 180)
    known = details(id_, name, schedule=schedule)
    return workflow(id_, last, workflow=known, firings=Firings.of(Cron.parse(expression, zone), NOW))


def folder(id_: str = FOLDER, *found: Workflow) -> FolderOutcome:
    """Return a folder that was listed now."""
    return FolderOutcome(FolderTarget(id_), NOW, listed=True, found=found, http_code=200)


def lost_folder(id_: str, *found: Workflow) -> FolderOutcome:
    """Return a folder that cannot be listed."""
    return FolderOutcome(
        FolderTarget(id_), NOW, http_code=403, reason="forbidden", message="HTTP 403", found=found
    )


def collection(*outcomes: ExecutionOutcome | WorkflowOutcome | FolderOutcome) -> Collection:
    """Return a collection of these outcomes."""
    return Collection(
        tuple(o for o in outcomes if isinstance(o, ExecutionOutcome)),
        NOW,
        0.0,
        workflows=tuple(o for o in outcomes if isinstance(o, WorkflowOutcome)),
        folders=tuple(o for o in outcomes if isinstance(o, FolderOutcome)),
    )
