"""Whatever the state file holds: it is refused in a line that names it, or what it says makes a page."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import answers
import pytest
from fuzzing import fuzzed
from hostile import JSON, TEXTS, spoiled
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as parse_text
from test_fuzz_answers import samples
from test_ledger import NOW, SHARED_MEMORY, WINDOW, W, execution

from exporter.ledger import Ledger
from exporter.outcome import Collection, WorkflowOutcome
from exporter.standing import Standing
from exporter.statefile import StateError, StateFile
from exporter.targets import WorkflowTarget
from exporter.workflowcollector import WorkflowsCollector
from exporter.yandex.history import History
from exporter.yandex.models import Execution, Status
from exporter.yandex.workflows import Workflow

STEPS = 20


def lived(path: Path) -> None:
    """Write a state file as a life leaves it: counters, open executions, steps and what a list said."""
    ledger = Ledger(StateFile(path), lambda: None)
    executions = [execution(n, Status.RUNNING, NOW - n) for n in range(20)]
    ended = [execution(n, status, NOW - n, 1.5 * n) for n, status in enumerate(list(Status)[3:6] * 6)]
    for shown in ((), executions, ended):
        look = ledger.look(W, NOW, reach=WINDOW, window=WINDOW, again=True)
        ledger.page(look, shown, STEPS)
        ledger.complete(look, STEPS, NOW)
    failed = Execution.of({**answers.preview(status="FAILED"), "id": f"{W}-1", "workflowId": W})
    ledger.learn(W, failed, STEPS)
    entries = {"execution": answers.preview(), "entries": [answers.entry(n, "COMPLETED", 9) for n in "abc"]}
    ledger.settle_steps(W, f"{W}-0", History.from_json(entries, STEPS), STEPS)
    ledger.describe([Workflow.of({**answers.workflow(), "id": W})])
    ledger.publish([W], NOW, WINDOW)
    ledger.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder in memory, where there is one."""
    with TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def good(folder: Path) -> bytes:
    """Return a good state file."""
    lived(folder / "good.db")
    return (folder / "good.db").read_bytes()


@pytest.fixture(scope="module")
def rows(folder: Path, good: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the good file."""
    (folder / "rows.db").write_bytes(good)
    with contextlib.closing(sqlite3.connect(folder / "rows.db")) as connection:
        tables = ("facts", "totals", "records")
        read = connection.execute
        return {table: list(read(f"SELECT * FROM {table}")) for table in tables}  # noqa: S608 - our own names


def standing(path: Path) -> Standing | None:
    """Return what a page says of the workflow with this file, None if the file is refused in words."""
    with contextlib.suppress(StateError):
        StateFile.check(path)
    before = path.read_bytes()
    try:
        state = StateFile(path)
    except StateError as error:
        refusal = str(error)
        assert path.read_bytes() == before
    else:
        with contextlib.closing(state):
            try:
                ledger = Ledger(state, lambda: None)
            except StateError as error:
                refusal = str(error)
            else:
                found = ledger.publish([W], NOW, WINDOW)[W]
                ledger.close()
                return found
    assert str(path) in refusal
    assert refusal.isprintable()
    return None


def is_a_page(found: Standing | None) -> None:
    """Assert that a page can be made of it, that Prometheus reads it, and that no counter is below 0."""
    if found is None:
        return
    outcome = WorkflowOutcome(WorkflowTarget(W), NOW, listed=True, standing=found)
    made = Collection((), NOW, 0.1, workflows=(outcome,))
    registry = CollectorRegistry()
    registry.register(WorkflowsCollector(lambda: made, labels=(), history=True, recent_window=WINDOW))
    page = samples(parse_text(generate_latest(registry).decode()))
    assert page == samples(registry.collect())
    assert min(page.values()) >= 0


def test_the_good_file_is_read(folder: Path, good: bytes, rows: dict[str, list[tuple[Any, ...]]]) -> None:
    """Else nothing of what follows would mean anything."""
    path = folder / "state.db"
    path.write_bytes(good)
    found = standing(path)
    assert found is not None
    assert found.totals[("completed", "FAILED")] == 6
    assert found.last_completed is not None
    assert found.steps
    assert all(rows.values())
    is_a_page(found)


PLACES = st.integers(0, 2**31)
DAMAGE = st.one_of(
    st.tuples(st.just("flip"), PLACES, st.integers(1, 255)),
    st.tuples(st.just("cut"), PLACES, st.just(0)),
    st.tuples(st.just("fill"), PLACES, st.sampled_from([0, 0xFF, 0x41])),
    st.tuples(st.just("swap"), PLACES, st.integers(0, 9)),
    st.tuples(st.just("more"), st.integers(1, 5000), st.sampled_from([0, 0xFF])),
)


def damaged(content: bytearray, how: str, place: int, what: int) -> bytearray:
    """Return a file in which one thing has gone wrong."""
    at = place % max(1, len(content))
    if how == "cut":
        return content[:at]
    if how == "more":
        return content + bytes([what]) * place
    if how == "fill":
        content[at : at + 512] = bytes([what]) * len(content[at : at + 512])
    if how == "flip" and content:
        content[at] ^= what
    if how == "swap":
        one, other = at // 4096 * 4096, what * 4096 % max(1, len(content))
        first, second = content[one : one + 4096], content[other : other + 4096]
        content[one : one + 4096], content[other : other + 4096] = second, first
    return content


@given(st.lists(DAMAGE, min_size=1, max_size=3))
@fuzzed(120)
def test_a_damaged_file_is_refused_or_makes_a_page(
    folder: Path, good: bytes, damages: list[tuple[str, int, int]]
) -> None:
    """Bytes flipped, pages cut, swapped or overwritten: nothing but StateError, and the bytes stay."""
    content = bytearray(good)
    for damage in damages:
        content = damaged(content, *damage)
    path = folder / "state.db"
    path.write_bytes(content)
    is_a_page(standing(path))


@given(st.binary(max_size=300), st.booleans())
@fuzzed(60)
def test_any_bytes_are_refused_and_kept(folder: Path, raw: bytes, headed: bool) -> None:
    """Also behind the header of a file of ours; an empty file is a new one."""
    path = folder / "state.db"
    path.write_bytes(b"SQLite format 3\0" + raw if headed else raw)
    found = standing(path)
    assert (found is None) == bool(raw or headed)
    path.unlink()


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 2000


@given(st.data())
@fuzzed(150)
def test_a_spoiled_row_is_refused_or_makes_a_page(
    folder: Path, good: bytes, rows: dict[str, list[tuple[Any, ...]]], data: Any
) -> None:
    """Whatever an id, a key or a value has become: other JSON, no JSON, another type of SQLite's."""
    table = data.draw(st.sampled_from(sorted(rows)))
    row = data.draw(st.sampled_from(rows[table]))
    column = data.draw(st.integers(0, len(row) - 1))
    texts = spoiled(st.just(json.loads(row[column]))) | JSON | TEXTS
    value = data.draw(
        texts.map(_dumped) | TEXTS | st.binary(max_size=5) | st.integers(-(2**63), 2**63 - 1) | st.floats()
    )
    path = folder / "state.db"
    path.write_bytes(good)
    put(path, table, row, (*row[:column], value, *row[column + 1 :]))
    is_a_page(standing(path))


def put(path: Path, table: str, row: tuple[Any, ...], made: tuple[Any, ...]) -> None:
    """Put a row in the place of another, as far as SQLite lets it."""
    texts = tuple(v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for v in made)
    key = "workflow_id = ?" if len(row) == 2 else "workflow_id = ? AND key = ?"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"DELETE FROM {table} WHERE {key}", row[:-1])  # noqa: S608 - our own names
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", texts)  # noqa: S608 - our own names


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ("totals", "-1"), ("totals", "1_0"), ("totals", "\u0663"), ("totals", " 7"), ("totals", "9" * 400),
        ("records", "[2,NaN,false,false,0]"), ("records", "[2,1e999,false,false,0]"),
        ("records", f"[2,1{'0' * 400},false,false,0]"), ("records", "[2,null,false,false,1e999]"),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_refused(
    folder: Path, good: bytes, rows: dict[str, list[tuple[Any, ...]]], table: str, value: str
) -> None:
    """A total is digits, and no more than a page can show; an instant is a finite number."""
    path = folder / "state.db"
    path.write_bytes(good)
    put(path, table, rows[table][0], (*rows[table][0][:2], value))
    assert standing(path) is None
