"""The conditions that hold for every call: how late an answer is, how heavy, how lists are cut.

They may change at any time.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

_MAX_LATENCY = 86400.0
_MAX_PAYLOAD = 1 << 28
_MAX_PAGE = 1000
FILTERS: Final = ("served", "refused", "ignored", "quoted")
"""What becomes of a filter: served; 400; accepted and without effect; 400 unless in double quotes."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Seconds that every answer is late, and bytes that each input, output and result has at the least.

    For lists: the largest page, whatever is asked for (0: as documented), what becomes of filters, and how
    many items of the page before it each page repeats. Raises ValueError for what cannot be meant.
    """

    latency: float = 0.0
    payload_bytes: int = 0
    page_limit: int = 0
    filters: str = "served"
    overlap: int = 0

    def __post_init__(self) -> None:
        """Refuse what would do nothing, or too much."""
        if not _is_number(self.latency, (int, float)) or not 0 <= self.latency <= _MAX_LATENCY:
            raise ValueError(f"latency: must be seconds from 0 to {_MAX_LATENCY:.0f}")
        if not _is_number(self.payload_bytes, (int,)) or not 0 <= self.payload_bytes <= _MAX_PAYLOAD:
            raise ValueError(f"payload_bytes: must be an integer from 0 to {_MAX_PAYLOAD}")
        for name in ("page_limit", "overlap"):
            value = getattr(self, name)
            if not _is_number(value, (int,)) or not 0 <= value <= _MAX_PAGE:
                raise ValueError(f"{name}: must be an integer from 0 to {_MAX_PAGE}")
        if self.filters not in FILTERS:
            raise ValueError(f"filters: must be one of {', '.join(FILTERS)}")


def _is_number(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


class Weather:
    """The conditions in force; any thread may change them. `_lock` guards `_now`."""

    def __init__(self, conditions: Conditions) -> None:
        self._lock = threading.Lock()
        self._now = conditions

    @property
    def now(self) -> Conditions:
        """The conditions in force."""
        with self._lock:
            return self._now

    def change(self, **changes: Any) -> None:
        """Change some; raises ValueError, and then nothing has changed."""
        with self._lock:
            self._now = replace(self._now, **changes)

    def change_to(self, body: object) -> dict[str, Any]:
        """Change what a JSON object names, and return all; ValueError says what to write instead."""
        known = asdict(self.now)
        if not isinstance(body, Mapping):
            raise ValueError('expected an object such as {"latency": 0.05, "payload_bytes": 1000000}')  # noqa: TRY004 - as every bad body
        for key in body:
            if key not in known:
                raise ValueError(f"{key}: no such field; one of {', '.join(known)}")
        self.change(**body)
        return asdict(self.now)
