"""A long life in short: hundreds of scrapes over a cloud where all that can happens; `make soak` does more.

And the measures of it, which must turn red: of memory, threads and files, of counters, of what is left.
"""

import contextlib
import gc
import logging
import random
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import processes
import pytest
import tally
from faulty import GROUPS, ROWS, Door, Halves, QuickClock, Subject
from soak import Size, Soak
from steadiness import NOISE, Moment, complaints

from exporter.simulator import Simulator

FLAT = [Moment(n * 100, 20_000, 300_000, 74_000, 9, 12, 0) for n in range(36)]
SCRAPES = 200


def noisy(moments: list[Moment]) -> list[Moment]:
    """Return moments whose memory goes up and down, and is far off at one of them."""
    dice = random.Random(1)
    found = []
    for number, moment in enumerate(moments):
        share = 9.0 if number == 20 else dice.random()
        noise = {name: round(getattr(moment, name) + share * NOISE[name]) for name in NOISE}
        found.append(replace(moment, **noise))
    return found


def test_memory_that_goes_up_and_down_is_flat() -> None:
    """Neither noise nor one moment that is far off is taken for a leak, nor is the warm-up."""
    warming = [replace(m, used=10_000 + 3000 * n) for n, m in enumerate(FLAT[:8])]
    assert complaints(noisy(FLAT)) == []
    assert complaints(noisy([*warming, *FLAT[8:]])) == []


def test_a_leak_of_one_kib_a_scrape_is_seen() -> None:
    """So little is more than what noise does, in as many scrapes as `make soak` has, and in fewer."""
    leaking = [replace(m, used=m.used + m.scrapes) for m in noisy(FLAT)]
    for moments in (leaking, leaking[:12]):
        (complaint,) = complaints(moments)
        assert complaint.startswith("used: ")


def test_a_leak_of_small_objects_is_seen() -> None:
    """Four objects that each scrape leaves behind are one or two lines of code, and too many."""
    leaking = [replace(m, blocks=m.blocks + 4 * m.scrapes) for m in noisy(FLAT)]
    (complaint,) = complaints(leaking)
    assert complaint.startswith("blocks: ")


@pytest.mark.parametrize("name", ["threads", "files"])
def test_one_thread_or_file_more_at_rest_is_seen(name: str) -> None:
    """What is begun is ended: at rest there are as many as at first."""
    for at in (1, len(FLAT) - 1):
        more = [replace(m, **{name: getattr(m, name) + (n == at)}) for n, m in enumerate(FLAT)]
        (complaint,) = complaints(more)
        assert complaint.startswith(f"{name} at rest")


def test_too_few_moments_say_nothing() -> None:
    """A soak that was too short is no proof."""
    assert "are needed to judge" in complaints(FLAT[:3])[0]


def test_a_count_too_many_and_one_too_few_are_seen() -> None:
    """Counters are held against the truth in both directions, and what the truth does not have is 0."""
    one, other = tally.series("a_total", workflow_id="w"), tally.series("b_total", workflow_id="w")
    assert tally.differing({one: 2.0, other: 0.0}, {one: 2.0}) == []
    assert len(tally.differing({one: 3.0}, {one: 2.0})) == 1
    assert len(tally.differing({one: 2.0, other: 1.0}, {one: 2.0})) == 1
    assert len(tally.differing({}, {one: 2.0})) == 1
    assert tally.outside({one: 3.0}, {one: 2.0}, {one: 3.0}) == []
    assert len(tally.outside({one: 4.0}, {one: 2.0}, {one: 3.0})) == 1
    assert len(tally.fallen({one: 1.0}, {one: 2.0})) == 1


@contextlib.contextmanager
def nobody_collects_garbage() -> Iterator[None]:
    """Leave what is held in circles where it is."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "timeout"])
def test_nothing_of_an_old_configuration_is_left(group: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever its calls ended in, after a reload it goes at once: no error holds its threads and sockets."""
    caplog.set_level(logging.CRITICAL)
    door = Door(QuickClock())
    with Simulator(executions=0, clock=door.clock.time) as cloud:
        halves = Halves(cloud, door.clock)
        with Subject(halves.settings(), door) as subject, nobody_collects_garbage():
            for name in GROUPS[group][:4]:
                for method in ("", "Execution.GetHistory"):
                    cloud.faults.add(ROWS[name].rule(method, ""))
                    subject.scrape()
                    subject.get("/-/ready")
                    subject.get("/probe", "execution_id=exe-bad&workflow_id=flow-bad&debug=true")
                    cloud.faults.clear()
                    old = weakref.ref(subject.application.parts.runtime.scraper)
                    subject.application.reload()
                    processes.until(lambda old=old: old() is None, 5.0)  # type: ignore[misc]


def test_a_life_in_which_all_happens_costs_nothing(tmp_path: Path) -> None:
    """Killed and started anew, over all that can go wrong, it counts the truth and leaves nothing behind."""
    report = Soak(tmp_path, Size.of(SCRAPES), "1").run()
    assert report.problems == [], report.text()
    assert report.compared > 100
    for what in ("kills", "ends", "reloads", "rests", "passers-by", "comparisons of calls"):
        assert report.done[what] > 2, f"{what}\n{report.text()}"
    assert report.done["scrapes"] >= SCRAPES
