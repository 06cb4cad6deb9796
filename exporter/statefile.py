"""The rows in which counters survive a restart, in one SQLite file. What they mean is not known here."""

import contextlib
import json
import os
import sqlite3
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

APPLICATION_ID = 0x59435746
"""What says in the header of a SQLite file that it is ours: `YCWF`."""
VERSION = 1
"""The version of the tables, `user_version` of the file."""
TABLES = (
    "CREATE TABLE facts (workflow_id TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE totals (workflow_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (workflow_id, key)) WITHOUT ROWID",
    "CREATE TABLE records (workflow_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (workflow_id, key)) WITHOUT ROWID",
)
"""Ids, keys and arrays are JSON in ASCII: any text is kept. Totals are digits: they outgrow 64 bits."""
PRAGMAS = (
    "PRAGMA locking_mode = EXCLUSIVE",
    # A WAL is a second file that a copy forgets, and its shared memory fails on network file systems.
    # To truncate the journal is durable by itself; to delete it, the folder must be synchronised too.
    "PRAGMA journal_mode = TRUNCATE",
    "PRAGMA synchronous = FULL",
    # A read-only container may have no folder for temporary files.
    "PRAGMA temp_store = MEMORY",
)
HEADER = 100
"""The bytes of a SQLite file that say what it is."""
MOVE = "move it and the -journal beside it away; counters then begin at 0"


class StateError(Exception):
    """The state file cannot be used; the text names the file, what is wrong with it and what to do."""


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
        if _used_here(path):
            raise StateError(f"the state file {path} is in use by this process already; each needs its own")
        _refuse_unfit(path)
        with _translated(path):
            self._connection = _connect(path, "mode=rwc")
            try:
                _occupy(self._connection, path)
                self._identity = _identity(path)
            except BaseException:
                self._connection.close()
                raise

    def load(self) -> dict[str, Saved]:
        """Return what is kept, by workflow id; raises StateError if a row cannot be read."""
        with _translated(self._path):
            facts = {key: value[()] for key, value in self._read("facts", lambda _: (), _object)}
            totals = defaultdict(dict, self._read("totals", _names, int))
            records = defaultdict(dict, self._read("records", _string, _array))
        ids = sorted({*facts, *totals, *records})
        return {key: Saved(facts.get(key, {}), totals[key], records[key]) for key in ids}

    def write(self, changes: Iterable[Change]) -> None:
        """Write all changes, durably, or none; raises StateError, and then the file is as it was."""
        with _translated(self._path):
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
        """Let the file go; it may be opened by another process then."""
        self._connection.close()

    @staticmethod
    def check(path: Path) -> None:
        """Raise StateError if no exporter could use the file; takes no lock and changes no byte."""
        if _used_here(path):
            return
        size = _refuse_unfit(path)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise StateError(f"the state file {path} needs its folder writable, for a journal beside it")
        if size is None:
            return
        if not os.access(path, os.R_OK | os.W_OK):
            raise StateError(_unwritable(path))
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
                    f"the state file {self._path} is corrupt: table {table}, workflow {workflow_id!s:.150}: "
                    f"{error}; {MOVE}"
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
        if _identity(self._path) != self._identity:
            raise StateError(
                f"the state file {self._path} was deleted or replaced while in use; restart the exporter"
            )


def _refuse_unfit(path: Path) -> int | None:
    """Return the size of the file, None if there is none, before SQLite can do anything to it."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise StateError(f"the state file {path} is {_kind(found.st_mode)}; name a regular file")
        if found.st_size:
            _refuse_foreign(path, _header(path))
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise StateError(
                f"the state file {path} cannot be created: create the folder {path.parent}"
            ) from None
        return None
    except PermissionError as error:
        raise StateError(_unwritable(path)) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StateError(f"the state file {path} cannot be used: {reason}; name another file") from error
    return found.st_size


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe"}
    return kinds.get(stat.S_IFMT(mode), "a device or a socket")


def _header(path: Path) -> bytes:
    # What is no file any more by now is not waited for, and not followed.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.read(number, HEADER)
    finally:
        os.close(number)


def _refuse_foreign(path: Path, header: bytes) -> None:
    version, application_id = header[60:64], header[68:72]
    if not header.startswith(b"SQLite format 3\0") or int.from_bytes(application_id) != APPLICATION_ID:
        raise StateError(
            f"the file {path} is not a state file of this exporter; it is left as it is; name another file"
        )
    if int.from_bytes(version, signed=True) > VERSION:
        raise StateError(
            f"the state file {path} was written by a newer version of the exporter; it is left as it is; "
            "install that version, or name another file"
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
    # The lock is had, so whatever a killed process left half done is undone: what is empty now is new.
    if not path.stat().st_size:
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
    with _translated(path):
        problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        tables = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master")}
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if problem == "ok" and (version != VERSION or not tables.issuperset(TABLES)):
        problem = "its tables are not those of this exporter"
    if problem != "ok":
        raise StateError(f"the state file {path} is corrupt ({problem}): {MOVE}")


def _examine_at_rest(path: Path) -> None:
    """Raise StateError if the file is corrupt and nobody wrote it while it was read; takes no lock.

    Pages are written only while the journal holds something, so a file that has a full one proves nothing.
    """
    before = _trace(path)
    if before is None:
        return
    with _translated(path), contextlib.closing(_connect(path, "mode=ro&immutable=1")) as connection:
        try:
            _examine(connection, path)
        except StateError:
            if _trace(path) == before:
                raise


def _trace(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file is written, None while it is."""
    with contextlib.suppress(FileNotFoundError):
        if Path(f"{path}-journal").stat().st_size:
            return None
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


def _identity(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError, ValueError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _used_here(path: Path) -> bool:
    """Say if this process has the file open: to open and close it once more would drop its POSIX locks."""
    with contextlib.suppress(OSError, ValueError):
        wanted = path.stat()
        for number in Path("/dev/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(int(number.name)), wanted):
                    return True
    return False


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(_reason(path, error)) from error


def _reason(path: Path, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            what = "is in use by another process; each exporter needs a file of its own"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            what = f"is corrupt ({error}): {MOVE}"
        case sqlite3.SQLITE_FULL:
            what = "cannot be written: the disk is full; make room"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return _unwritable(path)
        case sqlite3.SQLITE_CANTOPEN:
            what = f"or the -journal beside it cannot be opened; make the folder {path.parent} writable"
        case sqlite3.SQLITE_IOERR:
            what = f"cannot be read or written ({name}); look at the disk, its quota and the process' limits"
        case _:
            what = f"cannot be used ({name or type(error).__name__}: {error})"
    return f"the state file {path} {what}"


def _unwritable(path: Path) -> str:
    return (
        f"the state file {path} cannot be written: give the exporter's user the right to read and write it "
        "and its folder, on a file system that is not read-only"
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _loaded(text: str, kind: type[V]) -> V:
    value = json.loads(text)
    if not isinstance(value, kind):
        raise TypeError(f"not a {kind.__name__}")
    return value


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
