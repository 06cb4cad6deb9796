"""Faults that come and go in any mixture over a cloud that lives: what was counted in the end is true."""

import os
import random

import pytest
from faulty import ROWS, Door, Halves, Page, Subject

from exporter.simulator import Fault, FaultRule, Simulator, Truth

SEEDS = range(200 if os.environ.get("FAULTS") else 3)
STEPS = 12
FLOWS = ("flow-bad", "flow-twin", "found-bad", "found-twin")
METHODS = ("", "Execution.Get", "Execution.GetHistory", "Execution.List", "Workflow.Get", "Workflow.List")
TARGETS = ("", "", *FLOWS, "folder-bad", "exe-bad")
# What says that there is no such run is believed in the end, and so is no passing fault.
FAULTS = [row for row in ROWS.values() if row.code != 404]
LIST_FAULTS = (Fault.NO_END, Fault.BAD_ITEMS)
COUNTERS = ("_total", "_bucket", "_count", "_sum")


def befall(dice: random.Random, cloud: Simulator) -> None:
    """Let some faults come and some go."""
    if dice.random() < 0.4:
        cloud.faults.clear()
    for _ in range(dice.randint(0, 3)):
        rule = dice.choice(FAULTS).rule(dice.choice(METHODS), dice.choice(TARGETS))
        if dice.random() < 0.05:
            rule = FaultRule(dice.choice(LIST_FAULTS), target=dice.choice(FLOWS), method="Execution.List")
        cloud.faults.add(rule)


def counters(page: Page) -> dict[str, float]:
    """Return all that may never be less than before."""
    return {
        key: float(value)
        for key, value in page.samples.items()
        if key.startswith("yc_workflow_") and key.partition("{")[0].endswith(COUNTERS)
    }


def reached(page: Page) -> set[str]:
    """Return the configured targets of which the page says whether they were read."""
    begin = ("yc_workflow_scrape_success{", "yc_workflow_execution_scrape_success{")
    return {key.split('"')[1] for key in page.samples if key.startswith(begin)}


def told(page: Page, flow: str) -> tuple[int, dict[str, int], int, int]:
    """Return what was counted of a workflow: started, completed by status, failed, durations."""
    at = {"workflow_id": flow}
    completed = {
        status: int(page.value("executions_completed_total", status=status, **at) or 0)
        for status in ("STOPPED", "FAILED", "FINISHED")
    }
    failed = sum(
        float(value)
        for key, value in page.samples.items()
        if key.startswith("yc_workflow_failures_total{") and f'"{flow}"' in key
    )
    started, lasted = (
        int(page.value(name, **at) or 0)
        for name in ("executions_started_total", "completed_duration_seconds_count")
    )
    return started, completed, int(failed), lasted


def true(truth: Truth) -> tuple[int, dict[str, int], int, int]:
    """Return what an exporter would say that has missed nothing."""
    return len(truth.started), dict(truth.completed), sum(truth.failures.values()), truth.duration_count


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_that_come_and_go_cost_no_count(halves: Halves, door: Door, seed: int) -> None:
    """No counter falls, each target is told of, each scrape is in time; in the end all was counted."""
    dice, cloud, clock = random.Random(seed), halves.cloud, halves.clock
    settings = {**halves.settings(0.4), "scrape": {"timeout": "2s"}}
    with Subject(settings, door) as subject:
        page = subject.scrape()
        targets, since = reached(page), clock.time()
        for number, flow in enumerate(FLOWS):
            cloud.add_stream(flow, interval=17, seed=seed * 10 + number, run=(5, 90), queued=(0, 20))
        for _ in range(STEPS):
            befall(dice, cloud)
            clock.sleep(dice.uniform(5, 90))
            before, page = counters(page), subject.scrape()
            assert page.seconds < 2.0 + 0.5
            assert reached(page) == targets
            fallen = {key for key, value in before.items() if counters(page).get(key, -1.0) < value}
            assert fallen == set()
        cloud.faults.clear()
        for _ in range(4):
            # Whatever is left alone after it failed is asked for again.
            clock.sleep(400)
            page = subject.scrape()
        began = clock.time()
        page = subject.scrape()
        for flow in FLOWS:
            early, late = (cloud.truth(flow, since=since, until=at) for at in (began, clock.time()))
            assert told(page, flow) in (true(early), true(late))
        assert page.value("up") == 1
