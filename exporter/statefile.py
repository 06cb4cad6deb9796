"""The rows in which counters survive a restart, in one SQLite file. What they mean is not known here."""

import contextlib
import json
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

from exporter.statepath import (
    APPLICATION_ID,
    MOVE,
    VERSION,
    StateError,
    identity,
    refuse_unfit,
    translated,
    unwritable,
    used_here,
)
from exporter.yandex.secrets import one_line

__all__ = ["Change", "Saved", "StateError", "StateFile"]

K = TypeVar("K")
V = TypeVar("V")

TABLES = (
    "CREATE TABLE facts (workflow_id TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE totals (workflow_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (workflow_id, key)) WITHOUT ROWID",
    "CREATE TABLE records (workflow_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (workflow_id, key)) WITHOUT ROWID",
)
"""Ids, keys and arrays are JSON in ASCII: any text is kept. Totals are digits: they outgrow 64 bits."""
_TOTAL = re.compile(r"-?[0-9]+")
PRAGMAS = (
    "PRAGMA locking_mode = EXCLUSIVE",
    # A WAL is a second file that a copy forgets, and its shared memory fails on network file systems.
    # To truncate the journal is durable by itself; to delete it, the folder must be synchronised too.
    "PRAGMA journal_mode = TRUNCATE",
    "PRAGMA synchronous = FULL",
    # A read-only container may have no folder for temporary files.
    "PRAGMA temp_store = MEMORY",
)


@dataclass(frozen=True, slots=True)
class Saved:
    """What the file holds of one workflow; a record is a JSON array."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    totals: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    records: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the rows of one workflow; what is not named stays as it is.

    `facts` replace all facts, None leaves them. `totals` are absolute values of any size. A record
    that is None is deleted. `forgotten` deletes all rows of the workflow before the rest is written.
    """

    workflow_id: str
    facts: Mapping[str, Any] | None = None
    totals: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    records: Mapping[str, tuple[Any, ...] | None] = field(default_factory=dict)
    forgotten: bool = False


class StateFile:
    """An open state file, locked against other processes until `close`.

    Calls may come from any thread, one at a time: the caller serialises them. Opening raises
    StateError, and a file that is not ours, is later than ours or is corrupt keeps its bytes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if used_here(path):
            raise StateError(f"the state file {path} is in use by this process already; each needs its own")
        refuse_unfit(path)
        with translated(path):
            self._connection = _connect(path, "mode=rwc")
            try:
                _occupy(self._connection, path)
                self._identity = identity(path)
            except BaseException:
                self._connection.close()
                raise

    @property
    def path(self) -> Path:
        """The file's path."""
        return self._path

    def load(self) -> dict[str, Saved]:
        """Return what is kept, by workflow id; raises StateError if a row cannot be read."""
        with translated(self._path):
            facts = {key: value[()] for key, value in self._read("facts", lambda _: (), _object)}
            totals = defaultdict(dict, self._read("totals", _names, _count))
            records = defaultdict(dict, self._read("records", _string, _array))
        ids = sorted({*facts, *totals, *records})
        return {key: Saved(facts.get(key, {}), totals[key], records[key]) for key in ids}

    def write(self, changes: Iterable[Change]) -> None:
        """Write all changes, durably, or none; raises StateError, and then the file is as it was."""
        with translated(self._path):
            self._refuse_lost()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for change in changes:
                    self._apply(change)
                self._connection.execute("COMMIT")
            except BaseException:
                # Where this fails too, the journal stays and SQLite plays it back before it reads again.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let the file go; it may be opened by another process then. The journal goes too, as it is empty."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA locking_mode = NORMAL")
            self._connection.execute("SELECT 1 FROM facts").fetchone()
            self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()

    @staticmethod
    def check(path: Path) -> None:
        """Raise StateError if no exporter could use the file; takes no lock and changes no byte."""
        if used_here(path):
            return
        size = refuse_unfit(path)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StateError(f"the state file {path} needs its folder writable, for a journal beside it")
        if size is None:
            return
        if not os.access(path, os.R_OK | os.W_OK):
            raise StateError(unwritable(path))
        if size:
            _examine_at_rest(path)

    def _read(
        self, table: str, read_key: Callable[[str], K], read_value: Callable[[str], V]
    ) -> Iterator[tuple[str, dict[K, V]]]:
        key = "NULL" if table == "facts" else "key"
        query = f"SELECT workflow_id, {key}, value FROM {table} ORDER BY workflow_id"  # noqa: S608 - our own names
        for workflow_id, rows in groupby(self._connection.execute(query), itemgetter(0)):
            try:
                values = {read_key(key): read_value(value) for _, key, value in rows}
                yield _string(workflow_id), values
            except (ValueError, TypeError, RecursionError) as error:
                raise StateError(
                    f"the state file {self._path} is corrupt: table {table}, "
                    f"workflow {one_line(str(workflow_id), 150)}: {one_line(str(error))}; {MOVE}"
                ) from error

    def _apply(self, change: Change) -> None:
        execute, many = self._connection.execute, self._connection.executemany
        key = _json(change.workflow_id)
        if change.forgotten:
            for table in ("facts", "totals", "records"):
                execute(f"DELETE FROM {table} WHERE workflow_id = ?", (key,))  # noqa: S608 - our own names
        if change.facts is not None:
            execute("REPLACE INTO facts VALUES (?, ?)", (key, _json(dict(change.facts))))
        many(
            "REPLACE INTO totals VALUES (?, ?, ?)",
            ((key, _json(names), format(value, "d")) for names, value in change.totals.items()),
        )
        many(
            "REPLACE INTO records VALUES (?, ?, ?)",
            ((key, _json(name), _json(row)) for name, row in change.records.items() if row is not None),
        )
        many(
            "DELETE FROM records WHERE workflow_id = ? AND key = ?",
            ((key, _json(name)) for name, row in change.records.items() if row is None),
        )

    def _refuse_lost(self) -> None:
        # SQLite would go on writing to a file that no name leads to, and all would be lost with the process.
        if identity(self._path) != self._identity:
            raise StateError(
                f"the state file {self._path} was deleted or replaced while in use; restart the exporter"
            )


def _connect(path: Path, options: str) -> sqlite3.Connection:
    # A timeout of 0 tells at once that another process has the file.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def _occupy(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in PRAGMAS:
        connection.execute(pragma)
    connection.execute("BEGIN EXCLUSIVE")
    # The lock is had, so what a killed process left half done is undone. A file that holds anything has our
    # mark, or it would not have come this far.
    if connection.execute("PRAGMA application_id").fetchone() == (0,):
        for table in TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        _examine(connection, path)
    # Written although it may be there: what cannot be written shows now, not at the first scrape.
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _examine(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateError if the file is corrupt; changes nothing."""
    with translated(path):
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        tables = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        page = connection.execute("PRAGMA page_size").fetchone()[0]
    # SQLite takes what is missing of the last page for zeros.
    if problem == "ok" and _size(path) % page:
        problem = "its last page is cut short"
    if problem == "ok" and (version != VERSION or not tables.issuperset(TABLES)):
        problem = "its tables are not those of this exporter"
    if problem != "ok":
        line = problem.removeprefix("*** in database main ***").strip().replace("\n", ", ")
        raise StateError(f"the state file {path} is corrupt ({one_line(line)}): {MOVE}")


def _examine_at_rest(path: Path) -> None:
    """Raise StateError if the file is corrupt and nobody wrote it while it was read; takes no lock.

    Pages are written only while the journal holds something, so a file that has a full one proves nothing.
    """
    before = _trace(path)
    if before is None:
        return
    with translated(path), contextlib.closing(_connect(path, "mode=ro&immutable=1")) as connection:
        try:
            _examine(connection, path)
        except StateError:
            if _trace(path) == before:
                raise


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _trace(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file is written, None while it is."""
    if _size(Path(f"{path}-journal")):
        return None
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _loaded(text: str, kind: type[V]) -> V:
    value = json.loads(text)
    if not isinstance(value, kind):
        raise TypeError(f"not a {kind.__name__}")
    return value


def _count(text: str) -> int:
    if not isinstance(text, str) or not _TOTAL.fullmatch(text):
        raise ValueError("not a total")
    return int(text)


def _string(text: str) -> str:
    return _loaded(text, str)


def _object(text: str) -> dict[str, Any]:
    return _loaded(text, dict)


def _array(text: str) -> tuple[Any, ...]:
    return tuple(_loaded(text, list))


def _names(text: str) -> tuple[str, ...]:
    value = _array(text)
    if not all(isinstance(name, str) for name in value):
        raise TypeError("not a list of texts")
    return value
