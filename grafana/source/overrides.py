"""What one field of a panel has that the others do not."""

from typing import Any

from grafana.source.states import LIMIT, Json


def beside(name: str, colour: str) -> Json:
    """Return the override that draws a series as a dashed line, which is not stacked on the others."""
    return styled(
        name,
        ("color", {"mode": "fixed", "fixedColor": colour}),
        ("custom.drawStyle", "line"),
        ("custom.stacking", {"mode": "none", "group": "beside"}),
        ("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
        ("custom.lineWidth", 1),
        ("custom.fillOpacity", 0),
        ("custom.showPoints", "never"),
    )


def limit_line(name: str) -> Json:
    """Return the override that draws a series as a limit."""
    return beside(name, LIMIT)


def styled(name: str, *properties: tuple[str, Any]) -> Json:
    """Return an override of the field with this name."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": id_, "value": value} for id_, value in properties],
    }
