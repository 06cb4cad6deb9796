"""The whole page of metrics, byte for byte."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter import textformat
from exporter.collector import ExecutionsCollector, ProbeCollector
from exporter.cron import Cron
from exporter.families import Family
from exporter.firings import Firings
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, WorkflowOutcome
from exporter.standing import Exemplar, Group, Run, Standing
from exporter.targets import ExecutionTarget, FolderTarget, WorkflowTarget
from exporter.telemetry import ScrapeTelemetry, Telemetry
from exporter.workflowcollector import QuotaCollector, WorkflowsCollector
from exporter.yandex.calls import CallRecord
from exporter.yandex.history import History
from exporter.yandex.iam import TokenRecord
from exporter.yandex.models import Execution, Status
from exporter.yandex.workflows import Workflow, WorkflowState

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
NOW = 1741622400.0


def sample(name: str) -> object:
    """Return an answer of the API."""
    return json.loads((HERE / "samples" / f"{name}.json").read_text())


def outcome(name: str, alias: str = "", history: str = "") -> ExecutionOutcome:
    """Return the outcome of reading an execution now."""
    execution = Execution.from_json(sample(f"execution_get_{name}"))
    return ExecutionOutcome(
        ExecutionTarget(execution.id, alias),
        NOW,
        execution=execution,
        history=History.from_json(sample(history), 3) if history else None,
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
            ExecutionOutcome(
                ExecutionTarget("gone"), NOW, http_code=404, reason="not_found", last_success=NOW - 60
            ),
            ExecutionOutcome(ExecutionTarget("unreached"), NOW, reason="connection"),
        ),
        NOW,
        0.25,
        allowed=9.5,
    )


def standing() -> Standing:
    """Return what has been counted of a workflow that has executions of every kind."""
    return Standing(
        active={Status.QUEUED: Group(), Status.RUNNING: Group(2, NOW - 7200), Status.PAUSED: Group(1)},
        recent={Status.RUNNING: 1, Status.FAILED: 1, Status.FINISHED: 3, Status.UNKNOWN: 1},
        totals={
            ("started",): 7,
            ("completed", "FINISHED"): 3,
            ("completed", "FAILED"): 2,
            ("failures", "STEP"): 1,
            ("failures", "OTHER"): 1,
            ("seconds", "1.0"): 2,
            ("seconds", "1800.0"): 2,
            ("seconds", "inf"): 1,
            ("seconds", "sum"): 175_000_070_697_344,
            ("step_completed", "charge", "FAILED"): 1,
            ("step_completed", "charge", "COMPLETED"): 4,
            ("step_failures", "charge", "STEP"): 1,
            ("step_retries", "charge"): 2,
            ("step_seconds", "charge", "900.0"): 5,
            ("step_seconds", "charge", "sum"): 4_495_000_000_000,
        },
        exemplars={
            1.0: Exemplar("w-fast", 0.035348672, NOW - 3000),
            1800.0: Exemplar("x" * 117, 900.0, NOW - 2000),
            float("inf"): Exemplar("w-slow", 173_199.5, NOW - 60.5),
            60.0: Exemplar("w-not-in-the-totals-yet", 42.0, NOW),
        },
        steps={"charge": ("FunctionCall", "Charge the card"), "ship": ("HttpCall", 'Ship "it"')},
        steps_over_limit=4,
        last_started=NOW - 60,
        last_completed=Run(Status.FAILED, NOW - 120, 900.0),
        last_success=NOW - 3000,
        last_failure=NOW - 120,
    )


def workflows() -> Collection:
    """Return a collection with a workflow in every state that one can be in, and their folder."""
    known = replace(Workflow.from_json(sample("workflow_get")), created_at=NOW - 864_000)
    labels = (("cost-center/eu", "slashed"), ("cost_center_eu", "underlined"))
    express = replace(known, name="express", labels=labels, express=True, schedule=None)
    firings = Firings.of(Cron.parse("0 3 * * ? *", "Europe/Moscow"), NOW)
    full, kept = standing(), WorkflowOutcome(
        WorkflowTarget("kept"), NOW, http_code=503, reason="server_error", standing=standing(),
        workflow=replace(known, id="kept", created_at=NOW - 3600), firings=firings, last_success=NOW - 60,
    )  # fmt: skip
    read = WorkflowOutcome(
        WorkflowTarget(known.id, 90_000.0), NOW, http_code=200, fresh=True, listed=True, workflow=known,
        firings=firings, standing=full, active_steps={"charge": 2, "over-the-limit": 1}, last_success=NOW,
    )  # fmt: skip
    idle = replace(full, totals={}, exemplars={}, steps={}, steps_over_limit=0)
    other = replace(read, target=WorkflowTarget("express"), workflow=express, firings=None, standing=idle)
    lost = replace(kept, target=WorkflowTarget("gone"), http_code=404, reason="not_found")
    new = WorkflowOutcome(WorkflowTarget("never-looked", 60.0), NOW, reason="budget", sent=False)
    listed = replace(other, target=WorkflowTarget("unnamed"), workflow=None)
    state = replace(
        other, target=WorkflowTarget("odd"), workflow=replace(express, state=WorkflowState.UNKNOWN)
    )
    folder = FolderOutcome(FolderTarget("b1g"), NOW, http_code=200, fresh=True, listed=True, found=(known,))
    failed = outcome("failed", history="execution_history")
    return Collection(
        (failed,), NOW, 0.5, allowed=9.5, workflows=(read, other, kept, lost, new, listed, state),
        folders=(folder, FolderOutcome(FolderTarget("b1h"), NOW, http_code=403, reason="forbidden")),
    )  # fmt: skip


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
            if isinstance(family, Family) and "python_version" in family.labels:
                family.rows = [((*values[:-1], "3"), value) for values, value in family.rows]
        return families


def registry(given: Collection) -> CollectorRegistry:
    """Return all collectors of /metrics and /probe but those of the process."""
    made = CollectorRegistry()
    made.register(ExecutionsCollector(lambda: given, history=True))
    labels = ("team", "cost-center/eu", "cost_center_eu")
    made.register(WorkflowsCollector(lambda: given, labels=labels, history=True, recent_window=3600.0))
    made.register(QuotaCollector({"active_executions": 100, "workflows": 30}))
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


@pytest.mark.parametrize(("name", "given"), [("metrics", collection()), ("workflows", workflows())])
def test_the_page_in_the_text_format_is_the_golden_one(name: str, given: Collection) -> None:
    """Every family, label and value of the contract, in the text format, and as the library writes it."""
    page = textformat.plain(registry(given))
    compare(f"{name}.txt", page)
    assert page == generate_latest(registry(given))


@pytest.mark.parametrize(("name", "given"), [("metrics", collection()), ("workflows", workflows())])
def test_the_page_in_openmetrics_is_the_golden_one(name: str, given: Collection) -> None:
    """Every family, label and value of the contract, in OpenMetrics, and as the library writes it."""
    page = textformat.openmetrics(registry(given))
    compare(f"{name}.openmetrics.txt", page)
    assert page == generate_openmetrics(registry(given))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("given", [collection(), workflows()])
def test_a_page_in_openmetrics_can_be_read(given: Collection) -> None:
    """Prometheus asks for OpenMetrics first: a page that its grammar refuses would be lost whole."""
    page = generate_openmetrics(registry(given))  # type: ignore[no-untyped-call]
    read = list(text_string_to_metric_families(page.decode()))  # type: ignore[no-untyped-call]
    assert {f.name for f in read} == {f.name for f in registry(given).collect()}


@pytest.mark.parametrize("given", [collection(), workflows()])
def test_no_label_set_and_no_family_comes_twice(given: Collection) -> None:
    """A repeated label set would cost Prometheus the whole page."""
    families = list(registry(given).collect())
    assert len({family.name for family in families}) == len(families)
    for family in families:
        seen = [(found.name, *sorted(found.labels.items())) for found in family.samples]
        assert len(seen) == len(set(seen))


def test_a_selection_by_name_does_not_collect_what_it_does_not_need() -> None:
    """`name[]` for the exporter's own families makes no call of the API."""

    def never() -> Collection:
        raise AssertionError("collected")

    made = CollectorRegistry()
    made.register(ExecutionsCollector(never, history=True))
    made.register(WorkflowsCollector(never, labels=["team"], history=True, recent_window=60.0))
    made.register(ScrapeTelemetry(never))
    made.register(Telemetry("1", "2"))
    page = generate_latest(made.restricted_registry(["yc_workflow_exporter_build_info"]))
    assert b"yc_workflow_exporter_build_info{" in page
