"""Failures are logged when they change and now and then, not at every scrape."""

import logging
from dataclasses import replace

import pytest
from conftest import ToldClock

from exporter.log import REMINDER_SECONDS, OutcomeLog
from exporter.outcome import Collection, Outcome
from exporter.targets import ExecutionTarget
from exporter.yandex.iam import TokenRecord


def failed(name: str, reason: str, code: int = 0) -> Outcome:
    """Return the outcome of a failed reading."""
    return Outcome(ExecutionTarget(name), 0.0, reason=reason, http_code=code)


def told(log: OutcomeLog, caplog: pytest.LogCaptureFixture, *outcomes: Outcome) -> list[str]:
    """Log a collection of these outcomes and return the levels of the lines."""
    caplog.clear()
    log.collected(Collection(outcomes, 0.0, 0.0))
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
    assert told(log, caplog, Outcome(ExecutionTarget("a"), 0.0)) == ["INFO"]
    assert told(log, caplog, Outcome(ExecutionTarget("a"), 0.0)) == []


def test_what_is_only_remembered_is_no_news(caplog: pytest.LogCaptureFixture, told_clock: ToldClock) -> None:
    """An execution that is kept through an outage does not recover by not being asked."""
    caplog.set_level(logging.DEBUG)
    log = OutcomeLog(told_clock)
    assert told(log, caplog, failed("a", "timeout")) == ["WARNING"]
    assert told(log, caplog, Outcome(ExecutionTarget("a"), 0.0, cached=True)) == []
    assert told(log, caplog, failed("a", "timeout")) == []


def test_a_history_that_fails_is_told_as_one(caplog: pytest.LogCaptureFixture, told_clock: ToldClock) -> None:
    """Nobody is told that an execution cannot be read when it was read."""
    log = OutcomeLog(told_clock)
    told(log, caplog, replace(failed("a", "bad_response"), fresh=True))
    assert [record.getMessage() for record in caplog.records] == ["history of an execution cannot be read"]


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
