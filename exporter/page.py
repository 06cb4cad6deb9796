"""Pages for people: the landing page, and the report of a probe that is being debugged."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.outcome import Collection, Outcome
from exporter.yandex.calls import CallRecord
from exporter.yandex.errors import REMEDIES

MOST_SHOWN = 500
DOCUMENTATION = "https://yandex.cloud/en/docs/serverless-integrations/concepts/workflows/workflow"
NONE = "\u2014"

NOT_READ = "NOT READ"
URGENCY = ("FAILED", NOT_READ, "UNKNOWN", "PAUSED", "RUNNING", "QUEUED", "STOPPED", "FINISHED")
"""The states of the page, those that need a look first."""
TROUBLE = {"FAILED": "failed", NOT_READ: "not read", "UNKNOWN": "of unknown status"}
"""The states that are not fine, in the words of the summary."""


@dataclass(frozen=True, slots=True)
class Row:
    """An execution as it is shown, all in words; an empty text is not shown."""

    id: str
    alias: str
    workflow_id: str
    state: str
    note: str
    advice: str
    duration: str
    started: str
    started_ago: str
    read: str

    @property
    def style(self) -> str:
        """The class that gives the state its colour."""
        return style(self.state)


class LandingPage:
    """Renders the landing page: every target with its state, those that need a look first.

    `headers` go with each page. Their content security policy allows the one style sheet of the
    template, by its hash, and nothing else.
    """

    def __init__(self, version: str) -> None:
        environment = Environment(
            loader=PackageLoader("exporter", ""),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["style"] = style
        self._template = environment.get_template("landing.html")
        self._version = version
        self.headers = (
            ("Content-Security-Policy", _policy(self.render(Collection((), 0.0, 0.0), 0.0, ""))),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        )

    def render(self, collection: Collection, now: float, endpoint: str) -> str:
        """Return the page of this collection; `now` in Unix seconds."""
        outcomes = sorted(collection.outcomes, key=_urgency)
        counts = Counter(state(outcome) for outcome in outcomes)
        return self._template.render(
            rows=[_row(outcome, now) for outcome in outcomes[:MOST_SHOWN]],
            hidden=max(0, len(outcomes) - MOST_SHOWN),
            counts=[(name, counts[name]) for name in URGENCY if counts[name]],
            summary=summary(counts),
            trouble=any(counts[name] for name in TROUBLE),
            version=self._version,
            endpoint=endpoint,
            documentation=DOCUMENTATION,
            now=utc_text(now),
        )


def summary(counts: Counter[str]) -> str:
    """Return the overall state: 12 executions watched: 9 fine, 2 failed, 1 not read."""
    total = counts.total()
    watched = f"{total} {'execution' if total == 1 else 'executions'} watched"
    trouble = [f"{counts[name]} {words}" for name, words in TROUBLE.items() if counts[name]]
    if not trouble:
        return f"{watched}: all fine" if total else "No executions are watched yet"
    fine = total - sum(counts[name] for name in TROUBLE)
    return f"{watched}: {', '.join([f'{fine} fine', *trouble])}"


def state(outcome: Outcome) -> str:
    """Return the state to show: a status of the API, or that there is none."""
    return outcome.execution.status.name if outcome.execution else NOT_READ


def style(name: str) -> str:
    """Return the class that gives a state its colour."""
    return name.lower().replace(" ", "-")


def duration_text(seconds: float | None) -> str:
    """Return seconds as people say them: 41 ms, 1.07 s, 15 min 00 s, 1 h 02 min, 2 d 3 h."""
    if seconds is None:
        return NONE
    if seconds < 0.9995:
        return "0 s" if seconds == 0 else f"{max(1, round(seconds * 1000))} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago_text(seconds: float) -> str:
    """Return how long ago something was, in its largest unit."""
    if seconds < 0:
        # The clocks of the cloud and of this machine differ a little.
        return "just now" if seconds > -60 else "in the future"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def utc_text(at: float) -> str:
    """Return Unix seconds as a date and time in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "after the year 9999"  # an offset takes the last timestamps of RFC 3339 there


def _urgency(outcome: Outcome) -> tuple[int, float, str]:
    """Return what to sort by: the state, then the newest first."""
    started = outcome.execution.started_at if outcome.execution else None
    return URGENCY.index(state(outcome)), -(started or 0.0), outcome.target.id


def _row(outcome: Outcome, now: float) -> Row:
    execution = outcome.execution
    started = execution.started_at if execution else None
    return Row(
        id=outcome.target.id,
        alias=outcome.target.alias,
        workflow_id=execution.workflow_id if execution else "",
        state=state(outcome),
        note=_note(outcome),
        advice=REMEDIES[outcome.reason] if outcome.reason else "",
        duration=duration_text(execution.duration if execution else None),
        started=NONE if started is None else utc_text(started),
        started_ago="" if started is None else ago_text(now - started),
        read="never" if outcome.last_success is None else ago_text(now - outcome.last_success),
    )


def _note(outcome: Outcome) -> str:
    error = outcome.execution.error.code if outcome.execution and outcome.execution.error else ""
    if not outcome.reason:
        return error
    failure = f"{outcome.reason} ({outcome.http_code})" if outcome.http_code else outcome.reason
    if outcome.execution is None:
        return failure
    return "; ".join(filter(None, (error, f"last reading: {failure}")))


def _policy(html: str) -> str:
    sheet = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def debug(calls: Sequence[CallRecord], outcomes: Sequence[Outcome], metrics: str) -> str:
    """Return the report of a probe: its calls, the outcome of each execution ID, its metrics."""
    lines = ["Calls (the Authorization header is never shown)", ""]
    lines += [_call_line(call) for call in calls] or ["  none: what is known did not have to be asked again"]
    lines += ["", "Outcomes", "", *map(_outcome_line, outcomes)]
    return "\n".join([*lines, "", "Metrics", "", metrics])


def _call_line(call: CallRecord) -> str:
    code = call.code or "no answer"
    error = f"  {call.error}: {call.message}" if call.error else ""
    return f"  {call.method}  {call.url}  {code}  {call.seconds:.3f} s  attempt {call.attempt + 1}{error}"


def _outcome_line(outcome: Outcome) -> str:
    kept = (
        "  kept from an earlier reading" if outcome.cached or (outcome.success and not outcome.fresh) else ""
    )
    failure = f"  {outcome.reason}: {outcome.message}" if outcome.reason else ""
    return f"  {outcome.target.id}  {state(outcome)}  {outcome.http_code or 'no answer'}{kept}{failure}"
