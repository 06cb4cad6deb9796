"""What the command line tells people: aligned, coloured on a terminal, plain when piped."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from exporter.outcome import Collection, Outcome
from exporter.scraper import FAILED_RECHECK, TERMINAL_RECHECK
from exporter.yandex.calls import CallRecord
from exporter.yandex.errors import REMEDIES, NotFound

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

    def __init__(self, console: Console, targets: int) -> None:
        self._console = console
        self._targets = targets
        self._calls = 0

    def __call__(self, _: CallRecord) -> None:
        """Count one call."""
        self._calls += 1
        self._console.progress(f"asking for {self._targets} executions: {self._calls} calls made")


def report(console: Console, collection: Collection) -> None:
    """Say what each target answered, the failed ones last with what to do about it."""
    outcomes = sorted(collection.outcomes, key=lambda o: (not o.success, o.target.id))
    if outcomes:
        rows = [_row(outcome) for outcome in outcomes]
        console.table(rows, ["green" if o.success else "red" for o in outcomes])
    reasons = Counter(o.reason for o in outcomes if o.reason)
    for reason, count in reasons.most_common():
        console.say()
        console.say(console.paint(f"{reason} ({count})", "bold") + f": {REMEDIES[reason]}")


def _row(outcome: Outcome) -> tuple[str, str, str, str]:
    name = outcome.target.id + (f" ({outcome.target.alias})" if outcome.target.alias else "")
    if outcome.execution is None:
        code = str(outcome.http_code) if outcome.http_code else "-"
        return ("failed", name, code, f"{outcome.reason}: {outcome.message}")
    duration = outcome.execution.duration
    said = outcome.execution.status.name + ("" if duration is None else f" {duration:.3f} s")
    if outcome.execution.error is not None:
        said += f" {outcome.execution.error.code}"
    if outcome.reason:
        said += f" ({outcome.message})"
    return ("ok", name, str(outcome.http_code), said)


def calls_per_day(collection: Collection, interval: float, *, history: bool) -> int:
    """Return how many calls a day a scrape of these targets every `interval` seconds makes."""
    each = 2 if history else 1
    day = 86400.0

    def calls(outcome: Outcome) -> float:
        if outcome.ended:
            return each * day / TERMINAL_RECHECK
        if outcome.reason == NotFound.reason:
            return day / FAILED_RECHECK
        return each * day / interval if outcome.success else day / interval

    return round(sum(map(calls, collection.outcomes)))


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 execution, 2 executions."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
