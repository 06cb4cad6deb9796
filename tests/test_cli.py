"""The command line as a user meets it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

import processes
import pytest

from exporter.simulator import Fault, FaultRule, Simulator
from exporter.simulator.conditions import Conditions


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with a life of its own."""
    with Simulator() as simulator:
        yield simulator


def flags(cloud: Simulator, *ids: str) -> list[str]:
    """Return flags for some executions of the simulator."""
    return [f"--api.endpoint={cloud.base_url}", *(f"--execution={id_}" for id_ in ids)]


def environ(cloud: Simulator) -> dict[str, str]:
    """Return an environment with the simulator's token."""
    return processes.clean_environ(YC_IAM_TOKEN=cloud.token)


def test_scrape_prints_a_page_and_succeeds(cloud: Simulator) -> None:
    """One collection on standard output, exit code 0."""
    ids = cloud.execution_ids()
    done = processes.run_exporter("scrape", *flags(cloud, *ids), environ=environ(cloud))
    assert done.returncode == 0, done.stderr
    assert f'yc_workflow_execution_scrape_success{{execution_id="{ids[0]}"}} 1.0' in done.stdout


def test_scrape_fails_when_a_target_fails(cloud: Simulator) -> None:
    """Exit code 1, and the page all the same."""
    done = processes.run_exporter("scrape", *flags(cloud, "missing"), environ=environ(cloud))
    assert done.returncode == 1
    assert 'yc_workflow_execution_scrape_http_code{execution_id="missing"} 404.0' in done.stdout


@pytest.mark.parametrize("kind", ["workflow", "folder"])
def test_scrape_reads_whole_workflows_and_folders(cloud: Simulator, kind: str) -> None:
    """Their data is on the page; exit code 1 if one of them cannot be read, though the rest is there."""
    good = cloud.workflow_ids()[0] if kind == "workflow" else cloud.folder_id
    done = processes.run_exporter("scrape", *flags(cloud), f"--{kind}={good}", environ=environ(cloud))
    assert done.returncode == 0, done.stderr
    found = cloud.workflow_ids()[:1] if kind == "workflow" else cloud.workflow_ids(good)
    for id_ in found:
        assert f'yc_workflow_scrape_success{{workflow_id="{id_}"}} 1.0' in done.stdout
    cloud.faults.add(FaultRule(Fault.STATUS, target="missing", code=404))
    both = [f"--{kind}={good}", f"--{kind}=missing"]
    done = processes.run_exporter("scrape", *flags(cloud), *both, environ=environ(cloud))
    assert done.returncode == 1
    assert f'yc_workflow_exporter_scrape_failed_targets{{kind="{kind}"}} 1.0' in done.stdout
    assert f'yc_workflow_scrape_success{{workflow_id="{found[0]}"}} 1.0' in done.stdout


def test_check_is_offline(tmp_path: Path) -> None:
    """A configuration is validated without asking anybody; a wrong one is told with the right name."""
    path = tmp_path / "config.yml"
    path.write_text("auth: {iam_token_file: t}\nexecutions: [a]\n")
    (tmp_path / "t").write_text("t1.token")
    assert processes.run_exporter("check", f"--config.file={path}").returncode == 0
    path.write_text("auth: {iam_token_file: t}\nexecution: [a]\n")
    done = processes.run_exporter("check", f"--config.file={path}")
    assert done.returncode == 2
    assert "executions" in done.stderr


def test_check_live_tells_what_each_target_answered(cloud: Simulator) -> None:
    """Good and bad targets by name, the remedy for the bad ones, the calls a day; exit code 1."""
    good = cloud.execution_ids()[0]
    done = processes.run_exporter("check", "--live", *flags(cloud, good, "missing"), environ=environ(cloud))
    assert done.returncode == 1, done.stderr
    assert good in done.stdout
    assert "not_found (1): There is no such execution" in done.stdout
    assert "calls of the API a day" in done.stdout
    assert "with as many runs as in the last 1 h 00 min" in done.stdout
    assert "\x1b[" not in done.stdout


def test_check_live_with_a_wrong_token_says_what_to_do(cloud: Simulator) -> None:
    """A token that the API refuses is told as such."""
    wrong = processes.clean_environ(YC_IAM_TOKEN="t1.wrong")
    done = processes.run_exporter("check", "--live", *flags(cloud, cloud.execution_ids()[0]), environ=wrong)
    assert done.returncode == 1
    assert "unauthorized" in done.stdout
    assert "t1.wrong" not in done.stdout + done.stderr


def test_without_credentials_the_start_says_what_to_give() -> None:
    """One look at standard error is enough; exit code 2."""
    done = processes.run_exporter("check", "--execution=a", environ=processes.clean_environ())
    assert done.returncode == 2
    assert "auth" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_line(cloud: Simulator) -> None:
    """The message names the address; exit code 3."""
    address = cloud.base_url.removeprefix("http://")
    done = processes.run_exporter(f"--web.listen-address={address}", *flags(cloud), environ=environ(cloud))
    assert done.returncode == 3
    assert address in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_the_flags(shell: str) -> None:
    """The script of a shell completes our flags."""
    done = processes.run_exporter("completion", shell)
    assert done.returncode == 0
    assert "--config.file" in done.stdout


def test_the_version_is_that_of_the_package() -> None:
    """`--version` names program and version."""
    assert processes.run_exporter("--version").stdout.startswith("yc-workflow-exporter 0.")


def test_the_demo_serves_its_simulated_executions(tmp_path: Path) -> None:
    """Without an account the demo has a page with data of every kind, and says where to look."""
    address = f"127.0.0.1:{processes.free_port()}"
    command = processes.exporter_command("demo", f"--web.listen-address={address}")
    with processes.running(command, tmp_path / "demo.log", processes.clean_environ()):
        processes.until(lambda: processes.get(f"http://{address}/-/ready")[0] == 200)
        page = processes.get(f"http://{address}/metrics")[1]
    for status in ("QUEUED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "FINISHED"):
        assert any(
            line.startswith("yc_workflow_execution_status{")
            and f'status="{status}"' in line
            and line.endswith(" 1.0")
            for line in page.splitlines()
        )
    workflows = [line for line in page.splitlines() if line.startswith("yc_workflow_scrape_success{")]
    assert workflows
    assert all(line.endswith(" 1.0") for line in workflows)
    assert 'yc_workflow_exporter_scrape_failed_targets{kind="folder"} 0.0' in page
    assert "yc_workflow_info{" in page
    told = (tmp_path / "demo.log").read_text()
    assert f"http://{address}/" in told
    assert "yc-workflow-exporter --folder <ID>" in told


def test_the_simulator_says_what_can_be_watched_and_changed(tmp_path: Path) -> None:
    """The IDs of every kind and the name of every condition: who tries it has nothing to look up."""
    file = tmp_path / "simulate.log"
    command = processes.exporter_command("simulate", "--port=0")
    with processes.running(command, file, processes.clean_environ()):
        processes.until(lambda: "payload_bytes" in file.read_text())
        told = [line.strip() for line in file.read_text().splitlines()]
    with Simulator() as same:
        flows = [id_ for folder in same.folder_ids for id_ in same.workflow_ids(folder)]
        assert [line.split()[1] for line in told if line.startswith("folder ")] == list(same.folder_ids)
        assert [line.split()[1] for line in told if line.startswith("workflow ")] == flows
    conditions = ", ".join(field.name for field in fields(Conditions))
    assert any(line.endswith(f"/conditions (GET, POST: {conditions})") for line in told)


@pytest.mark.parametrize("way", ["key", "file", "metadata", "federation"])
def test_each_way_to_authenticate_gets_data(cloud: Simulator, tmp_path: Path, way: str) -> None:
    """A key, a token file, the metadata service and workload identity all end in a good scrape."""
    (tmp_path / "token").write_text(cloud.token)
    (tmp_path / "subject").write_text(cloud.subject_token)
    auth = {
        "key": f"service_account_key_file: {cloud.create_key(tmp_path)}",
        "file": "iam_token_file: token",
        "metadata": f"metadata: {{endpoint: '{cloud.base_url}'}}",
        "federation": f"workload_identity: {{service_account_id: {cloud.service_account_id}, "
        f"token_file: subject, endpoint: '{cloud.base_url}'}}",
    }[way]
    path = tmp_path / "config.yml"
    path.write_text(
        f"api: {{endpoint: '{cloud.base_url}', iam_endpoint: '{cloud.base_url}'}}\nauth: {{{auth}}}\n"
        f"executions: [{cloud.execution_ids()[0]}]\n"
    )
    done = processes.run_exporter("scrape", f"--config.file={path}")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "yc_workflow_up 1.0" in done.stdout


def test_check_looks_at_every_file(cloud: Simulator, tmp_path: Path) -> None:
    """A web configuration or a line of executions that is wrong is found before the start; exit code 2."""
    web, ids = tmp_path / "web.yml", tmp_path / "ids.txt"
    web.write_text("basic_auth_users: {alice: plain}\n")
    ids.write_text("good\nnot an id\n")
    done = processes.run_exporter("check", f"--web.config.file={web}", *flags(cloud), environ=environ(cloud))
    assert (done.returncode, "bcrypt" in done.stderr) == (2, True)
    done = processes.run_exporter("check", f"--executions-file={ids}", *flags(cloud), environ=environ(cloud))
    assert done.returncode == 2
    assert f"left out: {ids}:2: 'not an id' is not an execution ID" in done.stdout


def test_check_says_that_there_is_nothing_to_watch(cloud: Simulator) -> None:
    """A configuration without targets is valid, and seldom meant."""
    done = processes.run_exporter("check", *flags(cloud), environ=environ(cloud))
    assert (done.returncode, "nothing to watch" in done.stdout) == (0, True)


def test_a_configuration_may_come_through_a_pipe(cloud: Simulator) -> None:
    """As from a program that decrypts it: it is read once."""
    done = subprocess.run(
        processes.exporter_command("check", "--config.file=/dev/stdin", f"--api.endpoint={cloud.base_url}"),
        input="executions: [one, two]\n",
        env=environ(cloud),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "2 executions" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("command", ["check", "demo"])
def test_who_reads_no_further_ends_the_program(command: str, cloud: Simulator) -> None:
    """A closed pipe is no traceback, and leaves nothing running."""
    reader, writer = os.pipe()
    os.close(reader)
    arguments = flags(cloud) if command == "check" else ["--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(
        processes.exporter_command(command, *arguments),
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environ(cloud),
    ) as process:
        os.close(writer)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (1, b"")


def test_a_closed_output_is_no_error(cloud: Simulator) -> None:
    """Who wants the exit code only may close the rest."""
    command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *processes.exporter_command("check", *flags(cloud))]
    assert subprocess.run(command, env=environ(cloud), timeout=20, check=False).returncode == 0


def test_ctrl_c_ends_a_check_that_waits(cloud: Simulator) -> None:
    """However long a call may take; exit code 130."""
    cloud.faults.add(FaultRule(Fault.STALL))
    command = processes.exporter_command("check", "--live", "--api.timeout=60s", *flags(cloud, "a", "b"))
    with subprocess.Popen(command, env=environ(cloud), stdout=subprocess.PIPE) as process:
        assert cloud.wait_in_flight(2, 20.0)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


def test_sigterm_lets_a_long_scrape_have_what_there_is(cloud: Simulator, tmp_path: Path) -> None:
    """A page that waits for a stalled cloud is finished within the drain, and the process ends with 0."""
    ids = cloud.execution_ids()[:2]
    cloud.faults.add(FaultRule(Fault.STALL, target=ids[1]))
    arguments = [*flags(cloud, *ids), "--scrape.timeout=100s", "--api.timeout=100s"]
    with (
        processes.serving(tmp_path, *arguments, environ=environ(cloud)) as (url, process),
        ThreadPoolExecutor(1) as beside,
    ):
        page = beside.submit(processes.get, f"{url}/metrics")
        processes.until(lambda: any(call.target == ids[0] for call in cloud.calls))
        process.send_signal(signal.SIGTERM)
        assert process.wait(12) == 0
        code, text = page.result(5)
    assert code == 200
    assert f'scrape_success{{execution_id="{ids[0]}"}} 1.0' in text
    assert f'scrape_success{{execution_id="{ids[1]}"}} 0.0' in text
