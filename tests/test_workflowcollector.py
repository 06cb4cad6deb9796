"""What a page says of workflows beside the golden one: when it says nothing, and that it is always valid."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from exporter.collector import ExecutionsCollector
from exporter.cron import Cron
from exporter.firings import Firings
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, WorkflowOutcome
from exporter.standing import (
    ACTIVE,
    DURATION_BOUNDS,
    ENDS,
    NOTHING,
    STEP_BOUNDS,
    STEP_ENDS,
    Exemplar,
    Group,
    Key,
    Run,
    Standing,
)
from exporter.targets import ExecutionTarget, FolderTarget, WorkflowTarget
from exporter.workflowcollector import QuotaCollector, WorkflowsCollector, label_names
from exporter.yandex.errors import REASONS
from exporter.yandex.history import History
from exporter.yandex.models import ERROR_CLASSES, Execution, Status
from exporter.yandex.workflows import Workflow, WorkflowState

NOW = 1_741_622_400.0
KEYS = ("team", "cost-center", "cost_center")
PLAIN = Workflow("w", "b1g", "nightly", (), WorkflowState.ACTIVE, False, None, None, ())  # noqa: FBT003 - a value
READ = WorkflowOutcome(WorkflowTarget("w"), NOW, http_code=200, fresh=True, listed=True, workflow=PLAIN)
COUNTERS = {
    "yc_workflow_executions_started",
    "yc_workflow_executions_completed",
    "yc_workflow_failures",
    "yc_workflow_completed_duration_seconds",
}
REACH = {"yc_workflow_scrape_success", "yc_workflow_scrape_http_code"}


def watched(*workflows: WorkflowOutcome, folders: Iterable[FolderOutcome] = ()) -> Collection:
    """Return a collection of workflows."""
    return Collection((), NOW, 0.1, workflows=workflows, folders=tuple(folders))


def collector(given: Collection, *, history: bool = True) -> WorkflowsCollector:
    """Return the collector of a collection."""
    return WorkflowsCollector(lambda: given, labels=KEYS, history=history, recent_window=3600.0)


def filled(given: Collection, *, history: bool = True) -> dict[str, list[Sample]]:
    """Return the samples of each family that has any."""
    families = collector(given, history=history).collect()
    return {family.name: family.samples for family in families if family.samples}


def values(samples: Iterable[Sample], label: str) -> dict[str, float]:
    """Return the values by one label."""
    return {sample.labels[label]: sample.value for sample in samples}


def openmetrics(*collectors: object) -> str:
    """Return the page in OpenMetrics."""
    made = CollectorRegistry()
    for one in collectors:
        made.register(one)  # type: ignore[arg-type]
    page: bytes = generate_openmetrics(made)  # type: ignore[no-untyped-call]
    return page.decode()


def test_a_workflow_that_was_never_looked_at_has_its_counters_at_zero() -> None:
    """A rate needs a first value to rise from; what is not known yet is left out."""
    found = filled(watched(WorkflowOutcome(WorkflowTarget("w"), NOW, reason="connection")))
    assert set(found) == REACH | COUNTERS | {"yc_workflow_recent_window_seconds"}
    assert {s.value for name in COUNTERS for s in found[name]} == {0.0}
    assert set(values(found["yc_workflow_failures"], "error_class")) == set(ERROR_CLASSES)
    assert set(values(found["yc_workflow_executions_completed"], "status")) == {s.name for s in ENDS}


def test_a_list_that_failed_costs_what_holds_only_now() -> None:
    """An old number of active executions would look like a stuck one; names and last ends stay true."""
    standing = replace(
        NOTHING,
        active={Status.RUNNING: Group(3, NOW - 60)},
        recent={Status.RUNNING: 3},
        last_started=NOW - 60,
        last_success=NOW - 90,
        last_failure=NOW - 80,
        last_completed=Run(Status.STOPPED, NOW - 70, 5.0),
    )
    read = replace(READ, standing=standing)
    failed = replace(read, listed=False, fresh=False, http_code=503, reason="server_error")
    assert set(filled(watched(read))) - set(filled(watched(failed))) == {
        "yc_workflow_state",
        "yc_workflow_active_executions",
        "yc_workflow_oldest_active_start_timestamp_seconds",
        "yc_workflow_recent_executions",
    }
    gone = replace(failed, http_code=404, reason="not_found")
    assert set(filled(watched(gone))) == REACH | COUNTERS | {"yc_workflow_recent_window_seconds"}


def test_a_workflow_whose_details_are_not_found_but_whose_executions_are_listed_is_there() -> None:
    """Who may list the executions of a workflow sees that it is not gone."""
    found = filled(watched(replace(READ, reason="not_found")))
    assert {"yc_workflow_info", "yc_workflow_state", "yc_workflow_active_executions"} <= set(found)


def test_what_is_active_is_dense_and_the_oldest_is_absent_without_one() -> None:
    """An alert on the age of the oldest needs no guard against 0."""
    standing = replace(NOTHING, active={Status.RUNNING: Group(2, NOW - 5), Status.PAUSED: Group(1, None)})
    found = filled(watched(replace(READ, standing=standing)))
    active = values(found["yc_workflow_active_executions"], "status")
    assert active == {"QUEUED": 0, "RUNNING": 2, "PAUSED": 1}
    oldest = values(found["yc_workflow_oldest_active_start_timestamp_seconds"], "status")
    assert oldest == {"RUNNING": NOW - 5}
    recent = values(found["yc_workflow_recent_executions"], "status")
    assert recent == dict.fromkeys((status.name for status in Status), 0)


@pytest.mark.parametrize("state", list(WorkflowState))
def test_exactly_one_state_is_set(state: WorkflowState) -> None:
    """The states are dense, an unknown one among them."""
    found = filled(watched(replace(READ, workflow=replace(PLAIN, state=state))))
    states = values(found["yc_workflow_state"], "state")
    assert states == {one.name: float(one is state) for one in WorkflowState}


def test_the_status_of_the_last_end_is_dense() -> None:
    """A panel of the last status has no hole when it changes."""
    standing = replace(NOTHING, last_completed=Run(Status.STOPPED, NOW, 5.0))
    found = filled(watched(replace(READ, standing=standing)))
    ends = values(found["yc_workflow_last_completed_status"], "status")
    assert ends == {"STOPPED": 1, "FAILED": 0, "FINISHED": 0}


def test_keys_that_become_one_label_are_told_together() -> None:
    """Whoever checks the configuration can name the keys that collide."""
    assert label_names(("team", "a/b", "a-b", "team", "\u0441", "a_b")) == (
        ("label_team", ("team",)),
        ("label_a_b", ("a/b", "a-b", "a_b")),
        ("label__", ("\u0441",)),
    )


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ({"cost_center": "two", "cost-center": "one", "other": "x"}, "one"),
        ({"cost_center": "two"}, "two"),
        ({"other": "x"}, ""),
    ],
)
def test_of_two_keys_that_become_one_label_the_first_that_is_there_is_shown(
    labels: Mapping[str, str], shown: str
) -> None:
    """A collision costs one of two values, never the page; labels that are not named are not shown."""
    workflow = replace(PLAIN, labels=tuple(sorted(labels.items())))
    (info,) = filled(watched(replace(READ, workflow=workflow)))["yc_workflow_info"]
    assert info.labels == {
        "workflow_id": "w", "workflow_name": "nightly", "folder_id": "b1g", "express": "false",
        "label_team": "", "label_cost_center": shown,
    }  # fmt: skip


@pytest.mark.parametrize(("created", "last"), [(None, NOW), (NOW, NOW), (NOW + 1, None)])
def test_a_schedule_expects_nothing_from_before_its_workflow(
    created: float | None, last: float | None
) -> None:
    """A workflow that was created after its hour has missed no run."""
    firings = Firings.of(Cron.parse("0 * * * ? *"), NOW)
    plain = replace(PLAIN, created_at=created)
    found = filled(watched(replace(READ, workflow=plain, firings=firings)))
    expected = found.get("yc_workflow_schedule_last_expected_timestamp_seconds", [])
    assert [sample.value for sample in expected] == ([] if last is None else [last])
    assert [sample.value for sample in found["yc_workflow_schedule_next_timestamp_seconds"]] == [NOW + 3600]


def test_the_bounds_are_written_as_prometheus_writes_them() -> None:
    """The keys of the totals and the `le` of the buckets are the same texts."""
    bounds = (*DURATION_BOUNDS, *STEP_BOUNDS)
    assert all(str(bound) == floatToGoString(bound) for bound in bounds)  # type: ignore[no-untyped-call]


def test_an_exemplar_is_shown_in_openmetrics_only() -> None:
    """The text format has no exemplars; in OpenMetrics they survive the reading."""
    standing = replace(
        NOTHING,
        totals={("seconds", "60.0"): 2, ("seconds", "inf"): 1, ("seconds", "sum"): 300_000 * 10**9},
        exemplars={60.0: Exemplar("run-1", 42.5, NOW - 0.25), math.inf: Exemplar("x" * 116, 299_957.5, NOW)},
    )
    given = watched(replace(READ, standing=standing))
    made = CollectorRegistry()
    made.register(collector(given))
    assert b"run-1" not in generate_latest(made)
    read = text_string_to_metric_families(openmetrics(collector(given)))  # type: ignore[no-untyped-call]
    (family,) = (f for f in read if f.name == "yc_workflow_completed_duration_seconds")
    shown = {sample.labels["le"]: sample.exemplar for sample in family.samples if sample.exemplar}
    assert shown["60.0"].labels == {"execution_id": "run-1"}
    assert (shown["60.0"].value, float(shown["60.0"].timestamp)) == (42.5, NOW - 0.25)
    assert shown["+Inf"].labels == {"execution_id": "x" * 116}
    assert not any(sample.name.endswith("_created") for sample in family.samples)


@pytest.mark.parametrize(
    ("exemplar", "totals"),
    [
        (Exemplar("x" * 117, 42.5, NOW), {("seconds", "60.0"): 1}),
        (Exemplar("not-saved-yet", 42.5, NOW), {("seconds", "30.0"): 1}),
    ],
    ids=["its labels are too long", "its bucket is empty"],
)
def test_an_exemplar_that_would_be_wrong_is_left_out(exemplar: Exemplar, totals: Mapping[Key, int]) -> None:
    """OpenMetrics allows 128 characters, and an exemplar stands for one that was counted."""
    standing = replace(NOTHING, totals=totals, exemplars={60.0: exemplar})
    samples = filled(watched(replace(READ, standing=standing)))["yc_workflow_completed_duration_seconds"]
    assert not any(sample.exemplar for sample in samples)


def test_steps_are_dense_from_the_start_and_active_only_while_they_are_listed() -> None:
    """A step that is known has all its series; one over the limit has none."""
    standing = replace(NOTHING, steps={"a": ("HttpCall", "A"), "b": ("", "")})
    read = replace(READ, standing=standing, active_steps={"a": 2, "over": 1})
    found = filled(watched(read))
    assert values(found["yc_workflow_active_steps"], "step_id") == {"a": 2, "b": 0}
    completed = found["yc_workflow_steps_completed"]
    assert len(completed) == 2 * len(STEP_ENDS)
    assert len(found["yc_workflow_step_failures"]) == 2 * len(ERROR_CLASSES)
    assert len(found["yc_workflow_step_duration_seconds"]) == 2 * (len(STEP_BOUNDS) + 3)
    failed = filled(watched(replace(read, listed=False, reason="timeout")))
    assert set(found) - set(failed) >= {"yc_workflow_active_steps"}
    assert failed["yc_workflow_steps_completed"] == completed
    assert not any("step" in name for name in filled(watched(read), history=False))


def test_a_step_has_one_name_however_many_know_it() -> None:
    """Joining two names on one step would fail the query; what the workflow knows comes first."""

    def execution(workflow_id: str, id_: str, title: str) -> ExecutionOutcome:
        about = {"id": id_, "workflowId": workflow_id, "status": "RUNNING"}
        entries = [{"id": "a", "title": title, "type": "HttpCall", "status": "STARTED"}]
        history = History.from_json({"execution": about, "entries": entries}, 10)
        return ExecutionOutcome(ExecutionTarget(id_), NOW, execution=Execution.of(about), history=history)

    executions = (execution("w", "1", "one"), execution("v", "2", "two"), execution("v", "3", "three"))
    known = replace(READ, standing=replace(NOTHING, steps={"a": ("FunctionCall", "known")}))
    both = filled(replace(watched(known), executions=executions))["yc_workflow_step_info"]
    assert [(s.labels["workflow_id"], s.labels["step_title"]) for s in both] == [("w", "known"), ("v", "two")]
    alone = Collection(executions, NOW, 0.1)
    assert [family.name for family in collector(alone).collect()] == ["yc_workflow_step_info"]
    titles = [s.labels["step_title"] for s in filled(alone)["yc_workflow_step_info"]]
    assert titles == ["one", "two"]


def test_a_page_without_workflows_and_folders_has_none_of_their_families() -> None:
    """Who watches executions only is not shown forty empty families."""
    assert list(collector(watched(), history=False).collect()) == []
    folder = FolderOutcome(FolderTarget("b1g"), NOW, reason="forbidden")
    empty = watched(folders=[folder])
    assert filled(empty) == {}
    assert names(collector(empty).collect()) == names(collector(empty).describe())


def test_the_quotas_of_the_configuration_are_shown() -> None:
    """An alert rule compares with a series, not with a number of its own."""
    (family,) = QuotaCollector({"active_executions": 200, "workflows": 30.0}).collect()
    assert values(family.samples, "quota") == {"active_executions": 200, "workflows": 30}


@pytest.mark.parametrize(
    "name", ["yc_workflow_executions_started_total", "yc_workflow_completed_duration_seconds_sum"]
)
def test_a_counter_can_be_selected_by_name(name: str) -> None:
    """`name[]` takes the names that a query uses, suffix and all."""
    made = CollectorRegistry()
    made.register(collector(watched(READ)))
    page = generate_latest(made.restricted_registry([name])).decode()
    assert [line for line in page.splitlines() if not line.startswith("#")] == [
        f'{name}{{workflow_id="w"}} 0.0'
    ]


def names(families: Iterable[Metric]) -> list[tuple[str, str, str]]:
    """Return what HELP and TYPE say."""
    return [(family.name, family.type, family.documentation) for family in families]


TIMES = st.none() | st.floats(0, 3e11)
COUNTS = st.integers(0, 10**6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
STEP_IDS = st.sampled_from(["charge", 'sh"ip\\\n', "\u0448\u0430\u0433"])


def bucket_keys(bounds: tuple[float, ...]) -> st.SearchStrategy[str]:
    """Return the last part of a histogram's keys."""
    return st.sampled_from([*map(str, bounds), "inf", "sum"])


KEYS_OF_TOTALS: st.SearchStrategy[Key] = st.one_of(
    st.just(("started",)),
    st.tuples(st.just("completed"), st.sampled_from([s.name for s in ENDS])),
    st.tuples(st.just("failures"), st.sampled_from(ERROR_CLASSES)),
    st.tuples(st.just("seconds"), bucket_keys(DURATION_BOUNDS)),
    st.tuples(st.just("step_completed"), STEP_IDS, st.sampled_from([s.name for s in STEP_ENDS])),
    st.tuples(st.just("step_seconds"), STEP_IDS, bucket_keys(STEP_BOUNDS)),
)
STANDINGS = st.builds(
    Standing,
    active=st.dictionaries(st.sampled_from(ACTIVE), st.builds(Group, COUNTS, TIMES)),
    recent=st.dictionaries(st.sampled_from(Status), COUNTS),
    totals=st.dictionaries(KEYS_OF_TOTALS, COUNTS, max_size=12),
    exemplars=st.dictionaries(
        st.sampled_from([*DURATION_BOUNDS, math.inf]),
        st.builds(Exemplar, st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True), COUNTS, st.just(NOW)),
        max_size=3,
    ),
    steps=st.dictionaries(STEP_IDS, st.tuples(TEXTS, TEXTS), max_size=3),
    last_started=TIMES,
    last_completed=st.none() | st.builds(Run, st.sampled_from(ENDS), st.just(NOW), st.floats(0, 1e6)),
    last_success=TIMES,
    last_failure=TIMES,
)
WORKFLOWS = st.builds(
    Workflow,
    id=st.just("w"),
    folder_id=st.sampled_from(["", "b1g"]),
    name=TEXTS,
    labels=st.dictionaries(st.sampled_from(KEYS), TEXTS).map(lambda found: tuple(sorted(found.items()))),
    state=st.sampled_from(WorkflowState),
    express=st.booleans(),
    created_at=TIMES,
    schedule=st.none(),
    unread=st.just(()),
)
MORNINGS, NEVER = Cron.parse("0 3 * * ? *", "Europe/Moscow"), Cron.parse("0 0 31 2 ? *")
OUTCOMES = st.builds(
    WorkflowOutcome,
    st.builds(WorkflowTarget, st.sampled_from(["w", "v", "u"]), st.none() | st.floats(1, 1e6)),
    st.just(NOW),
    http_code=st.sampled_from([0, 200, 404, 503]),
    reason=st.sampled_from(["", *REASONS]),
    listed=st.booleans(),
    workflow=st.none() | WORKFLOWS,
    firings=st.sampled_from([None, Firings.of(MORNINGS, NOW), Firings.of(NEVER, NOW)]),
    standing=STANDINGS,
    active_steps=st.dictionaries(STEP_IDS, COUNTS, max_size=2),
)
COLLECTIONS = st.lists(OUTCOMES, max_size=3, unique_by=lambda outcome: outcome.target.id).map(
    lambda outcomes: watched(*outcomes, folders=[FolderOutcome(FolderTarget("b1g"), NOW)])
)


@given(given=COLLECTIONS, history=st.booleans())
@fuzzed(40)
def test_whatever_is_known_the_page_is_valid(given: Collection, history: bool) -> None:
    """No label set twice, no NaN, buckets that rise to the count, and every family as it was described."""
    made = collector(given, history=history)
    families = list(made.collect())
    assert names(families) == names(made.describe())
    for family in families:
        seen = {(sample.name, *sorted(sample.labels.items())) for sample in family.samples}
        assert len(seen) == len(family.samples)
        assert not any(math.isnan(sample.value) for sample in family.samples)
        if family.type == "histogram":
            check_buckets(family.samples)
    page = openmetrics(made, ExecutionsCollector(lambda: given, history=history))
    read = list(text_string_to_metric_families(page))  # type: ignore[no-untyped-call]
    assert {family.name for family in families} <= {family.name for family in read}


def check_buckets(samples: Iterable[Sample]) -> None:
    """Assert that the buckets of each histogram never fall, and that the last is the count."""
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        labels = tuple(value for name, value in sorted(sample.labels.items()) if name != "le")
        groups.setdefault(labels, []).append(sample)
    for group in groups.values():
        buckets = [sample for sample in group if sample.name.endswith("_bucket")]
        assert all(low.value <= high.value for low, high in pairwise(buckets))
        (count,) = (sample.value for sample in group if sample.name.endswith("_count"))
        assert (buckets[-1].labels["le"], buckets[-1].value) == ("+Inf", count)
