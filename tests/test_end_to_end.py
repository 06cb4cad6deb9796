"""The main job, with real parts: the process, a real Prometheus, the cloud over HTTP."""

import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import processes
import pytest

from exporter.simulator import Fault, FaultRule, Simulator

FAILED = "dfqworkflow-failed"
RUNNING = "dfqworkflow-running"


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with a failed and a running execution."""
    with Simulator(executions=0) as simulator:
        simulator.put(
            FAILED,
            workflow_id="dfqworkflow",
            status="FAILED",
            started_at=1741622084.0,
            duration=900.5,
            error=("HTTP_CALL_503", "no answer"),
        )
        simulator.put(RUNNING, workflow_id="dfqworkflow", status="RUNNING", started_at=1741622084.0)
        yield simulator


def configuration(tmp_path: Path, cloud: Simulator, more: str = "") -> Path:
    """Write a configuration that watches both executions."""
    (tmp_path / "iam.token").write_text(cloud.token)
    path = tmp_path / "config.yml"
    path.write_text(
        f"api: {{endpoint: '{cloud.base_url}'}}\nauth: {{iam_token_file: iam.token}}\n"
        f"executions: [{{id: {FAILED}, alias: nightly}}, {RUNNING}]\n{more}"
    )
    return path


def value(prometheus: str, expression: str) -> float | None:
    """Return the value of an expression that gives one series."""
    result = processes.query(prometheus, expression)
    return float(result[0]["value"][1]) if result else None  # type: ignore[index]


def test_a_real_prometheus_scrapes_status_duration_and_errors(cloud: Simulator, tmp_path: Path) -> None:
    """The three promised gauges answer queries in a real Prometheus, by /metrics and by /probe."""
    with processes.serving(tmp_path, f"--config.file={configuration(tmp_path, cloud)}") as (url, _):
        target = url.removeprefix("http://")
        jobs = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: metrics
    static_configs: [{{targets: ["{target}"]}}]
  - job_name: probe
    metrics_path: /probe
    params: {{execution_id: ["{FAILED}"]}}
    static_configs: [{{targets: ["{target}"]}}]
"""
        with processes.prometheus(tmp_path, jobs) as prometheus:
            for job in ("metrics", "probe"):
                at = f'{{job="{job}",execution_id="{FAILED}"}}'
                status = (
                    f'yc_workflow_execution_status{{job="{job}",execution_id="{FAILED}",status="FAILED"}}'
                )
                assert processes.until(partial(value, prometheus, status)) == 1
                assert value(prometheus, f"yc_workflow_execution_duration_seconds{at}") == 900.5
                assert value(prometheus, f"yc_workflow_execution_errors{at}") == 1
                assert value(prometheus, f"yc_workflow_execution_error_info{at}") == 1
            assert value(prometheus, 'up{job="metrics"}') == 1
            assert value(prometheus, "yc_workflow_up") == 1
            cloud.faults.add(FaultRule(Fault.STATUS, code=403))
            lost = f'yc_workflow_execution_scrape_http_code{{job="metrics",execution_id="{RUNNING}"}} == 403'
            assert processes.until(lambda: value(prometheus, lost)) == 403
            assert value(prometheus, 'up{job="metrics"}') == 1


def test_promtool_has_nothing_to_say_of_the_page(cloud: Simulator, tmp_path: Path) -> None:
    """The page of the running process, with samples of whole workflows, is clean under promtool's lint."""
    cloud.put_workflow("dfqworkflow", name="orders", cron="0 9 ? * * *")
    cloud.put("dfqworkflow-lately", workflow_id="dfqworkflow", status="RUNNING", started_at=time.time() - 60)
    more = "history: {enabled: true}\nworkflows: [dfqworkflow]\n"
    with processes.serving(tmp_path, f"--config.file={configuration(tmp_path, cloud, more)}") as (url, _):
        _, page = processes.get(f"{url}/metrics")
    assert 'yc_workflow_scrape_success{workflow_id="dfqworkflow"} 1.0' in page
    assert 'yc_workflow_schedule_next_timestamp_seconds{workflow_id="dfqworkflow"}' in page
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reload_swaps_everything_or_nothing(cloud: Simulator, tmp_path: Path) -> None:
    """SIGHUP takes a good configuration, keeps the old one against a bad one, and the metric tells."""
    path = configuration(tmp_path, cloud)
    with processes.serving(tmp_path, f"--config.file={path}") as (url, process):

        def page() -> str:
            return processes.get(f"{url}/metrics")[1]

        assert "yc_workflow_exporter_config_last_reload_successful 1.0" in page()
        good = path.read_text()
        path.write_text(good + "api.endpont: x\n")
        process.send_signal(signal.SIGHUP)
        processes.until(lambda: "yc_workflow_exporter_config_last_reload_successful 0.0" in page())
        assert f'scrape_success{{execution_id="{RUNNING}"}} 1.0' in page()
        path.write_text(good.replace(f", {RUNNING}", ""))
        process.send_signal(signal.SIGHUP)
        processes.until(lambda: "yc_workflow_exporter_config_last_reload_successful 1.0" in page())
        assert RUNNING not in page()
        assert FAILED in page()


def test_sigterm_ends_the_process_in_good_order(cloud: Simulator, tmp_path: Path) -> None:
    """SIGTERM drains and exits 0."""
    with processes.serving(tmp_path, f"--config.file={configuration(tmp_path, cloud)}") as (url, process):
        assert processes.get(f"{url}/metrics")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_no_secret_leaves_the_process(cloud: Simulator, tmp_path: Path) -> None:
    """The token is on no page and in no log line, whatever fails."""
    path = configuration(tmp_path, cloud, "log: {level: debug}\n")
    with processes.serving(tmp_path, f"--config.file={path}") as (url, _):
        cloud.faults.add(FaultRule(Fault.STATUS, code=401, message=f"bad token {cloud.token}"))
        pages = [
            processes.get(url + at)[1]
            for at in ("/metrics", "/", "/config", "/-/ready", f"/probe?execution_id={RUNNING}&debug=true")
        ]
    assert "401" in pages[-1]
    for text in (*pages, (tmp_path / "exporter.log").read_text()):
        assert cloud.token not in text
