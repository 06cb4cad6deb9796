"""The parser reads workflows and lists as the vendor prints them; what cannot be read costs itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzzed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from yandex.cloud.serverless.workflows.v1 import (
    execution_pb2,
    execution_service_pb2,
    workflow_pb2,
    workflow_service_pb2,
)

from exporter.yandex.models import ErrorDetail, Execution, Status
from exporter.yandex.workflows import (
    Page,
    Schedule,
    Workflow,
    WorkflowState,
    executions_page,
    workflows_page,
)

SAMPLES = Path(__file__).parent / "samples"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["id", "folderId", "workflowId", "name", "labels", "status", "express", "createdAt", "schedule"]
)
SCHEDULES = st.dictionaries(st.sampled_from(["cronExpression", "timezone"]), JSON)


def sample(name: str) -> Any:
    """Return a recorded answer."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def printed(message: Any) -> Any:
    """Return what a message of the vendor's classes looks like in an answer."""
    return json.loads(MessageToJson(message))


def named(state: WorkflowState) -> Any:
    """Return the state as the vendor's classes take it."""
    return workflow_pb2.Workflow.Status.Name(state.value)


def workflow(**fields: object) -> Workflow:
    """Return what is read of a workflow with these fields."""
    return Workflow.from_json({"workflow": {"id": "w1", "status": "ACTIVE", **fields}})


def test_the_sample_workflow_is_read() -> None:
    """The vendor's example says what it says, its schedule too."""
    assert Workflow.from_json(sample("workflow_get")) == Workflow(
        id="dfqud9cbc4k5m0a1b2c3",
        folder_id="b1gfolder00000000001",
        name="order-fulfilment",
        labels=(("cost-center/eu", "42"), ("team", "payments")),
        state=WorkflowState.ACTIVE,
        express=False,
        created_at=1741685271.69199,
        schedule=Schedule("0 3 * * ? *", "Europe/Moscow"),
        unread=(),
    )


def test_the_sample_list_of_workflows_is_read() -> None:
    """Every preview is a workflow without a schedule, and there is no other page."""
    page = workflows_page(sample("workflow_list"))
    assert [(item.name, item.state.name, item.express) for item in page.items] == [
        ("order-fulfilment", "ACTIVE", False),
        ("nightly-report", "ACTIVE", True),
        ("broken", "ERROR", False),
    ]
    assert {item.schedule for item in page.items} == {None}
    assert (page.next_token, page.skipped) == ("", 0)


def test_the_sample_list_of_executions_is_read() -> None:
    """A preview is an execution; the code of a failed one is not known."""
    page = executions_page(sample("execution_list_page"))
    assert [(item.status.name, item.duration) for item in page.items] == [
        ("RUNNING", None),
        ("FAILED", 3.000001),
        ("FINISHED", 61.5),
        ("QUEUED", None),
    ]
    assert [item.error for item in page.items] == [None, ErrorDetail("UNSPECIFIED", "OTHER"), None, None]
    assert (page.next_token, page.skipped) == ("CiQxMjM0NTY3OC0wMDAwLTAwMDA", 0)


def test_the_numbers_are_those_of_the_vendor() -> None:
    """Every state has the vendor's name and number."""
    theirs = dict(workflow_pb2.Workflow.Status.items())
    assert {state.name: state.value for state in WorkflowState if state.value} == {
        name: number for name, number in theirs.items() if number
    }


@given(
    st.sampled_from(list(WorkflowState)),
    TEXTS,
    st.dictionaries(TEXTS, TEXTS, max_size=4),
    st.booleans(),
    st.integers(1, 10**10),
    st.none() | st.tuples(TEXTS.filter(bool), TEXTS),
)
def test_a_workflow_of_the_vendors_classes_is_read(  # noqa: PLR0917 - hypothesis hands them over by place
    state: WorkflowState,
    name: str,
    labels: dict[str, str],
    express: bool,
    created: int,
    schedule: tuple[str, str] | None,
) -> None:
    """A workflow printed by the vendor's protobuf classes comes back with the same values."""
    message = workflow_service_pb2.GetWorkflowResponse(
        workflow=workflow_pb2.Workflow(
            id="w-1",
            folder_id="b_1",
            name=name,
            labels=labels,
            status=named(state),
            express=express,
            created_at=Timestamp(seconds=created),
            schedule=workflow_pb2.WorkflowSchedule(cron_expression=schedule[0], timezone=schedule[1])
            if schedule
            else None,
        )
    )
    message.workflow.specification.spec_yaml = "secret"
    assert Workflow.from_json(printed(message)) == Workflow(
        id="w-1",
        folder_id="b_1",
        name=name,
        labels=tuple(sorted(labels.items())),
        state=state,
        express=express,
        created_at=float(created),
        schedule=Schedule(*schedule) if schedule else None,
        unread=() if state.value else ("state",),
    )


@given(st.lists(st.sampled_from(list(WorkflowState)), max_size=5), TEXTS)
def test_a_page_of_workflows_of_the_vendors_classes_is_read(states: list[WorkflowState], token: str) -> None:
    """Previews come in order, with the token of the next page."""
    message = workflow_service_pb2.ListWorkflowsResponse(
        workflows=[
            workflow_pb2.WorkflowPreview(id=f"w{n}", status=named(state), labels={"n": str(n)})
            for n, state in enumerate(states)
        ],
        next_page_token=token,
    )
    page = workflows_page(printed(message))
    assert [(item.id, item.state, item.labels) for item in page.items] == [
        (f"w{n}", state, (("n", str(n)),)) for n, state in enumerate(states)
    ]
    assert (page.next_token, page.skipped) == (token, 0)


@given(st.lists(st.tuples(st.sampled_from(list(Status)), st.integers(1, 10**9)), max_size=5), TEXTS)
def test_a_page_of_executions_of_the_vendors_classes_is_read(
    runs: list[tuple[Status, int]], token: str
) -> None:
    """Previews come in order, each with its status, start and duration."""
    message = execution_service_pb2.ListExecutionsResponse(
        executions=[
            execution_pb2.ExecutionPreview(
                id=f"e{n}",
                workflow_id="w1",
                status=execution_pb2.Execution.Status.Name(status.code),
                started_at=Timestamp(seconds=start),
                duration=Duration(seconds=n),
            )
            for n, (status, start) in enumerate(runs)
        ],
        next_page_token=token,
    )
    page = executions_page(printed(message))
    assert [(e.id, e.workflow_id, e.status, e.started_at, e.duration) for e in page.items] == [
        (f"e{n}", "w1", status, float(start), float(n)) for n, (status, start) in enumerate(runs)
    ]
    assert (page.next_token, page.skipped) == (token, 0)


@pytest.mark.parametrize("body", [{}, {"executions": None, "nextPageToken": None}])
def test_a_missing_list_is_an_empty_page(body: object) -> None:
    """Protobuf JSON leaves out what is empty."""
    assert executions_page(body) == Page((), "", 0)
    assert workflows_page(body) == Page((), "", 0)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        {"executions": {}, "workflows": {}},
        {"executions": "", "workflows": ""},
        {"nextPageToken": 5},
        {"nextPageToken": False},
        {"nextPageToken": []},
        {"nextPageToken": "\ud800"},
    ],
)
def test_an_answer_that_is_no_page_is_refused(body: object) -> None:
    """A list is a list, and a token a text that can be sent back."""
    for read in (executions_page, workflows_page):
        with pytest.raises(ValueError, match=r"answer|list|nextPageToken"):
            read(body)


@given(st.lists(JSON | st.dictionaries(KEYS, JSON), max_size=4), st.integers(0, 4))
@fuzzed(120)
def test_an_item_that_cannot_be_read_costs_only_itself(junk: list[object], place: int) -> None:
    """The good item among any others is there, and every item is either read or counted."""
    items = [*junk[:place], {"id": "good", "status": "ACTIVE"}, *junk[place:]]
    workflows = workflows_page({"workflows": items})
    executions = executions_page({"executions": items})
    for page in (workflows, executions):
        assert "good" in {item.id for item in page.items}
        assert len(page.items) + page.skipped == len(items)


@given(JSON | st.dictionaries(KEYS, JSON | SCHEDULES))
@fuzzed(200)
def test_arbitrary_json_is_read_or_refused(fields: object) -> None:
    """Whatever an answer holds, reading it raises nothing but ValueError."""
    bodies = (fields, {"workflow": fields}, {"workflows": fields}, {"executions": fields})
    for read in (Workflow.from_json, Workflow.of, Execution.of, workflows_page, executions_page):
        for body in (*bodies, {"nextPageToken": fields}):
            try:
                read(body)
            except ValueError:
                continue


@given(st.dictionaries(KEYS, JSON | SCHEDULES))
@fuzzed(200)
def test_a_malformed_field_costs_itself_only(fields: dict[str, object]) -> None:
    """With a valid id a workflow is always read, and its texts can be encoded."""
    read = workflow(**{**fields, "id": "w1"})
    schedule = read.schedule or Schedule("", "")
    texts = (read.name, read.folder_id, schedule.expression, schedule.timezone)
    "".join((*texts, *(text for pair in read.labels for text in pair))).encode()
    assert set(read.unread) <= {"state", "cron"}


@pytest.mark.parametrize("state", [None, "STATUS_UNSPECIFIED", "active", 0, 99, True, 2.0, [], "UNKNOWN"])
def test_an_unknown_state_is_unknown_and_said(state: object) -> None:
    """A state that this side has no name for is UNKNOWN, and listed as unread."""
    read = workflow(status=state)
    assert (read.state, read.unread) == (WorkflowState.UNKNOWN, ("state",))


def test_a_state_may_be_a_number() -> None:
    """Protobuf prints the number of an enum value that it has no name for."""
    assert workflow(status=5).state is WorkflowState.ERROR


@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"cronExpression": ""},
        {"cronExpression": 5},
        {"cronExpression": "* * * * ?\ud800"},
        {"cronExpression": "* * * * ?", "timezone": 3},
        {"cronExpression": "* * * * ?", "timezone": "\ud800"},
        "* * * * ?",
        [],
        False,
    ],
)
def test_a_schedule_that_cannot_be_read_is_none_and_said(schedule: object) -> None:
    """What has no expression, or a zone that is no text, is no schedule: a guess would be a wrong alert."""
    read = workflow(schedule=schedule)
    assert (read.schedule, read.unread) == (None, ("cron",))


def test_a_schedule_needs_no_time_zone() -> None:
    """Without a zone it is read, and says so; null is no schedule at all."""
    assert workflow(schedule={"cronExpression": "0 3 * * ? *"}).schedule == Schedule("0 3 * * ? *", "")
    assert workflow(schedule=None) == workflow()


def test_a_long_expression_is_kept_whole() -> None:
    """Cut to the length of a label it would be another schedule."""
    expression = ",".join(map(str, range(60))) + " * * * ? *"
    assert workflow(schedule={"cronExpression": expression}).schedule == Schedule(expression, "")


def test_labels_are_texts_that_can_be_shown() -> None:
    """Other values are left out, lone surrogates replaced, long texts cut."""
    labels = {"z": "1", "n": 5, "none": None, "a" * 200: "b" * 200, "s\ud800": "\ud800"}
    assert workflow(labels=labels).labels == (("a" * 128, "b" * 128), ("s?", "?"), ("z", "1"))
    assert workflow(labels=["z"]).labels == ()


@pytest.mark.parametrize("created", ["yesterday", 5, "0001-01-01T00:00:00Z", None, []])
def test_a_creation_that_cannot_be_read_is_not_stated(created: object) -> None:
    """It costs only itself and is told nowhere, for no metric is made of it alone."""
    read = workflow(createdAt=created)
    assert (read.created_at, read.unread) == (None, ())


@pytest.mark.parametrize("express", ["true", 1, None, [], {}])
def test_only_true_is_express(express: object) -> None:
    """What is not said is not so."""
    assert not workflow(express=express).express


@pytest.mark.parametrize(
    "body", [None, [], {}, *({"workflow": found} for found in (None, {}, {"id": "a b"}))]
)
def test_an_answer_without_a_workflow_is_refused(body: object) -> None:
    """What holds no workflow is no answer."""
    with pytest.raises(ValueError, match=r"workflow|answer"):
        Workflow.from_json(body)
