"""What a List call may ask: a filter of one condition, and pages with opaque tokens.

The order is that of a hash on purpose: the vendor promises none, so nobody may come to rely on one.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from exporter.simulator.values import NANO, Execution, Status

_MAX_PAGE: Final = 1000
_CONDITION: Final = re.compile(r"""\s*(\w+)\s*([=<>])\s*("[^"]*"|'[^']*'|[^\s"'=<>]+)\s*""")
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)

Item = TypeVar("Item")


def parse_time(text: str) -> int:
    """Return an RFC 3339 time in nanoseconds; raises ValueError."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    zone = "+00:00" if match[3] in "zZ" else match[3]
    seconds = int(datetime.fromisoformat(match[1].upper() + zone).timestamp())
    return seconds * NANO + int(Decimal(f"0.{match[2] or 0}") * NANO)


def condition(text: str) -> Callable[[Execution], bool]:
    """Return a filter as a function; raises ValueError for what the API refuses."""
    if not text.strip():
        return lambda _: True
    match = _CONDITION.fullmatch(text)
    if not match:
        raise ValueError(f"filter: {text!r} is not one condition `field op value`")
    name, op, value = match[1], match[2], match[3].strip("\"'")
    if name == "status":
        return _status_is(op, value)
    if name not in ("started_at", "finished_at"):
        raise ValueError(f"filter: {name!r} is none of status, started_at, finished_at")
    limit = parse_time(value)
    return lambda execution: _compare(_time_of(execution, name), op, limit)


def _status_is(op: str, value: str) -> Callable[[Execution], bool]:
    if op != "=" or value not in list(Status):
        raise ValueError(f"filter: status takes = and one of {', '.join(Status)}")
    return lambda execution: execution.status == value


def _time_of(execution: Execution, name: str) -> int | None:
    if name == "finished_at":
        return execution.finished_at
    if not isinstance(execution.started_at, str):
        return execution.started_at
    try:
        return parse_time(execution.started_at)
    except ValueError:
        return None


def _compare(value: int | None, op: str, limit: int) -> bool:
    if value is None:
        return False
    return value == limit if op == "=" else value < limit if op == "<" else value > limit


def page(
    items: Sequence[Item], key: Callable[[Item], str], query: Mapping[str, str], about: tuple[str, ...]
) -> tuple[list[Item], str]:
    """Return one page and the token of the next, "" after the last.

    A token holds where the last page ended, so that what is new meanwhile moves nothing that was there,
    and it is good only for the query that it was given for: `about` names its parameters.
    Raises ValueError for a bad pageSize or pageToken.
    """
    size = _size(query.get("pageSize", ""))
    asked = _digest("\n".join(query.get(name, "") for name in about))
    after = _after(query.get("pageToken", ""), asked)
    ordered = sorted(((_digest(key(item)), item) for item in items), key=lambda pair: pair[0])
    rest = [pair for pair in ordered if pair[0] > after]
    token = _token(rest[size - 1][0], asked) if len(rest) > size else ""
    return [item for _, item in rest[:size]], token


def _size(text: str) -> int:
    if text in ("", "0"):
        return 100
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > _MAX_PAGE:
        raise ValueError(f"pageSize: {text!r} is not an integer from 0 to {_MAX_PAGE}")
    return int(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _token(after: str, asked: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([after, asked]).encode()).decode().rstrip("=")


def _after(token: str, asked: str) -> str:
    if not token:
        return ""
    try:
        read: Any = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        after, issued_for = read
    except (ValueError, TypeError):
        raise ValueError("pageToken: is not one of ours") from None
    if issued_for != asked or not isinstance(after, str):
        raise ValueError("pageToken: was given for another query")
    return after
