"""Pages for people: the landing page and the report of a debugged probe."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader

from exporter.scraper import Collection, Outcome
from exporter.yandex.transport import CallRecord

MOST_SHOWN = 500
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
ADVICE = {
    "auth": "no IAM token to be had; the log says why",
    "unauthorized": "the token is not accepted",
    "forbidden": "grant serverless.workflows.viewer on the folder",
    "not_found": "no such execution; is the ID whole?",
    "connection": "no connection to the API",
    "tls": "the API's certificate is not trusted",
    "timeout": "the API did not answer in time",
    "budget": "the scrape's time was over",
    "rate_limited": "too many requests",
    "server_error": "the API has trouble of its own",
    "bad_request": "the API does not take this ID",
    "bad_response": "the answer is not of this API",
}
URGENCY = ("NOT READ", "FAILED", "UNKNOWN", "PAUSED", "RUNNING", "QUEUED", "STOPPED", "FINISHED")


@dataclass(frozen=True, slots=True)
class Row:
    """An execution as it is shown, all in words."""

    id: str
    alias: str
    workflow_id: str
    state: str
    note: str
    duration: str
    started: str
    started_ago: str
    read: str

    @property
    def style(self) -> str:
        """The class that gives the state its colour."""
        return self.state.lower().replace(" ", "-")


def duration_text(seconds: float | None) -> str:
    """Return seconds as people say them: 1.07 s, 15 min 00 s, 1 h 02 min, 2 d 3 h."""
    if seconds is None:
        return "–"  # noqa: RUF001  # a dash in a cell of its own
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago_text(seconds: float) -> str:
    """Return how long ago something was, in its largest unit."""
    if seconds < 0:
        return "in the future"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def _row(outcome: Outcome, now: float) -> Row:
    execution = outcome.execution
    last = outcome.last_success
    read = "never" if last is None else ago_text(now - last)
    alias = outcome.target.alias
    if execution is None:
        code = f"{outcome.http_code} " if outcome.http_code else ""
        note = f"{code}{outcome.reason}: {ADVICE.get(outcome.reason, outcome.message)}"
        return Row(outcome.target.id, alias, "", "NOT READ", note, "–", "–", "", read)  # noqa: RUF001
    started = execution.started_at
    return Row(
        outcome.target.id,
        alias,
        execution.workflow_id,
        execution.status.name,
        execution.error.code if execution.error else "",
        duration_text(execution.duration),
        "–" if started is None else _utc(started),  # noqa: RUF001
        "" if started is None else ago_text(now - started),
        read,
    )


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def landing(collection: Collection, now: float, version: str, endpoint: str) -> str:
    """Return the landing page: every target with its state, those that need a look first."""
    rows = sorted(
        (_row(outcome, now) for outcome in collection.outcomes),
        key=lambda row: (URGENCY.index(row.state), row.alias or row.id),
    )
    counts = Counter(row.state for row in rows)
    return (
        Environment(loader=PackageLoader("exporter", "."), autoescape=True)
        .get_template("landing.html")
        .render(
            rows=rows[:MOST_SHOWN],
            hidden=max(0, len(rows) - MOST_SHOWN),
            total=len(rows),
            counts=[(state, counts[state]) for state in URGENCY if counts[state]],
            version=version,
            endpoint=endpoint,
            now=_utc(now),
        )
    )


def debug(calls: Sequence[CallRecord], collection: Collection | None, metrics: str) -> str:
    """Return the report of a probe: its calls, its outcomes, its metrics."""
    lines = ["Calls (the Authorization header is hidden):"]
    for call in calls:
        code = call.code or "no answer"
        error = f"  {call.error}: {call.message}" if call.error else ""
        attempt = f"  attempt {call.attempt + 1}" if call.attempt else ""
        lines.append(f"  {call.method}  {call.url}  {code}  {call.seconds:.3f} s{attempt}{error}")
    if not calls:
        lines.append("  none: what is known did not have to be asked again")
    lines += ["", "Outcomes:"]
    for outcome in collection.outcomes if collection else ():
        told = outcome.execution.status.name if outcome.execution else "no data"
        failure = f"  {outcome.reason}: {outcome.message}" if outcome.reason else ""
        kept = "  kept" if outcome.cached else ""
        lines.append(f"  {outcome.target.id}  {told}  {outcome.http_code}{kept}{failure}")
    return "\n".join([*lines, "", "Metrics:", metrics])
