"""The landing page as it is rendered: what it says of each target, and which come first."""

import re
from dataclasses import replace

import pytest
from watched import (
    FLOW,
    FOLDER,
    NOW,
    collection,
    details,
    execution,
    folder,
    lost_folder,
    scheduled,
    standing,
    unlisted,
    unread,
    workflow,
)

from exporter.outcome import ExecutionOutcome, FolderOutcome, Outcome, WorkflowOutcome
from exporter.page import LandingPage, debug, is_trouble, summary
from exporter.pagerows import WorkflowRow, workflow_rows
from exporter.standing import NOTHING, Group, Key
from exporter.targets import ExecutionTarget
from exporter.yandex.models import Status
from exporter.yandex.workflows import Schedule, WorkflowState

FINE = standing(Status.FINISHED, success=NOW - 180)
BAD = standing(Status.FAILED)
PARTLY = replace(folder("b1g-partly"), reason="bad_response", message="the list: 1 left out")


def rendered(*outcomes: ExecutionOutcome | WorkflowOutcome | FolderOutcome) -> str:
    """Return the page of these outcomes."""
    return LandingPage("1").render(collection(*outcomes), NOW, "https://workflows.example")


def row(outcome: WorkflowOutcome) -> WorkflowRow:
    """Return a workflow as it is shown."""
    return workflow_rows([outcome], NOW, 1)[0]


def test_thousands_of_executions_are_counted_and_the_first_are_shown() -> None:
    """What failed is shown even when it was configured last, and what is left out is said."""
    html = rendered(*(execution(f"dfq-{n}") for n in range(1999)), execution("dfq-1999", Status.FAILED))
    assert html.count('<tr role="row">') == 1 + 500
    assert "dfq-1999" in html
    assert "and 1500 more" in html
    assert "2000 executions watched: 1999 fine, 1 failed" in html


def test_thousands_of_workflows_are_counted_and_the_first_are_shown() -> None:
    """As for executions: the one that failed is there, and the rest is told."""
    html = rendered(*(workflow(f"dfq-{n}", FINE) for n in range(599)), workflow("dfq-last", BAD))
    assert html.count('<tr role="row">') == 1 + 500
    assert "dfq-last" in html
    assert "and 100 more workflows" in html
    assert "1 of 600 workflows failed its last run" in html


def test_of_two_in_the_same_state_the_newer_comes_first() -> None:
    """Who is woken looks for what has just failed."""
    old, new = execution("dfq-1", Status.FAILED, age=60), execution("dfq-2", Status.FAILED)
    html = rendered(old, new)
    assert html.index("dfq-2") < html.index("dfq-1")


def test_workflows_that_need_a_look_come_first() -> None:
    """Not read, failed, otherwise wrong, under way; then the rest; the newest first in each."""
    running = standing(Status.FINISHED, active={Status.RUNNING: Group(1, NOW - 60)})
    outcomes = [
        workflow("never", NOTHING),
        workflow("old", standing(Status.FINISHED, age=900)),
        workflow("new", standing(Status.STOPPED, age=90)),
        workflow("running", running),
        workflow("partly", FINE, reason="timeout", message="an execution of it: 5 s"),
        workflow("failed-old", standing(Status.FAILED, age=900)),
        workflow("failed-new", standing(Status.FAILED, age=90)),
        unlisted("unread"),
    ]
    assert [shown.id for shown in workflow_rows(outcomes, NOW, 99)] == [
        "unread", "failed-new", "failed-old", "partly", "running", "new", "old", "never",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (workflow("a", FINE), "FINISHED"),
        (workflow("a", BAD), "FAILED"),
        (workflow("a", standing(Status.FAILED, active={Status.RUNNING: Group(1, NOW)})), "FAILED"),
        (workflow("a", standing(active={Status.QUEUED: Group(2, NOW)})), "QUEUED"),
        (workflow("a", NOTHING), "NEVER RAN"),
        (workflow("a", replace(NOTHING, last_started=NOW)), "UNKNOWN"),
        (unlisted("a", standing=FINE), "NOT READ"),
    ],
)
def test_a_workflow_has_the_state_of_its_last_run(outcome: WorkflowOutcome, state: str) -> None:
    """Of the last that ended; of one under way only when none has; of none when it was not read."""
    assert row(outcome).state == state


def test_a_row_says_what_a_workflow_does() -> None:
    """What is under way since when, how the last run went, the last success, what has failed."""
    active = {Status.RUNNING: Group(2, NOW - 7200), Status.QUEUED: Group(1, NOW - 60)}
    totals: dict[Key, int] = {
        ("completed", "FAILED"): 14,
        ("failures", "HTTP_CALL"): 12,
        ("failures", "STEP"): 2,
    }
    last = standing(Status.FAILED, active=active, totals=totals, success=NOW - 90_000)
    shown = row(workflow(FLOW, last, "orders"))
    assert (shown.name, shown.folder_id) == ("orders", FOLDER)
    assert (shown.running, shown.oldest) == ("2 running, 1 queued", "oldest started 2 h ago")
    assert (shown.duration, shown.ended_ago) == ("41.0 s", "ended 3 min ago")
    assert (shown.last_success, shown.last_success_at) == ("1 d ago", "2025-03-09 15:00:00 UTC")
    assert (shown.failures, shown.failure_class) == (14, "mostly HTTP_CALL")
    assert shown.notes == ()


def test_what_is_not_known_is_not_made_up() -> None:
    """A workflow that cannot be listed has nothing under way that one could tell; its totals stay."""
    active = {Status.RUNNING: Group(2, NOW - 7200)}
    totals: dict[Key, int] = {("completed", "FAILED"): 1, ("failures", "STEP"): 1}
    known = standing(Status.FINISHED, active=active, totals=totals)
    shown = row(unlisted(FLOW, standing=known, last_success=NOW - 300))
    assert (shown.running, shown.oldest) == ("\u2014", "")
    assert (shown.failures, shown.failure_class, shown.last_success) == (1, "STEP", "never")
    assert shown.notes == ("forbidden (403)", "last read: 5 min ago")
    assert shown.advice == "Grant this account the role serverless.workflows.viewer on the folder."


@pytest.mark.parametrize(
    ("outcome", "notes"),
    [
        (workflow("a", FINE, reason="timeout", message="x"), ("read in part: timeout",)),
        (
            workflow("a", FINE, workflow=details("a", "b", state=WorkflowState.ERROR)),
            ("the workflow is in state ERROR",),
        ),
        (
            workflow("a", standing(Status.FINISHED, success=NOW - 90_000), interval=86_400.0),
            ("no success for 1 d 1 h, expected every 1 d 0 h",),
        ),
        (workflow("a", FINE, interval=86_400.0), ()),
        (workflow("a", NOTHING, interval=86_400.0), ()),
    ],
)
def test_what_is_wrong_beside_the_last_run_is_said(outcome: WorkflowOutcome, notes: tuple[str, ...]) -> None:
    """And makes the page say that not all is fine."""
    assert row(outcome).notes == notes
    assert is_trouble(collection(outcome), NOW) == bool(notes)


def test_the_next_start_is_in_utc_whatever_zone_the_schedule_has() -> None:
    """At 21:00 in Moscow it is 18:00 in UTC; the schedule as it was written is there to be read."""
    shown = row(scheduled(FLOW, "orders", "0 21 * * ? *", "Europe/Moscow"))
    assert (shown.next_start, shown.next_in) == ("2025-03-10 18:00:00", "in 2 h")
    assert shown.schedule == "0 21 * * ? * Europe/Moscow"


def test_a_schedule_that_cannot_be_read_is_not_shown_as_none() -> None:
    """That a workflow starts by itself is known; only when is not."""
    odd = details(FLOW, "orders", schedule=Schedule("61 * * * ? *", ""))
    assert row(workflow(FLOW, FINE, workflow=odd)).next_in == "the schedule cannot be read"
    malformed = replace(details(FLOW, "orders"), unread=("cron",))
    assert row(workflow(FLOW, FINE, workflow=malformed)).next_in == "the schedule cannot be read"
    assert row(workflow(FLOW, FINE, "orders")).next_start == "\u2014"


def test_a_schedule_that_has_ended_has_no_next_start() -> None:
    """A year that is over does not come again."""
    assert row(scheduled(FLOW, "orders", "0 21 1 1 ? 2020", "")).next_start == "\u2014"


def test_a_folder_that_cannot_be_listed_is_a_line() -> None:
    """Which, why, what to do, and that what was known of it is not forgotten; of others nothing."""
    html = rendered(folder("b1g-fine"), lost_folder("b1g-lost", details("a", "b")), workflow("a", FINE))
    assert "b1g-lost" in html
    assert "forbidden (403)" in html
    assert "Grant this account the role" in html
    assert "1 workflow known from before" in html
    assert "b1g-fine" not in html


def test_a_folder_that_was_read_in_part_is_a_line() -> None:
    """It was listed, so it is not told as one that was not; what failed of it is."""
    html = rendered(replace(PARTLY, found=(details("a", "b"),)), workflow("a", FINE))
    assert "READ IN PART</span>folder <code" in html
    assert "<code>bad_response</code>" in html
    assert "1 workflow read." in html
    assert "NOT LISTED" not in html


def test_a_name_is_text_and_not_markup() -> None:
    """What the configuration calls an execution, or the cloud a workflow, cannot write on the page."""
    script = "<script>alert(1)</script>"
    html = rendered(execution("dfq-1", alias=script), workflow("dfq-2", FINE, script))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4


def test_an_execution_that_is_kept_says_that_its_last_reading_failed() -> None:
    """An execution that ended is still shown with its state when the cloud cannot be asked."""
    read = execution("dfq-1")
    kept = replace(read, fresh=False, http_code=0, reason="timeout", message="slow")
    html = rendered(kept)
    assert "FINISHED" in html
    assert "last reading: timeout" in html
    assert "The API did not answer in time." in html


WATCHED: list[tuple[tuple[ExecutionOutcome | WorkflowOutcome | FolderOutcome, ...], str]] = [
    ((), "Nothing is watched yet"),
    ((execution("a"),), "1 execution watched: all fine"),
    ((workflow("a", FINE), workflow("b", NOTHING)), "2 workflows watched: all fine"),
    ((workflow("a", FINE), execution("a")), "1 workflow and 1 execution watched: all fine"),
    ((workflow("a", BAD), workflow("b", FINE)), "1 of 2 workflows failed its last run"),
    (
        (workflow("a", BAD), workflow("b", BAD), unlisted("c"), execution("d")),
        "2 of 3 workflows failed their last run, 1 not read; 1 execution watched: all fine",
    ),
    (
        (workflow("a", FINE), execution("a", Status.FAILED), unread("b", "not_found", 404)),
        "1 workflow watched: all fine; 2 executions watched: 0 fine, 1 failed, 1 not read",
    ),
    ((workflow("a", FINE, reason="timeout"),), "1 of 1 workflow read in part"),
    (
        (workflow("a", FINE), folder(), lost_folder("x")),
        "1 workflow watched: all fine; 1 of 2 folders cannot be listed",
    ),
    ((folder(),), "No workflows in 1 folder"),
    ((lost_folder("x"),), "1 of 1 folder cannot be listed"),
    (
        (workflow("a", FINE), execution("a"), folder(), PARTLY),
        "1 workflow watched: all fine; 1 execution watched: all fine; 1 of 2 folders read in part",
    ),
    ((PARTLY, lost_folder("x")), "1 of 2 folders cannot be listed, 1 read in part"),
]


@pytest.mark.parametrize(("outcomes", "words"), WATCHED, ids=[words for _, words in WATCHED])
def test_the_summary_says_the_overall_state(
    outcomes: tuple[ExecutionOutcome | WorkflowOutcome | FolderOutcome, ...], words: str
) -> None:
    """Both kinds, only what there is, in the words of a person; the title says the same."""
    assert summary(collection(*outcomes), NOW) == words
    html = rendered(*outcomes)
    assert re.findall("<title>(.*?) \\|", html) == [words]
    assert f'">{words}</p>' in html


def test_a_page_of_executions_alone_knows_no_workflows() -> None:
    """Who watches executions only sees no heading and no empty table."""
    html = rendered(execution("a"))
    assert 'class="kind"' not in html
    assert html.count("<table") == 1


def test_an_empty_page_says_what_to_configure() -> None:
    """All three kinds can be named; who has named a folder is told where to look first."""
    for words in ("folders:", "workflows:", "executions:", "--workflow=ID", "--folder=ID"):
        assert words in rendered()
    assert "let them through" not in rendered()
    assert "let them through" in rendered(folder())


def test_a_debugged_probe_says_what_was_not_read_in_time() -> None:
    """An execution that was not read in this probe does not borrow an earlier reading."""
    late = ExecutionOutcome(ExecutionTarget("dfq-1"), NOW, reason="budget", message="the time was over")
    assert "dfq-1  NOT READ  no answer  budget: the time was over" in debug((), (late,), "")


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (execution("dfq-1"), "dfq-1  FINISHED  200"),
        (workflow("dfq-1", BAD), "dfq-1  FAILED  200  none running"),
        (
            workflow("dfq-1", standing(active={Status.RUNNING: Group(2, NOW)}), cached=True),
            "dfq-1  RUNNING  200  2 running  kept from an earlier reading",
        ),
        (unlisted("dfq-1"), "dfq-1  NOT READ  403  forbidden: HTTP 403"),
        (folder("b1g-1", details("a", "b")), "b1g-1  LISTED  200  1 workflow"),
        (lost_folder("b1g-1"), "b1g-1  NOT READ  403  forbidden: HTTP 403"),
        (PARTLY, "b1g-partly  LISTED  200  0 workflows  bad_response: the list: 1 left out"),
    ],
)
def test_a_debugged_probe_shows_targets_of_every_kind(outcome: Outcome, line: str) -> None:
    """One line each: which, its state, the answer's code, what was found or what failed."""
    assert f"  {line}\n" in debug((), (replace(outcome, fresh=not outcome.cached),), "")
