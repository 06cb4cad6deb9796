"""Each entry of a history is a run that counters can count, and says whether it is at work."""

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzzed
from google.protobuf.json_format import MessageToJson
from hypothesis import given
from hypothesis import strategies as st
from yandex.cloud.serverless.workflows.v1 import execution_service_pb2, history_entry_pb2

from exporter.yandex.history import History, StepRun
from exporter.yandex.models import ERROR_CLASSES, StepStatus

SAMPLES = Path(__file__).parent / "samples"
ENTRIES = st.fixed_dictionaries(
    {"status": st.sampled_from([status.name for status in StepStatus])},
    optional={
        "id": st.sampled_from(["a", "b", "c"]),
        "attempts": st.integers(-1, 5).map(str),
        "duration": st.integers(-1, 9).map("{}s".format),
        "error": st.sampled_from([None, {}, {"errorCode": "STEP_FAIL"}, {"errorCode": "fail"}, "", 5]),
    },
)


def history(*entries: object, max_steps: int = 10) -> History:
    """Return what is read of a history with these entries."""
    return History.from_json({"execution": {"id": "e1"}, "entries": list(entries)}, max_steps)


def test_the_runs_of_the_sample_are_read() -> None:
    """Every entry is a run, in the API's order; the iterations of a step are runs of their own."""
    read = History.from_json(json.loads((SAMPLES / "execution_history.json").read_text()), 1)
    assert read.runs[:4] == (
        StepRun("fetch_order", StepStatus.COMPLETED, "", 0, 0.795435385),
        StepRun("charge", StepStatus.FAILED, "STEP", 2, 899.0),
        StepRun("notify", StepStatus.CANCELLED, "", 0, None),
        StepRun("send_item", StepStatus.COMPLETED, "", 0, 0.2),
    )
    assert [run.step_id for run in read.runs[3:]] == ["send_item"] * 3
    assert (len(read.steps), read.over_limit, read.active) == (1, 3, ())


def test_the_numbers_are_those_of_the_vendor() -> None:
    """Every status of a step has the vendor's name and number."""
    theirs = dict(history_entry_pb2.HistoryEntry.Status.items())
    assert {status.name: status.value for status in StepStatus if status.value} == {
        name: number for name, number in theirs.items() if number
    }


@given(
    st.sampled_from(list(StepStatus)),
    st.integers(0, 100),
    st.integers(0, 10**6),
    st.sampled_from(["", "HTTP_CALL_503", "STEP_TIMEOUT", "ELSE"]),
)
def test_a_run_of_the_vendors_classes_is_read(
    status: StepStatus, attempts: int, nanos: int, code: str
) -> None:
    """An entry printed by the vendor's protobuf classes comes back with the same values."""
    message = execution_service_pb2.GetExecutionHistoryResponse()
    message.execution.id = "e1"
    entry = message.entries.add(id="a", attempts=attempts, status=status.value)
    entry.duration.FromNanoseconds(nanos)
    entry.error.error_code = code
    entry.output.output_json = "secret"
    read = History.from_json(json.loads(MessageToJson(message)), 10)
    expected = {"HTTP_CALL_503": "HTTP_CALL", "STEP_TIMEOUT": "STEP"}.get(code, "OTHER")
    assert read.runs == (StepRun("a", status, expected, max(0, attempts - 1), nanos / 10**9),)
    assert read.unread == (() if status.value else ("status",))


@pytest.mark.parametrize(
    ("entry", "error_class", "unread"),
    [
        ({"status": "COMPLETED"}, "", ()),
        ({"status": "FAILED"}, "OTHER", ()),
        ({"status": "FAILED", "error": {"errorCode": "GRPC_CALL_UNAVAILABLE"}}, "GRPC_CALL", ()),
        ({"status": "CANCELLED", "error": {"errorCode": "STEP_FAIL"}}, "STEP", ()),
        ({"status": "CANCELLED", "error": {}}, "OTHER", ()),
        ({"status": "FAILED", "error": {"errorCode": "step fail"}}, "OTHER", ("error_code",)),
        ({"status": "STARTED", "error": ""}, "", ("error_code",)),
        ({"status": "STARTED", "lastError": {"errorCode": "STEP_FAIL"}}, "", ()),
    ],
)
def test_a_run_has_a_class_if_it_has_an_error(
    entry: dict[str, object], error_class: str, unread: tuple[str, ...]
) -> None:
    """The error of an earlier attempt is none of the run; a code that cannot be read is said."""
    read = history({"id": "s", **entry})
    assert (read.runs[0].error_class, read.unread) == (error_class, unread)


@pytest.mark.parametrize(
    ("attempts", "retries"), [(None, 0), ("0", 0), ("1", 0), ("3", 2), (4, 3), ("-1", 0), ("x", 0)]
)
def test_retries_are_the_attempts_after_the_first(attempts: object, retries: int) -> None:
    """What is no count is no retry."""
    assert history({"id": "s", "status": "STARTED", "attempts": attempts}).runs[0].retries == retries


def test_entries_at_work_are_counted_by_step() -> None:
    """Started ones are at work, also those that are asked to stop; waiting and ended ones are not."""
    read = history(
        *({"id": "b", "status": status} for status in ("STARTED", "CANCEL_REQUESTED", "COMPLETED")),
        *({"id": "a", "status": status} for status in ("SCHEDULED", "STARTED")),
        {"id": "c", "status": "SCHEDULED"},
        {"status": "STARTED"},
    )
    assert read.active == (("b", 2), ("a", 1))


@given(st.lists(ENTRIES, max_size=12), st.integers(0, 3))
@fuzzed(200)
def test_runs_add_up_to_the_totals(entries: list[dict[str, Any]], cap: int) -> None:
    """With an id for each entry, what is counted run by run is what the history says; no cap touches it."""
    read = history(*({"id": "z", **entry} for entry in entries), max_steps=cap)
    statuses = [run.status for run in read.runs]
    assert dict(read.by_status) == {status: statuses.count(status) for status in StepStatus}
    assert read.retries == sum(run.retries for run in read.runs)
    assert len(read.steps) + read.over_limit == len({run.step_id for run in read.runs})
    assert sum(count for _, count in read.active) == sum(
        status in {StepStatus.STARTED, StepStatus.CANCEL_REQUESTED} for status in statuses
    )
    assert {run.error_class for run in read.runs} <= {"", *ERROR_CLASSES}


@given(st.lists(ENTRIES, max_size=6), st.lists(ENTRIES, max_size=6))
def test_an_entry_that_cannot_be_read_costs_only_itself(
    before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    """The runs of the others are as they were."""
    plain = history(*before, *after)
    read = history(*before, None, {"id": 5, "status": []}, "x", *after)
    assert (read.runs, read.steps, read.active) == (plain.runs, plain.steps, plain.active)
