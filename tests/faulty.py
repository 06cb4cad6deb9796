"""The exporter whole, over a cloud of two halves: faults befall the one, its twin shows what is right."""

import io
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from wsgiref.util import setup_testing_defaults

from exporter.application import Application
from exporter.config import Settings
from exporter.settings.flags import load
from exporter.simulator import Entry, Fault, FaultRule, Simulator
from exporter.web import WebApp

Samples = dict[str, str]
"""Each sample by its name and labels as they stand on the page."""

BAD, TWIN = "bad", "twin"
SECONDS = 2.0
"""What a call may take: so much that none does because the machine is busy."""
FEW_SECONDS = 0.5
"""What a call may take where one is to take too long."""
BUDGET = 6.0
"""What a scrape may take; more than all the retries of one call."""
LATER = 301.0
"""After so many seconds whatever is left alone for a while is asked for again."""
MUCH_LATER = 1000.0
"""After so many a workflow is asked for again."""
BORN = 1_741_622_400.0
NOT_DATA = ("yc_workflow_exporter_", "yc_workflow_execution_scrape_last_success_timestamp_seconds")
"""How the names begin of what changes from scrape to scrape without the targets."""


class QuickClock:
    """The time of this machine and what was skipped: to sleep is to skip. `_lock` guards `_skipped`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._skipped = 0.0
        self._began = time.monotonic()

    def monotonic(self) -> float:
        """Return an instant that never goes back."""
        with self._lock:
            return time.monotonic() + self._skipped

    def time(self) -> float:
        """Return Unix seconds, from BORN on."""
        return BORN + self.monotonic() - self._began

    def sleep(self, seconds: float) -> None:
        """Be later at once."""
        with self._lock:
            self._skipped += seconds


@dataclass(frozen=True)
class Page:
    """What /metrics said, and how many seconds by the exporter's clock it took."""

    samples: Samples
    seconds: float

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample of the exporter; None if it is not there."""
        at = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
        found = self.samples.get(f"yc_workflow_{name}{{{at}}}" if at else f"yc_workflow_{name}")
        return None if found is None else float(found)

    def reasons(self) -> Counter[str]:
        """Return how often each reason was counted."""
        begin = 'yc_workflow_exporter_scrape_errors_total{reason="'
        return Counter(
            {
                key.removeprefix(begin).removesuffix('"}'): int(float(count))
                for key, count in self.samples.items()
                if key.startswith(begin)
            }
        )

    def half(self, word: str) -> Samples:
        """Return what is said of the targets of a half, as if there were no other."""
        return {
            key.replace(f"-{word}", "-it"): value
            for key, value in self.samples.items()
            if f"-{word}" in key and not key.startswith(NOT_DATA)
        }

    def differs(self, word: str = BAD, than: str = TWIN) -> frozenset[tuple[str, str]]:
        """Return name and target of what is not the same in both halves."""
        one, other = self.half(word), self.half(than)
        wrong = {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
        return frozenset(map(name_and_target, wrong))

    def told(self, word: str) -> frozenset[tuple[str, str]]:
        """Return name and target of what is said of a half."""
        return frozenset(map(name_and_target, self.half(word)))


def name_and_target(key: str) -> tuple[str, str]:
    """Return the short name of a sample, and the execution, else the workflow, that it is about."""
    found = re.search(r'execution_id="([^"]*)', key) or re.search(r'workflow_id="([^"]*)', key)
    return key.partition("{")[0].removeprefix("yc_workflow_"), found[1] if found else ""


class Door:
    """The pages of whichever exporter is behind it: to make them anew for each costs more than a scrape."""

    def __init__(self, clock: QuickClock) -> None:
        self.clock = clock
        self._behind: list[Application] = []
        self.app = WebApp(
            self._of("runtime"),
            metrics_registry=self._of("metrics_registry"),
            probe_registry=self._of("probe_registry"),
            reload=self._of("reload"),
            clock=clock,
            version="1.2.3",
        )

    def _of(self, name: str) -> Callable[..., Any]:
        """Return what calls a method of whoever is behind it then."""

        def call(*arguments: object) -> Any:
            return getattr(self._behind[-1], name)(*arguments)

        return call

    def stand_before(self, application: Application) -> None:
        """Show another exporter's pages from now on."""
        self._behind[:] = [application]


class Subject:
    """An exporter as its users run it, but for the socket; ended by `with`."""

    def __init__(
        self, settings: Mapping[str, Any], door: Door, environ: Mapping[str, str] | None = None
    ) -> None:
        self.settings = settings
        self.clock = door.clock
        self.application = Application(self._load(), self._load, environ or {}, door.clock, "1.2.3")
        self._door = door

    def _load(self) -> Settings:
        return load(dict(self.settings), {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.application.close()

    def get(self, path: str, query: str = "", **headers: str) -> tuple[int, str]:
        """Ask for a page and return its status and text."""
        environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, **headers}
        environ["wsgi.input"] = io.BytesIO()
        setup_testing_defaults(environ)
        said: list[str] = []

        def start(status: str, _: list[tuple[str, str]], __: object = None) -> Callable[[bytes], object]:
            said.append(status)
            return lambda _: None

        self._door.stand_before(self.application)
        body = b"".join(self._door.app(environ, start))
        return int(said[0].split()[0]), body.decode()

    def reasons(self) -> Counter[str]:
        """Return how often each reason was counted so far, without asking the cloud."""
        counted = self.application.telemetry.errors.collect()
        return Counter(
            {
                s.labels["reason"]: int(s.value)
                for family in counted
                for s in family.samples
                if s.name.endswith("_total")
            }
        )

    def scrape(self) -> Page:
        """Ask for /metrics, which answers 200 whatever is wrong."""
        began = self.clock.monotonic()
        code, text = self.get("/metrics")
        seconds = self.clock.monotonic() - began
        assert code == 200, text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        samples = {key: value for key, _, value in lines}
        return Page(samples, seconds)


@dataclass
class Halves:
    """A cloud whose targets come in pairs that are the same but for a word in their ids.

    `lost` is the name and target of what the bad half will never have.
    """

    cloud: Simulator
    clock: QuickClock
    lost: frozenset[tuple[str, str]] = frozenset()
    _rounds: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def __post_init__(self) -> None:
        """Populate it."""
        steps = [
            Entry("fetch", title="Fetch", attempts=2, started_at=int((BORN - 50) * 1e9), duration=10**9),
            Entry("charge", status="FAILED", error=None, started_at=int((BORN - 40) * 1e9), duration=10**9),
            Entry("wait", status="STARTED", started_at=int((BORN - 30) * 1e9)),
        ]
        for word in (BAD, TWIN):
            own: dict[str, Any] = {"workflow_id": f"own-{word}", "started_at": BORN - 60, "history": steps}
            self.cloud.put(f"exe-{word}", **own)
            self.cloud.put(f"ended-{word}", status="FAILED", duration=9.5, error=("STEP_FAIL", "x"), **own)
            for flow, folder in ((f"flow-{word}", "nowhere"), (f"found-{word}", f"folder-{word}")):
                about: dict[str, Any] = {
                    "created_at": BORN - 400 * 86400,
                    "cron": "0 0 1 1 ? *",
                    "timezone": "UTC",
                }
                self.cloud.put_workflow(flow, name="n", folder_id=folder, labels={"team": "a"}, **about)
                self.cloud.put(f"{flow}-active", workflow_id=flow, started_at=BORN - 60, history=steps)
                self.cloud.put(
                    f"{flow}-old", workflow_id=flow, status="FINISHED", started_at=BORN - 90, duration=3.0
                )

    def live(self) -> int:
        """Let each workflow have a run that fails and one that does not, last in turn; return the round."""
        number = next(self._rounds)
        history = [
            Entry("fetch", title="Fetch", attempts=3, duration=10**9),
            Entry("charge", status="FAILED", duration=2 * 10**9),
        ]
        ended: dict[str, Any] = {"started_at": self.clock.time() - 2, "history": history}
        for flow in (f"{kind}-{word}" for kind in ("flow", "found") for word in (BAD, TWIN)):
            lasted = 1.25 + number % 2 / 2
            failed: dict[str, Any] = {"status": "FAILED", "error": ("HTTP_CALL_503", "no answer")}
            self.cloud.put(f"{flow}-f{number}", workflow_id=flow, duration=lasted, **failed, **ended)
            self.cloud.put(f"{flow}-s{number}", workflow_id=flow, status="FINISHED", duration=1.5, **ended)
        self.clock.sleep(3)
        return number

    def settings(self, seconds: float = SECONDS, **more: Any) -> dict[str, Any]:
        """Return what a user would write to watch all of it."""
        kinds = {
            "executions": [f"{kind}-{word}" for kind in ("exe", "ended") for word in (BAD, TWIN)],
            "workflows": [f"flow-{BAD}", f"flow-{TWIN}"],
            "folders": [f"folder-{BAD}", f"folder-{TWIN}"],
        }
        url = self.cloud.base_url
        limits = {"timeout": f"{seconds}s", "max_response_bytes": "1MiB", "requests_per_second": 10000}
        return {
            "api": {"endpoint": url, "iam_endpoint": url, "concurrency": 8, **limits},
            "auth": {"iam_token": self.cloud.token},
            "history": {"enabled": True},
            "labels": ["team"],
            "recent_window": "7d",
            "scrape": {"timeout": f"{BUDGET}s"},
            **kinds,
            **more,
        }


@dataclass(frozen=True)
class Row:
    """A fault, and what the contract says of it; without a reason it does no harm.

    `code` is the status that the exporter shows, `tries` how often the call is made.
    """

    kind: Fault
    reason: str = ""
    code: int = 200
    tries: int = 1
    fields: tuple[tuple[str, Any], ...] = ()

    def rule(self, method: str, at: str) -> FaultRule:
        """Return the rule that lets it befall a call."""
        return FaultRule(self.kind, target=at, method=method, **dict(self.fields))


def row(kind: Fault, reason: str = "", shown: int = 200, tries: int = 1, /, **fields: Any) -> Row:
    """Return a row of the contract: a kind with the fields of its rule, and what becomes of it."""
    return Row(kind, reason, shown, tries, tuple(fields.items()))


FUTURE = "Fri, 31 Dec 2100 23:59:59 GMT"
SOON = "Mon, 10 Mar 2025 16:00:01 GMT"
ROWS: Mapping[str, Row] = {
    "hung up": row(Fault.REFUSE, "connection", 0, 3),
    "reset": row(Fault.RESET, "connection", 0, 3),
    "reset in mid-body": row(Fault.RESET_MID_BODY, "connection", 0, 3),
    "truncated": row(Fault.TRUNCATED, "connection", 0, 3),
    "chunks that are none": row(Fault.CHUNKED_GARBAGE, "connection", 0, 3),
    "accepted, never answered": row(Fault.STALL, "timeout", 0),
    "dripping headers": row(Fault.DRIP_HEADERS, "timeout", 0, interval=0.05),
    "dripping body": row(Fault.DRIP_BODY, "timeout", 0, interval=0.05),
    "a body that stalls": row(Fault.STALL_BODY, "timeout", 0),
    "a body shorter than its length": row(Fault.LONG_LENGTH, "timeout", 0),
    "400": row(Fault.STATUS, "bad_request", 400, code=400),
    "401": row(Fault.STATUS, "unauthorized", 401, code=401),
    "403": row(Fault.STATUS, "forbidden", 403, code=403),
    "404": row(Fault.STATUS, "not_found", 404, code=404),
    "418": row(Fault.STATUS, "bad_request", 418, code=418),
    "429": row(Fault.STATUS, "rate_limited", 429, 3, code=429),
    "429, a second": row(Fault.STATUS, "rate_limited", 429, 3, code=429, retry_after="1"),
    "429, an hour": row(Fault.STATUS, "rate_limited", 429, code=429, retry_after="3600"),
    "429, for ever": row(Fault.STATUS, "rate_limited", 429, 3, code=429, retry_after="9" * 99),
    "429, before now": row(Fault.STATUS, "rate_limited", 429, 3, code=429, retry_after="-1"),
    "429, nonsense": row(Fault.STATUS, "rate_limited", 429, 3, code=429, retry_after="soon"),
    "429, a date": row(Fault.STATUS, "rate_limited", 429, code=429, retry_after=FUTURE),
    "429, a date that is over": row(Fault.STATUS, "rate_limited", 429, 3, code=429, retry_after=SOON),
    "499": row(Fault.STATUS, "server_error", 499, 3, code=499),
    "500": row(Fault.STATUS, "server_error", 500, 3, code=500),
    "501": row(Fault.STATUS, "server_error", 501, code=501),
    "503": row(Fault.STATUS, "server_error", 503, 3, code=503),
    "504": row(Fault.STATUS, "server_error", 504, 3, code=504),
    "503 whose body stalls": row(Fault.STALL_BODY, "server_error", 503, 3, code=503),
    "403 whose body stalls": row(Fault.STALL_BODY, "forbidden", 403, code=403),
    "a page for people": row(Fault.HTML, "bad_response"),
    "not JSON": row(Fault.NOT_JSON, "bad_response"),
    "null": row(Fault.FIELD, "bad_response", value=None),
    "a list": row(Fault.FIELD, "bad_response", value=[]),
    "a text": row(Fault.FIELD, "bad_response", value="execution"),
    "a number beyond numbers": row(Fault.FIELD, "bad_response", value=10**400),
    "not UTF-8": row(Fault.NOT_UTF8, "bad_response"),
    "too deep": row(Fault.NESTED, "bad_response"),
    "huge": row(Fault.HUGE, "bad_response", size=2 << 20),
    "a bomb": row(Fault.GZIP_BOMB, "bad_response", size=8 << 20),
    "broken gzip": row(Fault.GZIP_BROKEN, "bad_response"),
    "half of a gzip": row(Fault.GZIP_CUT, "bad_response"),
    "a body longer than its length": row(Fault.SHORT_LENGTH, "bad_response"),
    "no HTTP": row(Fault.GARBAGE, "bad_response", 0),
    "a thousand headers": row(Fault.MANY_HEADERS, "bad_response", 0),
    "a header without end": row(Fault.LONG_HEADER, "bad_response", 0),
    **{f"{n} for 200": row(Fault.CODE, "bad_response", n, code=n) for n in (201, 204, 206, 304)},
    **{str(n): row(Fault.REDIRECT, "bad_response", n, code=n, value="/x") for n in (301, 302, 303, 307, 308)},
    "101": row(Fault.INFORMATIONAL, "bad_response", 101, code=101),
    "100 first": row(Fault.INFORMATIONAL, code=100),
    "103 first": row(Fault.INFORMATIONAL, code=103),
    "late": row(Fault.LATENCY, latency=0.05),
    "fields of the future": row(Fault.EXTRA_FIELDS),
    "keys that come twice": row(Fault.DUPLICATE_KEYS),
    "a byte order mark": row(Fault.BOM),
    "compressed": row(Fault.GZIP),
    "no length": row(Fault.NO_LENGTH),
    "chunks": row(Fault.CHUNKED),
}
"""Each fault with reason, code and number of calls as the contract has them, whichever call it befalls."""
GROUPS = {
    reason or "no harm": [name for name, row in ROWS.items() if row.reason == reason]
    for reason in sorted({row.reason for row in ROWS.values()})
}
"""The faults by the reason that they are counted under: each group befalls one world, one after another."""
