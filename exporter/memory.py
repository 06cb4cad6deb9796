"""The last outcome of each execution, and when it may be asked for again. Outlives a reload."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from exporter.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Record:
    """The last outcome of an execution, and the monotonic instant before which it is not asked again."""

    outcome: Outcome
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

    def put(self, record: Record) -> None:
        """Remember this, and forget what was used least if there is no room."""
        with self._lock:
            self._records[record.outcome.target.id] = record
            self._records.move_to_end(record.outcome.target.id)
            while len(self._records) > self._size:
                self._records.popitem(last=False)

    def reserve(self, targets: int) -> None:
        """Make room for at least twice this many executions, so that none evicts another."""
        with self._lock:
            self._size = max(self._size, 2 * targets)

    def forget(self) -> None:
        """Forget everything, as when another cloud is asked from now on."""
        with self._lock:
            self._records.clear()

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
