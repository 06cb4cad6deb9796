"""The programs that are measured: the exporter, a bare loop, and the cloud that both ask."""

import contextlib
import dataclasses
import gzip
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import yaml
from processes import clean_environ, free_port, until

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus asks for."""
SCRAPE = {"Accept": ACCEPT, "Accept-Encoding": "gzip", "X-Prometheus-Scrape-Timeout-Seconds": "60"}
PLAIN = {**SCRAPE, "Accept-Encoding": "identity"}
FAILED = re.compile(rb'^yc_workflow_exporter_scrape_failed_targets\{kind="\w+"\} (?!0\.0$)', re.MULTILINE)
POLL_SECONDS = 0.002


class WrongCalls(Exception):
    """The exporter made other calls than it should have, or not all succeeded: no figure counts."""


def installed(folder: Path) -> dict[str, str]:
    """Return the environment of a program as it runs where it is installed, whatever is set here.

    Modules are compiled once, beside the folder, as pip does it; no certificates are read without TLS.
    """
    unwanted = ("PYTHONDONTWRITEBYTECODE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    environ = clean_environ(
        YC_IAM_TOKEN="t1.a-token-of-the-bench", PYTHONPYCACHEPREFIX=str(folder.parent / "compiled")
    )
    return {name: value for name, value in environ.items() if name not in unwanted}


def cpu_seconds(pid: int) -> float:
    """Return the seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def kibibytes(pid: int, name: str) -> int:
    """Return VmRSS or VmHWM of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def ids(number: int, prefix: str = "dfqbench000000000000") -> list[str]:
    """Return IDs of executions, as the API makes them."""
    return [f"{prefix}-{place:08d}-b506-4c5a-84b2-9abb0c1d2e3f" for place in range(number)]


@dataclasses.dataclass(frozen=True)
class Cloud:
    """The cloud's process, and its door."""

    process: subprocess.Popen[str]
    port: int

    @classmethod
    @contextlib.contextmanager
    def running(cls, latency: float, payload: int = 0) -> Iterator[Self]:
        """Run one."""
        command = [sys.executable, str(HERE / "benchcloud.py"), str(latency), str(payload)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield cls(process, int(process.stdout.readline() if process.stdout else 0))
            finally:
                process.terminate()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def cpu(self) -> float:
        """The seconds of CPU that it has taken."""
        return cpu_seconds(self.process.pid)

    def calls(self) -> dict[str, int]:
        """Return how often each call was made since this was asked last."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/bench")
        told: dict[str, dict[str, int]] = json.loads(connection.getresponse().read())
        connection.close()
        return told["calls"]

    def expect(self, **calls: int) -> None:
        """Raise WrongCalls unless just these were made since it was asked last."""
        made, wanted = self.calls(), {name.replace("_", "."): number for name, number in calls.items()}
        if made != wanted:
            raise WrongCalls(f"calls: {made}; they should be {wanted}")


@dataclasses.dataclass(frozen=True)
class Exporter:
    """An exporter's process, and its door."""

    process: subprocess.Popen[bytes]
    port: int
    started: float

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, folder: Path, cloud: Cloud, concurrency: int, executions: Iterable[str], workflows: int = 0
    ) -> Iterator[Self]:
        """Run one that watches these, with no limit of its own that would hide what it can do."""
        settings = {
            "api": {
                "endpoint": cloud.url,
                "concurrency": concurrency,
                "requests_per_second": 100_000,
                "timeout": "30s",
            },
            "executions_file": str(folder / "ids"),
            "workflows": [f"dfqwf{place:015d}" for place in range(workflows)],
            "scrape": {"timeout": "60s"},
            "log": {"level": "error"},
        }
        (folder / "ids").write_text("\n".join(executions))
        (folder / "config.yml").write_text(yaml.safe_dump(settings))
        port = free_port()
        command = [
            *(sys.executable, "-m", "exporter", f"--config.file={folder / 'config.yml'}"),
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        begun = time.monotonic()
        with subprocess.Popen(command, env=installed(folder)) as process:
            try:
                until(lambda: _listens(port), every=POLL_SECONDS)
                yield cls(process, port, begun)
            finally:
                process.terminate()

    @property
    def cpu(self) -> float:
        """The seconds of CPU that it has taken."""
        return cpu_seconds(self.process.pid)

    def resident(self, name: str = "VmRSS") -> float:
        """Return what is resident of it, or with VmHWM was at most, in MB."""
        return kibibytes(self.process.pid, name) * 1024 / 1e6

    def get(self, path: str = "/metrics", headers: dict[str, str] | None = None) -> tuple[float, bytes]:
        """Return the seconds until the last byte of a page was there, and the page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        begun = time.monotonic()
        connection.request("GET", path, headers=SCRAPE if headers is None else headers)
        answer = connection.getresponse()
        page = answer.read()
        seconds = time.monotonic() - begun
        connection.close()
        text = gzip.decompress(page) if answer.headers["Content-Encoding"] == "gzip" else page
        if answer.status != 200 or FAILED.search(text):
            raise WrongCalls(f"{path} answered {answer.status}, or targets failed: {text[:200].decode()}")
        return seconds, page

    def together(self, number: int) -> None:
        """Let so many scrape at the same moment."""
        barrier = threading.Barrier(number)

        def scrape(_: int) -> None:
            barrier.wait()
            self.get()

        with ThreadPoolExecutor(number) as threads:
            # To take the results is to hear of what failed.
            list(threads.map(scrape, range(number)))


@dataclasses.dataclass(frozen=True)
class Bare:
    """What one would otherwise write: a Session, threads and `.json()`, in a process of its own."""

    process: subprocess.Popen[str]

    @classmethod
    @contextlib.contextmanager
    def running(cls, cloud: Cloud, number: int, concurrency: int) -> Iterator[Self]:
        """Run one, which asks for so many executions each time that it is told to."""
        command = [sys.executable, str(HERE / "barebench.py"), cloud.url, str(number), str(concurrency)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield cls(process)
            finally:
                process.terminate()

    def round(self) -> float:
        """Ask for all, and return the seconds of CPU that it took."""
        before = cpu_seconds(self.process.pid)
        if self.process.stdin is None or self.process.stdout is None:
            raise WrongCalls("the bare loop has no pipes")
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "done\n":
            raise WrongCalls("the bare loop failed")
        return cpu_seconds(self.process.pid) - before


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
