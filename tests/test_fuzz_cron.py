"""Whatever a schedule says, in any zone, at any instant: it is refused, or both ways to look agree, soon."""

import time
import zoneinfo

from fuzzing import fuzzed
from hostile import TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.cron import BadCron, Cron
from exporter.firings import Firings

SECONDS = 1.0
"""Of processor time, for what takes a hundredth of it."""
NUMBERS = st.integers(0, 60).map(str)
PLAIN = st.sampled_from(["*", "0", "59", "*/7", "5-1", "0/13", "1,2,3", "7/9,*/5"]) | NUMBERS
MONTHDAYS = PLAIN | st.sampled_from(
    ["?", "L", "LW", "1W", "31W", "L-3", "L-30", "30,31", "W", "29", "L-31", "15W,LW"]
)
MONTHS = PLAIN | st.sampled_from(["FEB", "2", "APR,JUN", "DEC-FEB", "2/3"])
WEEKDAYS = PLAIN | st.sampled_from(["?", "L", "6#5", "7L", "SUN#1", "FRI-MON", "1#6", "MONL", "2#5,L"])
YEARS = st.sampled_from(["*", "1970", "2099", "2025", "2024/4", "2096-2099", "1970,2099", "9999", "2100"])
DAYS = st.tuples(MONTHDAYS, MONTHS, st.just("?")) | st.tuples(st.just("?"), MONTHS, WEEKDAYS)
ORDERLY = st.one_of(
    st.tuples(st.tuples(PLAIN, PLAIN), DAYS, st.tuples(YEARS) | st.just(())).map(
        lambda drawn: sum(drawn, ())
    ),
    st.tuples(PLAIN, PLAIN, PLAIN, MONTHDAYS, MONTHS, WEEKDAYS, YEARS),
    st.lists(PLAIN | MONTHDAYS | WEEKDAYS | YEARS | TEXTS, max_size=8),
).map(" ".join)
ZONES = st.sampled_from(["", "UTC", *sorted(zoneinfo.available_timezones())]) | TEXTS
CHANGES = st.sampled_from([1_743_296_400, 1_729_987_200, 1_741_503_600, 951_782_400, 4_102_444_800])
"""Changes of the clocks in Europe and America, a leap day of a leap century, and the end of what there is."""
INSTANTS = st.one_of(
    st.builds(lambda at, by: float(at + by), CHANGES, st.integers(-90_000, 90_000)),
    st.floats(-1e9, 5e9), st.sampled_from([-1e15, 1e15, 3.2e11]),
)  # fmt: skip


@given(ORDERLY, ZONES, INSTANTS)
@example("0 0 29 2 ? 2097-2099", "", 0.0)
@example("0 0 ? FEB 7#5 1970,2099", "Pacific/Apia", 0.0)
@fuzzed(250)
def test_any_schedule_is_refused_or_looked_up_soon(text: str, zone: str, now: float) -> None:
    """What fires next is the last then, nothing fires in between, and neither takes long."""
    began = time.thread_time()
    try:
        cron = Cron.parse(text, zone)
    except BadCron as error:
        refusal = str(error)
        assert refusal.isprintable()
        return
    last, following = cron.last(now), cron.next(now)
    assert time.thread_time() - began < SECONDS
    if last is not None:
        assert last <= now
        assert cron.next(last) == following
        assert cron.next(last - 1) == cron.last(last) == last
    if following is not None:
        assert now < following
        assert not Firings.of(cron, now).hold(following)
        between = (now + following) / 2
        if between < following:
            assert Firings.of(cron, now).hold(between)
            assert (cron.last(between), cron.next(between)) == (last, following)
        assert cron.last(following) == following
        assert cron.last(following - 1) == last
