"""From a collection to the families of its executions: one of the two files that name a Workflows metric.

Each family is built afresh for each page; what is not known is left out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import Metric

from exporter.families import Family
from exporter.outcome import Collection, ExecutionOutcome
from exporter.yandex.history import History
from exporter.yandex.models import Execution, Status, StepStatus

REACH = ("execution_id",)
DATA = ("execution_id", "workflow_id")
STEP = (*DATA, "step_id")
STATES = tuple(status.name for status in Status)
STEP_STATES = tuple(status.name for status in StepStatus)

EXECUTION_FAMILIES: dict[str, tuple[str, Sequence[str]]] = {
    "scrape_success": (
        "1 if this execution's data is valid: read now, or kept after it ended; 0 otherwise.",
        REACH,
    ),
    "scrape_http_code": (
        "HTTP status of the last attempt's answer to Execution.Get, 0 if it had none.",
        REACH,
    ),
    "scrape_last_success_timestamp_seconds": (
        "Unix time at which Execution.Get last gave valid data for this execution.",
        REACH,
    ),
    "status": ("Execution.status of the API: 1 for the state it is in, 0 for all others.", (*DATA, "status")),
    "status_code": (
        "Execution.status of the API as its enum number: 1 QUEUED, 2 RUNNING, 3 PAUSED, 4 STOPPED, "
        "5 FAILED, 6 FINISHED, 0 unknown.",
        DATA,
    ),
    "start_timestamp_seconds": ("Execution.startedAt of the API as Unix time.", DATA),
    "duration_seconds": ("Execution.duration of the API in seconds; absent while the API states none.", DATA),
    "end_timestamp_seconds": (
        "Execution.startedAt plus Execution.duration of the API as Unix time, once it has ended.",
        DATA,
    ),
    "errors": (
        "Count of errors on the execution: 1 if Execution.error of the API is set or "
        "Execution.status is FAILED, else 0.",
        DATA,
    ),
    "error_info": (
        "Execution.error.errorCode of the API and its class; always 1, absent without an error.",
        (*DATA, "error_code", "error_class"),
    ),
    "info": ("The alias that the configuration gives this execution; always 1.", (*DATA, "alias")),
}

HISTORY_FAMILIES: dict[str, tuple[str, Sequence[str]]] = {
    "steps": ("Entries of Execution.GetHistory by their status.", (*DATA, "status")),
    "step_errors": ("Entries of Execution.GetHistory whose status is FAILED.", DATA),
    "step_retries": ("Sum of attempts - 1 over the entries of Execution.GetHistory.", DATA),
    "step_status": (
        "HistoryEntry.status of the API, of the entry that started last: 1 for the state the step is in, "
        "0 for all others.",
        (*STEP, "status"),
    ),
    "step_start_timestamp_seconds": (
        "Earliest HistoryEntry.startedAt of the step in the API as Unix time.",
        STEP,
    ),
    "step_duration_seconds": (
        "Seconds from the earliest HistoryEntry.startedAt of the step to its latest end "
        "(startedAt plus duration).",
        STEP,
    ),
    "step_attempts": ("Largest HistoryEntry.attempts of the step in the API.", STEP),
}


def _families(declared: dict[str, tuple[str, Sequence[str]]]) -> dict[str, Family]:
    prefix = "yc_workflow_execution_"
    return {key: Family(prefix + key, help_, labels) for key, (help_, labels) in declared.items()}


class ExecutionsCollector:
    """The metrics of the executions of one collection, which is made when it is first asked for."""

    def __init__(self, collect: Callable[[], Collection], *, history: bool) -> None:
        self._collect = collect
        self._history = history

    def describe(self) -> Iterable[Metric]:
        """Name the families, without asking the API."""
        yield from _families(EXECUTION_FAMILIES).values()
        if self._history:
            yield from _families(HISTORY_FAMILIES).values()

    def collect(self) -> Iterator[Metric]:
        """Build, fill and yield the families."""
        outcomes = self._collect().executions
        families = _families(EXECUTION_FAMILIES)
        for outcome in outcomes:
            _add_reach(families, outcome)
            if outcome.execution is not None:
                _add_execution(families, outcome.execution, outcome.target.alias)
        yield from families.values()
        if self._history:
            yield from _history_families(outcomes)


def _add_reach(families: dict[str, Family], outcome: ExecutionOutcome) -> None:
    labels = (outcome.target.id,)
    families["scrape_success"].add_metric(labels, float(outcome.success))
    families["scrape_http_code"].add_metric(labels, outcome.http_code)
    if outcome.last_success is not None:
        families["scrape_last_success_timestamp_seconds"].add_metric(labels, outcome.last_success)


def _add_execution(families: dict[str, Family], execution: Execution, alias: str) -> None:
    labels = (execution.id, execution.workflow_id)
    families["status"].add_states(labels, STATES, execution.status.name)
    families["status_code"].add_metric(labels, execution.status.code)
    families["errors"].add_metric(labels, execution.errors)
    known = {
        "start_timestamp_seconds": execution.started_at,
        "duration_seconds": execution.duration,
        "end_timestamp_seconds": execution.ended_at,
    }
    for key, value in known.items():
        if value is not None:
            families[key].add_metric(labels, value)
    if execution.error is not None:
        error = execution.error
        families["error_info"].add_metric((*labels, error.code, error.error_class), 1)
    if alias:
        families["info"].add_metric((*labels, alias), 1)


def _history_families(outcomes: Iterable[ExecutionOutcome]) -> Iterator[Metric]:
    families = _families(HISTORY_FAMILIES)
    for outcome in outcomes:
        if outcome.execution is None or outcome.history is None:
            continue
        labels = (outcome.execution.id, outcome.execution.workflow_id)
        _add_history(families, outcome.history, labels)
    yield from families.values()


def _add_history(families: dict[str, Family], history: History, labels: tuple[str, str]) -> None:
    for status, count in history.by_status:
        families["steps"].add_metric((*labels, status.name), count)
    families["step_errors"].add_metric(labels, history.failed)
    families["step_retries"].add_metric(labels, history.retries)
    for step in history.steps:
        at = (*labels, step.id)
        families["step_status"].add_states(at, STEP_STATES, step.status.name)
        known = {
            "step_start_timestamp_seconds": step.started_at,
            "step_duration_seconds": step.duration,
            "step_attempts": step.attempts,
        }
        for key, value in known.items():
            if value is not None:
                families[key].add_metric(at, value)


class ProbeCollector:
    """Whether a probe succeeded and how long it took."""

    def __init__(self, collect: Callable[[], Collection]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Family]:
        """Name the families, without asking the API."""
        return [
            Family("probe_success", "1 if the data of every target of this probe is valid, else 0."),
            Family("probe_duration_seconds", "Seconds that the probe took."),
        ]

    def collect(self) -> Iterator[Metric]:
        """Build, fill and yield the families."""
        collection = self._collect()
        success, duration = self.describe()
        success.add_metric((), float(all(o.success for o in collection.all)))
        duration.add_metric((), collection.seconds)
        yield success
        yield duration
