"""The command line as a user meets it."""

from collections.abc import Iterator
from pathlib import Path

import processes
import pytest

from exporter.simulator import Simulator


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
    """Without an account the demo has a page with data and says where to look."""
    address = f"127.0.0.1:{processes.free_port()}"
    command = processes.exporter_command("demo", f"--web.listen-address={address}")
    with processes.running(command, tmp_path / "demo.log", processes.clean_environ()):
        processes.until(lambda: processes.get(f"http://{address}/-/ready")[0] == 200)
        page = processes.get(f"http://{address}/metrics")[1]
    for status in ("QUEUED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "FINISHED"):
        assert any(f'status="{status}"' in line and line.endswith(" 1.0") for line in page.splitlines())
    assert f"http://{address}/" in (tmp_path / "demo.log").read_text()


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
