"""What is shipped: a wheel of the package alone, which works with the oldest libraries that it asks for."""

import base64
import email
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import processes
import pytest
from lowest import PROJECT, lowest
from test_secrets_planted import asked
from test_server import certificate, hashed

from exporter.simulator import Simulator

ROOT = Path(__file__).parent.parent
LOWEST = lowest()


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, away from the sources."""
    given = processes.clean_environ(PIP_DISABLE_PIP_VERSION_CHECK="1", **environ)
    return subprocess.run(
        command, env=given, cwd="/", capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the sources are as they are shipped, made of a copy, and the wheel, built from these."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    for name in ("exporter", "tests", "prometheus", "deploy"):
        shutil.copytree(ROOT / name, source / name)
    done = run(sys.executable, "-m", "build", source)
    assert done.returncode == 0, done.stderr
    return source / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """Return the wheel."""
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def oldest(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel and the lowest version of each library."""
    home = tmp_path_factory.mktemp("oldest")
    assert run(sys.executable, "-m", "venv", home).returncode == 0
    pinned = [f"{name}=={version}" for name, version in LOWEST.items()]
    done = run(home / "bin" / "pip", "install", "--quiet", wheel, *pinned)
    assert done.returncode == 0, done.stderr
    return home / "bin"


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with some lives in it."""
    with Simulator() as simulator:
        yield simulator


def configured(tmp_path: Path, cloud: Simulator) -> str:
    """Write a configuration that needs every library, and return its flag."""
    key, state = cloud.create_key(tmp_path), tmp_path / "state.db"
    (tmp_path / "config.yml").write_text(
        f"api: {{endpoint: '{cloud.base_url}', iam_endpoint: '{cloud.base_url}'}}\n"
        f"auth: {{service_account_key_file: {key}}}\nfolders: [{cloud.folder_id}]\n"
        f"executions: [{cloud.execution_ids()[0]}]\nhistory: {{enabled: true}}\nstate: {{file: {state}}}\n"
    )
    return f"--config.file={tmp_path}/config.yml"


def test_each_library_has_a_lower_bound_and_a_reason() -> None:
    """No upper bound keeps a security update away, and nothing is asked for without a word of why."""
    text = (ROOT / "pyproject.toml").read_text()
    for name, version in LOWEST.items():
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)*", version), name
        assert re.search(rf'^    "{name}>={re.escape(version)}", +# \w', text, re.MULTILINE), name


def test_the_sources_have_what_a_wheel_is_built_from_alone(dist: Path) -> None:
    """The wheel was built from them. No test: setuptools would take some, without what they import."""
    (shipped,) = dist.glob("*.tar.gz")
    with tarfile.open(shipped) as opened:
        names = {name.partition("/")[2].partition("/")[0] for name in opened.getnames()}
    assert names - {""} == {
        "exporter", "LICENSE", "MANIFEST.in", "PKG-INFO", "pyproject.toml", "README.md", "setup.cfg",
        "yc_workflow_exporter.egg-info",
    }  # fmt: skip


def test_the_wheel_has_the_package_and_its_licence_alone(wheel: Path) -> None:
    """No test, no example, no file of a developer; the page of the exporter and the types are there."""
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(opened.read(about))
    folder = about.removesuffix("METADATA")
    assert {name.split("/")[0] for name in names} == {"exporter", folder.rstrip("/")}
    assert {name.rsplit(".", 1)[-1] for name in names if name.startswith("exporter/")} == {
        "py",
        "html",
        "typed",
    }
    assert {"exporter/landing.html", "exporter/py.typed", f"{folder}licenses/LICENSE"} <= names
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == PROJECT["requires-python"]
    assert told["Description-Content-Type"] == "text/markdown"
    described = told.get_payload(decode=True)
    assert isinstance(described, bytes)
    assert described.decode().strip() == (ROOT / "README.md").read_text().strip()
    wanted = [each for each in told.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert len(wanted) == len(LOWEST)


def test_the_oldest_libraries_are_those_that_are_tried(oldest: Path) -> None:
    """Each is there in exactly the version of its lower bound, and they are content with one another."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    there = run(oldest / "python", "-c", code, *LOWEST).stdout.split()
    for (name, wanted), found in zip(LOWEST.items(), there, strict=True):
        assert re.fullmatch(rf"{re.escape(wanted)}(\.0)*", found), name
    assert run(oldest / "pip", "check").returncode == 0


def test_every_command_works_with_the_oldest_libraries(
    oldest: Path, cloud: Simulator, tmp_path: Path
) -> None:
    """The version, completion, both checks and a scrape; a file nested too deep is refused in words."""
    program, config = oldest / "yc-workflow-exporter", configured(tmp_path, cloud)
    assert PROJECT["version"] in run(program, "--version").stdout
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert "yc-workflow-exporter" in run(program, "completion", shell).stdout
    assert "configuration is valid" in run(program, "check", config).stdout
    assert "IAM token: had by service_account_key_file" in run(program, "check", "--live", config).stdout
    scraped = run(program, "scrape", config)
    assert (scraped.returncode, scraped.stderr) == (0, "")
    assert "yc_workflow_up 1.0" in scraped.stdout
    (tmp_path / "deep.yml").write_text("[" * 100_000)
    done = run(program, "check", f"--config.file={tmp_path}/deep.yml")
    assert (done.returncode, "exceeded maximum nesting depth" in done.stderr) == (2, True)


def test_the_demo_is_in_the_wheel(oldest: Path, tmp_path: Path) -> None:
    """The simulated cloud and the exporter over it, from nothing."""
    address = f"127.0.0.1:{processes.free_port()}"
    command = [str(oldest / "yc-workflow-exporter"), "demo", f"--web.listen-address={address}"]
    with processes.running(command, tmp_path / "log", processes.clean_environ()):
        processes.until(lambda: "yc_workflow_up 1.0" in processes.get(f"http://{address}/metrics")[1])
        assert "yc_workflow_active_executions{" in processes.get(f"http://{address}/metrics")[1]
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_oldest_libraries_serve_over_tls_to_those_who_may(
    oldest: Path, cloud: Simulator, tmp_path: Path
) -> None:
    """All pages, behind a certificate and a password."""
    certificate(tmp_path, "server")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        f"basic_auth_users: {{ann: '{hashed('pass')}'}}\n"
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    basic = {"Authorization": "Basic " + base64.b64encode(b"ann:pass").decode()}
    address = f"127.0.0.1:{processes.free_port()}"
    command = [str(oldest / "yc-workflow-exporter"), configured(tmp_path, cloud)]
    command += [f"--web.config.file={tmp_path}/web.yml", f"--web.listen-address={address}"]
    with processes.running(command, tmp_path / "log", processes.clean_environ()):
        url = f"https://{address}"
        processes.until(lambda: asked(url, "/-/healthy", context=context))
        assert asked(url, "/metrics", context=context).startswith(b"401 ")
        page = asked(url, "/metrics", context=context, **basic)
        assert b"yc_workflow_up 1.0" in page
        assert b"yc_workflow_steps_completed_total{" in page
        for path, said in (
            ("/", b"<html"),
            ("/sd", b"__meta_yc_"),
            ("/config", b"history:"),
            ("/-/ready", b"Ready"),
        ):
            assert said in asked(url, path, context=context, **basic)
    assert "Traceback" not in (tmp_path / "log").read_text()
