"""What all tests share: a clock that is told the time, and no skip that hides in CI."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import fuzzing
import pytest
from faulty import Door, Halves, QuickClock

from exporter.simulator import Simulator


@dataclass
class ToldClock:
    """A clock that stands still until it is told; to sleep is to move it."""

    now: float = 1000.0
    epoch: float = 1_741_622_400.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """Return the seconds of the told time."""
        return self.now

    def time(self) -> float:
        """Return the told time as Unix seconds."""
        return self.epoch + self.now - 1000.0

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def told_clock() -> ToldClock:
    """Return a clock that stands still until it is told."""
    return ToldClock()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Note how many inputs a property has seen, for the table at the end of a long run."""
    try:
        return (yield)
    finally:
        pyfuncitem.user_properties.append((fuzzing.SEEN, fuzzing.inputs(pyfuncitem.obj)))


@pytest.fixture(scope="module")
def door() -> Door:
    """Return what shows the pages of all exporters."""
    return Door(QuickClock())


@pytest.fixture
def halves(door: Door) -> Iterator[Halves]:
    """Return a cloud of two halves, of which faults befall one."""
    with Simulator(executions=0, clock=door.clock.time) as cloud:
        yield Halves(cloud, door.clock)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what properties have seen and why a test was skipped, at the end where it is seen."""
    reports = (
        report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])
    )
    for line in fuzzing.told(reports):
        terminalreporter.write_line(line)
    for report in terminalreporter.stats.get("skipped", []):
        terminalreporter.write_line(f"skipped: {report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skip is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
