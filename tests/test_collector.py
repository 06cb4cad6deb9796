"""The whole page of metrics, byte for byte."""

import json
import os
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.collector import ProbeCollector, WorkflowCollector
from exporter.outcome import Collection, Outcome
from exporter.targets import ExecutionTarget
from exporter.telemetry import ScrapeTelemetry, Telemetry
from exporter.yandex.calls import CallRecord
from exporter.yandex.history import History
from exporter.yandex.iam import TokenRecord
from exporter.yandex.models import Execution

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
NOW = 1741622400.0


def sample(name: str) -> object:
    """Return an answer of the API."""
    return json.loads((HERE / "samples" / f"{name}.json").read_text())


def outcome(name: str, alias: str = "", history: str = "") -> Outcome:
    """Return the outcome of reading an execution now."""
    execution = Execution.from_json(sample(f"execution_get_{name}"))
    return Outcome(
        ExecutionTarget(execution.id, alias),
        NOW,
        execution,
        History.from_json(sample(history), 3) if history else None,
        http_code=200,
        last_success=NOW,
        fresh=True,
    )


def collection() -> Collection:
    """Return a collection with every status, one execution that is gone and one never reached."""
    statuses = ("queued", "running", "paused", "stopped", "finished", "zero_duration")
    return Collection(
        (
            *(outcome(name) for name in statuses),
            outcome("failed", alias='night "ly"\\\n', history="execution_history"),
            Outcome(ExecutionTarget("gone"), NOW, http_code=404, reason="not_found", last_success=NOW - 60),
            Outcome(ExecutionTarget("unreached"), NOW, reason="connection"),
        ),
        NOW,
        0.25,
        9.5,
    )


def telemetry(given: Collection) -> Telemetry:
    """Return the exporter's figures after this collection and a handful of calls."""
    told = Telemetry("1.2.3", "abcdef")
    told.reloaded(NOW - 3600)
    told.token(TokenRecord(ok=True, expires_at=NOW + 43200, message=""))
    for code, seconds, attempt in ((200, 0.03, 0), (404, 0.02, 0), (503, 0.3, 0), (0, 5.0, 1)):
        told.called(CallRecord("Execution.Get", "https://example.invalid/", code, seconds, attempt, "", ""))
    told.collected(given)
    return told


class Stable:
    """A telemetry whose build does not depend on the Python that runs it."""

    def __init__(self, told: Telemetry) -> None:
        self._told = told

    def collect(self) -> list[Metric]:
        """Return the families with the version of Python left out."""
        families = list(self._told.collect())
        for family in families:
            for found in family.samples:
                if "python_version" in found.labels:
                    found.labels["python_version"] = "3"
        return families


def registry() -> CollectorRegistry:
    """Return all collectors of /metrics and /probe but those of the process."""
    given = collection()
    made = CollectorRegistry()
    made.register(WorkflowCollector(lambda: given, history=True))
    made.register(ProbeCollector(lambda: given))
    made.register(ScrapeTelemetry(lambda: given))
    made.register(Stable(telemetry(given)))
    return made


def compare(name: str, page: bytes) -> None:
    """Compare with the golden file, or write it when told to by GOLDEN=write."""
    path = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(page)
    assert page.decode() == path.read_bytes().decode()


def test_the_page_in_the_text_format_is_the_golden_one() -> None:
    """Every family, label and value of the contract, in the text format."""
    compare("metrics.txt", generate_latest(registry()))


def test_the_page_in_openmetrics_is_the_golden_one() -> None:
    """Every family, label and value of the contract, in OpenMetrics."""
    compare("metrics.openmetrics.txt", generate_openmetrics(registry()))  # type: ignore[no-untyped-call]


def test_no_label_set_comes_twice() -> None:
    """A repeated label set would cost Prometheus the whole page."""
    for family in registry().collect():
        seen = [(found.name, *sorted(found.labels.items())) for found in family.samples]
        assert len(seen) == len(set(seen))


def test_a_selection_by_name_does_not_collect_what_it_does_not_need() -> None:
    """`name[]` for the exporter's own families makes no call of the API."""

    def never() -> Collection:
        raise AssertionError("collected")

    made = CollectorRegistry()
    made.register(WorkflowCollector(never, history=True))
    made.register(ScrapeTelemetry(never))
    made.register(Telemetry("1", "2"))
    page = generate_latest(made.restricted_registry(["yc_workflow_exporter_build_info"]))
    assert b"yc_workflow_exporter_build_info{" in page
