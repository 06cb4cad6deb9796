"""Whatever the API answers: a value or a refusal, never a payload, always a page that Prometheus reads."""

import html.parser
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import answers
from fuzzing import fuzzed
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hostile import DURATIONS, JSON, LONG_TEXTS, TEXTS, TIMES, spoiled
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import sd
from exporter.collector import ExecutionsCollector, ProbeCollector
from exporter.cron import BadCron, Cron
from exporter.firings import Firings
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, WorkflowOutcome
from exporter.page import LandingPage, debug
from exporter.targets import ExecutionTarget, FolderTarget, WorkflowTarget
from exporter.workflowcollector import WorkflowsCollector, label_names
from exporter.yandex.history import History
from exporter.yandex.models import Execution, Status, StepStatus, parse_duration, parse_timestamp
from exporter.yandex.workflows import Page, Workflow, WorkflowState, executions_page, workflows_page

NOW = 1_741_622_400.0
MOST = 315_576_000_001.0
"""No time and no duration of protobuf has more seconds."""
Read = Callable[[Any], Any]


def read_or_refused(read: Read, body: object) -> Any:
    """Return the value, None if it is refused; whatever else is raised is a find."""
    try:
        return read(body)
    except ValueError as error:
        said = str(error)
    assert said.isprintable()
    assert answers.MARK not in said
    return None


def history(body: object) -> History:
    """Read a history as the exporter does that shows three steps."""
    return History.from_json(body, 3)


def collection(
    execution: Execution | None, steps: History | None, workflow: Workflow | None, found: Iterable[Workflow]
) -> Collection:
    """Return what one scrape of these would know."""
    id_ = execution.id if execution else answers.EXECUTION_ID
    outcome = ExecutionOutcome(
        ExecutionTarget(id_, "alias"),
        NOW,
        http_code=200,
        last_success=NOW,
        execution=execution,
        history=steps,
    )
    flow = WorkflowOutcome(
        WorkflowTarget(workflow.id if workflow else answers.WORKFLOW_ID), NOW, listed=True, workflow=workflow,
        firings=schedule(workflow),
    )  # fmt: skip
    folder = FolderOutcome(FolderTarget(answers.FOLDER_ID), NOW, listed=True, found=tuple(found))
    return Collection((outcome,), NOW, 0.1, workflows=(flow,), folders=(folder,))


def schedule(workflow: Workflow | None) -> Firings | None:
    """Return when a workflow starts by itself; what else is raised than BadCron is a find."""
    if workflow is None or workflow.schedule is None:
        return None
    try:
        return Firings.of(Cron.parse(workflow.schedule.expression, workflow.schedule.timezone), NOW)
    except BadCron as error:
        said = str(error)
    assert "\n" not in said
    return None


def registry(made: Collection, labels: tuple[str, ...]) -> CollectorRegistry:
    """Return what makes the page of a collection, with all that can be on it."""
    all_of_it = CollectorRegistry()
    all_of_it.register(ProbeCollector(lambda: made))
    all_of_it.register(ExecutionsCollector(lambda: made, history=True))
    all_of_it.register(WorkflowsCollector(lambda: made, labels=labels, history=True, recent_window=3600.0))
    return all_of_it


def samples(families: Iterable[Metric]) -> dict[tuple[object, ...], float]:
    """Return the values of a page by their series: none comes twice, and none is no number."""
    found: dict[tuple[object, ...], float] = {}
    for family in families:
        for sample in family.samples:
            series = (sample.name, *sorted(sample.labels.items()))
            assert series not in found
            assert math.isfinite(sample.value)
            found[series] = sample.value
    return found


def value(page: dict[tuple[object, ...], float], name: str) -> list[float]:
    """Return the values of all series of a name."""
    return [number for series, number in page.items() if series[0] == f"yc_workflow_{name}"]


class Tags(html.parser.HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and its attributes."""
        self.found |= {tag, *(name for name, _ in attrs)}


def tags(page: str) -> set[str]:
    """Return the names of the tags and attributes that a browser would find."""
    parser = Tags()
    parser.feed(page)
    parser.close()
    return parser.found


@given(
    spoiled(answers.EXECUTIONS),
    spoiled(answers.HISTORIES),
    spoiled(answers.WORKFLOWS),
    spoiled(answers.WORKFLOW_LISTS),
)
@fuzzed(80)
def test_a_spoiled_answer_gives_a_page_that_prometheus_reads(
    got: Any, entries: Any, flow: Any, flows: Any
) -> None:
    """Both formats are read back as the same series, once each, all finite, and as the contract says."""
    execution = read_or_refused(Execution.from_json, got)
    steps, workflow = read_or_refused(history, entries), read_or_refused(Workflow.from_json, flow)
    page: Page[Workflow] | None = read_or_refused(workflows_page, flows)
    labels = tuple(key for key, _ in workflow.labels) if workflow else ()
    made = collection(execution, steps, workflow, page.items if page else ())
    whole = registry(made, labels)
    text = generate_latest(whole).decode()
    shown = samples(whole.collect())
    assert samples(parse_text(text)) == shown
    open_text: str = generate_openmetrics(whole).decode()  # type: ignore[no-untyped-call]
    assert samples(parse_openmetrics(open_text)) == shown  # type: ignore[no-untyped-call]
    assert answers.MARK not in text
    states = [] if execution is None else sorted(value(shown, "execution_status"))
    assert states == ([] if execution is None else [0.0] * (len(Status) - 1) + [1.0])
    assert len(value(shown, "execution_duration_seconds")) <= 1
    assert all(0 <= each <= MOST for each in value(shown, "execution_duration_seconds"))
    assert all(0 < each <= MOST for each in value(shown, "execution_start_timestamp_seconds"))
    assert sum(value(shown, "state")) == (workflow is not None)


@given(TEXTS | LONG_TEXTS, TEXTS, TEXTS)
@example("<xss onxss='1'>\"&", "<xss>", "'><xss>")
@fuzzed(30)
def test_no_text_becomes_markup(name: str, alias: str, said: str) -> None:
    """A name of the API, an alias of the configuration and a message of an error stay texts on the page."""
    flow = Workflow.from_json({"workflow": {**answers.workflow(), "name": name}})
    plain = collection(None, None, flow, ())
    told: dict[str, Any] = {"reason": "forbidden", "message": said, "http_code": 403}
    outcomes = (
        replace(plain.executions[0], target=ExecutionTarget("e1", alias), **told),
        ExecutionOutcome(ExecutionTarget("e2", alias), NOW, execution=Execution.of(answers.preview())),
    )
    folders = (FolderOutcome(FolderTarget(answers.FOLDER_ID), NOW, **told),)
    made = replace(plain, executions=outcomes, folders=folders)
    assert "xss" not in " ".join(tags(LandingPage("1.2.3").render(made, NOW, "https://x")))


@given(spoiled(answers.WORKFLOWS), spoiled(answers.EXECUTIONS))
@fuzzed(40)
def test_a_spoiled_answer_gives_pages_for_people_and_discovery(flow: Any, got: Any) -> None:
    """No text of the API becomes a tag or an attribute, and service discovery is JSON of texts."""
    workflow, execution = read_or_refused(Workflow.from_json, flow), read_or_refused(Execution.from_json, got)
    landing = LandingPage("1.2.3")
    plain = collection(None, None, Workflow.from_json({"workflow": answers.workflow()}), ())
    made = collection(execution, None, workflow, [workflow] if workflow else ())
    page = landing.render(made, NOW, "https://x")
    assert "xss" not in " ".join(tags(page))
    assert tags(page) <= tags(landing.render(plain, NOW, "https://x")) | {"ul", "li", "span", "title", "p"}
    for group in json.loads(sd.targets(made.workflows)):
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in group["labels"])
        assert all(isinstance(text, str) and text.encode() for text in group["labels"].values() if text)
    page.encode()
    debug((), made.all, "").encode()


READERS: tuple[Read, ...] = (
    Execution.from_json, history, executions_page, Workflow.from_json, workflows_page,
)  # fmt: skip


@given(
    st.one_of(
        JSON, JSON.map(lambda inner: {"execution": inner, "entries": inner, "workflow": inner}),
        *map(spoiled, (answers.EXECUTIONS, answers.HISTORIES, answers.LISTS, answers.WORKFLOWS,
                       answers.WORKFLOW_LISTS)),
    )
)  # fmt: skip
@fuzzed(300)
def test_any_answer_to_any_call_is_read_or_refused(body: Any) -> None:
    """Nothing but ValueError is raised, no payload is in the value, and every text of it can be sent."""
    for read in READERS:
        found = read_or_refused(read, body)
        said = repr(found)
        assert answers.MARK not in said
        said.encode()


@given(spoiled(answers.HISTORIES))
@fuzzed(150)
def test_a_spoiled_history_adds_up(body: Any) -> None:
    """Every entry is counted once, and steps are distinct and as many as were asked for."""
    read = read_or_refused(history, body)
    if read is None:
        return
    assert sum(count for _, count in read.by_status) == len(body.get("entries") or [])
    assert [status for status, _ in read.by_status] == list(StepStatus)
    assert len({step.id for step in read.steps}) == len(read.steps) <= 3
    assert all(step.id for step in read.steps)
    assert read.retries >= 0
    assert read.over_limit >= 0


@given(spoiled(answers.LISTS | answers.WORKFLOW_LISTS))
@fuzzed(150)
def test_a_spoiled_list_loses_no_item_in_silence(body: Any) -> None:
    """Each item is read or counted as skipped."""
    for read, key in ((executions_page, "executions"), (workflows_page, "workflows")):
        page = read_or_refused(read, body)
        if page is not None:
            assert len(page.items) + page.skipped == len(body.get(key) or [])


@given(st.lists(TEXTS, max_size=12))
@fuzzed(200)
def test_any_label_keys_give_valid_labels(keys: list[str]) -> None:
    """Each is a name that Prometheus takes, none comes twice, and every key is in exactly one."""
    found = label_names(keys)
    names = [label for label, _ in found]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) and not name.startswith("__") for name in names)
    assert sorted(key for _, same in found for key in same) == sorted(set(keys))


@given(st.dictionaries(TEXTS, TEXTS | JSON, max_size=6), st.sampled_from(WorkflowState))
@fuzzed(100)
def test_any_labels_of_a_workflow_are_texts_that_can_be_sent(labels: Any, state: WorkflowState) -> None:
    """What is no text is left out, and the rest is sorted and short."""
    raw = {"workflow": {**answers.workflow(), "labels": labels, "status": state.name}}
    read = Workflow.from_json(raw)
    assert read.labels == tuple(sorted(read.labels))
    assert all(len(text.encode()) <= 4 * 128 for pair in read.labels for text in pair)


CANONICAL_DURATION = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?s", re.ASCII)
CANONICAL_TIME = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
NEARLY_DURATIONS = st.one_of(
    DURATIONS, TEXTS, st.from_regex(CANONICAL_DURATION, fullmatch=True),
    st.from_regex(r"[-+]?[0-9\u0660_ ]{0,13}\.?[0-9]{0,11}[sS]?", fullmatch=True),
)  # fmt: skip
NEARLY_TIMES = st.one_of(
    TIMES, TEXTS, st.from_regex(CANONICAL_TIME, fullmatch=True),
    st.from_regex(
        r"[0-9]{3,5}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,10})?([Zz]|[+-][0-2][0-9]:?[0-6][0-9])?",
        fullmatch=True,
    ),
)  # fmt: skip


def protobuf_nanos(message: Duration | Timestamp, text: str) -> int | None:
    """Return what protobuf's own parser makes of a text; None if it refuses it."""
    try:
        message.FromJsonString(text)
    except (ValueError, OverflowError):
        return None
    return int(message.seconds) * 10**9 + int(message.nanos)


@given(NEARLY_DURATIONS)
@fuzzed(500)
def test_a_duration_is_what_protobuf_says_or_is_refused(text: str) -> None:
    """The same value as protobuf's own parser, and stricter only where protobuf JSON has no such form.

    A negative duration is one that no execution has; Python's parser also takes what its int() takes.
    """
    theirs, ours = protobuf_nanos(Duration(), text), read_or_refused(parse_duration, text)
    if ours is not None:
        assert theirs is not None
        assert ours == theirs / 10**9
    elif theirs is not None and theirs >= 0:
        assert not CANONICAL_DURATION.fullmatch(text)


@given(NEARLY_TIMES)
@fuzzed(500)
def test_a_timestamp_is_what_protobuf_says_or_is_refused(text: str) -> None:
    """The same instant as protobuf's own parser, which wants T and Z where RFC 3339 takes small letters."""
    theirs = protobuf_nanos(Timestamp(), text.upper())
    try:
        ours = parse_timestamp(text)
    except ValueError:
        assert theirs is None or not CANONICAL_TIME.fullmatch(text)
        return
    if theirs is not None:
        assert ours == (theirs / 10**9 if theirs > 0 else None)
    else:
        # With its offset it lies before the year 1 or after 9999, which Timestamp does not hold.
        assert text.startswith(("0001", "9999"))
