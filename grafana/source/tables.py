"""Tables: columns that are merged out of several queries, each with its name, look and words for an empty cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana.source.overrides import styled
from grafana.source.panels import PLAIN, Query, panel
from grafana.source.states import Json, steps


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the field that it is made of, its name for people, how it looks, what an empty cell says.

    Grafana gives an empty cell the text of the whole empty table, if it has none of its own.
    """

    field: str
    title: str
    properties: tuple[tuple[str, Any], ...] = ()
    empty: str = "-"


RED_ABOVE_ZERO: Final = (
    ("custom.cellOptions", {"type": "color-text"}),
    ("thresholds", steps((1, "red"))),
)


def worded(colours: Mapping[str, str], cell: str, width: int = 120) -> tuple[tuple[str, Any], ...]:
    """Return the properties of a column of words, each in its colour."""
    shown = {
        word: {"text": word, "color": colour, "index": n} for n, (word, colour) in enumerate(colours.items())
    }
    options = {"type": cell, "mode": "basic"} if cell == "color-background" else {"type": cell}
    return (
        ("mappings", [{"type": "value", "options": shown}]),
        ("custom.cellOptions", options),
        ("custom.align", "left"),
        ("custom.width", width),
    )


def _shaped(columns: Sequence[Column], by_field: str) -> list[Json]:
    """Merge the rows, sort them, keep these columns, in this order, by these names."""
    order = {"id": "sortBy", "options": {"sort": [{"field": by_field, "desc": False}]}}
    return [
        {"id": "merge", "options": {}},
        *([order] if by_field else []),
        {
            "id": "filterFieldsByName",
            "options": {"include": {"names": [c.field for c in columns]}},
        },
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {c.field: n for n, c in enumerate(columns)},
                "renameByName": {c.field: c.title for c in columns},
            },
        },
    ]


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    columns: Sequence[Column],
    *,
    empty: str,
    sort: str,
    descending: bool = True,
    by_field: str = "",
) -> Json:
    """Return a table: the queries' rows merged by the labels they share, only these columns, in this order.

    The value of the query B is the field `Value #B`; what no column names is left out. `sort` is a column,
    or, when it is empty, `by_field` a field that is not shown.
    """
    defaults = {
        "unit": "short",
        "noValue": empty,
        "color": {"mode": "thresholds"},
        "thresholds": PLAIN,
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": False},
    }
    options = {
        "cellHeight": "sm",
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"displayName": sort, "desc": descending}] if sort else [],
    }
    overrides = [styled(c.title, ("noValue", c.empty), *c.properties) for c in columns]
    return panel(
        "table",
        title,
        description,
        queries,
        defaults=defaults,
        options=options,
        overrides=overrides,
        transformations=_shaped(columns, by_field),
    )
