"""Executions and steps as frozen values, read from protobuf JSON; payloads are never kept.

The only place where a duration or a timestamp of the API is parsed. Reading never trusts: a value
is matched against an ASCII pattern before it is converted, a field that cannot be read costs only
itself, and its name is listed in `unread`.
"""

import datetime as dt
import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

NANOS = 10**9
_MAX_SECONDS = 315_576_000_000  # ten thousand years: the limit of protobuf's Duration
_MAX_INT64 = 2**63 - 1
_LABEL_LIMIT = 128
_DAY = 86_400
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - as naive as what it is taken from

# What begins like a token or an API key is one in the wrong place: as an ID it would be on every page.
ID_PATTERN = re.compile(r"(?!(?:eyJ|AQVN|y[0-3]_)[A-Za-z0-9_-]{8})[A-Za-z0-9_-]{1,128}")
_DURATION = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_INTEGER = re.compile(r"[0-9]{1,19}")
_ERROR_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")

ERROR_CLASSES: tuple[str, ...] = (
    "STEP", "HTTP_CALL", "GRPC_CALL", "FUNCTION_CALL", "CONTAINER_CALL", "YDB_CALL", "OTHER",
)  # fmt: skip


class Status(enum.Enum):
    """The status of an execution; the value is the number in the API's enum."""

    QUEUED = 1
    RUNNING = 2
    PAUSED = 3
    STOPPED = 4
    FAILED = 5
    FINISHED = 6
    UNKNOWN = 0

    @property
    def code(self) -> int:
        """The number in the API's enum, 0 for unknown."""
        return self.value

    @property
    def terminal(self) -> bool:
        """Whether no call resumes an execution in this status."""
        return self is Status.FINISHED or self is Status.FAILED or self is Status.STOPPED


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What an execution failed with: a code of the API, and the class that the code belongs to."""

    code: str
    error_class: str


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution: `started_at` in Unix seconds, `duration` in seconds; None is "not stated".

    `error` is there when the answer has an `error` or the status is FAILED. `unread` names the
    fields whose value could not be read: status, duration, started_at, error_code.
    """

    id: str
    workflow_id: str
    status: Status
    started_at: float | None
    duration: float | None
    error: ErrorDetail | None
    unread: tuple[str, ...]

    @property
    def ended_at(self) -> float | None:
        """When it ended, in Unix seconds: start + duration; only a terminal execution has ended."""
        if not self.status.terminal or self.started_at is None or self.duration is None:
            return None
        return self.started_at + self.duration

    @property
    def errors(self) -> int:
        """How many errors there are on the execution: 1 or 0."""
        return int(self.error is not None)

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the answer of Execution.Get; raises ValueError if there is no execution in it."""
        return cls.of(execution_of(body))

    @classmethod
    def of(cls, raw: object) -> Self:
        """Read an execution or its preview; raises ValueError if it is no object or has no valid id.

        A preview never has an `error`, so the code of a failed one is UNSPECIFIED.
        """
        fields = Fields(json_object(raw, "the execution"))
        execution_id = fields.raw.get("id")
        if not valid_id(execution_id):
            raise ValueError("the execution has no valid id")
        workflow_id = fields.raw.get("workflowId")
        status = fields.member(Status, Status.UNKNOWN)
        return cls(
            id=str(execution_id),
            workflow_id=str(workflow_id) if valid_id(workflow_id) else "",
            status=status,
            started_at=seconds(fields.timestamp()),
            duration=seconds(fields.duration()),
            error=fields.error(failed=status is Status.FAILED),
            unread=tuple(fields.unread),
        )


class StepStatus(enum.Enum):
    """The status of a step; the value is the number in the API's enum."""

    SCHEDULED = 1
    STARTED = 2
    COMPLETED = 3
    FAILED = 4
    CANCEL_REQUESTED = 5
    CANCELLED = 6
    UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A step of one execution, all its entries taken together.

    The status is that of the entry that started last, `started_at` (Unix seconds) the earliest,
    `duration` (seconds) from there to the latest end known, `attempts` the largest.
    """

    id: str
    title: str
    type: str
    status: StepStatus
    started_at: float | None
    duration: float | None
    attempts: int | None


def parse_duration(text: object) -> float:
    """Return the seconds of a protobuf JSON Duration such as "1.070697344s".

    Raises ValueError for anything else, a negative duration among it.
    """
    return _duration_nanos(text) / NANOS


def parse_timestamp(text: object) -> float | None:
    """Return the Unix seconds of an RFC 3339 timestamp; None at or before 1970, which is "not set".

    Raises ValueError for anything else, a day that no calendar has among it.
    """
    return seconds(_timestamp_nanos(text))


def valid_id(text: object) -> bool:
    """Whether this can be an ID of the API: 1 to 128 of A-Z a-z 0-9 _ -."""
    return isinstance(text, str) and ID_PATTERN.fullmatch(text) is not None


_Member = TypeVar("_Member", bound=enum.Enum)


class Fields:
    """Reads the fields of one JSON object, and remembers those that could not be read.

    `raw` is the object, `unread` the names of the fields; times and durations are in nanoseconds,
    so that sums and differences stay exact. Nothing here raises.
    """

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.raw = raw
        self.unread: list[str] = []

    def member(self, kind: type[_Member], unknown: _Member, name: str = "status") -> _Member:
        """Return the member that `status` names, else `unknown`, which counts as not read, as `name`."""
        found = _member(kind, self.raw.get("status")) or unknown
        if found is unknown:
            self.unread.append(name)
        return found

    def timestamp(self) -> int | None:
        """Return `startedAt`; None if it is not set."""
        return self._optional("startedAt", "started_at", _timestamp_nanos)

    def duration(self) -> int | None:
        """Return `duration`; None if there is none."""
        return self._optional("duration", "duration", _duration_nanos)

    def attempts(self) -> int | None:
        """Return `attempts`; None if it is no count."""
        # An int64 of protobuf JSON is a string; at its default, 0, it is left out.
        return 0 if self.raw.get("attempts") is None else self._optional("attempts", "attempts", _integer)

    def label(self, key: str) -> str:
        """Return a text that can be a label's value: encodable, and not long."""
        value = self.raw.get(key)
        return label_text(value) if isinstance(value, str) else ""

    def error(self, *, failed: bool) -> ErrorDetail | None:
        """Return what `error` says; None if there is no error and the execution has not failed."""
        error = self.raw.get("error")
        if not error and not isinstance(error, dict | None):
            # Nothing, but of the wrong type: that says neither that there is an error nor which.
            self.unread.append("error_code")
            error = None
        if error is None and not failed:
            return None
        code = error.get("errorCode") if isinstance(error, dict) else error
        if code is None or code == "":
            return ErrorDetail("UNSPECIFIED", "OTHER")
        if not isinstance(error, dict) or not isinstance(code, str) or not _ERROR_CODE.fullmatch(code):
            self.unread.append("error_code")
            return ErrorDetail("OTHER", "OTHER")
        return ErrorDetail(code, _error_class(code))

    def _optional(self, key: str, name: str, parse: Callable[[object], int | None]) -> int | None:
        value = self.raw.get(key)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError:
            self.unread.append(name)
            return None


def execution_of(body: object) -> Mapping[str, Any]:
    """Return the `execution` of an answer; raises ValueError if there is none."""
    return json_object(json_object(body, "the answer").get("execution"), "`execution`")


def json_object(value: object, what: str) -> Mapping[str, Any]:
    """Return the value if it is a JSON object; raises ValueError, which names `what`, if not."""
    if not isinstance(value, dict):
        raise ValueError(f"{what} is not a JSON object")  # noqa: TRY004 - one error for all malformed input
    return value


def label_text(text: str) -> str:
    """Return the text as it can stand in a label: encodable, at most 128 characters."""
    return text[:_LABEL_LIMIT].encode("utf-8", "replace").decode("utf-8")


def _member(kind: type[_Member], value: object) -> _Member | None:
    # An enum value that protobuf has no name for is printed as its number; True is no number.
    try:
        if isinstance(value, str):
            return kind[value]
        return kind(value) if type(value) is int else None
    except (KeyError, ValueError):
        return None


def _error_class(code: str) -> str:
    return next((name for name in ERROR_CLASSES if code.startswith(f"{name}_")), "OTHER")


def seconds(nanos: int | None) -> float | None:
    """Return nanoseconds as seconds."""
    return None if nanos is None else nanos / NANOS


def _fraction(digits: str | None) -> int:
    return int((digits or "").ljust(9, "0"))


def _integer(value: object) -> int:
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _INTEGER.fullmatch(text) or int(text) > _MAX_INT64:
        raise ValueError("not a count")
    return int(text)


def _duration_nanos(text: object) -> int:
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a duration")
    if int(match[1]) > _MAX_SECONDS:
        raise ValueError("a duration out of range")
    return int(match[1]) * NANOS + _fraction(match[2])


def _timestamp_nanos(text: object) -> int | None:
    match = _TIMESTAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("not a timestamp")
    numbers = [int(group) for group in match.groups()[:6]]
    # Naive on purpose: with an offset, year 0001 and year 9999 may lie outside what datetime holds.
    since = dt.datetime(*numbers) - _EPOCH  # type: ignore[arg-type]  # noqa: DTZ001
    offset = (int(match[9]) * 3600 + int(match[10]) * 60) * (-1 if match[8] == "-" else 1) if match[8] else 0
    nanos = (since.days * _DAY + since.seconds - offset) * NANOS + _fraction(match[7])
    return nanos if nanos > 0 else None
