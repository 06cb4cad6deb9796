"""The configured executions and the file of them."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.targets import ExecutionTarget, Targets, read_ids

CONFIGURED = ExecutionTarget("configured", "alias")


def ids(targets: Targets) -> list[str]:
    """Return the IDs of all targets."""
    return [target.id for target in targets.executions()]


def rewrite(path: Path, text: str, when: int) -> None:
    """Write a file with a modification time of its own."""
    path.write_text(text)
    os.utime(path, ns=(when, when))


def test_a_file_of_ids_adds_to_the_configuration_and_is_read_again(tmp_path: Path) -> None:
    """IDs come one a line, comments and blanks aside, each once; a change is seen at the next scrape."""
    path = tmp_path / "ids.txt"
    rewrite(path, "one\n\n# a comment\n two # why\r\none\nconfigured\n", 1)
    targets = Targets([CONFIGURED], path)
    assert ids(targets) == ["configured", "one", "two"]
    assert targets.executions() is targets.executions()
    rewrite(path, "three\n", 2)
    assert ids(targets) == ["configured", "three"]


def test_a_file_that_is_gone_keeps_what_it_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A job that rewrites its file badly costs no data."""
    path = tmp_path / "ids.txt"
    rewrite(path, "one\n", 1)
    targets = Targets([], path)
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
def test_no_file_of_bytes_breaks_the_reading(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever a file holds, reading it gives valid IDs and problems."""
    path = tmp_path_factory.mktemp("ids") / "ids.txt"
    path.write_bytes(raw)
    contents = read_ids(path)
    assert all(id_.isascii() and id_ for id_ in contents.ids)
