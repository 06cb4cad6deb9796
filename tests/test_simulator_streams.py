"""Streams on demand: endless, the same for the same seed, told of late and forgotten as they are asked to."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from simulated import BORN, EXECUTION, WORKFLOW, Caller, HandClock, get, same
from yandex.cloud.serverless.workflows.v1 import execution_service_pb2 as executions_pb2
from yandex.cloud.serverless.workflows.v1 import workflow_service_pb2 as workflows_pb2

from exporter.simulator import Simulator
from exporter.simulator.listing import Condition
from exporter.simulator.streams import Birth, Habits, Stream
from exporter.simulator.values import NANO, Workflow
from exporter.simulator.world import World


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def empty(clock: HandClock) -> Iterator[Simulator]:
    """Run a world with nothing in it."""
    with Simulator(clock=clock, executions=0) as running:
        yield running


def ids(cloud: Simulator, workflow_id: str = "w", **query: object) -> set[str]:
    """Return what List tells of a workflow."""
    return {execution["id"] for execution in Caller(cloud).listed(workflow_id, pageSize=1000, **query)}


def started(preview: dict[str, Any]) -> int:
    """Return a start in nanoseconds, read by the vendor's classes."""
    stamp = timestamp_pb2.Timestamp()
    stamp.FromJsonString(preview["startedAt"])
    return int(stamp.ToNanoseconds())


def lasted(preview: dict[str, Any]) -> int:
    """Return a duration in nanoseconds, read by the vendor's classes."""
    value = duration_pb2.Duration()
    value.FromJsonString(preview["duration"])
    return int(value.ToNanoseconds())


def test_a_stream_begins_with_the_call_and_its_workflow_is_put(empty: Simulator, clock: HandClock) -> None:
    """Nothing at first, then one each interval, none of them older than the stream."""
    clock.now += 1000
    empty.add_stream("w", interval=10)
    assert Caller(empty).ask(f"{WORKFLOW}/w").json["workflow"]["status"] == "ACTIVE"
    assert ids(empty) == set()
    clock.now += 101
    listed = Caller(empty).listed("w")
    assert len(listed) == 10
    assert min(map(started, listed)) >= int((BORN + 1000) * 10**6) * 1000


@pytest.mark.parametrize("seconds", [1, 5, 30, 100])
def test_what_a_stream_tells_is_the_vendors_message_at_any_age(
    empty: Simulator, clock: HandClock, seconds: float
) -> None:
    """List, Get and GetHistory parse strictly, and Get tells of an execution what List does."""
    empty.add_stream("w", interval=1, run=(0, 30), queued=(0, 5), lag=(0, 3), paused=0.3, failing=0.4)
    clock.now += seconds
    caller = Caller(empty)
    page = caller.ask(EXECUTION, workflowId="w", pageSize=1000).json
    same(page, executions_pb2.ListExecutionsResponse())
    same(caller.ask(f"{WORKFLOW}/w").json, workflows_pb2.GetWorkflowResponse())
    for preview in page.get("executions", [])[:30]:
        path = f"{EXECUTION}/{preview['id']}"
        body = caller.ask(path).json
        same(body, executions_pb2.GetExecutionResponse())
        same(caller.ask(f"{path}/history").json, executions_pb2.GetExecutionHistoryResponse())
        assert {key: body["execution"][key] for key in preview} == preview


def test_a_stream_goes_as_its_shares_and_its_range_say(empty: Simulator, clock: HandClock) -> None:
    """All of one fate, or about the shares that were asked for."""
    empty.add_stream("failing", interval=1, run=(2, 3), failing=1, stopped=0, paused=0)
    empty.add_stream("mixed", interval=1, run=(2, 3), failing=0.5, stopped=0.25, paused=0)
    clock.now += 1004
    failing = [e for e in Caller(empty).listed("failing") if "duration" in e]
    assert {e["status"] for e in failing} == {"FAILED"}
    # Each end is cut to as many digits as its start, so it may be a second off.
    assert all(1e9 <= lasted(e) <= 4e9 for e in failing)
    fates = Counter(e["status"] for e in Caller(empty).listed("mixed"))
    assert 400 < fates["FAILED"] < 600
    assert 180 < fates["STOPPED"] < 320


def test_a_run_that_pauses_goes_on_and_finishes(empty: Simulator, clock: HandClock) -> None:
    """It is seen paused, later running again."""
    empty.add_stream("w", interval=1000, run=(400, 400), failing=0, stopped=0, paused=1)
    clock.now += 1000
    (execution,) = ids(empty)
    seen = []
    for _ in range(6):
        clock.now += 99
        seen.append(get(empty, execution)["status"])
    assert seen == ["RUNNING", "RUNNING", "PAUSED", "PAUSED", "RUNNING", "FINISHED"]


def test_a_lagging_execution_is_neither_listed_nor_found_at_first(empty: Simulator, clock: HandClock) -> None:
    """It appears by itself, some time after its startedAt, and keeps that startedAt."""
    empty.add_stream("w", interval=1000, lag=(20, 30), run=(100, 100))
    clock.now += 1019
    assert ids(empty) == set()
    (coming,) = empty.runs("w", until=clock.now + 60)
    assert Caller(empty).ask(f"{EXECUTION}/{coming.id}").code == 404
    clock.now += 12
    assert ids(empty) == {coming.id}
    assert started(get(empty, coming.id)) == coming.started


def test_the_order_of_appearance_is_not_that_of_the_starts(empty: Simulator, clock: HandClock) -> None:
    """Who believes that all before the newest are known is wrong."""
    empty.add_stream("w", interval=5, lag=(0, 60), run=(1, 2))
    appeared: list[str] = []
    for _ in range(60):
        clock.now += 5
        appeared += sorted(ids(empty) - set(appeared))
    starts = [started(get(empty, execution)) for execution in appeared]
    assert starts != sorted(starts)


def test_a_seed_is_one_life_whatever_else_there_is(clock: HandClock) -> None:
    """The same seed at the same moment is the same stream; of two on one workflow no id is told twice."""
    clouds = [Simulator(clock=clock, executions=0, seed=seed) for seed in (1, 2)]
    for cloud in clouds:
        cloud.add_stream("w", interval=3, seed=7)
    clouds[1].add_stream("w", interval=3, seed=7)
    clock.now += 300
    one, two = ({run.id for run in cloud.runs("w", until=clock.now)} for cloud in clouds)
    assert one < two
    assert len(two) == 2 * len(one)


def test_a_stream_joins_a_workflow_that_has_one(clock: HandClock) -> None:
    """Both are listed and found, and what was put as well."""
    with Simulator(clock=clock) as cloud:
        workflow_id = cloud.workflow_ids()[0]
        cloud.add_stream(workflow_id, interval=10)
        clock.now += 600
        cloud.put("mine", workflow_id=workflow_id)
        listed = ids(cloud, workflow_id)
        assert len(listed) > 60 + 20
        assert "mine" in listed
        assert all(get(cloud, execution)["id"] == execution for execution in listed)


def test_what_is_put_in_place_of_a_streams_run_is_told_once(empty: Simulator, clock: HandClock) -> None:
    """And it is what was put that is told."""
    empty.add_stream("w", interval=10, run=(1, 2))
    clock.now += 100
    execution = min(ids(empty))
    empty.put(execution, status="PAUSED", workflow_id="w")
    told = [e["status"] for e in Caller(empty).listed("w") if e["id"] == execution]
    assert told == ["PAUSED"]


@pytest.mark.parametrize("kept", [1, 50])
def test_a_stream_is_remembered_as_far_as_it_is_kept(empty: Simulator, clock: HandClock, kept: int) -> None:
    """Older ones are not listed, and not found; without a bound all are."""
    empty.add_stream("w", interval=1, run=(1, 2), kept=kept)
    empty.add_stream("all", interval=1, run=(1, 2))
    clock.now += 300.5
    runs = sorted(empty.runs("w", until=clock.now), key=lambda run: run.started or 0)
    assert len(ids(empty)) in (kept, kept + 1)
    assert Caller(empty).ask(f"{EXECUTION}/{runs[0].id}").code == 404
    assert Caller(empty).ask(f"{EXECUTION}/{runs[-1].id}").code == 200
    assert len(ids(empty, "all")) >= 300


def test_a_demo_of_many_days_stays_small(clock: HandClock) -> None:
    """Ten days of streams are a few pages."""
    with Simulator(clock=clock) as cloud:
        clock.now += 10 * 86400
        for folder_id in cloud.folder_ids:
            assert all(150 < len(ids(cloud, w)) < 250 for w in cloud.workflow_ids(folder_id))


def test_speed_makes_streams_faster(clock: HandClock) -> None:
    """Intervals, runs and lags take a part of what was asked for."""
    with Simulator(clock=clock, executions=0, speed=60) as cloud:
        cloud.add_stream("w", interval=60, run=(60, 60), lag=(30, 30), failing=0, stopped=0, paused=0)
        clock.now += 1.25
        assert ids(cloud) == set()
        clock.now += 10
        assert len(ids(cloud)) == 10
        ended = [e for e in Caller(cloud).listed("w") if e["status"] == "FINISHED"]
        assert {lasted(e) for e in ended} == {10**9}


def test_a_removed_workflow_takes_its_streams_along(empty: Simulator, clock: HandClock) -> None:
    """404 for the list and for each execution; a workflow of the same id begins anew."""
    empty.add_stream("w", interval=10)
    clock.now += 100
    execution = min(ids(empty))
    empty.remove_workflow("w")
    assert Caller(empty).ask(EXECUTION, workflowId="w").code == 404
    assert Caller(empty).ask(f"{EXECUTION}/{execution}").code == 404
    empty.put_workflow("w")
    assert ids(empty) == set()


@pytest.mark.parametrize("tail", ["", "x" * 12, "0" * 12, "fffffffffff0", "00000000100\uff11"])
def test_an_id_that_is_only_like_one_of_a_stream_is_not_found(
    empty: Simulator, clock: HandClock, tail: str
) -> None:
    """The number in an id has to be one that exists, and all of the id has to be right."""
    empty.add_stream("w", interval=1)
    clock.now += 100
    prefix = min(ids(empty))[:-12]
    for execution in (f"{prefix}{tail}", f"w-{tail}", tail + "-" * 30):
        assert Caller(empty).ask(f"{EXECUTION}/{quote(execution)}").code == 404


@pytest.mark.parametrize("interval", [0.01, 0.3, 7.0])
def test_a_run_is_told_of_from_the_moment_of_its_start(interval: float) -> None:
    """Not a nanosecond later, however its start was cut; and a filter for that start keeps it."""
    stream = Stream("w", interval, Birth(at=NANO // 3, seed=1, pace=1), Habits(kept=None))
    world = World((), [Workflow("w", "f")], [stream])
    for number in range(1, 60):
        start = stream.run(number).phases[0].at
        assert start >= stream.birth.at
        told = [
            {each.id for each in world.executions("w", now, Condition("started_at", "=", limit=start)) or []}
            for now in (start - 1, start, start + 10 * NANO)
        ]
        assert [stream.run(number).id in ids for ids in told] == [False, True, True]


def test_a_filter_looks_at_few_runs_of_a_long_stream() -> None:
    """A list of what is new costs the same in the third hour as in the first minute."""
    birth = Birth(at=0, seed=1, pace=1)
    stream = Stream("w", 1.0, birth, Habits(kept=None))
    now = 10_000 * 10**9
    assert len(stream.numbers(now)) >= 10_000
    assert len(stream.numbers(now, now - 5 * 10**9)) < 10
    assert len(stream.numbers(now, now - stream.longest)) < 100
    assert len(stream.numbers(now, 500 * 10**9, 500 * 10**9)) < 5


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"interval": 0}, "interval: "),
        ({"interval": float("nan")}, "interval: "),
        ({"interval": float("inf")}, "interval: "),
        ({"run": (3, 2)}, "run: must be"),
        ({"lag": (-1, 2)}, "lag: must be"),
        ({"queued": (0, float("inf"))}, "queued: must be"),
        ({"failing": 0.8, "stopped": 0.3}, "together at most 1"),
        ({"paused": -0.1}, "from 0 to 1"),
        ({"kept": 0}, "kept: must be at least 1"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(empty: Simulator, changes: dict[str, Any], told: str) -> None:
    """The parameter is named, and no workflow is put."""
    with pytest.raises(ValueError, match=told):
        empty.add_stream("w", **{"interval": 1, **changes})
    assert Caller(empty).ask(f"{WORKFLOW}/w").code == 404
