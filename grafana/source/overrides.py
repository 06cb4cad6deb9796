"""What one field of a panel has that the others do not."""

from collections.abc import Mapping
from typing import Any

from grafana.source.states import LIMIT, Json


def beside(name: str, colour: str) -> Json:
    """Return the override that draws a series as a dashed line, which is not stacked on the others."""
    return styled(
        name,
        fixed(colour),
        ("custom.drawStyle", "line"),
        ("custom.stacking", {"mode": "none", "group": "beside"}),
        ("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
        ("custom.lineWidth", 1),
        ("custom.fillOpacity", 0),
        ("custom.showPoints", "never"),
    )


def coloured(colours: Mapping[str, str]) -> list[Json]:
    """Return overrides that give each series the colour of the state that is its name."""
    return [styled(state, fixed(colour)) for state, colour in colours.items()]


def fixed(colour: str) -> tuple[str, Any]:
    """Return the property of a field that has one colour."""
    return ("color", {"mode": "fixed", "fixedColor": colour})


def limit_line(name: str) -> Json:
    """Return the override that draws a series as a limit."""
    return beside(name, LIMIT)


def styled(name: str, *properties: tuple[str, Any]) -> Json:
    """Return an override of the field with this name."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": id_, "value": value} for id_, value in properties],
    }
