"""What nobody should send: texts, numbers and JSON wrong in every way, and right answers made wrong."""

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Json = Any
Path = tuple[str | int, ...]
GONE = object()
DEEP = 2000
"""Twice as deep as Python calls itself."""


def nested(depth: int, inner: Json, key: str | None = None) -> Json:
    """Return a value inside of so many lists, or objects with this key."""
    for _ in range(depth):
        inner = [inner] if key is None else {key: inner}
    return inner


NASTY = (
    "", " ", "\0", "\r\n", "\u2028", "\u202e", "\ud800", "\udfff\ud800", "\ufeff", "\ufffe", "\U0010ffff",
    "\x1b[31m", '"\\\n', "{}[]", "<xss onxss='1'>\"&", "--><script>xss()</script>", "${7*7}{{7*7}}%s%n",
    "NaN", "inf", "-0", "1e999", "0x10", "1_0", "٣", "True", "null", "'", "9" * 5000, "é" * 129, "__proto__",
    "../../etc/passwd", "le", "quantile", "__name__", "-", "a-b", "a.b", "a_b", "x" * 128, "x" * 129,
)  # fmt: skip
TEXTS = st.sampled_from(NASTY) | st.text(max_size=8)
LONG_TEXTS = st.sampled_from(["x" * 100_000, "\ud800" * 20_000, "<xss>" * 20_000])
TIMES = st.sampled_from([
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000001Z",
    "2025-02-30T00:00:00Z", "2025-03-10T16:00:00.5+03:00", "2024-02-29T23:59:60Z",
    "2025-03-10t16:00:00z", "2025-03-10 16:00:00Z", "-001-01-01T00:00:00Z", "2025-13-01T00:00:00Z",
])  # fmt: skip
DURATIONS = st.sampled_from([
    "0s", "1.070697344s", "315576000000s", "315576000000.999999999s", "315576000001s", "-1s", "-0s", "1e3s",
    "nans", "infs", ".5s", "1.s", "1", "s", "1.0000000000s", "٣s", "1_0s", " 1s", "1s\n", "+1s",
])  # fmt: skip
NUMBERS = st.sampled_from([
    0, -1, 1, 2, 3, 6, 7, 2**31, 2**63 - 1, 2**63, 10**400, -(10**400), 0.0, -0.0, 0.5, 1e308,
    float("inf"), float("-inf"), float("nan"), True, False,
]) | st.integers()  # fmt: skip
LEAVES = st.none() | TEXTS | NUMBERS | TIMES | DURATIONS
DEPTHS = st.tuples(
    st.sampled_from([900, 990, DEEP]), LEAVES, st.sampled_from([None, "execution", "labels"])
).map(lambda drawn: nested(*drawn))
JSON = st.recursive(
    LEAVES | LEAVES | LEAVES | LONG_TEXTS | DEPTHS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def places(value: Json) -> list[Path]:
    """Return the paths of all that is in a value, itself first; not what lies deeper than answers do."""
    found: list[Path] = [()]
    for path in found:
        here = at(value, path)
        if len(path) < 8:
            inside = here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
            found += [(*path, part) for part in list(inside)[:50]]
    return found


def at(value: Json, path: Path) -> Json:
    """Return what is in the place of a value."""
    for part in path:
        value = value[part]
    return value


def _put(value: Json, path: Path, made: Json) -> Json:
    if not path:
        return value if made is GONE else made
    around = at(value, path[:-1])
    if made is GONE:
        del around[path[-1]]
    else:
        around[path[-1]] = made
    return value


def _twice(found: Json) -> Json:
    return [*found, *found[:3]] if isinstance(found, list) else [found, found]


WAYS: tuple[Callable[[Json], Json], ...] = (
    lambda _: GONE,
    lambda _: None,
    lambda _: {},
    lambda _: [],
    _twice,
    lambda found: {"value": found},
    lambda found: nested(DEEP, found),
    lambda found: nested(DEEP, found, "execution"),
    lambda found: str(found)[:1000] if not isinstance(found, dict | list) else list(found),
    lambda found: f"{found}\0" if isinstance(found, str) else not found,
)


@st.composite
def spoiled(draw: st.DrawFn, good: Callable[[], Json] | st.SearchStrategy[Json]) -> Json:
    """Draw a right answer in which up to four things are not as they should be."""
    value = copy.deepcopy(draw(good)) if isinstance(good, st.SearchStrategy) else good()
    for _ in range(draw(st.integers(0, 4))):
        known = places(value)
        path = known[draw(st.integers(0, len(known) - 1))]
        way = draw(st.integers(0, 2 * len(WAYS)))
        made = WAYS[way](at(value, path)) if way < len(WAYS) else draw(JSON)
        value = _put(value, path, made)
    return value
