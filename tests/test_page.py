"""The landing page as people see it: in a real browser, on a phone and at a desk, by day and by night."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import processes
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from watched import (
    FLOW,
    NOW,
    collection,
    details,
    execution,
    folder,
    lost_folder,
    scheduled,
    standing,
    unlisted,
    unread,
    workflow,
)

from exporter.outcome import Collection
from exporter.page import LandingPage
from exporter.standing import NOTHING, Group
from exporter.yandex.models import Status
from exporter.yandex.workflows import WorkflowState

PHONE, TABLET, DESK = (390, 800), (1024, 800), (1280, 900)
SIZES = pytest.mark.parametrize("size", [PHONE, TABLET, DESK], ids=["phone", "tablet", "desk"])
LONG = "w" * 128
ENDPOINT = "https://workflows.example"
DURATIONS = {
    Status.QUEUED: 0.0, Status.RUNNING: 3725.0, Status.PAUSED: 904.0, Status.STOPPED: 61.5,
    Status.FAILED: 1.070697344, Status.FINISHED: 187_200.0, Status.UNKNOWN: 5.0,
}  # fmt: skip
EXECUTIONS = (
    *(
        execution(f"{FLOW}-{status.name.lower()}", status, f"the {status.name} one", duration=duration)
        for status, duration in DURATIONS.items()
    ),
    execution(LONG, Status.RUNNING, LONG, age=60),
    unread(f"{FLOW}-forbidden", "forbidden", 403),
    unread("dfq-gone", "not_found", 404),
)
SUCCESS = NOW - 180
ACTIVE = {Status.RUNNING: Group(2, NOW - 7200), Status.QUEUED: Group(1, NOW - 60)}
FAILURES: dict[tuple[str, ...], int] = {
    ("completed", "FAILED"): 14, ("failures", "HTTP_CALL"): 12, ("failures", "STEP"): 2,
}  # fmt: skip
WORKFLOWS = (
    workflow("dfq-running", standing(Status.FINISHED, active=ACTIVE, success=SUCCESS), "order-fulfilment"),
    workflow("dfq-failed", standing(Status.FAILED, totals=FAILURES), "nightly-billing"),
    workflow("dfq-stopped", standing(Status.STOPPED), LONG),
    workflow("dfq-empty", NOTHING, "empty"),
    workflow("dfq-first", standing(active={Status.PAUSED: Group(1, NOW - 60)}), "first-run"),
    workflow("dfq-partly", standing(Status.FINISHED), "partly", reason="timeout", message="slow"),
    workflow(
        "dfq-broken",
        standing(Status.FINISHED),
        workflow=details("dfq-broken", "broken", state=WorkflowState.ERROR),
    ),
    workflow("dfq-late", standing(Status.FINISHED, success=NOW - 90_000), "late", interval=86_400.0),
    scheduled("dfq-daily", "daily", "0 21 * * ? *", "Europe/Moscow"),
    unlisted(LONG),
)
FOLDERS = (folder(), lost_folder(LONG, details("a", "b")))
ROUTES = {"/metrics", "/sd", "/config", "/-/ready", "/-/healthy"}
CONTRAST = """
const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const luminance = c => {
  const [r, g, b] = c.slice(0, 3).map(v => linear(v / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const ground = e => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const written = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
const speaks = e => written(e) && e.getClientRects().length;
return [...document.querySelectorAll('body *')].filter(speaks).map(e => {
  const pair = [parse(getComputedStyle(e).color), ground(e)].map(luminance).sort((x, y) => y - x);
  return [e.textContent.trim().slice(0, 40), (pair[0] + .05) / (pair[1] + .05)];
});
"""


class Quiet(WSGIRequestHandler):
    """A handler that keeps standard error for what is wrong."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the library's
        """Say nothing."""


class Threaded(ThreadingMixIn, WSGIServer):
    """A server that does not wait for the spare connections that a browser opens and leaves idle."""

    daemon_threads = True
    block_on_close = False


@contextmanager
def serving(shown: Collection) -> Iterator[str]:
    """Serve the page of a collection on loopback, yielding its URL; other paths echo the request."""
    page = LandingPage("1.2.3")

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), *page.headers])
            return [page.render(shown, NOW, ENDPOINT).encode()]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"asked for {environ['PATH_INFO']}?{environ['QUERY_STRING']}".encode()]

    with make_server("127.0.0.1", 0, app, Threaded, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Serve a page with targets of every kind in every state, some with the longest names."""
    with serving(collection(*EXECUTIONS, *WORKFLOWS, *FOLDERS)) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Return a headless Chromium with an empty profile that records what it asks for."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync",
        "disable-background-networking", "disable-component-update", "hide-scrollbars",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def look(browser: webdriver.Chrome, url: str, size: tuple[int, int] = DESK, scheme: str = "light") -> None:
    """Open a page in a window of this size, by day or by night."""
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get(url)


def text(browser: webdriver.Chrome) -> str:
    """Return what can be read on the page."""
    return str(browser.execute_script("return document.body.innerText"))


def logged(browser: webdriver.Chrome, name: str) -> list[dict[str, Any]]:
    """Return what a log of the browser took since it was last asked for."""
    return list(browser.get_log(name))  # type: ignore[no-untyped-call]


@SIZES
def test_nobody_has_to_scroll_sideways(served: str, browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    """The longest names fit, on a phone and at a desk."""
    look(browser, served, size)
    wide, window = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert window == size[0]
    assert wide <= window
    outside = browser.execute_script(
        "return [...document.querySelectorAll('table, td, code, .pill, input, a')]"
        ".filter(e => e.getBoundingClientRect().right > window.innerWidth).map(e => e.outerHTML)"
    )
    assert outside == []


@SIZES
def test_every_state_is_told_in_words(served: str, browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    """States, reasons, remedies and times can be read without seeing a colour."""
    look(browser, served, size)
    seen = text(browser)
    for word in (*(status.name for status in Status), "NOT READ", "NEVER RAN", "NOT LISTED"):
        assert word in seen
    for words in (
        "10 executions watched: 6 fine, 1 failed, 2 not read, 1 of unknown status",
        "1 of 10 workflows failed its last run, 1 not read, 1 read in part, 1 in state ERROR, 1 overdue",
        "1 of 2 folders cannot be listed",
        "HTTP_CALL_TIMEOUT", "forbidden (403)", "not_found (404)", "read in part: timeout",
        "Grant this account the role serverless.workflows.viewer on the folder.",
        "1 h 02 min", "1.07 s", "15 min 04 s", "2 d 4 h", "2025-03-10 16:00:00", "s ago", "never",
        "the RUNNING one", "order-fulfilment", "2 running, 1 queued", "oldest started 2 h ago",
        "mostly HTTP_CALL", "in 2 h",
    ):  # fmt: skip
        assert words in " ".join(seen.split())


def test_what_needs_a_look_comes_first(served: str, browser: webdriver.Chrome) -> None:
    """What failed and what was not read before what is fine, in both tables."""
    look(browser, served)
    tables = browser.execute_script(
        "return [...document.querySelectorAll('tbody')]"
        ".map(t => [...t.querySelectorAll('.pill')].map(e => e.textContent))"
    )
    assert tables == [
        [
            "NOT READ", "FAILED", "FINISHED", "FINISHED", "FINISHED", "FINISHED", "PAUSED", "FINISHED",
            "STOPPED", "NEVER RAN",
        ],
        [
            "FAILED", "NOT READ", "NOT READ", "UNKNOWN", "PAUSED", "RUNNING", "RUNNING", "QUEUED", "STOPPED",
            "FINISHED",
        ],
    ]  # fmt: skip


def test_one_colour_for_one_state(served: str, browser: webdriver.Chrome) -> None:
    """Every state has a ground of its own; what was not read has an outline only."""
    look(browser, served)
    colours = dict(
        browser.execute_script(
            "return [...document.querySelectorAll('tbody .pill')]"
            ".map(e => [e.textContent, getComputedStyle(e).backgroundColor])"
        )
    )
    assert len(set(colours.values())) == len(colours) == 9
    assert colours["NOT READ"] == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@SIZES
def test_every_text_stands_out_from_its_ground(
    served: str, browser: webdriver.Chrome, size: tuple[int, int], scheme: str
) -> None:
    """WCAG AA for every text of the page, pills included: a contrast of 4.5, by day and by night."""
    look(browser, served, size, scheme)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(15, 20, 26)"}[scheme]
    measured = browser.execute_script(CONTRAST)
    assert len(measured) > 50
    assert [(words, ratio) for words, ratio in measured if ratio < 4.5] == []


def test_the_page_asks_nobody_else_and_complains_of_nothing(served: str, browser: webdriver.Chrome) -> None:
    """No request but to its own origin, no script, nothing in the console."""
    for name in ("browser", "performance"):
        logged(browser, name)
    look(browser, served)
    events = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert served in urls
    assert {urlsplit(url).netloc for url in urls if not url.startswith("data:")} == {urlsplit(served).netloc}
    assert logged(browser, "browser") == []
    assert browser.execute_script("return document.scripts.length") == 0


@pytest.mark.parametrize("kind", ["execution", "workflow"])
def test_a_target_is_probed_from_the_page(served: str, browser: webdriver.Chrome, kind: str) -> None:
    """The forms lead to the report of that target's probe."""
    look(browser, served)
    field = browser.find_element("name", f"{kind}_id")
    field.send_keys(f"{FLOW}-1")
    field.submit()
    processes.until(lambda: f"asked for /probe?{kind}_id={FLOW}-1&debug=true" in text(browser))


def test_every_link_of_the_page_leads_somewhere(served: str, browser: webdriver.Chrome) -> None:
    """To the pages that there are, and for each target to its own probe."""
    look(browser, served)
    links = browser.execute_script(
        "return [...document.links].filter(a => a.origin === location.origin).map(a => a.pathname + a.search)"
    )
    executions = {f"/probe?execution_id={outcome.target.id}&debug=true" for outcome in EXECUTIONS}
    workflows = {f"/probe?workflow_id={outcome.target.id}&debug=true" for outcome in WORKFLOWS}
    assert len(links) == len(set(links))
    assert set(links) == ROUTES | executions | workflows


@SIZES
def test_an_empty_page_says_what_to_do(browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    """Who has configured nothing is told how, and does not scroll sideways for it."""
    with serving(collection()) as url:
        look(browser, url, size)
        seen = text(browser)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert "Nothing is watched yet" in seen
    assert "executions:" in seen
    assert "--execution=ID" in seen
    assert wide <= size[0]


def test_a_page_of_executions_alone_looks_as_it_does_beside_workflows(
    served: str, browser: webdriver.Chrome
) -> None:
    """The columns of one table do not depend on the other."""
    measure = "return [...document.querySelectorAll('.executions th')].map(e => e.offsetWidth)"
    look(browser, served)
    beside = browser.execute_script(measure)
    with serving(collection(*EXECUTIONS)) as url:
        look(browser, url)
        assert browser.execute_script(measure) == beside
