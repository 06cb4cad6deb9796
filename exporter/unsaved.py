"""What the state file does not have yet of one workflow."""

from collections.abc import Mapping

from exporter.records import Facts, Record
from exporter.standing import Key
from exporter.statefile import Change

MOST = 100_000


class Unsaved:
    """Notes what has changed, until it is handed over to be written. Guarded by the lock of the ledger."""

    def __init__(self) -> None:
        self._records: set[str] = set()
        self._totals: set[Key] = set()
        self._facts = False
        self._everything = False

    def record(self, execution_id: str) -> None:
        """Note that a record has changed."""
        self._records.add(execution_id)
        if len(self._records) > MOST:
            # A file that cannot be written for long is then written whole.
            self._everything = True
            self._records = {execution_id}

    def total(self, key: Key) -> None:
        """Note that a total has changed."""
        self._totals.add(key)

    def fact(self) -> None:
        """Note that the facts have changed."""
        self._facts = True

    def hand_over(
        self, workflow_id: str, facts: Facts, totals: Mapping[Key, int], records: Mapping[str, Record]
    ) -> Change | None:
        """Return what is to be written, None if nothing is; it is done with unless it is taken back."""
        if not (self._records or self._totals or self._facts):
            return None
        everything = self._everything
        rows = {id_: records.get(id_) for id_ in (records if everything else self._records)}
        change = Change(
            workflow_id,
            facts=facts.to_json() if everything or self._facts else None,
            totals={key: totals[key] for key in (totals if everything else self._totals)},
            records={id_: row.to_json() if row else None for id_, row in rows.items()},
            forgotten=everything,
        )
        self._records, self._totals = set(), set()
        self._facts = self._everything = False
        return change

    def take_back(self, change: Change) -> None:
        """Take that what was handed over could not be written."""
        self._totals |= change.totals.keys()
        self._facts = self._facts or change.facts is not None
        self._everything = self._everything or change.forgotten
        for execution_id in change.records:
            self.record(execution_id)
