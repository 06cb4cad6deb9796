"""Whatever is asked of the pages: a whole answer, nothing of the client as markup, only the right calls."""

import base64
import gzip
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlencode

import bcrypt
import pytest
from fuzzing import fuzzed
from hostile import NASTY
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from test_failures import scraper
from test_fuzz_answers import tags
from test_web import ALIVE, FLOW, Reply, site

from exporter.guard import guarded
from exporter.simulator import Simulator
from exporter.targets import ExecutionTarget, Watched, WorkflowTarget
from exporter.web import scrape_seconds
from exporter.webconfig import WebConfigFile
from exporter.yandex.models import valid_id

LATIN = st.sampled_from([text.encode("utf-8", "replace").decode("latin-1") for text in NASTY]) | st.text(
    st.characters(max_codepoint=255), max_size=8
)
"""Texts as WSGI hands them over: bytes, each as the character of its number."""
FIELDS = LATIN.map(lambda text: re.sub(r"[\r\n\0]", "", text))
"""Values of headers, as far as the server lets them pass."""
IDS = st.one_of(
    st.sampled_from([ALIVE, "dfq-unknown", FLOW, "a" * 128, "a" * 129, "..", ".", "%2e%2e", "a/b", "@host",
                     "a?b=c", "//evil.example/", "http://evil.example/", "\u0430", "a#", "t1.hushhushhush"]),
    LATIN,
)  # fmt: skip
NAMES = (
    st.sampled_from(["execution_id", "workflow_id", "debug", "name[]", "t1.hushhushhush", "target", ""])
    | LATIN
)
TRUTHS = st.sampled_from(["true", "1", "probe_success"])
PAIRS = st.lists(st.tuples(NAMES, IDS | TRUTHS), max_size=5)
QUERIES = st.one_of(
    PAIRS.map(lambda pairs: urlencode([(name, text.encode("utf-8", "replace")) for name, text in pairs])),
    st.tuples(st.sampled_from(["execution_id=", "workflow_id=", "&", ";", "%", "+"]), LATIN).map("".join),
    st.tuples(st.sampled_from(["execution_id=a&", "name[]=b&", "&"]), st.sampled_from([99, 1001])).map(
        lambda drawn: drawn[0] * drawn[1]),
    LATIN.map(quote), LATIN,
)  # fmt: skip
PATHS = st.sampled_from([
    "/", "/metrics", "/probe", "/sd", "/config", "/-/healthy", "/-/ready", "/-/reload",
    "", "//", "/probe/", "/metrics/..", "/Metrics", "/static/x", "/<xss onxss=1>", "/-/reload\0", "*",
]) | LATIN.map("/{}".format)  # fmt: skip
SECONDS = st.sampled_from(["0.3", "0.00001", "-1", "nan", "inf", "1e999", "1e-999", "0x1", "1_0", "9" * 30])
ACCEPTED = st.sampled_from([
    "application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=", "text/plain;",
    "application/openmetrics-text; version=1.0.0; escaping=allow-utf-8", "text/plain; escaping=values",
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=nan", "*/*;q=", ",,;;==", "a" * 9000,
])  # fmt: skip
HEADERS = st.fixed_dictionaries({}, optional={
    "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS": SECONDS | FIELDS,
    "HTTP_ACCEPT": ACCEPTED | FIELDS,
    "HTTP_ACCEPT_ENCODING": st.sampled_from(["gzip", "gzip;q=0", "GZIP;q=0.0", "gzip;q=,br", "*"]) | FIELDS,
    "HTTP_AUTHORIZATION": st.sampled_from(["Bearer t1.hushhushhush", "Basic Og==", "Basic"]) | FIELDS,
    "HTTP_HOST": FIELDS, "HTTP_X_FORWARDED_FOR": FIELDS, "HTTP_COOKIE": FIELDS,
})  # fmt: skip
METHODS = st.sampled_from(["GET"] * 8 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "<xss>"])
CALLED = re.compile(r"/workflows/v1/(execution|workflow)(/[A-Za-z0-9_-]{1,128}(/history)?)?")


def answered(app: Any, environ: dict[str, Any]) -> Reply:
    """Return the answer to a request, which a server could send as it is."""
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    whole = {"SCRIPT_NAME": "", "wsgi.input": io.BytesIO(), "SERVER_NAME": "x", "SERVER_PORT": "1", **environ}
    body = b"".join(app(whole, lambda *head: heads.append(head[:2])))
    ((status, fields),) = heads
    for name, value in (("Status", status), *fields):
        assert re.fullmatch(r"[A-Za-z-]+", name)
        assert re.fullmatch(r"[\x20-\x7e]*", value)
    return Reply(int(status[:3]), dict(fields), body)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Simulator]:
    """Return a cloud with an execution and its workflow."""
    with Simulator(executions=0) as simulator:
        simulator.put(ALIVE, status="RUNNING", started_at=1741622400.0, workflow_id=FLOW)
        yield simulator


@pytest.fixture(scope="module")
def app(cloud: Simulator) -> Iterator[Any]:
    """Return the application over this cloud."""
    with ExitStack() as ending:
        made = scraper(cloud, concurrency=4, timeout=5.0, retries=0)
        ending.callback(made.close)
        yield site(made, Watched((ExecutionTarget(ALIVE, "nightly"),), (WorkflowTarget(FLOW),))).app()


@given(PATHS, QUERIES, METHODS, HEADERS)
@example("/probe", "t1.hushhushhush%0D%0Ax=1", "GET", {})
@example("/probe", "execution_id=t1.hushhushhush%1B", "GET", {})
@example("/metrics", "", "GET", {"HTTP_ACCEPT": "application/openmetrics-text; version="})
@fuzzed(250)
def test_any_request_gets_a_whole_answer(  # noqa: PLR0917 - hypothesis hands them over by place
    app: Any, cloud: Simulator, path: str, query: str, method: str, headers: dict[str, str]
) -> None:
    """No error of ours, the length it says, nothing sniffed, and no tag of the client's."""
    asked = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}
    reply = answered(app, asked)
    assert reply.code in {200, 400, 404, 405}
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert method == "HEAD" or int(reply.headers["Content-Length"]) == len(reply.body)
    body = gzip.decompress(reply.body) if reply.headers.get("Content-Encoding") == "gzip" else reply.body
    assert cloud.token not in body.decode()
    assert "hushhushhush" not in body.decode()
    kind = reply.headers["Content-Type"].partition(";")[0]
    kinds = {"/": "text/html", "/sd": "application/json"}
    if reply.code != 200:
        assert kind == "text/plain"
        assert all(line.isprintable() for line in body.decode().split("\n"))
    elif kind == "application/openmetrics-text":
        assert path in {"/metrics", "/probe"}
        list(parse_openmetrics(body.decode()) if method != "HEAD" else ())  # type: ignore[no-untyped-call]
    else:
        assert kind == kinds.get(path or "/", "text/plain")
    if kind == "text/html":
        assert "xss" not in " ".join(tags(body.decode()))


@given(st.lists(st.tuples(st.sampled_from(["execution_id", "workflow_id"]), IDS), max_size=4), st.booleans())
@fuzzed(120)
def test_a_probe_asks_for_what_it_was_asked_for_and_nothing_else(
    app: Any, cloud: Simulator, pairs: list[tuple[str, str]], debug: bool
) -> None:
    """The cloud sees the IDs as they were given, each in its place in a path; a bad one costs no call."""
    cloud.clear_calls()
    query = urlencode([*pairs, *([("debug", "true")] if debug else [])])
    reply = answered(app, {"REQUEST_METHOD": "GET", "PATH_INFO": "/probe", "QUERY_STRING": query})
    calls = cloud.calls
    assert reply.code == (200 if pairs and all(valid_id(text) for _, text in pairs) else 400)
    assert bool(calls) <= (reply.code == 200)
    for call in calls:
        assert CALLED.fullmatch(call.path)
        assert call.authorization_ok
        assert call.target in {text for _, text in pairs}
    if reply.code == 200 and not debug:
        shown = {family.name: family for family in parse_text(reply.text)}
        ids = {s.labels["execution_id"] for s in shown["yc_workflow_execution_scrape_success"].samples}
        assert ids == {text for name, text in pairs if name == "execution_id"}


@given(SECONDS | FIELDS | st.floats().map(str), st.floats(0.1, 100), st.floats(0, 10))
@fuzzed(300)
def test_any_header_of_time_gives_a_budget(header: str, timeout: float, offset: float) -> None:
    """Never less than a tenth of a second, never more than our own timeout."""
    assert 0.1 <= scrape_seconds(header, timeout, offset) <= max(0.1, timeout)


HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
CREDENTIALS = st.tuples(LATIN | st.just("nina"), LATIN | st.just("right")).map(
    lambda pair: base64.b64encode(":".join(pair).encode("utf-8", "replace")).decode()
)


@pytest.fixture(scope="module")
def door(app: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the application behind a door with one user."""
    path = tmp_path_factory.mktemp("door") / "web.yml"
    path.write_text(f"basic_auth_users:\n  nina: {HASH}\n")
    return guarded(app, WebConfigFile(path))


SCHEMES = st.sampled_from(["Basic ", "basic ", "BASIC ", "Basic\t", "Bearer ", ""])


RIGHT = base64.b64encode(b"nina:right").decode()


@given(st.tuples(SCHEMES, CREDENTIALS | LATIN | LATIN.map(lambda junk: junk + RIGHT)).map("".join))
@example(f"Basic {RIGHT[:4]}!{RIGHT[4:]}")
@example(f"Basic {RIGHT}")
@fuzzed(150)
def test_only_the_right_password_opens(door: Any, header: str) -> None:
    """Whatever the header holds; the right name and password do, in any case of the scheme."""
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/-/healthy", "HTTP_AUTHORIZATION": header}
    reply = answered(door, environ)
    scheme, _, encoded = header.partition(" ")
    right = scheme.lower() == "basic" and encoded == RIGHT
    assert reply.code == (200 if right else 401)
