"""Durations and sizes as people write them."""

import re

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
"""The units of a duration, from the smallest up."""
LONGEST = 3650 * DURATION_UNITS["d"]
LARGEST = 1024**4
_SPELLINGS = {
    "ms": "ms", "msec": "ms", "millisecond": "ms", "s": "s", "sec": "s", "second": "s",
    "m": "m", "min": "m", "minute": "m", "h": "h", "hr": "h", "hour": "h",
    "d": "d", "day": "d", "w": "w", "week": "w",
}  # fmt: skip
_SIZE_LETTERS = ("", "k", "m", "g", "t")
_NUMBER = r"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
_PART = re.compile(rf"\s*({_NUMBER})\s*([a-z]+)")
_PLAIN = re.compile(_NUMBER)
_SIZE = re.compile(rf"({_NUMBER})\s*(?:([kmgt]?)(i?)b?)", re.IGNORECASE)


def duration(value: object) -> float:
    """Return the seconds of `5s`, `1h 30m`, `500ms`, `8 days` or a bare number; raises ValueError."""
    text = _text(value)
    seconds = float(text) if _PLAIN.fullmatch(text) else _sum_of_parts(text)
    if seconds is None:
        raise ValueError("not a duration; write it like 5s, 500ms, 1h30m or 8d")
    if seconds > LONGEST:
        raise ValueError(f"must be at most {LONGEST / DURATION_UNITS['d']:.0f}d")
    return seconds


def _sum_of_parts(text: str) -> float | None:
    """Return the seconds of numbers with units, each unit smaller than the one before, or None."""
    seconds, end, last = 0.0, 0, float("inf")
    while end < len(text):
        part = _PART.match(text, end)
        unit = _unit(part[2]) if part else None
        if part is None or unit is None or DURATION_UNITS[unit] >= last:
            return None
        last = DURATION_UNITS[unit]
        seconds += float(part[1]) * last
        end = part.end()
    return seconds if end else None


def _unit(word: str) -> str | None:
    """Return the unit that a word spells; what is a sign already takes no plural."""
    one = word.removesuffix("s")
    return _SPELLINGS.get(word) or (None if one in DURATION_UNITS else _SPELLINGS.get(one))


def duration_text(seconds: float) -> str:
    """Return seconds in the largest unit that takes them whole."""
    for unit in ("w", "d", "h", "m"):
        size = DURATION_UNITS[unit]
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def size(value: object) -> int:
    """Return the bytes of `16MiB`, `16Mi`, `64k` or a bare number; raises ValueError."""
    match = _SIZE.fullmatch(_text(value))
    if match is None or (match[3] and not match[2]):
        raise ValueError("not a size; write it like 16MiB, 64k or 1048576")
    factor = (1024 if match[3] else 1000) ** _SIZE_LETTERS.index(match[2].lower())
    number = int(float(match[1]) * factor)
    if number > LARGEST:
        raise ValueError(f"must be at most {size_text(LARGEST)}")
    return number


def size_text(number: int) -> str:
    """Return bytes in the largest binary unit that takes them whole."""
    for power in (4, 3, 2, 1):
        if number and number % 1024**power == 0:
            return f"{number // 1024**power}{_SIZE_LETTERS[power].upper()}iB"
    return str(number)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # What is over every limit stays so; Python refuses to write very long numbers as text.
    value = max(-1, min(value, 10**14)) if isinstance(value, int | float) else value
    return f"{value:.9f}" if isinstance(value, float) else str(value).strip()
