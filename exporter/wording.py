"""How numbers, durations, times and executions under way are said to people."""

from collections.abc import Mapping
from datetime import UTC, datetime

from exporter.standing import Group
from exporter.yandex.models import Status

NONE = "\u2014"
ACTIVE_WORDS = {Status.RUNNING: "running", Status.QUEUED: "queued", Status.PAUSED: "paused"}
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def counted(number: int, noun: str) -> str:
    """Return a number of things: 1 execution, 2 executions."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration_text(seconds: float | None) -> str:
    """Return seconds as people say them: 41 ms, 1.07 s, 15 min 00 s, 1 h 02 min, 2 d 3 h."""
    if seconds is None:
        return NONE
    if seconds < 0.9995:
        return "0 s" if seconds == 0 else f"{max(1, round(seconds * 1000))} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago_text(seconds: float) -> str:
    """Return how long ago something was, in its largest unit."""
    if seconds < 0:
        # The clocks of the cloud and of this machine differ a little.
        return "just now" if seconds > -60 else "in the future"
    return f"{_largest(seconds)} ago"


def ahead_text(seconds: float) -> str:
    """Return how far ahead something is, in its largest unit."""
    return f"in {_largest(seconds)}" if seconds > 0 else "now"


def utc_text(at: float) -> str:
    """Return Unix seconds as a date and time in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "after the year 9999"  # an offset takes the last timestamps of RFC 3339 there


def active_text(active: Mapping[Status, Group]) -> str:
    """Return what is under way: 2 running, 1 queued; nothing if nothing is."""
    return ", ".join(
        f"{active[status].count} {word}"
        for status, word in ACTIVE_WORDS.items()
        if status in active and active[status].count
    )


def _largest(seconds: float) -> str:
    return next((f"{int(seconds // size)} {unit}" for unit, size in UNITS if seconds >= size), "0 s")
