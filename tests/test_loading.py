"""What is loaded: of the program no more than a run of it needs, for loading is most of the start."""

import re
import subprocess
from pathlib import Path

import processes
import pytest

from exporter.settings.about import about
from exporter.simulator import Simulator

HEAVY = {"pydantic", "pydantic_settings", "yaml", "requests", "urllib3", "prometheus_client", "asyncio"}
"""What loading takes most of its time for."""
SELDOM = {"jwt", "cryptography", "jinja2", "exporter.simulator", "exporter.trial", "exporter.demo"}
"""What only some need: an authorized key, the landing page, other subcommands."""


def loaded(said: str) -> set[str]:
    """Return the modules that were loaded, read from what Python says when it is to tell of imports."""
    return set(re.findall(r"^import time: +[0-9]+ \| +[0-9]+ \| +(\S+)$", said, re.MULTILINE))


def run(*words: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run a command line, and return how it ended and what it loaded."""
    done = processes.run_exporter(*words, environ=processes.clean_environ(PYTHONPROFILEIMPORTTIME="1"))
    return done, loaded(done.stderr)


def test_the_version_is_told_before_anything_is_loaded() -> None:
    """Scripts ask for it; it is the line that a subcommand tells, for which all settings are loaded."""
    asked, modules = run("--version")
    assert (asked.returncode, asked.stdout) == (0, f"{about()}\n")
    assert "exporter.cli" in modules
    assert not modules & HEAVY
    told, modules = run("serve", "--version")
    assert (told.returncode, told.stdout) == (0, asked.stdout)
    assert "pydantic" in modules


@pytest.mark.parametrize("words", [["--help"], ["completion", "bash"], ["--no-such-flag"]])
def test_a_command_line_is_read_without_what_serves(words: list[str]) -> None:
    """Help, completion and what is mistyped need the settings, but neither clients, nor metrics."""
    _, modules = run(*words)
    assert "exporter.config" in modules
    assert not modules & {"requests", "urllib3", "prometheus_client", "h11", *SELDOM}


def test_who_serves_loads_nothing_that_is_seldom_needed(tmp_path: Path) -> None:
    """A token and /metrics take none of it; the landing page loads its engine when it is looked at."""
    with Simulator() as cloud:
        environ = processes.clean_environ(YC_IAM_TOKEN=cloud.token, PYTHONPROFILEIMPORTTIME="1")
        flags = (f"--api.endpoint={cloud.base_url}", f"--folder={cloud.folder_id}")
        with processes.serving(tmp_path, *flags, environ=environ) as (url, _):
            assert "yc_workflow_up 1.0" in processes.get(f"{url}/metrics")[1]
            modules = loaded((tmp_path / "exporter.log").read_text())
            assert "exporter.serving" in modules
            assert not modules & SELDOM
            assert processes.get(f"{url}/")[0] == 200
            modules = loaded((tmp_path / "exporter.log").read_text())
    assert modules & SELDOM == {"jinja2"}


def collections(url: str) -> float:
    """Return how many times the process has looked for young garbage."""
    page = processes.get(f"{url}/metrics")[1]
    return float(re.findall(r'^python_gc_collections_total{generation="0"} (\S+)$', page, re.MULTILINE)[0])


def test_garbage_is_looked_for_when_all_is_loaded(tmp_path: Path) -> None:
    """Not before, for what is loaded stays; but from then on, or memory would grow."""
    nowhere = "--api.endpoint=http://127.0.0.1:1"
    watched = [f"--execution=e{number}" for number in range(100)]
    environ = processes.clean_environ(YC_IAM_TOKEN="t1.a")
    with processes.serving(tmp_path, nowhere, *watched, environ=environ) as (url, _):
        first = collections(url)
        assert first < 60
        processes.until(lambda: collections(url) > first)


def test_who_has_an_authorized_key_loads_what_signs(tmp_path: Path) -> None:
    """It is there from the start, so that a key that cannot be used keeps the exporter from starting."""
    with Simulator() as cloud:
        key = cloud.create_key(tmp_path)
        done, modules = run("check", f"--auth.service-account-key-file={key}", "--execution=a")
    assert done.returncode == 0, done.stderr
    assert {"jwt", "cryptography"} <= modules
