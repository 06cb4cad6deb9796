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
from exporter.settings.flags import load
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.targets import Watched, WorkflowTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import REASONS

FLOW, FLOW_OF_ITS_OWN = "dfqworkflow", "dfqown"
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
            "api": {"endpoint": cloud.base_url, "timeout": "800ms", "max_response_bytes": "1MiB"},
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
        collection = runtime.scraper.collect(runtime.watched(), budget)
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


def test_a_reload_asks_for_what_was_missing(cloud: Simulator, told_clock: ToldClock) -> None:
    """A corrected configuration shows at the next scrape, not in five minutes."""
    cloud.remove(BAD)
    desk = Desk(cloud, told_clock)
    assert reach(desk.page(), BAD) == (0, 404)
    cloud.put(BAD, status="RUNNING", workflow_id=FLOW)
    assert reach(desk.page(), BAD) == (0, 404)
    desk.application.reload()
    assert reach(desk.page(), BAD) == (1, 200)


def test_a_reload_asks_for_the_workflows_and_folders_that_were_missing(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """Each 404 costs one call in five minutes, and after a reload everything is asked for."""
    desk = Desk(cloud, told_clock, executions=[], workflows=[FLOW_OF_ITS_OWN], folders=["b1gfolder"])
    cloud.faults.add(FaultRule(Fault.STATUS, code=404))
    page = desk.page()
    assert value(page, "scrape_http_code", workflow_id=FLOW_OF_ITS_OWN) == 404
    assert value(page, "exporter_scrape_failed_targets", kind="folder") == 1
    cloud.faults.clear()
    cloud.put_workflow(FLOW_OF_ITS_OWN)
    cloud.put_workflow("dfqfound", folder_id="b1gfolder")
    told_clock.now += 60
    cloud.clear_calls()
    assert value(desk.page(), "scrape_success", workflow_id=FLOW_OF_ITS_OWN) == 0
    assert cloud.count() == 0
    desk.application.reload()
    page = desk.page()
    for id_ in (FLOW_OF_ITS_OWN, "dfqfound"):
        assert value(page, "scrape_success", workflow_id=id_) == 1
    assert value(page, "exporter_scrape_failed_targets", kind="folder") == 0


def test_a_reload_reads_the_histories_that_are_wanted_now(cloud: Simulator, told_clock: ToldClock) -> None:
    """Switched on or cut elsewhere, they show at the next scrape, not in an hour."""
    steps = tuple({"id": f"step-{n}", "status": "COMPLETED"} for n in range(5))
    cloud.put(BAD, status="FINISHED", started_at=1741622000.0, duration=1.5, workflow_id=FLOW, history=steps)
    desk = Desk(cloud, told_clock)
    at = {"execution_id": BAD, "workflow_id": FLOW}
    assert value(desk.page(), "execution_step_errors", **at) is None
    for most in (2, 4):
        desk.settings["history"] = {"enabled": True, "max_steps": most}
        desk.application.reload()
        page = desk.page()
        assert value(page, "execution_step_errors", **at) == 0
        assert value(page, "exporter_series_over_limit", kind="step") == 5 - most


def test_a_token_outlives_a_reload_that_leaves_its_settings(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path
) -> None:
    """While IAM is away, a change of what is watched costs nobody a good token."""
    api = {"endpoint": cloud.base_url, "iam_endpoint": cloud.base_url}
    auth = {"service_account_key_file": str(cloud.create_key(tmp_path))}
    desk = Desk(cloud, told_clock, api=api, auth=auth)
    desk.page()
    cloud.revoke_keys()
    desk.settings["executions"] = [BAD]
    desk.application.reload()
    assert reach(desk.page(), BAD) == (1, 200)
    desk.settings["auth"] = {"service_account_key_file": str(cloud.create_key(tmp_path, "other.json"))}
    desk.application.reload()
    assert value(desk.page(), "exporter_iam_token_refreshes_total") == 2


def test_a_reload_that_breaks_in_an_unforeseen_way_changes_nothing(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """It is told like any other that failed, and the old configuration holds."""
    desk = Desk(cloud, told_clock)
    before = desk.application.runtime()
    desk.settings = None  # type: ignore[assignment]  # what nobody foresaw
    with pytest.raises(Exception, match="NoneType"):
        desk.application.reload()
    assert desk.application.runtime() is before
    assert value(desk.page(), "exporter_config_last_reload_successful") == 0


def test_a_probe_has_its_own_families_and_nothing_of_the_exporter(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """A probe of many exporters' targets would otherwise repeat them for each."""
    application = Desk(cloud, told_clock).application
    runtime = application.runtime()
    collection = runtime.scraper.collect(Watched(TARGETS[:1]), Budget.of(5.0, told_clock), probe=True)
    names = {family.name for family in application.probe_registry(runtime, lambda: collection).collect()}
    assert {"probe_success", "probe_duration_seconds"} <= names
    assert all(name.startswith(("probe_", "yc_workflow_execution_")) for name in names)


def test_a_probe_of_a_workflow_has_its_families_only(cloud: Simulator, told_clock: ToldClock) -> None:
    """Nothing of the exporter, of executions or of quotas is repeated for each workflow."""
    cloud.put_workflow(FLOW_OF_ITS_OWN)
    application = Desk(cloud, told_clock).application
    runtime = application.runtime()
    watched = Watched(workflows=(WorkflowTarget(FLOW_OF_ITS_OWN),))
    collection = runtime.scraper.collect(watched, Budget.of(5.0, told_clock), probe=True)
    families = application.probe_registry(runtime, lambda: collection).collect()
    named = {family.name for family in families if family.samples}
    assert {"probe_success", "yc_workflow_scrape_success", "yc_workflow_executions_started"} <= named
    others = ("yc_workflow_exporter_", "yc_workflow_execution_", "yc_workflow_up", "yc_workflow_quota")
    assert not any(name.startswith(others) for name in named)


def test_a_slow_probe_says_nothing_of_the_api(cloud: Simulator, told_clock: ToldClock) -> None:
    """That one execution stalls does not make the API unreachable; that nothing connects does."""
    desk = Desk(cloud, told_clock, api={"endpoint": cloud.base_url, "timeout": "100ms"})
    assert value(desk.page(), "up") == 1
    scraper = desk.application.runtime().scraper
    name = "yc_workflow_exporter_build_info"
    for kind, up in ((Fault.STALL, 1), (Fault.REFUSE, 0)):
        cloud.faults.clear()
        cloud.faults.add(FaultRule(kind))
        scraper.collect(Watched(TARGETS[:1]), Budget.of(5.0, told_clock), probe=True)
        families = {f.name: f.samples for f in desk.application.telemetry.collect()}
        assert families["yc_workflow_up"][0].value == up
        assert name in {sample.name for sample in families[name]}


@pytest.mark.parametrize("name", ["process_cpu_seconds_total", "python_info", "yc_workflow_up"])
def test_a_selection_by_name_knows_every_family(cloud: Simulator, told_clock: ToldClock, name: str) -> None:
    """`name[]` finds what the library says of the process as well as what is ours."""
    desk = Desk(cloud, told_clock)
    desk.page()
    application = desk.application
    runtime = application.runtime()
    collection = runtime.scraper.collect(Watched(), Budget.of(5.0, told_clock))
    selected = application.metrics_registry(runtime, lambda: collection).restricted_registry([name])
    assert f"\n{name}" in generate_latest(selected).decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file or directory"), ("no certificate", "it holds no certificate")],
)
def test_certificates_that_cannot_be_used_are_told_at_the_start(
    cloud: Simulator, told_clock: ToldClock, tmp_path: Path, content: str | None, said: str
) -> None:
    """The message names variable, file and reason."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    settings = Desk(cloud, told_clock).load()
    with pytest.raises(ConfigError) as caught:
        Application(settings, lambda: settings, {"REQUESTS_CA_BUNDLE": str(path)}, told_clock, "1")
    assert str(caught.value) == f"REQUESTS_CA_BUNDLE: '{path}' cannot be used: {said}; correct or unset it"


def test_a_proxy_that_cannot_be_spoken_to_is_told_at_the_start(
    cloud: Simulator, told_clock: ToldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SOCKS is refused in one line; an exempt endpoint needs no proxy."""
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigError, match="HTTPS_PROXY: SOCKS is not spoken"):
        Desk(cloud, told_clock, api={"endpoint": "https://cloud.example"})
    monkeypatch.setenv("no_proxy", "cloud.example")
    Desk(cloud, told_clock, api={"endpoint": "https://cloud.example"})


def test_two_executions_of_one_workflow_share_what_is_said_of_their_steps(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """A label set that came twice would cost Prometheus the whole page."""
    steps = ({"id": "step", "status": "COMPLETED", "type": "HttpCall"},)
    for id_ in GOOD[:2]:
        cloud.put(id_, status="FINISHED", workflow_id=FLOW, history=steps)
    desk = Desk(cloud, told_clock, executions=list(GOOD[:2]), history={"enabled": True})
    labels = {"workflow_id": FLOW, "step_id": "step", "step_type": "HttpCall", "step_title": ""}
    runtime = desk.application.runtime()
    collection = runtime.scraper.collect(runtime.watched(), Budget.of(5.0, told_clock))
    samples = [
        sample
        for family in desk.application.metrics_registry(runtime, lambda: collection).collect()
        for sample in family.samples
        if sample.name == "yc_workflow_step_info"
    ]
    assert [(sample.labels, sample.value) for sample in samples] == [(labels, 1)]


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
