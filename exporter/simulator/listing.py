"""What a List call may ask: a filter of one condition, and pages with opaque tokens.

The order is that of a hash on purpose: the vendor promises none, so nobody may come to rely on one.
"""

import base64
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeVar

from exporter.simulator.values import TERMINAL, Execution, Status, parse_time

_MAX_PAGE: Final = 1000
_CONDITION: Final = re.compile(r"""\s*(\w+)\s*([=<>])\s*("[^"]*"|'[^']*'|[^\s"'=<>]+)\s*""")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition `name op value`; the value is a status or nanoseconds. No name keeps everything."""

    name: str = ""
    op: str = "="
    status: str = ""
    limit: int = 0

    def keeps(self, execution: Execution) -> bool:
        """Say whether an execution is listed."""
        if not self.name:
            return True
        if self.name == "status":
            return execution.status == self.status
        value = execution.finished_at if self.name == "finished_at" else execution.begun_at
        return _compare(value, self.op, self.limit)

    def starts(self, now: int, longest: int) -> tuple[int | None, int | None]:
        """Return bounds of the startedAt of all that is kept, if no execution takes more than `longest`."""
        if self.name == "status":
            return None if self.status in TERMINAL else now - longest, None
        if not self.name:
            return None, None
        low = None if self.op == "<" else self.limit
        if low is not None and self.name == "finished_at":
            low -= longest
        return low, None if self.op == ">" else self.limit


EVERYTHING: Final = Condition()


def condition(text: str, rule: str = "served") -> Condition:
    """Return a filter as the rule of the weather has it; raises ValueError for what is refused."""
    if not text.strip() or rule == "ignored":
        return EVERYTHING
    if rule == "refused":
        raise ValueError("filter: is not supported")
    match = _CONDITION.fullmatch(text)
    if not match:
        raise ValueError(f"filter: {text!r} is not one condition `field op value`")
    if rule == "quoted" and not match[3].startswith('"'):
        raise ValueError(f"filter: the value {match[3]!r} must be in double quotes")
    name, op, value = match[1], match[2], match[3].strip("\"'")
    if name == "status":
        return _status_condition(op, value)
    if name not in ("started_at", "finished_at"):
        raise ValueError(f"filter: {name!r} is none of status, started_at, finished_at")
    return Condition(name, op, limit=parse_time(value))


def _status_condition(op: str, value: str) -> Condition:
    if op != "=" or value not in list(Status):
        raise ValueError(f"filter: status takes = and one of {', '.join(Status)}")
    return Condition("status", op, value)


def _compare(value: int | None, op: str, limit: int) -> bool:
    if value is None:
        return False
    return value == limit if op == "=" else value < limit if op == "<" else value > limit


@dataclass(frozen=True, slots=True)
class Paging:
    """How lists are cut: `limit` items a page at most, whatever is asked for, 0 for the documented most.

    Each page begins with the last `overlap` items of the page before it, but always has one of its own.
    """

    limit: int = 0
    overlap: int = 0


def page(
    items: Sequence[Item],
    key: Callable[[Item], str],
    query: Mapping[str, str],
    about: tuple[str, ...],
    paging: Paging = Paging(),
) -> tuple[list[Item], str]:
    """Return one page and the token of the next, "" after the last.

    A token holds where the last page ended, so that what is new meanwhile moves nothing that was there,
    and it is good only for the query that it was given for: `about` names its parameters.
    Raises ValueError for a bad pageSize or pageToken.
    """
    size = min(_size(query.get("pageSize", "")), paging.limit or _MAX_PAGE)
    asked = _digest("\n".join(query.get(name, "") for name in about))
    after = _after(query.get("pageToken", ""), asked)
    ordered = sorted(((_digest(key(item)), item) for item in items), key=itemgetter(0))
    fresh = bisect_right(ordered, after, key=itemgetter(0))
    first = max(0, fresh - min(paging.overlap, size - 1))
    shown = ordered[first : first + size]
    token = _token(shown[-1][0], asked) if first + size < len(ordered) else ""
    return [item for _, item in shown], token


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
