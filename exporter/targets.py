"""What to watch: executions, workflows and folders. How they are read is for others."""

import logging
import os
import re
import threading
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar

from exporter import files
from exporter.yandex.models import valid_id
from exporter.yandex.secrets import one_line, redact
from exporter.yandex.workflows import Workflow

log = logging.getLogger(__name__)

MAX_FILE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExecutionTarget:
    """One execution to watch; the alias is a name for people, empty if there is none."""

    kind: ClassVar[str] = "execution"

    id: str
    alias: str = ""


@dataclass(frozen=True, slots=True)
class WorkflowTarget:
    """A workflow to watch whole; `expected_success_interval` in seconds, None if there is no expectation."""

    kind: ClassVar[str] = "workflow"

    id: str
    expected_success_interval: float | None = None


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A folder whose workflows are watched: those that a pattern includes and none excludes.

    `include` and `exclude` are globs of workflow names; no `include` is every name. `labels` are those
    that a workflow must have, all of them, with just these values.
    """

    kind: ClassVar[str] = "folder"

    id: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def takes(self, workflow: Workflow) -> bool:
        """Whether this folder's filters let a workflow through."""
        included = not self.include or any(fnmatchcase(workflow.name, glob) for glob in self.include)
        excluded = any(fnmatchcase(workflow.name, glob) for glob in self.exclude)
        return included and not excluded and set(self.labels) <= set(workflow.labels)


Target = ExecutionTarget | WorkflowTarget | FolderTarget


@dataclass(frozen=True, slots=True)
class Watched:
    """The targets of one collection, each kind with each ID once."""

    executions: tuple[ExecutionTarget, ...] = ()
    workflows: tuple[WorkflowTarget, ...] = ()
    folders: tuple[FolderTarget, ...] = ()

    @property
    def all(self) -> tuple[Target, ...]:
        """Return the targets of every kind."""
        return (*self.executions, *self.workflows, *self.folders)


@dataclass(frozen=True, slots=True)
class FileContents:
    """What a file of execution IDs says, and which of its lines could not be used."""

    ids: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_ids(path: Path) -> FileContents:
    """Read a file with one execution ID a line; blank lines and `# comments` are passed over.

    Raises OSError if the file cannot be read and ValueError if it is too large.
    """
    raw = files.read(path, MAX_FILE_BYTES)
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
    """The configured targets, the executions of `executions_file` among them.

    The file is read again when it changes; while it cannot be read, what it said last holds.
    `_lock` guards `_signature` and `_now`.
    """

    def __init__(self, configured: Watched, executions_file: Path | None = None) -> None:
        self._configured = configured
        self._file = executions_file
        self._lock = threading.Lock()
        self._signature: tuple[int, ...] = ()
        self._now = configured

    def now(self) -> Watched:
        """Return every target to watch; the same value while nothing changes."""
        if self._file is None:
            return self._configured
        with self._lock:
            signature = self._stat(self._file)
            if signature != self._signature:
                self._signature = signature
                self._now = replace(self._configured, executions=self._executions(self._file))
            return self._now

    @staticmethod
    def _stat(path: Path) -> tuple[int, ...]:
        try:
            stat = os.stat(path)  # noqa: PTH116  # one call, asked at every scrape
        except OSError as error:
            return (error.errno or -1,)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

    def _executions(self, path: Path) -> tuple[ExecutionTarget, ...]:
        try:
            contents = read_ids(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            fields = {"file": str(path), "error": reason, "kept": len(self._now.executions)}
            log.warning("executions_file cannot be read; its last contents hold", extra={"fields": fields})
            return self._now.executions
        for problem in contents.problems[:20]:
            log.warning("line of executions_file left out", extra={"fields": {"error": problem}})
        configured = self._configured.executions
        known = {target.id for target in configured}
        added = tuple(ExecutionTarget(id_) for id_ in contents.ids if id_ not in known)
        fields = {"file": str(path), "executions": len(added), "bad_lines": len(contents.problems)}
        log.info("executions_file read", extra={"fields": fields})
        return configured + added
