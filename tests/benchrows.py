"""What is measured, each against its target: one function for each row of the bench's table."""

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benched import PLAIN, Bare, Cloud, Exporter, ids, installed
from benchload import answers_a_second
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

LATENCY = 0.05
PAYLOAD = 4_000_000
ROUNDS = 5


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, and its ratio to what stands against it, of which `limit` is the target."""

    work: str
    shown: str
    ratio: float
    limit: float
    target: str

    @property
    def verdict(self) -> str:
        """Whether the target was reached."""
        return "ok" if self.ratio <= self.limit else "OVER"


def compiled(folder: Path) -> None:
    """Have all modules compiled, as they are where the exporter is installed."""
    with Cloud.running(0.0) as cloud, Exporter.running(folder, cloud, 1, ids(1)) as exporter:
        exporter.get()


def cold(folder: Path) -> Figure:
    """Time the first scrape of 1,000 executions, from the request to the last byte of the page."""
    bound, walls, busy = math.ceil(1000 / 64) * LATENCY, [], []
    for _ in range(ROUNDS):
        with Cloud.running(LATENCY) as cloud, Exporter.running(folder, cloud, 64, ids(1000)) as exporter:
            exporter.get("/-/ready")
            before = cloud.cpu
            walls.append(exporter.get()[0])
            busy.append((cloud.cpu - before) / walls[-1])
            cloud.expect(Execution_Get=1000)
    wall = statistics.median(walls)
    shown = f"{wall * 1000:.0f} ms, bound {bound * 1000:.0f} ms; the bench's cloud was {max(busy):.0%} busy"
    work = "cold scrape of 1,000 executions, concurrency 64, 50 ms"
    return Figure(work, shown, wall / bound, 1.15, "1.15 of the bound")


def cpu(folder: Path) -> Figure:
    """Measure the CPU for each execution, page included, against a bare loop that only asks."""
    with (
        Cloud.running(LATENCY) as cloud,
        Exporter.running(folder, cloud, 64, ids(1000)) as exporter,
        Bare.running(cloud, 1000, 64) as bare,
    ):
        exporter.get()
        bare.round()
        ours, theirs = [], []
        for _ in range(ROUNDS):
            before = exporter.cpu
            exporter.get()
            ours.append(exporter.cpu - before)
            theirs.append(bare.round())
    mine, other = statistics.median(ours), statistics.median(theirs)
    shown = f"{mine * 1000:.0f} µs, bare requests loop {other * 1000:.0f} µs"
    return Figure("CPU for each fetched execution, page included", shown, mine / other, 1.0, "1 of the loop")


def terminal(folder: Path) -> Figure:
    """Time a page of 10,000 ended and 100 active executions, against the library, to which all is given."""
    watched = [*ids(10_000, "t-bench00000000000000"), *ids(100)]
    with Cloud.running(0.0) as cloud, Exporter.running(folder, cloud, 32, watched) as exporter:
        exporter.get()
        cloud.calls()
        walls = []
        for _ in range(ROUNDS):
            seconds, page = exporter.get(headers=PLAIN)
            walls.append(seconds)
            cloud.expect(Execution_Get=100)
    rendered = min(_seconds_to_render(page.decode()))
    wall = statistics.median(walls)
    shown = (
        f"{wall * 1000:.0f} ms with its 100 calls; prometheus-client renders it in {rendered * 1000:.0f} ms"
    )
    work = "page of 10,000 ended and 100 active executions, exactly 100 calls"
    return Figure(work, shown, wall / rendered, 1.3, "1.3 of the rendering")


def growth(folder: Path) -> Figure:
    """Measure the CPU of a scrape of ten times as many executions."""
    costs = []
    for number in (1000, 10_000):
        with Cloud.running(LATENCY) as cloud, Exporter.running(folder, cloud, 64, ids(number)) as exporter:
            exporter.get()
            found = []
            for _ in range(3):
                before = exporter.cpu
                exporter.get()
                found.append(exporter.cpu - before)
            costs.append(min(found))  # whatever else runs only adds to it
    shown = f"{costs[0]:.2f} s and {costs[1]:.2f} s of CPU"
    work = "from 1,000 to 10,000 active executions"
    return Figure(work, shown, costs[1] / costs[0], 11.0, "11 times")


def workflows(folder: Path) -> Figure:
    """Time a scrape of 300 workflows that have been looked at before."""
    bound = math.ceil(300 / 32) * LATENCY
    with (
        Cloud.running(LATENCY) as cloud,
        Exporter.running(folder, cloud, 32, (), workflows=300) as exporter,
    ):
        exporter.get()
        exporter.get()
        cloud.calls()
        walls = []
        for _ in range(ROUNDS):
            walls.append(exporter.get()[0])
            cloud.expect(Execution_List=300)
    wall = statistics.median(walls)
    shown = f"{wall * 1000:.0f} ms, bound {bound * 1000:.0f} ms"
    work = "300 workflows, steady, concurrency 32, 50 ms, exactly 300 calls"
    return Figure(work, shown, wall / bound, 1.15, "1.15 of the bound")


def payload(folder: Path) -> Figure:
    """Measure memory while 100 executions bring 4 MB of payload each, at a concurrency of 32."""
    with (
        Cloud.running(LATENCY, PAYLOAD) as cloud,
        Exporter.running(folder, cloud, 32, ids(100)) as exporter,
    ):
        for _ in range(3):
            exporter.get()
        cloud.expect(Execution_Get=300)
        peak = exporter.resident("VmHWM")
    return Figure(
        "100 executions of 4 MB payload, concurrency 32: peak memory",
        f"{peak:.0f} MB",
        peak / 250,
        1.0,
        "250 MB",
    )


def afterwards(folder: Path) -> Figure:
    """Measure memory after payloads, against that of the start."""
    with (
        Cloud.running(LATENCY, PAYLOAD) as cloud,
        Exporter.running(folder, cloud, 32, ids(100)) as exporter,
    ):
        exporter.get("/-/ready")
        start = exporter.resident()
        for _ in range(3):
            exporter.get()
        end = exporter.resident()
    shown = f"{start:.0f} MB at the start, {end:.0f} MB after 3 scrapes"
    return Figure("memory after these", shown, end / start, 1.2, "1.2 of the start")


def resident(folder: Path) -> Figure:
    """Measure memory after scrapes of 1,000 active executions."""
    with Cloud.running(LATENCY) as cloud, Exporter.running(folder, cloud, 32, ids(1000)) as exporter:
        for _ in range(5):
            exporter.get()
        now = exporter.resident()
    return Figure("memory with 1,000 executions", f"{now:.0f} MB", now / 60, 1.0, "60 MB")


def start(folder: Path) -> Figure:
    """Time from the start of the process to the last byte of the first page."""
    took = []
    with Cloud.running(0.0) as cloud:
        for _ in range(ROUNDS):
            with Exporter.running(folder, cloud, 32, ids(10)) as exporter:
                exporter.get()
                took.append(time.monotonic() - exporter.started)
    seconds = statistics.median(took)
    return Figure("start to the first page served", f"{seconds:.2f} s", seconds / 0.7, 1.0, "0.7 s")


def says_version(folder: Path) -> Figure:
    """Time `--version`."""
    took, command = [], [sys.executable, "-m", "exporter", "--version"]
    for _ in range(ROUNDS):
        begun = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env=installed(folder))
        took.append(time.monotonic() - begun)
    seconds = statistics.median(took)
    return Figure("`--version`", f"{seconds:.2f} s", seconds / 0.2, 1.0, "0.2 s")


def eight(folder: Path) -> Figure:
    """Measure the CPU of a scrape by eight Prometheus servers at once, against that by one."""
    with Cloud.running(LATENCY) as cloud, Exporter.running(folder, cloud, 64, ids(1000)) as exporter:
        exporter.get()
        cloud.calls()
        costs: dict[int, list[float]] = {1: [], 8: []}
        for _ in range(ROUNDS):
            for number, found in costs.items():
                before = exporter.cpu
                exporter.together(number)
                found.append(exporter.cpu - before)
                cloud.expect(Execution_Get=1000)
    alone, together = (statistics.median(found) for found in costs.values())
    shown = f"{alone:.2f} s and {together:.2f} s of CPU, 1,000 calls each"
    return Figure("8 Prometheus servers at once, against one", shown, together / alone, 1.1, "1, and a tenth")


def the_cloud(_: Path) -> Figure:
    """Measure what the bench's own cloud can answer, for what it is asked at most."""
    with Cloud.running(0.0) as cloud:
        able = answers_a_second(cloud.port, 64, seconds=2.0)
        before, spent = cloud.calls(), cloud.cpu
    asked = 64 / LATENCY
    each = spent / sum(before.values())
    shown = f"asked for {asked:,.0f} a second at most, answers {able:,.0f}, at {each * 1e6:.0f} µs"
    return Figure("the bench's own cloud", shown, asked / able, 0.5, "half of what it can")


ROWS: dict[str, Callable[[Path], Figure]] = {
    "cold": cold, "cpu": cpu, "terminal": terminal, "growth": growth, "workflows": workflows,
    "payload": payload, "afterwards": afterwards, "resident": resident, "start": start,
    "version": says_version, "eight": eight, "cloud": the_cloud,
}  # fmt: skip
"""The rows, by the name that `--only` takes."""


class _Built(Collector):
    """Families that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _seconds_to_render(page: str) -> list[float]:
    """Return the seconds that prometheus-client takes for the families of a page, built beforehand."""
    built = _Built(list(text_string_to_metric_families(page)))  # type: ignore[no-untyped-call]
    took = []
    for _ in range(3):
        begun = time.process_time()
        generate_latest(built)  # type: ignore[no-untyped-call]
        took.append(time.process_time() - begun)
    return took
