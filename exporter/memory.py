"""The last outcome of each execution, and when it may be asked for again. Outlives a reload."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from exporter.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Record:
    """The last outcome of an execution; `asked` and `ask_after` are monotonic instants.

    Before `ask_after` the execution is not asked for again.
    """

    outcome: Outcome
    asked: float
    ask_after: float

    @property
    def weight(self) -> int:
        """How much there is to remember: the execution, and its steps."""
        return 1 + (len(self.outcome.history.steps) if self.outcome.history else 0)


class Memory:
    """The last record of each execution; what was used least goes first when they weigh more than `size`.

    `_lock` guards all that is private.
    """

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._weight = 0
        self._generation = 0

    @property
    def generation(self) -> int:
        """A number that changes when everything, or all that is missing, is to be asked for again."""
        with self._lock:
            return self._generation

    def get(self, execution_id: str) -> Record | None:
        """Return what is remembered of an execution."""
        with self._lock:
            record = self._records.get(execution_id)
            if record is not None:
                self._records.move_to_end(execution_id)
            return record

    def update(
        self, execution_id: str, make: Callable[[Record | None], Record], generation: int | None = None
    ) -> Outcome:
        """Replace a record by one made of it, and forget what was used least if there is no room.

        What was asked for in an earlier `generation` is asked for again.
        """
        with self._lock:
            record = make(self._drop(execution_id))
            if generation not in {None, self._generation}:
                record = replace(record, ask_after=float("-inf"))
            self._records[execution_id] = record
            self._weight += record.weight
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

    def _drop(self, execution_id: str) -> Record | None:
        record = self._records.pop(execution_id, None)
        self._weight -= record.weight if record else 0
        return record

    def _ask_again(self, which: Callable[[Outcome], bool]) -> None:
        with self._lock:
            self._generation += 1
            for key, record in self._records.items():
                if which(record.outcome):
                    self._records[key] = replace(record, ask_after=float("-inf"))
