"""The alerts in life: a cloud misbehaves, a real Prometheus sees it, a real Alertmanager says so.

All troubles come at the same time, each to a workflow or an exporter of its own.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import living
import processes
import pytest
from stories import (
    CHAINS,
    EXECUTIONS,
    FLAKY,
    FLOWS,
    PAUSED,
    Stage,
    Story,
    put,
    run,
)

from exporter.simulator import Entry, Simulator

LOOKBACK = "--query.lookback-delta=" + living.scaled_duration("5m")
PATIENCE = 90.0
QUIET_SCRAPES = 8
CLOUDS = ("main", "flaky", "stale", "barred", "dark")
UNPROVOKED: Mapping[str, str] = {}
"""Alerts that no life of a minute can show, and why; promtool's tests prove them."""


@dataclass(frozen=True)
class Record:
    """How a story went: the alert in Prometheus, the notices that it fires and that it is over."""

    fired: tuple[Mapping[str, Any], ...]
    arrived: living.Notice
    resolved: living.Notice


def fired(stage: Stage, story: Story) -> Record | None:
    """Return how a story went so far, once its alert has arrived."""
    story.during(stage)
    inbox, alert = stage.inboxes[story.side], f"YcWorkflow{story.alert}"
    arrived = inbox.first("firing", alert, story.labels)
    if arrived is None:
        return None
    found = living.firing(stage.prometheus[story.side], alert, story.labels)
    return Record(tuple(found), arrived, arrived) if found else None


def over(stage: Stage, story: Story, record: Record) -> Record | None:
    """Return how a story went, once it is over."""
    inbox, alert = stage.inboxes[story.side], f"YcWorkflow{story.alert}"
    resolved = inbox.first("resolved", alert, record.arrived.labels, record.arrived.message)
    return Record(record.fired, record.arrived, resolved) if resolved else None


def play(stage: Stage, chain: tuple[Story, ...], records: Mapping[str, Future[Record]]) -> None:
    """Play one story after the other; what went wrong is in its record."""
    begun: list[tuple[Story, Record]] = []
    for story in chain:
        with failing(records[story.name], "does not fire"):
            story.trouble(stage)
            begun.append((story, processes.until(partial(fired, stage, story), PATIENCE, 0.2)))
        if story.heal is None:
            continue
        with failing(records[story.name], "cannot be ended"):
            story.heal(stage)
        for last, record in begun:
            with failing(records[last.name], "does not end"):
                done = processes.until(partial(over, stage, last, record), PATIENCE, 0.2)
                records[last.name].set_result(done)
        begun.clear()


@contextlib.contextmanager
def failing(record: Future[Record], what: str) -> Iterator[None]:
    """Note in a record that something failed, and go on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it was, the test of the story raises it
        if not record.done():
            record.set_exception(AssertionError(f"{what}: {error!r}"))


def configuration(cloud: Simulator, auth: str, more: str = "") -> str:
    """Return the configuration of an exporter that watches the first folder of a cloud."""
    url = cloud.base_url
    return (
        f"api: {{endpoint: '{url}', iam_endpoint: '{url}', requests_per_second: 10000}}\n"
        f"auth: {{{auth}}}\nfolders: [{cloud.folder_id}]\nscrape: {{timeout_offset: 50ms}}\n{more}"
    )


MORE = f"""
executions: [{", ".join(EXECUTIONS)}]
workflows:
  - {{id: nosuccess, expected_success_interval: 15s}}
  - {{id: never, expected_success_interval: 15s}}
history: {{enabled: true, max_steps: 5}}
"""


def populate(stage: Mapping[str, Simulator]) -> None:
    """Let all be well in the clouds."""
    main = stage["main"]
    for flow in FLOWS:
        main.put_workflow(flow, name=f"name-of-{flow}", created_at=time.time() - 90_000)
    main.update_workflow("onschedule", cron="0 0 1 1 ? *")
    for execution in EXECUTIONS:
        put(main, execution, "RUNNING")
    for flow in FLAKY:
        stage["flaky"].put_workflow(flow, name=flow)
    for side in ("stale", "barred", "dark"):
        for n in range(3):
            stage[side].put_workflow(f"{side}-{n}", name=f"{side}-{n}")


def live_well(stage: Stage) -> None:
    """Let executions come and go as they should, after the first look."""
    main = stage.main
    PAUSED[0](stage)
    run(main, "long", times=40)
    run(main, "nosuccess")
    run(main, "onschedule")
    run(main, "retries", history=[Entry("charge", duration=10**8)])
    run(main, "calm", "RUNNING", ago=1.0)
    run(main, "calm", times=3)
    for flow in ("fails", "counts"):
        run(main, flow, ago=2.0)


def exporters(tmp_path: Path, clouds: Mapping[str, Simulator]) -> dict[str, living.Exporter]:
    """Return the exporters, not yet started; of the main cloud there are two replicas."""
    token = "iam_token_file: ../{}.token"
    for side, cloud in clouds.items():
        (tmp_path / f"{side}.token").write_text(cloud.token)
    main = configuration(clouds["main"], token.format("main"), MORE).replace(
        f"[{clouds['main'].folder_id}]", f"[{', '.join(clouds['main'].folder_ids)}]"
    )
    flaky = configuration(
        clouds["flaky"], token.format("flaky"),
        "quota: {active_executions: 10, workflows: 12}\nstate: {file: state.db}\n",
    )  # fmt: skip
    texts = {
        "main-0": main,
        "main-1": main,
        "flaky": flaky,
        "stale": configuration(clouds["stale"], "service_account_key_file: key.json"),
        "barred": configuration(clouds["barred"], token.format("barred")),
        "dark": configuration(clouds["dark"], token.format("dark")),
    }
    made = {name: living.Exporter(tmp_path / name, text) for name, text in texts.items()}
    clouds["stale"].create_key(made["stale"].folder)
    return made


def jobs(made: Mapping[str, living.Exporter]) -> dict[str, dict[str, list[str]]]:
    """Return the jobs of each Prometheus."""
    light = {
        "yc-workflow": [made["main-0"].address, made["main-1"].address],
        "yc-workflow-flaky": [made["flaky"].address],
        "yc-workflow-stale": [made["stale"].address],
        "yc-workflow-barred": [made["barred"].address],
    }
    return {"light": light, "dark": {"yc-workflow": [made["dark"].address]}}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Return a stage on which all has been well for a while."""
    tmp_path = tmp_path_factory.mktemp("alerts")
    rules = living.scaled_rules(tmp_path / "rules")
    with contextlib.ExitStack() as stack:
        clouds = {name: stack.enter_context(Simulator(executions=0)) for name in CLOUDS}
        populate(clouds)
        made = exporters(tmp_path, clouds)
        for exporter in made.values():
            stack.enter_context(exporter)
        stage = Stage(
            clouds["main"], clouds["flaky"], clouds["stale"], clouds["barred"], clouds["dark"], exporters=made
        )  # fmt: skip
        for side, watched in jobs(made).items():
            stage.folders[side] = tmp_path / f"watch-{side}"
            stage.folders[side].mkdir()
            stack.enter_context(watching(stage, side, watched, rules))
        for exporter in made.values():
            exporter.wait()
        for url in stage.prometheus.values():
            processes.until(partial(scraped, url, 2))
        for side in stage.prometheus:
            judge(stage, side)
        live_well(stage)
        for url in stage.prometheus.values():
            processes.until(partial(scraped, url, 2 + QUIET_SCRAPES))
        yield stage


@contextlib.contextmanager
def watching(stage: Stage, side: str, watched: Mapping[str, list[str]], rules: Path) -> Iterator[None]:
    """Run Prometheus, at first without its rules, and Alertmanager with its inbox."""
    folder, inbox = stage.folders[side], living.Inbox()
    with contextlib.ExitStack() as stack:
        hook = stack.enter_context(living.webhook(inbox))
        manager = stack.enter_context(living.alertmanager(folder, hook))
        text = living.prometheus_configuration(rules, manager, watched)
        (folder / "judging.yml").write_text(text)
        idle = text.replace(str(rules), str(folder / "none.yml"))
        flags = ("--web.enable-lifecycle", LOOKBACK)
        stage.prometheus[side] = stack.enter_context(processes.prometheus(folder, idle, *flags))
        stage.inboxes[side] = inbox
        yield


def judge(stage: Stage, side: str) -> None:
    """Give Prometheus its rules, now that it has found its targets: that takes 5 s at any scale."""
    folder = stage.folders[side]
    (folder / "prometheus.yml").write_text((folder / "judging.yml").read_text())
    assert processes.get(f"{stage.prometheus[side]}/-/reload", method="POST")[0] == 200


def scraped(prometheus: str, times: int) -> bool:
    """Whether each target has had so many good scrapes."""
    (least,) = processes.query(prometheus, "min(sum_over_time(up[10m]))")
    return float(least["value"][1]) >= times  # type: ignore[index]


def awaited(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the alerts without the one that is pending since all is well."""
    return [a for a in alerts if a["state"] == "firing" or a["labels"].get("workflow_id") != "paused"]


@pytest.fixture(scope="module")
def quiet(stage: Stage) -> dict[str, Any]:
    """Return what was said while all was well."""
    return {
        side: (awaited(living.alerts(url)), living.rule_troubles(url), stage.inboxes[side].notices)
        for side, url in stage.prometheus.items()
    }


@pytest.fixture(scope="module")
def records(stage: Stage, quiet: dict[str, Any]) -> Iterator[dict[str, Future[Record]]]:
    """Return how each story goes; all are under way."""
    del quiet
    stories = [story for chain in CHAINS for story in chain]
    found: dict[str, Future[Record]] = {story.name: Future() for story in stories}
    with ThreadPoolExecutor(len(CHAINS)) as pool:
        for chain in CHAINS:
            pool.submit(play, stage, chain, found)
        yield found


def test_the_hurry_misses_no_time() -> None:
    """Ranges, offsets, subqueries and seconds are scaled, names are not; an unknown number is refused."""
    expression = 'a:b:5m{c="5m"} + increase1h[10m] offset 1h > 1800 or max_over_time(d[8d:1h]) * 0.9'
    scaled = living.scaled_expression(expression)
    assert scaled == (
        'a:b:5m{c="5m"} + increase1h[5000ms] offset 30000ms > 15 or max_over_time(d[5760000ms:30000ms]) * 0.9'
    )
    assert living.unscaled("rate(a[10m]) > 900", "rate(a[10m]) > 900") == [600.0, 7.5]
    with pytest.raises(AssertionError, match="42: neither"):
        living.scaled_expression("a > 42")
    with pytest.raises(AssertionError, match="not a multiple"):
        living.scaled_duration("1ms")


def test_what_is_provoked_here_is_all_there_is() -> None:
    """Each alert of the rules is provoked, or it is written down why it cannot be."""
    provoked = {f"YcWorkflow{story.alert}" for chain in CHAINS for story in chain}
    assert living.alert_names() == provoked | set(UNPROVOKED)
    assert not provoked & set(UNPROVOKED)


def test_nothing_is_said_while_all_is_well(quiet: dict[str, Any]) -> None:
    """No alert is pending or fires, no rule fails, no message is sent."""
    assert quiet == {"light": ([], [], ()), "dark": ([], [], ())}


@pytest.mark.parametrize("story", [story for chain in CHAINS for story in chain], ids=lambda s: s.name)
def test_an_alert_fires_arrives_and_ends(records: dict[str, Future[Record]], story: Story) -> None:
    """Prometheus fires it once, its receiver is told with everything spelt out, and told when it is over."""
    record = records[story.name].result()
    assert len({tuple(alert["labels"].items()) for alert in record.fired}) <= story.replicas
    assert record.arrived.receiver == story.receiver
    texts = record.arrived.annotations
    assert {"summary", "description", "runbook_url", "dashboard_url"} == set(texts)
    for text in texts.values():
        assert not any(bad in text for bad in ("{{", "<no value>", "<error", "%!"))
    assert texts["runbook_url"].startswith("https://")
    assert texts["runbook_url"].endswith(f"#ycworkflow{story.alert.lower()}")
    assert texts["dashboard_url"].startswith("http://localhost:3000/d/ycwf-")
    assert "grafana_url" not in record.arrived.labels


def test_replicas_give_one_alert_of_a_workflow(stage: Stage, records: dict[str, Future[Record]]) -> None:
    """What is said of a workflow or execution does not name who read it, so two who read it say it once."""
    assert all(record.result() for record in records.values() if not record.exception())
    about = [n for n in stage.inboxes["light"].notices if {"workflow_id", "execution_id"} & set(n.labels)]
    assert about
    assert not [notice for notice in about if "instance" in notice.labels]


BESIDES: Mapping[str, tuple[str, ...]] = {
    "Failures": ("burns-", "fails"),
    "LastRunFailed": ("burns-", "counts"),
    "ErrorBudgetBurn": ("burns-",),
    "RunningTooLong": ("flaky-busy",),
    "ScrapeFailing": ("flaky-", "stale-", "folder"),
}
"""What is told besides the stories, of workflows (or kinds) whose names begin so: one trouble, two alerts."""


OF_SLOWNESS = frozenset({"ApiErrorsHigh", "ApiUnreachable", "AuthFailing", "ExporterDown", "ScrapeFailing"})
"""What is true where a machine is so busy that scrapes which are due every second run out of time."""


def test_nothing_else_is_said(stage: Stage, records: dict[str, Future[Record]]) -> None:
    """All that is told of the light side is what was provoked there, or comes with it."""
    for record in records.values():
        record.exception()
    stories = [story for chain in CHAINS for story in chain if story.side == "light"]
    slow = processes.query(stage.prometheus["light"], "min_over_time(up[10m]) == 0")
    strays = [
        notice.labels
        for notice in stage.inboxes["light"].notices
        if not slow or notice.labels["alertname"].removeprefix("YcWorkflow") not in OF_SLOWNESS
        if not any(notice.fits(f"YcWorkflow{story.alert}", story.labels) for story in stories)
        if not (notice.labels.get("workflow_id") or notice.labels.get("kind", "")).startswith(
            BESIDES.get(notice.labels["alertname"].removeprefix("YcWorkflow"), ("nothing",))
        )
    ]
    assert strays == []


def test_a_broken_api_is_one_message(stage: Stage, records: dict[str, Future[Record]]) -> None:
    """While the API is down, and when it is back, nobody hears of each workflow; nor with bad credentials."""
    begin = records["ApiUnreachable"].result().arrived.message
    end = records["ExporterDown"].result().arrived.message
    said = [notice for notice in stage.inboxes["dark"].notices if begin <= notice.message < end]
    assert [(n.labels["alertname"].removeprefix("YcWorkflow"), n.status) for n in said] == [
        ("ApiUnreachable", "firing"),
        ("ApiUnreachable", "resolved"),
        ("AuthFailing", "firing"),
        ("AuthFailing", "resolved"),
    ]
