"""The exporter's metrics about itself, fed by records that the lower layers hand up."""

import platform
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from exporter.families import Family
from exporter.ledger import MOST_WORKFLOWS
from exporter.outcome import Collection, Outcome
from exporter.yandex.calls import CallRecord
from exporter.yandex.errors import REASONS, AuthFailed, Unauthorized
from exporter.yandex.iam import TokenRecord

PREFIX = "yc_workflow_exporter_"
API_METHODS = ("Execution.Get", "Execution.GetHistory", "Execution.List", "Workflow.Get", "Workflow.List")
KINDS = ("execution", "workflow", "folder")
UNREAD_FIELDS = ("status", "duration", "started_at", "error_code", "attempts", "state", "cron")
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ANSWERED = {"bad_request", "forbidden", "not_found", "rate_limited"}
"""Reasons by which the API shows that it is there, and knows who asks."""
OF_ONE_TARGET = {"timeout", "budget", "server_error", "bad_response"}
"""Reasons that may lie in what was asked for."""


class Telemetry:
    """Counts what the exporter does. One for the life of the process, over all reloads.

    `_lock` guards the gauges' values; the counters and histograms guard themselves, and `_of_calls` has
    one entry for each method and HTTP status.
    """

    def __init__(self, version: str, revision: str) -> None:
        self._build = (version, revision, platform.python_version())
        self._lock = threading.Lock()
        self._values: dict[str, float] = {}
        self._of_calls: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self.errors = _counter("scrape_errors", "Targets that could not be read, by reason.", "reason")
        self.requests = _counter(
            "api_requests", "Calls to the Workflows API by HTTP status, 0 for no answer.", "method", "code"
        )
        self.retries = _counter("api_retries", "Repeated calls to the Workflows API.", "method")
        self.cache_requests = _counter("cache_requests", "Look-ups in the cache of ended executions.")
        self.cache_hits = _counter("cache_hits", "Look-ups that the cache answered without a call.")
        self.refreshes = _counter("iam_token_refreshes", "IAM tokens obtained.")
        self.refresh_failures = _counter(
            "iam_token_refresh_failures", "Attempts to get an IAM token that failed."
        )
        self.unknown = _counter(
            "unknown_values", "Values of the API that could not be read, by field.", "field"
        )
        self.state_write_failures = _counter(
            "state_write_failures",
            "Times that the state file could not be written; what a page shows waits for it.",
        )
        self.latency = Histogram(
            PREFIX + "api_request_duration_seconds",
            "Seconds that a call to the Workflows API took.",
            ["method"],
            buckets=LATENCY_BUCKETS,
            registry=None,
        )
        self._fill_known()

    def _fill_known(self) -> None:
        for reason in REASONS:
            self.errors.labels(reason)
        for field in UNREAD_FIELDS:
            self.unknown.labels(field)
        for method in API_METHODS:
            self.retries.labels(method)
            self.latency.labels(method)

    def called(self, record: CallRecord) -> None:
        """Count one attempt at a call of the Workflows API."""
        requests, latency = self._of_call(record.method, record.code)
        requests.inc()
        latency.observe(record.seconds)
        if record.attempt:
            self.retries.labels(record.method).inc()

    def _of_call(self, method: str, code: int) -> tuple[Counter, Histogram]:
        """Return what counts a call; to find it by its labels takes longer than to count."""
        found = self._of_calls.get((method, code))
        if found is None:
            found = self.requests.labels(method, str(code)), self.latency.labels(method)
            self._of_calls[method, code] = found
        return found

    def token(self, record: TokenRecord) -> None:
        """Count an IAM token that was, or was not, obtained."""
        if not record.ok:
            self.refresh_failures.inc()
            return
        self.refreshes.inc()
        with self._lock:
            self._values.pop("iam_token_expiry_timestamp_seconds", None)
            if record.expires_at is not None:
                self._values["iam_token_expiry_timestamp_seconds"] = record.expires_at

    def collected(self, collection: Collection) -> None:
        """Count what a collection read, failed to read and did not have to read."""
        # Only executions are kept for good once they ended; lists are read in every collection.
        self.cache_requests.inc(len(collection.executions))
        self.cache_hits.inc(sum(o.cached for o in collection.executions))
        for outcome in collection.all:
            if outcome.reason:
                self.errors.labels(outcome.reason).inc()
            if outcome.fresh:
                for field in outcome.unread:
                    self.unknown.labels(field).inc()
        self._note_contact(collection)

    def _note_contact(self, collection: Collection) -> None:
        """Judge the API by what it said in this collection; no contact changes nothing."""
        asked = [o for o in collection.all if o.sent and not o.cached]
        # That one target is slow or broken, which is what a probe is for, says nothing of the API.
        if not asked or (collection.probe and all(o.reason in OF_ONE_TARGET for o in asked)):
            return
        answered = any(o.fresh or o.reason in ANSWERED for o in asked)
        refused = any(o.reason in (Unauthorized.reason, AuthFailed.reason) for o in asked)
        read_at = max((o.at for o in asked if o.fresh), default=None)
        with self._lock:
            self._values["up"] = float(answered and not refused)
            if read_at is not None:
                self._values["last_api_success_timestamp_seconds"] = read_at

    def state_failed(self) -> None:
        """Count that the state file could not be written."""
        self.state_write_failures.inc()

    def reloaded(self, at: float | None) -> None:
        """Note that the configuration was read at this Unix time, or (None) that it could not be."""
        with self._lock:
            self._values["config_last_reload_successful"] = float(at is not None)
            if at is not None:
                self._values["config_last_reload_success_timestamp_seconds"] = at

    def describe(self) -> Iterable[Metric]:
        """Name the families."""
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        """Build the gauges afresh and yield the counters as they stand."""
        with self._lock:
            values = dict(self._values)
        yield from self._gauges(values)
        build = _gauge(
            "build_info",
            "What this exporter was built from; always 1.",
            "version",
            "revision",
            "python_version",
        )
        build.add_metric(self._build, 1)
        yield build
        for metric in (
            self.errors, self.requests, self.latency, self.retries, self.cache_requests, self.cache_hits,
            self.refreshes, self.refresh_failures, self.unknown, self.state_write_failures,
        ):  # fmt: skip
            yield from _without_created(metric.collect())

    @staticmethod
    def _gauges(values: dict[str, float]) -> Iterator[Metric]:
        up = Family(
            "yc_workflow_up",
            "1 if the API answered, authenticated and well-formed, at the last contact, else 0.",
        )
        helps = {
            "last_api_success_timestamp_seconds": "Unix time at which the API last gave valid data.",
            "iam_token_expiry_timestamp_seconds": "Unix time at which the IAM token in use expires.",
            "config_last_reload_successful": "1 if the last reading of the configuration succeeded, else 0.",
            "config_last_reload_success_timestamp_seconds": "Unix time of the last good reading.",
        }
        families = {"up": up, **{name: _gauge(name, text) for name, text in helps.items()}}
        for name, family in families.items():
            if name in values:
                family.add_metric((), values[name])
            yield family


class ScrapeTelemetry:
    """The figures of one scrape: its targets, its failures, its budget and the time it took."""

    def __init__(self, collect: Callable[[], Collection]) -> None:
        self._collect = collect

    def describe(self) -> Iterable[Family]:
        """Name the families, without asking the API."""
        return [
            _gauge("scrape_duration_seconds", "Seconds that the collection of this page took."),
            _gauge("scrape_timeout_seconds", "Seconds that the collection of this page was allowed to take."),
            _gauge("scrape_targets", "Targets of this page.", "kind"),
            _gauge("scrape_failed_targets", "Targets of this page without valid data.", "kind"),
            _gauge("series_over_limit", "What is left out of this page because of a limit.", "kind"),
        ]

    def collect(self) -> Iterator[Metric]:
        """Build, fill and yield the families."""
        collection = self._collect()
        duration, timeout, targets, failed, over = self.describe()
        duration.add_metric((), collection.seconds)
        timeout.add_metric((), collection.allowed)
        for kind, watched in zip(KINDS, _watched(collection), strict=True):
            targets.add_metric((kind,), len(watched))
            failed.add_metric((kind,), sum(not o.success for o in watched))
        over.add_metric(("execution",), 0)
        over.add_metric(("workflow",), max(0, len(collection.workflows) - MOST_WORKFLOWS))
        over.add_metric(("folder",), 0)
        over.add_metric(("step",), _steps_over_limit(collection))
        yield from (duration, timeout, targets, failed, over)


def _watched(collection: Collection) -> tuple[Sequence[Outcome], ...]:
    """Return the outcomes of each of the KINDS."""
    return collection.executions, collection.workflows, collection.folders


def _steps_over_limit(collection: Collection) -> int:
    of_executions = sum(o.history.over_limit for o in collection.executions if o.history)
    return of_executions + sum(o.standing.steps_over_limit for o in collection.workflows)


def _counter(name: str, help_: str, *labels: str) -> Counter:
    return Counter(PREFIX + name, help_, labels, registry=None)


def _gauge(name: str, help_: str, *labels: str) -> Family:
    return Family(PREFIX + name, help_, labels)


def _without_created(families: Iterable[Metric]) -> Iterator[Metric]:
    """Leave out the `_created` series, which double the page and tell nothing that is used."""
    for family in families:
        family.samples = [s for s in family.samples if not s.name.endswith("_created")]
        yield family
