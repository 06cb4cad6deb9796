"""Write the dashboards: `python -m grafana.source`."""

import json
from pathlib import Path

from grafana.source.execution import execution
from grafana.source.exporter import exporter
from grafana.source.overview import overview
from grafana.source.states import Json
from grafana.source.workflow import workflow

FOLDER = Path(__file__).parent.parent / "dashboards"


def rendered(dashboard: Json) -> str:
    """Return the text of a dashboard's file."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def files() -> dict[str, str]:
    """Return the name and text of each file."""
    dashboards = (overview(), workflow(), execution(), exporter())
    return {f"{dashboard['uid'].removeprefix('ycwf-')}.json": rendered(dashboard) for dashboard in dashboards}


def main() -> None:
    """Write them all."""
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
