"""When a schedule fires: the vendor's cron expressions, read and looked up. Knows nothing of workflows."""

import calendar
import datetime as dt
import math
import zoneinfo
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

LONGEST = 200
"""Characters of an expression or of a zone's name; the API itself allows 100."""
DAY = 86_400
SLACK = 2 * DAY
"""Seconds that an instant and its wall clock can never be apart: no zone is a whole day from UTC."""
FIRST, PAST = -SLACK, 4_102_444_800 + SLACK
"""Unix seconds that hold every instant of the years 1970 to 2099, in every zone."""
EPOCH = dt.date(1970, 1, 1).toordinal()
SATURDAY, SUNDAY = 7, 1


class BadCron(ValueError):
    """A schedule that can't be read. The message names the field, the value and what is accepted."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule in its time zone.

    Fields: minutes, hours, day of month, month, day of week (1-7 is SUN-SAT) and, optionally, year.
    An instant fires when the wall clock of the zone, read at that instant, matches the expression.
    So a time that the clocks skip does not fire, and a time that comes twice fires twice.
    """

    expression: str
    timezone: str
    _zone: dt.tzinfo = field(repr=False, compare=False)
    _clock: "_Clock" = field(repr=False, compare=False)
    _calendar: "_Calendar" = field(repr=False, compare=False)

    @classmethod
    def parse(cls, expression: str, timezone: str = "") -> Self:
        """Read an expression and the IANA name of a zone; no name means UTC. Raises BadCron."""
        seconds, minutes, hours, monthdays, months, weekdays, years = _arrange(expression)
        return cls(
            expression=expression,
            timezone=timezone,
            _zone=_zone(timezone),
            _clock=_Clock(HOURS.numbers(hours), MINUTES.numbers(minutes), SECONDS.numbers(seconds)),
            _calendar=_Calendar(YEARS.numbers(years), MONTHS.numbers(months), _picks(monthdays, weekdays)),
        )

    def last(self, now: float) -> float | None:
        """Return the newest firing instant at or before `now`, in Unix seconds; None if there is none."""
        return self._search(math.floor(now), -1)

    def next(self, now: float) -> float | None:
        """Return the first firing instant after `now`, in Unix seconds; None if there is none until 2099."""
        return self._search(math.floor(now) + 1, 1)

    def _search(self, start: int, step: int) -> float | None:
        """Return the first firing instant from `start` on, that included, forwards (1) or backwards (-1)."""
        start = min(max(start, FIRST), PAST)
        while True:
            low = start if step > 0 else start - DAY + 1
            for begin, end, offset in self._stretches(low, low + DAY)[::step]:
                wall = self._wall((begin if step > 0 else end - 1) + offset, step)
                if wall is not None and begin <= wall - offset < end:
                    return float(wall - offset)
            start += step * DAY
            # Nothing that is looked for lies before the first matching reading that the wall clock may
            # show from here on, so years without one are crossed in one stride.
            wall = self._wall(start - step * SLACK, step)
            if wall is None:
                return None
            start = max(start * step, wall * step - SLACK) * step

    def _stretches(self, low: int, high: int) -> tuple[tuple[int, int, int], ...]:
        """Return the stretches of less than one offset from UTC between two instants of one day.

        A day holds one change of the clocks at most, in every zone since 1970.
        """
        offset, after = self._offset(low), self._offset(high - 1)
        if offset == after:
            return ((low, high, offset),)
        change = low + bisect_left(range(low, high), x=True, key=lambda at: self._offset(at) != offset)
        return ((low, change, offset), (change, high, after))

    def _offset(self, instant: int) -> int:
        """Return how far the wall clock is ahead of UTC at an instant, in seconds."""
        ahead = dt.datetime.fromtimestamp(instant, self._zone).utcoffset()
        return int(ahead.total_seconds()) if ahead else 0

    def _wall(self, start: int, step: int) -> int | None:
        """Return the first matching reading of a wall clock from `start` on, that included.

        Readings are seconds since 1970 as a clock would count them that is never changed.
        """
        day, second = divmod(start, DAY)
        for match in self._calendar.days(day, step):
            time = self._clock.time(second if match == day else (0 if step > 0 else DAY - 1), step)
            if time is not None:
                return match * DAY + time
        return None


@dataclass(frozen=True, slots=True)
class _Clock:
    """The times of a day that match, each part ascending."""

    hours: Sequence[int]
    minutes: Sequence[int]
    seconds: Sequence[int]

    def time(self, start: int, step: int) -> int | None:
        """Return the first match from second `start` of the day on, that included."""
        for hour in self.hours[::step]:
            if (hour - start // 3600) * step < 0:
                continue
            for minute in self.minutes[::step]:
                if (hour * 60 + minute - start // 60) * step < 0:
                    continue
                for second in self.seconds[::step]:
                    time = hour * 3600 + minute * 60 + second
                    if (time - start) * step >= 0:
                        return time
        return None


@dataclass(frozen=True, slots=True)
class _Month:
    """A month: how long it is and with which day of the week it begins, 1 being Sunday."""

    begins: int
    length: int

    @classmethod
    def of(cls, year: int, month: int) -> Self:
        begins, length = calendar.monthrange(year, month)
        return cls((begins + 1) % 7 + 1, length)

    def days(self) -> range:
        return range(1, self.length + 1)

    def weekday(self, day: int) -> int:
        return (self.begins + day - 2) % 7 + 1


_Pick = Callable[[_Month], Iterable[int]]
"""Chooses days of a month; those that the month does not have don't count."""


@dataclass(frozen=True, slots=True)
class _Calendar:
    """The days that match; years and months ascending."""

    years: Sequence[int]
    months: Sequence[int]
    picks: Sequence[_Pick]

    def days(self, start: int, step: int) -> Iterator[int]:
        """Yield the matching days from `start` on, that included, as days since 1970."""
        date = dt.date.fromordinal(start + EPOCH)
        for year in self.years[::step]:
            if (year - date.year) * step < 0:
                continue
            for month in self.months[::step]:
                if (year * 12 + month - date.year * 12 - date.month) * step < 0:
                    continue
                before = dt.date(year, month, 1).toordinal() - EPOCH - 1
                for day in self._picked(_Month.of(year, month))[::step]:
                    if (before + day - start) * step >= 0:
                        yield before + day

    def _picked(self, month: _Month) -> list[int]:
        return sorted({day for pick in self.picks for day in pick(month) if 1 <= day <= month.length})


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of an expression, and how its numbers are written."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    signs: str = ", - * /"
    wraps: bool = True

    def numbers(self, text: str) -> tuple[int, ...]:
        """Return all numbers of a field that holds nothing but numbers, ascending."""
        return tuple(sorted({number for item in self.items(text) for number in self.span(item)}))

    def items(self, text: str) -> Iterable[str]:
        """Return the items of a list, each once."""
        items = text.split(",")
        if "" in items:
            raise self.refusal(text, "an item of the list is empty")
        return dict.fromkeys(items)

    def span(self, item: str) -> Sequence[int]:
        """Return the numbers of `*`, `4`, `4-7`, `22-4`, and of these with a step; `4/2` runs to the end."""
        values, slash, step = item.partition("/")
        first, dash, last = (f"{self.low}-{self.high}" if values == "*" else values).partition("-")
        begin = self.number(first, item)
        end = self.number(last, item) if dash else self.high if slash else begin
        numbers = self._between(begin, end, item)
        return numbers[:: self._step(step, item)] if slash else numbers

    def number(self, text: str, item: str) -> int:
        """Return the value of a number or a name, which is a part of `item`."""
        if text in self.names:
            return self.low + self.names.index(text)
        if not text.isdecimal():
            raise self.refusal(item, f"{text!r} is no number" + (" and no name" if self.names else ""))
        if not self.low <= int(text) <= self.high:
            raise self.refusal(item, f"{text} is out of range")
        return int(text)

    def refusal(self, value: str, why: str) -> BadCron:
        """Return the error that says what is wrong with a value."""
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        accepted = f"accepted are {self.low}-{self.high}{names} with {self.signs}"
        return BadCron(f"cron {self.name} {value!r}: {why}; {accepted}")

    def _between(self, begin: int, end: int, item: str) -> Sequence[int]:
        if begin <= end:
            return range(begin, end + 1)
        if not self.wraps:
            raise self.refusal(item, f"{begin} comes after {end}")
        return (*range(begin, self.high + 1), *range(self.low, end + 1))

    def _step(self, text: str, item: str) -> int:
        size = self.high - self.low + 1
        if not (text.isdecimal() and 1 <= int(text) <= size):
            raise self.refusal(item, f"the step {text!r} is no number from 1 to {size}")
        return int(text)


MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SECONDS = _Field("seconds", 0, 59)
MINUTES = _Field("minutes", 0, 59)
HOURS = _Field("hours", 0, 23)
MONTHDAYS = _Field("day of month", 1, 31, signs=", - * ? / L W")
MONTHS = _Field("month", 1, 12, MONTH_NAMES)
WEEKDAYS = _Field("day of week", 1, 7, WEEKDAY_NAMES, ", - * ? / L #")
YEARS = _Field("year", 1970, 2099, wraps=False)


def _arrange(expression: str) -> tuple[str, ...]:
    """Return seven fields: seconds, minutes, hours, day of month, month, day of week, year."""
    if len(expression) > LONGEST:
        raise BadCron(f"cron expression of {len(expression)} characters: accepted are at most {LONGEST}")
    if not expression.isascii():
        raise BadCron(f"cron expression {expression!a}: accepted are ASCII characters only")
    fields = expression.upper().split()
    if len(fields) == 7:
        return tuple(fields)
    # The vendor's samples have minutes first and the year last, its newest page seconds first and no year.
    # Only the days may be ?, so where it stands tells which of the two an expression of six fields is.
    if len(fields) == 6 and "?" in {fields[3], fields[5]} and "?" not in {fields[2], fields[4]}:
        return (*fields, "*")
    if len(fields) in {5, 6}:
        return ("0", *fields, *["*"] * (6 - len(fields)))
    raise BadCron(
        f"cron expression {expression!r}: the number of fields is {len(fields)}; accepted are 5 to 7: "
        "minutes, hours, day of month, month, day of week, optionally the year, and seconds before them"
    )


def _picks(monthdays: str, weekdays: str) -> Sequence[_Pick]:
    """Return what chooses the days; the two fields leave it to each other with `*` or `?`."""
    free = {"*", "?"}
    if monthdays not in free and weekdays not in free:
        raise BadCron(
            f"cron day of month {monthdays!r} and day of week {weekdays!r}: both are filled; "
            "accepted is ? or * in at least one of them"
        )
    if monthdays not in free:
        return [_monthday(item) for item in MONTHDAYS.items(monthdays)]
    if weekdays not in free:
        return [_weekday(item) for item in WEEKDAYS.items(weekdays)]
    return [_Month.days]


def _monthday(item: str) -> _Pick:
    if item == "LW":
        return lambda month: _nearest(month.length, month)
    if item.endswith("W"):
        return partial(_nearest, MONTHDAYS.number(item[:-1], item))
    if item == "L":
        return lambda month: [month.length]
    if item.startswith("L-"):
        # As in Quartz, L-3 is three days before the last.
        before = MONTHDAYS.number(item[2:], item)
        return lambda month: [month.length - before]
    days = MONTHDAYS.span(item)
    return lambda _: days


def _weekday(item: str) -> _Pick:
    if item == "L":
        return partial(_on, {SATURDAY})
    if item.endswith("L"):
        return partial(_nth, WEEKDAYS.number(item[:-1], item), -1)
    if "#" in item:
        name, _, nth = item.partition("#")
        if nth not in {"1", "2", "3", "4", "5"}:
            raise WEEKDAYS.refusal(item, f"{nth!r} is no week from 1 to 5")
        return partial(_nth, WEEKDAYS.number(name, item), int(nth) - 1)
    return partial(_on, WEEKDAYS.span(item))


def _nearest(day: int, month: _Month) -> Iterable[int]:
    """Return the day from Monday to Friday that is nearest, without leaving the month."""
    if day > month.length:
        return []
    if month.weekday(day) == SATURDAY:
        return [day - 1 if day > 1 else day + 2]
    if month.weekday(day) == SUNDAY:
        return [day + 1 if day < month.length else day - 2]
    return [day]


def _on(weekdays: Collection[int], month: _Month) -> Iterable[int]:
    return [day for day in month.days() if month.weekday(day) in weekdays]


def _nth(weekday: int, index: int, month: _Month) -> Iterable[int]:
    """Return the day of the week that has this index among its like, if the month has so many."""
    return list(_on({weekday}, month))[index:][:1]


def _zone(name: str) -> dt.tzinfo:
    if name in {"", "UTC"}:
        return dt.UTC
    try:
        if len(name) <= LONGEST and name.isascii():
            return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # Beside a name that is not known: one that leaves the folder, a folder, a file of something else.
        pass
    raise BadCron(
        f"cron timezone {name[:LONGEST]!a}: not known; accepted is an IANA name such as Europe/Moscow"
    )
