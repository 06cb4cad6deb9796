"""What is known of folders: the newest list, of what is configured."""

from exporter.discovery import Discovery
from exporter.targets import FolderTarget
from exporter.yandex.workflows import Workflow, WorkflowState


def workflow(id_: str, folder_id: str = "b1g") -> Workflow:
    """Return a workflow of a folder."""
    return Workflow(
        id_,
        folder_id=folder_id,
        name=id_,
        labels=(),
        state=WorkflowState.ACTIVE,
        express=False,
        created_at=None,
        schedule=None,
        unread=(),
    )


FOLDERS = [FolderTarget("b1g"), FolderTarget("b2g", exclude=("w3",))]


def test_a_list_that_comes_late_takes_no_newer_one_away() -> None:
    """What counts is when it was asked for, not when it came."""
    discovery = Discovery()
    discovery.listed("b1g", (workflow("w2"), workflow("w1")), 10.0)
    discovery.listed("b1g", (workflow("w1"),), 9.0)
    assert list(discovery.found(FOLDERS)) == ["w1", "w2"]
    discovery.listed("b1g", (), 11.0)
    assert discovery.found(FOLDERS) == {}
    assert discovery.known("b1g") == ()


def test_what_is_remembered_holds_until_the_first_list() -> None:
    """Each folder has its own workflows, through its own filters."""
    discovery = Discovery()
    discovery.remember([workflow("w1"), workflow("w2", "b2g"), workflow("w3", "b2g"), workflow("w4", "b3g")])
    assert list(discovery.found(FOLDERS)) == ["w1", "w2"]
    discovery.listed("b1g", (), 0.0)
    discovery.remember([workflow("w1")])
    assert list(discovery.found(FOLDERS)) == ["w2"]


def test_folders_that_are_not_configured_are_forgotten() -> None:
    """What is kept has the size of the configuration."""
    discovery = Discovery()
    discovery.remember([workflow("w1"), workflow("w2", "b2g")])
    discovery.keep(["b2g", "b9g"])
    assert discovery.known("b1g") is None
    assert discovery.known("b2g") == (workflow("w2", "b2g"),)
