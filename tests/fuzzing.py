"""How many inputs a property is shown: few and the same in `make test`, many and others in `make fuzz`.

`FUZZ` in the environment says how many times the few; at the end of such a run it is told what each saw.
"""

import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

TIMES = int(os.environ.get("FUZZ") or 0)
SEEN = "inputs seen"
Test = Callable[..., None]


def fuzzed(few: int) -> Callable[[Test], Test]:
    """Let a property, below its `given`, be shown this many inputs in `make test`, and count them."""

    def decorated(test: Test) -> Test:
        @functools.wraps(test)
        def counted(*arguments: Any, **named: Any) -> None:
            counted.inputs += 1  # type: ignore[attr-defined]  # a function may bear what it counts
            test(*arguments, **named)

        counted.inputs = 0  # type: ignore[attr-defined]
        return settings(
            max_examples=few * max(1, TIMES),
            derandomize=not TIMES,
            deadline=None,
            print_blob=True,
            # Other programs may have the processor, and what is hostile is large.
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )(counted)

    return decorated


def inputs(test: Any) -> int:
    """Return how many inputs a test has been shown; 0 for one that is no property of ours."""
    found: int = getattr(getattr(getattr(test, "hypothesis", None), "inner_test", None), "inputs", 0)
    return found


def told(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return a table of what each property has seen, with its seconds; nothing of a short run."""
    rows = [
        (report.nodeid.partition("::")[2], seen, report.duration)
        for report in reports
        for name, seen in report.user_properties
        if name == SEEN and isinstance(seen, int) and seen and report.when == "call"
    ]
    if not TIMES or not rows:
        return []
    rows.append((f"{len(rows)} properties", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    return [f"{seen:>9,} inputs {seconds:8.1f} s  {name}" for name, seen, seconds in rows]
