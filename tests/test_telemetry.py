"""What the exporter says of itself after collections of every kind of target."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import pytest
from prometheus_client.core import Metric

from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, WorkflowOutcome
from exporter.standing import NOTHING
from exporter.targets import ExecutionTarget, FolderTarget, WorkflowTarget
from exporter.telemetry import API_METHODS, ScrapeTelemetry, Telemetry
from exporter.yandex.history import History
from exporter.yandex.models import Execution

NOW = 1_741_622_400.0
WORKFLOW = WorkflowOutcome(WorkflowTarget("w"), NOW, http_code=200, fresh=True, listed=True)
FOLDER = FolderOutcome(FolderTarget("b1g"), NOW, http_code=200, fresh=True, listed=True)
EXECUTION = ExecutionOutcome(
    ExecutionTarget("e"),
    NOW,
    http_code=200,
    fresh=True,
    execution=Execution.of({"id": "e", "status": "RUNNING"}),
)
SLOW = replace(WORKFLOW, fresh=False, listed=False, http_code=0, reason="timeout")


class Collector(Protocol):
    """What has families to show."""

    def collect(self) -> Iterator[Metric]:
        """Build the families."""
        ...


def shown(collector: Collector) -> dict[str, float]:
    """Return the exporter's own values, each by its name and the values of its labels."""
    return {
        " ".join((sample.name.removeprefix("yc_workflow_exporter_"), *sample.labels.values())): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def after(*collections: Collection) -> dict[str, float]:
    """Return the exporter's values after these collections."""
    told = Telemetry("1", "2")
    for collection in collections:
        told.collected(collection)
    return shown(told)


def of(
    *workflows: WorkflowOutcome, folders: tuple[FolderOutcome, ...] = (), probe: bool = False
) -> Collection:
    """Return a collection of workflows and folders."""
    return Collection((), NOW, 0.1, workflows=workflows, folders=folders, probe=probe)


def test_every_kind_of_target_counts_its_failures_and_its_unread_fields() -> None:
    """A workflow's or folder's trouble is as visible as an execution's."""
    execution = replace(EXECUTION, execution=Execution.of({"id": "e", "status": "NEW"}))
    workflow = replace(WORKFLOW, unreadable=("state", "cron", "status"))
    folder = FolderOutcome(FolderTarget("b1g"), NOW, http_code=403, reason="forbidden")
    found = after(Collection((execution,), NOW, 0.1, workflows=(workflow,), folders=(folder,)))
    assert found["unknown_values_total state"] == found["unknown_values_total cron"] == 1
    assert found["unknown_values_total status"] == 2
    assert found["scrape_errors_total forbidden"] == 1


def test_what_is_not_fresh_counts_its_unread_fields_no_second_time() -> None:
    """A field is counted when it is read."""
    found = after(of(replace(WORKFLOW, fresh=False, unreadable=("cron",))))
    assert found["unknown_values_total cron"] == 0


def test_the_cache_is_that_of_executions() -> None:
    """Lists are read each time, so they would only dilute the rate of hits."""
    executions = (EXECUTION, replace(EXECUTION, target=ExecutionTarget("f"), fresh=False, cached=True))
    given = Collection(executions, NOW, 0.1, workflows=(WORKFLOW,), folders=(replace(FOLDER, cached=True),))
    found = after(given)
    assert (found["cache_requests_total"], found["cache_hits_total"]) == (2, 1)


@pytest.mark.parametrize(
    ("workflows", "up"),
    [
        ((WORKFLOW,), 1.0),
        ((WORKFLOW, SLOW), 1.0),
        ((SLOW,), 0.0),
        ((replace(SLOW, reason="not_found"),), 1.0),
        ((WORKFLOW, replace(SLOW, reason="unauthorized")), 0.0),
        ((replace(SLOW, sent=False),), None),
    ],
)
def test_the_api_is_judged_by_workflows_too(workflows: tuple[WorkflowOutcome, ...], up: float | None) -> None:
    """Who watches workflows only has `yc_workflow_up` as well; no contact says nothing."""
    assert after(of(*workflows)).get("yc_workflow_up") == up


def test_a_list_that_was_read_is_a_contact_with_the_api() -> None:
    """The last success of the API is that of any target."""
    later = replace(FOLDER, at=NOW + 5)
    assert after(of(WORKFLOW, folders=(later,)))["last_api_success_timestamp_seconds"] == NOW + 5


def test_a_probe_of_one_slow_workflow_says_nothing_of_the_api() -> None:
    """A probe is there to find the one that is broken."""
    found = after(of(WORKFLOW), of(SLOW, probe=True))
    assert found["yc_workflow_up"] == 1
    assert after(of(WORKFLOW), of(SLOW))["yc_workflow_up"] == 0


def test_targets_and_failures_are_told_by_kind() -> None:
    """Every kind is there, at 0 where nothing is watched."""
    failed = replace(FOLDER, listed=False, reason="forbidden")
    given = Collection((EXECUTION,), NOW, 0.1, workflows=(WORKFLOW, SLOW), folders=(failed,))
    found = shown(ScrapeTelemetry(lambda: given))
    assert [found[f"scrape_targets {kind}"] for kind in ("execution", "workflow", "folder")] == [1, 2, 1]
    assert [found[f"scrape_failed_targets {kind}"] for kind in ("execution", "workflow", "folder")] == [
        0,
        1,
        1,
    ]
    empty = shown(ScrapeTelemetry(lambda: Collection((), NOW, 0.1)))
    assert {empty[f"scrape_targets {kind}"] for kind in ("execution", "workflow", "folder")} == {0}


def test_steps_over_the_limit_are_those_of_executions_and_of_workflows() -> None:
    """What a cap leaves out is counted, wherever it is."""
    entries = [{"id": f"s{number}"} for number in range(5)]
    history = History.from_json({"execution": {"id": "e"}, "entries": entries}, 2)
    workflow = replace(WORKFLOW, standing=replace(NOTHING, steps_over_limit=4))
    given = Collection((replace(EXECUTION, history=history),), NOW, 0.1, workflows=(workflow, WORKFLOW))
    found = shown(ScrapeTelemetry(lambda: given))
    assert found["series_over_limit step"] == 7
    assert {found[f"series_over_limit {kind}"] for kind in ("execution", "workflow", "folder")} == {0}


def test_a_state_file_that_cannot_be_written_is_counted() -> None:
    """Counters that stand still have a reason that an alert can name."""
    told = Telemetry("1", "2")
    assert shown(told)["state_write_failures_total"] == 0
    told.state_failed()
    assert shown(told)["state_write_failures_total"] == 1


def test_every_call_of_the_api_is_there_before_it_is_made() -> None:
    """A rate of retries needs a first value."""
    found = after()
    assert {name for name in found if name.startswith("api_retries_total")} == {
        f"api_retries_total {method}" for method in API_METHODS
    }
