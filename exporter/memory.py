"""The last outcome of each target of a kind, and when it may be asked for again. Outlives a reload."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from exporter.outcome import Outcome

FAILED_RECHECK = 300.0
"""Seconds to leave alone a target that does not exist, or a recheck that failed."""
HANDICAP = 60.0
"""Seconds by which what failed stands behind the others in the queue, since it may have held them up."""

Kind = TypeVar("Kind", bound=Outcome)


@dataclass(frozen=True, slots=True)
class Remembered(Generic[Kind]):
    """The last outcome of a target; `asked` and `ask_after` are monotonic instants.

    Before `ask_after` the target is not asked for again.
    """

    outcome: Kind
    asked: float
    ask_after: float


class Memory(Generic[Kind]):
    """The last record of each target; what was used least goes first when they weigh more than `size`.

    `_lock` guards all that is private.
    """

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._records: OrderedDict[str, Remembered[Kind]] = OrderedDict()
        self._weight = 0
        self._generation = 0

    @property
    def generation(self) -> int:
        """A number that changes when everything, or all that is missing, is to be asked for again."""
        with self._lock:
            return self._generation

    def get(self, target_id: str) -> Remembered[Kind] | None:
        """Return what is remembered of a target."""
        with self._lock:
            record = self._records.get(target_id)
            if record is not None:
                self._records.move_to_end(target_id)
            return record

    def resting(self, target_id: str, now: float) -> Kind | None:
        """Return the outcome of a target that is not to be asked for yet; None if it is."""
        record = self.get(target_id)
        return record.outcome if record is not None and now < record.ask_after else None

    def waited(self, target_id: str) -> float:
        """Return the instant since which a target has waited, for who was never asked the earliest of all."""
        record = self.get(target_id)
        if record is None:
            return float("-inf")
        return record.asked + HANDICAP * bool(record.outcome.reason)

    def update(
        self,
        target_id: str,
        make: Callable[[Remembered[Kind] | None], Remembered[Kind]],
        generation: int | None = None,
    ) -> Kind:
        """Replace a record by one made of it, and forget what was used least if there is no room.

        What was asked for in an earlier `generation` is asked for again.
        """
        with self._lock:
            record = make(self._drop(target_id))
            if generation not in {None, self._generation}:
                record = replace(record, ask_after=float("-inf"))
            self._records[target_id] = record
            self._weight += record.outcome.weight
            while self._weight > self._size and len(self._records) > 1:
                self._drop(next(iter(self._records)))
            return record.outcome

    def reserve(self, weight: int) -> None:
        """Make room for at least twice as much, so that what is watched does not evict itself."""
        with self._lock:
            self._size = max(self._size, 2 * weight)

    def ask_missing_again(self) -> None:
        """Let what could not be read be asked for at once."""
        self._ask_again(lambda outcome: not outcome.success)

    def ask_all_again(self) -> None:
        """Let everything be asked for at once; what is known stays until then."""
        self._ask_again(lambda _: True)

    def _drop(self, target_id: str) -> Remembered[Kind] | None:
        record = self._records.pop(target_id, None)
        self._weight -= record.outcome.weight if record else 0
        return record

    def _ask_again(self, which: Callable[[Kind], bool]) -> None:
        with self._lock:
            self._generation += 1
            for key, record in self._records.items():
                if which(record.outcome):
                    self._records[key] = replace(record, ask_after=float("-inf"))
