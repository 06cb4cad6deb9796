"""What to watch: the executions that the configuration names. How they are read is for others."""

import logging
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.yandex.models import valid_id
from exporter.yandex.secrets import one_line, redact

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExecutionTarget:
    """One execution to watch; the alias is a name for people, empty if there is none."""

    id: str
    alias: str = ""


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file of execution IDs says, and which of its lines could not be used."""

    ids: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_ids(path: Path) -> FileContents:
    """Read a file with one execution ID a line; blank lines and `# comments` are passed over.

    Raises OSError if the file cannot be read and ValueError if it is too large.
    """
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    ids: dict[str, None] = {}
    problems = []
    lines = re.split(r"\r\n|\n|\r", raw.decode("utf-8-sig", "replace"))
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if valid_id(text):
            ids[text] = None
        else:
            problems.append(
                f"{path}:{number}: {one_line(redact(text), 60)!r} is not an execution ID; "
                "write one ID a line, 1 to 128 of A-Z a-z 0-9 _ -"
            )
    return FileContents(tuple(ids), tuple(problems))


class Targets:
    """The configured executions: those of the configuration, then those of `executions_file`.

    The file is read again when it changes; while it cannot be read, what it said last holds.
    `_lock` guards `_signature` and `_all`.
    """

    def __init__(self, executions: Sequence[ExecutionTarget], executions_file: Path | None = None) -> None:
        self._configured = tuple(executions)
        self._file = executions_file
        self._lock = threading.Lock()
        self._signature: tuple[int, ...] = ()
        self._all = self._configured

    def executions(self) -> tuple[ExecutionTarget, ...]:
        """Return every execution to watch, each ID once; the same tuple while nothing changes."""
        if self._file is None:
            return self._configured
        with self._lock:
            signature = self._stat(self._file)
            if signature != self._signature:
                self._signature = signature
                self._all = self._merged(self._file)
            return self._all

    @staticmethod
    def _stat(path: Path) -> tuple[int, ...]:
        try:
            stat = os.stat(path)  # noqa: PTH116  # one call, asked at every scrape
        except OSError as error:
            return (error.errno or -1,)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _merged(self, path: Path) -> tuple[ExecutionTarget, ...]:
        try:
            contents = read_ids(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            fields = {"file": str(path), "error": reason, "kept": len(self._all)}
            log.warning("executions_file cannot be read; its last contents hold", extra={"fields": fields})
            return self._all
        for problem in contents.problems[:20]:
            log.warning("line of executions_file left out", extra={"fields": {"error": problem}})
        known = {target.id for target in self._configured}
        added = tuple(ExecutionTarget(id_) for id_ in contents.ids if id_ not in known)
        log.info(
            "executions_file read",
            extra={
                "fields": {"file": str(path), "executions": len(added), "bad_lines": len(contents.problems)}
            },
        )
        return self._configured + added
