"""The whole inside of the exporter over the simulated cloud: from settings to samples, reloads included."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import ToldClock
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from test_failures import BAD, GOOD, ROWS, TARGETS

from exporter.application import Application
from exporter.config import ConfigError, Settings
from exporter.flags import load
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.yandex.errors import REASONS
from exporter.yandex.transport import Budget

FLOW = "dfqworkflow"
DATA = ("status", "status_code", "start_timestamp_seconds", "errors")
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def cloud(told_clock: ToldClock) -> Iterator[Simulator]:
    """Return a cloud with twenty executions that run, by the clock of the exporter."""
    with Simulator(executions=0, clock=told_clock.time) as simulator:
        for target in TARGETS:
            simulator.put(target.id, status="RUNNING", started_at=1741622000.0, workflow_id=FLOW)
        yield simulator


class Desk:
    """An application, and what its pages say."""

    def __init__(self, cloud: Simulator, clock: ToldClock, **settings: Any) -> None:
        self.clock = clock
        self.settings: dict[str, Any] = {
            "api": {"endpoint": cloud.base_url, "timeout": "400ms", "max_response_bytes": "1MiB"},
            "auth": {"iam_token": cloud.token},
            "executions": [target.id for target in TARGETS],
            "scrape": {"timeout": "5s"},
            **settings,
        }
        self.application = Application(self.load(), self.load, {}, clock, "1.2.3")

    def load(self) -> Settings:
        """Return the settings as they are now."""
        return load(self.settings, {})

    def page(self) -> Samples:
        """Scrape once and return every sample by its name and labels."""
        runtime = self.application.runtime()
        budget = Budget.of(runtime.scrape_timeout, self.clock)
        collection = runtime.scraper.collect(runtime.executions(), budget)
        text = generate_latest(self.application.metrics_registry(runtime, lambda: collection)).decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


def value(page: Samples, name: str, **labels: str) -> float | None:
    """Return a sample; None if it is not there."""
    return page.get((f"yc_workflow_{name}", tuple(sorted(labels.items()))))


def reach(page: Samples, execution_id: str) -> tuple[float | None, float | None]:
    """Return success and HTTP code of an execution."""
    at = {"execution_id": execution_id}
    return (
        value(page, "execution_scrape_success", **at),
        value(page, "execution_scrape_http_code", **at),
    )


def data(page: Samples, execution_id: str) -> int:
    """Return how many samples there are of an execution's data: status, code, start, errors."""
    names = {f"yc_workflow_execution_{name}" for name in DATA}
    return sum(name in names and ("execution_id", execution_id) in labels for name, labels in page)


def reasons(page: Samples) -> dict[str, float]:
    """Return the reasons that were counted."""
    counted = {reason: value(page, "exporter_scrape_errors_total", reason=reason) for reason in REASONS}
    return {reason: count for reason, count in counted.items() if count}


ACTIVE_SAMPLES = 7 + 1 + 1 + 1
"""A dense status, its code, the start, the errors."""


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table_on_the_page(cloud: Simulator, told_clock: ToldClock, name: str) -> None:
    """One bad of twenty: its code and reason show, its data does not; the others are whole; it comes back."""
    row = ROWS[name]
    desk = Desk(cloud, told_clock)
    cloud.faults.add(row.rule)
    page = desk.page()
    assert reach(page, BAD) == (0, row.http_code)
    assert data(page, BAD) == 0
    assert reasons(page) == {row.reason: 1}
    for id_ in GOOD:
        assert reach(page, id_) == (1, 200)
        assert data(page, id_) == ACTIVE_SAMPLES
    assert value(page, "up") == 1
    assert value(page, "exporter_scrape_failed_targets", kind="execution") == 1
    cloud.faults.clear()
    told_clock.now += 301
    assert (reach(desk.page(), BAD), data(desk.page(), BAD)) == ((1, 200), ACTIVE_SAMPLES)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_table_for_what_ended(cloud: Simulator, told_clock: ToldClock, name: str) -> None:
    """An execution that was read when it had ended keeps its data through every failure but 404."""
    row = ROWS[name]
    cloud.put(BAD, status="FAILED", started_at=1741622000.0, duration=1.5, workflow_id=FLOW)
    desk = Desk(cloud, told_clock)
    assert reach(desk.page(), BAD) == (1, 200)
    cloud.faults.add(row.rule)
    told_clock.now += 4200
    page = desk.page()
    gone = row.http_code == 404
    assert reach(page, BAD) == (0 if gone else 1, row.http_code)
    assert data(page, BAD) == (0 if gone else ACTIVE_SAMPLES)
    kept = value(page, "execution_duration_seconds", execution_id=BAD, workflow_id=FLOW)
    assert kept == (None if gone else 1.5)
    assert reasons(page) == {row.reason: 1}


@pytest.mark.parametrize(
    ("rule", "up"),
    [
        (FaultRule(Fault.REFUSE), 0),
        (FaultRule(Fault.STALL), 0),
        (FaultRule(Fault.STATUS, code=401), 0),
        (FaultRule(Fault.STATUS, code=403), 1),
        (FaultRule(Fault.STATUS, code=404), 1),
        (FaultRule(Fault.STATUS, code=429, retry_after="99"), 1),
        (FaultRule(Fault.STATUS, code=501), 0),
        (FaultRule(Fault.HTML), 0),
        (FaultRule(Fault.UNKNOWN_STATUS), 1),
    ],
    ids=lambda given: f"{given.kind} {given.code or ''}" if isinstance(given, FaultRule) else "",
)
def test_up_is_what_the_last_contact_was(
    cloud: Simulator, told_clock: ToldClock, rule: FaultRule, up: float
) -> None:
    """An API that says no to a target is up; one that is unreachable, broken or refuses the token is not."""
    desk = Desk(cloud, told_clock, api={"endpoint": cloud.base_url, "timeout": "200ms"})
    cloud.faults.add(rule)
    assert value(desk.page(), "up") == up
    cloud.faults.clear()
    told_clock.now += 301
    page = desk.page()
    assert value(page, "up") == 1
    assert value(page, "exporter_last_api_success_timestamp_seconds") == pytest.approx(told_clock.time())


def test_up_is_not_there_before_the_first_contact(cloud: Simulator, told_clock: ToldClock) -> None:
    """What is unknown is left out: with nothing to watch nobody was asked."""
    assert value(Desk(cloud, told_clock, executions=[]).page(), "up") is None


def test_without_a_token_what_ended_is_served_and_the_reason_is_auth(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path
) -> None:
    """No call is made without a token; failures are counted, and spaced."""
    cloud.put(BAD, status="FINISHED", started_at=1741622000.0, duration=1.5, workflow_id=FLOW)
    key = str(cloud.create_key(tmp_path))
    api = {"endpoint": cloud.base_url, "iam_endpoint": cloud.base_url, "timeout": "400ms"}
    desk = Desk(cloud, told_clock, api=api, auth={"service_account_key_file": key})
    assert value(desk.page(), "exporter_iam_token_refreshes_total") == 1
    cloud.revoke_keys()
    told_clock.now += 43000
    cloud.clear_calls()
    told_clock.now += 201
    page = desk.page()
    assert value(page, "up") == 0
    assert reach(page, BAD) == (1, 0)
    assert {reach(page, id_) for id_ in GOOD} == {(0, 0)}
    assert reasons(page) == {"auth": 20}
    assert (cloud.count("Iam.CreateToken"), cloud.count("Execution.Get")) == (1, 0)
    assert value(page, "exporter_iam_token_refresh_failures_total") == 1


def test_a_token_that_is_revoked_is_renewed_within_the_scrape(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path
) -> None:
    """One fresh token for all who were refused, and the page is whole; its expiry is told."""
    key = str(cloud.create_key(tmp_path))
    api = {"endpoint": cloud.base_url, "iam_endpoint": cloud.base_url}
    desk = Desk(cloud, told_clock, api=api, auth={"service_account_key_file": key})
    assert value(desk.page(), "exporter_iam_token_expiry_timestamp_seconds") is not None
    cloud.revoke_tokens()
    told_clock.now += 30
    page = desk.page()
    assert {reach(page, target.id) for target in TARGETS} == {(1, 200)}
    assert value(page, "exporter_iam_token_refreshes_total") == 2
    assert value(page, "up") == 1


def test_the_cache_and_the_values_that_cannot_be_read_are_counted(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """A hit is a target that cost no call; an unread value is counted each time that it is read."""
    cloud.put(BAD, status="FINISHED", started_at=1741622000.0, duration="soon", workflow_id=FLOW)
    desk = Desk(cloud, told_clock)
    desk.page()
    page = desk.page()
    assert value(page, "exporter_cache_requests_total") == 2 * len(TARGETS)
    assert value(page, "exporter_cache_hits_total") == 1
    assert value(page, "exporter_unknown_values_total", field="duration") == 1
    assert value(page, "exporter_api_requests_total", method="Execution.Get", code="200") == 39


def test_a_reload_swaps_all_or_nothing(cloud: Simulator, told_clock: ToldClock) -> None:
    """A bad configuration leaves every object as it is, and the metric says so; a good one replaces all."""
    desk = Desk(cloud, told_clock)
    before = desk.application.runtime()
    good = dict(desk.settings)
    desk.settings["log"] = {"level": "loud"}
    with pytest.raises(ConfigError, match=r"log\.level"):
        desk.application.reload()
    assert desk.application.runtime() is before
    assert value(desk.page(), "exporter_config_last_reload_successful") == 0
    desk.settings = {**good, "executions": [BAD]}
    told_clock.now += 60
    desk.application.reload()
    page = desk.page()
    assert value(page, "exporter_scrape_targets", kind="execution") == 1
    assert value(page, "exporter_config_last_reload_successful") == 1
    assert value(page, "exporter_config_last_reload_success_timestamp_seconds") == told_clock.time()


def test_a_reload_asks_for_what_was_missing_and_for_what_now_has_a_history(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """A corrected configuration shows at the next scrape, not in five minutes or an hour."""
    cloud.put(GOOD[0], status="FINISHED", started_at=1741622000.0, duration=1.5, workflow_id=FLOW)
    cloud.remove(BAD)
    desk = Desk(cloud, told_clock)
    assert reach(desk.page(), BAD) == (0, 404)
    cloud.put(BAD, status="RUNNING", workflow_id=FLOW)
    desk.settings["history"] = {"enabled": True}
    desk.application.reload()
    page = desk.page()
    assert reach(page, BAD) == (1, 200)
    at = {"execution_id": GOOD[0], "workflow_id": FLOW}
    assert value(page, "execution_step_errors", **at) == 0


def test_another_cloud_is_asked_from_scratch(cloud: Simulator, told_clock: ToldClock) -> None:
    """What ended in one cloud says nothing of another that has an execution of the same name."""
    cloud.put(BAD, status="FINISHED", started_at=1741622000.0, duration=1.5, workflow_id=FLOW)
    desk = Desk(cloud, told_clock)
    desk.page()
    with Simulator(executions=0) as other:
        other.put(BAD, status="RUNNING", workflow_id=FLOW)
        desk.settings |= {"api": {"endpoint": other.base_url}, "auth": {"iam_token": other.token}}
        desk.application.reload()
        page = desk.page()
    at = {"execution_id": BAD, "workflow_id": FLOW}
    assert value(page, "execution_status_code", **at) == 2
