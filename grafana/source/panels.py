"""The kinds of panel, each with what the house wants of all of them; where they stand is the layout's matter.

The JSON is what the types of Grafana 10 to 13 have in common, so that each loads it as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana.source.states import GREY, LIMIT, steps

Json = dict[str, Any]

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
PLAIN: Final = steps()
MANY: Final = 3
"""Series above which a legend is a table."""
BAR: Final = "2m"
"""The least interval of a bar, in which there are some scrapes."""
BARS: Final = 150
"""Bars, or columns of a heatmap, that can still be told apart in half a screen."""


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression; `legend` names its series, `instant` asks for the end of the range alone."""

    expression: str
    legend: str = ""
    instant: bool = False
    format: str = "time_series"


def now(expression: str, legend: str = "") -> Query:
    """Ask for one moment, the end of the range."""
    return Query(expression, legend, instant=True)


def column(expression: str) -> Query:
    """Ask for a column of a table."""
    return Query(expression, instant=True, format="table")


def about(what: str, why: str, do: str) -> str:
    """Return a description in its three parts."""
    return f"{what}\n\n**Why it matters:** {why}\n\n**What to do:** {do}"


def _targets(queries: Sequence[Query]) -> list[Json]:
    return [
        {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": query.expression,
            "format": query.format,
            "instant": query.instant,
            "range": not query.instant,
            "legendFormat": query.legend or "__auto",
            "refId": chr(ord("A") + n),
        }
        for n, query in enumerate(queries)
    ]


def _panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    defaults: Json,
    options: Json,
    overrides: Sequence[Json] = (),
    **more: Any,
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "targets": _targets(queries),
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        **more,
    }


def link(title: str, url: str, *, new_tab: bool = False) -> Json:
    """Return where a click on a value leads."""
    return {"title": title, "url": url, "targetBlank": new_tab}


def stat(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str = "locale",
    empty: str,
    colour: str = "",
    thresholds: Json = PLAIN,
    mappings: Sequence[Json] = (),
    decimals: int | None = None,
    filled: bool = False,
    name: bool = False,
    links: Sequence[Json] = (),
) -> Json:
    """Return a tile with one value.

    `colour` is for what is neither good nor bad, `filled` paints the tile, `name` shows the series' name.
    """
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "thresholds": thresholds,
        "mappings": list(mappings),
        "color": {"mode": "fixed", "fixedColor": colour} if colour else {"mode": "thresholds"},
        "links": list(links),
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "background" if filled else "value",
        "graphMode": "none" if query.instant else "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "name" if name else "value",
        "wideLayout": True,
    }
    return _panel("stat", title, description, [query], defaults=defaults, options=options)


def legend(calcs: Sequence[str], series: int) -> Json:
    """Return a legend: none for one series, a list for a few, a table beside the graph for many."""
    if series <= 1:
        return {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}
    if series <= MANY:
        return {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}
    return {
        "calcs": list(calcs),
        "displayMode": "table",
        "placement": "right",
        "showLegend": True,
    }


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    empty: str,
    series: int,
    bars: bool = False,
    stacked: bool = False,
    logarithmic: bool = False,
    shades_of: str = "",
    least_interval: str = "",
    decimals: int | None = None,
    overrides: Sequence[Json] = (),
    links: Sequence[Json] = (),
) -> Json:
    """Return a graph over time of about so many series; `bars` for counts in intervals, lines for the rest.

    `logarithmic` is for values that differ by far more than ten times, and are never 0; `shades_of` is for
    series that all mean the same, as failures do.
    """
    custom = _drawn(bars=bars, stacked=stacked, filled=series <= MANY)
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "color": {"mode": "shades", "fixedColor": shades_of} if shades_of else {"mode": "palette-classic"},
        "custom": custom,
        "thresholds": PLAIN,
        "links": list(links),
    }
    if logarithmic:
        custom["scaleDistribution"] = {"type": "log", "log": 10}
    else:
        defaults["min"] = 0
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "legend": legend(("sum", "max") if bars else ("lastNotNull", "max"), series),
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more: Json = {"interval": least_interval} if least_interval else {}
    if bars:
        more["maxDataPoints"] = BARS
    return _panel(
        "timeseries",
        title,
        description,
        queries,
        defaults=defaults,
        options=options,
        overrides=overrides,
        **more,
    )


def _drawn(*, bars: bool, stacked: bool, filled: bool) -> Json:
    return {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "stepAfter" if stacked else "linear",
        "lineWidth": 0 if bars else 1,
        "fillOpacity": 80 if bars else 30 if stacked else 8 if filled else 0,
        "gradientMode": "none",
        "showPoints": "never" if bars or stacked else "auto",
        "pointSize": 4,
        "spanNulls": False,
        "stacking": {"mode": "normal" if bars or stacked else "none", "group": "A"},
        "axisPlacement": "auto",
    }


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


def heatmap(title: str, description: str, query: Query, *, empty: str, least_interval: str) -> Json:
    """Return a heatmap of a histogram of seconds."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "locale", "decimals": 0},
        "color": {
            "mode": "scheme",
            "scheme": "Blues",
            "steps": 64,
            "exponent": 0.5,
            "fill": "blue",
            "reverse": False,
            "scale": "exponential",
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": False},
        "rowsFrame": {"layout": "auto", "value": "executions"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
    }
    defaults = {"unit": "short", "noValue": empty, "custom": {"scaleDistribution": {"type": "linear"}}}
    return _panel(
        "heatmap",
        title,
        description,
        [query],
        defaults=defaults,
        options=options,
        interval=least_interval,
        maxDataPoints=BARS,
    )


def timeline(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    mappings: Sequence[Json],
    empty: str,
    links: Sequence[Json] = (),
) -> Json:
    """Return bars of states over time, a row for each series."""
    defaults = {
        "unit": "none",
        "noValue": empty,
        "mappings": list(mappings),
        # Not by thresholds: Grafana would then show their ranges in place of the words.
        "color": {"mode": "fixed", "fixedColor": GREY},
        "thresholds": PLAIN,
        "custom": {"fillOpacity": 85, "lineWidth": 0},
        "links": list(links),
    }
    options = {
        "alignValue": "left",
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "auto",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, description, queries, defaults=defaults, options=options)


def ranking(title: str, description: str, query: Query, *, unit: str, empty: str, colour: str) -> Json:
    """Return horizontal bars of the values of one moment, one for each series."""
    defaults = {
        "unit": unit,
        "noValue": empty,
        "min": 0,
        "color": {"mode": "fixed", "fixedColor": colour},
        "thresholds": PLAIN,
    }
    options = {
        "displayMode": "basic",
        "maxVizHeight": 28,
        "minVizHeight": 12,
        "minVizWidth": 0,
        "namePlacement": "auto",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "text",
    }
    return _panel("bargauge", title, description, [query], defaults=defaults, options=options)


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


def table(
    title: str,
    description: str,
    queries: Sequence[Query],
    columns: Sequence[Column],
    *,
    empty: str,
    sort: str,
    descending: bool = True,
) -> Json:
    """Return a table: the queries' rows merged by the labels they share, only these columns, in this order.

    The value of the query B is the field `Value #B`; what no column names is left out.
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
        "sortBy": [{"displayName": sort, "desc": descending}],
    }
    shaping = [
        {"id": "merge", "options": {}},
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
    overrides = [styled(c.title, ("noValue", c.empty), *c.properties) for c in columns]
    return _panel(
        "table",
        title,
        description,
        queries,
        defaults=defaults,
        options=options,
        overrides=overrides,
        transformations=shaping,
    )
