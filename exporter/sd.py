"""The page for Prometheus' HTTP service discovery: one target for each workflow."""

import json
from collections.abc import Iterable

from exporter.outcome import WorkflowOutcome
from exporter.workflowcollector import label_names
from exporter.yandex.workflows import Workflow

META = "__meta_yc_"


def targets(outcomes: Iterable[WorkflowOutcome]) -> str:
    """Return the workflows as JSON: the ID as the target, what is known of it as labels."""
    groups = [{"targets": [o.target.id], "labels": _labels(o.target.id, o.workflow)} for o in outcomes]
    return json.dumps(groups, ensure_ascii=False, indent=1) + "\n"


def _labels(workflow_id: str, workflow: Workflow | None) -> dict[str, str]:
    labels = {META + "workflow_id": workflow_id}
    if workflow is None:
        return labels
    labels |= {
        META + "workflow_name": workflow.name,
        META + "workflow_state": workflow.state.name,
        META + "workflow_express": str(workflow.express).lower(),
        META + "folder_id": workflow.folder_id,
    }
    values = dict(workflow.labels)
    return labels | {META + label: values[keys[0]] for label, keys in label_names(values)}
