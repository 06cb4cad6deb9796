"""Pages of samples: what a request asks for, and one page for all who ask for the same.

Pages are made of CPU. Many at once take as long as one after the other, and keep the server from its
clients meanwhile; so they are, and what several ask for of one collection is rendered and compressed once.
"""

import contextlib
import gzip
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry

from exporter.outcome import Collection
from exporter.textformat import Encode, negotiated, openmetrics, plain
from exporter.workers import Turns

TURN_SECONDS = 5.0
PAGE_SECONDS = 10.0
MOST_KINDS = 8
GZIP_LEVEL = 1
"""A fifth of the time of 9, which is the library's, for pages that are a twelfth larger."""

Kind = tuple[Encode | str, bool, frozenset[str]]
"""What makes one page of a collection differ from another."""


class NotRendered(Exception):
    """Another request has begun to render the page, and it broke; the log has it from there."""


class NotRenderedInTime(NotRendered):
    """Another request is rendering the page, and takes too long."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants of a page: the format, compressed or not, and the names of metrics, none for all.

    `encode` writes the format, `content_type` names it.
    """

    encode: Encode
    content_type: str
    is_compressed: bool
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> Self:
        """Return what a WSGI request asks for by Accept, Accept-Encoding and `name[]`."""
        try:
            encode, content_type = negotiated(environ.get("HTTP_ACCEPT", ""))
        except (TypeError, ValueError):  # the library's, of a version that is none
            encode, content_type = negotiated("")
        names = parse_qs(environ.get("QUERY_STRING", "")).get("name[]", ())
        encodings = environ.get("HTTP_ACCEPT_ENCODING", "")
        return cls(encode, content_type, _takes_gzip(encodings), frozenset(names))

    @property
    def is_usual(self) -> bool:
        """Whether this is what Prometheus asks for unless it is told otherwise: all, in a usual format."""
        return self.encode in {openmetrics, plain} and not self.names

    @property
    def kind(self) -> Kind:
        """What the page depends on: the usual formats are the same under several content types."""
        encode = self.encode if self.encode in {openmetrics, plain} else self.content_type
        return encode, self.is_compressed, self.names

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that go with the page, beside its content type."""
        return (("Content-Encoding", "gzip"),) if self.is_compressed else ()

    def render(self, registry: CollectorRegistry) -> bytes:
        """Return the page of a registry."""
        page = self.encode(registry.restricted_registry(self.names) if self.names else registry)
        return gzip.compress(page, GZIP_LEVEL, mtime=0) if self.is_compressed else page


class Renderer:
    """Renders each page once for all requests that hold the same collection and want the same of it.

    The first to ask renders, the others wait for it. A page is kept as long as its collection, which is
    as long as one of these requests is under way; at most 8 kinds of each.

    Pages are rendered one at a time, in the order in which they were asked for. Those that Prometheus
    usually asks for have a turn of their own, so that nobody keeps them waiting who asks for others.

    `patience` is the seconds that others wait for who renders. `_lock` guards `_pages`.
    """

    def __init__(self, patience: float = PAGE_SECONDS) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._pages: weakref.WeakKeyDictionary[Collection, dict[Kind, Future[bytes]]]
        self._pages = weakref.WeakKeyDictionary()
        self._usual, self._other = Turns(1), Turns(1)

    def page(self, collection: Collection, wanted: Wanted, render: Callable[[], bytes]) -> bytes:
        """Return the page; `render` makes it if nobody has begun it yet.

        Raises what `render` raises, or NotRendered.
        """
        page, is_begun = self._page(collection, wanted.kind)
        if is_begun:
            return self._awaited(page)
        try:
            with self.turn(usual=wanted.is_usual):
                page.set_result(render())
        except BaseException:
            self._forget(collection, wanted.kind)
            page.cancel()
            raise
        return page.result()

    @contextlib.contextmanager
    def turn(self, *, usual: bool = False) -> Iterator[None]:
        """Wait for the turn to render, but not for ever: a page that is late is better than none."""
        turns = self._usual if usual else self._other
        has_turn = turns.acquire(TURN_SECONDS)
        try:
            yield
        finally:
            if has_turn:
                turns.release()

    def _awaited(self, page: Future[bytes]) -> bytes:
        try:
            return page.result(self._patience)
        except CancelledError:
            raise NotRendered("This page could not be made; the log says why.") from None
        except TimeoutError:
            late = f"This page takes longer than {self._patience:.0f} s to make; come back later."
            raise NotRenderedInTime(late) from None

    def _page(self, collection: Collection, kind: Kind) -> tuple[Future[bytes], bool]:
        """Return the page, and whether it was begun before; what there is no room for is not kept."""
        with self._lock:
            pages = self._pages.setdefault(collection, {})
            if (begun := pages.get(kind)) is not None:
                return begun, True
            page = Future[bytes]()
            if len(pages) < MOST_KINDS:
                pages[kind] = page
            return page, False

    def _forget(self, collection: Collection, kind: Kind) -> None:
        """Let the next who asks try again."""
        with self._lock:
            self._pages.get(collection, {}).pop(kind, None)


def _takes_gzip(encodings: str) -> bool:
    """Whether an Accept-Encoding header names gzip, and does not refuse it by a weight of 0."""
    for coding in encodings.lower().split(","):
        name, *parameters = (part.strip() for part in coding.split(";"))
        if name == "gzip" and not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters):
            return True
    return False
