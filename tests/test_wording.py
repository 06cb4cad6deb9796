"""Numbers, durations and times are said as people say them."""

import pytest

from exporter.standing import Group
from exporter.wording import active_text, ago_text, ahead_text, counted, duration_text, utc_text
from exporter.yandex.models import Status


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "\u2014"), (0.0, "0 s"), (1e-9, "1 ms"), (0.0412, "41 ms"), (0.9994, "999 ms"),
        (0.9996, "1.00 s"), (1.070697344, "1.07 s"), (9.994, "9.99 s"), (9.996, "10.0 s"), (59.94, "59.9 s"),
        (59.96, "1 min 00 s"), (904, "15 min 04 s"), (3599.6, "1 h 00 min"), (3725, "1 h 02 min"),
        (86399.7, "1 d 0 h"), (187_200, "2 d 4 h"), (315_576_000_000, "3652500 d 0 h"),
    ],
)  # fmt: skip
def test_a_duration_is_said_as_people_say_it(seconds: float | None, words: str) -> None:
    """The unit fits the size, also where one unit becomes the next."""
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"), (0.5, "0 s ago"), (59.9, "59 s ago"), (720, "12 min ago"), (7200, "2 h ago"),
        (200_000, "2 d ago"), (-2, "just now"), (-3600, "in the future"),
    ],
)  # fmt: skip
def test_how_long_ago_is_said_in_the_largest_unit(seconds: float, words: str) -> None:
    """Clocks that differ a little do not make the past the future."""
    assert ago_text(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(7200, "in 2 h"), (90, "in 1 min"), (0.5, "in 0 s"), (0, "now"), (-1, "now")]
)
def test_how_far_ahead_is_said_in_the_largest_unit(seconds: float, words: str) -> None:
    """What is due is now, not in less than nothing."""
    assert ahead_text(seconds) == words


def test_a_time_that_no_calendar_holds_breaks_no_page() -> None:
    """The last timestamps of RFC 3339, with an offset, lie in the year 10000."""
    assert utc_text(253_402_300_799) == "9999-12-31 23:59:59"
    assert utc_text(253_402_304_399) == "after the year 9999"


def test_what_is_under_way_is_said_by_status() -> None:
    """Only what there is; nothing is said of nothing."""
    active = {Status.QUEUED: Group(1), Status.RUNNING: Group(2), Status.PAUSED: Group(0)}
    assert active_text(active) == "2 running, 1 queued"
    assert active_text({}) == ""


def test_one_is_one() -> None:
    """Numbers and nouns agree."""
    assert [counted(number, "execution") for number in (0, 1, 2)] == [
        "0 executions",
        "1 execution",
        "2 executions",
    ]
