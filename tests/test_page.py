"""The landing page as people see it: in a real browser, on a phone and at a desk, by day and by night."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import processes
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from test_web import Site, scraper, site

from exporter.outcome import Collection, Outcome
from exporter.page import LandingPage, ago_text, debug, duration_text, utc_text
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.targets import ExecutionTarget
from exporter.yandex.models import Execution, Status

PHONE, DESK = (360, 800), (1280, 900)
NOW = 1_741_622_400.0
FLOW = "dfqud9cbc4k5m0a1b2c3"
LONG = "w" * 128
STATES: dict[str, dict[str, Any]] = {
    "QUEUED": {"started_at": NOW},
    "RUNNING": {"started_at": NOW, "duration": 3725.0},
    "PAUSED": {"started_at": NOW, "duration": 904.0},
    "STOPPED": {"started_at": NOW, "duration": 61.5},
    "FAILED": {"started_at": NOW, "duration": 1.070697344, "error": ("HTTP_CALL_TIMEOUT", "too late")},
    "FINISHED": {"started_at": NOW, "duration": 187_200.0},
    "A_STATE_OF_TOMORROW": {},
}
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


@dataclass
class Served:
    """A site at a real address."""

    site: Site
    url: str


def serve(home: Site) -> Iterator[Served]:
    """Serve a site on loopback while the test runs."""
    with make_server("127.0.0.1", 0, home.app(), Threaded, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Served(home, f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Return a site with an execution in every state, one that is gone and one with the longest names."""
    with Simulator(executions=0) as cloud:
        for state, fields in STATES.items():
            cloud.put(f"{FLOW}-{state.lower()}", status=state, workflow_id=FLOW, **fields)
        cloud.put(LONG, status="RUNNING", workflow_id=LONG)
        cloud.put(f"{FLOW}-forbidden")
        cloud.faults.add(FaultRule(Fault.STATUS, target=f"{FLOW}-forbidden", code=403))
        made = scraper(cloud)
        named = [ExecutionTarget(f"{FLOW}-{state.lower()}", f"the {state} one") for state in STATES]
        others = [
            ExecutionTarget(LONG, LONG),
            ExecutionTarget(f"{FLOW}-forbidden"),
            ExecutionTarget("dfq-gone"),
        ]
        yield from serve(site(made, (*named, *others)))
        made.close()


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


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_nobody_has_to_scroll_sideways(
    served: Served, browser: webdriver.Chrome, size: tuple[int, int]
) -> None:
    """The longest names fit, on a phone and at a desk."""
    look(browser, served.url, size)
    wide, window = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert window == size[0]
    assert wide <= window
    outside = browser.execute_script(
        "return [...document.querySelectorAll('table, td, code, .pill, input, a')]"
        ".filter(e => e.getBoundingClientRect().right > window.innerWidth).map(e => e.outerHTML)"
    )
    assert outside == []


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_every_state_is_told_in_words(
    served: Served, browser: webdriver.Chrome, size: tuple[int, int]
) -> None:
    """States, reasons, remedies and times can be read without seeing a colour."""
    look(browser, served.url, size)
    seen = text(browser)
    for word in (*(status.name for status in Status), "NOT READ"):
        assert word in seen
    for words in (
        "10 executions watched: 6 fine, 1 failed, 2 not read, 1 of unknown status",
        "HTTP_CALL_TIMEOUT",
        "forbidden (403)",
        "Grant this account the role serverless.workflows.viewer on the folder.",
        "not_found (404)",
        "1 h 02 min", "1.07 s", "15 min 04 s", "2 d 4 h", "2025-03-10 16:00:00", "s ago", "never",
        "the RUNNING one",
    ):  # fmt: skip
        assert words in seen


def test_what_needs_a_look_comes_first(served: Served, browser: webdriver.Chrome) -> None:
    """Failed before unread before unknown, and what is fine after them."""
    look(browser, served.url)
    states = browser.execute_script(
        "return [...document.querySelectorAll('tbody .pill')].map(e => e.textContent)"
    )
    assert states == [
        "FAILED", "NOT READ", "NOT READ", "UNKNOWN", "PAUSED", "RUNNING", "RUNNING", "QUEUED", "STOPPED",
        "FINISHED",
    ]  # fmt: skip


def test_one_colour_for_one_state(served: Served, browser: webdriver.Chrome) -> None:
    """Every state has a ground of its own; what was not read has an outline only."""
    look(browser, served.url)
    colours = dict(
        browser.execute_script(
            "return [...document.querySelectorAll('tbody .pill')]"
            ".map(e => [e.textContent, getComputedStyle(e).backgroundColor])"
        )
    )
    assert len(set(colours.values())) == len(colours) == 8
    assert colours["NOT READ"] == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_every_text_stands_out_from_its_ground(
    served: Served, browser: webdriver.Chrome, size: tuple[int, int], scheme: str
) -> None:
    """WCAG AA for every text of the page, pills included: a contrast of 4.5, by day and by night."""
    look(browser, served.url, size, scheme)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(245, 246, 248)", "dark": "rgb(15, 20, 26)"}[scheme]
    measured = browser.execute_script(CONTRAST)
    assert len(measured) > 50
    assert [(words, ratio) for words, ratio in measured if ratio < 4.5] == []


def test_the_page_asks_nobody_else_and_complains_of_nothing(
    served: Served, browser: webdriver.Chrome
) -> None:
    """No request but to its own origin, no script, nothing in the console."""
    for name in ("browser", "performance"):
        logged(browser, name)
    look(browser, served.url)
    events = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert served.url in urls
    assert {urlsplit(url).netloc for url in urls if not url.startswith("data:")} == {
        urlsplit(served.url).netloc
    }
    assert logged(browser, "browser") == []
    assert browser.execute_script("return document.scripts.length") == 0


def test_an_execution_is_probed_from_the_page(served: Served, browser: webdriver.Chrome) -> None:
    """The form leads to the report of that execution's probe."""
    look(browser, served.url)
    browser.find_element("name", "execution_id").send_keys(f"{FLOW}-running")
    browser.find_element("tag name", "button").click()
    wanted = f"{served.url}probe?execution_id={FLOW}-running&debug=true"
    processes.until(lambda: browser.current_url == wanted)
    processes.until(lambda: "probe_success 1.0" in text(browser))


def test_every_link_of_the_page_leads_somewhere(served: Served, browser: webdriver.Chrome) -> None:
    """No link of our own is dead, those to the probes among them."""
    look(browser, served.url)
    links = browser.execute_script(
        "return [...document.links].filter(a => a.origin === location.origin).map(a => a.href)"
    )
    assert len(links) == 4 + 10
    for link in links:
        look(browser, link)
        assert "No such page" not in text(browser)
        assert "is not an ID" not in text(browser)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_an_empty_page_says_what_to_do(browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    """Who has configured nothing is told how, and does not scroll sideways for it."""
    with Simulator(executions=0) as cloud:
        made = scraper(cloud)
        for empty in serve(site(made, ())):
            look(browser, empty.url, size)
            seen = text(browser)
            wide = browser.execute_script("return document.documentElement.scrollWidth")
        made.close()
    assert "No executions are watched yet" in seen
    assert "executions:" in seen
    assert "--execution=ID" in seen
    assert wide <= size[0]


def outcome(number: int, status: Status = Status.FINISHED, alias: str = "") -> Outcome:
    """Return the outcome of an execution in this state."""
    execution = Execution(f"dfq-{number}", FLOW, status, NOW, 1.0, None, ())
    return Outcome(ExecutionTarget(f"dfq-{number}", alias), NOW, execution, last_success=NOW)


def test_thousands_of_executions_are_counted_and_the_first_are_shown() -> None:
    """What failed is shown even when it was configured last, and what is left out is said."""
    finished = tuple(outcome(n) for n in range(1999))
    html = LandingPage("1").render(Collection((*finished, outcome(1999, Status.FAILED)), NOW, 0.0), NOW, "")
    assert html.count('<tr role="row">') == 1 + 500
    assert "dfq-1999" in html
    assert "and 1500 more" in html
    assert "2000 executions watched: 1999 fine, 1 failed" in html


def test_of_two_in_the_same_state_the_newer_comes_first() -> None:
    """Who is woken looks for what has just failed."""
    old, new = outcome(1, Status.FAILED), outcome(2, Status.FAILED)
    assert new.execution is not None
    new = replace(new, execution=replace(new.execution, started_at=NOW + 60))
    html = LandingPage("1").render(Collection((old, new), NOW, 0.0), NOW, "")
    assert html.index("dfq-2") < html.index("dfq-1")


def test_a_name_is_text_and_not_markup() -> None:
    """What the configuration calls an execution cannot write on the page."""
    html = LandingPage("1").render(
        Collection((outcome(1, alias="<script>alert(1)</script>"),), NOW, 0.0), NOW, ""
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_an_execution_that_is_kept_says_that_its_last_reading_failed() -> None:
    """An execution that ended is still shown with its state when the cloud cannot be asked."""
    kept = Outcome(ExecutionTarget("dfq-1"), NOW, outcome(1).execution, reason="timeout", message="slow")
    html = LandingPage("1").render(Collection((kept,), NOW, 0.0), NOW, "")
    assert "FINISHED" in html
    assert "last reading: timeout" in html
    assert "The API did not answer in time." in html


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "\u2014"), (0.0, "0 s"), (1e-9, "1 ms"), (0.0412, "41 ms"), (0.9994, "999 ms"),
        (0.9996, "1.00 s"), (1.070697344, "1.07 s"), (9.994, "9.99 s"), (9.996, "10.0 s"), (59.94, "59.9 s"),
        (59.96, "1 min 00 s"), (904, "15 min 04 s"), (3599.6, "1 h 00 min"), (3725, "1 h 02 min"),
        (86399.7, "1 d 0 h"), (187_200, "2 d 4 h"), (315_576_000_000, "3652500 d 0 h"),
    ],
)  # fmt: skip
def test_a_duration_is_said_as_people_say_it(seconds: float | None, words: str) -> None:
    """The unit fits the size, also where one unit becomes the next."""
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"), (59.9, "59 s ago"), (720, "12 min ago"), (7200, "2 h ago"), (200_000, "2 d ago"),
        (-2, "just now"), (-3600, "in the future"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_in_the_largest_unit(seconds: float, words: str) -> None:
    """Clocks that differ a little do not make the past the future."""
    assert ago_text(seconds) == words


def test_a_time_that_no_calendar_holds_breaks_no_page() -> None:
    """The last timestamps of RFC 3339, with an offset, lie in the year 10000."""
    assert utc_text(253_402_300_799) == "9999-12-31 23:59:59"
    assert utc_text(253_402_304_399) == "after the year 9999"


def test_the_summary_says_the_overall_state() -> None:
    """Only what there is, in the words of a person."""
    page = LandingPage("1")
    for number, words in ((0, "No executions are watched yet"), (1, "1 execution watched: all fine")):
        collection = Collection(tuple(outcome(n) for n in range(number)), NOW, 0.0)
        assert words in page.render(collection, NOW, "")


def test_a_debugged_probe_says_what_was_not_read_in_time() -> None:
    """An execution that was not read in this probe does not borrow an earlier reading."""
    late = Outcome(ExecutionTarget("dfq-1"), NOW, reason="budget", message="the time was over")
    assert "dfq-1  NOT READ  no answer  budget: the time was over" in debug((), (late,), "")
