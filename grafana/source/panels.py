"""The kinds of panel, each with what the house wants of all of them; where they stand is the layout's matter.

The JSON is what the types of Grafana 10 to 13 have in common, so that each loads it as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana.source.states import GREY, LOWEST, Json, steps

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
PLAIN: Final = steps()
MANY: Final = 3
"""Series above which a legend is a table."""
BAR: Final = "2m"
"""The least interval of a bar, in which there are some scrapes."""
LAST_AND_MAX: Final = ("lastNotNull", "max")
POINTS: Final = 350
"""Points of a line that is dear to ask."""
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


def panel(
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
    """Return what all kinds of panel have."""
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
        "thresholds": steps((LOWEST, colour)) if colour else thresholds,
        "mappings": list(mappings),
        "color": {"mode": "thresholds"},
        "links": list(links),
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "background" if filled else "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "name" if name else "value",
        "wideLayout": True,
    }
    return panel("stat", title, description, [query], defaults=defaults, options=options)


def legend(calcs: Sequence[str], series: int) -> Json:
    """Return a legend: none for one series, a list for a few, a table beside the graph for many."""
    if series <= MANY:
        return {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": series > 1}
    return {"calcs": list(calcs), "displayMode": "table", "placement": "right", "showLegend": True}


def graph(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    empty: str,
    series: int,
    stacked: bool = False,
    logarithmic: bool = False,
    decimals: int | None = None,
    least_interval: str = "",
    overrides: Sequence[Json] = (),
    links: Sequence[Json] = (),
) -> Json:
    """Return lines over time, of about so many series.

    `logarithmic` is for values that differ by far more than ten times, and are never 0; `least_interval`
    for what is dear to ask, or needs some scrapes for each point.
    """
    look = _line(stacked=stacked, filled=series <= MANY, logarithmic=logarithmic)
    defaults: Json = {**_drawn(look, stacked=stacked), "unit": unit, "noValue": empty, "links": list(links)}
    if not logarithmic:
        defaults["min"] = 0
    if decimals is not None:
        defaults["decimals"] = decimals
    options = _with_legend(LAST_AND_MAX, series)
    more: Json = {"interval": least_interval, "maxDataPoints": POINTS} if least_interval else {}
    return panel(
        "timeseries", title, description, queries,
        defaults=defaults, options=options, overrides=overrides, **more,
    )  # fmt: skip


def _line(*, stacked: bool, filled: bool, logarithmic: bool) -> Json:
    return {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if stacked else "linear",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8 if filled else 0,
        "showPoints": "never" if stacked else "auto",
        "pointSize": 4,
        "spanNulls": False,
        "scaleDistribution": {"type": "log", "log": 10} if logarithmic else {"type": "linear"},
    }


def bars(
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    empty: str,
    series: int,
    shades_of: str = "",
    calcs: Sequence[str] = ("sum", "max"),
    overrides: Sequence[Json] = (),
) -> Json:
    """Return stacked bars of counts in intervals, of about so many series.

    `shades_of` is for series that all mean the same, as failures do; `calcs` for what must not be added up.
    """
    look = {"drawStyle": "bars", "lineWidth": 0, "fillOpacity": 80, "showPoints": "never"}
    defaults: Json = {
        **_drawn(look, stacked=True), "unit": "locale", "noValue": empty, "min": 0, "decimals": 0,
    }  # fmt: skip
    if shades_of:
        defaults["color"] = {"mode": "shades", "fixedColor": shades_of}
    return panel(
        "timeseries",
        title,
        description,
        queries,
        defaults=defaults,
        options=_with_legend(calcs, series),
        overrides=overrides,
        interval=BAR,
        maxDataPoints=BARS,
    )


def _drawn(look: Json, *, stacked: bool) -> Json:
    stacking = {"mode": "normal" if stacked else "none", "group": "A"}
    return {
        "color": {"mode": "palette-classic"},
        "custom": {**look, "gradientMode": "none", "axisPlacement": "auto", "stacking": stacking},
        "thresholds": PLAIN,
    }


def _with_legend(calcs: Sequence[str], series: int) -> Json:
    return {"legend": legend(calcs, series), "tooltip": {"mode": "multi", "sort": "desc"}}


def heatmap(title: str, description: str, query: Query, *, empty: str) -> Json:
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
    return panel(
        "heatmap",
        title,
        description,
        [query],
        defaults=defaults,
        options=options,
        interval=BAR,
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
        "legend": legend((), 1),
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel("state-timeline", title, description, queries, defaults=defaults, options=options)


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
        "namePlacement": "top",
        "text": {"titleSize": 12, "valueSize": 14},
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "text",
    }
    return panel("bargauge", title, description, [query], defaults=defaults, options=options)
