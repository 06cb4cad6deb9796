"""Reads the list of a workflow's executions: what started lately, page by page.

A list that is too long for one scrape goes on in the next, from the page where it was.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from exporter.account import OVERLAP
from exporter.ledger import Ledger
from exporter.records import Look, Record
from exporter.yandex.calls import Budget, Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import ApiError, BadRequest, BadResponse
from exporter.yandex.models import Execution
from exporter.yandex.workflows import Page

FILTERS = ("started_at>{}", 'started_at > "{}"', "")
"""How a filter may be written: as the vendor's examples have it, as its words have it, not at all."""
FILTER_AGE = 3600.0
"""Seconds after which a filter that was refused is tried again."""
MOST_PAGES = 10_000
MOST_LOOKS = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """A complete look: what it showed, the fields that could not be read, the executions left to ask for."""

    look: Look
    unread: tuple[str, ...]
    open: tuple[tuple[str, Record], ...]


class Looks:
    """Reads lists into the ledger. Times in seconds.

    `_lock` guards `_begun`, the looks that are to go on, `_complete`, the workflows of which a look has been
    completed, and `_filters`: where a filter was refused, the way that works, and until when it is kept to
    (monotonic). All are bounded.
    """

    def __init__(
        self,
        client: WorkflowsClient,
        ledger: Ledger,
        clock: Clock,
        *,
        lookback: float,
        window: float,
        max_steps: int | None,
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._clock = clock
        self._lookback = lookback
        self._window = window
        self._max_steps = max_steps
        self._lock = threading.Lock()
        self._begun: OrderedDict[str, Look] = OrderedDict()
        self._complete: OrderedDict[str, None] = OrderedDict()
        self._filters: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def read(self, workflow_id: str, budget: Budget) -> Seen:
        """Read a list to its end; raises ApiError, and then what was read is not lost."""
        look = self._look(workflow_id)
        unread: tuple[str, ...] = ()
        try:
            while True:
                page = self._page(look, budget)
                look.served(page.served_at, self._clock.time())
                look.unfiltered = look.unfiltered or _is_unfiltered(page, look)
                unread += self._ledger.page(look, _recent(page, look), self._max_steps)
                look.skipped += page.skipped
                look.token = page.next_token
                if not page.next_token:
                    break
                if look.pages >= MOST_PAGES:
                    raise BadResponse(f"the list has not ended after {MOST_PAGES} pages", 200)
        except ApiError as error:
            self._suspend(look, error)
            raise
        open_ = self._ledger.complete(look, self._max_steps, self._clock.time())
        self._completed(workflow_id)
        return Seen(look, unread, open_)

    def goes_on(self, workflow_id: str) -> bool:
        """Whether a list was begun and is to be read on."""
        with self._lock:
            return workflow_id in self._begun

    def _look(self, workflow_id: str) -> Look:
        with self._lock:
            begun = self._begun.pop(workflow_id, None)
            again = workflow_id in self._complete
        if begun is not None and (begun.first or self._clock.time() - begun.began < OVERLAP):
            begun.shown.clear()
            return begun
        return self._ledger.look(
            workflow_id, self._clock.time(), reach=self._lookback, window=self._window, again=again
        )

    def _suspend(self, look: Look, error: ApiError) -> None:
        """Keep a look to go on with, unless its page itself was refused or another look got further."""
        if not look.token or isinstance(error, BadRequest | BadResponse):
            return
        with self._lock:
            other = self._begun.get(look.workflow_id)
            if other is None or other.pages < look.pages:
                self._begun[look.workflow_id] = look
            while len(self._begun) > MOST_LOOKS:
                self._begun.popitem(last=False)

    def _completed(self, workflow_id: str) -> None:
        with self._lock:
            self._complete[workflow_id] = None
            while len(self._complete) > MOST_LOOKS * 10:
                self._complete.popitem(last=False)

    def _page(self, look: Look, budget: Budget) -> Page[Execution]:
        """Read the next page; the first one in the first way to filter that is not refused."""
        if look.token:
            return self._list(look, budget)
        refused: BadRequest | None = None
        for way in range(self._way(look.workflow_id), len(FILTERS)):
            look.filter_way = way
            try:
                page = self._list(look, budget)
            except BadRequest as error:
                if error.http_code != HTTPStatus.BAD_REQUEST:
                    raise
                refused = refused or error
            else:
                if refused is not None:
                    self._keep_to(look)
                return page
        raise refused or BadResponse("no way to list is left")

    def _way(self, workflow_id: str) -> int:
        with self._lock:
            way, until = self._filters.get(workflow_id, (0, 0.0))
        return way if self._clock.monotonic() < until else 0

    def _keep_to(self, look: Look) -> None:
        with self._lock:
            self._filters[look.workflow_id] = (look.filter_way, self._clock.monotonic() + FILTER_AGE)
            while len(self._filters) > MOST_LOOKS * 10:
                self._filters.popitem(last=False)

    def _list(self, look: Look, budget: Budget) -> Page[Execution]:
        since = datetime.fromtimestamp(max(0, int(look.since)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        filter_ = FILTERS[look.filter_way].format(since)
        return self._client.executions(look.workflow_id, budget, filter_=filter_, page_token=look.token)


def _is_unfiltered(page: Page[Execution], look: Look) -> bool:
    """Whether no filter was asked for, or the page shows that none was applied."""
    since = int(look.since)
    return not FILTERS[look.filter_way] or any(
        e.started_at is None or e.started_at <= since for e in page.items
    )


def _recent(page: Page[Execution], look: Look) -> tuple[Execution, ...]:
    """Return what the filter asks for; it may have been refused, or passed over."""
    return tuple(e for e in page.items if e.started_at is None or e.started_at > look.since)
