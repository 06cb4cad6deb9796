"""Whether a process that works for long takes no more and no more of its machine: measured and judged."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from siege import Footprint

WARM_UP: float = 0.25
"""The share of the moments for which memory may grow: caches fill, and the allocator finds its size."""
NOISE_KIB = 768.0
"""By so much memory grows at most from fragmentation, however long it is watched."""
KIB_PER_SCRAPE = 0.25
"""By so much it may grow with each scrape: what is remembered of the executions that ran meanwhile."""
FEWEST = 3
"""Moments after the warm-up without which nothing can be said."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """What a process at rest takes, after so many scrapes: KiB, threads, open files, bytes of its state."""

    scrapes: int
    private: int
    resident: int
    threads: int
    files: int
    state: int

    @classmethod
    def of(cls, pid: int, scrapes: int, state: Path) -> "Moment":
        """Return what a process takes now."""
        now = Footprint.of(pid)
        size = state.stat().st_size if state.exists() else 0
        return cls(scrapes, private_kib(pid), now.resident, now.threads, now.files, size)


def private_kib(pid: int) -> int:
    """Return the memory that a process has written to and shares with nobody, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["Private_Dirty"].split()[0])


def slope(moments: Sequence[Moment], value: Callable[[Moment], float]) -> float:
    """Return by how much a value grows with each scrape: the median of all pairs, which no outlier moves."""
    rises = [
        (value(later) - value(earlier)) / (later.scrapes - earlier.scrapes)
        for earlier, later in combinations(moments, 2)
        if later.scrapes > earlier.scrapes
    ]
    return statistics.median(rises) if rises else 0.0


def warmed_up(moments: Sequence[Moment]) -> Sequence[Moment]:
    """Return the moments that are judged."""
    return moments[max(1, round(len(moments) * WARM_UP)) :]


def complaints(moments: Sequence[Moment], noise_kib: float = NOISE_KIB) -> list[str]:
    """Return what does not stay as it is, each with its figures; nothing if all does.

    Memory may grow by `noise_kib` beside what it may grow by with each scrape.
    """
    judged = warmed_up(moments)
    if len(judged) < FEWEST:
        return [f"only {len(judged)} moments after the warm-up; {FEWEST} are needed to judge"]
    span = judged[-1].scrapes - judged[0].scrapes
    allowed = noise_kib + KIB_PER_SCRAPE * span
    found = []
    for name in ("private", "resident"):
        rise = slope(judged, lambda moment, name=name: float(getattr(moment, name)))  # type: ignore[misc]
        if rise * span > allowed:
            found.append(
                f"{name} memory grows {rise:.2f} KiB a scrape, {rise * span:.0f} KiB in {span} scrapes; "
                f"{allowed:.0f} are allowed"
            )
    for name in ("threads", "files"):
        numbers = [getattr(moment, name) for moment in moments]
        if max(numbers[1:]) > numbers[0]:
            found.append(f"{name} at rest: {numbers[0]} at first, then up to {max(numbers[1:])}")
    return found


def table(moments: Sequence[Moment]) -> str:
    """Return the series for people."""
    head = "  scrapes  private KiB  resident KiB  threads  files  state KiB"
    rows = [
        f"{m.scrapes:9} {m.private:12} {m.resident:13} {m.threads:8} {m.files:6} {m.state // 1024:10}"
        for m in moments
    ]
    judged = warmed_up(moments)
    rises = [slope(judged, lambda m: m.private), slope(judged, lambda m: m.resident)]
    return "\n".join((head, *rows, f"a scrape {rises[0]:12.3f} {rises[1]:13.3f}  (after the warm-up)"))
