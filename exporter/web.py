"""The pages of the exporter as a WSGI application: routes, methods, parameters."""

import logging
import math
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry

from exporter import page, sd, textformat
from exporter.crew import Lane
from exporter.exposition import NotRendered, NotRenderedInTime, Renderer, Wanted
from exporter.outcome import Collection
from exporter.scraper import Scraper
from exporter.targets import ExecutionTarget, Watched, WorkflowTarget
from exporter.yandex.calls import Authorizer, Budget, CallRecord, Clock
from exporter.yandex.errors import ApiError
from exporter.yandex.models import valid_id
from exporter.yandex.secrets import one_line, redact

log = logging.getLogger(__name__)

MINIMUM_SECONDS = 0.1
READY_SECONDS = 2.0
STALE_SECONDS = 30.0
SCRAPES, PROBES = Lane("scrapes", 64), Lane("probes", 96)
READINESS, RELOADS = Lane("readiness", 4), Lane("reloads", 2)
MOST_PROBED = 100
MOST_PARAMETERS = 1000
PROBE_PARAMETERS = ("execution_id", "workflow_id", "debug", "name[]")
RELOAD = "/-/reload"
LANES = {
    "/": SCRAPES, "/metrics": SCRAPES, "/sd": SCRAPES,
    "/probe": PROBES, "/-/ready": READINESS, RELOAD: RELOADS,
}  # fmt: skip
"""The pages that may wait, for the cloud or for each other; the server has more threads than these need."""
TEXT = "text/plain; charset=utf-8"
NOSNIFF = ("X-Content-Type-Options", "nosniff")
REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Runtime:
    """The objects of one configuration that pages are made from; times in seconds."""

    scraper: Scraper
    watched: Callable[[], Watched]
    scrape_timeout: float
    timeout_offset: float
    config_text: Callable[[], str]
    authorizer: Authorizer
    enable_lifecycle: bool
    endpoint: str
    history: bool = False
    labels: tuple[str, ...] = ()
    recent_window: float = 3600.0
    quota: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A page to be sent."""

    code: int
    body: str | bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


class BadQuery(ValueError):
    """The parameters of a probe are not right; the message is for the one who asked."""


Collect = Callable[[], Collection]
NOTHING = Collection((), 0.0, 0.0)


def scrape_seconds(header: str, timeout: float, offset: float) -> float:
    """Return the seconds a scrape may take: Prometheus' timeout less the offset, capped by our own.

    A header that is no positive number is as none. Never less than a tenth of a second.
    """
    allowed = timeout
    if re.fullmatch(r"[0-9.]{1,30}(?:[eE][+-]?[0-9]{1,3})?", header.strip()):
        try:
            given = float(header)
        except ValueError:
            given = 0.0
        if 0 < given < math.inf:
            allowed = min(given - offset, timeout)
    return max(MINIMUM_SECONDS, allowed)


class WebApp:
    """Answers each request out of the Runtime that is current when it comes.

    The registries are made afresh for each page that is rendered, one for all requests that share it.
    `reload` raises an exception whose text says why nothing has changed. `_lock` guards `_ready`,
    the runtime for which a first token was had, and `_rendering`, the seconds that the last page took
    after its collection.
    """

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        *,
        metrics_registry: Callable[[Runtime, Collect], CollectorRegistry],
        probe_registry: Callable[[Runtime, Collect], CollectorRegistry],
        reload: Callable[[], None],
        clock: Clock,
        version: str,
    ) -> None:
        self._runtime = runtime
        self._metrics_registry = metrics_registry
        self._probe_registry = probe_registry
        self._reload = reload
        self._clock = clock
        self._landing_page = page.LandingPage(version)
        self._lock = threading.Lock()
        # Weak, for a runtime that was replaced is to go with its threads and connections.
        self._ready: Callable[[], Runtime | None] = lambda: None
        self._rendering = 0.0
        self._renderer = Renderer()
        self._routes: dict[str, Callable[[WSGIEnvironment], Answer]] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/probe": self._probe,
            "/sd": self._discovered,
            "/config": self._config,
            "/-/healthy": self._healthy,
            "/-/ready": self._is_ready,
            RELOAD: self._reloaded,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        try:
            answer = self._answer(environ)
        except Exception:
            log.exception("a page could not be made")
            answer = Answer(500, "This page could not be made; the log says why.\n")
        body = answer.body.encode("utf-8", "replace") if isinstance(answer.body, str) else answer.body
        own = [("Content-Type", answer.content_type), ("Content-Length", str(len(body))), NOSNIFF]
        start_response(f"{answer.code} {REASONS[answer.code]}", [*own, *answer.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        path = environ.get("PATH_INFO") or "/"
        route = self._routes.get(path)
        if route is None:
            return Answer(404, "No such page. There are:\n" + "".join(f"{path}\n" for path in self._routes))
        allowed = ("POST", "PUT") if path == RELOAD else ("GET", "HEAD")
        if environ["REQUEST_METHOD"] not in allowed:
            return Answer(405, f"Use {' or '.join(allowed)}.\n", headers=(("Allow", ", ".join(allowed)),))
        return route(environ)

    def _budget(
        self,
        environ: WSGIEnvironment,
        runtime: Runtime,
        observers: tuple[Callable[[CallRecord], None], ...] = (),
        reserve: float = 0.0,
    ) -> Budget:
        """Return what a collection may take; `reserve` seconds are kept for what comes after it."""
        header = environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS", "")
        seconds = scrape_seconds(header, runtime.scrape_timeout, runtime.timeout_offset)
        return Budget.of(max(MINIMUM_SECONDS, seconds - reserve), self._clock, observers)

    def _metrics(self, environ: WSGIEnvironment) -> Answer:
        runtime, wanted = self._runtime(), Wanted.of(environ)
        if wanted.names and (answer := self._without_the_cloud(runtime, wanted)):
            return answer
        with self._lock:
            # The offset is what a page may take to be rendered; a very large one takes more.
            reserve = max(0.0, self._rendering - runtime.timeout_offset)
        budget = self._budget(environ, runtime, reserve=reserve)
        collection = runtime.scraper.collect(runtime.watched(), budget)

        def render() -> bytes:
            began = self._clock.monotonic()
            body = wanted.render(self._metrics_registry(runtime, lambda: collection))
            if not wanted.names:
                with self._lock:
                    self._rendering = self._clock.monotonic() - began
            return body

        return self._exposed(collection, wanted, render)

    def _without_the_cloud(self, runtime: Runtime, wanted: Wanted) -> Answer | None:
        """Answer with what needs no collection; None if it does, which a page of nothing tells."""
        asked: list[bool] = []

        def collect() -> Collection:
            asked.append(True)
            return NOTHING

        with self._renderer.turn():
            body = wanted.render(self._metrics_registry(runtime, collect))
        return None if asked else Answer(200, body, wanted.content_type, wanted.headers)

    def _probe(self, environ: WSGIEnvironment) -> Answer:
        runtime = self._runtime()
        try:
            query = _query(environ)
            targets = _probed(query, runtime.watched())
        except BadQuery as error:
            return Answer(400, f"{error}\n")
        if query.get("debug", [""])[-1].lower() in {"true", "1"}:
            return self._debugged(environ, runtime, targets)
        wanted = Wanted.of(environ)
        collection = runtime.scraper.collect(targets, self._budget(environ, runtime), probe=True)
        registry = self._probe_registry
        return self._exposed(collection, wanted, lambda: wanted.render(registry(runtime, lambda: collection)))

    def _exposed(self, collection: Collection, wanted: Wanted, render: Callable[[], bytes]) -> Answer:
        """Answer with a page of samples, which requests for the same share."""
        try:
            body = self._renderer.page(collection, wanted, render)
        except NotRendered as error:
            return Answer(503 if isinstance(error, NotRenderedInTime) else 500, f"{error}\n")
        return Answer(200, body, wanted.content_type, wanted.headers)

    def _debugged(self, environ: WSGIEnvironment, runtime: Runtime, targets: Watched) -> Answer:
        calls: list[CallRecord] = []
        budget = self._budget(environ, runtime, (calls.append,))
        collection = runtime.scraper.collect(targets, budget, probe=True)
        with self._renderer.turn():
            metrics = textformat.plain(self._probe_registry(runtime, lambda: collection)).decode()
            return Answer(200, redact(page.debug(tuple(calls), collection.all, metrics)))

    def _discovered(self, environ: WSGIEnvironment) -> Answer:
        """Answer service discovery; Prometheus keeps the targets it has while this is no 200."""
        runtime = self._runtime()
        watched = replace(runtime.watched(), executions=())
        collection = runtime.scraper.collect(watched, self._budget(environ, runtime), searching=True)
        for folder in collection.folders:
            if not folder.success and folder.last_success is None:
                text = f"folder {folder.target.id} cannot be listed: {folder.reason}: {folder.message}\n"
                return Answer(503, redact(text))
        with self._renderer.turn():
            return Answer(200, sd.targets(collection.workflows), "application/json")

    def _landing(self, _: WSGIEnvironment) -> Answer:
        runtime = self._runtime()
        watched = runtime.watched()
        collection = runtime.scraper.latest(watched, STALE_SECONDS)
        if collection is None:
            collection = runtime.scraper.collect(watched, Budget.of(runtime.scrape_timeout, self._clock))
        with self._renderer.turn():
            html = self._landing_page.render(collection, self._clock.time(), runtime.endpoint)
        return Answer(200, html, "text/html; charset=utf-8", self._landing_page.headers)

    def _config(self, _: WSGIEnvironment) -> Answer:
        return Answer(200, self._runtime().config_text())

    def _healthy(self, _: WSGIEnvironment) -> Answer:
        return Answer(200, "Healthy.\n")

    def _is_ready(self, _: WSGIEnvironment) -> Answer:
        runtime = self._runtime()
        with self._lock:
            ready = self._ready() is runtime
        if not ready:
            try:
                runtime.authorizer.token(Budget.of(READY_SECONDS, self._clock))
            except ApiError as error:
                return Answer(503, f"Not ready: {error.reason}: {redact(str(error))}\n")
            with self._lock:
                self._ready = weakref.ref(runtime)
        return Answer(200, "Ready.\n")

    def _reloaded(self, _: WSGIEnvironment) -> Answer:
        if not self._runtime().enable_lifecycle:
            text = "Lifecycle API is not enabled. Start with --web.enable-lifecycle, or send SIGHUP.\n"
            return Answer(403, text)
        try:
            self._reload()
        except Exception as error:  # noqa: BLE001  # whatever it is, the old configuration holds
            return Answer(500, f"Not reloaded, nothing has changed:\n{redact(str(error))}\n")
        return Answer(200, "Reloaded.\n")


def _query(environ: WSGIEnvironment) -> dict[str, list[str]]:
    """Return the parameters of a probe; raises BadQuery for one that it does not have."""
    text = environ.get("QUERY_STRING", "")
    try:
        query = parse_qs(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        raise BadQuery(f"more than {MOST_PARAMETERS} parameters; send fewer") from None
    for name in query:
        if name not in PROBE_PARAMETERS:
            shown = one_line(redact(name), 60)
            known = "?execution_id=ID or ?workflow_id=ID"
            raise BadQuery(f"{shown}: is not a parameter of /probe; name executions or workflows: {known}")
    return query


def _probed(query: Mapping[str, Sequence[str]], watched: Watched) -> Watched:
    """Return what to probe, as it is configured where it is; raises BadQuery."""
    executions, workflows = (_ids(query, name) for name in ("execution_id", "workflow_id"))
    if not executions and not workflows:
        ways = "/probe?execution_id=ID or ?workflow_id=ID, which may be repeated"
        raise BadQuery(f"execution_id or workflow_id: is missing; ask for {ways}")
    execution = {target.id: target for target in watched.executions}
    workflow = {target.id: target for target in watched.workflows}
    return Watched(
        tuple(execution.get(id_, ExecutionTarget(id_)) for id_ in executions),
        tuple(workflow.get(id_, WorkflowTarget(id_)) for id_ in workflows),
    )


def _ids(query: Mapping[str, Sequence[str]], name: str) -> tuple[str, ...]:
    """Return the IDs of one parameter, each once; raises BadQuery."""
    ids = tuple(dict.fromkeys(query.get(name, ())))
    if len(ids) > MOST_PROBED:
        raise BadQuery(f"{name}: {len(ids)} IDs; at most {MOST_PROBED} in one probe, so send several")
    for id_ in ids:
        if not valid_id(id_):
            shown = one_line(redact(id_), 60)
            raise BadQuery(f"{name}: '{shown}' is not an ID; give 1 to 128 of A-Z a-z 0-9 _ -")
    return ids
