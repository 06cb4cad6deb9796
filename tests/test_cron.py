"""A schedule fires when the vendor's page says so: compared with a reading of that page, minute by minute."""

import calendar
import datetime as dt
import math
import time
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from exporter.cron import BadCron, Cron

MONTH_NAMES = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAY_NAMES = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
CHANGES = {
    "UTC": ["2024-02-29T00:00Z", "2025-02-28T23:59Z"],
    "Europe/Moscow": ["2010-10-30T23:00Z", "2011-03-26T23:00Z", "2014-10-25T22:00Z"],
    "Europe/Berlin": ["2025-03-30T01:00Z", "2025-10-26T01:00Z"],
    "America/New_York": ["2025-03-09T07:00Z", "2025-11-02T06:00Z"],
    "Australia/Lord_Howe": ["2025-04-05T15:00Z", "2025-10-04T15:30Z"],
    "Asia/Kolkata": ["2025-01-31T18:30Z", "2024-12-31T18:30Z"],
    "America/St_Johns": ["2006-04-02T03:31Z", "2006-10-29T02:31Z"],
    "Africa/Casablanca": ["2025-02-23T02:00Z", "2025-04-06T02:00Z"],
    "Pacific/Apia": ["2011-12-30T10:00Z", "2011-09-24T14:00Z"],
}
"""Instants at or near which the clocks of a zone are changed, a month ends or there is a 29 February."""
EDGES = [
    "2024-02-29T12:00Z",
    "2023-02-28T23:30Z",
    "2000-02-29T00:00Z",
    "2024-12-31T23:00Z",
    "2025-08-31T00:00Z",
]


def at(text: str) -> float:
    """Return the Unix seconds of a time."""
    return dt.datetime.fromisoformat(text).timestamp()


def shown(instant: float | None) -> str | None:
    """Return Unix seconds as a time of UTC."""
    if instant is None:
        return None
    return dt.datetime.fromtimestamp(instant, dt.UTC).isoformat().replace("+00:00", "Z").replace(":00Z", "Z")


def shorten(text: str | None) -> str | None:
    """Return a time as `shown` shows it."""
    return None if text is None else shown(at(text))


@dataclass
class Page:
    """The vendor's page as predicates, one reading of the wall clock at a time."""

    seconds: str
    minutes: str
    hours: str
    monthdays: str
    months: str
    weekdays: str
    years: str
    zone: zoneinfo.ZoneInfo
    known: dict[object, bool] = field(default_factory=dict)

    def fires(self, instant: float) -> bool:
        """Tell whether the wall clock matches at an instant."""
        wall = dt.datetime.fromtimestamp(instant, self.zone)
        return (
            self.once(("second", wall.second), lambda: self.has(self.seconds, wall.second, 0, 59))
            and self.once(("minute", wall.minute), lambda: self.has(self.minutes, wall.minute, 0, 59))
            and self.once(("hour", wall.hour), lambda: self.has(self.hours, wall.hour, 0, 23))
            and self.once(wall.date(), lambda: self.on(wall.date()))
        )

    def once(self, key: object, decide: Callable[[], bool]) -> bool:
        """Decide once."""
        if key not in self.known:
            self.known[key] = decide()
        return self.known[key]

    def on(self, date: dt.date) -> bool:
        """Tell whether a date matches."""
        return (
            self.has(self.years, date.year, 1970, 2099)
            and self.has(self.months, date.month, 1, 12, MONTH_NAMES)
            and (self.monthdays in "*?" or any(self.monthday(i, date) for i in self.monthdays.split(",")))
            and (self.weekdays in "*?" or any(self.weekday(i, date) for i in self.weekdays.split(",")))
        )

    def has(self, text: str, value: int, low: int, high: int, names: list[str] | None = None) -> bool:
        """Tell whether a list of numbers holds a value, counting around the field's end."""
        for item in text.split(","):
            base, _, step = item.partition("/")
            first, _, last = base.replace("*", f"{low}-{high}").partition("-")
            begin, end = (
                low + names.index(name) if names and name in names else int(name)
                for name in (first, last or (str(high) if step else first))
            )
            size = high - low + 1
            distance = (value - begin) % size
            if distance <= (end - begin) % size and distance % int(step or 1) == 0:
                return True
        return False

    def monthday(self, item: str, date: dt.date) -> bool:
        """Tell whether a date is what an item of the days of the month says."""
        length = calendar.monthrange(date.year, date.month)[1]
        working = [day for week in calendar.monthcalendar(date.year, date.month) for day in week[:5] if day]
        if item == "LW":
            return date.day == working[-1]
        if item.endswith("W"):
            wish = int(item[:-1])
            return wish <= length and date.day == min(working, key=lambda day: abs(day - wish))
        if item.startswith("L"):
            return date.day == length - int(item[2:] or 0)
        return self.has(item, date.day, 1, 31)

    def weekday(self, item: str, date: dt.date) -> bool:
        """Tell whether a date is what an item of the days of the week says."""
        number = date.isoweekday() % 7 + 1
        name, _, nth = item.partition("#")
        if item == "L":
            return number == 7
        if nth:
            return self.has(name, number, 1, 7, WEEKDAY_NAMES) and (date.day - 1) // 7 + 1 == int(nth)
        if item.endswith("L"):
            week = dt.timedelta(days=7)
            return self.has(item[:-1], number, 1, 7, WEEKDAY_NAMES) and (date + week).month != date.month
        return self.has(item, number, 1, 7, WEEKDAY_NAMES)


def numbers(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    """Return items of numbers, as people and as nobody writes them."""
    one = st.integers(low, high).map(str) | st.sampled_from(names or [str(low), str(high)])
    ranges = st.builds("{}-{}".format, one, one)
    steps = st.builds("{}/{}".format, st.just("*") | one | ranges, st.integers(1, high - low + 1))
    return one | ranges | steps


def listed(items: st.SearchStrategy[str], *, most: int = 3) -> st.SearchStrategy[str]:
    """Return lists of items."""
    return st.lists(items, min_size=1, max_size=most).map(",".join)


MINUTES = st.just("*") | listed(numbers(0, 59))
HOURS = st.just("*") | listed(numbers(0, 23))
MONTHS = st.just("*") | listed(numbers(1, 12, MONTH_NAMES))
YEARS = st.just("*") | st.sampled_from(["2024", "2020-2026", "2025/2", "2024,2030", "1970-2099/3", "*/4"])
MONTHDAYS = listed(
    numbers(1, 31)
    | st.sampled_from(["L", "LW", "1W", "15W", "30W", "31W", "L-1", "L-3", "L-30"])
    | st.integers(1, 31).map("{}W".format)
)
WEEKDAY = st.integers(1, 7).map(str) | st.sampled_from(WEEKDAY_NAMES)
WEEKDAYS = listed(
    numbers(1, 7, WEEKDAY_NAMES)
    | st.just("L")
    | WEEKDAY.map("{}L".format)
    | st.builds("{}#{}".format, WEEKDAY, st.integers(1, 5))
)
FREE = st.sampled_from(["*", "?"])
DAYS = (
    st.tuples(FREE, FREE)
    | st.tuples(MONTHDAYS, st.just("?"))
    | st.tuples(st.just("?"), WEEKDAYS)
    | st.tuples(st.just("*"), WEEKDAYS)
    | st.tuples(MONTHDAYS, st.just("*"))
)
MOMENTS = st.one_of(
    [st.tuples(st.just(zone), st.sampled_from(changes + EDGES).map(at)) for zone, changes in CHANGES.items()]
)
"""A zone, and an instant when something happens in it or in the calendar."""


@st.composite
def minute_schedules(draw: st.DrawFn) -> tuple[str, Page, float]:
    """Return an expression with minutes first, the page that reads it, and an instant to ask about."""
    zone, moment = draw(MOMENTS)
    minutes, hours, months, years = draw(MINUTES), draw(HOURS), draw(MONTHS), draw(YEARS)
    monthdays, weekdays = draw(DAYS)
    page = Page("0", minutes, hours, monthdays, months, weekdays, years, zoneinfo.ZoneInfo(zone))
    now = moment + draw(st.integers(-1200, 1200)) * 60 + draw(st.sampled_from([0, 0, 0.25, -0.001, 59.999]))
    text = f"{minutes} {hours} {monthdays} {months} {weekdays}"
    return text + ("" if years == "*" and draw(st.booleans()) else f" {years}"), page, now


@st.composite
def second_schedules(draw: st.DrawFn) -> tuple[str, Page, float]:
    """Return an expression with seconds first, the page that reads it, and an instant to ask about."""
    zone, moment = draw(MOMENTS)
    seconds, minutes, hours, years = draw(MINUTES), draw(MINUTES), draw(HOURS), draw(YEARS)
    monthdays, weekdays = draw(st.sampled_from([("*", "?"), ("?", "*"), ("?", "MON-FRI"), ("L,1", "?")]))
    page = Page(seconds, minutes, hours, monthdays, "*", weekdays, years, zoneinfo.ZoneInfo(zone))
    text = f"{seconds} {minutes} {hours} {monthdays} * {weekdays}"
    now = moment + draw(st.integers(-4000, 4000)) + draw(st.sampled_from([0, 0.5]))
    return text + ("" if years == "*" else f" {years}"), page, now


def hold(cron: Cron, page: Page, now: float, reach: int, step: int) -> None:
    """Check the last and the next firing against the page, that is read every `step` seconds."""
    last, following = cron.last(now), cron.next(now)
    base = math.floor(now) // step * step
    fired = [at for at in range(base, base - reach, -step) if page.fires(at)]
    to_fire = [at for at in range(base + step, base + reach, step) if page.fires(at)]
    if fired:
        assert last == fired[0]
    else:
        assert last is None or last <= base - reach
    if to_fire:
        assert following == to_fire[0]
    else:
        assert following is None or following >= base + reach
    for instant in (last, following):
        assert instant is None or page.fires(instant)


@given(minute_schedules())
@fuzzed(100)
def test_every_minute_around_a_change_of_the_clocks_is_as_the_page_says(
    schedule: tuple[str, Page, float],
) -> None:
    """No firing is missed, invented or put elsewhere, a day and a half back and ahead."""
    text, page, now = schedule
    hold(Cron.parse(text, page.zone.key), page, now, reach=36 * 3600, step=60)


@given(second_schedules())
@fuzzed(50)
def test_every_second_around_a_change_of_the_clocks_is_as_the_page_says(
    schedule: tuple[str, Page, float],
) -> None:
    """The same for expressions that begin with seconds, an hour and a half back and ahead."""
    text, page, now = schedule
    hold(Cron.parse(text, page.zone.key), page, now, reach=5400, step=1)


@given(DAYS, MONTHS, YEARS, st.integers(0, 60 * 365))
@fuzzed(40)
def test_every_day_of_some_years_is_as_the_page_says(
    days: tuple[str, str], months: str, years: str, offset: int
) -> None:
    """Leap years, month ends and weekdays that are far away are found."""
    page = Page("0", "0", "0", days[0], months, days[1], years, zoneinfo.ZoneInfo("UTC"))
    cron = Cron.parse(f"0 0 {days[0]} {months} {days[1]} {years}")
    hold(cron, page, at("1980-01-01T00:00Z") + offset * 86400, reach=1000 * 86400, step=86400)


@given(minute_schedules())
@fuzzed(100)
def test_last_and_next_are_neighbours(schedule: tuple[str, Page, float]) -> None:
    """Asked at, just before or just after a firing, both agree on what it is."""
    text, page, now = schedule
    cron = Cron.parse(text, page.zone.key)
    last, following = cron.last(now), cron.next(now)
    if last is not None:
        assert last <= now
        assert cron.next(last - 0.001) == cron.last(last) == last
        assert cron.next(last) == following
    if following is not None:
        assert now < following
        assert cron.last(following) == cron.next(following - 0.001) == following
        assert cron.last(following - 0.001) == last


CASES = [
    ("0 3 * * ? *", "Europe/Moscow", "2025-03-10T12:00Z", "2025-03-10T00:00Z", "2025-03-11T00:00Z"),
    ("* * * * ? *", "", "2025-03-10T12:00Z", "2025-03-10T12:00Z", "2025-03-10T12:01Z"),
    ("0 * ? * * *", "", "2025-03-10T12:30Z", "2025-03-10T12:00Z", "2025-03-10T13:00Z"),
    ("15 10 ? * * *", "", "2025-03-10T12:30Z", "2025-03-10T10:15Z", "2025-03-11T10:15Z"),
    ("0/15 * * * *", "", "2025-03-10T12:20Z", "2025-03-10T12:15Z", "2025-03-10T12:30Z"),
    ("10-40/10 8 * * ?", "", "2025-03-10T12:00Z", "2025-03-10T08:40Z", "2025-03-11T08:10Z"),
    ("50-10/10 * * * *", "", "2025-03-10T12:20Z", "2025-03-10T12:10Z", "2025-03-10T12:50Z"),
    ("0 22-4 * * *", "", "2025-03-10T12:00Z", "2025-03-10T04:00Z", "2025-03-10T22:00Z"),
    ("0 0 ? * FRI-MON", "", "2025-03-12T00:00Z", "2025-03-10T00:00Z", "2025-03-14T00:00Z"),
    ("0 9 ? * 2-6", "", "2025-03-08T00:00Z", "2025-03-07T09:00Z", "2025-03-10T09:00Z"),
    ("0 9 ? jan mon", "", "2025-03-08T00:00Z", "2025-01-27T09:00Z", "2026-01-05T09:00Z"),
    ("0 9 ? * 1", "", "2025-03-08T00:00Z", "2025-03-02T09:00Z", "2025-03-09T09:00Z"),
    ("0 0 ? * L", "", "2025-03-10T00:00Z", "2025-03-08T00:00Z", "2025-03-15T00:00Z"),
    ("0 0 15W * ?", "", "2025-06-01T00:00Z", "2025-05-15T00:00Z", "2025-06-16T00:00Z"),
    ("0 0 15W * ?", "", "2025-03-01T00:00Z", "2025-02-14T00:00Z", "2025-03-14T00:00Z"),
    ("0 0 1W * ?", "", "2025-02-01T00:00Z", "2025-01-01T00:00Z", "2025-02-03T00:00Z"),
    ("0 0 31W * ?", "", "2025-06-01T00:00Z", "2025-05-30T00:00Z", "2025-07-31T00:00Z"),
    ("0 0 31w * ?", "", "2025-08-30T00:00Z", "2025-08-29T00:00Z", "2025-10-31T00:00Z"),
    ("0 0 31W * ?", "", "2023-06-15T00:00Z", "2023-05-31T00:00Z", "2023-07-31T00:00Z"),
    ("0 0 29W 2 ?", "", "2025-02-15T00:00Z", "2024-02-29T00:00Z", "2028-02-29T00:00Z"),
    ("0 0 LW * ?", "", "2025-08-30T00:00Z", "2025-08-29T00:00Z", "2025-09-30T00:00Z"),
    ("0 0 L * ?", "", "2024-02-10T00:00Z", "2024-01-31T00:00Z", "2024-02-29T00:00Z"),
    ("0 0 L-3 * ?", "", "2025-02-10T00:00Z", "2025-01-28T00:00Z", "2025-02-25T00:00Z"),
    ("0 0 1,15W,L * ?", "", "2025-06-10T00:00Z", "2025-06-01T00:00Z", "2025-06-16T00:00Z"),
    ("0 0 ? * 6L", "", "2025-02-10T00:00Z", "2025-01-31T00:00Z", "2025-02-28T00:00Z"),
    ("0 0 ? * FriL", "", "2025-02-10T00:00Z", "2025-01-31T00:00Z", "2025-02-28T00:00Z"),
    ("0 0 ? * 6#3", "", "2025-02-01T00:00Z", "2025-01-17T00:00Z", "2025-02-21T00:00Z"),
    ("0 0 ? * FRI#5,MON#1", "", "2025-02-04T00:00Z", "2025-02-03T00:00Z", "2025-03-03T00:00Z"),
    ("0 0 ? * FRI#5", "", "2025-02-04T00:00Z", "2025-01-31T00:00Z", "2025-05-30T00:00Z"),
    ("0 0 29 2 ? *", "", "2025-01-01T00:00Z", "2024-02-29T00:00Z", "2028-02-29T00:00Z"),
    ("0 0 31 2 ? *", "", "2025-01-01T00:00Z", None, None),
    ("0 0 1 1 ? 2030", "", "2025-01-01T00:00Z", None, "2030-01-01T00:00Z"),
    ("0 0 1 1 ? 1999,2020/4", "", "2000-06-01T00:00Z", "1999-01-01T00:00Z", "2020-01-01T00:00Z"),
    ("0 0 1 1 ? 2099", "", "2099-06-01T00:00Z", "2099-01-01T00:00Z", None),
    ("0 30 9 * * ?", "", "2025-03-10T12:00Z", "2025-03-10T09:30Z", "2025-03-11T09:30Z"),
    ("30 0 9 ? * MON-FRI", "", "2025-03-08T00:00Z", "2025-03-07T09:00:30Z", "2025-03-10T09:00:30Z"),
    ("*/20 0 9 1 * ? 2025", "", "2025-02-01T09:00:50Z", "2025-02-01T09:00:40Z", "2025-03-01T09:00Z"),
    ("30 2 * * ?", "America/New_York", "2025-03-09T12:00Z", "2025-03-08T07:30Z", "2025-03-10T06:30Z"),
    ("30 1 * * ?", "America/New_York", "2025-11-02T06:00Z", "2025-11-02T05:30Z", "2025-11-02T06:30Z"),
    ("45 1 * * ?", "Australia/Lord_Howe", "2025-04-05T15:00Z", "2025-04-05T14:45Z", "2025-04-05T15:15Z"),
    ("30 23 * * ?", "America/St_Johns", "2006-10-29T02:30Z", "2006-10-29T02:00Z", "2006-10-29T03:00Z"),
    ("0 0 * * ?", "America/St_Johns", "2006-10-29T02:45Z", "2006-10-29T02:30Z", "2006-10-29T03:30Z"),
    ("0 12 30 12 ? 2011", "Pacific/Apia", "2011-12-30T00:00Z", None, None),
    ("30 2 ? 3 SUNL 2000-2099", "Europe/Berlin", "2025-01-01T00:00Z", None, None),
]


@pytest.mark.parametrize(("text", "zone", "now", "last", "following"), CASES)
def test_each_sign_means_what_the_page_says(
    text: str, zone: str, now: str, last: str | None, following: str | None
) -> None:
    """Dates that were worked out with a calendar."""
    cron = Cron.parse(text, zone)
    assert (shown(cron.last(at(now))), shown(cron.next(at(now)))) == (shorten(last), shorten(following))


def test_six_fields_without_a_question_mark_begin_with_minutes() -> None:
    """Minute 0, hour 9 of the first, in 2025: not second 0, minute 9, hour 1."""
    assert shown(Cron.parse("0 9 1 1 * 2025").next(at("2024-06-01T00:00Z"))) == shorten("2025-01-01T09:00Z")


REFUSED = [
    ("60 * * * *", "minutes", "60"),
    ("-1 * * * *", "minutes", "-1"),
    ("* 24 * * *", "hours", "24"),
    ("0 30 9 * * *", "hours", "30"),
    ("* * 0 * ?", "day of month", "0"),
    ("* * 32 * ?", "day of month", "32"),
    ("* * 32W * ?", "day of month", "32W"),
    ("* * W * ?", "day of month", "W"),
    ("* * WL * ?", "day of month", "WL"),
    ("* * 1-5W * ?", "day of month", "1-5W"),
    ("* * L-0 * ?", "day of month", "L-0"),
    ("* * 6#3 * ?", "day of month", "6#3"),
    ("* * * 13 *", "month", "13"),
    ("* * * 0 *", "month", "0"),
    ("* * * JANUARY *", "month", "JANUARY"),
    ("* * * L *", "month", "L"),
    ("* * ? * 0", "day of week", "0"),
    ("* * ? * 8", "day of week", "8"),
    ("* * ? * FRX", "day of week", "FRX"),
    ("* * ? * FRI#6", "day of week", "FRI#6"),
    ("* * ? * FRI#0", "day of week", "FRI#0"),
    ("* * ? * #3", "day of week", "#3"),
    ("* * ? * 15W", "day of week", "15W"),
    ("* * ? * MON-FRI#2", "day of week", "MON-FRI#2"),
    ("* * ? * ?,MON", "day of week", "?"),
    ("* * * * ? 1969", "year", "1969"),
    ("* * * * ? 2100", "year", "2100"),
    ("* * * * ? 2030-2020", "year", "2030-2020"),
    ("* * * * ? MON", "year", "MON"),
    ("? * * * *", "minutes", "?"),
    ("0 3 ? * * ?", "year", "?"),
    ("0 3 * ? ? *", "month", "?"),
    ("60 * * * * ?", "seconds", "60"),
    ("? * * * * * *", "seconds", "?"),
    ("*/0 * * * *", "minutes", "*/0"),
    ("*/61 * * * *", "minutes", "*/61"),
    ("*/-5 * * * *", "minutes", "*/-5"),
    ("*/ * * * *", "minutes", "*/"),
    ("/5 * * * *", "minutes", "/5"),
    ("5/5/5 * * * *", "minutes", "5/5/5"),
    ("1- * * * *", "minutes", "1-"),
    ("1-2-3 * * * *", "minutes", "1-2-3"),
    ("*-5 * * * *", "minutes", "*-5"),
    ("1,,2 * * * *", "minutes", "1,,2"),
    (", * * * *", "minutes", ","),
    ("1-9999999999 * * * *", "minutes", "1-9999999999"),
    ("0/99999999999999999999 * * * *", "minutes", "0/99999999999999999999"),
    ("1e1 * * * *", "minutes", "1E1"),
    ("1_0 * * * *", "minutes", "1_0"),
    ("* * 1 * MON", "day of month", "1"),
    ("* * 1 * MON", "day of week", "MON"),
    ("", "expression", ""),
    ("* * * *", "expression", "* * * *"),
    ("* * * * * * * *", "expression", "* * * * * * * *"),
    ("@daily", "expression", "@daily"),
    ("\u0665 * * * *", "expression", "\\u0665 * * * *"),
]


@pytest.mark.parametrize(("text", "name", "value"), REFUSED)
def test_what_can_t_be_read_is_refused_by_name_and_value(text: str, name: str, value: str) -> None:
    """The message says which field, which value and what is accepted."""
    with pytest.raises(BadCron) as refusal:
        Cron.parse(text)
    message = str(refusal.value)
    assert name in message
    assert f"'{value}'" in message
    assert "accepted" in message


def test_a_refusal_reads_as_a_sentence_for_people() -> None:
    """One message in full."""
    with pytest.raises(BadCron) as refusal:
        Cron.parse("0 3 ? * MON,FRY")
    assert str(refusal.value) == (
        "cron day of week 'FRY': 'FRY' is no number and no name; "
        "accepted are 1-7 or SUN-SAT with , - * ? / L #"
    )


def test_an_expression_that_is_too_long_is_refused_without_being_repeated() -> None:
    """What the API can't have sent does not fill the log."""
    with pytest.raises(BadCron, match="999 characters") as refusal:
        Cron.parse("1" * 991 + " * * * *")
    assert len(str(refusal.value)) < 100


@pytest.mark.parametrize(
    "zone",
    [
        "Mars/Olympus",
        "Europe",
        "../etc/passwd",
        "/etc/passwd",
        "zone.tab",
        "a\0b",
        "+03:00",
        "x" * 5000,
        "Москва",
    ],
)
def test_a_zone_that_is_not_known_is_refused(zone: str) -> None:
    """The message names the zone; a path, a folder or something else is no zone."""
    with pytest.raises(BadCron, match=r"timezone '.+accepted is an IANA name") as refusal:
        Cron.parse("0 3 * * *", zone)
    assert ascii(zone[:200]) in str(refusal.value)


@pytest.mark.parametrize("zone", ["", "UTC", "Etc/UTC"])
def test_no_zone_is_utc(zone: str) -> None:
    """As the page says."""
    assert Cron.parse("0 3 * * *", zone).next(0) == 3 * 3600


@given(
    st.lists(st.text("0123456789*?,-/LW#FRIJAN ", max_size=8), max_size=8).map(" ".join)
    | minute_schedules().map(lambda schedule: schedule[0])
    | st.text(max_size=250),
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12),
)
@fuzzed(300)
def test_whatever_comes_is_read_or_refused(text: str, now: float) -> None:
    """Nothing but BadCron is raised, and at no instant."""
    try:
        cron = Cron.parse(text)
    except BadCron:
        return
    last, following = cron.last(now), cron.next(now)
    assert last is None or last <= now
    assert following is None or following > now


@pytest.mark.parametrize(
    "text",
    [
        "0 0 31 2 ? *",
        "0 0 29W,30W,31W,30,31 2 ? *",
        "0 0 31,31W,L-30 2,4,6,9,11 ? *",
        "30 2 ? 3 SUNL *",
        "59 59 23 31 12 ? 2099",
        "0 0 ? 2 SUN#5,MON#5,TUE#5,WED#5,THU#5 2001-2099/4",
    ],
)
def test_what_fires_seldom_or_never_is_soon_found_out(text: str) -> None:
    """Years are crossed in strides: ten times the time that it may take is never reached."""
    cron = Cron.parse(text, "Europe/Berlin")
    begun = time.process_time()
    cron.last(at("2025-01-01T00:00Z"))
    cron.next(at("2025-01-01T00:00Z"))
    assert time.process_time() - begun < 1


def test_equal_schedules_are_equal_and_show_what_they_are() -> None:
    """A schedule is a value: its expression and its zone."""
    cron = Cron.parse("0 3 * * ?", "Europe/Moscow")
    assert cron == Cron.parse("0 3 * * ?", "Europe/Moscow")
    assert repr(cron) == "Cron(expression='0 3 * * ?', timezone='Europe/Moscow')"
