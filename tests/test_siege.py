"""The exporter under attack: it answers, takes no more than it may, and is afterwards as it was.

`make siege` does the same with more attackers, for longer.
"""

import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
import siege
from siege import ATTACKS, Footprint
from test_server import certificate

from exporter.simulator import Fault, FaultRule, Simulator

SIZE = int(os.environ.get("SIEGE_SIZE", "100"))
SECONDS = float(os.environ.get("SIEGE_SECONDS", "0.3"))
EXECUTIONS = 20
CONCURRENCY = 32
MOST_THREADS = 192 + 2 * CONCURRENCY
MOST_MORE_KIB = 160 * 1024
ALL_HANDS = f"GET /probe?{'&'.join(f'execution_id=a{n}' for n in range(64))} HTTP/1.0\r\n\r\n".encode()
"""What makes all threads for probes be born, and their connections to the cloud."""
SLOW_SPEAKERS = ("idle", "dripping heads", "dripping handshakes", "dripping bodies", "dripping chunks")
SLOW_READERS = ("readers that never read", "readers that read slowly", "pipelines", "half-closed")
TOO_LARGE = ("huge heads", "many small headers", "huge bodies", "garbage")
STORMS = ("resets", "connect and close", "requests and resets", "flood", "flood of probes")
KINDS = {
    "slow speakers": SLOW_SPEAKERS,
    "slow readers": SLOW_READERS,
    "too large": TOO_LARGE,
    "storms": STORMS,
}


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with some running executions, each of them a tenth of a second away."""
    with Simulator(executions=0) as simulator:
        for number in range(EXECUTIONS):
            simulator.put(f"dfqw-{number}", workflow_id="dfqw", status="RUNNING", started_at=1741622084.0)
        simulator.faults.add(FaultRule(Fault.LATENCY, latency=0.1))
        yield simulator


def flags(tmp_path: Path, cloud: Simulator) -> list[str]:
    """Return what makes the exporter watch all of them."""
    token, path = tmp_path / "iam.token", tmp_path / "config.yml"
    token.write_text(cloud.token)
    ids = ", ".join(f"dfqw-{number}" for number in range(EXECUTIONS))
    path.write_text(
        f"{{api: {{endpoint: '{cloud.base_url}'}}, auth: {{iam_token_file: {token}}}, executions: [{ids}]}}\n"
    )
    return [f"--config.file={path}"]


def port_of(url: str) -> int:
    """Return the port of a URL."""
    return int(url.rpartition(":")[2])


def good(page: str) -> int:
    """Return how many executions a page has that were read."""
    return len(re.findall(r"^yc_workflow_execution_scrape_success\{.*\} 1\.0$", page, re.MULTILINE))


def is_back(pid: int, start: Footprint) -> bool:
    """Say whether a process has the threads and files of its start, but for those that ask the cloud."""
    now = Footprint.of(pid)
    return now.threads <= start.threads + CONCURRENCY and now.files <= start.files + CONCURRENCY


def test_every_attack_is_tried() -> None:
    """None of the kit is forgotten."""
    assert sorted(name for names in KINDS.values() for name in names) == sorted(ATTACKS)


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_are_whole_under_attack(cloud: Simulator, tmp_path: Path, kind: str) -> None:
    """Each answer comes, none of its samples is missing, and all that was taken is given back."""
    with processes.serving(tmp_path, *flags(tmp_path, cloud)) as (url, process):
        port, pid = port_of(url), process.pid
        siege.asked(port, ALL_HANDS)
        start = siege.observed(port, pid, 0.5).peak
        for name in KINDS[kind]:
            with siege.under_attack(port, name, SIZE):
                report = siege.observed(port, pid, SECONDS)
                page = siege.asked(port).decode()
            assert (name, report.failures) == (name, [])
            assert good(page) == EXECUTIONS
            assert report.peak.threads <= MOST_THREADS
            assert report.peak.files <= start.files + 1000 + 64
            assert report.peak.resident <= start.resident + MOST_MORE_KIB
        assert processes.until(lambda: is_back(pid, start))


def test_a_tls_port_is_as_hard_to_starve(cloud: Simulator, tmp_path: Path) -> None:
    """An honest client shakes hands meanwhile."""
    certificate(tmp_path, "server")
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    context = ssl.create_default_context(cafile=str(tmp_path / "server.crt"))
    address = f"127.0.0.1:{processes.free_port()}"
    command = processes.exporter_command(
        f"--web.listen-address={address}", f"--web.config.file={path}", *flags(tmp_path, cloud)
    )
    with processes.running(command, tmp_path / "log", processes.clean_environ()) as process:
        port = port_of(address)
        assert processes.until(lambda: siege.asked(port, context=context))
        start = Footprint.of(process.pid)
        for name in ("idle", "dripping handshakes", "connect and close", "garbage", "resets"):
            with siege.under_attack(port, name, SIZE):
                report = siege.observed(port, process.pid, SECONDS, context=context)
            assert (name, report.failures) == (name, [])
            assert report.peak.resident <= start.resident + MOST_MORE_KIB
        assert processes.until(lambda: is_back(process.pid, start))


def test_a_low_limit_of_open_files_neither_ends_nor_starves_it(cloud: Simulator, tmp_path: Path) -> None:
    """There are fewer files than attackers: it answers all the same, and does not spin."""
    address = f"127.0.0.1:{processes.free_port()}"
    exporter = processes.exporter_command(f"--web.listen-address={address}", *flags(tmp_path, cloud))
    command = ["sh", "-c", 'ulimit -n 80 && exec "$@"', "exporter", *exporter]
    with processes.running(command, tmp_path / "log", processes.clean_environ()) as process:
        port = port_of(address)
        assert processes.until(lambda: siege.asked(port))
        before = Footprint.of(process.pid).cpu
        with siege.under_attack(port, "idle", 150):
            report = siege.observed(port, process.pid, SECONDS)
            page = siege.asked(port).decode()
        assert report.failures == []
        assert good(page) == EXECUTIONS
        assert report.peak.files <= 80
        assert Footprint.of(process.pid).cpu - before < 10 * SECONDS
