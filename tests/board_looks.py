"""What every panel says and shows, and in which colours."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import promql_parser as promql
from boards import Board, Check, Panel, Query, panels, shown, texts

from exporter.yandex.models import ERROR_CLASSES, Status

UNITS = {
    "bytes", "dateTimeAsIso", "dateTimeFromNow", "dtdurations", "locale", "none", "percent", "percentunit",
    "reqps", "s", "short", "string",
}  # fmt: skip
"""Units of Grafana that its linter knows, as far as they are used."""
DESCRIPTION = re.compile(
    r"(?P<what>[^\n]+)\n\n\*\*Why it matters:\*\* (?P<why>[^\n]+)\n\n\*\*What to do:\*\* (?P<do>[^\n]+)"
)
HUES = ("red", "orange", "yellow", "green", "blue", "purple")
COLOURS = {
    *(f"{shade}{hue}" for hue in HUES for shade in ("", "dark-", "semi-dark-", "light-", "super-light-")),
    "text",
    "transparent",
}
HEX = re.compile(r"#[0-9a-f]{6}|rgba\(\d+,\d+,\d+,[\d.]+\)")
GREY = "#8e8e8e"
OF_STATES = {
    "QUEUED": "super-light-blue", "RUNNING": "blue", "PAUSED": "yellow", "STOPPED": GREY, "FAILED": "red",
    "FINISHED": "green", "UNKNOWN": "purple",
    "SCHEDULED": "super-light-blue", "STARTED": "blue", "COMPLETED": "green", "CANCEL_REQUESTED": "yellow",
    "CANCELLED": GREY,
    "CREATING": "super-light-blue", "ACTIVE": "green", "UPDATING": "blue", "DELETING": GREY, "ERROR": "red",
}  # fmt: skip
"""The colour of each state of an execution, a step and a workflow; of errors the classes have their own."""


def every_panel_says_what_it_is(found: Sequence[Board]) -> Iterator[str]:
    """Want a title of its own, and a description: what it shows, why that matters, what to do."""
    for panel in panels(found):
        if not panel.json.get("title"):
            yield f"{panel.where}, title: has none; give it one"
        match = DESCRIPTION.fullmatch(panel.json.get("description", ""))
        if not match:
            yield f"{panel.where}, description: must be in three parts; make it with about(what, why, do)"
        elif not all(part.endswith((".", "?", "`.")) for part in match.groups()):
            yield f"{panel.where}, description: each part is of whole sentences, with a full stop"
    for board in found:
        titles = [*(row["title"] for row in board.rows), *(panel.title for panel in board.panels)]
        for title, count in Counter(titles).items():
            if count > 1:
                yield f"{board.title}, title {title!r}: {count} panels or rows have it; tell them apart"


def every_panel_has_a_unit(found: Sequence[Board]) -> Iterator[str]:
    """Want a unit that Grafana and its linter know."""
    for panel in panels(found):
        units = {panel.defaults.get("unit"), *(p["unit"] for _, p in panel.overrides if "unit" in p)}
        for unit in units - UNITS:
            yield f"{panel.where}, unit: {unit!r} is none of {', '.join(sorted(UNITS))}"


def every_panel_says_that_it_is_empty(found: Sequence[Board]) -> Iterator[str]:
    """Want words of its own: 'No data' leaves open whether that is good.

    Each column as well has its own, since those of the table would stand in each empty cell.
    """
    for panel in panels(found):
        if not panel.defaults.get("noValue"):
            yield f"{panel.where}, noValue: has none; say what it means that there is nothing"
        properties = dict(panel.overrides)
        for title in panel.renamed.values():
            if not properties.get(title, {}).get("noValue"):
                yield f"{panel.where}, column {title!r}, noValue: has none, so an empty cell has the table's"


def no_data_is_not_good_news(found: Sequence[Board]) -> Iterator[str]:
    """Want a first colour of thresholds that does not judge: what has no value is painted with it."""
    for panel in panels(found):
        steps = [panel.defaults.get("thresholds"), *(p.get("thresholds") for _, p in panel.overrides)]
        for threshold in filter(None, steps):
            first = threshold["steps"][0]
            if first["value"] is not None or first["color"] not in {"text", GREY, "transparent"}:
                yield f"{panel.where}, thresholds: no data is {first['color']}; begin with text or grey"
            values = [step["value"] for step in threshold["steps"][1:]]
            if any(a >= b for a, b in pairwise(values)):
                yield f"{panel.where}, thresholds: {values} do not rise"


def every_colour_is_one(found: Sequence[Board]) -> Iterator[str]:
    """Want colours that Grafana knows: others it draws as grey, without a word."""
    for board in found:
        for path, text in texts(board.json):
            if (
                path.rpartition(".")[2] in {"color", "fixedColor", "iconColor", "fill"}
                and "exemplars" not in path
            ):
                is_style = path.endswith("fill") and text in {"dash", "dot", "solid", *COLOURS}
                if not (text in COLOURS or HEX.fullmatch(text) or is_style):
                    yield f"{board.title}, {path}: {text!r} is no colour of Grafana; take a name or #rrggbb"


def _painted(panel: Panel) -> Iterator[tuple[str, str, str]]:
    """Yield where a word has a colour, the word and the colour."""
    for name, properties in panel.overrides:
        if "color" in properties and "fixedColor" in properties["color"]:
            yield f"override {name!r}", name, properties["color"]["fixedColor"]
    for where, mappings in _mappings(panel):
        for option in (option for mapping in mappings for option in mapping["options"].values()):
            yield f"{where} mapping", option.get("text", ""), option.get("color", "")


def _mappings(panel: Panel) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "default", panel.defaults.get("mappings", [])
    for name, properties in panel.overrides:
        yield f"column {name!r}", properties.get("mappings", [])


def one_state_has_one_colour(found: Sequence[Board]) -> Iterator[str]:
    """Want the same colour for a state in all dashboards, and never without its word."""
    colours = defaultdict(set)
    for panel in panels(found):
        for where, word, colour in _painted(panel):
            if not word:
                yield f"{panel.where}, {where}: a colour without a word; not all see colours"
            if word in OF_STATES and colour != OF_STATES[word]:
                yield f"{panel.where}, {where}: {word} is {colour}; everywhere else it is {OF_STATES[word]}"
            if word in ERROR_CLASSES:
                colours[word].add(colour)
    for word, several in colours.items():
        if len(several) > 1 or several & {"green", "blue"}:
            yield f"error class {word}: is drawn in {sorted(several)}; take one that is no good state's"
    for colour, count in Counter(colour for several in colours.values() for colour in several).items():
        if count > 1:
            yield f"error classes: {count} of them are {colour}; they cannot be told apart"


def every_state_is_coloured(found: Sequence[Board]) -> Iterator[str]:
    """Want a colour for each state or error class that can come, where they are series."""
    for panel in panels(found):
        coloured = {name for name, properties in panel.overrides if "color" in properties}
        for query in panel.queries:
            if re.fullmatch(r"\{\{(status|state|error_class)\}\}", query.legend):
                for name in sorted((shown(query) or set()) - coloured):
                    yield f"{panel.where}, overrides: {name} has no colour; add coloured(...)"


def every_number_of_a_state_has_its_word(found: Sequence[Board]) -> Iterator[str]:
    """Want no code to be seen as a number, and its word to be the state that it was made of."""
    for panel in panels(found):
        for query in panel.queries:
            codes = dict(_codes(query))
            if not codes:
                continue
            column = panel.renamed.get(f"Value #{query.ref}", "")
            where = f"column {column!r}" if column else "default"
            for mappings in (mappings for at, mappings in _mappings(panel) if at == where):
                words = {key: o.get("text") for m in mappings for key, o in m["options"].items()}
                for code, state in codes.items():
                    if words.get(code) != state:
                        yield f"{query.where}, mappings: {code} is {state}, it is shown as {words.get(code)}"


def _codes(query: Query) -> Iterator[tuple[str, str]]:
    """Yield the numbers that an expression gives to states, with the states."""
    for selected in query.selected:
        if selected.name.endswith("_status_code"):
            yield from ((str(status.value), status.name) for status in Status)
        states = [m.value for m in selected.matchers if m.label in {"status", "state"} and m.op == "="]
        for node in (node for node in selected.above if isinstance(node, promql.BinaryExpr)):
            if str(node.op) == "*" and isinstance(node.rhs, promql.NumberLiteral) and states:
                yield f"{node.rhs.val:g}", states[0]


def the_legend_fits_the_series(found: Sequence[Board]) -> Iterator[str]:
    """Want none for one series, a list for a few, a table with numbers for more than three."""
    for panel in panels(found):
        legend = panel.json.get("options", {}).get("legend")
        if panel.type != "timeseries" or legend is None:
            continue
        names = [shown(query) for query in panel.queries]
        many = any(name is None for name in names)
        count = sum(len(name) for name in names if name)
        if legend["showLegend"] != (many or count > 1):
            yield f"{panel.where}, legend: must be hidden for one series, and only then"
        elif legend["showLegend"] and not many and (legend["displayMode"] == "table") != (count > 3):
            yield f"{panel.where}, legend: {count} series are a {'table' if count > 3 else 'list below'}"
        # A count of an interval can be added up, a gauge that is drawn as bars cannot.
        counts = all("$__interval_ms" in query.text for query in panel.queries)
        bars = panel.defaults["custom"]["drawStyle"] == "bars"
        calcs = ["sum", "max"] if bars and counts else ["lastNotNull", "max"]
        if legend["displayMode"] == "table" and legend["calcs"] != calcs:
            yield f"{panel.where}, legend.calcs: {legend['calcs']}; a table has {calcs}"
        if legend["displayMode"] == "list" and legend["placement"] != "bottom":
            yield f"{panel.where}, legend.placement: a list stands below"


def everything_asks_the_chosen_source(found: Sequence[Board]) -> Iterator[str]:
    """Want all to read the data source that is chosen at the top."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    for board in found:
        for variable in board.variables:
            if variable["type"] == "query" and variable.get("datasource") != source:
                yield f"{board.title}, variable {variable['name']}, datasource: must be ${{datasource}}"
        for annotation in board.annotations:
            if annotation.get("datasource") != source:
                yield f"{board.title}, annotation {annotation['name']}, datasource: must be ${{datasource}}"
        for panel in board.panels:
            for target in [panel.json, *panel.json.get("targets", [])]:
                if target.get("datasource") != source:
                    which = target.get("refId", "the panel")
                    yield f"{panel.where}, datasource of {which}: must be ${{datasource}}"


CHECKS: tuple[Check, ...] = (
    every_panel_says_what_it_is,
    every_panel_has_a_unit,
    every_panel_says_that_it_is_empty,
    no_data_is_not_good_news,
    every_colour_is_one,
    one_state_has_one_colour,
    every_state_is_coloured,
    every_number_of_a_state_has_its_word,
    the_legend_fits_the_series,
    everything_asks_the_chosen_source,
)
