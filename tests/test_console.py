"""What the command line tells people: aligned, coloured only on a terminal, honest in its numbers."""

import io
from dataclasses import replace

import pytest

from exporter.console import CallCounter, Console, calls_per_day, report, say_calls
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, Outcome, WorkflowOutcome
from exporter.standing import NOTHING, Group, Run
from exporter.targets import ExecutionTarget, FolderTarget, Watched, WorkflowTarget
from exporter.yandex.calls import CallRecord
from exporter.yandex.errors import REASONS, REMEDIES
from exporter.yandex.models import ErrorDetail, Execution, Status
from exporter.yandex.workflows import Workflow, WorkflowState

NOW = 1_741_622_400.0
CALL = CallRecord("Execution.Get", "https://cloud.example/", 200, 0.1, 0, "", "")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def read(name: str, status: Status, alias: str = "") -> ExecutionOutcome:
    """Return the outcome of an execution that was read."""
    error = ErrorDetail("STEP_TIMEOUT", "STEP") if status is Status.FAILED else None
    execution = Execution(name, "dfqworkflow", status, 0.0, 1.5, error, ())
    return ExecutionOutcome(ExecutionTarget(name, alias), 0.0, execution=execution, http_code=200, fresh=True)


def missing(name: str) -> ExecutionOutcome:
    """Return the outcome of an execution that is not there."""
    return ExecutionOutcome(ExecutionTarget(name), 0.0, http_code=404, reason="not_found", message="HTTP 404")


def workflow(name: str) -> Workflow:
    """Return a workflow of this name."""
    return Workflow(
        f"dfq-{name}", "b1g-a", name, (), WorkflowState.ACTIVE, express=False, created_at=None,
        schedule=None, unread=(),
    )  # fmt: skip


def listed(name: str = "orders", running: int = 2) -> WorkflowOutcome:
    """Return the outcome of a workflow whose executions were listed: some run, the last has finished."""
    standing = replace(
        NOTHING,
        active={Status.RUNNING: Group(running, NOW - 60), Status.QUEUED: Group(0)},
        last_started=NOW - 300,
        last_completed=Run(Status.FINISHED, NOW - 180, 41.0),
    )
    return WorkflowOutcome(
        WorkflowTarget(f"dfq-{name}"), NOW, listed=True, workflow=workflow(name), standing=standing,
        http_code=200, fresh=True,
    )  # fmt: skip


def unlisted(reason: str = "forbidden", code: int = 403) -> WorkflowOutcome:
    """Return the outcome of a workflow that cannot be read."""
    return WorkflowOutcome(
        WorkflowTarget("dfq-x"), NOW, http_code=code, reason=reason, message=f"HTTP {code}"
    )


def folder(*names: str, include: tuple[str, ...] = ()) -> FolderOutcome:
    """Return the outcome of a folder with workflows of these names."""
    found = tuple(map(workflow, names))
    return FolderOutcome(FolderTarget("b1g-a", include), NOW, http_code=200, listed=True, found=found)


def folder_lost(reason: str = "not_found", code: int = 404) -> FolderOutcome:
    """Return the outcome of a folder that cannot be listed."""
    return FolderOutcome(FolderTarget("b1g-lost"), NOW, http_code=code, reason=reason, message=f"HTTP {code}")


def collection(*outcomes: Outcome) -> Collection:
    """Return a collection of these outcomes."""
    return Collection(
        tuple(o for o in outcomes if isinstance(o, ExecutionOutcome)),
        0.0,
        0.0,
        workflows=tuple(o for o in outcomes if isinstance(o, WorkflowOutcome)),
        folders=tuple(o for o in outcomes if isinstance(o, FolderOutcome)),
    )


def said(*outcomes: Outcome) -> list[str]:
    """Return the lines of the report of these outcomes."""
    stream = io.StringIO()
    report(Console(stream, {}), collection(*outcomes))
    return stream.getvalue().splitlines()


def test_a_report_is_aligned_and_plain_where_it_is_piped() -> None:
    """Each target in a line, what failed last, and once for each reason what to do."""
    assert said(missing("gone"), read("failed-one", Status.FAILED, "nightly")) == [
        "  ok      failed-one (nightly)  200  FAILED 1.500 s STEP_TIMEOUT",
        "  failed  gone                  404  not_found: HTTP 404",
        "",
        f"not_found (1): {REMEDIES['not_found']}",
    ]


def test_each_kind_has_a_block_of_its_own() -> None:
    """A heading and columns for each, what failed last, and the reasons of all kinds together."""
    given = (folder_lost(), folder("a", "b", "c"), unlisted(), listed(), missing("gone"))
    assert said(*given, read("a", Status.RUNNING)) == [
        "executions",
        "  ok      a     200  RUNNING 1.500 s",
        "  failed  gone  404  not_found: HTTP 404",
        "workflows",
        "  ok      dfq-orders  orders  200  2 running; last FINISHED 41.0 s, 3 min ago",
        "  failed  dfq-x       -       403  forbidden: HTTP 403",
        "folders",
        "  ok      b1g-a     200  3 workflows",
        "  failed  b1g-lost  404  not_found: HTTP 404",
        "",
        f"not_found (2): {REMEDIES['not_found']}",
        "",
        f"forbidden (1): {REMEDIES['forbidden']}",
    ]


def test_one_kind_alone_needs_no_heading() -> None:
    """Only what has to be told apart is named."""
    assert said(listed()) == ["  ok  dfq-orders  orders  200  2 running; last FINISHED 41.0 s, 3 min ago"]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (replace(listed(), standing=NOTHING), "none running; never ran"),
        (replace(listed(), standing=replace(NOTHING, last_started=NOW)), "none running; none has ended"),
        (
            replace(listed(), reason="timeout", message="an execution of it: 5 s"),
            "2 running; last FINISHED 41.0 s, 3 min ago; read in part: timeout: an execution of it: 5 s",
        ),
        (folder("order-a", "order-b", "x", include=("order-*",)), "3 workflows, 2 of them watched"),
        (folder("a"), "1 workflow"),
        (
            replace(folder("a", "b"), reason="bad_response", message="the list: 1 left out"),
            "2 workflows; read in part: bad_response: the list: 1 left out",
        ),
        (replace(unlisted("connection", 0), message="refused"), "failed  dfq-x  -  -  connection: refused"),
    ],
)
def test_a_line_says_all_that_is_known(outcome: Outcome, words: str) -> None:
    """A run that is not there is not invented, and what is missing is told."""
    assert said(outcome)[0].endswith(words)


@pytest.mark.parametrize(
    "outcome",
    [
        replace(listed(), reason="timeout", message="an execution of it: 5 s"),
        replace(folder("a"), reason="bad_response", message="the list: 1 left out"),
        folder(),
        folder("a", include=("b",)),
    ],
)
def test_what_is_read_in_part_or_empty_is_no_failure_and_not_all_well(outcome: Outcome) -> None:
    """Yellow: it does not fail the command, and it is to be seen."""
    stream = Terminal()
    report(Console(stream, {}), collection(outcome))
    assert "\x1b[33mok" in stream.getvalue()


def test_a_folder_in_which_nothing_is_watched_ends_with_a_question() -> None:
    """A wrong ID is answered like an empty folder, so whoever meant another is asked."""
    doubt = "is the ID right? do include, exclude and labels match?"
    assert said(folder()) == ["  ok  b1g-a  200  0 workflows", f"  nothing is watched in it: {doubt}"]
    assert said(folder("a", include=("b",))) == [
        "  ok  b1g-a  200  1 workflow, 0 of them watched",
        f"  nothing is watched in it: {doubt}",
    ]


def test_of_several_folders_the_empty_ones_are_named() -> None:
    """Those with workflows, and those that cannot be listed, are not asked about."""
    empty = replace(folder(), target=FolderTarget("b1g-empty"))
    lines = said(folder("a"), empty, folder_lost())
    assert lines[3].startswith("  nothing is watched in b1g-empty: is the ID right?")


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
    watched = Watched(
        tuple(map(ExecutionTarget, "abc")), tuple(map(WorkflowTarget, "ab")), (FolderTarget("a"),)
    )
    counter = CallCounter(Console(stream, {}), watched)
    for _ in range(2):
        counter(CALL)
    line = "\r\x1b[Kasking for 3 executions, 2 workflows, 1 folder: 2 calls made"
    assert (line in stream.getvalue()) == shown
    assert (stream.getvalue() == "") == (not shown)


def test_only_the_kinds_that_are_asked_for_are_named() -> None:
    """Nobody is told of no folders."""
    stream = Terminal()
    CallCounter(Console(stream, {}), Watched(workflows=(WorkflowTarget("a"),)))(CALL)
    assert stream.getvalue() == "\r\x1b[Kasking for 1 workflow: 1 call made"


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
        (listed(running=2), False, 2880 + 96),
        (listed(running=2), True, 3 * 2880 + 96),
        (unlisted("not_found", 404), True, 288 + 288),
        (unlisted(), True, 2880 + 288),
        (folder("a", "b"), True, 2880),
        (folder_lost(), True, 288),
        (folder_lost("timeout", 0), True, 2880),
    ],
)
def test_the_calls_of_a_day_follow_from_what_each_target_is(
    outcome: Outcome, calls: int, *, history: bool
) -> None:
    """One a scrape while it lives, one an hour when it has ended, one in five minutes when it is missing.

    A workflow takes one more every 15 minutes, and with history one for each active execution.
    """
    assert calls_per_day(collection(outcome), 30.0, history=history, window=3600.0) == calls


@pytest.mark.parametrize(
    ("window", "history", "calls"), [(3600.0, False, 24), (3600.0, True, 24 * 7), (43_200.0, True, 14)]
)
def test_the_runs_of_the_recent_window_are_taken_for_those_of_every_window(
    window: float, calls: int, *, history: bool
) -> None:
    """One call for the error of each that failed, and with history one for each that ended."""
    recent = {Status.FINISHED: 4, Status.FAILED: 1, Status.STOPPED: 1, Status.RUNNING: 9, Status.UNKNOWN: 9}
    outcome = replace(listed(running=0), standing=replace(NOTHING, recent=recent))
    quiet = collection(replace(outcome, standing=NOTHING))
    base = calls_per_day(quiet, 30.0, history=history, window=window)
    assert calls_per_day(collection(outcome), 30.0, history=history, window=window) - base == calls


def test_runs_of_a_workflow_that_cannot_be_listed_cost_nothing() -> None:
    """What is only remembered of it is not asked about."""
    outcome = replace(unlisted(), standing=replace(NOTHING, recent={Status.FAILED: 100}))
    assert calls_per_day(collection(outcome), 30.0, history=True, window=3600.0) == 2880 + 288


@pytest.mark.parametrize("history", [False, True])
def test_the_estimate_says_what_it_counts(*, history: bool) -> None:
    """Who plans by it knows what it is of; histories are named where they are read."""
    stream = io.StringIO()
    say_calls(Console(stream, {}), collection(folder("a")), 30.0, history=history, window=3600.0)
    histories = ", histories of what runs and of what has ended" if history else ""
    assert stream.getvalue().splitlines() == [
        "",
        "at a scrape every 30 s this is about 2,880 calls of the API a day:",
        "  folders, workflows, executions that are watched by ID, the error of each failed run"
        f"{histories}; with as many runs as in the last 1 h 00 min",
    ]
