"""What is watched: the configured targets, the file of executions, the workflows that a folder takes."""

import os
import re
from fnmatch import translate
from pathlib import Path

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from exporter.targets import ExecutionTarget, FolderTarget, Targets, Watched, WorkflowTarget, read_ids
from exporter.yandex.workflows import Workflow, WorkflowState

CONFIGURED = Watched(
    (ExecutionTarget("configured", "alias"),), (WorkflowTarget("flow", 60.0),), (FolderTarget("folder"),)
)


def ids(targets: Targets) -> list[str]:
    """Return the IDs of all executions."""
    return [target.id for target in targets.now().executions]


def rewrite(path: Path, text: str, when: int) -> None:
    """Write a file with a modification time of its own."""
    path.write_text(text)
    os.utime(path, ns=(when, when))


def test_a_file_of_ids_adds_to_the_configuration_and_is_read_again(tmp_path: Path) -> None:
    """IDs come one a line, comments and blanks aside, each once; a change is seen at the next scrape."""
    path = tmp_path / "ids.txt"
    rewrite(path, "one\n\n# a comment\n two # why\r\none\nconfigured\n", 1)
    targets = Targets(CONFIGURED, path)
    assert ids(targets) == ["configured", "one", "two"]
    assert targets.now() is targets.now()
    rewrite(path, "three\n", 2)
    assert ids(targets) == ["configured", "three"]
    assert targets.now().executions[0].alias == "alias"
    assert targets.now().all == (*targets.now().executions, *CONFIGURED.workflows, *CONFIGURED.folders)


def test_a_file_that_is_gone_keeps_what_it_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A job that rewrites its file badly costs no data."""
    path = tmp_path / "ids.txt"
    rewrite(path, "one\n", 1)
    targets = Targets(Watched(), path)
    assert ids(targets) == ["one"]
    path.unlink()
    assert ids(targets) == ["one"]
    assert ids(targets) == ["one"]
    assert [r.levelname for r in caplog.records] == ["WARNING"]


def test_a_bad_line_is_told_with_its_place_and_costs_no_other(tmp_path: Path) -> None:
    """The message names the file, the line, the value and the remedy."""
    path = tmp_path / "ids.txt"
    path.write_text("good\nnot an id\n" + "x" * 129 + "\nalso-good\n")
    contents = read_ids(path)
    assert contents.ids == ("good", "also-good")
    assert contents.problems[0].startswith(f"{path}:2: 'not an id' is not an execution ID; write one ID")
    assert len(contents.problems) == 2


@given(raw=st.binary(max_size=200))
@fuzzed(100)
def test_no_file_of_bytes_breaks_the_reading(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a file holds, reading it gives valid IDs and problems."""
    path = tmp_path_factory.mktemp("ids") / "ids.txt"
    path.write_bytes(raw)
    contents = read_ids(path)
    assert all(id_.isascii() and id_ for id_ in contents.ids)


def workflow(name: str, labels: dict[str, str] | None = None) -> Workflow:
    """Return a workflow of this name."""
    return Workflow(
        "flow", "folder", name, tuple((labels or {}).items()), WorkflowState.ACTIVE,
        express=False, created_at=None, schedule=None, unread=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("include", "exclude", "name", "taken"),
    [
        ((), (), "", True),
        ((), (), "order-new", True),
        (("order-*",), (), "order-new", True),
        (("order-*",), (), "Order-new", False),
        (("ORDER-*",), (), "order-new", False),
        (("order",), (), "order-new", False),
        (("order",), (), "reorder", False),
        (("mail-*", "order-*"), (), "order-new", True),
        (("order-?",), (), "order-12", False),
        (("order-[12]",), (), "order-2", True),
        (("order-[!12]",), (), "order-2", False),
        (("*",), ("*-test",), "order-test", False),
        (("order-test",), ("order-test",), "order-test", False),
        ((), ("*-TEST",), "order-test", True),
        ((), ("*",), "order", False),
    ],
)
def test_a_folder_takes_the_names_that_are_included_and_not_excluded(
    include: tuple[str, ...], exclude: tuple[str, ...], name: str, *, taken: bool
) -> None:
    """Globs are of the whole name, upper case is not lower case, no include is all, and exclude wins."""
    assert FolderTarget("folder", include, exclude).takes(workflow(name)) == taken


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ({}, True),
        ({"team": "payments"}, True),
        ({"team": "payments", "env": "prod"}, True),
        ({"team": "Payments"}, False),
        ({"team": "pay*"}, False),
        ({"team": ""}, False),
        ({"team": "payments", "env": "test"}, False),
        ({"team": "payments", "owner": "ann"}, False),
    ],
)
def test_a_folder_takes_what_has_all_its_labels(wanted: dict[str, str], *, taken: bool) -> None:
    """With just these values; a workflow may have more labels, and its name must be right besides."""
    labels = {"team": "payments", "env": "prod", "more": "yes"}
    folder = FolderTarget("folder", labels=tuple(wanted.items()))
    assert folder.takes(workflow("order", labels)) == taken
    assert not FolderTarget("folder", ("mail",), labels=folder.labels).takes(workflow("order", labels))


NAMES = st.text("aA-", max_size=3)
GLOBS = st.lists(st.text("aA-*?[!]", max_size=4), max_size=2)
LABELS = st.dictionaries(st.sampled_from("kl"), st.sampled_from("vw"), max_size=2)


@given(NAMES, GLOBS, GLOBS, LABELS, LABELS)
@fuzzed(100)
def test_a_folder_takes_what_fnmatch_says(
    name: str, include: list[str], exclude: list[str], wanted: dict[str, str], labels: dict[str, str]
) -> None:
    """Whatever globs there are, a name is judged by each for itself, and the labels apart from it."""

    def fits(globs: list[str]) -> bool:
        return any(re.fullmatch(translate(glob), name) for glob in globs)

    named = (fits(include) or not include) and not fits(exclude)
    labelled = all(labels.get(key) == value for key, value in wanted.items())
    folder = FolderTarget("folder", tuple(include), tuple(exclude), tuple(wanted.items()))
    assert folder.takes(workflow(name, labels)) == (named and labelled)
