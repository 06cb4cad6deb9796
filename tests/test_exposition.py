"""Pages of samples: what a request asks for, and one rendering for all who ask for the same."""

import gzip
import itertools
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from processes import until
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from test_textformat import ACCEPT, PROMETHEUS_2, PROMETHEUS_3

from exporter.exposition import MOST_KINDS, NotRendered, NotRenderedInTime, Renderer, Wanted
from exporter.outcome import Collection

PATIENT = 10.0
PLAIN = Wanted.of({})
PACKED = Wanted.of({"HTTP_ACCEPT": PROMETHEUS_3, "HTTP_ACCEPT_ENCODING": "gzip"})
DOTS = Wanted.of({"HTTP_ACCEPT": "text/plain;version=1.0.0;escaping=dots"})


def collection() -> Collection:
    """Return a collection of nothing."""
    return Collection((), 0.0, 0.0)


def named(name: str) -> Wanted:
    """Return what asks for one family."""
    return Wanted.of({"QUERY_STRING": f"name[]={name}"})


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """Return threads for what goes on beside."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@dataclass
class Page:
    """A page whose rendering waits for a permission; `begun` is how often that was begun."""

    may_end: threading.Event = field(default_factory=threading.Event)
    begun: int = 0
    error: BaseException | None = None

    def render(self) -> bytes:
        """Return a page that is like no other."""
        self.begun += 1
        number = self.begun
        assert self.may_end.wait(PATIENT)
        if self.error:
            raise self.error
        return b"page %d" % number


class Families(Collector):
    """A gauge and a counter."""

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        gauge = GaugeMetricFamily("a_gauge", "help", labels=("a_label",))
        gauge.add_metric(("a.value_ü",), 1.5)
        yield gauge
        yield CounterMetricFamily("a_counter", "help", value=3)

    describe = collect


def of_the_library(registry: CollectorRegistry, asked: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """Return headers and body as prometheus-client answers."""
    environ: dict[str, Any] = dict(asked)
    setup_testing_defaults(environ)
    heads: list[dict[str, str]] = []
    app: Any = make_wsgi_app(registry)
    body = b"".join(app(environ, lambda _, headers: heads.append(dict(headers))))
    return heads[0], body


@pytest.mark.parametrize("accept", ACCEPT)
def test_a_page_is_what_the_library_would_answer(accept: str) -> None:
    """Format, compression and names are negotiated alike, for all ways to ask."""
    registry = CollectorRegistry()
    registry.register(Families())
    encodings = ("", "gzip", "GZIP;q=0.5, br", "deflate", "gzip-not, *")
    queries = ("", "name[]=a_gauge", "name%5B%5D=a_counter_total&name[]=b", "name[]=", "no=1")
    for encoding, query in itertools.product(encodings, queries):
        asked = {"HTTP_ACCEPT": accept, "HTTP_ACCEPT_ENCODING": encoding, "QUERY_STRING": query}
        headers, body = of_the_library(registry, asked)
        wanted = Wanted.of(asked)
        page = wanted.render(registry)
        assert dict([("Content-Type", wanted.content_type), *wanted.headers]) == headers
        if wanted.is_compressed:
            page, body = gzip.decompress(page), gzip.decompress(body)
        assert page == body


@pytest.mark.parametrize("encodings", ["gzip;q=0", "identity, gzip; q=0.0", "gzip ;Q=0.", "x-gzip"])
def test_what_is_refused_is_not_compressed(encodings: str) -> None:
    """A weight of nothing is a refusal, which the library takes for a request."""
    assert not Wanted.of({"HTTP_ACCEPT_ENCODING": encodings}).is_compressed
    assert Wanted.of({"HTTP_ACCEPT_ENCODING": "gzip;q=0.01"}).is_compressed


@pytest.mark.parametrize("version", ["abc", "1.x", "", "1..0", "²"])
def test_a_version_that_is_none_gets_the_plainest_format(version: str) -> None:
    """What the library stumbles over is as if nothing had been asked for."""
    wanted = Wanted.of({"HTTP_ACCEPT": f"text/plain;version={version}"})
    assert (wanted.kind, wanted.content_type) == (PLAIN.kind, PLAIN.content_type)


def test_headers_that_come_to_the_same_page_are_of_one_kind() -> None:
    """Prometheus 2 and 3 ask in other words, and are told so in other words, of the same page."""
    two = Wanted.of({"HTTP_ACCEPT": PROMETHEUS_2, "HTTP_ACCEPT_ENCODING": "gzip, deflate"})
    assert two.kind == PACKED.kind
    assert two.content_type != PACKED.content_type
    kinds = {wanted.kind for wanted in (PLAIN, PACKED, DOTS, named("a"), named("b"), named("a&name[]=b"))}
    assert len(kinds) == 6
    assert named("a&name[]=b").kind == named("b&name[]=a&name[]=a").kind


def together(
    beside: ThreadPoolExecutor, renderer: Renderer, page: Page, of: Collection, wanted: Wanted = PLAIN
) -> list[Future[bytes]]:
    """Let eight ask for the same page, of which one has begun to render it."""
    waiting = [beside.submit(renderer.page, of, wanted, page.render) for _ in range(8)]
    assert until(lambda: page.begun)
    return waiting


def test_a_page_is_rendered_once_for_all_who_ask(beside: ThreadPoolExecutor) -> None:
    """Who comes while it is rendered, and who comes after, has the very same bytes."""
    renderer, page, read = Renderer(), Page(), collection()
    waiting = together(beside, renderer, page, read)
    page.may_end.set()
    had = [each.result(PATIENT) for each in waiting]
    had.append(renderer.page(read, PLAIN, page.render))
    assert (page.begun, {id(body) for body in had}) == (1, {id(had[0])})


def test_each_collection_and_each_kind_has_a_page_of_its_own() -> None:
    """Nobody gets what another reading was, nor what he did not ask for."""
    renderer, page = Renderer(), Page()
    page.may_end.set()
    first, second = collection(), collection()
    pages = {renderer.page(first, wanted, page.render) for wanted in (PLAIN, PACKED, DOTS, named("a"))}
    assert len(pages | {renderer.page(second, PLAIN, page.render)}) == page.begun == 5


def test_a_page_lives_no_longer_than_its_collection() -> None:
    """When the last request lets go of the collection, the page is given back, without a collector."""
    renderer, page, read = Renderer(), Page(), collection()
    page.may_end.set()
    body = renderer.page(read, PLAIN, page.render)
    held = sys.getrefcount(body)
    del read
    assert sys.getrefcount(body) == held - 1


def test_no_more_than_a_few_kinds_are_kept_of_a_collection() -> None:
    """Who asks for ever other names gets his pages, and fills no memory."""
    renderer, page, read = Renderer(), Page(), collection()
    page.may_end.set()
    for number in range(MOST_KINDS + 5):
        renderer.page(read, named(f"n{number}"), page.render)
    begun = page.begun
    for number in range(MOST_KINDS + 5):
        renderer.page(read, named(f"n{number}"), page.render)
    assert (begun, page.begun) == (MOST_KINDS + 5, MOST_KINDS + 10)


def test_a_rendering_that_breaks_is_told_to_all_and_tried_again(beside: ThreadPoolExecutor) -> None:
    """Who renders has the error itself, once; the next who asks has a page."""
    renderer, page, read = Renderer(), Page(error=RuntimeError("it broke")), collection()
    waiting = together(beside, renderer, page, read)
    assert until(lambda: page.begun == 1 and sum(each.running() for each in waiting) == 8)
    page.may_end.set()
    kinds = [type(each.exception(PATIENT)) for each in waiting]
    assert kinds.count(RuntimeError) == page.begun
    assert set(kinds) <= {RuntimeError, NotRendered}
    page.error = None
    assert renderer.page(read, PLAIN, page.render).startswith(b"page")


def test_nobody_waits_for_ever_for_who_renders(beside: ThreadPoolExecutor) -> None:
    """After its patience a request is told to come back, and the page is still made for who began it."""
    renderer, page, read = Renderer(patience=0.1), Page(), collection()
    maker = beside.submit(renderer.page, read, PLAIN, page.render)
    assert until(lambda: page.begun)
    with pytest.raises(NotRenderedInTime, match="come back later"):
        renderer.page(read, PLAIN, page.render)
    assert not maker.done()
    page.may_end.set()
    assert maker.result(PATIENT) == b"page 1"


def test_pages_are_rendered_one_after_the_other(beside: ThreadPoolExecutor) -> None:
    """Of collections that are not the same, or of several kinds: one is made, the others wait."""
    renderer, pages = Renderer(), [Page() for _ in range(3)]
    made = [beside.submit(renderer.page, collection(), PLAIN, page.render) for page in pages]
    assert until(lambda: any(page.begun for page in pages))
    for done in range(1, 4):
        assert until(lambda: sum(page.begun for page in pages) >= done)  # noqa: B023  # it is called here
        assert sum(page.begun for page in pages) == done
        next(page for page in pages if page.begun and not page.may_end.is_set()).may_end.set()
    assert [each.result(PATIENT) for each in made] == [b"page 1"] * 3


@pytest.mark.parametrize("odd", [DOTS, named("a")])
def test_who_asks_for_something_odd_keeps_no_prometheus_waiting(
    beside: ThreadPoolExecutor, odd: Wanted
) -> None:
    """Formats that the library writes, and pages of some names, have a turn that is not the scrapes'."""
    renderer, slow, usual = Renderer(), Page(), Page()
    usual.may_end.set()
    read = collection()
    made = beside.submit(renderer.page, read, odd, slow.render)
    assert until(lambda: slow.begun)
    assert beside.submit(renderer.page, read, PACKED, usual.render).result(PATIENT) == b"page 1"
    assert not made.done()
    slow.may_end.set()
    assert made.result(PATIENT) == b"page 1"
