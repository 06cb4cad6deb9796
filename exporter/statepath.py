"""Whether a path can hold a state file, seen before SQLite may touch it; and what a person is told if not."""

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from exporter.yandex.secrets import one_line

APPLICATION_ID = 0x59435746
"""What says in the header of a SQLite file that it is ours: `YCWF`."""
VERSION = 1
"""The version of the tables, `user_version` of the file."""
MOVE = "move it and the -journal beside it away; counters then begin at 0"
_HEADER = 100
"""The bytes of a SQLite file that say what it is."""


class StateError(Exception):
    """The state file cannot be used; the text names the file, what is wrong with it and what to do."""


def refuse_unfit(path: Path) -> int | None:
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
        raise StateError(unwritable(path)) from error
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
        return os.read(number, _HEADER)
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


def identity(path: Path) -> tuple[int, int] | None:
    """Return which file the path leads to, None if to none."""
    with contextlib.suppress(OSError, ValueError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def used_here(path: Path) -> bool:
    """Say if this process has the file open: to open and close it once more would drop its POSIX locks."""
    with contextlib.suppress(OSError, ValueError):
        wanted = path.lstat()
        if not stat.S_ISREG(wanted.st_mode):
            return False
        for number in Path("/dev/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(int(number.name)), wanted):
                    return True
    return False


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise as StateError what SQLite raises."""
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(_reason(path, error)) from error
    except UnicodeDecodeError as error:
        # What SQLite says of a corrupt file may quote bytes of it.
        raise StateError(f"the state file {path} is corrupt (unreadable text): {MOVE}") from error


def _reason(path: Path, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            what = "is in use by another process; each exporter needs a file of its own"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            what = f"is corrupt ({one_line(str(error))}): {MOVE}"
        case sqlite3.SQLITE_FULL:
            what = "cannot be written: the disk is full; make room"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return unwritable(path)
        case sqlite3.SQLITE_CANTOPEN:
            what = f"or its -journal cannot be opened; make the folder {path.parent} readable and "
            what += "writable, on a file system that is not read-only"
        case sqlite3.SQLITE_IOERR:
            what = f"or its -journal cannot be read or written ({name}); look at the disk, quotas and limits"
        case _:
            what = f"cannot be used ({name or type(error).__name__}: {one_line(str(error))})"
    return f"the state file {path} {what}"


def unwritable(path: Path) -> str:
    """Return the text for a file that this user may not read or write."""
    return (
        f"the state file {path} cannot be written: give the exporter's user the right to read and write it "
        "and its folder, on a file system that is not read-only"
    )
