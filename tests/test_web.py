"""The pages of the exporter, called as a WSGI server calls them."""

import gzip
import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from conftest import ToldClock
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from test_failures import scraper

from exporter.collector import ExecutionsCollector, ProbeCollector
from exporter.outcome import Collection
from exporter.scraper import Scraper
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.targets import ExecutionTarget, FolderTarget, Watched, WorkflowTarget
from exporter.web import Runtime, WebApp, scrape_seconds
from exporter.workflowcollector import WorkflowsCollector
from exporter.yandex.calls import Authorizer, Budget, Clock, SystemClock
from exporter.yandex.errors import AuthFailed

ALIVE, FAILED = "dfq-alive", "dfq-failed"
FLOW, FOLDER = "dfqflow", "b1gfolder"
PAGES = (
    "/", "/metrics", f"/probe?execution_id={ALIVE}", f"/probe?workflow_id={FLOW}", "/sd", "/config",
    "/-/healthy", "/-/ready",
)  # fmt: skip
TOKEN = "t1.a-token-that-no-page-may-show"


Registry = Callable[[Runtime, Callable[[], Collection]], CollectorRegistry]


@dataclass
class Reply:
    """What the application answered."""

    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass
class Switch:
    """An authorizer that has a token, or has none."""

    error: str = ""
    asked: int = 0

    def token(self, budget: Budget) -> str:
        """Return the token; raises AuthFailed if there is none."""
        self.asked += 1
        assert 0 < budget.remaining() <= 2
        if self.error:
            raise AuthFailed(self.error)
        return "a-token"

    def renew(self, _stale: str, _budget: Budget) -> str | None:
        """Return no fresher token."""
        return None


@dataclass
class Site:
    """An application over a scraper, and the budgets that its registries were given."""

    runtime: Runtime
    reload: Callable[[], None] = lambda: None
    probe: Registry | None = None
    budgets: list[float] = field(default_factory=list)
    clock: Clock = field(default_factory=SystemClock)

    def app(self, metrics: Registry | None = None) -> WebApp:
        """Return the application."""
        return WebApp(
            lambda: self.runtime,
            metrics_registry=metrics or self.registry,
            probe_registry=self.probe or self.registry,
            reload=self.reload,
            clock=self.clock,
            version="1.2.3",
        )

    def registry(self, _: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return a registry that collects when it is asked to, and notes what it was allowed."""
        self.budgets.append(collect().allowed)
        registry = CollectorRegistry()
        registry.register(ProbeCollector(collect))
        registry.register(ExecutionsCollector(collect, history=False))
        registry.register(WorkflowsCollector(collect, labels=(), history=False, recent_window=3600.0))
        return registry


def site(made: Scraper, watched: Watched, authorizer: Authorizer | None = None) -> Site:
    """Return a site that watches these targets."""
    return Site(
        Runtime(
            scraper=made,
            watched=lambda: watched,
            scrape_timeout=10.0,
            timeout_offset=0.5,
            config_text=lambda: "executions: [dfq-alive]\n",
            authorizer=authorizer or Switch(),
            enable_lifecycle=True,
            endpoint="https://workflows.example",
        )
    )


def ask(app: Any, url: str, method: str = "GET", **headers: str) -> Reply:
    """Call a WSGI application, as PEP 3333 has it, and return its answer."""
    path, _, query = url.partition("?")
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path}
    environ["QUERY_STRING"] = query
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    environ["wsgi.input"] = io.BytesIO()
    setup_testing_defaults(environ)
    heads: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, fields: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        assert exc_info is None
        heads.append((status, fields))
        return lambda _: None

    parts: Iterable[bytes] = validator(app)(environ, start)
    try:
        body = b"".join(parts)
    finally:
        parts.close()  # type: ignore[attr-defined]
    status, fields = heads[0]
    return Reply(int(status.split()[0]), dict(fields), body)


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with one execution that runs and one that failed."""
    with Simulator(executions=0) as simulator:
        simulator.put(ALIVE, status="RUNNING", started_at=1741622400.0, workflow_id=FLOW)
        simulator.put(FAILED, status="FAILED", started_at=1741622400.0, duration=1.07, workflow_id=FLOW)
        yield simulator


@pytest.fixture
def made(cloud: Simulator) -> Iterator[Scraper]:
    """Return a scraper over the cloud, closed at the end."""
    scraping = scraper(cloud, concurrency=4, timeout=1.0, retries=0)
    yield scraping
    scraping.close()


@pytest.fixture
def home(made: Scraper) -> Site:
    """Return a site that watches both executions."""
    return site(made, Watched((ExecutionTarget(ALIVE, "nightly"), ExecutionTarget(FAILED))))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 4.5), (" 5.0 ", 4.5), ("5e0", 4.5), ("0.55", 0.1), ("0.1", 0.1), ("60", 10.0), ("1e9", 10.0),
        ("", 10.0), ("soon", 10.0), ("nan", 10.0), ("inf", 10.0), ("1e999", 10.0), ("-5", 10.0), ("0", 10.0),
        ("1.2.3", 10.0), ("1_0", 10.0), ("\u0665", 10.0), ("5,5", 10.0),
    ],
)  # fmt: skip
def test_a_scrape_may_take_what_prometheus_waits_less_the_offset(header: str, seconds: float) -> None:
    """The header is capped by our own timeout, and what is no positive number is as none."""
    assert scrape_seconds(header, 10.0, 0.5) == pytest.approx(seconds)


@pytest.mark.parametrize("url", ["/metrics", f"/probe?execution_id={ALIVE}", f"/probe?workflow_id={FLOW}"])
def test_a_collection_gets_the_budget_of_its_request(home: Site, url: str) -> None:
    """The header bounds /metrics and each kind of /probe alike, and without it our own timeout does."""
    app = home.app()
    ask(app, url, x_prometheus_scrape_timeout_seconds="3")
    ask(app, url)
    assert home.budgets == [pytest.approx(2.5, abs=0.2), pytest.approx(10.0, abs=0.2)]


def test_metrics_are_text_unless_something_else_is_asked_for(home: Site) -> None:
    """OpenMetrics, gzip and a choice of names come by negotiation."""
    app = home.app()
    plain = ask(app, "/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain")
    assert f'yc_workflow_execution_errors{{execution_id="{FAILED}",workflow_id="dfqflow"}} 1.0' in plain.text
    openmetrics = ask(app, "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")
    packed = ask(app, "/metrics", accept_encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert b"yc_workflow_execution_errors" in gzip.decompress(packed.body)
    for refused in ("gzip;q=0", "identity, gzip; q=0.0"):
        assert "Content-Encoding" not in ask(app, "/metrics", accept_encoding=refused).headers
    one = ask(app, "/metrics?name[]=yc_workflow_execution_errors")
    assert {line.split("{")[0] for line in one.text.splitlines() if line[0] != "#"} == {
        "yc_workflow_execution_errors"
    }


def test_a_page_that_takes_long_to_make_shortens_the_next_collection(home: Site) -> None:
    """What the last page took beyond the offset is kept for the next, so that Prometheus has it in time."""
    clock = ToldClock()

    class Slow:
        """A collector that takes a while of the clock to yield its samples."""

        def describe(self) -> Iterable[Metric]:
            """Name a family."""
            return [GaugeMetricFamily("slow", "Takes its time.")]

        def collect(self) -> Iterable[Metric]:
            """Take the time."""
            clock.now += 2.0
            return self.describe()

    allowed: list[float] = []

    def registry(_: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        allowed.append(collect().allowed)
        slow = CollectorRegistry()
        slow.register(Slow())
        return slow

    app = replace(home, clock=clock).app(registry)
    for _ in range(2):
        assert ask(app, "/metrics", x_prometheus_scrape_timeout_seconds="5").code == 200
    assert allowed == [4.5, 3.0]


@dataclass
class Counted:
    """Registries of a site that count how often one was asked for, and may break."""

    home: Site
    asked: int = 0
    breaks: bool = False

    def registry(self, runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return what the site would."""
        self.asked += 1
        if self.breaks:
            raise RuntimeError(TOKEN)
        return self.home.registry(runtime, collect)


def together(app: WebApp, cloud: Simulator, url: str, *headers: dict[str, str]) -> list[Reply]:
    """Ask eight times at once with each of these headers, while the cloud takes its time."""
    cloud.faults.add(FaultRule(Fault.LATENCY, latency=0.5))
    number = 8 * len(headers)
    begin = threading.Barrier(number)

    def one(asked: dict[str, str]) -> Reply:
        begin.wait(10)
        return ask(app, url, **asked)

    with ThreadPoolExecutor(number) as beside:
        return list(beside.map(one, headers * 8))


OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0", "accept_encoding": "gzip"}
UTF_8 = {"accept": OPENMETRICS["accept"] + ";escaping=allow-utf-8", "accept_encoding": "deflate, gzip"}
SHARED = (
    "/metrics", f"/probe?execution_id={ALIVE}&execution_id={FAILED}",
    "/metrics?name[]=yc_workflow_execution_status",
)  # fmt: skip


@pytest.mark.parametrize("url", SHARED)
def test_requests_that_come_together_share_one_page(home: Site, cloud: Simulator, url: str) -> None:
    """Sixteen of one kind cost the calls, the registry, the rendering and the bytes of one."""
    counted = Counted(home)
    app = replace(home, probe=counted.registry).app(counted.registry)
    replies = together(app, cloud, url, OPENMETRICS, UTF_8)
    assert {reply.code for reply in replies} == {200}
    assert len({id(reply.body) for reply in replies}) == 1
    assert len({reply.headers["Content-Type"] for reply in replies}) == 2
    # What is asked for by name is first tried without the cloud.
    assert counted.asked == (17 if "name" in url else 1)
    assert cloud.count() == 2


def test_other_formats_are_other_pages_of_the_same_collection(home: Site, cloud: Simulator) -> None:
    """Each of three formats is rendered once, and the cloud is asked once for all of them."""
    counted = Counted(home)
    replies = together(
        home.app(counted.registry), cloud, "/metrics", {}, OPENMETRICS, {"accept_encoding": "gzip"}
    )
    assert len({id(reply.body) for reply in replies}) == counted.asked == 3
    assert cloud.count() == 2
    assert "yc_workflow_execution_status" in next(r.text for r in replies if len(r.headers) == 3)


def test_a_later_scrape_is_another_page(home: Site, cloud: Simulator) -> None:
    """What changes between two scrapes is seen by the second; no page is kept for later."""
    counted = Counted(home)
    app = home.app(counted.registry)
    pages = []
    for status in ("RUNNING", "PAUSED"):
        cloud.put(ALIVE, status=status, started_at=1741622400.0, workflow_id=FLOW)
        pages.append(ask(app, "/metrics").text)
    running, paused = (
        f'{{execution_id="{ALIVE}",status="{s}",workflow_id="{FLOW}"}} 1.0' for s in ("RUNNING", "PAUSED")
    )
    assert (running in pages[0], paused in pages[0]) == (True, False)
    assert (running in pages[1], paused in pages[1]) == (False, True)
    assert counted.asked == 2


def test_a_page_that_breaks_breaks_for_all_who_wait_and_not_for_the_next(
    home: Site, cloud: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Each gets a 500 without the entrails; the next scrape has its page."""
    counted = Counted(home, breaks=True)
    app = home.app(counted.registry)
    replies = together(app, cloud, "/metrics", {})
    assert {(reply.code, reply.text) for reply in replies} == {
        (500, "This page could not be made; the log says why.\n")
    }
    assert sum(record.exc_info is not None for record in caplog.records) == counted.asked
    counted.breaks = False
    assert ask(app, "/metrics").code == 200


def test_what_needs_nothing_of_the_cloud_does_not_ask_it(home: Site, cloud: Simulator) -> None:
    """By name, one gets what the exporter knows of itself even when the cloud is slow or gone."""

    def registry(runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        made = CollectorRegistry()
        made.register(ExecutionsCollector(collect, history=runtime.history))
        made.register(Known())
        return made

    class Known(Collector):
        def describe(self) -> Iterable[Metric]:
            return self.collect()

        def collect(self) -> Iterator[Metric]:
            yield GaugeMetricFamily("known", "Known without asking.", value=1)

    app = home.app(registry)
    assert ask(app, "/metrics?name[]=known").text.splitlines()[-1] == "known 1.0"
    assert cloud.count() == 0
    both = ask(app, "/metrics?name[]=known&name[]=yc_workflow_execution_errors").text
    assert both.count("yc_workflow_execution_errors{") == cloud.count() == 2


@pytest.mark.parametrize("url", PAGES)
def test_head_has_the_headers_of_get_and_no_body(home: Site, url: str) -> None:
    """The type is that of GET, the length is stated, the body stays away."""
    app = home.app()
    got, head = ask(app, url), ask(app, url, "HEAD")
    assert (got.code, head.code, head.body) == (200, 200, b"")
    assert int(got.headers["Content-Length"]) == len(got.body) > 0
    assert int(head.headers["Content-Length"]) > 0
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert head.headers["X-Content-Type-Options"] == got.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("url", PAGES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_a_page_is_read_and_not_written(home: Site, url: str, method: str) -> None:
    """Methods other than GET and HEAD are refused, and the allowed ones are named."""
    reply = ask(home.app(), url, method)
    assert (reply.code, reply.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("url", ["/metrics/", "/favicon.ico", "//", "/-/", "/%00"])
def test_an_unknown_path_is_answered_with_the_right_ones(home: Site, url: str) -> None:
    """A 404 names every page there is."""
    reply = ask(home.app(), url)
    assert reply.code == 404
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.text.splitlines()[1:] == [
        "/", "/metrics", "/probe", "/sd", "/config", "/-/healthy", "/-/ready", "/-/reload",
    ]  # fmt: skip


def test_a_probe_reads_what_it_names_and_nothing_else(home: Site, cloud: Simulator) -> None:
    """One execution is read once however often it is named, and keeps its configured alias."""
    reply = ask(home.app(), f"/probe?execution_id={ALIVE}&execution_id={ALIVE}")
    assert reply.code == 200
    assert "probe_success 1.0" in reply.text
    assert 'alias="nightly"' in reply.text
    assert FAILED not in reply.text
    assert [call.target for call in cloud.calls] == [ALIVE]


def test_a_probe_reads_executions_that_nobody_configured(home: Site, cloud: Simulator) -> None:
    """Any ID may be probed; one that does not exist is told, not refused."""
    cloud.put("dfq-other", status="QUEUED")
    reply = ask(home.app(), "/probe?execution_id=dfq-other&execution_id=dfq-gone")
    assert reply.code == 200
    assert "probe_success 0.0" in reply.text
    assert 'yc_workflow_execution_scrape_success{execution_id="dfq-other"} 1.0' in reply.text
    assert 'yc_workflow_execution_scrape_http_code{execution_id="dfq-gone"} 404.0' in reply.text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "execution_id or workflow_id: is missing; ask for /probe?execution_id=ID or ?workflow_id=ID"),
        ("debug=true", "execution_id or workflow_id: is missing; ask for /probe?execution_id=ID"),
        ("execution_id=", "execution_id: '' is not an ID"),
        ("execution_id=..%2Fsecret", "execution_id: '../secret' is not an ID"),
        ("execution_id=dfq%0Aevil", r"execution_id: 'dfq\nevil' is not an ID"),
        ("execution_id=%FF", "is not an ID"),
        ("execution_id=" + "a" * 129, "is not an ID"),
        (f"execution_id=ok&execution_id={quote('<script>')}", "'<script>' is not an ID"),
        (urlencode([("execution_id", f"dfq-{n}") for n in range(101)]), "at most 100"),
        ("&".join(["execution_id=dfq-1"] * 1001), "more than 1000 parameters"),
        ("workflow_id=", "workflow_id: '' is not an ID"),
        ("execution_id=dfq-1&workflow_id=dfq%2Fflow", "workflow_id: 'dfq/flow' is not an ID"),
        (urlencode([("workflow_id", f"dfq-{n}") for n in range(101)]), "workflow_id: 101 IDs; at most 100"),
        ("folder_id=b1gfolder", "folder_id: is not a parameter of /probe; name executions or workflows"),
        ("execution_id=dfq-1&folder_id=b1gfolder", "folder_id: is not a parameter of /probe"),
    ],
)
def test_a_probe_that_cannot_be_meant_is_refused(home: Site, cloud: Simulator, query: str, told: str) -> None:
    """The answer names the parameter, its value and the remedy, and the cloud is not asked."""
    reply = ask(home.app(), f"/probe?{query}")
    assert reply.code == 400
    assert told in reply.text
    assert len(reply.text) < 200
    assert reply.text.count("\n") == 1
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not cloud.calls


def test_a_probe_of_a_workflow_reads_its_list_and_keeps_what_is_expected(
    made: Scraper, cloud: Simulator
) -> None:
    """It is read whole, with the workflow itself, and no other target is."""
    cloud.put_workflow(FLOW, name="orders")
    cloud.put("dfq-lately", status="RUNNING", started_at=SystemClock().time() - 60, workflow_id=FLOW)
    watched = Watched((ExecutionTarget(ALIVE),), (WorkflowTarget(FLOW, 60.0),), (FolderTarget(FOLDER),))
    reply = ask(site(made, watched).app(), f"/probe?workflow_id={FLOW}&workflow_id={FLOW}")
    assert reply.code == 200
    assert "probe_success 1.0" in reply.text
    assert f'yc_workflow_scrape_success{{workflow_id="{FLOW}"}} 1.0' in reply.text
    assert f'yc_workflow_active_executions{{status="RUNNING",workflow_id="{FLOW}"}} 1.0' in reply.text
    assert f'yc_workflow_expected_success_interval_seconds{{workflow_id="{FLOW}"}} 60.0' in reply.text
    assert 'workflow_name="orders"' in reply.text
    assert sorted((call.method, call.target) for call in cloud.calls) == [
        ("Execution.List", FLOW), ("Workflow.Get", FLOW),
    ]  # fmt: skip


def test_a_probe_may_name_both_kinds(home: Site, cloud: Simulator) -> None:
    """What is missing of either is told, and fails the probe."""
    cloud.put_workflow(FLOW, name="orders")
    both = ask(home.app(), f"/probe?execution_id={ALIVE}&workflow_id={FLOW}")
    assert "probe_success 1.0" in both.text
    assert "yc_workflow_execution_status" in both.text
    gone = ask(home.app(), f"/probe?execution_id={ALIVE}&workflow_id=dfqgone")
    assert "probe_success 0.0" in gone.text
    assert 'yc_workflow_scrape_http_code{workflow_id="dfqgone"} 404.0' in gone.text


@pytest.fixture
def foldered(made: Scraper, cloud: Simulator) -> Site:
    """Return a site that watches an execution, a workflow and a folder with another workflow."""
    cloud.put_workflow(FLOW, name="orders", folder_id="b1gother")
    cloud.put_workflow("dfqfound", name="mail", folder_id=FOLDER, labels={"team-name": "post"})
    watched = Watched((ExecutionTarget(ALIVE),), (WorkflowTarget(FLOW),), (FolderTarget(FOLDER),))
    return site(made, watched)


def discovered(reply: Reply) -> dict[str, dict[str, str]]:
    """Return the labels of each target of a page for service discovery."""
    assert (reply.code, reply.headers["Content-Type"]) == (200, "application/json")
    return {id_: group["labels"] for group in json.loads(reply.body) for id_ in group["targets"]}


def test_service_discovery_names_every_workflow_and_looks_at_no_execution(
    foldered: Site, cloud: Simulator
) -> None:
    """The configured ones and those of the folders, with what is known of them as labels."""
    found = discovered(ask(foldered.app(), "/sd"))
    assert set(found) == {FLOW, "dfqfound"}
    assert found[FLOW]["__meta_yc_workflow_name"] == "orders"
    assert found["dfqfound"] == {
        "__meta_yc_workflow_id": "dfqfound",
        "__meta_yc_workflow_name": "mail",
        "__meta_yc_workflow_state": "ACTIVE",
        "__meta_yc_workflow_express": "false",
        "__meta_yc_folder_id": FOLDER,
        "__meta_yc_label_team_name": "post",
    }
    assert cloud.count("Execution.List") + cloud.count("Execution.Get") == 0


def test_service_discovery_does_not_forget_when_a_folder_cannot_be_listed(
    foldered: Site, cloud: Simulator
) -> None:
    """It fails, so that Prometheus keeps its targets, until a first list; then that is what it tells."""
    rule = FaultRule(Fault.STATUS, method="Workflow.List", code=403, message=f"no access with {TOKEN}")
    cloud.faults.add(rule)
    refused = ask(foldered.app(), "/sd")
    assert refused.code == 503
    assert refused.text.startswith(f"folder {FOLDER} cannot be listed: forbidden: ")
    assert TOKEN not in refused.text
    cloud.faults.clear()
    first = discovered(ask(foldered.app(), "/sd"))
    cloud.faults.add(rule)
    assert discovered(ask(foldered.app(), "/sd")) == first


def test_a_hundred_executions_are_one_probe(home: Site) -> None:
    """The limit is for what is too much, not for a hundred, and repetitions do not count."""
    ids = [("execution_id", f"dfq-{n % 100}") for n in range(150)]
    assert ask(home.app(), f"/probe?{urlencode(ids)}").code == 200


def test_a_debugged_probe_shows_calls_outcomes_and_metrics(home: Site, cloud: Simulator) -> None:
    """What was asked, what was answered and what comes of it stand on one page."""
    cloud.faults.add(FaultRule(Fault.STATUS, target=FAILED, code=503))
    reply = ask(home.app(), f"/probe?execution_id={ALIVE}&execution_id={FAILED}&debug=true")
    calls, _, rest = reply.text.partition("\nOutcomes\n")
    outcomes, _, metrics = rest.partition("\nMetrics\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert f"Execution.Get  {cloud.base_url}/workflows/v1/execution/{ALIVE}  200  " in calls
    assert "503" in calls
    assert "attempt 1  server_error: " in calls
    assert f"{ALIVE}  RUNNING  200" in outcomes
    assert f"{FAILED}  NOT READ  503  server_error: " in outcomes
    assert "probe_success 0.0" in metrics
    assert cloud.token not in reply.text


def test_a_debugged_probe_says_what_was_kept(home: Site) -> None:
    """An execution that ended is not asked again, and the page says so."""
    app = home.app()
    ask(app, f"/probe?execution_id={FAILED}")
    reply = ask(app, f"/probe?execution_id={FAILED}&debug=true")
    assert "none: what is known did not have to be asked again" in reply.text
    assert f"{FAILED}  FAILED  200  kept from an earlier reading" in reply.text


def test_a_debugged_probe_hides_what_looks_like_a_secret(home: Site, cloud: Simulator) -> None:
    """A secret that the API says back is hidden like our own."""
    cloud.faults.add(FaultRule(Fault.STATUS, target=ALIVE, code=403, message=f"no access with {TOKEN}"))
    reply = ask(home.app(), f"/probe?execution_id={ALIVE}&debug=true")
    assert "forbidden" in reply.text
    assert TOKEN not in reply.text


def test_health_does_not_depend_on_the_cloud(home: Site, cloud: Simulator) -> None:
    """A liveness probe must not restart an exporter because the cloud is down."""
    cloud.stop()
    reply = ask(home.app(), "/-/healthy")
    assert (reply.code, reply.text) == (200, "Healthy.\n")
    assert not home.budgets


def test_ready_once_a_token_was_had(made: Scraper) -> None:
    """It says why it is not ready, then is, and asks no more until the configuration is another."""
    switch = Switch(error=f"the key is refused: {TOKEN}")
    home = site(made, Watched(), switch)
    app = home.app()
    refused = ask(app, "/-/ready")
    assert (refused.code, refused.text) == (503, "Not ready: auth: the key is refused: <secret>\n")
    switch.error = ""
    assert ask(app, "/-/ready").code == 200
    switch.error = "expired"
    assert ask(app, "/-/ready").code == 200
    assert switch.asked == 2
    home.runtime = replace(home.runtime)
    assert ask(app, "/-/ready").code == 503


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_reload_is_asked_for(home: Site, method: str) -> None:
    """POST and PUT reload."""
    done: list[str] = []
    home.reload = lambda: done.append(method)
    assert ask(home.app(), "/-/reload", method).text == "Reloaded.\n"
    assert done == [method]


def test_a_reload_is_not_a_page(home: Site) -> None:
    """To look at it changes nothing."""
    home.reload = lambda: pytest.fail("it was reloaded")
    reply = ask(home.app(), "/-/reload")
    assert (reply.code, reply.headers["Allow"]) == (405, "POST, PUT")


def test_a_reload_that_fails_says_why(home: Site) -> None:
    """The message is that of the configuration, without its secrets."""

    def refuse() -> None:
        raise ValueError(f"executons: no such key ({TOKEN})")

    home.reload = refuse
    reply = ask(home.app(), "/-/reload", "POST")
    assert reply.code == 500
    assert "executons: no such key" in reply.text
    assert TOKEN not in reply.text


def test_a_reload_must_be_enabled(home: Site) -> None:
    """Without the flag nothing happens, and the flag is named."""
    home.runtime = replace(home.runtime, enable_lifecycle=False)
    home.reload = lambda: pytest.fail("it was reloaded")
    reply = ask(home.app(), "/-/reload", "POST")
    assert reply.code == 403
    assert "Lifecycle API is not enabled" in reply.text
    assert "--web.enable-lifecycle" in reply.text


def test_the_configuration_is_shown_as_text(home: Site) -> None:
    """What is shown is the text that the configuration gives for showing."""
    reply = ask(home.app(), "/config")
    assert (reply.text, reply.headers["Content-Type"]) == (
        "executions: [dfq-alive]\n",
        "text/plain; charset=utf-8",
    )


def test_a_page_that_breaks_is_told_without_its_entrails(home: Site) -> None:
    """An unforeseen error is for the log, not for whoever asked."""

    class Broken:
        """A collector with a fault of its own."""

        def describe(self) -> Iterable[Metric]:
            """Name a family."""
            return [GaugeMetricFamily("broken", "Never there.")]

        def collect(self) -> Iterable[Metric]:
            """Fail."""
            raise RuntimeError(TOKEN)

    broken = CollectorRegistry()
    broken.register(Broken())
    reply = ask(home.app(lambda *_: broken), "/metrics")
    assert (reply.code, reply.text) == (500, "This page could not be made; the log says why.\n")


def test_the_landing_page_asks_the_cloud_only_when_it_must(home: Site, cloud: Simulator) -> None:
    """What was read within half a minute is shown as it is known."""
    app = home.app()
    assert ask(app, "/").code == 200
    assert sorted(call.target for call in cloud.calls) == [ALIVE, FAILED]
    assert "2 executions watched: 1 fine, 1 failed" in ask(app, "/").text
    assert cloud.count() == 2


def test_the_landing_page_asks_again_after_half_a_minute(home: Site, cloud: Simulator) -> None:
    """What is older is read anew, by a clock that no time service steps."""
    clock = ToldClock()
    home.runtime = replace(home.runtime, scraper=scraper(cloud, clock=clock))
    app = home.app()
    for seconds, calls in ((0.0, 2), (29.0, 2), (2.0, 3)):
        clock.now += seconds
        ask(app, "/")
        assert cloud.count() == calls


def test_the_landing_page_lives_when_the_cloud_does_not(home: Site, cloud: Simulator) -> None:
    """Every target is shown with the reason and a remedy."""
    cloud.stop()
    reply = ask(home.app(), "/")
    assert reply.code == 200
    assert "2 executions watched: 0 fine, 2 not read" in reply.text
    assert "No connection to the API. Check network, DNS and proxy." in reply.text


def test_the_landing_page_allows_nothing_but_its_own_style(home: Site) -> None:
    """The policy of the page forbids scripts, frames and every other origin."""
    policy = ask(home.app(), "/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "form-action 'self'" in policy
