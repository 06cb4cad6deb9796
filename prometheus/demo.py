"""`make demo`: the exporter over its simulated cloud, and a Prometheus with the rules where one is installed.

What is given goes to `yc-workflow-exporter demo`. Everything listens on loopback and is gone at the end.
"""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

HERE = Path(__file__).parent
EXPORTER = "127.0.0.1:10317"
LISTEN = "--web.listen-address="
USUAL_PORT = 9090
INTERVAL = "5s"
"""Of scrapes and rules: a demo has no patience."""
TO_TRY = "sum by (status) (yc_workflow_active_executions)"


def exporter_address(arguments: Sequence[str]) -> str:
    """Return where the exporter will listen."""
    given = [each.removeprefix(LISTEN) for each in arguments if each.startswith(LISTEN)]
    return given[0] if given else EXPORTER


def free_port() -> int:
    """Return Prometheus' usual port of loopback, or another one if that is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def configuration(exporter: str) -> dict[str, Any]:
    """Return the example configuration for this exporter, without an Alertmanager."""
    config: dict[str, Any] = yaml.safe_load((HERE / "prometheus.yml").read_text())
    config["global"] |= {
        "scrape_interval": INTERVAL,
        "scrape_timeout": INTERVAL,
        "evaluation_interval": INTERVAL,
    }
    config["rule_files"] = [str(HERE / "rules" / "*.yml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [exporter]}]
    del config["alerting"]
    return config


def start_prometheus(program: str, exporter: str, folder: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """Start a Prometheus that keeps all it has in this folder; return its URL and its process."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(exporter)))
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603  # ours
    return f"http://{address}", process


def ended(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run_exporter(arguments: Sequence[str]) -> int:
    """Run the demo of the exporter to its end, which a signal to this process is to it as well."""
    process = subprocess.Popen([sys.executable, "-m", "exporter", "demo", *arguments])  # noqa: S603  # ours

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    # Ctrl-C reaches the exporter from the terminal; here it must only not end the waiting.
    signal.signal(signal.SIGINT, lambda *_: None)
    return process.wait()


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return its exit code."""
    program = shutil.which("prometheus")
    if program is None:
        sys.stdout.write("With Prometheus installed this demo could be queried as well.\n\n")
        sys.stdout.flush()
        return run_exporter(arguments)
    with tempfile.TemporaryDirectory(prefix="yc-workflow-demo-") as folder:
        url, prometheus = start_prometheus(program, exporter_address(arguments), Path(folder))
        try:
            sys.stdout.write(
                f"A Prometheus with the alert rules runs at {url}\n"
                f"  query     {url}/graph, for example {TO_TRY}\n"
                f"  alerts    {url}/alerts\n\n"
            )
            sys.stdout.flush()
            return run_exporter(arguments)
        finally:
            ended(prometheus)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
