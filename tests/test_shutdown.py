"""SIGTERM at any moment: who asks gets a whole answer, counts are kept, the exit code is 0."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import processes
import pytest

from exporter.simulator import Fault, FaultRule, Simulator
from exporter.statefile import StateFile

SOON = 3.0
"""Seconds in which an exporter that nobody asks ends, on a busy machine."""
DRAIN = 9.0
"""Seconds in which one ends that somebody waits for: five of drain, and a busy machine."""


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with a life of its own."""
    with Simulator() as simulator:
        yield simulator


def flags(cloud: Simulator, *more: str) -> list[str]:
    """Return flags for one execution and one folder, with a patience that outlasts any drain."""
    targets = [f"--execution={cloud.execution_ids()[0]}", f"--folder={cloud.folder_id}"]
    return [f"--api.endpoint={cloud.base_url}", "--api.timeout=60s", "--scrape.timeout=60s", *targets, *more]


@contextlib.contextmanager
def serving(
    cloud: Simulator, tmp_path: Path, *more: str
) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """Run the exporter over the cloud; return its URL, its process and its log, which has no traceback."""
    environ = processes.clean_environ(YC_IAM_TOKEN=cloud.token)
    with processes.serving(tmp_path, *flags(cloud, *more), environ=environ) as (url, process):
        log = tmp_path / "exporter.log"
        yield url, process, log
        assert "Traceback" not in log.read_text()


def ended(process: subprocess.Popen[bytes], seconds: float, number: int = signal.SIGTERM) -> int:
    """Send a signal and return the exit code."""
    process.send_signal(number)
    return process.wait(seconds)


def connected(url: str, number: int) -> list[http.client.HTTPConnection]:
    """Return connections, each after a first answer."""
    made = [http.client.HTTPConnection(url.removeprefix("http://"), timeout=15) for _ in range(number)]
    for connection in made:
        connection.request("GET", "/-/healthy")
        connection.getresponse().read()
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_exporter_ends_at_once(cloud: Simulator, tmp_path: Path, number: int) -> None:
    """With fifty connections that are kept for later; the log says why it ends, and that it did."""
    with serving(cloud, tmp_path) as (url, process, log):
        connections = connected(url, 50)
        assert ended(process, SOON, number) == 0
        for connection in connections:
            connection.close()
        said = log.read_text().splitlines()
    assert f"msg=stopping signal={signal.Signals(number).name}" in said[-2]
    assert "msg=stopped" in said[-1]


@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.4])
def test_a_signal_during_the_start_is_not_lost(cloud: Simulator, tmp_path: Path, after: float) -> None:
    """Whatever it is about to load or to open: it ends, with 0 or as by a signal that nobody took yet."""
    command = processes.exporter_command("--web.listen-address=127.0.0.1:0", *flags(cloud))
    with processes.running(command, tmp_path / "log", processes.clean_environ(YC_IAM_TOKEN="t1")) as process:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after)
        assert ended(process, 10.0) in {0, -signal.SIGTERM}
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("between", ["nothing", "a reload"])
def test_a_page_that_waits_for_a_stalled_cloud_is_finished(
    cloud: Simulator, tmp_path: Path, between: str
) -> None:
    """It has what was read so far, also if a reload came since it began; nobody else comes in."""
    cloud.faults.add(FaultRule(Fault.STALL, target=cloud.execution_ids()[0]))
    with serving(cloud, tmp_path) as (url, process, log), ThreadPoolExecutor(1) as beside:
        page = beside.submit(processes.get, f"{url}/metrics")
        processes.until(lambda: cloud.count("Execution.Get") and cloud.count("Workflow.List"))
        if between == "a reload":
            process.send_signal(signal.SIGHUP)
            processes.until(lambda: "configuration reloaded" in log.read_text())
        process.send_signal(signal.SIGTERM)
        processes.until(lambda: not accepts(url))
        code, text = page.result(DRAIN)
        assert process.wait(SOON) == 0
    assert code == 200
    assert 'yc_workflow_exporter_scrape_failed_targets{kind="execution"} 1.0' in text
    assert 'yc_workflow_exporter_scrape_failed_targets{kind="folder"} 0.0' in text


def accepts(url: str) -> bool:
    """Whether a connection can be had."""
    try:
        socket.create_connection(place(url), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def place(url: str) -> tuple[str, int]:
    """Return host and port."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def writer(pipe: Path) -> int:
    """Return a descriptor that writes to a pipe; raises OSError while nobody reads it."""
    return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)


def test_a_token_that_is_not_issued_holds_up_nobody(cloud: Simulator, tmp_path: Path) -> None:
    """The page that waits for the token says so within the drain."""
    cloud.faults.add(FaultRule(Fault.STALL, method="Iam.CreateToken"))
    key = cloud.create_key(tmp_path)
    more = [f"--auth.service-account-key-file={key}", f"--api.iam-endpoint={cloud.base_url}"]
    environ = processes.clean_environ()
    with (
        processes.serving(tmp_path, *flags(cloud, *more), environ=environ) as (url, process),
        ThreadPoolExecutor(1) as beside,
    ):
        page = beside.submit(processes.get, f"{url}/metrics")
        processes.until(lambda: cloud.count("Iam.CreateToken") or cloud.in_flight)
        assert ended(process, DRAIN) == 0
        assert page.result(1)[0] == 200


def test_a_second_signal_ends_at_once(cloud: Simulator, tmp_path: Path) -> None:
    """Who does not want to wait for the drain need not; the exit code is that of a signal."""
    cloud.faults.add(FaultRule(Fault.STALL))
    with serving(cloud, tmp_path) as (url, process, log), ThreadPoolExecutor(1) as beside:
        page = beside.submit(processes.get, f"{url}/metrics")
        processes.until(cloud.count)
        process.send_signal(signal.SIGTERM)
        processes.until(lambda: "stopping" in log.read_text())
        assert ended(process, 1.0) == 128 + signal.SIGTERM
        assert page.exception(5) is not None


def test_a_storm_of_reloads_is_a_few(cloud: Simulator, tmp_path: Path) -> None:
    """A hundred SIGHUP at once are fewer reloads, pages go on meanwhile, the end is not late."""
    with serving(cloud, tmp_path) as (url, process, log):
        for _ in range(100):
            process.send_signal(signal.SIGHUP)
        assert processes.get(f"{url}/metrics")[0] == 200
        processes.until(lambda: "configuration reloaded" in log.read_text())
        process.send_signal(signal.SIGHUP)
        assert ended(process, SOON) == 0
        assert log.read_text().count("configuration reloaded") < 100


def test_a_reload_that_waits_holds_up_no_end(cloud: Simulator, tmp_path: Path) -> None:
    """The configuration has become a pipe that nobody writes; SIGTERM, and a SIGHUP after it, find it so."""
    config = tmp_path / "config.yml"
    config.write_text("recent_window: 2h\n")
    with serving(cloud, tmp_path, f"--config.file={config}") as (_, process, _):
        config.unlink()
        os.mkfifo(config)
        process.send_signal(signal.SIGHUP)
        # A writer that is there and writes nothing can be had once somebody reads.
        silent = processes.until(lambda: writer(config))
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGHUP)
        assert process.wait(SOON) == 0
        os.close(silent)


def test_what_a_page_showed_is_in_the_state_file(cloud: Simulator, tmp_path: Path) -> None:
    """A signal in the middle of scrapes leaves a whole file with what was counted, and no journal."""
    file = tmp_path / "state.db"
    with (
        serving(cloud, tmp_path, f"--state.file={file}") as (url, process, _),
        ThreadPoolExecutor(4) as beside,
    ):
        pages = [beside.submit(processes.get, f"{url}/metrics") for _ in range(4)]
        processes.until(lambda: cloud.count("Execution.List"))
        assert ended(process, DRAIN) == 0
        assert {page.result(1)[0] for page in pages} == {200}
    assert not Path(f"{file}-journal").exists()
    StateFile.check(file)
    saved = StateFile(file)
    assert set(saved.load()) == set(cloud.workflow_ids(cloud.folder_id))
    saved.close()


def test_a_password_that_is_checked_holds_up_no_end(cloud: Simulator, tmp_path: Path) -> None:
    """A hash that takes seconds is under way when the signal comes."""
    web = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode().replace("$04$", "$16$")
    web.write_text(f"basic_auth_users: {{alice: '{hashed}'}}\n")
    asked = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWxpY2U6eA==\r\n\r\n"
    with (
        serving_behind(cloud, tmp_path, web) as (url, process),
        socket.create_connection(place(url), 5) as client,
    ):
        client.sendall(asked)
        assert ended(process, DRAIN) == 0


def test_a_reader_that_reads_no_further_holds_up_no_end(cloud: Simulator, tmp_path: Path) -> None:
    """He has the first bytes of a page that is larger than all buffers; the drain is his time, no more."""
    config = tmp_path / "config.yml"
    config.write_text("executions:\n" + "".join(f"- {number:0>128}\n" for number in range(8000)))
    with serving(cloud, tmp_path, f"--config.file={config}") as (url, process, _), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(15)
        slow.connect(place(url))
        slow.sendall(b"GET /config HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.recv(10).startswith(b"HTTP/1.1")
        assert ended(process, DRAIN) == 0


@contextlib.contextmanager
def serving_behind(
    cloud: Simulator, tmp_path: Path, web: Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run an exporter that wants a password, and so says 401 when it is there."""
    url = f"127.0.0.1:{processes.free_port()}"
    more = [f"--web.listen-address={url}", f"--web.config.file={web}"]
    command = processes.exporter_command(*more, *flags(cloud))
    environ = processes.clean_environ(YC_IAM_TOKEN=cloud.token)
    with processes.running(command, tmp_path / "log", environ) as process:
        processes.until(lambda: processes.get(f"http://{url}/-/healthy")[0] == 401)
        yield f"http://{url}", process


def test_signals_for_those_who_look(cloud: Simulator, tmp_path: Path) -> None:
    """SIGQUIT tells where each thread is, without values, and the exporter goes on."""
    with serving(cloud, tmp_path) as (url, process, log):
        process.send_signal(signal.SIGQUIT)
        processes.until(lambda: "wait_for_the_end" in log.read_text())
        assert processes.get(f"{url}/metrics")[0] == 200
        assert cloud.token not in log.read_text()
        assert ended(process, SOON) == 0


def test_closed_streams_are_no_hindrance(cloud: Simulator) -> None:
    """Who read the log has gone; the end is the same."""
    reader, writer = os.pipe()
    url = f"127.0.0.1:{processes.free_port()}"
    command = processes.exporter_command(f"--web.listen-address={url}", *flags(cloud))
    environ = processes.clean_environ(YC_IAM_TOKEN=cloud.token)
    with subprocess.Popen(command, stdout=writer, stderr=writer, env=environ) as process:
        try:
            processes.until(lambda: processes.get(f"http://{url}/-/healthy")[0] == 200)
            os.close(writer)
            os.close(reader)
            assert ended(process, SOON) == 0
        finally:
            process.kill()


FIRST = (
    ("--pid", "--fork", "--kill-child") if os.getuid() == 0 else ("-Ur", "--pid", "--fork", "--kill-child")
)


@pytest.mark.parametrize("moment", ["serving", "loading"])
def test_the_first_process_of_a_container_hears_signals(
    cloud: Simulator, tmp_path: Path, moment: str
) -> None:
    """What the system would not let it hear by default: SIGTERM ends it, from its first moment on."""
    url = f"127.0.0.1:{processes.free_port()}"
    command = processes.exporter_command(f"--web.listen-address={url}", *flags(cloud))
    environ = processes.clean_environ(YC_IAM_TOKEN=cloud.token)
    with processes.running(["unshare", *FIRST, *command], tmp_path / "log", environ) as process:
        (inside,) = processes.until(lambda: children(process.pid))
        if moment == "serving":
            processes.until(lambda: processes.get(f"http://{url}/-/healthy")[0] == 200)
        else:
            processes.until(lambda: blocks(inside, signal.SIGTERM), every=0.005)
        os.kill(inside, signal.SIGTERM)
        assert process.wait(DRAIN) == 0


def children(pid: int) -> Sequence[int]:
    """Return the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def blocks(pid: int, number: int) -> bool:
    """Whether a process keeps a signal for later; a copy of `unshare` does so, too, but is not meant."""
    if b"unshare" in Path(f"/proc/{pid}/cmdline").read_bytes():
        return False
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigBlk:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("state", ["serving", "gone", "ending"])
def test_health_tells_the_states_apart(cloud: Simulator, tmp_path: Path, state: str) -> None:
    """0 while it serves; 1 when it does not, or takes no more because it is about to end."""
    cloud.faults.add(FaultRule(Fault.STALL))
    with serving(cloud, tmp_path) as (url, process, _), ThreadPoolExecutor(1) as beside:
        page = beside.submit(processes.get, f"{url}/metrics")
        processes.until(cloud.count)
        if state != "serving":
            process.send_signal(signal.SIGTERM)
            processes.until(lambda: not accepts(url))
        if state == "gone":
            assert process.wait(DRAIN) == 0
        program = [*processes.exporter_command()[:2], "exporter.health", f"{url}/-/healthy"]
        began = time.monotonic()
        done = subprocess.run(program, capture_output=True, text=True, timeout=10, check=False)
        assert done.returncode == (0 if state == "serving" else 1)
        assert len(done.stdout.splitlines()) == 1
        assert time.monotonic() - began < 5.0
        if state == "serving":
            process.send_signal(signal.SIGTERM)
        assert process.wait(DRAIN) == 0
        assert page.result(1)[0] == 200
