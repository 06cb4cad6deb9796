"""Who lives in the simulated cloud: a few workflows, the demo's executions, and a stream of new ones.

Everything follows from the seed, the moment of birth and the pace; what a test puts there stands beside it.
"""

import random
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.simulator.plans import Phase, Plan
from exporter.simulator.values import NANO, Execution, Failure, Life, Status, Workflow

FAILURES: Final = (
    Failure(
        "STEP_TIMEOUT", 'Step "charge" timed out after 15m0s: обращение к https://pay.example не завершилось'
    ),
    Failure("HTTP_CALL_503", "POST https://stock.example/reserve answered 503"),
    Failure("GRPC_CALL_UNAVAILABLE", "connection to charge.example:443 refused"),
    Failure("FUNCTION_CALL_INVALID_RESPONSE", "the function returned no JSON"),
    Failure("CONTAINER_CALL_500", "the container answered 500"),
    Failure("YDB_CALL_SERVICE_UNAVAILABLE", "the database is overloaded"),
    Failure("AGENT_CALL_REFUSED", "a kind of step that no list of error codes has yet"),
)
"""One of every documented class, and one of none."""

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

_NAMES: Final = ("order-fulfilment", "nightly-report", "broken", "stock-sync", "mail-digest")
_KEPT: Final = 200
"""How many runs of one workflow the stream remembers."""


def workflow_ids(count: int) -> list[str]:
    """Return ids in the vendor's form."""
    return ["dfqud9cbc4k5m0a1b2c3", *(f"dfqworkflow{n:09d}" for n in range(1, count))][:count]


def workflows(count: int, folder_id: str, born: int) -> list[Workflow]:
    """Return the workflows of the demo: one with a schedule, one express, one broken, and so on."""
    return [
        Workflow(
            id=workflow_id,
            folder_id=folder_id,
            name=_NAMES[n % len(_NAMES)] + (f"-{n}" if n >= len(_NAMES) else ""),
            labels=(("cost-center/eu", "42"), ("team", "payments")) if n % 3 == 0 else (("team", "reports"),),
            status="ERROR" if n % 5 == 2 else "ACTIVE",
            created_at=born - 86400 * NANO - 691_990_000,
            express=n % 3 == 1,
            service_account_id="aje4tpd9coa000000001",
            cron="0 3 * * ? *" if n % 3 == 0 else "",
            timezone="Europe/Moscow" if n % 3 == 0 else "",
        )
        for n, workflow_id in enumerate(workflow_ids(count))
    ]


@dataclass(frozen=True, slots=True)
class Birth:
    """What a population follows from; a script's second takes `pace` seconds, `at` is in nanoseconds."""

    at: int
    seed: int
    pace: float

    def moment(self, seconds: float, digits: int = 9) -> int:
        """Return a script's moment, with so many digits after the second."""
        step: int = 10 ** (9 - digits)
        return (self.at + int(seconds * self.pace * NANO)) // step * step


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
                id=f"{owners[n % len(owners)]}-{_uuid(chance, n)}",
                workflow_id=owners[n % len(owners)],
                phases=tuple(Phase(birth.moment(_shifted(s, later), digits), status) for s, status in phases),
                failure=FAILURES[failure],
            )
        )
    return plans


def _shifted(seconds: float, by: float) -> float:
    """Move a moment away from the start, so that the same state shows there."""
    return seconds + by if seconds > 0 else seconds - by


def _uuid(chance: random.Random, number: int) -> str:
    """Return a random UUID that ends in a number."""
    return str(uuid.UUID(int=chance.getrandbits(80) << 48 | number, version=4))


@dataclass(frozen=True, slots=True)
class Stream:
    """The runs that a workflow starts every `interval` seconds: run k is computed from k alone."""

    workflow_id: str
    interval: float
    birth: Birth

    def runs(self, now: int) -> list[Plan]:
        """Return the newest runs that have started."""
        latest = self._latest(now)
        return [self.run(k) for k in range(max(1, latest - _KEPT + 1), latest + 1)]

    def find(self, execution_id: str, now: int) -> Plan | None:
        """Return the run with this id, which holds the run's number."""
        tail = execution_id.removeprefix(f"{self.workflow_id}-")[-12:]
        if not (len(tail) == 12 and all(c in "0123456789abcdef" for c in tail)):
            return None
        number, latest = int(tail, 16) - 0x1000, self._latest(now)
        if not max(1, latest - _KEPT + 1) <= number <= latest:
            return None
        plan = self.run(number)
        return plan if plan.id == execution_id else None

    def _latest(self, now: int) -> int:
        return int((now - self.birth.at) / (self.interval * self.birth.pace * NANO))

    def run(self, number: int) -> Plan:
        """Return one run: most finish, some fail, a few are stopped or pause for a while."""
        chance = random.Random(f"{self.birth.seed} {self.workflow_id} {number}")
        start = number * self.interval
        run = start + chance.uniform(0.5, 5)
        end = run + chance.uniform(5, 60)
        fate = chance.choices((_FINISHED, _FAILED, _STOPPED, _P), (65, 22, 5, 8))[0]
        moments = [(start, _Q), (run, _R), (end, _FINISHED if fate is _P else fate)]
        if fate is _P:
            moments = [*moments[:2], ((run + end) / 2, _P), (end, _R), (end + 20, _FINISHED)]
        digits = chance.choice((0, 3, 6, 9)) if self.birth.pace >= 1 else 9
        return Plan(
            id=f"{self.workflow_id}-{_uuid(chance, 0x1000 + number)}",
            workflow_id=self.workflow_id,
            phases=tuple(Phase(self.birth.moment(s, digits), status) for s, status in moments),
            failure=FAILURES[number % len(FAILURES)],
        )


class World:
    """All workflows and executions; any thread may look, put and remove."""

    def __init__(
        self, executions: Iterable[Plan], flows: Iterable[Workflow], streams: Iterable[Stream]
    ) -> None:
        self._lock = threading.Lock()
        self._lives: dict[str, Life] = {plan.id: plan for plan in executions}
        self._workflows = {flow.id: flow for flow in flows}
        self._streams = {stream.workflow_id: stream for stream in streams}
        self._gone: set[str] = set()

    def ids(self) -> tuple[str, ...]:
        """Return the executions of the demo and those that were put, in that order; not the stream's."""
        with self._lock:
            return tuple(self._lives)

    def put(self, execution: Execution) -> None:
        """Add or replace an execution."""
        with self._lock:
            self._lives[execution.id] = execution
            self._gone.discard(execution.id)

    def remove(self, execution_id: str) -> None:
        """Forget an execution; it is not found from now on."""
        with self._lock:
            self._lives.pop(execution_id, None)
            self._gone.add(execution_id)

    def put_workflow(self, workflow: Workflow) -> None:
        """Add or replace a workflow."""
        with self._lock:
            self._workflows[workflow.id] = workflow

    def remove_workflow(self, workflow_id: str) -> None:
        """Forget a workflow with all its executions."""
        with self._lock:
            self._workflows.pop(workflow_id, None)
            self._streams.pop(workflow_id, None)
            self._lives = {k: v for k, v in self._lives.items() if _owner(v) != workflow_id}

    def execution(self, execution_id: str, now: int) -> Execution | None:
        """Return an execution as it is now."""
        with self._lock:
            life = self._lives.get(execution_id)
            if execution_id in self._gone:
                return None
            streams = list(self._streams.values())
        found: Life | None = life or next(filter(None, (s.find(execution_id, now) for s in streams)), None)
        return found.at(now) if found else None

    def executions(self, workflow_id: str, now: int) -> list[Execution] | None:
        """Return a workflow's executions as they are now; None if there is no such workflow."""
        with self._lock:
            lives: list[Life] = [life for life in self._lives.values() if _owner(life) == workflow_id]
            stream, gone = self._streams.get(workflow_id), set(self._gone)
            if not lives and workflow_id not in self._workflows:
                return None
        lives += [plan for plan in (stream.runs(now) if stream else []) if plan.id not in gone]
        return [execution for life in lives if (execution := life.at(now))]

    def workflow(self, workflow_id: str) -> Workflow | None:
        """Return a workflow."""
        with self._lock:
            return self._workflows.get(workflow_id)

    def workflows(self, folder_id: str) -> list[Workflow]:
        """Return the workflows of a folder."""
        with self._lock:
            return [flow for flow in self._workflows.values() if flow.folder_id == folder_id]


def _owner(life: Life) -> str:
    return life.workflow_id if isinstance(life, Plan | Execution) else ""
