"""The README says what the code does."""

import re
import subprocess
from pathlib import Path

import docs
import pytest
import yaml

from exporter.settings.arguments import parser
from exporter.settings.flags import load
from exporter.yandex.errors import REASONS

ROOT = Path(__file__).parent.parent
TEXT = docs.README.read_text()
SNIPPETS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def first_cells(heading: str) -> list[str]:
    """Return the first cell of each row of the tables of a section."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [row.split("|")[1].strip() for row in section.splitlines() if row.startswith("| ")][1:]


def test_the_tables_of_the_readme_are_those_of_the_code() -> None:
    """Every metric and setting has its row; `make docs` writes them."""
    assert docs.rewritten(TEXT) == TEXT


def test_every_family_has_a_help_and_a_name_of_ours() -> None:
    """No family is without a meaning, none is outside the prefix."""
    for family in docs.families():
        assert family.documentation.endswith(".")
        assert family.name.startswith(("yc_workflow_", "probe_"))


def test_the_table_of_failures_has_every_reason() -> None:
    """Nobody looks for a reason in vain, and none is told that cannot be."""
    section = TEXT.split("\n## What it does when something fails\n")[1].split("\n## ")[0]
    told = re.findall(r"\| `(\w+)` \|$", section, re.MULTILINE)
    assert set(told) - {"reason"} == set(REASONS)


def test_the_two_commands_are_there() -> None:
    """`make demo` and `make test`, as the README promises them."""
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"\nmake {target} " in TEXT
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_table_of_commands_has_every_command() -> None:
    """A command that is not described does not exist for people."""
    help_ = parser().format_help()
    commands = re.findall(r"^    ([a-z]+) ", help_.split("commands:")[1], re.MULTILINE)
    told = {cell.strip("`").removesuffix(" SHELL") for cell in first_cells("Command line")}
    assert told == {"yc-workflow-exporter", *commands} - {"serve"}


def test_the_configuration_of_the_readme_is_valid(tmp_path: Path) -> None:
    """Who copies it has no error but the missing key."""
    path = tmp_path / "config.yml"
    path.write_text(next(snippet for snippet in SNIPPETS if "auth:" in snippet))
    settings = load({"config": {"file": str(path)}}, {})
    assert [execution.alias for execution in settings.executions] == ["", "nightly"]
    assert settings.auth.service_account_key_file == tmp_path / "key.json"


@pytest.mark.parametrize("snippet", [s for s in SNIPPETS if "scrape_configs" in s])
def test_prometheus_takes_the_jobs_of_the_readme(snippet: str, tmp_path: Path) -> None:
    """Both ways to scrape are valid in a real Prometheus' eyes."""
    path = tmp_path / "prometheus.yml"
    path.write_text(snippet)
    done = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert yaml.safe_load(snippet)["scrape_configs"]
