"""Endless streams of executions: run k is computed from k alone, so nothing is kept and no thread moves it.

What a run is at a moment is its plan's matter; which of the runs exist at all is decided here.
"""

import random
import uuid
from dataclasses import dataclass, replace
from typing import Final

from exporter.simulator.plans import Phase, Plan
from exporter.simulator.values import NANO, Failure, Status

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

ODD_FAILURES: Final = (
    Failure("", "no code at all"),
    Failure("STEP timeout", "begins like a class and is no code"),
    Failure("HTTP_CALL", "a class without what comes after it"),
)
"""What a reader of error codes has to take for OTHER."""

_NUMBERED_FROM: Final = 0x1000
_UUID_LENGTH: Final = 36

Range = tuple[float, float]


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


@dataclass(frozen=True, slots=True)
class Habits:
    """How the runs of a stream go: ranges of seconds, and shares of all runs.

    A run is queued, then it runs; one that pauses does so halfway and goes on for `resumed` seconds after
    what would have been its end. It is told of only `lag` after its start. `kept` is how many of the
    newest the API remembers, None for all. The shares that are left finish. Raises ValueError.
    """

    queued: Range = (0.5, 5.0)
    run: Range = (5.0, 60.0)
    failing: float = 0.22
    stopped: float = 0.05
    paused: float = 0.08
    resumed: float = 20.0
    lag: Range = (0.0, 0.0)
    kept: int | None = 200
    failures: tuple[Failure, ...] = FAILURES

    def __post_init__(self) -> None:
        """Refuse what no stream can do."""
        for name in ("queued", "run", "lag"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < float("inf"):
                raise ValueError(f"{name}: must be (least, most) in seconds, from 0, finite")
        shares = (self.failing, self.stopped, self.paused)
        if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1 + 1e-9:
            raise ValueError("failing, stopped, paused: must be shares from 0 to 1, and together at most 1")
        if self.kept is not None and self.kept < 1:
            raise ValueError("kept: must be at least 1, or None for all")

    @property
    def longest(self) -> float:
        """Seconds from a start that no run outlasts."""
        return self.queued[1] + self.run[1] + self.resumed

    def fate(self, chance: random.Random) -> Status:
        """Draw how a run ends; PAUSED for one that pauses and then finishes."""
        shares = (self.failing, self.stopped, self.paused)
        fates = (Status.FINISHED, Status.FAILED, Status.STOPPED, Status.PAUSED)
        return chance.choices(fates, (max(0.0, 1 - sum(shares)), *shares))[0]


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The runs that a workflow starts every `interval` seconds from its birth on, the first being run 1.

    `salt` sets apart the streams of one workflow. Raises ValueError for an interval that is none.
    """

    workflow_id: str
    interval: float
    birth: Birth
    habits: Habits = Habits()
    salt: str = ""

    def __post_init__(self) -> None:
        """Refuse a stream that would never begin, or never end beginning."""
        if not 0 < self.interval < float("inf"):
            raise ValueError("interval: must be seconds greater than 0, and finite")

    @property
    def longest(self) -> int:
        """Nanoseconds from a start that no run outlasts, whole seconds that its times are cut to included."""
        return int(self.habits.longest * self.birth.pace * NANO) + NANO

    def numbers(self, now: int, since: int | None = None, until: int | None = None) -> range:
        """Return the runs that the API remembers and that may have started from `since` to `until`.

        There may be a few more among them, and some that have not started yet, for their plan to tell.
        """
        kept = self.habits.kept
        first = 1 if kept is None else max(1, self._number(now) - kept + 1)
        # A start is cut to whole seconds at most, so it may be told up to one earlier than it was due.
        last = self._number((now if until is None else min(now, until)) + NANO) + 1
        return range(first if since is None else max(first, self._number(since)), last + 1)

    def all_until(self, until: int) -> range:
        """Return the runs that may have started by then, forgotten ones too."""
        return range(1, self._number(until + NANO) + 2)

    def number(self, execution_id: str) -> int:
        """Return the number that an id of this stream holds; 0 if it holds none."""
        tail = execution_id[-12:]
        if len(tail) < 12 or not all(c in "0123456789abcdef" for c in tail):
            return 0
        return max(0, int(tail, 16) - _NUMBERED_FROM)

    def _number(self, at: int) -> int:
        return int((at - self.birth.at) // (self.interval * self.birth.pace * NANO))

    def run(self, number: int) -> Plan:
        """Return one run."""
        chance = random.Random(f"{self.birth.seed} {self.workflow_id} {number}{self.salt}")
        moments = self._moments(chance, number * self.interval)
        digits = chance.choice((0, 3, 6, 9)) if self.birth.pace >= 1 else 9
        at = [max(self.birth.at, self.birth.moment(seconds, digits)) for seconds, _ in moments]
        plan = Plan(
            id=f"{self.workflow_id}-{random_uuid(chance, _NUMBERED_FROM + number)}",
            workflow_id=self.workflow_id,
            phases=tuple(Phase(when, status) for when, (_, status) in zip(at, moments, strict=True)),
            failure=self.habits.failures[number % len(self.habits.failures)],
            visible_at=at[0] + int(chance.uniform(*self.habits.lag) * self.birth.pace * NANO),
        )
        # Lists consist of ended runs for the most part; to make those anew each time is what they cost.
        return replace(plan, final=plan.preview(max(plan.visible_at, at[-1])))

    def _moments(self, chance: random.Random, start: float) -> list[tuple[float, Status]]:
        run = start + chance.uniform(*self.habits.queued)
        end = run + chance.uniform(*self.habits.run)
        fate = self.habits.fate(chance)
        begun = [(start, Status.QUEUED), (run, Status.RUNNING)]
        if fate is not Status.PAUSED:
            return [*begun, (end, fate)]
        pause = [((run + end) / 2, Status.PAUSED), (end, Status.RUNNING)]
        return [*begun, *pause, (end + self.habits.resumed, Status.FINISHED)]


def random_uuid(chance: random.Random, number: int) -> str:
    """Return a random UUID that ends in a number."""
    return str(uuid.UUID(int=chance.getrandbits(80) << 48 | number, version=4))


def owner(execution_id: str) -> str:
    """Return the workflow that an id in the vendor's form begins with; "" for other ids."""
    return execution_id[: -_UUID_LENGTH - 1]
