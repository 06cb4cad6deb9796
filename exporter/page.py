"""Pages for people: the landing page, and the report of a probe that is being debugged."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property

from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, Outcome, WorkflowOutcome
from exporter.pagerows import (
    COMPLAINTS,
    FAILED,
    IN_PART,
    NOT_READ,
    complaints,
    execution_rows,
    folder_rows,
    state,
    state_counts,
    workflow_rows,
)
from exporter.wording import active_text, counted, utc_text
from exporter.yandex.calls import CallRecord

MOST_SHOWN = 500
DOCUMENTATION = "https://yandex.cloud/en/docs/serverless-integrations/concepts/workflows/workflow"
TROUBLE = {"FAILED": "failed", NOT_READ: "not read", "UNKNOWN": "of unknown status"}
"""The states of executions that are not fine, in the words of the summary."""


class LandingPage:
    """Renders the landing page: every target with its state, those that need a look first.

    The content security policy of its headers allows the one style sheet of the template, by its hash, and
    nothing else.
    """

    def __init__(self, version: str) -> None:
        self._version = version

    @cached_property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What goes with each page."""
        return (
            ("Content-Security-Policy", _policy(self.render(Collection((), 0.0, 0.0), 0.0, ""))),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        )

    @cached_property
    def _filled(self) -> Callable[..., str]:
        """What fills in the template; its engine is loaded when somebody first looks at the page."""
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # loads 3 MB

        environment = Environment(
            loader=PackageLoader("exporter", ""),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["style"] = style
        return environment.get_template("landing.html").render

    def render(self, collection: Collection, now: float, endpoint: str) -> str:
        """Return the page of this collection; `now` in Unix seconds."""
        executions, workflows = collection.executions, collection.workflows
        return self._filled(
            rows=execution_rows(executions, now, MOST_SHOWN),
            hidden=max(0, len(executions) - MOST_SHOWN),
            counts=state_counts(executions),
            workflows=workflow_rows(workflows, now, MOST_SHOWN),
            workflows_hidden=max(0, len(workflows) - MOST_SHOWN),
            workflow_counts=state_counts(workflows),
            folders=folder_rows(collection.folders),
            watches_folders=bool(collection.folders),
            summary=summary(collection, now),
            trouble=is_trouble(collection, now),
            version=self._version,
            endpoint=endpoint,
            documentation=DOCUMENTATION,
            now=utc_text(now),
        )


def is_trouble(collection: Collection, now: float) -> bool:
    """Return whether anything that is watched is not fine; `now` in Unix seconds."""
    return (
        any(state(outcome) in TROUBLE for outcome in collection.executions)
        or any(complaints(outcome, now) for outcome in collection.workflows)
        or any(outcome.reason or not outcome.listed for outcome in collection.folders)
    )


def summary(collection: Collection, now: float) -> str:
    """Return the overall state: 3 of 12 workflows failed their last run; 2 executions watched: all fine.

    `now` in Unix seconds.
    """
    workflows, executions = len(collection.workflows), len(collection.executions)
    if not collection.all:
        return "Nothing is watched yet"
    if workflows and executions and not is_trouble(collection, now):
        return f"{counted(workflows, 'workflow')} and {counted(executions, 'execution')} watched: all fine"
    return "; ".join(
        filter(
            None,
            (
                _workflows_summary(collection.workflows, now),
                _executions_summary(collection.executions),
                _folders_summary(collection.folders, found=workflows),
            ),
        )
    )


def style(name: str) -> str:
    """Return the class that gives a state its colour."""
    return name.lower().replace(" ", "-")


def _workflows_summary(workflows: Sequence[WorkflowOutcome], now: float) -> str:
    if not workflows:
        return ""
    counts = Counter(complaint for outcome in workflows for complaint in complaints(outcome, now))
    if not counts:
        return f"{counted(len(workflows), 'workflow')} watched: all fine"
    words = {FAILED: "failed its last run" if counts[FAILED] == 1 else "failed their last run"}
    first, *others = [(counts[name], words.get(name, name)) for name in COMPLAINTS if counts[name]]
    beginning = f"{first[0]} of {counted(len(workflows), 'workflow')} {first[1]}"
    return ", ".join([beginning, *(f"{number} {what}" for number, what in others)])


def _executions_summary(executions: Sequence[ExecutionOutcome]) -> str:
    if not executions:
        return ""
    counts = Counter(map(state, executions))
    watched = f"{counted(len(executions), 'execution')} watched"
    trouble = [f"{counts[name]} {words}" for name, words in TROUBLE.items() if counts[name]]
    if not trouble:
        return f"{watched}: all fine"
    fine = len(executions) - sum(counts[name] for name in TROUBLE)
    return f"{watched}: {', '.join([f'{fine} fine', *trouble])}"


def _folders_summary(folders: Sequence[FolderOutcome], *, found: int) -> str:
    failed = sum(not outcome.listed for outcome in folders)
    partly = sum(bool(outcome.listed and outcome.reason) for outcome in folders)
    if failed or partly:
        number, words = (failed, "cannot be listed") if failed else (partly, IN_PART)
        others = f", {partly} {IN_PART}" if failed and partly else ""
        return f"{number} of {counted(len(folders), 'folder')} {words}{others}"
    return f"No workflows in {counted(len(folders), 'folder')}" if folders and not found else ""


def _policy(html: str) -> str:
    sheet = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )


def debug(calls: Sequence[CallRecord], outcomes: Sequence[Outcome], metrics: str) -> str:
    """Return the report of a probe: its calls, the outcome of each target, its metrics."""
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
    found = _found(outcome)
    return (
        f"  {outcome.target.id}  {state(outcome)}  {outcome.http_code or 'no answer'}{found}{kept}{failure}"
    )


def _found(outcome: Outcome) -> str:
    if isinstance(outcome, WorkflowOutcome) and outcome.listed:
        return f"  {active_text(outcome.standing.active) or 'none running'}"
    if isinstance(outcome, FolderOutcome) and outcome.listed:
        return f"  {counted(len(outcome.found), 'workflow')}"
    return ""
