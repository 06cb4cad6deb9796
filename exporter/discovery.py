"""Which workflows there are in the watched folders, as they were listed last."""

import threading
from collections.abc import Iterable

from exporter.targets import FolderTarget
from exporter.yandex.workflows import Workflow


class Discovery:
    """The workflows of folders, as they were listed last. Outlives a reload.

    `_lock` guards `_folders`: for each folder its workflows, and when they were asked for (monotonic). It
    holds what is configured and no more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, tuple[float, tuple[Workflow, ...]]] = {}

    def listed(self, folder_id: str, workflows: tuple[Workflow, ...], asked: float) -> None:
        """Take what a folder holds; what was asked for before what is known comes too late."""
        with self._lock:
            before, _ = self._folders.get(folder_id, (float("-inf"), ()))
            if asked >= before:
                self._folders[folder_id] = (asked, tuple(sorted(workflows, key=lambda each: each.id)))

    def remember(self, workflows: Iterable[Workflow]) -> None:
        """Take what was known of workflows before the first list."""
        folders: dict[str, tuple[Workflow, ...]] = {}
        for workflow in workflows:
            folders[workflow.folder_id] = (*folders.get(workflow.folder_id, ()), workflow)
        for folder_id, held in folders.items():
            self.listed(folder_id, held, float("-inf"))

    def keep(self, folder_ids: Iterable[str]) -> None:
        """Forget all folders but these."""
        with self._lock:
            self._folders = {id_: self._folders[id_] for id_ in folder_ids if id_ in self._folders}

    def known(self, folder_id: str) -> tuple[Workflow, ...] | None:
        """Return what a folder was last seen to hold; None if it was never listed."""
        with self._lock:
            held = self._folders.get(folder_id)
        return held[1] if held else None

    def found(self, folders: Iterable[FolderTarget]) -> dict[str, Workflow]:
        """Return the workflows that these folders' filters let through, by ID."""
        with self._lock:
            held = [(folder, self._folders[folder.id][1]) for folder in folders if folder.id in self._folders]
        return {w.id: w for folder, workflows in held for w in workflows if folder.takes(w)}
