"""The truth is what a watcher who misses nothing reads off the wire, to the nanosecond."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import BORN, EXECUTION, Caller, HandClock
from yandex.cloud.serverless.workflows.v1 import execution_pb2

from exporter.simulator import Failure, Run, Simulator, Truth

NANO = 10**9
TERMINAL = {"STOPPED", "FAILED", "FINISHED"}


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def empty(clock: HandClock) -> Iterator[Simulator]:
    """Run a world with nothing in it."""
    with Simulator(clock=clock, executions=0) as running:
        yield running


@dataclass
class Watcher:
    """Polls a workflow over HTTP, and keeps the last it read of each execution by the vendor's classes."""

    cloud: Simulator
    workflow_id: str
    seen: dict[str, Any] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Get each execution of the list that may have changed."""
        caller = Caller(self.cloud)
        self.listed = {e["id"] for e in caller.listed(self.workflow_id, pageSize=1000)}
        for id_ in self.listed:
            if self.status(id_) not in TERMINAL:
                body = caller.ask(f"{EXECUTION}/{id_}").json["execution"]
                self.seen[id_] = ParseDict(body, execution_pb2.Execution())

    def status(self, id_: str) -> str:
        """Return the last state of an execution."""
        known = self.seen.get(id_)
        return "" if known is None else str(execution_pb2.Execution.Status.Name(known.status))

    def start(self, id_: str) -> int:
        """Return when it started, in nanoseconds."""
        return int(self.seen[id_].started_at.ToNanoseconds())

    def lasted(self, id_: str) -> int:
        """Return how long it took, in nanoseconds."""
        return int(self.seen[id_].duration.ToNanoseconds())

    def ended(self, *statuses: str) -> list[str]:
        """Return those that ended so."""
        return [id_ for id_ in self.seen if self.status(id_) in statuses]

    def newest_end(self, status: str) -> int:
        """Return the newest end of those that ended so, in nanoseconds."""
        return max(self.start(id_) + self.lasted(id_) for id_ in self.ended(status))


def class_of(code: str) -> str:
    """Return the class of a code of this simulator, each of which is known here."""
    classes = ("STEP", "HTTP_CALL", "GRPC_CALL", "FUNCTION_CALL", "CONTAINER_CALL", "YDB_CALL")
    return next((name for name in classes if code.startswith(name + "_")), "OTHER")


def nanos(seconds: float) -> int:
    """Return a moment of the hand clock in nanoseconds; it has microseconds."""
    return round(seconds * 10**6) * 1000


@pytest.mark.parametrize("lag", [(0.0, 0.0), (0.0, 30.0)])
@pytest.mark.parametrize("kept", [None, 40])
def test_the_truth_is_what_the_wire_has_told(
    empty: Simulator, clock: HandClock, lag: tuple[float, float], kept: int | None
) -> None:
    """Counted, summed and dated alike, though streams forget and executions come late."""
    empty.add_stream("w", interval=4, run=(1, 50), failing=0.4, paused=0.2, lag=lag, kept=kept)
    watcher = Watcher(empty, "w")
    for _ in range(60):
        clock.now = round(clock.now + 12.345678, 6)
        watcher.look()
    truth = empty.truth("w", since=BORN, until=clock.now)
    ended = watcher.ended(*TERMINAL)
    codes = Counter(class_of(watcher.seen[id_].error.error_code) for id_ in watcher.ended("FAILED"))
    assert truth.started == {id_ for id_ in watcher.seen if watcher.start(id_) > nanos(BORN)}
    assert truth.completed == {status: len(watcher.ended(status)) for status in TERMINAL}
    assert {name: count for name, count in truth.failures.items() if count} == codes
    assert sorted(truth.lasted) == sorted(watcher.lasted(id_) for id_ in ended)
    assert truth.duration_count == len(ended) > 100
    assert truth.duration_sum == sum(watcher.lasted(id_) for id_ in ended) / NANO
    active = Counter(watcher.status(id_) for id_ in watcher.listed)
    assert truth.active == {status: active[status] for status in ("QUEUED", "RUNNING", "PAUSED")}
    assert truth.newest_start == max(map(watcher.start, watcher.seen))
    assert truth.newest_success == watcher.newest_end("FINISHED")
    assert truth.newest_failure == watcher.newest_end("FAILED")
    assert truth.hidden == (0 if lag == (0.0, 0.0) else truth.hidden)


@given(st.lists(st.floats(0, 2000), min_size=1, max_size=5))
@settings(deadline=None, max_examples=15)
def test_windows_that_follow_each_other_add_up(moments: list[float]) -> None:
    """What is true of the whole is what is true of its parts together."""
    clock = HandClock()
    cloud = Simulator(clock=clock, executions=0)
    cloud.add_stream("w", interval=13, run=(0, 90), failing=0.4)
    whole = cloud.truth("w", since=BORN, until=BORN + 2000)
    edges = [BORN, *sorted(BORN + moment for moment in moments), BORN + 2000]
    parts = [cloud.truth("w", since=a, until=b) for a, b in pairwise(edges)]
    assert sum((Counter(part.completed) for part in parts), Counter()) == +Counter(whole.completed)
    assert sum((Counter(part.failures) for part in parts), Counter()) == +Counter(whole.failures)
    assert sum(sum(part.lasted) for part in parts) == sum(whole.lasted)
    assert sum(len(part.started) for part in parts) == len(whole.started)


def test_the_truth_of_a_moment_does_not_change_later(clock: HandClock) -> None:
    """It may be asked of the past and of the future."""
    cloud = Simulator(clock=clock)
    flow = cloud.workflow_ids()[0]
    asked = [cloud.truth(flow, since=BORN, until=BORN + 1000)]
    for _ in range(3):
        clock.now += 700
        asked.append(cloud.truth(flow, since=BORN, until=BORN + 1000))
    assert all(truth == asked[0] for truth in asked)
    assert asked[0].duration_count > 10


def test_times_are_told_in_seconds_as_well(empty: Simulator) -> None:
    """Properties in unix seconds, None where there is nothing."""
    empty.put("e", status="FINISHED", started_at=BORN - 10, duration="2.5s", workflow_id="w")
    empty.put("f", status="FAILED", started_at=BORN - 8, duration=2.25, workflow_id="w")
    truth = empty.truth("w", since=BORN - 60, until=BORN)
    assert truth.last_started == pytest.approx(BORN - 8, abs=1e-6)
    assert truth.last_success_end == pytest.approx(BORN - 7.5, abs=1e-6)
    assert truth.last_failure_end == pytest.approx(BORN - 5.75, abs=1e-6)
    assert sorted(truth.durations) == [2.25, 2.5]
    assert (truth.duration_sum, truth.duration_count) == (4.75, 2)
    nothing = empty.truth("unknown", since=BORN, until=BORN)
    assert (nothing.last_started, nothing.last_success_end, nothing.last_failure_end) == (None, None, None)
    assert nothing.completed == {"STOPPED": 0, "FAILED": 0, "FINISHED": 0}


def test_a_window_begins_after_since_and_ends_with_until(empty: Simulator) -> None:
    """What began or ended at `since` itself is not in it, what did at `until` is."""
    empty.put("e", status="FINISHED", started_at=BORN - 20, duration=10, workflow_id="w")
    windows = [empty.truth("w", since=BORN - since, until=BORN) for since in (20.000001, 20, 10.000001, 10)]
    assert [len(truth.started) for truth in windows] == [1, 0, 0, 0]
    assert [truth.completed["FINISHED"] for truth in windows] == [1, 1, 1, 0]
    empty.put("f", status="FINISHED", started_at=BORN, duration=0, workflow_id="w")
    truth = empty.truth("w", since=BORN - 1, until=BORN)
    assert (len(truth.started), truth.completed["FINISHED"]) == (1, 1)


def test_what_is_put_counts_from_when_it_was_put(empty: Simulator, clock: HandClock) -> None:
    """Each state that was put is true until the next."""
    clock.now = BORN + 10
    empty.put("e", status="RUNNING", started_at=BORN + 5, workflow_id="w")
    clock.now = BORN + 60
    empty.put(
        "e", status="FAILED", started_at=BORN + 5, duration=40, error=("HTTP_CALL_503", ""), workflow_id="w"
    )

    def at(seconds: float) -> Truth:
        return empty.truth("w", since=BORN, until=BORN + seconds)

    assert at(9).started == frozenset()
    assert at(10).started == {"e"}
    assert (at(10).active["RUNNING"], at(59).active["RUNNING"], at(59).completed["FAILED"]) == (1, 1, 0)
    assert (at(60).active["RUNNING"], at(60).completed["FAILED"]) == (0, 1)
    assert at(60).failures["HTTP_CALL"] == 1
    assert at(60).durations == (40.0,)


def test_an_execution_without_a_readable_end_ended_when_it_was_put(
    empty: Simulator, clock: HandClock
) -> None:
    """It counts, and adds no duration."""
    clock.now = BORN + 10
    empty.put("e", status="FINISHED", started_at="2025-03-10T15:54:50Z", duration="soon", workflow_id="w")
    clock.now = BORN + 20
    empty.put("e", status="FINISHED", started_at="2025-03-10T15:54:50Z", duration="later", workflow_id="w")
    early, late = (empty.truth("w", since=BORN + a, until=BORN + 30) for a in (0, 15))
    assert (early.completed["FINISHED"], late.completed["FINISHED"]) == (1, 0)
    assert early.durations == ()
    assert early.started == {"e"}


def test_what_is_removed_has_been(empty: Simulator, clock: HandClock) -> None:
    """One that ended before still counts; one that was under way never ends and is active no more."""
    empty.add_stream("w", interval=10, run=(25, 25), failing=0, stopped=0, paused=0)
    clock.now = BORN + 59
    runs = {run.id: run for run in empty.runs("w", until=clock.now)}
    over = next(run for run in runs.values() if run.ended is not None)
    going = next(run for run in runs.values() if run.ended is None)
    before = empty.truth("w", since=BORN, until=clock.now)
    empty.remove(over.id)
    empty.remove(going.id)
    after = empty.truth("w", since=BORN, until=clock.now)
    assert after.started == before.started
    assert after.completed == before.completed
    assert sum(after.active.values()) == sum(before.active.values()) - 1
    later = {run.id: run for run in empty.runs("w", until=clock.now + 100)}
    assert (later[going.id].status, later[going.id].gone) == ("RUNNING", True)
    assert (later[over.id].status, later[over.id].gone) == ("FINISHED", True)


def test_a_removed_workflow_has_a_past(empty: Simulator, clock: HandClock) -> None:
    """Its executions are true up to its end, and no more come."""
    empty.add_stream("w", interval=10, run=(5, 5))
    empty.put("e", status="RUNNING", started_at=BORN, workflow_id="w")
    clock.now = BORN + 100
    before = empty.truth("w", since=BORN, until=clock.now)
    empty.remove_workflow("w")
    after = empty.truth("w", since=BORN, until=clock.now + 1000)
    assert after.started == before.started
    assert after.completed == before.completed
    assert sum(after.active.values()) == 0


def test_an_execution_that_is_put_again_is_back(empty: Simulator, clock: HandClock) -> None:
    """After a removal, and under another workflow's name."""
    empty.put("e", status="RUNNING", started_at=BORN, workflow_id="w")
    empty.remove("e")
    assert empty.truth("w", since=0, until=clock.now).active["RUNNING"] == 0
    clock.now += 1
    empty.put("e", status="RUNNING", started_at=BORN, workflow_id="w")
    assert empty.truth("w", since=0, until=clock.now).active["RUNNING"] == 1
    clock.now += 1
    empty.put("e", status="RUNNING", started_at=BORN, workflow_id="v")
    active = [empty.truth(flow, since=0, until=clock.now).active["RUNNING"] for flow in ("w", "v")]
    assert active == [0, 1]
    assert [len(Caller(empty).listed(flow)) for flow in ("v",)] == [1]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("STEP_TIMEOUT", "STEP"),
        ("HTTP_CALL_404", "HTTP_CALL"),
        ("GRPC_CALL_UNAVAILABLE", "GRPC_CALL"),
        ("FUNCTION_CALL_INVALID_RESPONSE", "FUNCTION_CALL"),
        ("CONTAINER_CALL_500", "CONTAINER_CALL"),
        ("YDB_CALL_SERVICE_UNAVAILABLE", "YDB_CALL"),
        ("AGENT_CALL_REFUSED", "OTHER"),
        ("HTTP_CALL", "OTHER"),
        ("STEPS_LOST", "OTHER"),
        ("step_timeout", "OTHER"),
        ("STEP_timeout", "OTHER"),
        ("STEP_TIMEOUT\n", "OTHER"),
        ("STEP_" + "X" * 60, "OTHER"),
        ("", "OTHER"),
    ],
)
def test_an_error_has_the_class_that_is_documented(code: str, expected: str) -> None:
    """The prefix decides, and what is no code has none."""
    assert Run("e", "FAILED", error_code=code).error_class == expected


def test_a_failure_without_an_error_is_an_other_one(empty: Simulator) -> None:
    """FAILED is what counts; an error on one that finished does not."""
    empty.put("e", status="FAILED", started_at=BORN - 2, duration=1, workflow_id="w")
    empty.put(
        "f", status="FINISHED", started_at=BORN - 2, duration=1, error=Failure("STEP_FAIL"), workflow_id="w"
    )
    failures = empty.truth("w", since=0, until=BORN).failures
    assert {name: count for name, count in failures.items() if count} == {"OTHER": 1}


def test_a_stream_fails_in_every_class(empty: Simulator, clock: HandClock) -> None:
    """And with codes that are none."""
    empty.add_stream("w", interval=1, run=(1, 2), failing=1, stopped=0, paused=0)
    clock.now += 100
    truth = empty.truth("w", since=BORN, until=clock.now)
    assert all(truth.failures.values())
    codes = {run.error_code for run in empty.runs("w", until=clock.now)}
    assert {"", "HTTP_CALL"} <= codes


def test_what_has_begun_and_is_not_shown_is_said(empty: Simulator, clock: HandClock) -> None:
    """Then nobody can know it yet, and a test may wait until all is known."""
    empty.add_stream("w", interval=10, run=(1, 1), lag=(30, 30))
    clock.now += 105
    truth = empty.truth("w", since=BORN, until=clock.now)
    assert truth.hidden == 3
    assert len(truth.started) == sum(truth.completed.values()) == 7
