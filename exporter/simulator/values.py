"""The simulated things as frozen values: executions, history entries, workflows; times in nanoseconds.

Integers of nanoseconds, because a float of unix seconds cannot hold the nine digits that the wire can.
"""

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

NANO: Final = 10**9
UNSET: Final[Any] = object()
"""Nothing was given, where None is a value of its own: JSON null."""
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)

Instant = int | str
"""Nanoseconds, or a text that is served as it stands."""


class Status(enum.StrEnum):
    """The documented states of an execution."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"
    FINISHED = "FINISHED"


TERMINAL: Final = frozenset({Status.STOPPED, Status.FAILED, Status.FINISHED})


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of an execution or of a step."""

    code: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a history; `started_at` and `duration` in nanoseconds, or a text served as it is."""

    id: str
    type: str = "HttpCall"
    status: str = "COMPLETED"
    title: str = ""
    description: str = ""
    started_at: Instant | None = None
    duration: Instant | None = None
    input_json: str = "{}"
    output_json: str = ""
    error: Failure | None = None
    attempts: int = 1
    last_error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as it is at one moment.

    `payload_bytes` is the size of `inputJson`, and of `resultJson` once it is finished. `raw` replaces
    the whole answer of Execution.Get, `raw_history` that of GetHistory: JSON, or bytes.
    """

    id: str
    workflow_id: str
    status: str
    started_at: Instant | None = None
    duration: Instant | None = None
    error: Failure | None = None
    payload_bytes: int = 0
    history: tuple[Entry | Mapping[str, Any], ...] = ()
    raw: Any = field(default=UNSET, repr=False)
    raw_history: Any = field(default=UNSET, repr=False)

    def at(self, now: int) -> "Execution":
        """Return itself: what a test has put stays as it was put."""
        del now
        return self

    preview = at

    @property
    def finished_at(self) -> int | None:
        """When it ended, in nanoseconds; None while it is active or when its times cannot be read."""
        begun, took = self.begun_at, self.took
        return None if self.status not in TERMINAL or begun is None or took is None else begun + took

    @property
    def begun_at(self) -> int | None:
        """Its startedAt in nanoseconds; None where there is none that can be read."""
        if not isinstance(self.started_at, str):
            return self.started_at
        try:
            return parse_time(self.started_at)
        except ValueError:
            return None

    @property
    def took(self) -> int | None:
        """Its duration in nanoseconds; None where there is none that can be read."""
        if not isinstance(self.duration, str):
            return self.duration
        match = _DURATION.fullmatch(self.duration)
        return int(Decimal(match[1]) * NANO) if match else None


class Life(Protocol):
    """What an execution is at any time; `now` in nanoseconds; None before it exists."""

    def at(self, now: int) -> Execution | None:
        """Return the execution at a moment."""

    def preview(self, now: int) -> Execution | None:
        """Return the same, its history left out where it costs anything."""


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow; `cron` empty means no schedule; `raw` replaces the whole answer of Workflow.Get."""

    id: str
    folder_id: str
    name: str = ""
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    status: str = "ACTIVE"
    created_at: Instant | None = None
    express: bool = False
    is_public: bool = False
    service_account_id: str = ""
    cron: str = ""
    timezone: str = ""
    specification: str = 'yawl: "0.1"\n'
    raw: Any = field(default=UNSET, repr=False)


def nanoseconds(seconds: float | str | None) -> Instant | None:
    """Return seconds as nanoseconds, exactly as they are written in decimal; texts as they are."""
    if seconds is None or isinstance(seconds, str):
        return seconds
    return int(Decimal(str(seconds)) * NANO)


def clock_nanoseconds(clock: Callable[[], float]) -> int:
    """Return a clock's time in nanoseconds."""
    return int(Decimal(str(clock())) * NANO)


def parse_time(text: str) -> int:
    """Return an RFC 3339 time in nanoseconds; raises ValueError."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    zone = "+00:00" if match[3] in "zZ" else match[3]
    seconds = int(datetime.fromisoformat(match[1].upper() + zone).timestamp())
    return seconds * NANO + int(Decimal(f"0.{match[2] or 0}") * NANO)
