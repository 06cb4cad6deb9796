"""Durations and sizes as people write them."""

import re

DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
SIZE_UNITS = {
    "": 1, "b": 1, "k": 1000, "kb": 1000, "kib": 1024, "m": 1000**2, "mb": 1000**2, "mib": 1024**2,
    "g": 1000**3, "gb": 1000**3, "gib": 1024**3,
}  # fmt: skip
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_PART = re.compile(rf"({_NUMBER})(ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|s|m|h|d|w))+|{_NUMBER}")
_SIZE = re.compile(rf"({_NUMBER}) ?([A-Za-z]{{0,3}})")


def duration(value: object) -> float:
    """Return the seconds of `5s`, `1h30m`, `500ms` or a bare number; raises ValueError."""
    text = _text(value)
    if not _DURATION.fullmatch(text):
        raise ValueError("not a duration; write it like 5s, 500ms, 1h30m or 8d")
    parts = _PART.findall(text)
    return sum(float(number) * DURATION_UNITS[unit] for number, unit in parts) if parts else float(text)


def duration_text(seconds: float) -> str:
    """Return seconds in the largest unit that takes them whole."""
    for unit in ("w", "d", "h", "m"):
        size = DURATION_UNITS[unit]
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def size(value: object) -> int:
    """Return the bytes of `16MiB`, `64k` or a bare number; raises ValueError."""
    match = _SIZE.fullmatch(_text(value))
    if match is None or match[2].lower() not in SIZE_UNITS:
        raise ValueError("not a size; write it like 16MiB, 64k or 1048576")
    return int(float(match[1]) * SIZE_UNITS[match[2].lower()])


def size_text(number: int) -> str:
    """Return bytes in the largest binary unit that takes them whole."""
    for unit in ("GiB", "MiB", "KiB"):
        if number and number % SIZE_UNITS[unit.lower()] == 0:
            return f"{number // SIZE_UNITS[unit.lower()]}{unit}"
    return str(number)


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()
