"""Service discovery: what `/sd` says, and a real Prometheus that spreads workflows over replicas by it."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
import yaml

from exporter import sd
from exporter.outcome import WorkflowOutcome
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.targets import WorkflowTarget
from exporter.yandex.workflows import Workflow, WorkflowState

README = (Path(__file__).parent.parent / "README.md").read_text()
FLOWS = [f"dfqflow{n:02d}" for n in range(12)]
COUNTED = (
    "yc_workflow_executions_started_total",
    "yc_workflow_executions_completed_total",
    "yc_workflow_failures_total",
    "yc_workflow_completed_duration_seconds_count",
    "yc_workflow_completed_duration_seconds_sum",
)


def workflow(id_: str, **labels: str) -> Workflow:
    """Return a workflow with these labels."""
    return Workflow(
        id_,
        folder_id="b1g",
        name="name",
        labels=tuple(labels.items()),
        state=WorkflowState.ACTIVE,
        express=True,
        created_at=None,
        schedule=None,
        unread=(),
    )


def test_each_workflow_is_a_target_with_what_is_known_of_it() -> None:
    """Prometheus takes a list of groups: targets, and labels that begin with __meta_ and are all text."""
    described = workflow("w1", team="pay", **{"a-b": "1", "a/b": "2"})
    known = WorkflowOutcome(WorkflowTarget("w1"), 0.0, workflow=described)
    unknown = WorkflowOutcome(WorkflowTarget("w2"), 0.0)
    assert json.loads(sd.targets([known, unknown])) == [
        {
            "targets": ["w1"],
            "labels": {
                "__meta_yc_workflow_id": "w1",
                "__meta_yc_workflow_name": "name",
                "__meta_yc_workflow_state": "ACTIVE",
                "__meta_yc_workflow_express": "true",
                "__meta_yc_folder_id": "b1g",
                "__meta_yc_label_team": "pay",
                "__meta_yc_label_a_b": "1",
            },
        },
        {"targets": ["w2"], "labels": {"__meta_yc_workflow_id": "w2"}},
    ]


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud whose folder holds twelve workflows."""
    with Simulator(executions=0) as simulator:
        for flow in FLOWS:
            simulator.put_workflow(flow, name=f"flow-{flow[-2:]}", labels={"team": "payments"})
        yield simulator


def configuration(folder: Path, cloud: Simulator) -> Path:
    """Write a configuration that watches the folder."""
    folder.mkdir()
    (folder / "iam.token").write_text(cloud.token)
    (folder / "config.yml").write_text(
        f"api: {{endpoint: '{cloud.base_url}'}}\nauth: {{iam_token_file: iam.token}}\n"
        f"folders: [{cloud.folder_id}]\n"
    )
    return folder / "config.yml"


def test_discovery_over_http(cloud: Simulator, tmp_path: Path) -> None:
    """JSON with every workflow; an error, not an empty list, while the folder was never listed."""
    path = configuration(tmp_path / "one", cloud)
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, method="Workflow.List"))
    with processes.serving(tmp_path, f"--config.file={path}") as (url, _):
        status, body = processes.get(f"{url}/sd")
        assert (status, body.split(":")[0]) == (503, f"folder {cloud.folder_id} cannot be listed")
        cloud.faults.clear()
        status, body = processes.get(f"{url}/sd")
        assert status == 200
        groups = json.loads(body)
        assert [group["targets"] for group in groups] == [[flow] for flow in sorted(FLOWS)]
        names = {name for group in groups for name in group["labels"]}
        assert all(re.fullmatch(r"__meta_yc_[a-zA-Z0-9_]+", name) for name in names)
        calls = {call.method for call in cloud.calls}
        assert calls == {"Workflow.List"}
        # What is known holds while the list cannot be had.
        cloud.faults.add(FaultRule(Fault.STATUS, code=503, method="Workflow.List"))
        assert processes.get(f"{url}/sd") == (200, body)
        cloud.faults.clear()
        cloud.remove_workflow(FLOWS[0])
        assert len(json.loads(processes.get(f"{url}/sd")[1])) == len(FLOWS) - 1


def readme_job(sd_address: str, replicas: str) -> str:
    """Return the job of the README that spreads workflows, with other addresses and in a hurry."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (job,) = [block for block in blocks if "http_sd_configs" in block]
    assert "http://exporter-0:10317/sd" in job
    assert "exporter-$1:10317" in job
    job = job.replace("exporter-0:10317", sd_address).replace("exporter-$1:10317", replicas)
    job = re.sub(r"refresh_interval: \w+", "refresh_interval: 1s", job)
    return "global: {scrape_interval: 1s, scrape_timeout: 1s}\n" + job


def counts(page: str) -> dict[str, float]:
    """Return the counters of workflows, by series, that are not 0."""
    lines = [line.rsplit(" ", 1) for line in page.splitlines() if line.startswith(COUNTED)]
    return {series: float(value) for series, value in lines if float(value)}


def stored(prometheus: str) -> dict[str, float]:
    """Return the same counters as Prometheus holds them; each series must be there once."""
    found: dict[str, float] = {}
    for name in COUNTED:
        for series in processes.query(prometheus, f"{name} != 0"):
            labels = dict(series["metric"])  # type: ignore[call-overload]
            kept = {k: v for k, v in labels.items() if k not in {"__name__", "job", "instance"}}
            text = ",".join(f'{k}="{v}"' for k, v in sorted(kept.items()))
            key = f"{name}{{{text}}}"
            assert key not in found, f"{key} comes from two replicas"
            found[key] = float(series["value"][1])  # type: ignore[index]
    return found


def run_some(cloud: Simulator) -> None:
    """Let each workflow have runs that end: as many as its number, each third one failed."""
    for number, flow in enumerate(FLOWS):
        for run in range(number + 1):
            failed = run % 3 == 2
            cloud.put(
                f"{flow}-{run}",
                workflow_id=flow,
                status="FAILED" if failed else "FINISHED",
                started_at=NOW + number,
                duration=1.5 + run,
                error=("HTTP_CALL_503", "no") if failed else None,
            )


NOW = 4_000_000_000.0
"""After any first look, so that whatever starts then counts."""


def scraped(prometheus: str) -> bool:
    """Whether Prometheus has scraped every workflow."""
    return len(processes.query(prometheus, "probe_success == 1")) == len(FLOWS)


def test_a_prometheus_spreads_workflows_over_replicas(cloud: Simulator, tmp_path: Path) -> None:
    """By the README's job each workflow is scraped by one of two, with the numbers that one alone gives."""
    port = processes.free_port()
    with contextlib.ExitStack() as stack:
        addresses = [f"127.0.1.{n}:{port}" for n in range(3)]
        for n, address in enumerate(addresses):
            path = configuration(tmp_path / str(n), cloud)
            command = processes.exporter_command(f"--web.listen-address={address}", f"--config.file={path}")
            log = tmp_path / f"exporter-{n}.log"
            stack.enter_context(processes.running(command, log, processes.clean_environ()))
            url = f"http://{address}"
            processes.until(lambda url=url: processes.get(f"{url}/-/healthy")[0] == 200)  # type: ignore[misc]
        alone = f"http://{addresses[2]}/metrics"
        processes.get(alone)
        job = readme_job(addresses[0], f"127.0.1.$1:{port}")
        prometheus = stack.enter_context(processes.prometheus(tmp_path, job))
        processes.until(lambda: scraped(prometheus))
        run_some(cloud)
        expected = counts(processes.get(alone)[1])
        assert processes.until(lambda: stored(prometheus) == expected)
        assert sum(v for k, v in expected.items() if k.startswith(COUNTED[0])) == sum(range(1, 13))
        targets = json.loads(processes.get(f"{prometheus}/api/v1/targets")[1])["data"]["activeTargets"]
        by_replica: dict[str, set[str]] = {}
        for target in targets:
            replica = target["scrapeUrl"].split("/")[2]
            by_replica.setdefault(replica, set()).add(target["labels"]["instance"])
        first, second = by_replica.values()
        assert set(by_replica) == set(addresses[:2])
        assert first | second == set(FLOWS)
        assert not first & second


def test_the_readme_has_one_job_for_discovery() -> None:
    """It is YAML that Prometheus takes: promtool reads it in the tests of the README."""
    assert yaml.safe_load(readme_job("a:1", "b-$1:1"))["scrape_configs"][0]["metrics_path"] == "/probe"
