"""What keeps the exporter from starting is told in a line: what, why and what to do; never a traceback."""

import itertools
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import processes
import pytest
import starts

from exporter.simulator import Simulator
from exporter.statefile import StateFile

HEAP = 64 << 20
Ends = dict[str, Future[subprocess.CompletedProcess[str]]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Return a folder that other users may enter, unlike those of pytest, with all files of the rows."""
    with tempfile.TemporaryDirectory() as name:
        starts.prepare(Path(name))
        yield Path(name)


@pytest.fixture(scope="module")
def ends(folder: Path) -> Iterator[Ends]:
    """Return how each start ends: they run beside each other, with a port and a state file in use."""
    StateFile(folder / "held.db").close()
    held = StateFile(folder / "held.db")
    with socket.create_server(("127.0.0.1", 0)) as taken, ThreadPoolExecutor(3) as beside:
        port = taken.getsockname()[1]
        # The longest first.
        names = sorted(starts.ROWS, key=lambda name: name != "config a pipe without a writer")
        running = {
            name: beside.submit(starts.launched, starts.ROWS[name], folder, port)
            for name in names
            if name not in starts.TOGETHER
        }
        together = [(name, name, "serve") for name in starts.TOGETHER]
        together += [(f"check: {name}", name, "check") for name in starts.CHECKED]
        asked = [starts.asked(starts.ROWS[row], folder, port, command) for _, row, command in together]
        results = starts.launched_together(asked)
        for (name, _, _), result in zip(together, results, strict=True):
            running[name] = Future()
            running[name].set_result(result)
        yield running
    held.close()


@pytest.mark.parametrize("name", starts.ROWS)
def test_a_start_that_fails_says_what_to_do(ends: Ends, folder: Path, name: str) -> None:
    """The documented exit code, and on standard error a line with these words; nothing secret."""
    row, done = starts.ROWS[name], ends[name].result()
    if row.shell != 'exec "$@"' and (lacking := starts.missing(row, folder)):
        pytest.skip(f"this machine cannot make it fail so: {lacking}")
    said = done.stderr.replace(str(folder), "{}")
    assert done.returncode == row.code, said
    missing = [word for word in row.words if word != "{port}" and word.replace("{port}", "") not in said]
    assert not missing, said
    assert len(said.splitlines()) == row.lines, said
    assert "Traceback" not in said
    assert "t1." not in said
    assert not done.stdout


@pytest.mark.parametrize("name", starts.CHECKED)
def test_check_says_the_same_before_the_start(ends: Ends, name: str) -> None:
    """What serving would refuse of its files is found by `check`, word for word."""
    checked = ends[f"check: {name}"].result()
    assert (checked.returncode, checked.stderr) == (2, ends[name].result().stderr)


SURVIVED = {
    "a locale of ASCII": "export LC_ALL=C LANG=C; ",
    "no home": "unset HOME; ",
    "a folder that is gone": 'mkdir "$0.d" && cd "$0.d" && rmdir "$0.d" && ',
    "a safe path": "export PYTHONSAFEPATH=1; ",
    "few files": "ulimit -n 64; ",
    "no place for temporary files": "export TMPDIR=/none; ",
    "no streams": "exec <&- >&- 2>&-; ",
    "a full log": "exec >/dev/full 2>/dev/full; ",
}


@pytest.mark.parametrize("name", SURVIVED)
def test_poor_surroundings_are_no_obstacle(name: str, folder: Path, tmp_path: Path) -> None:
    """The exporter serves in them, reads its configuration in UTF-8, and ends with 0."""
    config, port = folder / "utf8.yml", processes.free_port()
    config.write_text("executions: [{id: a, alias: ночной запуск}]\n", encoding="utf-8")
    flags = [f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"]
    command = ["sh", "-c", f'{SURVIVED[name]}exec "$@"', str(tmp_path / "x")]
    environ = processes.clean_environ(YC_IAM_TOKEN="t1.token", PYTHONPATH=str(Path(__file__).parent.parent))
    log = tmp_path / "log"
    with processes.running([*command, *processes.exporter_command(*flags)], log, environ) as process:
        processes.until(lambda: processes.get(f"http://127.0.0.1:{port}/-/healthy")[0] == 200)
        assert "ночной запуск" in processes.get(f"http://127.0.0.1:{port}/config")[1]
        process.terminate()
        assert process.wait(10) == 0
    assert "Traceback" not in log.read_text()


def test_a_slow_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """A configuration may be decrypted while we wait for it: what comes in parts is taken whole."""
    pipe = tmp_path / "config"
    os.mkfifo(pipe)
    command = processes.exporter_command("check", f"--config.file={pipe}")
    environ = processes.clean_environ(YC_IAM_TOKEN="t1.token")
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        with pipe.open("w") as writer:
            for part in ("executions: [", "one, ", "two]\n"):
                writer.write(part)
                writer.flush()
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, "2 executions" in out) == (0, True)


def test_a_clock_before_1970_is_no_obstacle() -> None:
    """A machine that does not know the time yet gets a first page all the same."""
    with Simulator() as cloud:
        code = "import time; time.time = lambda: -1e6; from exporter.__main__ import main; main()"
        arguments = [f"--api.endpoint={cloud.base_url}", f"--execution={cloud.execution_ids()[0]}"]
        done = subprocess.run(
            [sys.executable, "-c", code, "scrape", *arguments],
            env=processes.clean_environ(YC_IAM_TOKEN=cloud.token),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "yc_workflow_up 1.0" in done.stdout


def test_all_threads_share_one_heap(tmp_path: Path) -> None:
    """With heaps of their own, for each of which glibc reserves 64 MiB, memory would grow for days."""
    with Simulator(latency=0.05) as cloud:
        ids = [f"--execution={id_}" for id_ in cloud.execution_ids()]
        flags = (f"--api.endpoint={cloud.base_url}", *ids)
        environ = processes.clean_environ(YC_IAM_TOKEN=cloud.token)
        with processes.serving(tmp_path, *flags, environ=environ) as (url, process):
            for _ in range(3):
                assert processes.get(f"{url}/metrics")[0] == 200
            maps = Path(f"/proc/{process.pid}/maps").read_text()
    assert heaps_of_threads(maps) == 0


def heaps_of_threads(maps: str) -> int:
    """Count glibc's heaps beside the first: used at its start, the rest of 64 MiB reserved; no stack is."""
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+)", maps, re.MULTILINE)
    parts = [(int(start, 16), int(end, 16), mode) for start, end, mode in found]
    return sum(
        start % HEAP == 0 and (mode, end) == ("rw-p", rest) and (rests, over) == ("---p", start + HEAP)
        for (start, end, mode), (rest, over, rests) in itertools.pairwise(parts)
    )
