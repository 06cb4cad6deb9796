"""Whole workflows over the simulated cloud, from settings to samples, by a clock that is told the time."""

import logging
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ToldClock
from test_application import Desk, Samples, value

from exporter.application import Application
from exporter.config import ConfigError
from exporter.infos import INFO_AGE
from exporter.looks import FILTER_AGE
from exporter.memory import FAILED_RECHECK
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.simulator.truth import CLASSES, Truth
from exporter.targets import Watched, WorkflowTarget
from exporter.yandex.calls import Budget

FLOW = "dfqstream"
OTHER = "dfqother"
ENDS = ("STOPPED", "FAILED", "FINISHED")


@pytest.fixture
def cloud(told_clock: ToldClock) -> Iterator[Simulator]:
    """Return a cloud with two workflows that have never run, by the clock of the exporter."""
    with Simulator(executions=0, clock=told_clock.time) as simulator:
        for flow in (FLOW, OTHER):
            simulator.put_workflow(flow, name=f"name-of-{flow}", created_at=1_700_000_000.0)
        yield simulator


def watching(cloud: Simulator, clock: ToldClock, **settings: Any) -> Desk:
    """Return an exporter that watches both workflows and nothing else."""
    return Desk(cloud, clock, **{"executions": [], "workflows": [FLOW, OTHER], **settings})


def counted(page: Samples, flow: str = FLOW) -> dict[str, float | None]:
    """Return the counters of a workflow by short names."""
    at = {"workflow_id": flow}
    return {
        "started": value(page, "executions_started_total", **at),
        **{end: value(page, "executions_completed_total", status=end, **at) for end in ENDS},
        **{name: value(page, "failures_total", error_class=name, **at) for name in CLASSES},
        "runs": value(page, "completed_duration_seconds_count", **at),
    }


def true_counts(truth: Truth) -> dict[str, float]:
    """Return what the counters must be."""
    return {
        "started": len(truth.started),
        **truth.completed,
        **truth.failures,
        "runs": truth.duration_count,
    }


def gauges(page: Samples, flow: str = FLOW) -> dict[str, float | None]:
    """Return the instants of the last runs by short names."""
    names = ("started", "success", "failure")
    return {name: value(page, f"last_{name}_timestamp_seconds", workflow_id=flow) for name in names}


CONDITIONS: tuple[Mapping[str, Any], ...] = (
    {},
    {"page_limit": 10, "overlap": 3},
    {"filters": "refused"},
    {"filters": "quoted", "page_limit": 50},
    {"filters": "ignored", "overlap": 1, "page_limit": 20},
)


@pytest.mark.parametrize("conditions", CONDITIONS, ids=str)
def test_the_counters_are_the_truth(
    cloud: Simulator, told_clock: ToldClock, conditions: Mapping[str, Any]
) -> None:
    """However lists are cut and filters taken, with calls that fail and executions that show late."""
    chance = random.Random(str(conditions))
    cloud.change_conditions(**conditions)
    desk = watching(cloud, told_clock)
    desk.page()
    since = told_clock.time()
    cloud.add_stream(FLOW, interval=4.0, run=(0.5, 90.0), lag=(0.0, 60.0), failing=0.3)
    for _ in range(40):
        told_clock.sleep(chance.choice((1, 10, 45, 200)))
        if chance.random() < 0.3:
            method = chance.choice(("Execution.Get", "Execution.List"))
            cloud.faults.add(FaultRule(Fault.STATUS, code=403, method=method, times=chance.randint(1, 3)))
        desk.page()
        cloud.faults.clear()
    truth = settled(cloud, told_clock, desk, since)
    page = desk.page()
    assert counted(page) == true_counts(truth)
    assert value(page, "completed_duration_seconds_sum", workflow_id=FLOW) == pytest.approx(
        truth.duration_sum
    )
    assert gauges(page) == {
        "started": truth.last_started,
        "success": truth.last_success_end,
        "failure": truth.last_failure_end,
    }
    active = {s: value(page, "active_executions", workflow_id=FLOW, status=s) for s in truth.active}
    assert active == truth.active
    assert counted(page, OTHER) == dict.fromkeys(counted(page), 0)


def run(cloud: Simulator, number: int, started: float, status: str = "FINISHED", **more: Any) -> None:
    """Put an execution of the first workflow that took two seconds, if it has ended."""
    duration = None if status == "RUNNING" else 2.0
    cloud.put(
        f"{FLOW}-{number}", workflow_id=FLOW, status=status, started_at=started, duration=duration, **more
    )


def settled(cloud: Simulator, clock: ToldClock, desk: Desk, since: float) -> Truth:
    """Scrape until what the API had shown so far is known; return the truth of this moment."""
    for _ in range(4):
        clock.sleep(FAILED_RECHECK)
        desk.page()
    return cloud.truth(FLOW, since=since, until=clock.time())


def test_a_scrape_costs_one_call_for_each_workflow(cloud: Simulator, told_clock: ToldClock) -> None:
    """Whatever the history; and one for each active execution that the list does not show."""
    for number in range(150):
        run(cloud, number, ago(told_clock, 9e4))
    run(cloud, 1000, ago(told_clock, 8000), "RUNNING")
    run(cloud, 1001, ago(told_clock, 10), "RUNNING")
    desk = watching(cloud, told_clock)
    desk.page()
    assert calls(cloud) == {"Execution.List": 2, "Workflow.Get": 2}
    for _ in range(5):
        cloud.clear_calls()
        desk.page()
        assert calls(cloud) == {"Execution.List": 2, "Execution.Get": 1}
    told_clock.sleep(INFO_AGE * 1.2)
    cloud.clear_calls()
    desk.page()
    assert calls(cloud)["Workflow.Get"] == 2


def ago(clock: ToldClock, seconds: float) -> float:
    """Return a moment before now."""
    return clock.time() - seconds


def calls(cloud: Simulator) -> dict[str, int]:
    """Return how many calls there were, by name."""
    names = [call.method for call in cloud.calls]
    return {name: names.count(name) for name in sorted(set(names))}


def test_a_failed_execution_is_asked_for_once(cloud: Simulator, told_clock: ToldClock) -> None:
    """For its error code, which no list has; later pages and other scrapes do not ask again."""
    desk = watching(cloud, told_clock)
    desk.page()
    run(cloud, 1, told_clock.time() + 1, "FAILED", error=("GRPC_CALL_UNAVAILABLE", "no"))
    cloud.clear_calls()
    for _ in range(4):
        told_clock.sleep(30)
        page = desk.page()
    assert calls(cloud) == {"Execution.Get": 1, "Execution.List": 8}
    assert counted(page)["GRPC_CALL"] == counted(page)["FAILED"] == 1


def test_no_execution_waits_for_ever(cloud: Simulator, told_clock: ToldClock) -> None:
    """With time for few calls in each scrape, all active executions have their turn."""
    for number in range(30):
        run(cloud, number, ago(told_clock, 8000), "RUNNING")
    run(cloud, 1000, ago(told_clock, 1))
    desk = watching(cloud, told_clock, workflows=[FLOW], api=slow(cloud, 10))
    desk.page()
    for number in range(30):
        run(cloud, number, ago(told_clock, 8000))
    done = []
    for _ in range(6):
        told_clock.sleep(30)
        page = desk.page()
        done.append(counted(page)["FINISHED"] or 0)
    assert done == sorted(done)
    assert done[0] == 9
    assert done[-1] == 30
    assert value(page, "scrape_success", workflow_id=FLOW) == 1


def slow(cloud: Simulator, calls_in_a_scrape: int) -> dict[str, Any]:
    """Return settings of the API by which a scrape of five seconds has time for so many calls."""
    return {"endpoint": cloud.base_url, "requests_per_second": calls_in_a_scrape / 5.0}


def test_a_filter_that_is_refused_is_tried_again_after_an_hour(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """Until then lists go without, and no call is wasted on it."""
    cloud.change_conditions(filters="refused")
    desk = watching(cloud, told_clock, workflows=[FLOW])
    lists = []
    for pause in (0, 30, FILTER_AGE + 1, 30):
        told_clock.sleep(pause)
        cloud.clear_calls()
        assert value(desk.page(), "scrape_success", workflow_id=FLOW) == 1
        lists.append(cloud.count("Execution.List"))
    assert lists == [3, 1, 3, 1]


def test_a_list_that_breaks_off_goes_on_where_it_was(cloud: Simulator, told_clock: ToldClock) -> None:
    """So that a history too long for one scrape is read by several, and meanwhile the target has failed."""
    for number in range(12):
        run(cloud, number, ago(told_clock, 50), "RUNNING")
    cloud.change_conditions(page_limit=2)
    desk = watching(cloud, told_clock, workflows=[FLOW])
    cloud.faults.add(FaultRule(Fault.BAD_DURATION, method="Execution.List", times=3))
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, method="Execution.List", times=1))
    first = desk.page()
    assert cloud.count("Execution.List") == 4
    assert value(first, "scrape_success", workflow_id=FLOW) == 0
    assert value(first, "active_executions", workflow_id=FLOW, status="RUNNING") is None
    assert counted(first)["FINISHED"] == 0
    cloud.clear_calls()
    second = desk.page()
    assert cloud.count("Execution.List") == 3
    assert value(second, "scrape_success", workflow_id=FLOW) == 1
    assert value(second, "active_executions", workflow_id=FLOW, status="RUNNING") == 12


def test_a_workflow_that_cannot_be_read_costs_no_other_its_data(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """It says so, its gauges of now are gone, its counters and its last runs stay."""
    desk = watching(cloud, told_clock)
    desk.page()
    run(cloud, 1, told_clock.time() + 1)
    told_clock.sleep(30)
    desk.page()
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, method="Execution.List", target=FLOW))
    page = desk.page()
    at = {"workflow_id": FLOW}
    assert value(page, "scrape_success", **at) == 0
    assert value(page, "scrape_http_code", **at) == 403
    assert value(page, "active_executions", status="RUNNING", **at) is None
    assert value(page, "recent_executions", status="RUNNING", **at) is None
    assert value(page, "state", state="ACTIVE", **at) is None
    assert value(page, "executions_completed_total", status="FINISHED", **at) == 1
    assert value(page, "last_success_timestamp_seconds", **at) is not None
    assert value(page, "scrape_success", workflow_id=OTHER) == 1
    assert value(page, "active_executions", status="RUNNING", workflow_id=OTHER) == 0
    assert value(page, "exporter_scrape_failed_targets", kind="workflow") == 1
    assert value(page, "exporter_scrape_errors_total", reason="forbidden") == 1
    assert value(page, "up") == 1


def test_a_workflow_that_does_not_exist_is_left_alone_for_five_minutes(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """All but its counters is gone; after a while, or a reload, it is asked for again."""
    desk = watching(cloud, told_clock, workflows=["dfqnosuch"])
    page = desk.page()
    assert value(page, "scrape_http_code", workflow_id="dfqnosuch") == 404
    assert value(page, "executions_started_total", workflow_id="dfqnosuch") == 0
    cloud.clear_calls()
    desk.page()
    assert calls(cloud) == {}
    told_clock.sleep(FAILED_RECHECK)
    cloud.put_workflow("dfqnosuch")
    assert value(desk.page(), "scrape_success", workflow_id="dfqnosuch") == 1


def test_workflows_of_a_folder_come_and_go(cloud: Simulator, told_clock: ToldClock) -> None:
    """Each scrape knows them, by the filters' names and labels, without a restart."""
    cloud.put_workflow("dfqa", name="order-a", labels={"team": "payments"})
    cloud.put_workflow("dfqb", name="order-b", labels={"team": "stock"})
    folders = [{"id": cloud.folder_id, "include": ["order-*"], "labels": {"team": "payments"}}]
    desk = watching(cloud, told_clock, workflows=[], folders=folders)
    assert watched(desk.page()) == {"dfqa"}
    cloud.put_workflow("dfqc", name="order-c", labels={"team": "payments"})
    cloud.update_workflow("dfqb", labels={"team": "payments"})
    cloud.clear_calls()
    assert watched(desk.page()) == {"dfqa", "dfqb", "dfqc"}
    assert calls(cloud) == {"Execution.List": 3, "Workflow.Get": 2, "Workflow.List": 1}
    cloud.remove_workflow("dfqa")
    assert watched(desk.page()) == {"dfqb", "dfqc"}
    cloud.faults.add(FaultRule(Fault.STATUS, code=503, method="Workflow.List"))
    page = desk.page()
    assert watched(page) == {"dfqb", "dfqc"}
    assert value(page, "exporter_scrape_failed_targets", kind="folder") == 1
    assert value(page, "scrape_success", workflow_id="dfqb") == 1


def watched(page: Samples) -> set[str]:
    """Return the workflows of a page."""
    return {dict(labels)["workflow_id"] for name, labels in page if name == "yc_workflow_scrape_success"}


def test_counters_go_on_when_a_workflow_comes_back(cloud: Simulator, told_clock: ToldClock) -> None:
    """What ended while a filter hid it is counted then."""
    cloud.put_workflow("dfqa", name="order-a", labels={"team": "x"})
    folders = [{"id": cloud.folder_id, "labels": {"team": "x"}}]
    desk = watching(cloud, told_clock, workflows=[], folders=folders)
    desk.page()
    cloud.update_workflow("dfqa", labels={})
    assert watched(desk.page()) == set()
    cloud.put("dfqa-1", workflow_id="dfqa", status="FINISHED", started_at=told_clock.time() + 1, duration=1.0)
    told_clock.sleep(3600)
    cloud.update_workflow("dfqa", labels={"team": "x"})
    assert counted(desk.page(), "dfqa")["FINISHED"] == 1


def test_names_and_labels_are_on_the_info_alone(cloud: Simulator, told_clock: ToldClock) -> None:
    """Label keys are made valid; a label that was not asked for does not show."""
    labels = {"cost-center/eu": "42", "team": "payments", "secret": "x"}
    cloud.put_workflow(FLOW, name="order", labels=labels, express=True)
    page = watching(cloud, told_clock, labels=["cost-center/eu", "team"]).page()
    info = next(
        dict(at) for name, at in page if name == "yc_workflow_info" and dict(at)["workflow_id"] == FLOW
    )
    assert info == {
        "workflow_id": FLOW, "workflow_name": "order", "folder_id": cloud.folder_id, "express": "true",
        "label_cost_center_eu": "42", "label_team": "payments",
    }  # fmt: skip
    with_name = [name for name, at in page if dict(at).get("workflow_name")]
    assert with_name == ["yc_workflow_info"] * 2


def test_two_keys_that_become_one_label_are_told(
    cloud: Simulator, told_clock: ToldClock, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start, with both keys; the page is whole all the same."""
    with caplog.at_level(logging.WARNING):
        desk = watching(cloud, told_clock, labels=["a-b", "a.b"])
    assert "labels: these keys become one" in caplog.text
    assert watched(desk.page()) == {FLOW, OTHER}


def test_counters_are_on_the_first_page_after_a_restart(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path
) -> None:
    """Also those of workflows of a folder that cannot be listed then."""
    settings = {"workflows": [], "folders": [cloud.folder_id], "state": {"file": str(tmp_path / "state.db")}}
    first = watching(cloud, told_clock, **settings)
    first.page()
    run(cloud, 1, told_clock.time() + 1)
    told_clock.sleep(30)
    first.page()
    first.application.close()
    cloud.faults.add(FaultRule(Fault.STATUS, code=403))
    second = watching(cloud, told_clock, **settings)
    page = second.page()
    assert watched(page) == {FLOW, OTHER}
    assert counted(page)["FINISHED"] == 1
    second.application.close()


def test_a_folder_that_is_not_found_keeps_its_workflows_once(cloud: Simulator, told_clock: ToldClock) -> None:
    """One answer may be wrong; a second one, minutes later, is believed."""
    desk = watching(cloud, told_clock, workflows=[], folders=[cloud.folder_id])
    desk.page()
    cloud.faults.add(FaultRule(Fault.STATUS, code=404, method="Workflow.List"))
    assert watched(desk.page()) == {FLOW, OTHER}
    told_clock.sleep(FAILED_RECHECK)
    assert watched(desk.page()) == set()


def test_schedules(cloud: Simulator, told_clock: ToldClock) -> None:
    """When it should have started and when it will, in the zone of the schedule."""
    cloud.update_workflow(FLOW, cron="0 3 * * ? *", timezone="Europe/Moscow")
    page = watching(cloud, told_clock).page()
    # 16:00 UTC on 10 March 2025; three in the morning in Moscow is midnight in UTC.
    midnight = 1_741_564_800.0
    at = {"workflow_id": FLOW}
    assert value(page, "schedule_last_expected_timestamp_seconds", **at) == midnight
    assert value(page, "schedule_next_timestamp_seconds", **at) == midnight + 86400
    assert value(page, "schedule_next_timestamp_seconds", workflow_id=OTHER) is None


def test_a_schedule_that_is_changed_expects_nothing_from_before(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """A start that no schedule of its time asked for is not missed."""
    cloud.update_workflow(FLOW, cron="0 0 * * ? *", timezone="UTC")
    desk = watching(cloud, told_clock)
    at = {"workflow_id": FLOW}
    assert value(desk.page(), "schedule_last_expected_timestamp_seconds", **at) is not None
    cloud.update_workflow(FLOW, cron="30 * * * ? *", timezone="UTC")
    told_clock.sleep(INFO_AGE * 1.1)
    changed = told_clock.time()
    page = desk.page()
    assert value(page, "schedule_last_expected_timestamp_seconds", **at) is None
    expected = value(page, "schedule_next_timestamp_seconds", **at)
    assert expected is not None
    told_clock.sleep(expected - changed)
    assert value(desk.page(), "schedule_last_expected_timestamp_seconds", **at) == expected


def test_an_unreadable_schedule_is_told_once_and_costs_only_itself(
    cloud: Simulator, told_clock: ToldClock, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log, a count, and all the other series."""
    cloud.update_workflow(FLOW, cron="every monday", timezone="Europe/Moscow")
    desk = watching(cloud, told_clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            page = desk.page()
            told_clock.sleep(INFO_AGE * 2)
    assert caplog.text.count("schedule cannot be read") == 1
    assert value(page, "schedule_next_timestamp_seconds", workflow_id=FLOW) is None
    assert value(page, "scrape_success", workflow_id=FLOW) == 1
    assert value(page, "exporter_unknown_values_total", field="cron") == 3


def test_what_the_configuration_says_is_on_the_page(cloud: Simulator, told_clock: ToldClock) -> None:
    """So that no rule holds a magic number."""
    flows = [{"id": FLOW, "expected_success_interval": "25h"}]
    quota = {"active_executions": 200, "workflows": 40}
    page = watching(cloud, told_clock, workflows=flows, quota=quota, recent_window="2h").page()
    assert value(page, "expected_success_interval_seconds", workflow_id=FLOW) == 90000
    assert value(page, "quota_limit", quota="active_executions") == 200
    assert value(page, "quota_limit", quota="workflows") == 40
    assert value(page, "recent_window_seconds") == 7200


def test_recent_executions_are_right_after_any_restart(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path
) -> None:
    """They are counted of what the list shows, not of what the exporter has seen."""
    for number in range(30):
        run(cloud, number, ago(told_clock, 240 * number + 1))
    state = {"file": str(tmp_path / "state.db")}
    first = watching(cloud, told_clock, state=state)
    at = {"workflow_id": FLOW, "status": "FINISHED"}
    assert value(first.page(), "recent_executions", **at) == 15
    first.application.close()
    second = watching(cloud, told_clock, state=state, recent_window="90m")
    assert value(second.page(), "recent_executions", **at) == 23
    assert counted(second.page())["FINISHED"] == 0
    second.application.close()


def test_a_restart_with_a_state_file_counts_what_ended_meanwhile(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path
) -> None:
    """And nothing twice."""
    state = {"file": str(tmp_path / "state.db")}
    since = told_clock.time()
    cloud.add_stream(FLOW, interval=20.0, run=(5.0, 200.0), failing=0.4)
    for minutes in (1, 15, 200, 1):
        desk = watching(cloud, told_clock, state=state, history={"enabled": True})
        for _ in range(3):
            desk.page()
            told_clock.sleep(30)
        desk.application.close()
        told_clock.sleep(60 * minutes)
    desk = watching(cloud, told_clock, state=state, history={"enabled": True})
    truth = settled(cloud, told_clock, desk, since)
    assert counted(desk.page()) == true_counts(truth)
    desk.application.close()


def test_scrapes_and_probes_count_together(cloud: Simulator, told_clock: ToldClock) -> None:
    """What one has counted the other does not count again, and both show it."""
    desk = watching(cloud, told_clock)
    desk.page()
    run(cloud, 1, told_clock.time() + 1)
    told_clock.sleep(30)
    scraper = desk.application.runtime().scraper
    probed = Watched(workflows=(WorkflowTarget(FLOW),))
    collection = scraper.collect(probed, Budget.of(5.0, told_clock), probe=True)
    assert collection.workflows[0].standing.totals["completed", "FINISHED"] == 1
    assert collection.workflows[0].workflow is not None
    assert counted(desk.page())["FINISHED"] == 1


def test_a_reload_keeps_what_was_counted(cloud: Simulator, told_clock: ToldClock) -> None:
    """And counts what ended meanwhile."""
    desk = watching(cloud, told_clock)
    desk.page()
    for number in (1, 2):
        run(cloud, number, told_clock.time() + 1)
        told_clock.sleep(30)
        assert counted(desk.page())["FINISHED"] == number
        desk.application.reload()


def test_steps_of_workflows(cloud: Simulator, told_clock: ToldClock) -> None:
    """Those of executions that ended are counted once each, those of active ones are shown."""
    desk = watching(cloud, told_clock, history={"enabled": True})
    desk.page()
    since = told_clock.time()
    cloud.add_stream(FLOW, interval=10.0, run=(20.0, 60.0), failing=0.5, stopped=0.0, paused=0.0)
    for _ in range(10):
        told_clock.sleep(20)
        desk.page()
    told_clock.sleep(5)
    cloud.clear_calls()
    page = desk.page()
    truth = cloud.truth(FLOW, since=since, until=told_clock.time())
    ended = sum(truth.completed.values())
    at = {"workflow_id": FLOW}
    first, last = {"step_id": "fetch_order", **at}, {"step_id": "charge", **at}
    assert value(page, "steps_completed_total", status="COMPLETED", **first) == ended
    assert value(page, "steps_completed_total", status="FAILED", **last) == truth.completed["FAILED"]
    assert value(page, "step_duration_seconds_count", **first) == ended
    assert value(page, "steps_completed_total", status="COMPLETED", step_id="send_item", **at) == 3 * ended
    assert value(page, "step_retries_total", step_id="send_item", **at) == 2 * ended
    active = [labels for name, labels in page if name == "yc_workflow_active_steps"]
    assert len(active) == 5
    under_way = sum(n or 0 for name, n in page.items() if name[0] == "yc_workflow_active_steps")
    assert under_way >= truth.active["RUNNING"] > 0
    assert calls(cloud)["Execution.GetHistory"] <= sum(truth.active.values()) + 3
    cloud.clear_calls()
    told_clock.sleep(3600)
    desk.page()
    histories = [call.target for call in cloud.calls if call.method == "Execution.GetHistory"]
    assert len(histories) == len(set(histories)) > 300
    info = [dict(labels) for name, labels in page if name == "yc_workflow_step_info"]
    assert {
        "workflow_id": FLOW,
        "step_id": "reserve",
        "step_type": "FunctionCall",
        "step_title": "Reserve stock",
    } in info


@pytest.mark.parametrize("method", ["Workflow.Get", "Execution.Get", "Execution.GetHistory"])
def test_a_part_that_cannot_be_read_is_told_as_long_as_that_lasts(
    cloud: Simulator, told_clock: ToldClock, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """At each scrape, also while it is left alone; the log has one line, and one at the end."""
    run(cloud, 1, ago(told_clock, 8000), "RUNNING")
    run(cloud, 2, ago(told_clock, 10))
    desk = watching(cloud, told_clock, workflows=[FLOW], history={"enabled": True})
    desk.page()
    told_clock.sleep(INFO_AGE * 1.2)
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, method=method))
    with caplog.at_level(logging.INFO):
        for scrapes in range(1, 15):
            page = desk.page()
            assert value(page, "scrape_success", workflow_id=FLOW) == 1
            assert value(page, "exporter_scrape_errors_total", reason="forbidden") == scrapes
            told_clock.sleep(30)
        cloud.faults.clear()
        told_clock.sleep(FAILED_RECHECK)
        desk.page()
    told = [record.message for record in caplog.records if record.name == "exporter.scrape"]
    assert told == ["part of a workflow cannot be read", "part of a workflow can be read again"]


def test_steps_under_way_that_are_not_known_are_not_shown_as_none(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """A history that cannot be read leaves a gap, not a 0."""
    cloud.add_stream(FLOW, interval=60.0, run=(50.0, 50.0), failing=0, stopped=0, paused=0)
    desk = watching(cloud, told_clock, workflows=[FLOW], history={"enabled": True})
    desk.page()
    for _ in range(3):
        told_clock.sleep(45)
        page = desk.page()
    at = {"workflow_id": FLOW, "step_id": "reserve"}
    assert value(page, "active_steps", **at) is not None
    cloud.faults.add(FaultRule(Fault.STATUS, code=501, method="Execution.GetHistory"))
    told_clock.sleep(10)
    page = desk.page()
    assert value(page, "active_executions", workflow_id=FLOW, status="RUNNING") == 1
    assert value(page, "active_steps", **at) is None
    assert value(page, "steps_completed_total", status="COMPLETED", **at) is not None


def test_a_reload_keeps_what_is_known_of_workflows(cloud: Simulator, told_clock: ToldClock) -> None:
    """Names and schedules stay on the page though they cannot be asked for then, and cost no call."""
    cloud.update_workflow(FLOW, cron="0 3 * * ? *", timezone="")
    desk = watching(cloud, told_clock)
    desk.page()
    cloud.clear_calls()
    desk.application.reload()
    page = desk.page()
    assert value(page, "schedule_next_timestamp_seconds", workflow_id=FLOW) is not None
    assert calls(cloud) == {"Execution.List": 2}


def test_a_reload_that_fails_forgets_no_workflow(cloud: Simulator, told_clock: ToldClock) -> None:
    """Not even those of folders that are not in the configuration that could not be taken."""
    desk = watching(cloud, told_clock, workflows=[], folders=[cloud.folder_id])
    environ: dict[str, str] = {}
    application = Application(desk.load(), desk.load, environ, told_clock, "1")
    runtime = application.runtime()
    runtime.scraper.collect(runtime.watched(), Budget.of(5.0, told_clock))
    desk.settings["folders"] = ["b1gother"]
    environ["REQUESTS_CA_BUNDLE"] = "/nowhere"
    with pytest.raises(ConfigError, match="REQUESTS_CA_BUNDLE"):
        application.reload()
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, method="Workflow.List"))
    collection = runtime.scraper.collect(runtime.watched(), Budget.of(5.0, told_clock))
    assert [outcome.target.id for outcome in collection.workflows] == sorted([FLOW, OTHER])


def test_a_stray_404_of_a_workflow_that_its_folder_lists_costs_little(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """It is told, and only the schedule is missing."""
    cloud.faults.add(FaultRule(Fault.STATUS, code=404, method="Workflow.Get"))
    page = watching(cloud, told_clock, workflows=[], folders=[cloud.folder_id]).page()
    assert value(page, "scrape_success", workflow_id=FLOW) == 1
    assert value(page, "state", workflow_id=FLOW, state="ACTIVE") == 1
    assert value(page, "exporter_scrape_errors_total", reason="not_found") == 2


def test_what_a_folder_leaves_out_is_told(cloud: Simulator, told_clock: ToldClock) -> None:
    """Workflows that say they belong to another folder are not watched, and somebody hears of it."""
    desk = watching(cloud, told_clock, workflows=[], folders=[cloud.folder_id])
    runtime = desk.application.runtime()
    cloud.faults.add(FaultRule(Fault.WRONG_ID, method="Workflow.List", value="not an id!"))
    collection = runtime.scraper.collect(runtime.watched(), Budget.of(5.0, told_clock))
    (folder,) = collection.folders
    assert folder.success
    assert (folder.reason, folder.message[:18]) == ("bad_response", "the list: left out")


def test_a_search_is_told_as_well(
    cloud: Simulator, told_clock: ToldClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Where only /sd lists a folder, the log and the counts say that it cannot."""
    desk = watching(cloud, told_clock, workflows=[], folders=[cloud.folder_id])
    runtime = desk.application.runtime()
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, method="Workflow.List"))
    runtime.scraper.collect(runtime.watched(), Budget.of(5.0, told_clock), searching=True)
    assert "folder cannot be listed" in caplog.text
    assert value(desk.page(), "exporter_scrape_errors_total", reason="forbidden") == 2


def test_histories_that_are_refused_cost_nothing_else(cloud: Simulator, told_clock: ToldClock) -> None:
    """The executions are counted; the steps when histories are to be had again."""
    desk = watching(cloud, told_clock, history={"enabled": True})
    desk.page()
    since = told_clock.time()
    cloud.add_stream(FLOW, interval=30.0, run=(5.0, 20.0), failing=0.0, stopped=0.0, paused=0.0)
    cloud.faults.add(FaultRule(Fault.STATUS, code=401, method="Execution.GetHistory"))
    for _ in range(4):
        told_clock.sleep(30)
        page = desk.page()
    assert value(page, "scrape_success", workflow_id=FLOW) == 1
    cloud.faults.clear()
    truth = settled(cloud, told_clock, desk, since)
    page = desk.page()
    assert counted(page)["FINISHED"] == truth.completed["FINISHED"] > 0
    done = value(page, "steps_completed_total", status="COMPLETED", workflow_id=FLOW, step_id="reserve")
    assert done == truth.completed["FINISHED"]
