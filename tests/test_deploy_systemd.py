"""The systemd unit: valid, hardened, and the exporter runs by its command."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from manifests import Manifests, built
from processes import clean_environ, exporter_command, free_port, get, run_exporter, running, until

from exporter.serving import DRAIN_SECONDS
from exporter.settings.arguments import parsed
from exporter.simulator import Simulator

FOLDER = Path(__file__).parent.parent / "deploy" / "systemd"
UNIT = FOLDER / "yc-workflow-exporter.service"
TEXT = UNIT.read_text()
NAME = "yc-workflow-exporter"
PROGRAM = f"/opt/{NAME}/bin/{NAME}"
EXPOSURE = 1.5
"""The most that `systemd-analyze security` may say, of 10."""


def settings(text: str = TEXT) -> dict[str, list[str]]:
    """Return what a unit sets, each with its values in their order."""
    found: dict[str, list[str]] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


SETTINGS = settings()


def analyze(text: str, tmp_path: Path, *command: str) -> tuple[int, str]:
    """Return the exit code of systemd-analyze for a unit, and what it says."""
    path = tmp_path / UNIT.name
    path.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", *command, "--no-pager", path],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )
    return done.returncode, done.stdout + done.stderr


def installed(text: str) -> str:
    """Return the unit with a program that is there: systemd looks for it."""
    assert PROGRAM in text
    return text.replace(PROGRAM, str(shutil.which("true")))


def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    """Every setting is known, every value valid, every program there."""
    assert analyze(installed(TEXT), tmp_path, "verify") == (0, "")


@pytest.mark.parametrize(
    ("line", "wrong", "told"),
    [
        ("ProtectProc=invisible", "ProtectProcc=invisible", "ProtectProcc"),
        ("MemoryMax=", "MemoryMax=lots", "limit 'lots"),
        ("SystemCallFilter=@system-service", "SystemCallFilter=@no-such", "no-such"),
        ("ExecReload=/bin/kill", "ExecReload=/bin/no-such", "/bin/no-such"),
    ],
)
def test_systemd_tells_what_is_wrong(line: str, wrong: str, told: str, tmp_path: Path) -> None:
    """A setting that is mistyped would only be passed over at the start."""
    assert line in TEXT
    assert told in analyze(installed(TEXT.replace(line, wrong)), tmp_path, "verify")[1]


def exposure(text: str, tmp_path: Path) -> float:
    """Return how exposed systemd says that a service is, from 0 to 10."""
    _, said = analyze(text, tmp_path, "security", "--offline=true")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def test_the_service_is_hardly_exposed(tmp_path: Path) -> None:
    """As systemd reckons; what is left is that it speaks to the network."""
    assert exposure(TEXT, tmp_path) <= EXPOSURE
    bare = re.sub(
        r"^(Protect|Private|Restrict|SystemCall|Capability|NoNew|Dynamic).*\n", "", TEXT, flags=re.MULTILINE
    )
    assert exposure(bare, tmp_path) > 4 * EXPOSURE


def test_the_process_is_told_its_own_start() -> None:
    """ProcSubset=pid would hide /proc/stat, and with it every process_* metric."""
    assert "ProcSubset" not in SETTINGS


def test_it_is_tried_again_whatever_ended_it() -> None:
    """A file that is put there later is found: no exit code and no number of tries is the last."""
    assert SETTINGS["Restart"] == ["on-failure"]
    assert SETTINGS["StartLimitIntervalSec"] == ["0"]
    assert "RestartPreventExitStatus" not in SETTINGS


def test_there_is_time_to_end() -> None:
    """More than the exporter takes to let requests end."""
    assert float(SETTINGS["TimeoutStopSec"][0].removesuffix("s")) >= DRAIN_SECONDS + 5


def test_memory_is_limited_as_in_kubernetes() -> None:
    """One number, from the bench."""
    limit = Manifests(built()).container["resources"]["limits"]["memory"]
    assert SETTINGS["MemoryMax"] == [limit.removesuffix("i")]


def test_the_commands_put_the_files_where_the_unit_looks() -> None:
    """What the head of the unit says installs all that it names, the key for root alone."""
    head = TEXT.partition("[Unit]")[0]
    assert f"python3 -m venv /opt/{NAME} && /opt/{NAME}/bin/pip install ." in head
    put = dict(re.findall(r"install -D -m (\d+) \S+ (\S+)", head))
    config, key = f"/etc/{NAME}/config.yml", f"/etc/{NAME}/key.json"
    assert put == {"0644": config, "0600": key}
    assert f"--config.file={config}" in command(Path("/"))
    assert SETTINGS["LoadCredential"] == [f"key.json:{key}"]
    for path in re.findall(r"deploy/\S+", head):
        assert (FOLDER.parent.parent / path).is_file(), path


def test_every_file_is_told_of() -> None:
    """What the commands do not name is used by nobody."""
    assert {path.name for path in FOLDER.iterdir()} == set(re.findall(r"deploy/systemd/(\S+)", TEXT))


# The exporter, run by the command of the unit.


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with some lives in it."""
    with Simulator() as simulator:
        yield simulator


def command(root: Path) -> list[str]:
    """Return the command of the unit with the specifiers as systemd fills them in, below a folder."""
    (line,) = SETTINGS["ExecStart"]
    (state,) = SETTINGS["StateDirectory"]
    assert f"%S/{state}/" in line
    base = str(root).rstrip("/")
    line = (
        line.replace("=/", f"={base}/").replace("%S", f"{base}/var/lib").replace("%d", f"{base}/credentials")
    )
    assert "%" not in line.replace(base, "")
    return shlex.split(line)


def laid_out(cloud: Simulator, root: Path) -> list[str]:
    """Put the files there, and return the arguments of the exporter."""
    for folder in (f"etc/{NAME}", f"var/lib/{NAME}", "credentials"):
        (root / folder).mkdir(parents=True)
    shutil.copy(FOLDER / "config.yml", root / "etc" / NAME)
    cloud.create_key(root / "credentials", SETTINGS["LoadCredential"][0].partition(":")[0])
    program, *given = command(root)
    assert program == PROGRAM
    return given


def test_the_example_of_a_configuration_is_valid(cloud: Simulator, tmp_path: Path) -> None:
    """The real `check` has nothing to say of it; the arguments are those of a server."""
    given = laid_out(cloud, tmp_path)
    assert parsed(given).command is None
    done = run_exporter("check", *given)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_the_exporter_runs_and_reloads_as_the_unit_says(cloud: Simulator, tmp_path: Path) -> None:
    """It serves the data of a cloud, reads its configuration again, and ends with 0."""
    given, address = laid_out(cloud, tmp_path), f"127.0.0.1:{free_port()}"
    environ = clean_environ(
        YC_WORKFLOW_API__ENDPOINT=cloud.base_url,
        YC_WORKFLOW_API__IAM_ENDPOINT=cloud.base_url,
        YC_WORKFLOW_FOLDERS=cloud.folder_id,
        YC_WORKFLOW_WEB__LISTEN_ADDRESS=address,
    )
    log = tmp_path / "log"
    with running(exporter_command(*given), log, environ) as process:
        until(lambda: "yc_workflow_up 1.0" in get(f"http://{address}/metrics")[1])
        (reload,) = SETTINGS["ExecReload"]
        subprocess.run(shlex.split(reload.replace("$MAINPID", str(process.pid))), check=True, timeout=10)
        until(lambda: "configuration reloaded" in log.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert (tmp_path / "var" / "lib" / NAME / "state.db").stat().st_size > 0
