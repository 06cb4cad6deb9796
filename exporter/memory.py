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


class Memory:
    """The last record of each execution, at most `size` of them, the least recently used go first.

    `_lock` guards `_records` and `_size`.
    """

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._records: OrderedDict[str, Record] = OrderedDict()

    def get(self, execution_id: str) -> Record | None:
        """Return what is remembered of an execution."""
        with self._lock:
            record = self._records.get(execution_id)
            if record is not None:
                self._records.move_to_end(execution_id)
            return record

    def update(self, execution_id: str, make: Callable[[Record | None], Record]) -> Outcome:
        """Replace a record by one made of it, forget what was used least if there is no room."""
        with self._lock:
            record = make(self._records.get(execution_id))
            self._records[execution_id] = record
            self._records.move_to_end(execution_id)
            while len(self._records) > self._size:
                self._records.popitem(last=False)
            return record.outcome

    def reserve(self, targets: int) -> None:
        """Make room for at least twice this many executions, so that none evicts another."""
        with self._lock:
            self._size = max(self._size, 2 * targets)

    def ask_missing_again(self) -> None:
        """Let what could not be read be asked for at once."""
        self._ask_again(lambda outcome: not outcome.success)

    def ask_all_again(self) -> None:
        """Let everything be asked for at once; what is known stays until then."""
        self._ask_again(lambda _: True)

    def _ask_again(self, which: Callable[[Outcome], bool]) -> None:
        with self._lock:
            for key, record in self._records.items():
                if which(record.outcome):
                    self._records[key] = replace(record, ask_after=float("-inf"))
