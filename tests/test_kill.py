"""An exporter that is killed again and again counts like one that never was."""

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import processes
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Simulator
from exporter.simulator.truth import Truth

FLOWS = [f"dfqflow{n}" for n in range(4)]
KILLS = 12
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class StoppableClock:
    """The time, until it is stopped; then nothing happens any more in the cloud that has it."""

    stopped: float | None = None

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.stopped or time.time()


@pytest.fixture
def clock() -> StoppableClock:
    """Return the clock of the cloud."""
    return StoppableClock()


@pytest.fixture
def cloud(clock: StoppableClock) -> Iterator[Simulator]:
    """Return a cloud in a hurry, whose lists are cut and overlap."""
    with Simulator(executions=0, clock=clock) as simulator:
        for flow in FLOWS:
            simulator.put_workflow(flow, name=flow)
        simulator.change_conditions(page_limit=30, overlap=2, latency=0.01)
        yield simulator


def page(url: str, path: str = "/metrics") -> Page:
    """Return the counters of a page by name and labels."""
    status, text = processes.get(url + path)
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): round(sample.value, 6)
        for family in text_string_to_metric_families(text)
        if family.type in {"counter", "histogram"} and family.name.startswith("yc_workflow_")
        if not family.name.startswith("yc_workflow_exporter_")
        for sample in family.samples
    }


def abandoned(url: str) -> None:
    """Ask for a page that may never come."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        page(url)


def expected(truth: Truth, flow: str) -> Page:
    """Return what the counters of a workflow must be."""

    def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        return f"yc_workflow_{name}", tuple(sorted({"workflow_id": flow, **labels}.items()))

    return {
        series("executions_started_total"): len(truth.started),
        series("completed_duration_seconds_count"): truth.duration_count,
        series("completed_duration_seconds_sum"): round(truth.duration_sum, 6),
        **{series("executions_completed_total", status=s): n for s, n in truth.completed.items()},
        **{series("failures_total", error_class=c): n for c, n in truth.failures.items()},
    }


def test_no_kill_takes_or_adds_a_count(cloud: Simulator, clock: StoppableClock, tmp_path: Path) -> None:
    """Counters are those of the truth, and none is lower than on any page before, over every restart."""
    (tmp_path / "iam.token").write_text(cloud.token)
    config = tmp_path / "config.yml"
    config.write_text(
        f"api: {{endpoint: '{cloud.base_url}', requests_per_second: 10000}}\n"
        "auth: {iam_token_file: iam.token}\n"
        f"folders: [{cloud.folder_id}]\nstate: {{file: state.db}}\nhistory: {{enabled: true}}\n"
    )
    chance = random.Random(7)
    with processes.serving(tmp_path, f"--config.file={config}") as (url, _):
        highest = page(url)
    since = time.time()
    for flow in FLOWS:
        cloud.add_stream(flow, interval=0.25, run=(0.1, 2.0), failing=0.3, lag=(0.0, 1.0))
    for _ in range(KILLS):
        with processes.serving(tmp_path, f"--config.file={config}") as (url, process):
            for turn in range(chance.randint(1, 3)):
                path = "/metrics" if turn else f"/probe?workflow_id={FLOWS[0]}"
                now = page(url, path)
                assert [key for key, value in now.items() if value < highest.get(key, 0)] == []
                highest |= now
            scrape = threading.Thread(target=abandoned, args=(url,))
            scrape.start()
            # In the midst of it, or at its end, or when it is over.
            cloud.wait_in_flight(chance.randint(0, 3), chance.random())
            process.kill()
            scrape.join()
    with processes.serving(tmp_path, f"--config.file={config}") as (url, _):
        until = clock.stopped = time.time()
        known: Page = {}
        for flow in FLOWS:
            known |= expected(cloud.truth(flow, since=since, until=until), flow)

        def counts() -> Page:
            found = page(url)
            return {key: found[key] for key in known}

        assert processes.until(lambda: counts() == known or None, 10.0), counts()
        assert counts() == known
    assert sum(known.values()) > KILLS
