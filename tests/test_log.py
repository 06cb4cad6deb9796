"""Failures are logged when they change and now and then, not at every scrape."""

import logging

import pytest

from exporter.log import REMINDER_SECONDS, OutcomeLog
from exporter.outcome import Collection, Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.iam import TokenRecord


def failed(name: str, reason: str, at: float, code: int = 0) -> Outcome:
    """Return the outcome of a failed reading."""
    return Outcome(ExecutionTarget(name), at, reason=reason, http_code=code)


def told(log: OutcomeLog, caplog: pytest.LogCaptureFixture, *outcomes: Outcome) -> list[str]:
    """Log a collection of these outcomes and return the levels of the lines."""
    caplog.clear()
    log.collected(Collection(outcomes, 0.0, 0.0))
    return [r.levelname for r in caplog.records if r.levelno > logging.DEBUG]


def test_a_failure_is_logged_when_it_changes_and_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    """First a line, then silence, then a line for another reason, a reminder, and the recovery."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog()
    assert told(log, caplog, failed("a", "timeout", 0)) == ["WARNING"]
    assert told(log, caplog, failed("a", "timeout", 30)) == []
    assert told(log, caplog, failed("a", "server_error", 60, 503)) == ["WARNING"]
    assert told(log, caplog, failed("a", "server_error", 90, 503)) == []
    assert told(log, caplog, failed("a", "server_error", 60 + REMINDER_SECONDS, 503)) == ["WARNING"]
    assert told(log, caplog, Outcome(ExecutionTarget("a"), 0.0, success=True)) == ["INFO"]
    assert told(log, caplog, Outcome(ExecutionTarget("a"), 0.0, success=True)) == []


def test_an_outage_of_many_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand executions that fail alike are told with their number, not a thousand times."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog()
    assert told(log, caplog, *(failed(str(n), "connection", 0) for n in range(1000))) == ["WARNING"]
    fields = caplog.records[0].__dict__["fields"]
    assert (fields["count"], fields["execution_id"]) == (1000, "0,1,2,...")


def test_missing_tokens_are_an_error_once(caplog: pytest.LogCaptureFixture) -> None:
    """An error when it begins, debug while it lasts, a line when it is over."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog()
    for ok in (True, False, False, True, True):
        log.token(TokenRecord(ok=ok, expires_at=None, message="the key is gone"))
    assert [r.levelname for r in caplog.records] == ["ERROR", "DEBUG", "INFO"]
