"""What the command line tells people: aligned, coloured on a terminal, plain when piped."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO, TypeVar

from exporter.executions import TERMINAL_RECHECK
from exporter.infos import INFO_AGE
from exporter.memory import FAILED_RECHECK
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, Outcome, WorkflowOutcome
from exporter.standing import ENDS
from exporter.targets import Watched
from exporter.wording import active_text, ago_text, counted, duration_text
from exporter.yandex.calls import CallRecord
from exporter.yandex.errors import REMEDIES, NotFound
from exporter.yandex.models import Status

T = TypeVar("T", bound=Outcome)

DAY = 86400.0
COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "grey": "90", "bold": "1"}


class Console:
    """Writes to a stream for people; colours only if it is a terminal and NO_COLOR is not set."""

    def __init__(self, stream: TextIO, environ: Mapping[str, str]) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._colours = self._terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, or as it is."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._colours else text

    def say(self, text: str = "") -> None:
        """Write a line."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def progress(self, text: str) -> None:
        """Show a passing line; nothing where it would stay."""
        if self._terminal:
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def table(self, rows: Iterable[Sequence[str]], colours: Sequence[str] = ()) -> None:
        """Write rows with their columns aligned, each row's first cell in its colour."""
        rows = [list(row) for row in rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for index, row in enumerate(rows):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            if index < len(colours):
                cells[0] = self.paint(cells[0], colours[index])
            self.say("  " + "  ".join(cells).rstrip())


class CallCounter:
    """Shows the number of calls while they are made."""

    def __init__(self, console: Console, watched: Watched) -> None:
        self._console = console
        self._targets = watched_text(watched)
        self._calls = 0

    def __call__(self, _: CallRecord) -> None:
        """Count one call."""
        self._calls += 1
        self._console.progress(f"asking for {self._targets}: {counted(self._calls, 'call')} made")


def watched_text(watched: Watched) -> str:
    """Return how many targets of each kind there are: 3 executions, 1 folder."""
    kinds = {"execution": watched.executions, "workflow": watched.workflows, "folder": watched.folders}
    return ", ".join(counted(len(targets), kind) for kind, targets in kinds.items() if targets) or "nothing"


def report(console: Console, collection: Collection) -> None:
    """Say what each target answered, kind by kind, the failed ones last; then what to do about them."""
    titled = sum(map(bool, (collection.executions, collection.workflows, collection.folders))) > 1
    _block(console, "executions" if titled else "", collection.executions, _execution_row)
    _block(console, "workflows" if titled else "", collection.workflows, _workflow_row)
    _block(console, "folders" if titled else "", collection.folders, _folder_row)
    _say_what_is_empty(console, collection.folders)
    reasons = Counter(o.reason for o in collection.all if o.reason)
    for reason, count in reasons.most_common():
        console.say()
        console.say(console.paint(f"{reason} ({count})", "bold") + f": {REMEDIES[reason]}")


def _block(console: Console, title: str, outcomes: Sequence[T], row: Callable[[T], Sequence[str]]) -> None:
    if not outcomes:
        return
    if title:
        console.say(console.paint(title, "bold"))
    ordered = sorted(outcomes, key=lambda o: (not o.success, o.target.id))
    console.table([row(o) for o in ordered], [_colour(o) for o in ordered])


def _colour(outcome: Outcome) -> str:
    if not outcome.success:
        return "red"
    # An execution that is kept is whole; a workflow or folder with a reason is read in part.
    partly = outcome.reason and not isinstance(outcome, ExecutionOutcome)
    return "yellow" if partly or (isinstance(outcome, FolderOutcome) and not _taken(outcome)) else "green"


def _say_what_is_empty(console: Console, folders: Sequence[FolderOutcome]) -> None:
    empty = sorted(o.target.id for o in folders if o.listed and not _taken(o))
    if empty:
        where = "it" if len(folders) == 1 else ", ".join(empty)
        doubt = "is the ID right? do include, exclude and labels match?"
        console.say(f"  nothing is watched in {where}: {doubt}")


def _taken(outcome: FolderOutcome) -> int:
    """Return how many workflows of a folder are watched."""
    return sum(map(outcome.target.takes, outcome.found))


def _execution_row(outcome: ExecutionOutcome) -> tuple[str, ...]:
    name = outcome.target.id + (f" ({outcome.target.alias})" if outcome.target.alias else "")
    if outcome.execution is None:
        return ("failed", name, _code(outcome), _failure(outcome))
    duration = outcome.execution.duration
    said = outcome.execution.status.name + ("" if duration is None else f" {duration:.3f} s")
    if outcome.execution.error is not None:
        said += f" {outcome.execution.error.code}"
    if outcome.reason:
        said += f" ({outcome.message})"
    return ("ok", name, str(outcome.http_code), said)


def _workflow_row(outcome: WorkflowOutcome) -> tuple[str, ...]:
    name = (outcome.workflow.name if outcome.workflow else "") or "-"
    if not outcome.listed:
        return ("failed", outcome.target.id, name, _code(outcome), _failure(outcome))
    standing = outcome.standing
    parts = [active_text(standing.active) or "none running", _last_run(outcome)]
    if outcome.reason:
        parts.append(f"read in part: {_failure(outcome)}")
    return ("ok", outcome.target.id, name, _code(outcome), "; ".join(parts))


def _last_run(outcome: WorkflowOutcome) -> str:
    last = outcome.standing.last_completed
    if last is None:
        return "never ran" if outcome.standing.last_started is None else "none has ended"
    return f"last {last.status.name} {duration_text(last.duration)}, {ago_text(outcome.at - last.end)}"


def _folder_row(outcome: FolderOutcome) -> tuple[str, ...]:
    if not outcome.listed:
        return ("failed", outcome.target.id, _code(outcome), _failure(outcome))
    taken = _taken(outcome)
    some = "" if taken == len(outcome.found) else f", {taken} of them watched"
    partly = f"; read in part: {_failure(outcome)}" if outcome.reason else ""
    return ("ok", outcome.target.id, _code(outcome), counted(len(outcome.found), "workflow") + some + partly)


def _code(outcome: Outcome) -> str:
    return str(outcome.http_code) if outcome.http_code else "-"


def _failure(outcome: Outcome) -> str:
    return f"{outcome.reason}: {outcome.message}"


def say_calls(
    console: Console, collection: Collection, interval: float, *, history: bool, window: float
) -> None:
    """Say about how many calls a day a scrape every `interval` seconds makes, and what is counted."""
    calls = calls_per_day(collection, interval, history=history, window=window)
    console.say(f"\nat a scrape every {interval:.0f} s this is about {calls:,} calls of the API a day:")
    kinds = ["folders", "workflows", "executions that are watched by ID", "the error of each failed run"]
    kinds += ["histories of what runs and of what has ended"] if history else []
    console.say(f"  {', '.join(kinds)}; with as many runs as in the last {duration_text(window)}")


def calls_per_day(collection: Collection, interval: float, *, history: bool, window: float) -> int:
    """Return about how many calls a day a scrape of these targets every `interval` seconds makes.

    A list is taken for one page, what is under way now for what always is, and what started within the
    recent `window`, in seconds, for what does so in each.
    """
    calls = sum(_execution_calls(outcome, interval, 2 if history else 1) for outcome in collection.executions)
    for outcome in collection.workflows:
        calls += _workflow_calls(outcome, interval, history=history)
        calls += _calls_of_ends(outcome, history=history) * DAY / window
    calls += sum(_calls_while_failing(outcome, interval) for outcome in collection.folders)
    return round(calls)


def _execution_calls(outcome: ExecutionOutcome, interval: float, each: int) -> float:
    if outcome.ended:
        return each * DAY / TERMINAL_RECHECK
    return each * DAY / interval if outcome.success else _calls_while_failing(outcome, interval)


def _workflow_calls(outcome: WorkflowOutcome, interval: float, *, history: bool) -> float:
    if not outcome.listed:
        return _calls_while_failing(outcome, interval) + DAY / FAILED_RECHECK
    active = sum(group.count for group in outcome.standing.active.values())
    return (1 + (active if history else 0)) * DAY / interval + DAY / INFO_AGE


def _calls_of_ends(outcome: WorkflowOutcome, *, history: bool) -> int:
    """Return the calls for the recent executions that ended: the error of each that failed, and histories."""
    if not outcome.listed:
        return 0
    recent = outcome.standing.recent
    histories = sum(recent.get(status, 0) for status in ENDS) if history else 0
    return recent.get(Status.FAILED, 0) + histories


def _calls_while_failing(outcome: Outcome, interval: float) -> float:
    """Return the calls of a target that takes one a scrape: what is not found is not asked for at each."""
    return DAY / (FAILED_RECHECK if outcome.reason == NotFound.reason else interval)
