"""A flight comes to an end, whatever its calls come to and in whatever order."""

from collections import Counter

from conftest import ToldClock
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flight import Flight
from exporter.outcome import Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import REASONS, Unauthorized
from exporter.yandex.models import Execution, Status

RUNNING = Execution("e", "w", Status.RUNNING, None, None, None, ())


def outcome(target: ExecutionTarget, reason: str) -> Outcome:
    """Return what a call came to: data, or a reason."""
    if not reason:
        return Outcome(target, 0.0, RUNNING, http_code=200, fresh=True)
    return Outcome(target, 0.0, http_code=401 if reason == Unauthorized.reason else 0, reason=reason)


def flown(data: st.DataObject, flight: Flight, limit: int, reasons: list[str]) -> tuple[Counter[str], int]:
    """Let workers take and finish in any order; return what was taken, and the most calls at once."""
    taken: Counter[str] = Counter()
    asking: list[ExecutionTarget] = []
    idle, most = flight.hire(limit), 0
    while idle or asking:
        if idle and (not asking or data.draw(st.booleans())):
            idle -= 1
            target = flight.take()
            if target is not None:
                taken[target.id] += 1
                asking.append(target)
                most = max(most, len(asking))
            continue
        target = asking.pop(data.draw(st.integers(0, len(asking) - 1)))
        flight.done(outcome(target, data.draw(st.sampled_from(reasons))))
        idle += 1 + flight.hire(limit)
    return taken, most


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.integers(0, 12),
    st.integers(1, 5),
    st.lists(st.sampled_from(["", *REASONS]), min_size=1, max_size=4),
    st.booleans(),
)
def test_a_flight_ends_and_asks_for_each_target_once(
    data: st.DataObject, number: int, limit: int, reasons: list[str], suspicious: bool
) -> None:
    """Nobody is asked for twice or by too many; what is left out is left out because of a refusal."""
    clock = ToldClock()
    targets = tuple(ExecutionTarget(str(n)) for n in range(number))
    refusal = Unauthorized("the last flight ended so", 401) if suspicious else None
    flight = Flight(targets, Budget.of(10.0, clock), 0.0, refusal)
    flight.enqueue((), targets)
    taken, most = flown(data, flight, limit, reasons)
    assert flight.finished.is_set()
    assert most <= limit
    assert set(taken.values()) <= {1}
    assert set(flight.outcomes()) == set(taken)
    assert (len(taken) == number) or flight.refusal is not None


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(2, 12), st.integers(1, 5))
def test_a_bad_token_costs_no_more_calls_than_were_under_way_and_one(
    data: st.DataObject, number: int, limit: int
) -> None:
    """When every call is refused, and the flight after that begins with a single one."""
    clock = ToldClock()
    targets = tuple(ExecutionTarget(str(n)) for n in range(number))
    first = Flight(targets, Budget.of(10.0, clock), 0.0)
    first.enqueue((), targets)
    taken, _ = flown(data, first, limit, [Unauthorized.reason])
    assert taken.total() <= limit + 1
    second = Flight(targets, Budget.of(10.0, clock), 0.0, first.refusal)
    second.enqueue((), targets)
    taken, _ = flown(data, second, limit, [Unauthorized.reason])
    assert taken.total() == 1
