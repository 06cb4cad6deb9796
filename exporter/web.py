"""The pages of the exporter, as a WSGI application: routes, methods, parameters."""

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app

from exporter import page
from exporter.scraper import Collection, Scraper
from exporter.targets import ExecutionTarget
from exporter.yandex.errors import ApiError
from exporter.yandex.models import valid_id
from exporter.yandex.secrets import one_line, redact
from exporter.yandex.transport import Authorizer, Budget, CallRecord, Clock

MINIMUM_SECONDS = 0.1
READY_SECONDS = 2.0
MOST_PROBED = 100
STALE_SECONDS = 30.0
PAGE_SECONDS = 5.0
TEXT = "text/plain; charset=utf-8"
REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip

Probe = Callable[["Runtime", Sequence[ExecutionTarget], Budget], CollectorRegistry]


@dataclass(frozen=True, slots=True)
class Runtime:
    """The objects of one configuration that pages are made from; times in seconds."""

    scraper: Scraper
    executions: Callable[[], tuple[ExecutionTarget, ...]]
    scrape_timeout: float
    timeout_offset: float
    config_text: str
    authorizer: Authorizer
    enable_lifecycle: bool
    endpoint: str
    history: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A page to be sent."""

    code: int
    body: str
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def scrape_seconds(header: str, timeout: float, offset: float) -> float:
    """Return what a scrape may take: Prometheus' timeout less the offset, capped by our own."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", header.strip()) or float(header) <= 0:
        return timeout
    return max(MINIMUM_SECONDS, min(float(header) - offset, timeout))


class WebApp:
    """Answers requests out of the current Runtime.

    `_lock` guards `_ready`, the runtime for which a first token was had.
    """

    def __init__(
        self,
        runtime: Callable[[], Runtime],
        *,
        metrics_registry: Callable[[Runtime, Budget], CollectorRegistry],
        probe_registry: Probe,
        reload: Callable[[], None],
        clock: Clock,
        version: str,
    ) -> None:
        self._runtime = runtime
        self._metrics_registry = metrics_registry
        self._probe_registry = probe_registry
        self._reload = reload
        self._clock = clock
        self._version = version
        self._lock = threading.Lock()
        self._ready: Runtime | None = None
        self._routes: dict[str, Callable[[WSGIEnvironment], Answer | CollectorRegistry]] = {
            "/": self._landing,
            "/metrics": self._metrics,
            "/probe": self._probe,
            "/config": self._config,
            "/-/healthy": self._healthy,
            "/-/ready": self._is_ready,
            "/-/reload": self._reloaded,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        if isinstance(answer, CollectorRegistry):
            return _exposed(answer, environ, start_response)
        body = answer.body.encode("utf-8", "replace")
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            *answer.headers,
        ]
        start_response(f"{answer.code} {REASONS[answer.code]}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: WSGIEnvironment) -> Answer | CollectorRegistry:
        path, method = environ.get("PATH_INFO") or "/", environ["REQUEST_METHOD"]
        route = self._routes.get(path)
        if route is None:
            return Answer(404, f"No such page. There are: {' '.join(self._routes)}\n")
        allowed = ("POST", "PUT") if path == "/-/reload" else ("GET", "HEAD")
        if method not in allowed:
            return Answer(405, f"Use {' or '.join(allowed)}.\n", headers=(("Allow", ", ".join(allowed)),))
        return route(environ)

    def _budget(
        self,
        environ: WSGIEnvironment,
        runtime: Runtime,
        observers: tuple[Callable[[CallRecord], None], ...] = (),
    ) -> Budget:
        header = environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS", "")
        seconds = scrape_seconds(header, runtime.scrape_timeout, runtime.timeout_offset)
        return Budget.of(seconds, self._clock, observers)

    def _metrics(self, environ: WSGIEnvironment) -> CollectorRegistry:
        runtime = self._runtime()
        return self._metrics_registry(runtime, self._budget(environ, runtime))

    def _probe(self, environ: WSGIEnvironment) -> Answer | CollectorRegistry:
        runtime = self._runtime()
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True, max_num_fields=1000)
        ids = list(dict.fromkeys(query.get("execution_id", [])))
        if problem := _problem(ids):
            return Answer(400, problem + "\n")
        known = {target.id: target for target in runtime.executions()}
        targets = tuple(known.get(id_, ExecutionTarget(id_)) for id_ in ids)
        if query.get("debug", [""])[-1].lower() not in {"true", "1"}:
            return self._probe_registry(runtime, targets, self._budget(environ, runtime))
        calls: list[CallRecord] = []
        registry = self._probe_registry(runtime, targets, self._budget(environ, runtime, (calls.append,)))
        metrics = generate_latest(registry).decode()
        outcomes = runtime.scraper.latest(targets)
        return Answer(200, redact(page.debug(calls, outcomes, metrics)))

    def _landing(self, _: WSGIEnvironment) -> Answer:
        runtime = self._runtime()
        targets = runtime.executions()
        now = self._clock.time()
        collection = runtime.scraper.latest(targets) if targets else Collection((), now, 0.0)
        if collection is None or now - collection.started > STALE_SECONDS:
            seconds = min(PAGE_SECONDS, runtime.scrape_timeout)
            collection = runtime.scraper.collect(targets, Budget.of(seconds, self._clock))
        html = page.landing(collection, self._clock.time(), self._version, runtime.endpoint)
        return Answer(200, html, "text/html; charset=utf-8", page.HEADERS)

    def _config(self, _: WSGIEnvironment) -> Answer:
        return Answer(200, self._runtime().config_text)

    def _healthy(self, _: WSGIEnvironment) -> Answer:
        return Answer(200, "Healthy.\n")

    def _is_ready(self, _: WSGIEnvironment) -> Answer:
        runtime = self._runtime()
        with self._lock:
            ready = self._ready is runtime
        if not ready:
            try:
                runtime.authorizer.token(Budget.of(READY_SECONDS, self._clock))
            except ApiError as error:
                return Answer(503, f"Not ready: {error}\n")
            with self._lock:
                self._ready = runtime
        return Answer(200, "Ready.\n")

    def _reloaded(self, _: WSGIEnvironment) -> Answer:
        if not self._runtime().enable_lifecycle:
            return Answer(
                403, "Lifecycle API is not enabled: start with --web.enable-lifecycle, or send SIGHUP.\n"
            )
        try:
            self._reload()
        except Exception as error:  # noqa: BLE001  # whatever it is, the old configuration holds and the caller is told
            return Answer(500, f"Not reloaded, nothing has changed:\n{redact(str(error))}\n")
        return Answer(200, "Reloaded.\n")


def _problem(ids: Sequence[str]) -> str:
    """Say what is wrong with the execution IDs of a probe."""
    if not ids:
        return "execution_id: is missing; ask for /probe?execution_id=ID, which may be repeated"
    if len(ids) > MOST_PROBED:
        return f"execution_id: given {len(ids)} times; at most {MOST_PROBED} in one probe"
    for id_ in ids:
        if not valid_id(id_):
            return f"execution_id: {one_line(redact(id_), 60)!r} is not an ID: 1 to 128 of A-Z a-z 0-9 _ -"
    return ""


def _exposed(
    registry: CollectorRegistry, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Let prometheus-client negotiate format and encoding, and filter by name."""
    app: Any = make_wsgi_app(registry)
    body: list[bytes] = list(app({**environ, "REQUEST_METHOD": "GET"}, start_response))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body
