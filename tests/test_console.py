"""What the command line tells people: aligned, coloured only on a terminal, honest in its numbers."""

import io
from dataclasses import replace

import pytest

from exporter.console import CallCounter, Console, calls_per_day, counted, report
from exporter.outcome import Collection, Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.calls import CallRecord
from exporter.yandex.errors import REASONS, REMEDIES
from exporter.yandex.models import ErrorDetail, Execution, Status

CALL = CallRecord("Execution.Get", "https://cloud.example/", 200, 0.1, 0, "", "")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def read(name: str, status: Status, alias: str = "") -> Outcome:
    """Return the outcome of an execution that was read."""
    error = ErrorDetail("STEP_TIMEOUT", "STEP") if status is Status.FAILED else None
    execution = Execution(name, "dfqworkflow", status, 0.0, 1.5, error, ())
    return Outcome(ExecutionTarget(name, alias), 0.0, execution, http_code=200, fresh=True)


def missing(name: str) -> Outcome:
    """Return the outcome of an execution that is not there."""
    return Outcome(ExecutionTarget(name), 0.0, http_code=404, reason="not_found", message="HTTP 404")


def collection(*outcomes: Outcome) -> Collection:
    """Return a collection of these outcomes."""
    return Collection(outcomes, 0.0, 0.0)


def test_a_report_is_aligned_and_plain_where_it_is_piped() -> None:
    """Each target in a line, what failed last, and once for each reason what to do."""
    stream = io.StringIO()
    given = collection(missing("gone"), read("failed-one", Status.FAILED, "nightly"))
    report(Console(stream, {}), given)
    assert stream.getvalue().splitlines() == [
        "  ok      failed-one (nightly)  200  FAILED 1.500 s STEP_TIMEOUT",
        "  failed  gone                  404  not_found: HTTP 404",
        "",
        f"not_found (1): {REMEDIES['not_found']}",
    ]


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], *, coloured: bool) -> None:
    """Green for what was read, red for what was not; none when NO_COLOR is set."""
    stream = Terminal()
    report(Console(stream, environ), collection(read("a", Status.RUNNING), missing("b")))
    assert ("\x1b[32mok" in stream.getvalue(), "\x1b[31mfailed" in stream.getvalue()) == (coloured, coloured)


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_progress_passes_by_on_a_terminal_and_stays_nowhere(stream: io.StringIO, *, shown: bool) -> None:
    """Each call is counted on the same line; a file sees nothing of it."""
    counter = CallCounter(Console(stream, {}), 3)
    for _ in range(2):
        counter(CALL)
    assert ("\r\x1b[Kasking for 3 executions: 2 calls made" in stream.getvalue()) == shown
    assert (stream.getvalue() == "") == (not shown)


def test_every_reason_has_a_remedy() -> None:
    """Nobody is told what failed without being told what to do."""
    assert [reason for reason in REASONS if not REMEDIES[reason].endswith((".", "?"))] == []


@pytest.mark.parametrize(
    ("outcome", "history", "calls"),
    [
        (read("a", Status.RUNNING), False, 2880),
        (read("a", Status.RUNNING), True, 5760),
        (read("a", Status.FINISHED), False, 24),
        (read("a", Status.FINISHED), True, 48),
        (missing("a"), True, 288),
        (replace(missing("a"), reason="timeout", http_code=0), True, 2880),
    ],
)
def test_the_calls_of_a_day_follow_from_what_each_target_is(
    outcome: Outcome, calls: int, *, history: bool
) -> None:
    """One a scrape while it lives, one an hour when it has ended, one in five minutes when it is missing."""
    assert calls_per_day(collection(outcome), 30.0, history=history) == calls


def test_one_is_one() -> None:
    """Numbers and nouns agree."""
    assert [counted(number, "execution") for number in (0, 1, 2)] == [
        "0 executions",
        "1 execution",
        "2 executions",
    ]
