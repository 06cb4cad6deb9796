"""What the landing page shows of each target: rows, all in words, those that need a look first."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from exporter.outcome import ExecutionOutcome, FolderOutcome, Outcome, WorkflowOutcome
from exporter.wording import (
    ACTIVE_WORDS,
    NONE,
    active_text,
    ago_text,
    ahead_text,
    counted,
    duration_text,
    utc_text,
)
from exporter.yandex.errors import REMEDIES
from exporter.yandex.models import Status
from exporter.yandex.workflows import WorkflowState

NOT_READ = "NOT READ"
NEVER_RAN = "NEVER RAN"
URGENCY = ("FAILED", NOT_READ, "UNKNOWN", "PAUSED", "RUNNING", "QUEUED", "STOPPED", "FINISHED", NEVER_RAN)
"""The states of the page, those that need a look first."""

FAILED, UNREAD, IN_PART, BROKEN, OVERDUE = "failed", "not read", "read in part", "in state ERROR", "overdue"
COMPLAINTS = (FAILED, UNREAD, IN_PART, BROKEN, OVERDUE)
"""What can be wrong with a workflow, in the words of the summary."""


@dataclass(frozen=True, slots=True)
class Row:
    """An execution as it is shown; an empty text is not shown."""

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


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow as it is shown; an empty text is not shown.

    `state` is that of the last run that ended, `running` what is under way, `next_start` in UTC;
    `failures` were counted since the exporter began to count this workflow.
    """

    id: str
    name: str
    folder_id: str
    state: str
    notes: tuple[str, ...]
    advice: str
    running: str
    oldest: str
    duration: str
    ended_ago: str
    last_success: str
    last_success_at: str
    failures: int
    failure_class: str
    next_start: str
    next_in: str
    schedule: str


@dataclass(frozen=True, slots=True)
class FolderRow:
    """A folder that cannot be listed, or only in part, as it is shown."""

    id: str
    state: str
    failure: str
    advice: str
    known: str


def state(outcome: Outcome) -> str:
    """Return the state to show: of the execution or the last run, or that nothing was read."""
    if isinstance(outcome, ExecutionOutcome) and outcome.execution:
        return outcome.execution.status.name
    if isinstance(outcome, WorkflowOutcome) and outcome.listed:
        return _last_state(outcome)
    return "LISTED" if isinstance(outcome, FolderOutcome) and outcome.listed else NOT_READ


def complaints(outcome: WorkflowOutcome, now: float) -> tuple[str, ...]:
    """Return what is wrong with a workflow; `now` in Unix seconds."""
    if not outcome.listed:
        return (UNREAD,)
    found = {
        FAILED: _last_state(outcome) == Status.FAILED.name,
        IN_PART: bool(outcome.reason),
        BROKEN: _is_broken(outcome),
        OVERDUE: bool(_overdue(outcome, now)),
    }
    return tuple(complaint for complaint, is_so in found.items() if is_so)


def execution_rows(outcomes: Iterable[ExecutionOutcome], now: float, most: int) -> list[Row]:
    """Return the first `most` executions: by state, then the newest first; `now` in Unix seconds."""
    return [_row(outcome, now) for outcome in sorted(outcomes, key=_execution_order)[:most]]


def workflow_rows(outcomes: Iterable[WorkflowOutcome], now: float, most: int) -> list[WorkflowRow]:
    """Return the first `most` workflows: not read, failed, otherwise wrong, running, then the rest."""

    def order(outcome: WorkflowOutcome) -> tuple[int, float, str]:
        return _rank(outcome, now), -_newest(outcome), outcome.target.id

    return [_workflow_row(outcome, now) for outcome in sorted(outcomes, key=order)[:most]]


def folder_rows(outcomes: Iterable[FolderOutcome]) -> list[FolderRow]:
    """Return the folders that cannot be listed, then those that were read in part."""
    return [
        FolderRow(
            id=outcome.target.id,
            state=IN_PART.upper() if outcome.listed else "NOT LISTED",
            # The code of a folder that was read is not that of what failed.
            failure=outcome.reason if outcome.listed else _failure(outcome),
            advice=REMEDIES.get(outcome.reason, ""),
            known=_known(outcome),
        )
        for outcome in sorted(outcomes, key=lambda outcome: (outcome.listed, outcome.target.id))
        if outcome.reason or not outcome.listed
    ]


def _known(outcome: FolderOutcome) -> str:
    if not outcome.found:
        return ""
    return counted(len(outcome.found), "workflow") + (" read" if outcome.listed else " known from before")


def state_counts(outcomes: Sequence[Outcome]) -> list[tuple[str, int]]:
    """Return how many are in each state, those that need a look first."""
    counts = Counter(map(state, outcomes))
    return [(name, counts[name]) for name in URGENCY if counts[name]]


def _execution_order(outcome: ExecutionOutcome) -> tuple[int, float, str]:
    started = outcome.execution.started_at if outcome.execution else None
    return URGENCY.index(state(outcome)), -(started or 0.0), outcome.target.id


def _row(outcome: ExecutionOutcome, now: float) -> Row:
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
        read=_last_read(outcome, now),
    )


def _note(outcome: ExecutionOutcome) -> str:
    error = outcome.execution.error.code if outcome.execution and outcome.execution.error else ""
    if not outcome.reason:
        return error
    if outcome.execution is None:
        return _failure(outcome)
    return "; ".join(filter(None, (error, f"last reading: {_failure(outcome)}")))


def _failure(outcome: Outcome) -> str:
    return f"{outcome.reason} ({outcome.http_code})" if outcome.http_code else outcome.reason


def _last_read(outcome: Outcome, now: float) -> str:
    return "never" if outcome.last_success is None else ago_text(now - outcome.last_success)


def _last_state(outcome: WorkflowOutcome) -> str:
    """Return the status of the last run that ended; of one under way where none has."""
    standing = outcome.standing
    if standing.last_completed:
        return standing.last_completed.status.name
    for status in ACTIVE_WORDS:
        if status in standing.active and standing.active[status].count:
            return status.name
    return NEVER_RAN if standing.last_started is None else Status.UNKNOWN.name


def _is_broken(outcome: WorkflowOutcome) -> bool:
    return outcome.workflow is not None and outcome.workflow.state is WorkflowState.ERROR


def _overdue(outcome: WorkflowOutcome, now: float) -> str:
    """Return by how much the expected success is late; what has never been seen is not late."""
    expected, last = outcome.target.expected_success_interval, outcome.standing.last_success
    if expected is None or last is None or now - last <= expected:
        return ""
    return f"no success for {duration_text(now - last)}, expected every {duration_text(expected)}"


def _rank(outcome: WorkflowOutcome, now: float) -> int:
    wrong = complaints(outcome, now)
    if UNREAD in wrong or FAILED in wrong:
        return 0 if UNREAD in wrong else 1
    if wrong or _last_state(outcome) == Status.UNKNOWN.name:
        return 2
    return 3 if active_text(outcome.standing.active) else 4


def _newest(outcome: WorkflowOutcome) -> float:
    """Return when the newest run known started or ended, in Unix seconds."""
    standing = outcome.standing
    ended = standing.last_completed.end if standing.last_completed else 0.0
    return max(standing.last_started or 0.0, ended)


def _workflow_row(outcome: WorkflowOutcome, now: float) -> WorkflowRow:
    workflow, standing = outcome.workflow, outcome.standing
    last, success = standing.last_completed, standing.last_success
    running, oldest = _running(outcome, now)
    next_start, next_in = _next_start(outcome, now)
    return WorkflowRow(
        id=outcome.target.id,
        name=workflow.name if workflow else "",
        folder_id=workflow.folder_id if workflow else "",
        state=state(outcome),
        notes=_workflow_notes(outcome, now),
        advice=REMEDIES.get(outcome.reason, ""),
        running=running,
        oldest=oldest,
        duration=duration_text(last.duration if last else None),
        ended_ago=f"ended {ago_text(now - last.end)}" if last else "",
        last_success="never" if success is None else ago_text(now - success),
        last_success_at="" if success is None else f"{utc_text(success)} UTC",
        failures=standing.totals.get(("completed", Status.FAILED.name), 0),
        failure_class=_failure_class(outcome),
        next_start=next_start,
        next_in=next_in,
        schedule=_schedule(outcome),
    )


def _workflow_notes(outcome: WorkflowOutcome, now: float) -> tuple[str, ...]:
    if not outcome.listed:
        return tuple(filter(None, (_failure(outcome), f"last read: {_last_read(outcome, now)}")))
    partly = f"{IN_PART}: {outcome.reason}" if outcome.reason else ""
    broken = f"the workflow is {BROKEN}" if _is_broken(outcome) else ""
    return tuple(filter(None, (partly, broken, _overdue(outcome, now))))


def _running(outcome: WorkflowOutcome, now: float) -> tuple[str, str]:
    """Return what is under way and since when; what was not listed now is not known."""
    if not outcome.listed:
        return NONE, ""
    active = outcome.standing.active
    starts = [group.oldest for group in active.values() if group.count and group.oldest is not None]
    since = f"oldest started {ago_text(now - min(starts))}" if starts else ""
    return active_text(active) or "none", since


def _failure_class(outcome: WorkflowOutcome) -> str:
    """Return the class of most failures."""
    totals = outcome.standing.totals
    classes = {key[1]: number for key, number in totals.items() if key[0] == "failures" and number}
    if not classes:
        return ""
    most = max(sorted(classes), key=lambda name: classes[name])
    return most if len(classes) == 1 else f"mostly {most}"


def _next_start(outcome: WorkflowOutcome, now: float) -> tuple[str, str]:
    """Return the next scheduled start and how far ahead it is."""
    workflow, firings = outcome.workflow, outcome.firings
    if firings is None:
        unclear = workflow is not None and (workflow.schedule is not None or "cron" in workflow.unread)
        return ("not clear", "the schedule cannot be read") if unclear else (NONE, "")
    at = firings.next
    return (NONE, "") if at is None else (utc_text(at), ahead_text(at - now))


def _schedule(outcome: WorkflowOutcome) -> str:
    schedule = outcome.workflow.schedule if outcome.workflow else None
    return f"{schedule.expression} {schedule.timezone or 'UTC'}" if schedule else ""
