"""From a collection to the families of its workflows: one of the two files that name a Workflows metric.

Gauges are built afresh for each page, and what is not known is left out. Counters and histograms are what
the exporter has counted: they are there from the start, at 0, and whatever the API does.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import samples
from prometheus_client.core import Metric

from exporter.families import Bucket, Family, HistogramFamily
from exporter.outcome import Collection, ExecutionOutcome, WorkflowOutcome
from exporter.standing import ACTIVE, DURATION_BOUNDS, ENDS, STEP_BOUNDS, STEP_ENDS, Exemplar, Key, Standing
from exporter.yandex.errors import NotFound
from exporter.yandex.models import ERROR_CLASSES, NANOS, Status
from exporter.yandex.workflows import Workflow, WorkflowState

Totals = Mapping[Key, int]
Exemplars = Mapping[float, Exemplar]

PREFIX = "yc_workflow_"
WORKFLOW = ("workflow_id",)
STATUS = (*WORKFLOW, "status")
STEP = (*WORKFLOW, "step_id")
STATUSES = tuple(Status)
STATES = tuple(state.name for state in WorkflowState)
END_NAMES = tuple(status.name for status in ENDS)
BOUNDS = {"completed_duration_seconds": DURATION_BOUNDS, "step_duration_seconds": STEP_BOUNDS}
"""The bounds of each family that is a histogram."""
MOST_EXEMPLAR_CHARACTERS = 128
"""What OpenMetrics allows the labels of an exemplar, names and values together."""

WORKFLOW_FAMILIES: dict[str, tuple[str, Sequence[str]]] = {
    "info": (
        "Workflow.name, folderId, express and the configured Workflow.labels of the API; always 1.",
        (*WORKFLOW, "workflow_name", "folder_id", "express"),
    ),
    "state": (
        "Workflow.status of the API: 1 for the state it is in, 0 for all others.",
        (*WORKFLOW, "state"),
    ),
    "scrape_success": ("1 if Execution.List told all of the workflow's executions now, else 0.", WORKFLOW),
    "scrape_http_code": ("HTTP status of the last attempt's answer, 0 if it had none.", WORKFLOW),
    "active_executions": ("Executions that have not ended, by Execution.status of the API.", STATUS),
    "oldest_active_start_timestamp_seconds": (
        "Earliest Execution.startedAt of the executions that have not ended, as Unix time.",
        STATUS,
    ),
    "last_started_timestamp_seconds": ("Newest Execution.startedAt of the API as Unix time.", WORKFLOW),
    "last_completed_status": (
        "Execution.status of the execution that ended last: 1 for the status it has, 0 for all others.",
        STATUS,
    ),
    "last_completed_duration_seconds": (
        "Execution.duration of the one that ended last, in seconds.",
        WORKFLOW,
    ),
    "last_completed_end_timestamp_seconds": (
        "Execution.startedAt plus Execution.duration of the execution that ended last, as Unix time.",
        WORKFLOW,
    ),
    "last_success_timestamp_seconds": (
        "Newest end (Execution.startedAt plus Execution.duration) of a FINISHED execution as Unix time.",
        WORKFLOW,
    ),
    "last_failure_timestamp_seconds": (
        "Newest end (Execution.startedAt plus Execution.duration) of a FAILED execution as Unix time.",
        WORKFLOW,
    ),
    "recent_executions": (
        "Executions whose Execution.startedAt is in the recent window, by Execution.status; not for rate().",
        STATUS,
    ),
    "recent_window_seconds": ("recent_window of the configuration, in seconds.", ()),
    "executions_started_total": ("Executions that started (startedAt) after the first look.", WORKFLOW),
    "executions_completed_total": (
        "Executions that ended after the first look, by Execution.status.",
        STATUS,
    ),
    "failures_total": (
        "Executions that failed after the first look, by the class of Execution.error.errorCode.",
        (*WORKFLOW, "error_class"),
    ),
    "completed_duration_seconds": (
        "Execution.duration of the executions that ended after the first look, in seconds.",
        WORKFLOW,
    ),
    "schedule_last_expected_timestamp_seconds": (
        "Unix time at which Workflow.schedule last fired.",
        WORKFLOW,
    ),
    "schedule_next_timestamp_seconds": ("Unix time at which Workflow.schedule fires next.", WORKFLOW),
    "expected_success_interval_seconds": ("expected_success_interval of the configuration.", WORKFLOW),
}
"""Help and labels of each family; one that ends in `_total` is a counter, one with BOUNDS a histogram."""

STEP_FAMILIES: dict[str, tuple[str, Sequence[str]]] = {
    "steps_completed_total": (
        "History entries of ended executions, by HistoryEntry.status.",
        (*STEP, "status"),
    ),
    "step_failures_total": (
        "History entries of ended executions that failed, by the class of HistoryEntry.error.errorCode.",
        (*STEP, "error_class"),
    ),
    "step_retries_total": ("Sum of HistoryEntry.attempts - 1 over the entries of ended executions.", STEP),
    "step_duration_seconds": ("HistoryEntry.duration of the entries of ended executions, in seconds.", STEP),
    "active_steps": ("History entries of active executions that are under way (HistoryEntry.status).", STEP),
    "step_info": (
        "HistoryEntry.type and HistoryEntry.title of the API; always 1.",
        (*STEP, "step_type", "step_title"),
    ),
}


def label_names(keys: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the metric label of each workflow label key in order, each with all the keys that become it.

    A label with more than one key is a collision: it holds the value of the first that a workflow has.
    """
    found: dict[str, dict[str, None]] = {}
    for key in keys:
        found.setdefault("label_" + re.sub(r"[^a-zA-Z0-9_]", "_", key), {})[key] = None
    return tuple((label, tuple(same)) for label, same in found.items())


class _Families:
    """The families of one page."""

    def __init__(self, labels: Iterable[str], *, history: bool) -> None:
        declared = {**WORKFLOW_FAMILIES, **(STEP_FAMILIES if history else {})}
        info_help, info_labels = declared["info"]
        declared["info"] = (info_help, (*info_labels, *labels))
        self._singles: dict[str, Family] = {}
        self._histograms: dict[str, HistogramFamily] = {}
        for key, (help_, names) in declared.items():
            if key in BOUNDS:
                self._histograms[key] = HistogramFamily(PREFIX + key, help_, names)
            else:
                self._singles[key] = Family(PREFIX + key, help_, names)

    @property
    def all(self) -> tuple[Metric, ...]:
        """Return all families."""
        return (*self._singles.values(), *self._histograms.values())

    @property
    def step_info(self) -> Metric:
        """Return the family of the steps' names."""
        return self._singles["step_info"]

    def add(self, key: str, labels: tuple[str, ...], value: float | None) -> None:
        """Add a sample, unless its value is not known."""
        if value is not None:
            self._singles[key].add_metric(labels, value)

    def add_states(self, key: str, labels: tuple[str, ...], states: Sequence[str], now: str) -> None:
        """Add a sample for each state."""
        self._singles[key].add_states(labels, states, now)

    def observe(
        self, key: str, labels: tuple[str, ...], totals: Totals, prefix: Key, shown: Exemplars
    ) -> None:
        """Add a histogram of the totals whose keys begin with a prefix."""
        buckets = tuple(_buckets(BOUNDS[key], totals, prefix, shown))
        self._histograms[key].add_metric(labels, buckets, totals.get((*prefix, "sum"), 0) / NANOS)


def _buckets(bounds: Iterable[float], totals: Totals, prefix: Key, exemplars: Exemplars) -> Iterator[Bucket]:
    """Yield cumulative buckets; the totals are those of each bucket alone."""
    count = 0
    for bound in (*bounds, float("inf")):
        name = str(bound)
        alone = totals.get((*prefix, name), 0)
        count += alone
        le = "+Inf" if name == "inf" else name
        # An exemplar is told before its execution is in the state file and so in the totals.
        shown = _exemplar(exemplars.get(bound)) if alone else None
        yield le, count, shown


def _exemplar(found: Exemplar | None) -> samples.Exemplar | None:
    if found is None or len("execution_id") + len(found.execution_id) > MOST_EXEMPLAR_CHARACTERS:
        return None
    return samples.Exemplar({"execution_id": found.execution_id}, found.duration, found.end)


class WorkflowsCollector:
    """The metrics of the workflows of one collection, and the names of all its steps.

    `labels` are the keys of workflow labels to show, `recent_window` is in seconds. The steps' names are
    those of single executions as well, so that no step has two.
    """

    def __init__(
        self, collect: Callable[[], Collection], *, labels: Sequence[str], history: bool, recent_window: float
    ) -> None:
        self._collect = collect
        self._labels = label_names(labels)
        self._history = history
        self._recent_window = recent_window

    def describe(self) -> Iterable[Metric]:
        """Name the families, without asking the API."""
        return self._families().all

    def collect(self) -> Iterator[Metric]:
        """Build, fill and yield the families; without workflows or folders, only the steps' names."""
        collection = self._collect()
        families = self._families()
        for outcome in collection.workflows:
            self._add(families, outcome)
        if collection.workflows:
            families.add("recent_window_seconds", (), self._recent_window)
        if self._history:
            _add_step_info(families, collection)
        if collection.workflows or collection.folders:
            yield from families.all
        elif self._history:
            yield families.step_info

    def _families(self) -> _Families:
        return _Families([label for label, _ in self._labels], history=self._history)

    def _add(self, families: _Families, outcome: WorkflowOutcome) -> None:
        at = (outcome.target.id,)
        families.add("scrape_success", at, float(outcome.success))
        families.add("scrape_http_code", at, outcome.http_code)
        families.add("expected_success_interval_seconds", at, outcome.target.expected_success_interval)
        _add_totals(families, at, outcome.standing)
        if outcome.success or outcome.reason != NotFound.reason:
            if outcome.workflow is not None:
                self._add_info(families, at, outcome.workflow)
                _add_schedule(families, at, outcome)
            _add_last(families, at, outcome.standing)
            if outcome.success:
                _add_now(families, at, outcome)
        if self._history:
            _add_steps(families, at, outcome)

    def _add_info(self, families: _Families, at: tuple[str], workflow: Workflow) -> None:
        has = dict(workflow.labels)
        shown = (next((has[key] for key in keys if key in has), "") for _, keys in self._labels)
        express = "true" if workflow.express else "false"
        families.add("info", (*at, workflow.name, workflow.folder_id, express, *shown), 1)


def _add_totals(families: _Families, at: tuple[str], standing: Standing) -> None:
    totals = standing.totals
    families.add("executions_started_total", at, totals.get(("started",), 0))
    for status in ENDS:
        count = totals.get(("completed", status.name), 0)
        families.add("executions_completed_total", (*at, status.name), count)
    for error_class in ERROR_CLASSES:
        families.add("failures_total", (*at, error_class), totals.get(("failures", error_class), 0))
    families.observe("completed_duration_seconds", at, totals, ("seconds",), standing.exemplars)


def _add_schedule(families: _Families, at: tuple[str], outcome: WorkflowOutcome) -> None:
    if outcome.firings is None or outcome.workflow is None:
        return
    last, begins = outcome.firings.last, (outcome.workflow.created_at, outcome.cron_since)
    # A schedule says nothing of the time before it was there, or before there was a workflow to be started.
    if last is not None and all(begin is None or last >= begin for begin in begins):
        families.add("schedule_last_expected_timestamp_seconds", at, last)
    families.add("schedule_next_timestamp_seconds", at, outcome.firings.next)


def _add_last(families: _Families, at: tuple[str], standing: Standing) -> None:
    families.add("last_started_timestamp_seconds", at, standing.last_started)
    families.add("last_success_timestamp_seconds", at, standing.last_success)
    families.add("last_failure_timestamp_seconds", at, standing.last_failure)
    run = standing.last_completed
    if run is not None:
        families.add("last_completed_duration_seconds", at, run.duration)
        families.add("last_completed_end_timestamp_seconds", at, run.end)
        families.add_states("last_completed_status", at, END_NAMES, run.status.name)


def _add_now(families: _Families, at: tuple[str], outcome: WorkflowOutcome) -> None:
    """Add what holds only while the executions are listed."""
    if outcome.workflow is not None:
        families.add_states("state", at, STATES, outcome.workflow.state.name)
    for status in ACTIVE:
        group = outcome.standing.active.get(status)
        families.add("active_executions", (*at, status.name), group.count if group else 0)
        if group:
            families.add("oldest_active_start_timestamp_seconds", (*at, status.name), group.oldest)
    for status in STATUSES:
        families.add("recent_executions", (*at, status.name), outcome.standing.recent.get(status, 0))


def _add_steps(families: _Families, at: tuple[str], outcome: WorkflowOutcome) -> None:
    totals = outcome.standing.totals
    for step in outcome.standing.steps:
        of = (*at, step)
        for status in STEP_ENDS:
            count = totals.get(("step_completed", step, status.name), 0)
            families.add("steps_completed_total", (*of, status.name), count)
        for error_class in ERROR_CLASSES:
            count = totals.get(("step_failures", step, error_class), 0)
            families.add("step_failures_total", (*of, error_class), count)
        families.add("step_retries_total", of, totals.get(("step_retries", step), 0))
        families.observe("step_duration_seconds", of, totals, ("step_seconds", step), {})
        if outcome.success and not outcome.histories_missing:
            families.add("active_steps", of, outcome.active_steps.get(step, 0))


def _add_step_info(families: _Families, collection: Collection) -> None:
    """Name each step once: as its workflow knows it, else as an execution does."""
    names = {
        (outcome.target.id, step): name
        for outcome in collection.workflows
        for step, name in outcome.standing.steps.items()
    }
    for outcome in collection.executions:
        for key, name in _named(outcome):
            names.setdefault(key, name)
    for key, name in names.items():
        families.add("step_info", (*key, *name), 1)


def _named(outcome: ExecutionOutcome) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    if outcome.execution is not None and outcome.history is not None:
        for step in outcome.history.steps:
            yield (outcome.execution.workflow_id, step.id), (step.type, step.title)


class QuotaCollector:
    """The quotas that the configuration states, so that no alert rule holds a number of its own."""

    def __init__(self, quota: Mapping[str, float]) -> None:
        self._quota = quota

    def describe(self) -> Iterable[Metric]:
        """Name the family."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Build, fill and yield the family."""
        help_ = "quota of the configuration: the most that one cloud allows."
        family = Family(PREFIX + "quota_limit", help_, ("quota",))
        for name, limit in self._quota.items():
            family.add_metric((name,), limit)
        yield family
