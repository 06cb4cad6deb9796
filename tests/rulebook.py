"""The rules of Prometheus and their unit tests, for the tests of both."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from expressions import Selected

FOLDER = Path(__file__).parent.parent / "prometheus"
RULE_FILES = tuple(FOLDER / "rules" / f"{name}.yml" for name in ("recording", "alerts"))
TEST_FILES = sorted((FOLDER / "tests").glob("*_test.yml"))


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert or a recorded series."""

    name: str
    expr: str
    body: Mapping[str, Any]

    @property
    def is_alert(self) -> bool:
        """Whether this is an alert."""
        return "alert" in self.body

    @property
    def id(self) -> str:
        """Return the name, with the window where several alerts share it."""
        window = self.labels.get("window")
        return f"{self.name}-{window}" if window else self.name

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that the rule adds."""
        return dict(self.body.get("labels", {}))

    @property
    def annotations(self) -> dict[str, str]:
        """Return the texts of an alert."""
        return dict(self.body.get("annotations", {}))


def loaded(path: Path) -> Any:
    """Return a YAML file."""
    return yaml.safe_load(path.read_text())


def rules() -> list[Rule]:
    """Return all rules in the order of the files."""
    bodies = [body for path in RULE_FILES for group in loaded(path)["groups"] for body in group["rules"]]
    return [Rule(body.get("alert") or body["record"], body["expr"], body) for body in bodies]


RULES = rules()
ALERTS = [rule for rule in RULES if rule.is_alert]
RECORDED = {rule.name: rule for rule in RULES if not rule.is_alert}
of_alerts = pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule.id)
of_rules = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def run(*command: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Run a program; return its exit code and all that it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def alerts_of(selected: Selected) -> list[Rule]:
    """Return the alerts that a selector of ALERTS names."""
    named = [matcher.value for matcher in selected.matchers if matcher.label == "alertname"]
    return [alert for alert in ALERTS if any(re.fullmatch(value, alert.name) for value in named)]
