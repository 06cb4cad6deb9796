"""Failures are logged when they change and now and then, not at every scrape."""

import logging
from dataclasses import replace

import pytest
from conftest import ToldClock

from exporter.log import REMINDER_SECONDS, OutcomeLog
from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, Outcome, WorkflowOutcome
from exporter.targets import ExecutionTarget, FolderTarget, WorkflowTarget
from exporter.yandex.iam import TokenRecord


def failed(name: str, reason: str, code: int = 0) -> ExecutionOutcome:
    """Return the outcome of a failed reading."""
    return ExecutionOutcome(ExecutionTarget(name), 0.0, reason=reason, http_code=code)


def told(log: OutcomeLog, caplog: pytest.LogCaptureFixture, *outcomes: Outcome) -> list[str]:
    """Log a collection of these outcomes and return the levels of the lines."""
    caplog.clear()
    log.collected(
        Collection(
            tuple(o for o in outcomes if isinstance(o, ExecutionOutcome)),
            0.0,
            0.0,
            workflows=tuple(o for o in outcomes if isinstance(o, WorkflowOutcome)),
            folders=tuple(o for o in outcomes if isinstance(o, FolderOutcome)),
        )
    )
    return [r.levelname for r in caplog.records if r.levelno > logging.DEBUG]


def test_a_failure_is_logged_when_it_changes_and_once_an_hour(
    caplog: pytest.LogCaptureFixture, told_clock: ToldClock
) -> None:
    """First a line, then silence, then a line for another reason, a reminder, and the recovery."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog(told_clock)
    assert told(log, caplog, failed("a", "timeout")) == ["WARNING"]
    assert told(log, caplog, failed("a", "timeout")) == []
    assert told(log, caplog, failed("a", "server_error", 503)) == ["WARNING"]
    told_clock.now += REMINDER_SECONDS - 1
    assert told(log, caplog, failed("a", "server_error", 503)) == []
    told_clock.now += 1
    assert told(log, caplog, failed("a", "server_error", 503)) == ["WARNING"]
    assert told(log, caplog, ExecutionOutcome(ExecutionTarget("a"), 0.0)) == ["INFO"]
    assert told(log, caplog, ExecutionOutcome(ExecutionTarget("a"), 0.0)) == []


def test_what_is_only_remembered_is_no_news(caplog: pytest.LogCaptureFixture, told_clock: ToldClock) -> None:
    """An execution that is kept through an outage does not recover by not being asked."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog(told_clock)
    assert told(log, caplog, failed("a", "timeout")) == ["WARNING"]
    assert told(log, caplog, ExecutionOutcome(ExecutionTarget("a"), 0.0, cached=True)) == []
    assert told(log, caplog, failed("a", "timeout")) == []


def test_a_history_that_fails_is_told_as_one(caplog: pytest.LogCaptureFixture, told_clock: ToldClock) -> None:
    """Nobody is told that an execution cannot be read when it was read."""
    log = OutcomeLog(told_clock)
    told(log, caplog, replace(failed("a", "bad_response"), fresh=True))
    assert [record.getMessage() for record in caplog.records] == ["history of an execution cannot be read"]


def workflow(reason: str = "", *, listed: bool = False) -> WorkflowOutcome:
    """Return the outcome of the workflow `a`."""
    return WorkflowOutcome(WorkflowTarget("a"), 0.0, reason=reason, listed=listed)


def folder(reason: str = "") -> FolderOutcome:
    """Return the outcome of the folder `a`."""
    return FolderOutcome(FolderTarget("a"), 0.0, reason=reason, listed=not reason)


@pytest.mark.parametrize(
    ("outcomes", "field", "messages"),
    [
        (
            (failed("a", "timeout"), ExecutionOutcome(ExecutionTarget("a"), 0.0)), "execution_id",
            ["execution cannot be read", "execution can be read again"],
        ),
        (
            (workflow("timeout"), workflow(listed=True)), "workflow_id",
            ["workflow cannot be read", "workflow can be read again"],
        ),
        (
            (workflow("timeout", listed=True), workflow(listed=True)), "workflow_id",
            ["part of a workflow cannot be read", "part of a workflow can be read again"],
        ),
        (
            (folder("timeout"), folder()), "folder_id",
            ["folder cannot be listed", "folder can be listed again"],
        ),
        (
            (replace(folder("bad_response"), listed=True), folder()), "folder_id",
            ["part of a folder cannot be read", "part of a folder can be read again"],
        ),
    ],
)  # fmt: skip
def test_each_kind_is_told_in_its_own_words(
    outcomes: tuple[Outcome, Outcome],
    field: str,
    messages: list[str],
    caplog: pytest.LogCaptureFixture,
    told_clock: ToldClock,
) -> None:
    """Who reads a line knows of what it speaks, when it fails and when it is well again."""
    caplog.set_level(logging.INFO)
    log = OutcomeLog(told_clock)
    lines = []
    for outcome in outcomes:
        told(log, caplog, outcome)
        lines += [(record.getMessage(), record.__dict__["fields"][field]) for record in caplog.records]
    assert lines == [(message, "a") for message in messages]


@pytest.mark.parametrize("outcome", [workflow("forbidden", listed=True), workflow("forbidden")])
def test_a_target_that_was_read_has_no_code_beside_what_failed_of_it(
    outcome: WorkflowOutcome, caplog: pytest.LogCaptureFixture, told_clock: ToldClock
) -> None:
    """The 200 of its list would contradict the message; a target that failed has the code of its failure."""
    code = 200 if outcome.listed else 403
    told(OutcomeLog(told_clock), caplog, replace(outcome, http_code=code, message="HTTP 403"))
    fields = {"workflow_id": "a", "reason": "forbidden", "error": "HTTP 403"}
    assert caplog.records[0].__dict__["fields"] == fields | ({} if outcome.listed else {"http_code": 403})


def test_the_same_id_of_another_kind_is_another_target(
    caplog: pytest.LogCaptureFixture, told_clock: ToldClock
) -> None:
    """A folder that can be listed does not bring back the execution of that name."""
    caplog.set_level(logging.INFO)
    log = OutcomeLog(told_clock)
    assert told(log, caplog, failed("a", "timeout"), folder()) == ["WARNING"]
    assert told(log, caplog, failed("a", "timeout"), workflow("timeout")) == ["WARNING"]
    assert told(log, caplog, workflow(listed=True)) == ["INFO"]


def test_a_workflow_that_fails_altogether_is_news(
    caplog: pytest.LogCaptureFixture, told_clock: ToldClock
) -> None:
    """That only a part could not be read does not hide that now nothing can, for the same reason."""
    log = OutcomeLog(told_clock)
    assert told(log, caplog, workflow("timeout", listed=True)) == ["WARNING"]
    assert told(log, caplog, workflow("timeout")) == ["WARNING"]
    assert told(log, caplog, workflow("timeout")) == []


def test_an_outage_of_many_is_one_line(caplog: pytest.LogCaptureFixture, told_clock: ToldClock) -> None:
    """A thousand executions that fail alike are told with their number, not a thousand times."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog(told_clock)
    assert told(log, caplog, *(failed(str(n), "connection") for n in range(1000))) == ["WARNING"]
    fields = caplog.records[0].__dict__["fields"]
    assert (fields["count"], fields["execution_id"]) == (1000, "0,1,2,...")


def test_missing_tokens_are_an_error_once(caplog: pytest.LogCaptureFixture, told_clock: ToldClock) -> None:
    """An error when it begins, debug while it lasts, a line when it is over."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog(told_clock)
    for ok in (True, False, False, True, True):
        log.token(TokenRecord(ok=ok, expires_at=None, message="the key is gone"))
    assert [r.levelname for r in caplog.records] == ["ERROR", "DEBUG", "INFO"]
