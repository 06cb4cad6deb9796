"""Answers with one thing wrong in them: every field of every type, items that are none, lists without end."""

import os
from collections import Counter
from typing import Any

import pytest
from faulty import BAD, LATER, MUCH_LATER, Door, Halves, Subject

from exporter.simulator import Fault, FaultRule

DEEP: Any = [[[[[[[[{"a": [None]}]]]]]]]]
FEW: tuple[Any, ...] = (None, True, 10**400, 1.5, "text", [], {}, DEEP)
MANY: tuple[Any, ...] = (
    False, 0, 7, -1, 10**40, -1e308, "", "\ud800", '\x00\n"{}', "x" * 100_000, [None], [[]], [{}], {"": 0},
)  # fmt: skip
VALUES = FEW + MANY if os.environ.get("FAULTS") else FEW
"""What a field may be instead of what it is; all of it with `make faults`."""

FIELDS = {
    "Execution.Get": (
        f"exe-{BAD}",
        "execution execution.id execution.workflowId execution.status execution.startedAt execution.duration "
        "execution.error execution.error.errorCode execution.error.message execution.input "
        "execution.input.inputJson execution.result execution.result.resultJson",
    ),
    "Execution.GetHistory": (
        f"exe-{BAD}",
        "execution execution.id execution.status entries entries.0 entries.0.id entries.0.title "
        "entries.0.type entries.0.status entries.0.startedAt entries.0.duration entries.0.attempts "
        "entries.0.error "
        "entries.0.error.errorCode entries.0.input entries.0.output entries.0.lastError "
        "entries.0.description",
    ),
    "Execution.List": (
        f"flow-{BAD}",
        "executions executions.0 executions.0.id executions.0.workflowId executions.0.status "
        "executions.0.startedAt executions.0.duration",
    ),
    "Workflow.Get": (
        f"flow-{BAD}",
        "workflow workflow.id workflow.folderId workflow.name workflow.status workflow.createdAt "
        "workflow.labels workflow.labels.team workflow.express workflow.isPublic workflow.description "
        "workflow.specification workflow.schedule workflow.schedule.cronExpression "
        "workflow.schedule.timezone",
    ),
    "Workflow.List": (
        f"folder-{BAD}",
        "workflows workflows.0 workflows.0.id workflows.0.folderId workflows.0.name workflows.0.status "
        "workflows.0.createdAt workflows.0.labels workflows.0.express nextPageToken",
    ),
}
PLACES = [(method, at, path) for method, (at, paths) in FIELDS.items() for path in paths.split()]


@pytest.mark.parametrize(("method", "target", "path"), PLACES)
def test_a_field_that_is_of_a_wrong_type(
    halves: Halves, door: Door, method: str, target: str, path: str
) -> None:
    """Whatever it is, it costs its own target at most, once, and passes."""
    with Subject(halves.settings(), door) as subject:
        whole = subject.scrape()
        for value in VALUES:
            halves.clock.sleep(MUCH_LATER if method == "Workflow.Get" else LATER)
            counted = subject.reasons()
            rule = FaultRule(Fault.FIELD, method=method, target=target, path=path, value=value)
            halves.cloud.faults.add(rule)
            page = subject.scrape()
            halves.cloud.faults.clear()
            told = page.reasons() - counted
            # Another ID or page is asked for, and is not there.
            asked = {"not_found", "bad_request"} if path.endswith(("id", "nextPageToken")) else set()
            assert told.total() <= 1, (value, told)
            assert set(told) <= {"bad_response"} | asked, (value, told)
            assert (value, page.value("up")) == (value, 1)
            assert (value, page.half("twin")) == (value, whole.half("twin"))
        halves.clock.sleep(MUCH_LATER)
        after = subject.scrape()
        assert after.reasons() == page.reasons()
        assert after.value("scrape_success", workflow_id=f"flow-{BAD}") == 1
        assert after.value("execution_scrape_success", execution_id=f"exe-{BAD}") == 1


@pytest.mark.parametrize("method", ["Execution.List", "Workflow.List"])
def test_items_that_are_none_cost_only_themselves(halves: Halves, door: Door, method: str) -> None:
    """What has no ID, is somebody else's or an older state of what has ended is left out, and told."""
    target = FIELDS[method][0]
    with Subject(halves.settings(), door) as subject:
        subject.scrape()
        halves.live()
        for _ in range(3):
            counted = subject.reasons()
            halves.cloud.faults.add(FaultRule(Fault.BAD_ITEMS, method=method, target=target))
            halves.live()
            page = subject.scrape()
            halves.cloud.faults.clear()
            assert (page.differs(), page.reasons() - counted) == (frozenset(), Counter(bad_response=1))
            assert not any("somebodyelse" in key for key in page.samples)
            assert subject.scrape().differs() == set()


def test_entries_that_are_none_are_of_an_unknown_state(halves: Halves, door: Door) -> None:
    """They are counted as such; the steps that can be read are there."""
    rule = FaultRule(Fault.BAD_ITEMS, method="Execution.GetHistory", target=f"exe-{BAD}")
    halves.cloud.faults.add(rule)
    with Subject(halves.settings(), door) as subject:
        page = subject.scrape()
        at = {"execution_id": f"exe-{BAD}", "workflow_id": f"own-{BAD}"}
        assert page.value("execution_scrape_success", execution_id=f"exe-{BAD}") == 1
        assert page.value("execution_steps", status="UNKNOWN", **at)
        assert page.value("execution_step_attempts", step_id="fetch", **at) == 2
        assert page.value("exporter_unknown_values_total", field="status")
        halves.cloud.faults.clear()
        assert subject.scrape().differs() == set()


def test_a_list_without_end_costs_no_other_its_time(halves: Halves, door: Door) -> None:
    """A workflow whose list always goes on is told to be out of time; the others are whole."""
    settings = halves.settings()
    settings["api"]["concurrency"] = 2
    settings["scrape"] = {"timeout": "2s"}
    with Subject(settings, door) as subject:
        whole = subject.scrape()
        halves.cloud.faults.add(FaultRule(Fault.NO_END, method="Execution.List", target=f"flow-{BAD}"))
        for _ in range(2):
            page = subject.scrape()
            assert page.value("scrape_success", workflow_id=f"flow-{BAD}") == 0
            assert page.half("twin") == whole.half("twin")
        assert page.reasons() + Counter() == Counter(budget=2)
        halves.cloud.faults.clear()
        halves.clock.sleep(LATER)
        # The page that it would have gone on from is refused, and it begins anew.
        subject.scrape()
        assert subject.scrape().differs() == set()


def test_a_folder_without_end_costs_no_other_its_time(halves: Halves, door: Door) -> None:
    """Its workflows that were found before are followed all the same."""
    settings = halves.settings()
    settings["scrape"] = {"timeout": "2s"}
    with Subject(settings, door) as subject:
        subject.scrape()
        halves.cloud.faults.add(FaultRule(Fault.NO_END, method="Workflow.List", target=f"folder-{BAD}"))
        page = subject.scrape()
        assert page.differs() == set()
        assert sum((page.reasons() + Counter()).values()) == 1
        halves.cloud.faults.clear()
        assert subject.scrape().reasons() == page.reasons()


@pytest.mark.parametrize("token", [5, True, [], {}, "\ud800", 1.5])
def test_a_next_page_that_has_no_name(halves: Halves, door: Door, token: object) -> None:
    """A list whose next page cannot be asked for is no complete list."""
    rule = FaultRule(
        Fault.FIELD, method="Execution.List", target=f"flow-{BAD}", path="nextPageToken", value=token
    )
    with Subject(halves.settings(), door) as subject:
        subject.scrape()
        halves.cloud.faults.add(rule)
        page = subject.scrape()
        assert page.reasons() + Counter() == Counter(bad_response=1)
        assert page.value("scrape_success", workflow_id=f"flow-{BAD}") == 0
        halves.cloud.faults.clear()
        assert subject.scrape().differs() == set()


def test_a_next_page_that_is_always_the_same(halves: Halves, door: Door) -> None:
    """A list that does not advance is given up at its second page, not at the end of the time."""
    rule = FaultRule(
        Fault.FIELD, method="Execution.List", target=f"flow-{BAD}", path="nextPageToken", value="again"
    )
    with Subject(halves.settings(), door) as subject:
        halves.cloud.faults.add(rule)
        page = subject.scrape()
        asked = [call for call in halves.cloud.calls if call.target == f"flow-{BAD}"]
        assert page.seconds < 2
        assert len([call for call in asked if call.method == "Execution.List"]) == 2
        assert set(page.reasons() + Counter()) <= {"bad_response", "bad_request"}
        halves.cloud.faults.clear()
        assert subject.scrape().differs() == set()
