"""Who lives in the simulated cloud at the first moment: two folders of workflows, the demo's executions.

Everything follows from the seed, the moment of birth and the pace.
"""

import random
from dataclasses import dataclass
from typing import Final

from exporter.simulator.plans import Phase, Plan
from exporter.simulator.streams import FAILURES, Birth, Stream, random_uuid
from exporter.simulator.values import NANO, Status, Workflow

_Q, _R, _P = Status.QUEUED, Status.RUNNING, Status.PAUSED
_STOPPED, _FAILED, _FINISHED = Status.STOPPED, Status.FAILED, Status.FINISHED
_Script = tuple[tuple[tuple[float, Status], ...], int]
_SCRIPTS: Final[tuple[_Script, ...]] = (
    (((-5, _Q), (25, _R), (85, _FINISHED)), 0),
    (((-42, _Q), (-40, _R), (50, _FINISHED)), 0),
    (((-300, _Q), (-297.5, _R), (-180, _P), (120, _R), (200, _FINISHED)), 0),
    (((-3600, _Q), (-3598, _R), (-3000, _STOPPED)), 0),
    (((-5402, _Q), (-5400, _R), (-4502, _FAILED)), 0),
    (((-600, _Q), (-599, _R), (-538.75, _FINISHED)), 0),
    (((-1800, _Q), (-1799.5, _R), (-1792, _FAILED)), 1),
    (((-7200, _Q), (-7199, _R), (-7100, _FAILED)), 2),
    (((-22, _Q), (-20, _R), (75, _FAILED)), 4),
    (((-900, _Q), (-899, _R), (-840, _FAILED)), 3),
    (((-1, _Q), (150, _R), (240, _FAILED)), 5),
    (((-90, _Q), (-88, _R), (600, _FAILED)), 6),
)
"""Seconds from the start and the state from then on; which of FAILURES ends it."""

_INTERVAL_SECONDS: Final = 30.0
_NAMES: Final = ("order-fulfilment", "nightly-report", "broken", "stock-sync", "mail-digest")
_COLLIDING: Final = (("cost-center/eu", "42"), ("cost_center_eu", "43"), ("team", "payments"))
"""Two keys that are one as soon as what a label name cannot hold is replaced."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a workflow starts by itself; no `cron` for never, no `timezone` for UTC."""

    cron: str = ""
    timezone: str = ""


_SCHEDULES: Final = (
    Schedule("0 3 * * ? *", "Europe/Moscow"),
    Schedule("*/5 * ? * * *", "UTC"),
    Schedule(),
    Schedule("30 4 ? * MON-FRI *", "Europe/Berlin"),
    Schedule("0 6 LW * ?"),
)


def workflow_ids(count: int) -> list[str]:
    """Return ids in the vendor's form."""
    return ["dfqud9cbc4k5m0a1b2c3", *(f"dfqworkflow{n:09d}" for n in range(1, count))][:count]


def workflows(count: int, folder_id: str, born: int) -> list[Workflow]:
    """Return the workflows of the demo: with a schedule, express, broken, and so on."""
    return [_workflow(workflow_id, n, folder_id, born) for n, workflow_id in enumerate(workflow_ids(count))]


def others(folder_id: str, born: int) -> list[Workflow]:
    """Return the workflows of another folder, named like some of the first: names are a folder's own."""
    return [_workflow(f"dfqneighbour{n:08d}", n, folder_id, born) for n in (3, 0)]


def _workflow(workflow_id: str, n: int, folder_id: str, born: int) -> Workflow:
    schedule = _SCHEDULES[n % len(_SCHEDULES)]
    return Workflow(
        id=workflow_id,
        folder_id=folder_id,
        name=_NAMES[n % len(_NAMES)] + (f"-{n}" if n >= len(_NAMES) else ""),
        labels=_COLLIDING if n % 3 == 0 else (("team", "reports"),),
        status="ERROR" if n % 5 == 2 else "ACTIVE",
        created_at=born - 86400 * NANO - 691_990_000,
        express=n % 3 == 1,
        service_account_id="aje4tpd9coa000000001",
        cron=schedule.cron,
        timezone=schedule.timezone,
    )


def streams(flows: list[Workflow], birth: Birth) -> list[Stream]:
    """Return a stream for each workflow, each slower than the one before it."""
    return [Stream(flow.id, _INTERVAL_SECONDS * (n + 1), birth) for n, flow in enumerate(flows)]


def demo(birth: Birth, count: int, owners: list[str]) -> list[Plan]:
    """Return the executions that are there at the first moment, in every state."""
    chance = random.Random(birth.seed)
    plans = []
    for n in range(count):
        phases, failure = _SCRIPTS[n % len(_SCRIPTS)]
        later = n // len(_SCRIPTS) * chance.uniform(1, 60)
        digits = (9, 6, 3, 0)[n % 4] if birth.pace >= 1 else 9
        plans.append(
            Plan(
                id=f"{owners[n % len(owners)]}-{random_uuid(chance, n)}",
                workflow_id=owners[n % len(owners)],
                phases=tuple(Phase(birth.moment(_shifted(s, later), digits), status) for s, status in phases),
                failure=FAILURES[failure],
            )
        )
    return plans


def _shifted(seconds: float, by: float) -> float:
    """Move a moment away from the start, so that the same state shows there."""
    return seconds + by if seconds > 0 else seconds - by
