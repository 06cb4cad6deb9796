"""The tables of the README, made from the code. `python tests/docs.py` writes them."""

import re
from collections.abc import Iterable
from pathlib import Path

import capacity
import yaml
from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from exporter.collector import ExecutionsCollector, ProbeCollector
from exporter.families import Family, HistogramFamily
from exporter.outcome import Collection
from exporter.settings.flags import settings_rows
from exporter.telemetry import ScrapeTelemetry, Telemetry
from exporter.workflowcollector import QuotaCollector, WorkflowsCollector

README = Path(__file__).parent.parent / "README.md"
ALERTS = Path(__file__).parent.parent / "prometheus" / "rules" / "alerts.yml"


def nothing() -> Collection:
    """Return an empty collection."""
    return Collection((), 0.0, 0.0)


def families() -> list[Metric]:
    """Return every family that the exporter can expose."""
    return [
        *ExecutionsCollector(nothing, history=True).describe(),
        *WorkflowsCollector(nothing, labels=(), history=True, recent_window=3600).describe(),
        *QuotaCollector({}).describe(),
        *ScrapeTelemetry(nothing).describe(),
        *Telemetry("", "").describe(),
        *ProbeCollector(nothing).describe(),
    ]


def label_names() -> dict[str, tuple[str, ...]]:
    """Return the labels of each family, by its name."""
    found = {f.name: f.labels for f in families() if isinstance(f, Family | HistogramFamily)}
    for metric in vars(Telemetry("", "")).values():
        if isinstance(metric, Counter | Histogram):
            found[metric._name] = tuple(metric._labelnames)  # noqa: SLF001
    return found


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *[[str(cell).replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def metrics_table() -> str:
    """Return the table of metrics."""
    labels = label_names()
    rows = [
        [
            f"`{f.name}{'_total' if f.type == 'counter' else ''}`",
            f.type,
            ", ".join(f"`{label}`" for label in labels[f.name]),
            f.documentation,
        ]
        for f in families()
    ]
    return table(("metric", "type", "labels", "meaning"), rows)


def settings_table() -> str:
    """Return the table of settings."""
    rows = [
        [
            f"`{row.key}`",
            f"`{row.flag}`" if row.flag else "",
            f"`{row.variable}`",
            f"`{row.default}`" if row.default else "",
            row.description,
        ]
        for row in settings_rows()
    ]
    return table(("key", "flag", "variable", "default", "meaning"), rows)


def alerts_table() -> str:
    """Return the table of alerts, one row for each name."""
    rules = [r for group in yaml.safe_load(ALERTS.read_text())["groups"] for r in group["rules"]]
    rows = []
    for name in dict.fromkeys(rule["alert"] for rule in rules):
        same = [rule for rule in rules if rule["alert"] == name]
        severities = dict.fromkeys(rule["labels"]["severity"] for rule in same)
        held = dict.fromkeys(rule.get("for", "at once") for rule in same)
        rows.append(
            [_chapter(name), ", ".join(severities), ", ".join(held), same[0]["annotations"]["summary"]]
        )
    return table(("alert", "severity", "after", "what it says"), rows)


def _chapter(name: str) -> str:
    return f"[`{name}`](prometheus/runbook.md#{name.lower()})"


def rewritten(readme: str) -> str:
    """Return the README with its tables made anew."""
    tables = {
        "metrics": metrics_table(),
        "settings": settings_table(),
        "alerts": alerts_table(),
        "capacity": table(("what is watched", "series", "calls"), capacity.rows()),
    }
    for name, text in tables.items():
        pattern = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        readme = pattern.sub(lambda m, text=text: f"{m[1]}{text}\n{m[2]}", readme)  # type: ignore[misc]
    return readme


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text()))
