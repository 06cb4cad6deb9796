"""What cannot be read is left alone for a while, by everybody, and given up in the end."""

import pytest
from conftest import ToldClock

from exporter.memory import FAILED_RECHECK
from exporter.patience import MOST_PASSING, MOST_TRIES, Patience, is_hopeless
from exporter.yandex.errors import ApiError, Forbidden, NotFound, ServerError

FOR_GOOD = Forbidden("no", 403)
PASSING = ServerError("no", 500)


def test_who_was_never_asked_for_has_waited_the_longest(told_clock: ToldClock) -> None:
    """And then who was asked for first."""
    patience = Patience(told_clock)
    for key in "ab":
        patience.ask(key)
        told_clock.sleep(1)
    assert sorted("abc", key=patience.waited) == ["c", "a", "b"]


def test_what_will_not_change_rests_for_five_minutes(told_clock: ToldClock) -> None:
    """With the error that says why."""
    patience = Patience(told_clock)
    patience.fail("a", FOR_GOOD)
    assert patience.rests("a")
    assert patience.error("a") is FOR_GOOD
    told_clock.sleep(FAILED_RECHECK)
    assert not patience.rests("a")
    assert patience.error("a") is None


def test_what_may_pass_is_asked_for_sooner_at_first(told_clock: ToldClock) -> None:
    """With pauses that grow, up to five minutes."""
    patience = Patience(told_clock)
    pauses = []
    for _ in range(8):
        patience.fail("a", PASSING)
        before = told_clock.monotonic()
        while patience.rests("a"):
            told_clock.sleep(1)
        pauses.append(told_clock.monotonic() - before)
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]


def test_scrapes_that_fail_at_the_same_time_are_one_failure(told_clock: ToldClock) -> None:
    """So that one bad moment, seen by many, does not use up the tries."""
    patience = Patience(told_clock)
    assert [patience.fail("a", FOR_GOOD) for _ in range(3)] == [1, 0, 0]
    patience.ask("a")
    assert patience.rests("a")
    told_clock.sleep(FAILED_RECHECK)
    assert patience.fail("a", FOR_GOOD) == 2


@pytest.mark.parametrize(
    ("error", "tries"), [(FOR_GOOD, MOST_TRIES), (NotFound("no", 404), MOST_TRIES), (PASSING, MOST_PASSING)]
)
def test_it_is_hopeless_after_an_hour_or_a_day(error: ApiError, tries: int) -> None:
    """By whether the error may pass."""
    assert not is_hopeless(error, tries - 1)
    assert is_hopeless(error, tries)


def test_what_was_read_well_starts_again(told_clock: ToldClock) -> None:
    """With no failure to its name, in its old place in the queue."""
    patience = Patience(told_clock)
    for _ in range(3):
        told_clock.sleep(FAILED_RECHECK)
        patience.fail("a", FOR_GOOD)
    told_clock.sleep(FAILED_RECHECK)
    patience.ask("a", 100.0)
    patience.succeed("a")
    assert patience.error("a") is None
    assert patience.waited("a") == told_clock.monotonic()
    told_clock.sleep(FAILED_RECHECK)
    assert patience.fail("a", FOR_GOOD) == 1


def test_a_reload_asks_at_once_for_what_failed(told_clock: ToldClock) -> None:
    """But not for what rests for no fault."""
    patience = Patience(told_clock)
    patience.fail("a", FOR_GOOD)
    patience.ask("b", 100.0)
    patience.ask_missing_again()
    assert not patience.rests("a")
    assert patience.rests("b")
    patience.forget("b")
    assert not patience.rests("b")
