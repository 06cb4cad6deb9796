"""Files that others write and we read: whole, bounded, and without waiting for what is no file."""

import errno
import os
import select
import stat
import time
from pathlib import Path

PIPE_SECONDS = 10.0
_CHUNK = 1 << 16


def read(path: Path, most: int) -> bytes:
    """Return what a regular file holds, cut one byte past `most`; raises OSError, for anything else, too.

    A pipe without a writer would keep us for ever, and one that was read once is empty the next time.
    """
    number = _opened(path)
    with open(number, "rb") as file:  # noqa: PTH123  # a descriptor has no path
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        return file.read(most + 1)


def read_once(path: Path, most: int, seconds: float = PIPE_SECONDS) -> bytes:
    """Return the same of a file, or of a pipe or device whose writer is done in time; raises OSError."""
    number = _opened(path)
    with open(number, "rb", buffering=0) as file:  # noqa: PTH123  # a descriptor has no path
        if stat.S_ISREG(os.fstat(number).st_mode):
            return file.read(most + 1)
        deadline = time.monotonic() + seconds
        found = bytearray()
        while len(found) <= most:
            _await(number, deadline, path)
            chunk = file.read(_CHUNK)
            if chunk == b"":
                break
            found += chunk or b""
        return bytes(found[: most + 1])


def _await(number: int, deadline: float, path: Path) -> None:
    """Wait until there is something to read, or the writer has gone; a pipe nobody opened yet waits, too."""
    poll = select.poll()
    poll.register(number, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise OSError(
            errno.ETIMEDOUT, "it is a pipe, and nobody has written it to its end in time", str(path)
        )


def _opened(path: Path) -> int:
    """Open without waiting for a writer; raises OSError, for a folder as well."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if stat.S_ISDIR(os.fstat(number).st_mode):
        os.close(number)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return number
