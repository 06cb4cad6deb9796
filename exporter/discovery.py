"""Which workflows there are in the watched folders, as they were listed last."""

import threading
from collections.abc import Iterable

from exporter.targets import FolderTarget
from exporter.yandex.workflows import Workflow


class Discovery:
    """The workflows of folders, as they were listed last. Outlives a reload. `_lock` guards `_folders`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, tuple[Workflow, ...]] = {}

    def listed(self, folder_id: str, workflows: tuple[Workflow, ...]) -> None:
        """Take what a folder holds now."""
        with self._lock:
            self._folders[folder_id] = workflows

    def remember(self, workflows: Iterable[Workflow]) -> None:
        """Take what was known of workflows before; each list that comes replaces it for its folder."""
        folders: dict[str, tuple[Workflow, ...]] = {}
        for workflow in workflows:
            folders[workflow.folder_id] = (*folders.get(workflow.folder_id, ()), workflow)
        with self._lock:
            self._folders.update(folders)

    def known(self, folder_id: str) -> tuple[Workflow, ...] | None:
        """Return what a folder was last seen to hold; None if it was never listed."""
        with self._lock:
            return self._folders.get(folder_id)

    def found(self, folders: Iterable[FolderTarget]) -> dict[str, Workflow]:
        """Return the workflows that these folders' filters let through, by ID."""
        with self._lock:
            held = [(folder, self._folders.get(folder.id, ())) for folder in folders]
        return {w.id: w for folder, workflows in held for w in workflows if folder.takes(w)}
