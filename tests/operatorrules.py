"""The rules as objects of the Prometheus operator. `python tests/operatorrules.py` writes them."""

from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parent.parent
RULES = ROOT / "prometheus" / "rules"
OPERATOR = ROOT / "deploy" / "kubernetes" / "prometheus-operator"


def prometheus_rules() -> dict[Path, str]:
    """Return what each file has to be, its comments included."""
    return {OPERATOR / f"{path.stem}.yaml": _prometheus_rule(path) for path in RULES.glob("*.yml")}


def _prometheus_rule(path: Path) -> str:
    return (
        f"# Made of {path.relative_to(ROOT)} by `make docs`: change that one.\n"
        "apiVersion: monitoring.coreos.com/v1\n"
        "kind: PrometheusRule\n"
        "metadata:\n"
        f"  name: yc-workflow-exporter-{path.stem}\n"
        "  labels:\n"
        "    app.kubernetes.io/name: yc-workflow-exporter\n"
        "spec:\n" + indent(path.read_text(), "  ")
    )


if __name__ == "__main__":
    for each, text in prometheus_rules().items():
        each.write_text(text)
