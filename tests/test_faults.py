"""Each fault against each call, alone: before the first success and after it, and the scrape that follows."""

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from faulty import (
    BAD,
    BUDGET,
    FEW_SECONDS,
    GROUPS,
    LATER,
    MUCH_LATER,
    ROWS,
    SECONDS,
    TWIN,
    Door,
    Halves,
    Page,
    Row,
    Subject,
)

Costs = frozenset[tuple[str, str]]
TOLERANCE = 0.3
"""Seconds by which a scrape may be late, on a busy machine."""
NOTHING: Costs = frozenset()


def at(target: str, *names: str) -> Costs:
    """Return these names with this target."""
    return frozenset((name, target) for name in names)


STATE = at(
    "exe-it",
    *(f"execution_{name}" for name in ("status", "status_code", "start_timestamp_seconds", "errors")),
)
STEPS = at(
    "exe-it",
    *(f"execution_{name}" for name in ("steps", "step_errors", "step_retries", "step_status")),
    *(f"execution_step_{name}" for name in ("start_timestamp_seconds", "duration_seconds", "attempts")),
)
NOW = at(
    "flow-it", "state", "active_executions", "oldest_active_start_timestamp_seconds", "recent_executions",
    "active_steps",
)  # fmt: skip
LAST = at(
    "flow-it", "last_started_timestamp_seconds", "last_success_timestamp_seconds", "last_completed_status",
    "last_completed_duration_seconds", "last_completed_end_timestamp_seconds",
)  # fmt: skip
STEP_COUNTS = at(
    "flow-it", "steps_completed_total", "step_failures_total", "step_retries_total",
    *(f"step_duration_seconds_{part}" for part in ("bucket", "count", "sum")),
)  # fmt: skip
COUNTS = STEP_COUNTS | at(
    "flow-it", "executions_started_total", "executions_completed_total", "failures_total",
    *(f"completed_duration_seconds_{part}" for part in ("bucket", "count", "sum")),
)  # fmt: skip
ITSELF = at(
    "flow-it", "info", "state", "schedule_last_expected_timestamp_seconds", "schedule_next_timestamp_seconds"
)


@dataclass(frozen=True)
class Case:
    """A call, and what of the page it costs when it fails: before any success, and after.

    Costs are names and targets, `it` for what is bad; a target alone stands for all that is said of it.
    `tells` is the prefix of the success and code that tell of it, and whose they are; `again` after how many
    seconds the call is made once more; `calls` how many there are where a fault has not the number of its
    row. `gone` are the costs where there is none (404), `lasting` what that takes for good; `quiet` if that
    is no failure of anything.
    """

    method: str
    target: str
    tells: tuple[str, str] | None
    before: Costs | None
    after: Costs
    again: float = LATER
    calls: dict[str, int] = field(default_factory=dict)
    gone: tuple[Costs, Costs] | None = None
    lasting: Costs = NOTHING
    quiet: bool = False

    def counted(self, row: Row) -> Counter[str]:
        """Return the reason that a fault is counted under, once."""
        return Counter([row.reason] if row.reason and not (self.quiet and row.code == 404) else [])

    def costs(self, row: Row, *, before: bool) -> Costs:
        """Return what a fault costs, the success and the code that tell of it among it."""
        usual = (self.before or NOTHING, self.after)
        costs = (self.gone if row.code == 404 and self.gone else usual)[0 if before else 1]
        if self.tells:
            prefix, target = self.tells
            names = ["scrape_success", *(["scrape_http_code"] if row.code != 200 else [])]
            costs |= at(target, *(prefix + name for name in names))
        return costs


EXECUTION = STATE | STEPS
LAST_FAILURE = at("flow-it", "last_failure_timestamp_seconds")
FIRST_LOOK = NOW | LAST | STEP_COUNTS | at("flow-it", "step_info")
LOOK = NOW | LAST | LAST_FAILURE | COUNTS
MISSING = ITSELF | NOW | LAST | at("flow-it", "scrape_success", "scrape_http_code")
CASES = {
    "Execution.Get": Case("Execution.Get", f"exe-{BAD}", ("execution_", "exe-it"), EXECUTION, EXECUTION),
    "Execution.GetHistory": Case("Execution.GetHistory", f"exe-{BAD}", None, STEPS, STEPS),
    "Execution.List": Case(
        "Execution.List", f"flow-{BAD}", ("", "flow-it"), FIRST_LOOK, LOOK,
        # A filter is written in three ways until one is taken.
        calls={"400": 3}, gone=(FIRST_LOOK | ITSELF, LOOK | ITSELF),
    ),
    "Workflow.Get": Case(
        "Workflow.Get", f"flow-{BAD}", None, ITSELF, NOTHING, again=MUCH_LATER,
        gone=(MISSING, MISSING | LAST_FAILURE),
    ),
    "Workflow.List": Case("Workflow.List", f"folder-{BAD}", None, at("found-it", ""), NOTHING),
    "Execution.Get of a failed run": Case(
        "Execution.Get", f"flow-{BAD}-f{{}}", None, None, at("flow-it", "failures_total"),
        lasting=at("flow-it", "failures_total"), quiet=True,
    ),
    "Execution.GetHistory of an ended run": Case(
        "Execution.GetHistory", f"flow-{BAD}-f{{}}", None, None, STEP_COUNTS, lasting=STEP_COUNTS
    ),
}  # fmt: skip


def settings(halves: Halves, reason: str) -> dict[str, Any]:
    """Return the settings of an exporter for faults of this reason."""
    return halves.settings(FEW_SECONDS if reason == "timeout" else SECONDS)


def all_of(costs: Costs, page: Page) -> Costs:
    """Return the costs, a target alone taken for all that is said of its twin."""
    whole = {target for name, target in costs if not name}
    told = frozenset(key for key in page.told(TWIN) if key[1] in whole)
    return frozenset(cost for cost in costs if cost[0]) | told


def fail(halves: Halves, subject: Subject, case: Case, fault: str, *, before: bool, number: int = 0) -> Page:
    """Scrape once with a fault; compare with the contract, and with the twin."""
    row, cloud, target = ROWS[fault], halves.cloud, case.target.format(number)
    counted = subject.reasons()
    cloud.clear_calls()
    cloud.faults.add(row.rule(case.method, target))
    page = subject.scrape()
    cloud.faults.clear()
    calls = sum((call.method, call.target) == (case.method, target) for call in cloud.calls)
    costs = all_of(case.costs(row, before=before), page) if row.reason else NOTHING
    assert (fault, page.differs()) == (fault, costs | halves.lost)
    assert (fault, page.reasons() - counted) == (fault, case.counted(row))
    assert (fault, page.value("up")) == (fault, 0 if row.reason == "unauthorized" else 1)
    assert (fault, calls) == (fault, case.calls.get(fault, row.tries))
    assert page.seconds < BUDGET + TOLERANCE, fault
    return page


def recover(halves: Halves, subject: Subject, fault: str, before: Page) -> None:
    """Scrape once more, when it is time to: both halves are the same, and the twin was so all along."""
    halves.clock.sleep(LATER)
    page = subject.scrape()
    assert (fault, page.differs()) == (fault, halves.lost)
    assert (fault, page.reasons()) == (fault, before.reasons())
    assert (fault, page.value("up")) == (fault, 1)
    assert before.half(TWIN) == page.half(TWIN), fault


def some(reason: str, *, whole: bool) -> list[str]:
    """Return the faults of a reason: all, or three where `make faults` alone tries all."""
    return GROUPS[reason] if whole or os.environ.get("FAULTS") else GROUPS[reason][:3]


@pytest.mark.parametrize("reason", GROUPS)
@pytest.mark.parametrize("call", [name for name, case in CASES.items() if case.before is not None])
def test_a_fault_before_the_first_success(halves: Halves, door: Door, call: str, reason: str) -> None:
    """It is told with its reason, in time, and costs nothing else; then all is there."""
    for fault in some(reason, whole=call == "Execution.Get"):
        with Subject(settings(halves, reason), door) as subject:
            page = fail(halves, subject, CASES[call], fault, before=True)
            recover(halves, subject, fault, page)


@pytest.mark.parametrize("reason", GROUPS)
@pytest.mark.parametrize("call", CASES)
def test_a_fault_after_the_first_success(halves: Halves, door: Door, call: str, reason: str) -> None:
    """It is told with its reason, in time, and costs nothing else; then all is there, and counted once."""
    case = CASES[call]
    with Subject(settings(halves, reason), door) as subject:
        subject.scrape()
        for fault in some(reason, whole=call == case.method):
            halves.clock.sleep(case.again)
            number = halves.live()
            page = fail(halves, subject, case, fault, before=False, number=number)
            if ROWS[fault].code == 404:
                halves.lost |= case.lasting
            recover(halves, subject, fault, page)
