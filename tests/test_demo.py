"""`make demo`: a real Prometheus over the demo where one is installed, and nothing left of it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import processes

DEMO = Path(__file__).parent.parent / "prometheus" / "demo.py"
ALIVE = 'yc_workflow_up{job="yc-workflow"} == 1'
NAMED = 'count(yc_workflow:info{workflow_name!=""}) > 4'


def command(port: int) -> list[str]:
    """Return the demo's command, its exporter on this port."""
    return [sys.executable, str(DEMO), f"--web.listen-address=127.0.0.1:{port}"]


def test_the_demo_can_be_queried_and_leaves_nothing(tmp_path: Path) -> None:
    """Prometheus scrapes the exporter and evaluates the rules; SIGTERM ends both, and the folder is gone."""
    log, port = tmp_path / "demo.log", processes.free_port()
    environ = processes.clean_environ(TMPDIR=str(tmp_path))
    with processes.running(command(port), log, environ) as process:
        url = processes.until(
            lambda: (re.findall(r"Prometheus with the alert rules runs at (\S+)", log.read_text()) or [""])[0]
        )
        processes.until(lambda: processes.get(f"{url}/-/ready")[0] == 200)
        processes.until(lambda: processes.query(url, ALIVE) and processes.query(url, NAMED))
        assert "yc_workflow_info" in processes.get(f"http://127.0.0.1:{port}/metrics")[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not list(tmp_path.glob("yc-workflow-demo-*"))
    listening = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listening


def test_without_prometheus_the_demo_runs_all_the_same(tmp_path: Path) -> None:
    """Where no Prometheus is installed, it says what is missing and goes on."""
    log, port = tmp_path / "demo.log", processes.free_port()
    environ = {**processes.clean_environ(), "PATH": os.path.dirname(sys.executable)}  # noqa: PTH120
    with processes.running(command(port), log, environ):
        processes.until(lambda: processes.get(f"http://127.0.0.1:{port}/-/ready")[0] == 200)
    assert "With Prometheus installed this demo could be queried as well" in log.read_text()
