"""What the exporter can say in a label, for the tests of what reads it."""

from collections.abc import Iterable
from functools import cache

from shapes import rules

from exporter.config import Quota
from exporter.standing import ACTIVE, ENDS, STEP_ENDS
from exporter.telemetry import API_METHODS, KINDS, UNREAD_FIELDS
from exporter.yandex.errors import REASONS
from exporter.yandex.models import ERROR_CLASSES, Status, StepStatus
from exporter.yandex.workflows import WorkflowState


def said(metric: str, label: str) -> frozenset[str] | None:
    """Return the values that a label of a metric can have; None where nobody knows."""
    if label == "status":
        return frozenset(status.name for status in statuses(metric))
    if label == "kind" and metric.endswith("series_over_limit"):
        return frozenset({*KINDS, "step"})
    return vocabulary().get(label)


@cache
def vocabulary() -> dict[str, frozenset[str]]:
    """Return the values of the labels that have the same in every metric."""
    return {
        "state": frozenset(state.name for state in WorkflowState),
        "error_class": frozenset(ERROR_CLASSES),
        "quota": frozenset(Quota.model_fields),
        "kind": frozenset(KINDS),
        "reason": frozenset(REASONS),
        "method": frozenset(API_METHODS),
        "field": frozenset(UNREAD_FIELDS),
        "code": frozenset({"0", *(str(code) for code in range(100, 600))}),
        "alertname": frozenset(rule["alert"] for rule in rules() if "alert" in rule),
        "severity": frozenset({"critical", "warning", "info"}),
        "alertstate": frozenset({"pending", "firing"}),
    }


def statuses(metric: str) -> Iterable[Status | StepStatus]:
    """Return what `status` can be in a metric."""
    if metric == "yc_workflow_steps_completed_total":
        return STEP_ENDS
    if metric in {"yc_workflow_execution_steps", "yc_workflow_execution_step_status"}:
        return StepStatus
    if metric in {"yc_workflow_executions_completed_total", "yc_workflow_last_completed_status"}:
        return ENDS
    if "active" in metric:
        return ACTIVE
    return Status
