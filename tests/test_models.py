"""The parser reads the vendor's wire format, and nothing that is not."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzzed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from yandex.cloud.serverless.workflows.v1 import execution_pb2, execution_service_pb2

from exporter.yandex.history import History
from exporter.yandex.models import (
    ERROR_CLASSES,
    ErrorDetail,
    Execution,
    Status,
    StepStatus,
    parse_duration,
    parse_timestamp,
    valid_id,
)

SAMPLES = Path(__file__).parent / "samples"
NANOS = st.integers(0, 10**9 - 1) | st.sampled_from([0, 1, 1000, 10**6, 500 * 10**6, 10**9 - 1])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["id", "workflowId", "status", "startedAt", "duration", "error", "errorCode", "attempts", "title", "type"]
)


def sample(name: str) -> Any:
    """Return a recorded answer."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def execution(**fields: object) -> Execution:
    """Return what is read of an execution with these fields."""
    return Execution.from_json({"execution": {"id": "e1", "workflowId": "w1", "status": "RUNNING", **fields}})


def history(*entries: object, max_steps: int = 10) -> History:
    """Return what is read of a history with these entries."""
    return History.from_json({"execution": {"id": "e1"}, "entries": list(entries)}, max_steps)


@given(st.integers(0, 315_576_000_000), NANOS)
@fuzzed(600)
def test_every_duration_that_protobuf_prints_is_read(seconds: int, nanos: int) -> None:
    """The seconds are those of the message, to the last bit."""
    text = Duration(seconds=seconds, nanos=nanos).ToJsonString()
    assert parse_duration(text) == (seconds * 10**9 + nanos) / 10**9


@given(st.integers(-62135596800, 253402300799), NANOS)
@fuzzed(600)
def test_every_timestamp_that_protobuf_prints_is_read(seconds: int, nanos: int) -> None:
    """The instant is that of the message; at or before 1970 it is not set."""
    text = Timestamp(seconds=seconds, nanos=nanos).ToJsonString()
    total = seconds * 10**9 + nanos
    assert parse_timestamp(text) == (total / 10**9 if total > 0 else None)


@given(st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(9998, 1, 1)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_offsets_are_taken_into_account(local: dt.datetime, minutes: int) -> None:
    """A timestamp with an offset is the instant that Python's own parser finds."""
    moment = local.replace(microsecond=0, tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    assert parse_timestamp(moment.isoformat()) == moment.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "nan", "inf", "-inf", "nans", "infs", "1", "s", "", " 1s", "1s ", "1s\n", "1.s", ".5s",
        "1e3s", "+1s", "-1s", "-0.5s", "1_0s", "1,5s", "1.0000000001s", "315576000001s",
        "999999999999s", "٣s", "1m", "1ms", None, 1, 1.5, True, [], {}, b"1s", "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: object) -> None:
    """NaN, other digits, signs, units and numbers are no durations."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-30T00:00:00Z", "2025-13-01T00:00:00Z", "2025-00-01T00:00:00Z",
        "2023-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "2025-01-01T24:00:00Z",
        "2025-01-01T00:60:00Z", "2025-01-01T00:00:00", "2025-01-01", "2025-01-01T00:00:00.Z",
        "2025-01-01T00:00:00.0000000001Z", "2025-01-01T00:00:00+0100", "2025-01-01T00:00:00+24:00",
        "1741622084", "2025-01-01T00:00:00+01:60", "2025-01-01T00:00:00Z\n", "٢٠٢٥-01-01T00:00:00Z",
        None, 0, 1.5, True, [], {},
    ],
)  # fmt: skip
def test_what_is_no_timestamp_is_refused(text: object) -> None:
    """A day that no calendar has, a missing zone and a number are no timestamps."""
    with pytest.raises(ValueError, match=re.compile("timestamp|day|month|year|hour|minute|second")):
        parse_timestamp(text)


@given(st.text() | st.from_regex(r"[-+0-9\u0660-\u0669.eEinfas_ ]{1,14}s?") | JSON)
@fuzzed(600)
def test_junk_raises_value_error_and_nothing_else(junk: object) -> None:
    """Whatever comes, it is read or refused with ValueError."""
    for parse in (parse_duration, parse_timestamp):
        try:
            value = parse(junk)
        except ValueError:
            continue
        assert value is None or value >= 0


def test_year_one_is_not_set() -> None:
    """The zero of other languages, at whatever offset, is no start."""
    assert parse_timestamp("0001-01-01T00:00:00Z") is None
    assert parse_timestamp("0001-01-01T00:00:00+14:00") is None
    assert parse_timestamp("1970-01-01T00:00:00Z") is None


@given(st.dictionaries(KEYS, JSON) | JSON)
@fuzzed(200)
def test_arbitrary_json_is_read_or_refused(fields: object) -> None:
    """Whatever an answer holds, reading it raises nothing but ValueError."""
    for body in (fields, {"execution": fields}, {"execution": {}, "entries": fields}):
        for read in (Execution.from_json, lambda answer: History.from_json(answer, 3)):
            try:
                read(body)
            except ValueError:
                continue


@given(st.dictionaries(KEYS, JSON))
@fuzzed(200)
def test_a_malformed_field_costs_itself_only(fields: dict[str, object]) -> None:
    """With a valid id an execution is always read, and its texts can be encoded."""
    execution(**{**fields, "id": "e1"}).workflow_id.encode()
    for step in history(fields, fields).steps:
        (step.id + step.title + step.type).encode()


@pytest.mark.parametrize(
    ("name", "status", "duration", "error"),
    [
        ("finished", Status.FINISHED, 1.070697344, None),
        ("failed", Status.FAILED, 900.0, ErrorDetail("STEP_TIMEOUT", "STEP")),
        ("queued", Status.QUEUED, None, None),
        ("running", Status.RUNNING, None, None),
        ("paused", Status.PAUSED, 12.5, None),
        ("stopped", Status.STOPPED, 172800.0, None),
        ("zero_duration", Status.FINISHED, 0.0, None),
    ],
)
def test_the_samples_are_read(
    name: str, status: Status, duration: float | None, error: ErrorDetail | None
) -> None:
    """The vendor's examples say what they say."""
    read = Execution.from_json(sample(f"execution_get_{name}"))
    assert (read.status, read.duration, read.error, read.unread) == (status, duration, error, ())
    assert read.workflow_id == "dfqud9cbc4k5m0a1b2c3"
    assert (read.ended_at is not None) == status.terminal


@given(st.sampled_from(list(Status)), st.integers(1, 10**10), NANOS, st.integers(0, 10**6))
def test_what_the_vendors_classes_print_is_read(
    status: Status, start: int, nanos: int, duration: int
) -> None:
    """An execution printed by the vendor's protobuf classes comes back with the same values."""
    message = execution_service_pb2.GetExecutionResponse(
        execution=execution_pb2.Execution(
            id="e-1",
            workflow_id="w_1",
            status=execution_pb2.Execution.Status.Name(status.code),
            started_at=Timestamp(seconds=start, nanos=nanos),
            duration=Duration(seconds=duration, nanos=nanos),
        )
    )
    message.execution.input.input_json = '{"secret": 1}'
    read = Execution.from_json(json.loads(MessageToJson(message)))
    assert (read.id, read.workflow_id, read.status) == ("e-1", "w_1", status)
    assert read.started_at == (start * 10**9 + nanos) / 10**9
    assert read.duration == (duration * 10**9 + nanos) / 10**9
    assert read.unread == (("status",) if status is Status.UNKNOWN else ())


def test_the_numbers_are_those_of_the_vendor() -> None:
    """Every status has the vendor's name and number."""
    theirs = dict(execution_pb2.Execution.Status.items())
    assert {status.name: status.code for status in Status if status.code} == {
        name: number for name, number in theirs.items() if number
    }


def test_a_history_of_the_vendors_classes_is_read() -> None:
    """An entry printed by the vendor's protobuf classes comes back with the same values."""
    message = execution_service_pb2.GetExecutionHistoryResponse()
    message.execution.id = "e1"
    message.entries.add(id="a", title="A", type="HttpCall", attempts=3, status=4).started_at.FromSeconds(100)
    read = History.from_json(json.loads(MessageToJson(message)), 10)
    (step,) = read.steps
    assert (step.id, step.title, step.type, step.attempts) == ("a", "A", "HttpCall", 3)
    assert (step.status, step.started_at, step.duration) == (StepStatus.FAILED, 100.0, None)
    assert (read.failed, read.retries, read.unread) == (1, 2, ())


@pytest.mark.parametrize(
    "status", [None, "STATUS_UNSPECIFIED", "DREAMING", "running", 0, 99, True, 5.0, [], {}, "UNKNOWN"]
)
def test_an_unknown_status_is_unknown_and_said(status: object) -> None:
    """A status that this side has no name for is UNKNOWN, and listed as unread."""
    read = execution(status=status)
    assert (read.status, read.unread) == (Status.UNKNOWN, ("status",))


def test_a_status_may_be_a_number() -> None:
    """Protobuf prints the number of an enum value that it has no name for."""
    assert execution(status=5).status is Status.FAILED


@pytest.mark.parametrize(
    ("error", "detail", "unread"),
    [
        ({"errorCode": "HTTP_CALL_503"}, ErrorDetail("HTTP_CALL_503", "HTTP_CALL"), ()),
        (
            {"errorCode": "YDB_CALL_SERVICE_UNAVAILABLE"},
            ErrorDetail("YDB_CALL_SERVICE_UNAVAILABLE", "YDB_CALL"),
            (),
        ),
        ({"errorCode": "STEPPING_STONE"}, ErrorDetail("STEPPING_STONE", "OTHER"), ()),
        ({}, ErrorDetail("UNSPECIFIED", "OTHER"), ()),
        ({"errorCode": ""}, ErrorDetail("UNSPECIFIED", "OTHER"), ()),
        ({"errorCode": "step timeout"}, ErrorDetail("OTHER", "OTHER"), ("error_code",)),
        ({"errorCode": "STEP_FAIL\n"}, ErrorDetail("OTHER", "OTHER"), ("error_code",)),
        ({"errorCode": "A" * 65}, ErrorDetail("OTHER", "OTHER"), ("error_code",)),
        ({"errorCode": 5}, ErrorDetail("OTHER", "OTHER"), ("error_code",)),
        ("boom", ErrorDetail("OTHER", "OTHER"), ("error_code",)),
    ],
)
def test_an_error_has_a_code_and_a_class(error: object, detail: ErrorDetail, unread: tuple[str, ...]) -> None:
    """A code that is none becomes OTHER, a missing one UNSPECIFIED."""
    read = execution(status="STOPPED", error=error)
    assert (read.error, read.errors, read.unread) == (detail, 1, unread)
    assert detail.error_class in ERROR_CLASSES


def test_failed_is_an_error_even_without_one() -> None:
    """The status alone makes an error, of code UNSPECIFIED; being stopped makes none."""
    assert execution(status="FAILED").error == ErrorDetail("UNSPECIFIED", "OTHER")
    assert execution(status="STOPPED").errors == 0


@pytest.mark.parametrize("nothing", ["", 0, False, []])
def test_nothing_of_the_wrong_type_is_no_error(nothing: object) -> None:
    """It is told as unread, and makes no failure of an execution that runs; FAILED stays one."""
    read = execution(error=nothing)
    assert (read.error, read.errors, read.unread) == (None, 0, ("error_code",))
    assert execution(status="FAILED", error=nothing).error == ErrorDetail("UNSPECIFIED", "OTHER")


def test_bad_values_are_omitted_and_said() -> None:
    """A negative duration and a broken start are omitted, the rest stays."""
    read = execution(status="FINISHED", duration="-1s", startedAt="yesterday", workflowId="a b")
    assert (read.duration, read.started_at, read.ended_at, read.workflow_id) == (None, None, None, "")
    assert sorted(read.unread) == ["duration", "started_at"]


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"execution": None}, {"execution": []}, {"execution": {"id": "a b"}}]
)
def test_an_answer_without_an_execution_is_refused(body: object) -> None:
    """What holds no execution is no answer."""
    with pytest.raises(ValueError, match=r"execution|answer"):
        Execution.from_json(body)


def test_ids_are_ascii() -> None:
    """An ID is 1 to 128 of the allowed characters, without an end of line."""
    assert valid_id("dfq-A_9")
    assert not any(map(valid_id, ["", "a" * 129, "a\n", "ä", "a/b", None, 5]))


def test_what_begins_like_a_token_is_no_id() -> None:
    """It would be a label of every sample; what only looks a little like one is an ID."""
    assert not any(map(valid_id, ["eyJhbGciOiJQUzI1NiJ9", "AQVNabcdefghijkl", "y0_abcdefghijkl"]))
    assert all(map(valid_id, ["eyJ", "aqvnabcdefghijkl", "y0", "y0-abcdefghijkl", "dfq-y0_abcdefghijkl"]))


def test_the_sample_history_is_read() -> None:
    """Repeated ids are one step, and the counts are over all entries."""
    read = History.from_json(sample("execution_history"), 50)
    assert [step.id for step in read.steps] == ["fetch_order", "send_item", "charge", "notify"]
    assert (read.failed, read.retries, read.over_limit, read.unread) == (1, 2, 0, ())
    assert dict(read.by_status)[StepStatus.COMPLETED] == 4
    assert len(read.by_status) == len(StepStatus)


def test_entries_of_one_step_are_taken_together() -> None:
    """The status of the last start, the earliest start, the latest end, the most attempts."""
    read = history(
        {
            "id": "s",
            "status": "FAILED",
            "startedAt": "2025-01-01T00:00:05Z",
            "duration": "1s",
            "attempts": "1",
        },
        {
            "id": "s",
            "status": "COMPLETED",
            "startedAt": "2025-01-01T00:00:00Z",
            "duration": "9s",
            "attempts": "4",
        },
        {"id": "s", "status": "SCHEDULED"},
    )
    (step,) = read.steps
    assert (step.status, step.started_at, step.duration, step.attempts) == (
        StepStatus.FAILED,
        1735689600.0,
        9.0,
        4,
    )
    assert (read.retries, read.failed) == (3, 1)


def test_an_entry_without_an_id_counts_in_totals_only() -> None:
    """Nobody can tell which step it was, but it was one."""
    read = history({"status": "FAILED", "attempts": "3"}, None)
    assert (read.steps, read.failed, read.retries, read.unread) == ((), 1, 2, ("status",))


def test_steps_over_the_cap_are_counted() -> None:
    """The first to start are kept, the rest is a number."""
    entries = [
        {"id": f"s{n}", "status": "STARTED", "startedAt": f"2025-01-01T00:00:0{9 - n}Z"} for n in range(5)
    ]
    read = history(*entries, max_steps=2)
    assert ([step.id for step in read.steps], read.over_limit) == (["s4", "s3"], 3)


@pytest.mark.parametrize("attempts", ["x", "-1", "1.5", 1.5, True, [], "٣", str(2**63)])
def test_bad_attempts_cost_only_themselves(attempts: object) -> None:
    """What is no count is omitted and said."""
    read = history({"id": "s", "status": "STARTED", "attempts": attempts})
    assert (read.steps[0].attempts, read.unread) == (None, ("attempts",))


def test_labels_can_be_shown() -> None:
    """Lone surrogates are replaced, and long texts cut; what then is equal is one step."""
    read = history({"id": "a" * 200 + "1", "title": "\ud800"}, {"id": "a" * 200 + "2", "title": "\ud800"})
    assert [(step.id, step.title) for step in read.steps] == [("a" * 128, "?")]
