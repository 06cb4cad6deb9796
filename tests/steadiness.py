"""Whether a process that works for long takes no more and no more of its machine: measured and judged."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from siege import Footprint

WARM_UP: float = 0.25
"""The share of the moments in which memory may grow: caches fill, and the allocator finds its size."""
NOISE = {"used": 128.0, "blocks": 4000.0, "resident": 8192.0}
"""By so much each grows at most beside what it may grow by with each scrape: KiB, and blocks.

What is in use is nearly exact; resident memory is the most that was ever needed, in any mixture of calls.
"""
A_SCRAPE = {"used": 0.2, "blocks": 2.0, "resident": 0.2}
"""By so much each may grow with each scrape: what is remembered of the executions that ran meanwhile."""
FEWEST = 3
"""Moments after the warm-up without which nothing can be said."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """What a process at rest takes, after so many scrapes.

    `used` and `resident` are KiB, `state` are the bytes of its state file.
    """

    scrapes: int
    used: int
    blocks: int
    resident: int
    threads: int
    files: int
    state: int

    @classmethod
    def of(cls, pid: int, in_use: Callable[[], tuple[int, int]], scrapes: int, state: Path) -> "Moment":
        """Return what a process takes now; `in_use` tells the bytes in use, and Python's small blocks."""
        # Before anything else: to tell what is in use it collects its garbage, and with it what that held.
        now = Footprint.of(pid)
        size = state.stat().st_size if state.exists() else 0
        given, blocks = in_use()
        return cls(scrapes, given // 1024, blocks, now.resident, now.threads, now.files, size)


def slope(moments: Sequence[Moment], name: str) -> float:
    """Return by how much a figure grows with each scrape: the median of all pairs, which no outlier moves."""
    rises = [
        (getattr(later, name) - getattr(earlier, name)) / (later.scrapes - earlier.scrapes)
        for earlier, later in combinations(moments, 2)
        if later.scrapes > earlier.scrapes
    ]
    return statistics.median(rises) if rises else 0.0


def warmed_up(moments: Sequence[Moment]) -> Sequence[Moment]:
    """Return the moments that are judged."""
    return moments[max(1, round(len(moments) * WARM_UP)) :]


def complaints(moments: Sequence[Moment], noise: Mapping[str, float] = NOISE) -> list[str]:
    """Return what does not stay as it is, each with its figures; nothing if all does.

    Of `noise` there may be so much, beside what there may be more with each scrape.
    """
    judged = warmed_up(moments)
    if len(judged) < FEWEST:
        return [f"only {len(judged)} moments after the warm-up; {FEWEST} are needed to judge"]
    span = judged[-1].scrapes - judged[0].scrapes
    found = []
    for name in NOISE:
        rise, allowed = slope(judged, name), noise[name] + A_SCRAPE[name] * span
        if rise * span > allowed:
            found.append(
                f"{name}: {rise:.2f} more with each scrape, {rise * span:.0f} in {span} scrapes; "
                f"{allowed:.0f} are allowed"
            )
    for name in ("threads", "files"):
        numbers = [getattr(moment, name) for moment in moments]
        if max(numbers[1:]) > numbers[0]:
            found.append(f"{name} at rest: {numbers[0]} at first, then up to {max(numbers[1:])}")
    return found


def table(moments: Sequence[Moment]) -> str:
    """Return the series for people."""
    head = "  scrapes  KiB in use  small blocks  resident KiB  threads  files  state KiB"
    rows = [
        f"{m.scrapes:9} {m.used:11} {m.blocks:13} {m.resident:13} {m.threads:8} {m.files:6} "
        f"{m.state // 1024:10}"
        for m in moments
    ]
    used, blocks, resident = (slope(warmed_up(moments), name) for name in NOISE)
    rises = f" a scrape {used:11.3f} {blocks:13.3f} {resident:13.3f}  (after the warm-up)"
    return "\n".join((head, *rows, rises))
