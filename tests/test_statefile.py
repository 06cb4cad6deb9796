"""The state file keeps what was written, whatever ends the process, and never touches what is not ours."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fuzzing import fuzzed
from hypothesis import example, given, settings
from hypothesis import strategies as st
from processes import until

from exporter.statefile import Change, Saved, StateError, StateFile

TEXTS = st.text(max_size=8) | st.sampled_from(
    ["", "\0", "'; DROP TABLE facts; --", "\ud800", "ключ", "a\nb", "🦆"]
)
IDS = st.sampled_from(["w1", "w2", "ß\0'", ""]) | TEXTS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["a", "b"]) | TEXTS
TOTALS = st.lists(KEYS, max_size=3).map(tuple)
CHANGES = st.builds(
    Change,
    workflow_id=IDS,
    facts=st.none() | st.dictionaries(TEXTS, JSON, max_size=3),
    totals=st.dictionaries(TOTALS, st.integers() | st.just(2**90), max_size=3),
    records=st.dictionaries(KEYS, st.none() | st.lists(JSON, max_size=3).map(tuple), max_size=3),
    forgotten=st.booleans(),
)

WRITER = """
import sys
from pathlib import Path
from exporter.statefile import Change, StateFile
state = StateFile(Path(sys.argv[1]))
total = sum(saved.totals[("records",)] for saved in state.load().values())
print("open", total, flush=True)
while True:
    changes = []
    for number in range(total + 1, total + 1 + int(sys.argv[2])):
        total = number
        record = {f"{total:08}" + "x" * 200: (total,)}
        changes.append(Change("w", {"total": total}, {("records",): total}, record))
    state.write(changes)
    print(total, flush=True)
"""
"""Writes records and their count for ever, so many at a time, and says each count when it is written."""

KEEPER = """
import sys
from pathlib import Path
from exporter.statefile import StateFile
state = StateFile(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""
"""Holds the file until its input ends."""

FULL = """
import resource, sys
from pathlib import Path
from exporter.statefile import Change, StateError, StateFile
state = StateFile(Path(sys.argv[1]))
state.write([Change("w", {"n": 0}, {("n",): 0})])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
changes = [Change("w", {"n": 1}, {("n",): 1}), *(Change(f"w{i}", {"pad": "x" * 500}) for i in range(2000))]
try:
    state.write(changes)
except StateError as error:
    print(error)
print(len(state.load()), state.load()["w"])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
if sys.argv[3] == "on":
    state.write(changes[:2])
    print(len(state.load()), state.load()["w"])
else:
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""Writes more than a file may hold, tells what became of it, then writes on or is killed."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[StateFile]:
    """Open a state file and let it go."""
    state = StateFile(path)
    try:
        yield state
    finally:
        state.close()


def held(path: Path) -> dict[str, Saved]:
    """Return what a file holds."""
    with opened(path) as state:
        return state.load()


@contextlib.contextmanager
def child(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script until it is killed."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def refusal(what: Callable[[Path], object], path: Path) -> str:
    """Return the text with which a path is refused; it names the file."""
    with pytest.raises(StateError) as caught:
        what(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def traces(path: Path) -> dict[str, tuple[bytes, int]]:
    """Return bytes and time of change of all files beside a file, and of itself."""
    return {item.name: (item.read_bytes(), item.stat().st_mtime_ns) for item in path.parent.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a state file may be, in a folder of its own."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "state.db"


@pytest.fixture
def written(path: Path) -> Path:
    """Return a state file of a few pages."""
    with opened(path) as state:
        state.write(
            Change(f"w{i}", {"name": "n" * 40}, {("a", "b"): i}, {f"e{j}": (j, "RUNNING") for j in range(40)})
            for i in range(20)
        )
    return path


def after(model: dict[str, Saved], change: Change) -> dict[str, Saved]:
    """Return what a file holds after a change, as a dictionary would."""
    old = Saved() if change.forgotten else model.get(change.workflow_id, Saved())
    records: Mapping[str, tuple[Any, ...] | None] = {**old.records, **change.records}
    saved = Saved(
        old.facts if change.facts is None else change.facts,
        {**old.totals, **change.totals},
        {key: record for key, record in records.items() if record is not None},
    )
    return {**model, change.workflow_id: saved}


@given(st.lists(st.lists(CHANGES, max_size=4), max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_is_loaded_is_what_was_written(writes: list[list[Change]]) -> None:
    """Any writes come to what they come to in a dictionary, also after the file is opened again."""
    model: dict[str, Saved] = {}
    with tempfile.TemporaryDirectory() as folder:
        with opened(Path(folder) / "s") as state:
            for changes in writes:
                state.write(changes)
                for change in changes:
                    model = after(model, change)
                assert known(state.load()) == known(model)
        assert known(held(Path(folder) / "s")) == known(model)


def known(saved: Mapping[str, Saved]) -> dict[str, Saved]:
    """Return the workflows of which anything is known."""
    return {key: value for key, value in saved.items() if value != Saved()}


def test_a_file_opens_again_with_all_that_it_held(path: Path) -> None:
    """Facts, totals beyond 64 bits and records come back; what was deleted or forgotten does not."""
    with opened(path) as state:
        state.write([Change("w1", {"a": 1}, {("x", "ы"): 2**90}, {"r": (1.5, None, ["n"]), "gone": ()})])
        state.write([Change("w1", records={"gone": None}), Change("w2", {"b": 2}), Change("w3", {})])
        state.write([Change("w2", totals={(): -1}, forgotten=True)])
    assert held(path) == {
        "w1": Saved({"a": 1}, {("x", "ы"): 2**90}, {"r": (1.5, None, ["n"])}),
        "w2": Saved({}, {(): -1}, {}),
        "w3": Saved(),
    }
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["a b", "?mode=ro", "#x", "%41", "ы.db", ":memory:", "'\"\\"])
def test_a_path_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    """No character of a file's name has a meaning, and a relative path is one."""
    with contextlib.chdir(tmp_path), opened(Path(name)) as state:
        state.write([Change("w", {"a": 1})])
    assert [item.name for item in tmp_path.iterdir()] == [name]
    assert held(tmp_path / name) == {"w": Saved({"a": 1})}


def test_a_write_that_cannot_be_made_leaves_nothing(path: Path) -> None:
    """What is no JSON, or an error of who makes the changes, ends the write; what was before is there."""

    def changes() -> Iterator[Change]:
        yield Change("w", {"a": 2}, {("n",): 2})
        raise LookupError("no more")

    with opened(path) as state:
        state.write([Change("w", {"a": 1}, {("n",): 1})])
        with pytest.raises(LookupError):
            state.write(changes())
        with pytest.raises(TypeError):
            state.write([Change("w", {"a": 3}), Change("w", {"a": {1}})])
        with pytest.raises(ValueError, match="format"):
            state.write([Change("w", {"a": 4}, {("n",): 1.5})])  # type: ignore[dict-item]
        assert state.load() == {"w": Saved({"a": 1}, {("n",): 1})}
        state.write([Change("w", {"a": 5})])
    assert held(path) == {"w": Saved({"a": 5}, {("n",): 1})}


def test_threads_may_take_turns(path: Path) -> None:
    """A file opened in one thread is written in another."""
    with opened(path) as state:
        thread = threading.Thread(target=lambda: state.write([Change("w", {"a": 1})]))
        thread.start()
        thread.join()
        assert state.load() == {"w": Saved({"a": 1})}


def test_a_closed_file_says_so(path: Path) -> None:
    """To use a file that was let go is an error of the file, and to let it go twice is none."""
    with opened(path) as state:
        state.close()
        assert "closed" in refusal(lambda _: state.load(), path)
        assert "closed" in refusal(lambda _: state.write([Change("w")]), path)


@pytest.mark.parametrize("batch", [1, 40])
def test_a_killed_writer_leaves_a_prefix_of_its_writes(path: Path, batch: int) -> None:
    """After SIGKILL at any moment the file holds all that was said to be written, and no part of a write."""
    chance = random.Random(batch)
    told = 0
    for _ in range(20):
        with child(WRITER, path, batch) as process:
            assert said(process) == f"open {told}"
            for _ in range(chance.randrange(12)):
                told = int(said(process))
            threading.Event().wait(chance.random() * 0.01)
            process.send_signal(signal.SIGKILL)
            rest = process.communicate()[0].split("\n")[:-1]
        told = int(rest[-1]) if rest else told
        saved = held(path).get("w", Saved())
        count = saved.totals.get(("records",), 0)
        assert count in {told, told + batch}
        assert [record for (record,) in saved.records.values()] == list(range(1, count + 1))
        assert saved.facts == ({"total": count} if count else {})
        told = count


def test_a_writer_killed_at_birth_leaves_a_file_that_opens(path: Path) -> None:
    """A file whose making was ended at any moment is new, or whole."""
    chance = random.Random(7)
    for _ in range(15):
        with child(WRITER, path, 500) as process:
            until(path.exists)
            threading.Event().wait(chance.random() * 0.006)
            process.send_signal(signal.SIGKILL)
            process.wait()
        StateFile.check(path)
        saved = held(path).get("w", Saved())
        assert len(saved.records) == saved.totals.get(("records",), 0)
        for item in path.parent.iterdir():
            item.unlink()


def test_a_write_half_made_is_undone(path: Path) -> None:
    """What a killed process left in file and journal is what was before; `check` finds it usable, always."""
    with opened(path) as state:
        # Between these the records of the writer find their place, so that it changes every page.
        records: dict[str, tuple[Any, ...]] = {f"{number:08}": (0,) for number in range(20_000)}
        state.write([Change("w", {"a": 1}, {("records",): 0}, records)])
        before = state.load()
    # More than SQLite keeps in memory, so that it writes pages before the end, where the process waits.
    waiting = WRITER.replace("write(changes)", "write(wait() if c is None else c for c in [*changes, None])")
    wait = "import sys\ndef wait():\n    print('half', flush=True)\n    sys.stdin.read()\n"
    with child(wait + waiting, path, 20_000) as process:
        assert [said(process), said(process)] == ["open 0", "half"]
        StateFile.check(path)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.stat().st_size > 10**6
    left = traces(path)
    assert len(left) == 2
    StateFile.check(path)
    assert traces(path) == left
    assert held(path) == before


def test_a_second_exporter_is_refused_at_once(path: Path) -> None:
    """A file is one process' own until it ends, however it ends; to check it is free."""
    with child(KEEPER, path) as process:
        assert said(process) == "open"
        before = traces(path)
        began = time.monotonic()
        text = refusal(StateFile, path)
        assert time.monotonic() - began < 4
        assert "in use by another process; each exporter needs a file of its own" in text
        StateFile.check(path)
        assert traces(path) == before
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert held(path) == {}


def test_a_file_in_use_here_is_refused_and_stays_locked(path: Path) -> None:
    """To open or check it once more in the same process does not let another process in."""
    with opened(path) as state:
        assert "in use by this process" in refusal(StateFile, path)
        StateFile.check(path)
        with child(f"{KEEPER}", path) as process:
            assert said(process) == ""
            assert process.wait() != 0
        state.write([Change("w", {"a": 1})])
    assert held(path) == {"w": Saved({"a": 1})}


def test_a_reader_of_another_program_is_another_process(written: Path) -> None:
    """What holds the file with a lock of SQLite keeps an exporter out."""
    reader = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN');"
        "c.execute('SELECT * FROM facts').fetchone(); print('open', flush=True); sys.stdin.read()"
    )
    with child(reader, written) as process:
        assert said(process) == "open"
        assert "in use by another process" in refusal(StateFile, written)


def foreign_database(application_id: int, version: int = 1) -> Callable[[Path], None]:
    """Return what makes a SQLite file of another program."""

    def make(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE facts (x)")
            connection.execute(f"PRAGMA application_id = {application_id}")
            connection.execute(f"PRAGMA user_version = {version}")

    return make


def short(path: Path) -> None:
    """Make a state file of which little is left."""
    with opened(path):
        pass
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (foreign_database(0), "is not a state file of this exporter; it is left as it is; name another file"),
        (foreign_database(1), "is not a state file of this exporter"),
        (foreign_database(0x59435746, 2), "was written by a newer version of the exporter"),
        (foreign_database(0x59435746, 0), "is corrupt (its tables are not those of this exporter)"),
        (foreign_database(0x59435746), "is corrupt (its tables are not those of this exporter)"),
        (lambda path: path.write_text("workflows: [dfq1]\n"), "is not a state file of this exporter"),
        (lambda path: path.write_bytes(b"\n"), "is not a state file of this exporter"),
        (lambda path: path.write_bytes(b"\0" * 8192), "is not a state file of this exporter"),
        (
            lambda path: path.write_bytes(b"x" * 68 + b"YCWF" + b"x" * 60),
            "is not a state file of this exporter",
        ),
        (short, "is not a state file of this exporter"),
    ],
)
def test_what_is_not_ours_keeps_its_bytes(path: Path, make: Callable[[Path], object], text: str) -> None:
    """A file of another program or of a later version is refused before a byte of it changes."""
    make(path)
    before = traces(path)
    for what in (StateFile, StateFile.check):
        assert text in refusal(what, path)
        assert traces(path) == before


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    """A file that holds nothing is filled; `check` does not fill it, nor make what is missing."""
    StateFile.check(path)
    assert not path.exists()
    path.touch()
    StateFile.check(path)
    assert path.stat().st_size == 0
    assert held(path) == {}
    assert path.stat().st_size > 0


def test_a_journal_of_a_file_that_was_moved_away_is_nothing(written: Path) -> None:
    """A file that is moved away without its journal, against the advice, leaves room for a new one."""
    written.rename(written.with_name("moved"))
    Path(f"{written}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0" * 1000)
    assert held(written) == {}


def link(path: Path) -> None:
    """Make a symbolic link to what could be a state file."""
    target = path.with_name("target")
    target.touch()
    path.symlink_to(target)


def listening(path: Path) -> None:
    """Make a socket in the file system."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Path.mkdir, "is a folder; name a regular file"),
        (link, "is a symbolic link; name a regular file"),
        (os.mkfifo, "is a pipe; name a regular file"),
        (listening, "is a device or a socket; name a regular file"),
        (lambda path: path.parent.rmdir(), "cannot be created: create the folder"),
        (lambda path: path.parent.rmdir() or path.parent.touch(), "Not a directory; name another file"),
        (lambda path: path.parent.rmdir() or path.parent.symlink_to(path.parent), "levels of symbolic links"),
    ],
)
def test_what_can_be_no_state_file_is_refused(path: Path, make: Callable[[Path], object], text: str) -> None:
    """A path that leads to no regular file is refused at once, and named."""
    make(path)
    for what in (StateFile, StateFile.check):
        assert text in refusal(what, path)


def test_devices_and_impossible_names_are_refused() -> None:
    """A device is not waited for, and no name is an error of another kind."""
    for what in (StateFile, StateFile.check):
        assert "is a device" in refusal(what, Path("/dev/tty"))
        assert "is a device" in refusal(what, Path("/dev/null"))
        assert "name too long" in refusal(what, Path("/tmp") / ("x" * 300))  # noqa: S108 - nothing is made there
        assert "null byte" in refusal(what, Path("/tmp/a\0b"))  # noqa: S108 - nothing is made there


@pytest.mark.parametrize("new", [True, False])
def test_a_place_without_room_for_a_journal_is_refused_at_open(path: Path, new: bool) -> None:
    """Where the journal cannot be made, the start fails, not the first scrape."""
    if not new:
        with opened(path) as state:
            state.write([Change("w", {"a": 1})])
    before = path.read_bytes() if path.exists() else b""
    Path(f"{path}-journal").mkdir()
    assert "or its -journal cannot be " in refusal(StateFile, path)
    assert path.read_bytes() == before


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from exporter.statefile import StateError, StateFile
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for what in (StateFile, StateFile.check):
    try:
        what(Path(sys.argv[1]))
    except StateError as error:
        print(error)
    else:
        print("fine")
"""


@pytest.mark.parametrize(
    ("file", "folder", "texts"),
    [
        (0o444, 0o755, ["cannot be written: give", "needs its folder writable"]),
        (0o444, 0o777, ["cannot be written: give", "cannot be written: give"]),
        (0o000, 0o777, ["cannot be written: give", "cannot be written: give"]),
        (0o666, 0o555, ["its folder, on a file system", "needs its folder writable"]),
        (0o666, 0o000, ["cannot be written: give", "cannot be written: give"]),
        (None, 0o555, ["make the folder", "needs its folder writable"]),
    ],
)
def test_what_a_user_may_not_do_is_told(file: int | None, folder: int, texts: list[str]) -> None:
    """Rights that are missing, of the file or its folder, are told at the start."""
    # The folders of pytest are closed to other users, and root, whom nothing binds, becomes one of them.
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        state = Path(outer, "state", "state.db")
        state.parent.mkdir()
        if file is not None:
            held(state)
            state.chmod(file)
        state.parent.chmod(folder)
        result = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, str(state)], capture_output=True, text=True, check=False
        )
        state.parent.chmod(0o755)
    lines = result.stdout.splitlines()
    assert [text in line for text, line in zip(texts, lines, strict=True)] == [True, True], (
        lines,
        result.stderr,
    )


@pytest.mark.parametrize("limit", [40_000, 150_000])
def test_a_full_disk_leaves_the_file_as_it_was(path: Path, limit: int) -> None:
    """A write for which there is no room is told and undone; with room again, the same file is written on."""
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(limit), "on"], capture_output=True, text=True, check=True
    )
    error, undone, on = result.stdout.splitlines()
    assert error.startswith(f"the state file {path} or its -journal cannot be read or written")
    assert undone == f"1 {Saved({'n': 0}, {('n',): 0})}"
    assert on == f"2 {Saved({'n': 1}, {('n',): 1})}"
    assert held(path)["w"] == Saved({"n": 1}, {("n",): 1})


def test_a_full_disk_and_a_kill_leave_the_file_as_it_was(path: Path) -> None:
    """What a write without room left behind is undone also by the next process."""
    subprocess.run(
        [sys.executable, "-c", FULL, str(path), "150000", "killed"], capture_output=True, check=False
    )
    assert held(path) == {"w": Saved({"n": 0}, {("n",): 0})}


def replaced(path: Path) -> None:
    """Put a copy in the place of a file."""
    shutil.copy(path, f"{path}2")
    Path(f"{path}2").replace(path)


@pytest.mark.parametrize("lose", [Path.unlink, replaced])
def test_a_file_that_is_gone_is_told(written: Path, lose: Callable[[Path], object]) -> None:
    """A file deleted or replaced while in use is not written to as if it were there."""
    with opened(written) as state:
        lose(written)
        text = "was deleted or replaced while in use; restart the exporter"
        assert text in refusal(lambda _: state.write([Change("w", {"a": 1})]), written)


def test_a_file_cut_short_is_corrupt(written: Path) -> None:
    """Whatever is missing of the end, the file is refused and keeps its bytes."""
    whole = written.read_bytes()
    lengths = {100, 101, 511, 512, 4095, 4096, 4097, 8192, len(whole) - 4096, len(whole) - 1}
    for length in sorted(lengths):
        written.write_bytes(whole[:length])
        for what in (StateFile, StateFile.check):
            assert "is corrupt (" in (text := refusal(what, written))
            assert "\n" not in text
            assert text.endswith("move it and the -journal beside it away; counters then begin at 0")
            assert written.read_bytes() == whole[:length]


@pytest.mark.parametrize("page", [1, 2, 3, -1])
def test_a_page_of_noise_is_corrupt(written: Path, page: int) -> None:
    """A page overwritten by something else is found when the file is opened, and by `check`."""
    whole = written.read_bytes()
    pages = [whole[i : i + 4096] for i in range(0, len(whole), 4096)]
    pages[page] = random.Random(page).randbytes(4096)
    written.write_bytes(b"".join(pages))
    before = traces(written)
    for what in (StateFile, StateFile.check):
        assert "is corrupt (" in (text := refusal(what, written))
        assert "\n" not in text
        assert traces(written) == before


@given(st.integers(0, 10**9), st.integers(1, 255))
@example(3847, 128)
@fuzzed(60)
def test_a_flipped_byte_is_read_or_told(place: int, flip: int) -> None:
    """Whatever byte is another, there is no error but StateError, and no byte changes when it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        with opened(path) as state:
            state.write(
                Change(f"w{i}", {"a": i}, {("n", "m"): i}, {f"{i}": (i, "RUNNING")}) for i in range(9)
            )
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= flip
        path.write_bytes(content)
        with contextlib.suppress(StateError):
            StateFile.check(path)
        try:
            state = StateFile(path)
        except StateError:
            assert path.read_bytes() == content
            return
        with contextlib.closing(state), contextlib.suppress(StateError):
            state.load()
            state.write([Change("w1", forgotten=True)])


def test_corruption_met_while_in_use_is_told(path: Path) -> None:
    """A page that goes bad after the start is an error of the next load and of a write that needs it."""
    # Another process writes it: to close the file here would drop the lock.
    noise = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(4096); f.write(b'\\xee' * 8_000_000)"
    with opened(path) as state:
        # More than SQLite keeps in memory.
        state.write(Change(f"w{i}", {"pad": "x" * 2000}, {("n",): 1}, {"e": (i,)}) for i in range(4000))
        subprocess.run([sys.executable, "-c", noise, str(path)], check=True)
        assert "is corrupt (" in refusal(lambda _: state.load(), path)
        forgotten = [Change(f"w{i}", forgotten=True) for i in range(4000)]
        assert "is corrupt (" in refusal(lambda _: state.write(forgotten), path)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("facts", "value", "[]"), ("facts", "value", "{"), ("facts", "workflow_id", "w1"),
        ("totals", "value", "1.5"), ("totals", "value", ""), ("totals", "key", '["a",1]'),
        ("totals", "key", '"a"'), ("records", "value", "{}"), ("records", "key", "1"),
        ("records", "value", "[" * 100_000), ("records", "value", b"\xff"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_told(path: Path, table: str, column: str, value: object) -> None:
    """A row that is not what was written is named, never dropped in silence."""
    with opened(path) as state:
        state.write([Change("w1", {"a": 1}, {("n",): 1}, {"e": (1,)})])
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - our own names
    text = refusal(held, path)
    assert f"is corrupt: table {table}, workflow" in text
    assert "w1" in text


def test_a_check_beside_a_busy_writer_is_content(path: Path) -> None:
    """A file that changes while it is looked at is not taken for a corrupt one."""
    with child(WRITER, path, 5) as process:
        said(process)
        for _ in range(30):
            StateFile.check(path)
            assert said(process)


def test_the_files_are_plain_json(path: Path) -> None:
    """With any SQLite a person can read what is kept."""
    with opened(path) as state:
        state.write([Change("w1", {"ы": 1}, {("n", "m"): 1}, {"e": (1,)})])
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM facts").fetchall() == [
            ('"w1"', json.dumps({"ы": 1}, separators=(",", ":")))
        ]
        assert connection.execute("SELECT * FROM totals").fetchall() == [('"w1"', '["n","m"]', "1")]
        assert connection.execute("SELECT * FROM records").fetchall() == [('"w1"', '"e"', "[1]")]
