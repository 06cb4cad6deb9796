"""Real programs for the tests: started on loopback, ended by their process id."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def free_port() -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def get(url: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> tuple[int, str]:
    """Return status and body of an answer, errors included."""
    request = urllib.request.Request(url, headers=dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(what: Callable[[], T | None], seconds: float = 30.0, every: float = 0.05) -> T:
    """Return the first result that is true; fail when the time is over."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            if result := what():
                return result
        if time.monotonic() > end:
            raise AssertionError("did not come true in time")
        pause.wait(every)


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, its output going to a file, and end it."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environ)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


def clean_environ(**more: str) -> dict[str, str]:
    """Return an environment without settings of the exporter but these."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("YC_") and "proxy" not in k.lower()}
    return {**kept, **more}


def exporter_command(*arguments: str) -> list[str]:
    """Return the command line of the exporter."""
    return [sys.executable, "-m", "exporter", *arguments]


def run_exporter(
    *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a subcommand to its end."""
    return subprocess.run(
        exporter_command(*arguments),
        env=environ or clean_environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextlib.contextmanager
def serving(
    tmp_path: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the exporter on a free port of loopback and return its URL and process."""
    url = f"127.0.0.1:{free_port()}"
    command = exporter_command(f"--web.listen-address={url}", *arguments)
    with running(command, tmp_path / "exporter.log", environ or clean_environ()) as process:
        until(lambda: get(f"http://{url}/-/healthy")[0] == 200)
        yield f"http://{url}", process


@contextlib.contextmanager
def prometheus(tmp_path: Path, configuration: str, *flags: str, address: str = "") -> Iterator[str]:
    """Run a real Prometheus with this configuration and more flags, and return its URL."""
    (tmp_path / "prometheus.yml").write_text(configuration)
    address = address or f"127.0.0.1:{free_port()}"
    command = [
        "prometheus",
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address={address}",
        *flags,
    ]
    with running(command, tmp_path / "prometheus.log"):
        until(lambda: get(f"http://{address}/-/ready")[0] == 200)
        yield f"http://{address}"


def query(url: str, expression: str) -> list[dict[str, object]]:
    """Return the result of an instant query."""
    status, body = get(f"{url}/api/v1/query?query={urllib.parse.quote(expression)}")
    assert status == 200, body
    result: list[dict[str, object]] = json.loads(body)["data"]["result"]
    return result
