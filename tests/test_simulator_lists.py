"""Lists as the cloud may give them: cut, overlapping, with filters that are refused or mean nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import BORN, EXECUTION, WORKFLOW, Caller, HandClock, same
from yandex.cloud.serverless.workflows.v1 import execution_service_pb2 as executions_pb2
from yandex.cloud.serverless.workflows.v1 import workflow_service_pb2 as workflows_pb2

from exporter.simulator import Simulator, Status, listing
from exporter.simulator.streams import Birth, Habits, Stream
from exporter.simulator.values import NANO, Workflow
from exporter.simulator.world import World

CONDITIONS = "/_simulator/conditions"


@pytest.fixture
def empty() -> Iterator[Simulator]:
    """Run a world with nothing in it."""
    with Simulator(clock=HandClock(), executions=0) as running:
        yield running


def fill(cloud: Simulator, count: int) -> list[str]:
    """Put executions a second apart and return their ids, in the order of their starts."""
    for n in range(count):
        cloud.put(f"e-{n}", status="FINISHED", started_at=BORN + n, duration=1, workflow_id="w")
    return [f"e-{n}" for n in range(count)]


def pages(cloud: Simulator, path: str, name: str, **query: Any) -> list[list[str]]:
    """Return the ids of every page."""
    found: list[list[str]] = []
    token = ""
    while not found or token:
        body = Caller(cloud).ask(path, pageToken=token, **query).json
        kind = executions_pb2.ListExecutionsResponse if name == "executions" else None
        same(body, (kind or workflows_pb2.ListWorkflowsResponse)())
        found.append([item["id"] for item in body.get(name, [])])
        token = body.get("nextPageToken", "")
    return found


def joined(found: list[list[str]]) -> list[str]:
    """Return the ids of all pages."""
    return list(chain.from_iterable(found))


# Pages


@pytest.mark.parametrize("asked", [0, 3, 1000])
def test_a_page_limit_holds_whatever_size_is_asked_for(empty: Simulator, asked: int) -> None:
    """A server may cut its pages shorter; each execution is still there exactly once."""
    ids = fill(empty, 20)
    empty.change_conditions(page_limit=7)
    found = pages(empty, EXECUTION, "executions", workflowId="w", pageSize=asked)
    assert max(map(len, found)) == (3 if asked == 3 else 7)
    assert Counter(joined(found)) == Counter(ids)


def test_overlapping_pages_begin_with_the_end_of_the_page_before(empty: Simulator) -> None:
    """What is told twice is exactly that, and nothing is left out."""
    ids = fill(empty, 20)
    empty.change_conditions(overlap=2)
    found = pages(empty, EXECUTION, "executions", workflowId="w", pageSize=6)
    assert all(after[:2] == before[-2:] for before, after in pairwise(found))
    assert set(joined(found)) == set(ids)


@given(
    count=st.integers(0, 40),
    asked=st.integers(0, 50),
    limit=st.integers(0, 12),
    overlap=st.integers(0, 15),
)
@settings(deadline=None)
def test_pages_of_any_cut_tell_all_and_come_to_an_end(
    count: int, asked: int, limit: int, overlap: int
) -> None:
    """Every page but an empty list's has one item of its own, and none is larger than it may be."""
    items, token = [str(n) for n in range(count)], ""
    seen: list[str] = []
    for _ in range(count + 1):
        query = {"pageSize": str(asked), "pageToken": token}
        shown, token = listing.page(items, str, query, (), listing.Paging(limit, overlap))
        assert len(shown) <= min(asked or 100, limit or 1000)
        assert not seen or set(shown) - set(seen)
        seen += shown
        if not token:
            break
    assert token == ""
    assert set(seen) == set(items)
    assert overlap or len(seen) == count


# Filters


@pytest.mark.parametrize(
    "text",
    [
        "started_at>2025-03-10T15:54:50Z",
        "started_at > 2025-03-10T15:54:50Z",
        'started_at>"2025-03-10T15:54:50Z"',
        "started_at > '2025-03-10T18:54:50+03:00'",
    ],
)
def test_a_filter_may_be_written_in_several_ways(empty: Simulator, text: str) -> None:
    """With or without spaces and quotes."""
    fill(empty, 10)
    found = pages(empty, EXECUTION, "executions", workflowId="w", filter=text)
    assert sorted(joined(found)) == [f"e-{n}" for n in range(6, 10)]


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("refused", "status = FAILED", 400),
        ("refused", "", 20),
        ("ignored", "status = FAILED", 20),
        ("ignored", "no filter at all", 20),
        ("quoted", "started_at > 2025-03-10T15:54:50Z", 400),
        ("quoted", "started_at > '2025-03-10T15:54:50Z'", 400),
        ("quoted", 'started_at > "2025-03-10T15:54:50Z"', 14),
        ("quoted", 'status="FAILED"', 0),
        ("quoted", "status=FAILED", 400),
        ("served", "status=FINISHED", 20),
    ],
)
def test_a_filter_meets_the_weather(empty: Simulator, rule: str, text: str, expected: int) -> None:
    """Refused, without effect, or only in double quotes."""
    fill(empty, 20)
    empty.change_conditions(filters=rule)
    answer = Caller(empty).ask(EXECUTION, workflowId="w", filter=text)
    assert (answer.code if answer.code != 200 else len(answer.json.get("executions", []))) == expected


@given(
    wanted=st.builds(
        listing.Condition,
        st.sampled_from(["started_at", "finished_at"]),
        st.sampled_from("<=>"),
        limit=st.integers(-100 * NANO, 2100 * NANO) | st.integers(-100, 2100).map(NANO.__mul__),
    )
    | st.builds(listing.Condition, st.just("status"), status=st.sampled_from(Status)),
    pace=st.sampled_from([2.0, 1.0, 0.05]),
)
@settings(deadline=None, max_examples=60)
def test_a_filter_on_a_stream_keeps_what_it_would_keep_of_all(wanted: listing.Condition, pace: float) -> None:
    """That only a part of a stream is looked at is seen by nobody."""
    habits = Habits(queued=(0, 9), run=(0, 200), paused=0.3, lag=(0, 60), kept=None)
    stream = Stream("w", 20, Birth(at=NANO // 3, seed=1, pace=pace), habits)
    world = World((), [Workflow("w", "f")], [stream])
    everything = world.executions("w", 2000 * NANO) or []
    assert everything
    kept = world.executions("w", 2000 * NANO, wanted)
    assert kept == [execution for execution in everything if wanted.keeps(execution)]


# Conditions


def test_the_conditions_of_lists_change_over_http(empty: Simulator) -> None:
    """POST names some of them, the others stay."""
    caller = Caller(empty)
    changed = caller.ask(CONDITIONS, "POST", b'{"filters": "quoted", "page_limit": 5}').json
    assert (changed["filters"], changed["page_limit"], changed["overlap"]) == ("quoted", 5, 0)
    changed = caller.ask(CONDITIONS, "POST", b'{"overlap": 1}').json
    assert caller.ask(CONDITIONS).json == changed
    assert (changed["filters"], changed["overlap"]) == ("quoted", 1)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"filters": "maybe"}, "filters: must be one of served, refused, ignored, quoted"),
        ({"filters": []}, "filters: must be one of"),
        ({"page_limit": -1}, "page_limit: must be an integer from 0 to 1000"),
        ({"page_limit": True}, "page_limit: must be an integer"),
        ({"overlap": 1001}, "overlap: must be an integer from 0 to 1000"),
        ({"pages": 1}, "pages: no such field; one of latency, payload_bytes, page_limit, filters, overlap"),
    ],
)
def test_bad_conditions_of_lists_change_nothing(empty: Simulator, body: Any, told: str) -> None:
    """The refusal says what to write instead."""
    before = Caller(empty).ask(CONDITIONS).json
    answer = Caller(empty).ask(CONDITIONS, "POST", json.dumps(body).encode())
    assert answer.code == 400
    assert told in answer.json["error"]
    assert Caller(empty).ask(CONDITIONS).json == before


# Workflows and folders


def test_each_folder_lists_its_own_workflows_page_by_page(empty: Simulator) -> None:
    """And a folder that nobody knows has none."""
    for n in range(25):
        empty.put_workflow(f"w-{n}", folder_id=f"b1g{n % 2}")
    even = pages(empty, WORKFLOW, "workflows", folderId="b1g0", pageSize=4)
    odd = pages(empty, WORKFLOW, "workflows", folderId="b1g1", pageSize=100)
    assert sorted(joined(even)) == sorted(f"w-{n}" for n in range(0, 25, 2))
    assert sorted(joined(odd)) == sorted(f"w-{n}" for n in range(1, 25, 2))
    assert pages(empty, WORKFLOW, "workflows", folderId="b1gunknown") == [[]]
    assert Caller(empty).ask(WORKFLOW, folderId="no folder").code == 400


def test_a_list_of_workflows_may_be_cut_and_overlap_too(empty: Simulator) -> None:
    """The conditions are those of every list."""
    for n in range(7):
        empty.put_workflow(f"w-{n}")
    empty.change_conditions(page_limit=3, overlap=1)
    found = pages(empty, WORKFLOW, "workflows", folderId=empty.folder_id)
    assert [len(page) for page in found] == [3, 3, 3]
    assert len(set(joined(found))) == 7


def test_a_living_workflow_changes(empty: Simulator) -> None:
    """Its name, labels, state and schedule, one without the others."""
    empty.put_workflow("w", name="old", labels={"a": "b"}, cron="0 3 * * ? *")
    empty.update_workflow("w", name="new", status="UPDATING", timezone="Asia/Kolkata")
    body = Caller(empty).ask(f"{WORKFLOW}/w").json
    same(body, workflows_pb2.GetWorkflowResponse())
    workflow = body["workflow"]
    assert (workflow["name"], workflow["labels"], workflow["status"]) == ("new", {"a": "b"}, "UPDATING")
    assert workflow["schedule"] == {"cronExpression": "0 3 * * ? *", "timezone": "Asia/Kolkata"}
    empty.update_workflow("w", labels={"cost-center/eu": "1", "cost_center_eu": "2"}, cron="", timezone="")
    workflow = Caller(empty).ask(f"{WORKFLOW}/w").json["workflow"]
    assert workflow["labels"] == {"cost-center/eu": "1", "cost_center_eu": "2"}
    assert "schedule" not in workflow


def test_only_a_known_workflow_and_known_fields_change(empty: Simulator) -> None:
    """A test that is mistaken is told so."""
    with pytest.raises(ValueError, match="w: there is no such workflow"):
        empty.update_workflow("w", name="x")
    empty.put_workflow("w")
    with pytest.raises(TypeError, match="nmae"):
        empty.update_workflow("w", nmae="x")


def test_the_demo_shows_every_kind_of_workflow() -> None:
    """A zone and UTC, express, a broken one, labels that collide, and a second folder with its own runs."""
    clock = HandClock()
    with Simulator(clock=clock) as cloud:
        clock.now += 3600
        caller = Caller(cloud)
        flows = [caller.ask(f"{WORKFLOW}/{id_}").json["workflow"] for id_ in cloud.workflow_ids()]
        zones = {flow["schedule"].get("timezone", "UTC") for flow in flows if "schedule" in flow}
        assert zones == {"Europe/Moscow", "UTC"}
        assert [flow.get("express", False) for flow in flows] == [False, True, False]
        assert [flow["status"] for flow in flows] == ["ACTIVE", "ACTIVE", "ERROR"]
        assert {"cost-center/eu", "cost_center_eu"} <= set(flows[0]["labels"])
        second = pages(cloud, WORKFLOW, "workflows", folderId=cloud.folder_ids[1])
        assert len(second[0]) == 2
        assert all(len(caller.listed(id_)) > 20 for id_ in second[0])
