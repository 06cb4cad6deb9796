"""The dashboards keep the rules of the house: what can be read off their JSON is proved here.

Each check takes dashboards and yields complaints, so that it can be shown dashboards that are wrong.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import boards
import promql_parser as promql
import pytest
import yaml
from boards import (
    FIELD_OF_DATA,
    FOLDER,
    LABEL_OF_FIELD,
    LABEL_OF_LEGEND,
    PICKING,
    ROOT,
    TARGET,
    VARIABLE,
    Board,
    Check,
    Matcher,
    Panel,
    Query,
    asked,
    committed,
    metrics,
    panels,
    reading,
    rules,
    selections,
    texts,
)

from exporter.config import Quota
from exporter.standing import ACTIVE, ENDS, STEP_ENDS
from exporter.telemetry import API_METHODS, KINDS, UNREAD_FIELDS
from exporter.yandex.errors import REASONS
from exporter.yandex.models import ERROR_CLASSES, Status, StepStatus
from exporter.yandex.workflows import WorkflowState
from grafana.source.__main__ import files

WIDTH = 24
TAGS = ["yandex-cloud", "yc-workflow"]
SCRAPE_INTERVAL = 30
"""Seconds; what prometheus.yml says, see `test_the_dashboards_know_the_scrape_interval`."""
ORDER = ("datasource", "job", "instance", "folder", "workflow", "execution")
BUILT_IN = {
    "__all", "__data", "__field", "__from", "__interval", "__interval_ms", "__range", "__range_ms",
    "__range_s", "__rate_interval", "__to", "__url_time_range", "__value",
}  # fmt: skip
"""What Grafana puts in by itself."""
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
WITHOUT_TARGET = {
    "ALERTS": "an alert is of the rules; few have a job",
    "ALERTS_FOR_STATE": "an alert is of the rules; few have a job",
    "yc_workflow:rules_loaded": "a recorded series is of the rules, not of a target",
}
"""What is selected without job and instance, and why."""
UNUSED = {
    "yc_workflow_last_completed_end_timestamp_seconds": "for rules of one's own",
    "yc_workflow_execution_step_retries": "the table of steps has the attempts of each",
    "yc_workflow_recent_executions": "for a look at the page; the counters say more",
    "yc_workflow_recent_window_seconds": "belongs to yc_workflow_recent_executions",
    "yc_workflow_scrape_http_code": "for a look at the page; the reasons are counted",
    "probe_success": "of a probe, for who alerts on probes as such",
    "probe_duration_seconds": "of a probe, for who alerts on probes as such",
}
"""What the exporter exposes and neither a dashboard nor a rule reads, and why."""
STAND_FOR = {"workflow_name": "workflow_id", "name": "execution_id", "instance": "job"}
"""Labels that are shown in place of another that tells series apart."""
FREE = {*TARGET, "workflow_id", "execution_id", "step_id", "folder_id"}
"""Labels that a person chooses the values of, by a variable."""
RATES = {"rate", "irate", "increase"}


# What a label can say.


def said(metric: str, label: str) -> frozenset[str] | None:
    """Return the values that a label of a metric can have; None where nobody knows."""
    if label == "status":
        return frozenset(status.name for status in statuses(metric))
    if label == "kind" and metric.endswith("series_over_limit"):
        return frozenset({*KINDS, "step"})
    return vocabulary().get(label)


@cache
def vocabulary() -> dict[str, frozenset[str]]:
    """Return the values of the labels that have the same in every metric."""
    return {
        "state": frozenset(state.name for state in WorkflowState),
        "error_class": frozenset(ERROR_CLASSES),
        "quota": frozenset(Quota.model_fields),
        "kind": frozenset(KINDS),
        "reason": frozenset(REASONS),
        "method": frozenset(API_METHODS),
        "field": frozenset(UNREAD_FIELDS),
        "code": frozenset({"0", *(str(code) for code in range(100, 600))}),
        "alertname": frozenset(rule["alert"] for rule in rules() if "alert" in rule),
        "severity": frozenset({"critical", "warning", "info"}),
        "alertstate": frozenset({"pending", "firing"}),
    }


def statuses(metric: str) -> Iterable[Status | StepStatus]:
    """Return what `status` can be in a metric."""
    if metric == "yc_workflow_steps_completed_total":
        return STEP_ENDS
    if metric in {"yc_workflow_execution_steps", "yc_workflow_execution_step_status"}:
        return StepStatus
    if metric in {"yc_workflow_executions_completed_total", "yc_workflow_last_completed_status"}:
        return ENDS
    if "active" in metric:
        return ACTIVE
    return Status


def shown(query: Query) -> set[str] | None:
    """Return the names that the series of an expression can have in a panel; None where nobody knows."""
    labels = LABEL_OF_LEGEND.findall(query.legend)
    if not labels:
        return {query.legend}
    found: set[str] = set()
    for selector in query.selected:
        values = said(selector.name, labels[0]) if len(labels) == 1 else None
        if labels[0] in metrics().labels.get(selector.name, ()):
            if values is None or labels[0] == "code":
                return None
            found |= {LABEL_OF_LEGEND.sub(value, query.legend) for value in values}
    return found or None


def fields(panel: Panel) -> set[str]:
    """Return the fields of a table before they are renamed."""
    many = len(panel.queries) > 1
    found = {"Time"}
    for query in panel.queries:
        found |= {f"Value #{query.ref}" if many else "Value", *query.shape.may}
        if query.shape.is_open:
            found |= {"workflow_name", "workflow_id", "execution_id", "window", "job"}
    return found


# 1. What is built.


def the_head_is_that_of_the_house(found: Sequence[Board]) -> Iterator[str]:
    """Want what is the same for each, and nothing that file provisioning does not resolve."""
    wanted = {"schemaVersion": 39, "editable": False, "graphTooltip": 1, "tags": TAGS}
    for board in found:
        for key, value in wanted.items():
            if board.json.get(key) != value:
                yield f"{board.title}, {key}: is {board.json.get(key)!r}; make it {value!r}"
        for key in {"id", "version", "__inputs", "__requires", "__elements"} & set(board.json):
            yield f"{board.title}, {key}: must not be there; Grafana gives it, or does not resolve it"
        if board.json.get("time", {}).get("to") != "now":
            yield f"{board.title}, time: must end now"


def names_are_those_of_the_house(found: Sequence[Board]) -> Iterator[str]:
    """Want a name for people, one for addresses that is there once, and a sentence of what it is for."""
    for board in found:
        if not re.fullmatch(r"Yandex Workflows / \w+", board.title):
            yield f"{board.title}, title: must be 'Yandex Workflows / ...'"
        if not board.json.get("description", "").endswith("."):
            yield f"{board.title}, description: say in a sentence what it is for"
    for uid, count in Counter(board.uid for board in found).items():
        if count > 1 or not re.fullmatch(r"ycwf-[a-z]+", uid):
            yield f"uid {uid}: must be ycwf-... and there once"


def it_is_not_asked_more_often_than_it_is_scraped(found: Sequence[Board]) -> Iterator[str]:
    """Want no refresh that brings nothing new."""
    for board in found:
        asked_for = [
            board.json.get("refresh", ""),
            *board.json.get("timepicker", {}).get("refresh_intervals", ()),
        ]
        for text in asked_for:
            if seconds(text) < SCRAPE_INTERVAL:
                yield f"{board.title}, refresh {text!r}: shorter than the scrape interval; take 30s or more"


def seconds(text: str) -> float:
    """Return a duration of Prometheus or Grafana in seconds, 0 if it is none."""
    return promql.parse_duration(text).total_seconds() if re.fullmatch(r"\d+[smhd]", text) else 0.0


def nothing_is_of_one_machine_or_moment(found: Sequence[Board]) -> Iterator[str]:
    """Want no time of building and no path of the machine where it was built."""
    foreign = re.compile(
        r"\d{4}-\d{2}-\d{2}|\b1[5-9]\d{8}(?:\d{3})?\b|/(?:home|root|tmp|work|usr|var)/|\$\{DS_|localhost"
    )
    for board in found:
        for path, text in texts(board.json):
            if foreign.search(text):
                yield f"{board.title}, {path}: {text!r} is of one machine or moment; take it out"


# 2. Where it stands.


def panels_stand_side_by_side(found: Sequence[Board]) -> Iterator[str]:
    """Want each line to fill the width with panels of one height, and the next to begin below it."""
    for board in found:
        folded = [row["panels"] for row in board.rows if row.get("panels")]
        yield from _stacked(board, board.json["panels"], 0)
        for inner in folded:
            yield from _stacked(board, inner, min(panel["gridPos"]["y"] for panel in inner))


def _stacked(board: Board, boxes: Sequence[dict[str, Any]], y: int) -> Iterator[str]:
    lines = defaultdict(list)
    for box in boxes:
        lines[box["gridPos"]["y"]].append(box)
    for top, line in sorted(lines.items()):
        where = f"{board.title}, line of {line[0].get('title')!r}, gridPos"
        if top != y:
            yield f"{where}: begins at y {top}; the line above ends at {y}"
        x = 0
        for box in sorted(line, key=lambda box: box["gridPos"]["x"]):
            if box["gridPos"]["x"] != x:
                yield f"{where}: {box.get('title')!r} begins at x {box['gridPos']['x']}, wanted is {x}"
            x = box["gridPos"]["x"] + box["gridPos"]["w"]
        if x != WIDTH:
            yield f"{where}: ends at x {x}; it must fill {WIDTH} columns"
        heights = {box["gridPos"]["h"] for box in line}
        if len(heights) > 1:
            yield f"{where}: heights {sorted(heights)} side by side; take one"
        y = top + max(heights)


def the_first_line_is_of_tiles(found: Sequence[Board]) -> Iterator[str]:
    """Want 'is it fine now?' to be answered before anything is scrolled, and tiles nowhere else."""
    for board in found:
        for panel in board.panels:
            place = panel.json["gridPos"]
            if (panel.type == "stat") != (place["y"] == 0):
                yield f"{panel.where}, gridPos: tiles, and only tiles, stand in the first line"
            if panel.type == "stat" and place["h"] != 4:
                yield f"{panel.where}, gridPos.h: {place['h']}; a tile is 4 high"


def there_are_as_many_panels_as_one_can_read(found: Sequence[Board]) -> Iterator[str]:
    """Want 10 to 16 looks.

    The standard wants about 12 to 16 panels. A line of tiles is read at a glance: however many it has (8 at
    most, else their texts do not fit), it counts as four.
    """
    for board in found:
        tiles = sum(panel.type == "stat" for panel in board.panels)
        looks = 4 + len(board.panels) - tiles
        if tiles > 8:
            yield f"{board.title}: {tiles} tiles in a line; more than 8 cannot be read"
        if not 10 <= looks <= 16:
            yield f"{board.title}: {looks} looks (the tiles count as four); 10 to 16 can be read"


def numbers_are_unique(found: Sequence[Board]) -> Iterator[str]:
    """Want no two panels or rows to share an id, nor two queries of a panel a refId."""
    for board in found:
        ids = Counter(box.get("id") for box in [*board.rows, *(panel.json for panel in board.panels)])
        for id_, count in ids.items():
            if count > 1 or not isinstance(id_, int):
                yield f"{board.title}, id {id_}: is there {count} times; number the panels from 1 on"
        for panel in board.panels:
            for ref, count in Counter(query.ref for query in panel.queries).items():
                if count > 1 or not re.fullmatch("[A-Z]", ref):
                    yield f"{panel.where}, refId {ref!r}: must be one letter and there once"


# 3. Every panel.


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


# 4. Variables.


def variables_come_in_their_order(found: Sequence[Board]) -> Iterator[str]:
    """Want the order from the source down to the execution, and each after what it is made from."""
    for board in found:
        names = [v["name"] for v in board.variables if v.get("hide") != 2]
        if names[:3] != list(ORDER[:3]) or names != [name for name in ORDER if name in names]:
            yield f"{board.title}, variables: {', '.join(names)}; the order is {', '.join(ORDER)}"
        known: set[str] = set()
        for variable in board.variables:
            for name in _named(json.dumps(variable.get("query"))) - known - BUILT_IN:
                yield f"{board.title}, variable {variable['name']}, query: ${name} comes after it, or never"
            known.add(variable["name"])


def variables_have_the_shape_of_the_house(found: Sequence[Board]) -> Iterator[str]:
    """Want what chooses targets to take many, to have all, and to be read again with the time range."""
    wanted: dict[str, dict[str, Any]] = {
        "datasource": {"type": "datasource", "query": "prometheus", "label": "Data source", "hide": 0},
        "job": {
            "type": "query",
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "label": "Job",
            "refresh": 2,
        },
        "folder": {
            "type": "query",
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "label": "Folder",
            "refresh": 2,
        },
        "workflow": {"type": "query", "refresh": 2, "label": "Workflow"},
        "execution": {
            "type": "query",
            "refresh": 2,
            "label": "Execution",
            "multi": False,
            "includeAll": False,
        },
    }
    wanted["instance"] = {**wanted["job"], "label": "Instance"}
    for board in found:
        for variable in board.variables:
            where = f"{board.title}, variable {variable['name']}"
            for key, value in wanted.get(variable["name"], {"type": "constant", "hide": 2}).items():
                if variable.get(key) != value:
                    yield f"{where}, {key}: is {variable.get(key)!r}; make it {value!r}"
            if variable["name"] in {"job", "instance"}:
                function, text = asked(variable)
                if function != "label_values" or not re.fullmatch(
                    rf"yc_workflow_exporter_build_info(\{{.*\}})?, {variable['name']}", text
                ):
                    yield f"{where}, query: must be label_values of {variable['name']} in the build_info"


def _named(text: str) -> set[str]:
    """Return the names of the variables in a text."""
    return {m["plain"] or m["braced"] for m in VARIABLE.finditer(text)}


def every_variable_is_declared_and_used(found: Sequence[Board]) -> Iterator[str]:
    """Want that of all queries, titles, links, annotations and variables."""
    for board in found:
        used: set[str] = set()
        declared = [variable["name"] for variable in board.variables]
        for path, text in texts({key: value for key, value in board.json.items() if key != "templating"}):
            for name in _named(text) - set(declared) - BUILT_IN:
                yield f"{board.title}, {path}: ${name} is not declared; add the variable, or take it out"
            used |= _named(text)
        for variable in board.variables:
            used |= _named(json.dumps(variable)) - {variable["name"]}
        for name in declared:
            if name not in used:
                yield f"{board.title}, variable {name}: nothing uses it; take it out"


def every_variable_reads_its_text_and_value(found: Sequence[Board]) -> Iterator[str]:
    """Want the ID as the value and the name, if there is one, as the text."""
    for board in found:
        for variable in board.variables:
            if variable["type"] != "query" or asked(variable)[0] != "query_result":
                continue
            where = f"{board.title}, variable {variable['name']}, regex"
            id_ = f"{variable['name']}_id"
            name = {"workflow": "workflow_name", "execution": "alias"}[variable["name"]]
            for labels in ({id_: "dfq-1", name: "Täglich, 2 (neu)"}, {id_: "dfq-1"}):
                read = chosen(variable["regex"], labels)
                if read != (labels.get(name, labels[id_]), labels[id_]):
                    yield f"{where}: reads {read} from {rendered(labels)}; wanted are the name and the ID"
            shape = next(q.shape for q in board.of_variables if q.where.endswith(f" {variable['name']}"))
            if shape.always != {id_} or shape.may != {id_, name}:
                yield f"{where}: the query gives {sorted(shape.may)}; wanted are {id_} and {name}"


def rendered(labels: Mapping[str, str]) -> str:
    """Return a result of `query_result` as Grafana writes it."""
    return "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "} 1 1700000000000"


def chosen(regex: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the text and value that a variable's regular expression makes of a result."""
    match = re.search(re.sub(r"\(\?<(\w+)>", r"(?P<\1>", regex.strip("/")), rendered(labels))
    if match is None:
        return None
    groups = match.groupdict()
    return groups.get("text") or groups["value"], groups.get("value") or groups["text"]


# 5. Links.


def links_lead_somewhere(found: Sequence[Board]) -> Iterator[str]:
    """Want one of ours, with its variables, the source, the exporters and the time; or the cloud console."""
    declared = {board.uid: {variable["name"] for variable in board.variables} for board in found}
    kept = ("${datasource:queryparam}", "${job:queryparam}", "${instance:queryparam}", "${__url_time_range}")
    for board in found:
        for path, url in texts(board.json):
            if not path.endswith(".url"):
                continue
            where = f"{board.title}, {path}"
            match = re.match(r"/d/([\w-]+)\?", url)
            if not match:
                if not url.startswith(("${console}/", "https://")):
                    yield f"{where}: {url} leads nowhere; make it with to_dashboard(...)"
                continue
            if match[1] not in declared:
                yield f"{where}: there is no dashboard {match[1]}; ours are {', '.join(sorted(declared))}"
            for part in kept:
                if part not in url:
                    yield f"{where}: does not carry {part}"
            for name in set(re.findall(r"&var-(\w+)=", url)) - declared.get(match[1], set()):
                yield f"{where}: sets {name}, which {match[1]} does not have"


def links_use_what_is_there(found: Sequence[Board]) -> Iterator[str]:
    """Want columns that the table has, and labels that the series have."""
    for panel in panels(found):
        columns = {*fields(panel), *panel.renamed.values()} if panel.type == "table" else set()
        labels = [query.shape.always for query in panel.queries]
        for path, text in texts(panel.json):
            for name in FIELD_OF_DATA.findall(text):
                if name.strip('[]"') not in columns:
                    yield f"{panel.where}, {path}: there is no column {name}; there are {sorted(columns)}"
            for name in LABEL_OF_FIELD.findall(text):
                if not all(name in always for always in labels):
                    yield f"{panel.where}, {path}: the series have no label {name}"


def siblings_are_in_a_drop_down(found: Sequence[Board]) -> Iterator[str]:
    """Want a drop-down by the tag, with the choice and the time."""
    wanted = {
        "type": "dashboards",
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "tags": ["yc-workflow"],
    }
    for board in found:
        if not any(all(link.get(k) == v for k, v in wanted.items()) for link in board.json.get("links", [])):
            yield f"{board.title}, links: has no drop-down of the dashboards with the tag yc-workflow"


# 6. The rules of grafana/dashboard-linter, for every panel.


def linter_template_datasource(found: Sequence[Board]) -> Iterator[str]:
    """Want one variable for the data source, with the name and label that the linter knows."""
    for board in found:
        sources = [(v["name"], v.get("label")) for v in board.variables if v["type"] == "datasource"]
        if sources != [("datasource", "Data source")]:
            yield f"{board.title}, variables: {sources}; the linter wants datasource, labelled 'Data source'"


def linter_template_job_and_instance(found: Sequence[Board]) -> Iterator[str]:
    """Want both, as queries that take many, with `.+` for all."""
    for board in found:
        variables = {variable["name"]: variable for variable in board.variables}
        for name in ("job", "instance"):
            variable = variables.get(name, {})
            is_so = variable.get("type") == "query" and variable.get("label") == name.title()
            if not (is_so and variable.get("multi") and variable.get("allValue") == ".+"):
                yield f"{board.title}, variable {name}: must be a query, '{name.title()}', multi, all '.+'"


def linter_template_on_time_change_reload(found: Sequence[Board]) -> Iterator[str]:
    """Want what is asked of Prometheus to be asked again when the time range changes."""
    for board in found:
        for variable in board.variables:
            if variable["type"] == "query" and variable.get("refresh") != 2:
                yield f"{board.title}, variable {variable['name']}, refresh: make it 2, on time range change"


def linter_template_label_promql(found: Sequence[Board]) -> Iterator[str]:
    """Want label_values or query_result, of what can be parsed as the linter expands it.

    The linter puts 9397795485 in place of `__range_s`, which is no duration any more: `[$__range]` is.
    Its older releases read the first line only.
    """
    for board in found:
        for variable in board.variables:
            if variable["type"] != "query":
                continue
            where, text = f"{board.title}, variable {variable['name']}, query", variable["query"]["query"]
            if not asked(variable)[0]:
                yield f"{where}: {text} is neither label_values(...) nor query_result(...)"
            if re.search(r"\[\$\{?__range_s\}?s\]", text):
                yield f"{where}: the linter makes no duration of [${{__range_s}}s]; write [$__range]"
            if "\n" in text:
                yield f"{where}: releases of the linter read one line; write it in one"


def linter_panel_no_targets(found: Sequence[Board]) -> Iterator[str]:
    """Want each panel to ask something."""
    for panel in panels(found):
        if not panel.queries or not all(query.text.strip() for query in panel.queries):
            yield f"{panel.where}, targets: asks nothing; give it a query"


def linter_target_rate_interval(found: Sequence[Board]) -> Iterator[str]:
    """Want a rate to be over $__rate_interval, and a range to stand in a function."""
    for query in (query for board in found for query in board.queries):
        marked = replace(query, text=query.text.replace("$__rate_interval", "77m"))
        for node, above in marked.nodes:
            if not isinstance(node, promql.MatrixSelector):
                continue
            call = above[-1] if above else None
            name = call.func.name if isinstance(call, promql.Call) else ""
            if not name or (name in {"rate", "irate"} and node.range.total_seconds() != 77 * 60):
                yield f"{query.where}: {name}({node}) is not over $__rate_interval"


def linter_target_job_and_instance(found: Sequence[Board]) -> Iterator[str]:
    """Want every selector of every panel, variable and annotation to be of the chosen exporters."""
    for query in (query for board in found for query in board.queries):
        own = query.where.partition("variable ")[2]
        wanted = {"job": (), "instance": ("job",)}.get(own, ("job", "instance"))
        for selected in query.selected:
            for label in wanted:
                if Matcher(label, "=~", f"${label}") in selected.matchers or selected.name in WITHOUT_TARGET:
                    continue
                yield f'{query.where}: {selected.name} lacks {label}=~"${label}"; select by exporters(...)'


def linter_target_counter_agg(found: Sequence[Board]) -> Iterator[str]:
    """Want a counter to be seen by its growth, and only a counter."""
    for query in (query for board in found for query in board.queries):
        for selected in query.selected:
            above = selected.above
            call = above[-2] if len(above) > 1 and isinstance(above[-1], promql.MatrixSelector) else None
            grows = isinstance(call, promql.Call) and call.func.name in RATES
            if (selected.name in metrics().counters) != grows and selected.name in metrics().labels:
                what = "is a gauge, and has no rate" if grows else "is a counter; take its increase"
                yield f"{query.where}: {selected.name} {what}"


# 7. PromQL.


def windows_lose_nothing(found: Sequence[Board]) -> Iterator[str]:
    """Want each window to be the rate interval, the range, or a time that is named.

    `$__interval` is no window: what grows between the last scrape of one and the first of the next is lost.
    """
    for query in (query for board in found for query in board.queries):
        for window in re.findall(r"\[([^\]]+)\]", query.text):
            if window not in {"$__rate_interval", "$__range"} and not seconds(window):
                yield f"{query.where}: counts over [{window}]; take $__rate_interval, $__range or 1h"


def nothing_is_late(found: Sequence[Board]) -> Iterator[str]:
    """Want steps of at most five minutes: Grafana ends a graph at its last whole step."""
    for panel in panels(found):
        step = panel.json.get("interval", "1m")
        if not 0 < seconds(step) <= 300:
            yield f"{panel.where}, interval: with {step} the newest point may be so old; take 5m or less"


def every_expression_can_be_parsed(found: Sequence[Board]) -> Iterator[str]:
    """Want PromQL, after Grafana has put its variables in."""
    for query in (query for board in found for query in board.queries):
        try:
            boards.parsed(query.parsable)
        except ValueError as error:
            yield f"{query.where}: {query.parsable} is no PromQL: {error}"


def every_label_exists(found: Sequence[Board]) -> Iterator[str]:
    """Want the labels of matchers, `by`, `on`, `group_left` and functions, and joins of one with one."""
    for query in (query for board in found for query in board.queries):
        yield from (f"{query.where}: {fault}" for fault in query.faults)
        for selected in query.selected:
            known = metrics().labels.get(selected.name)
            for matcher in selected.matchers:
                if known is not None and matcher.label not in known and selected.name not in boards.OPEN:
                    yield f"{query.where}: {selected.name} has no label {matcher.label}; nothing is selected"


def replicas_are_counted_once(found: Sequence[Board]) -> Iterator[str]:
    """Want the max of replicas, who see the same executions, before anything of workflows is added up."""
    for query in (query for board in found for query in [*board.of_panels, *board.of_annotations]):
        for selected in query.selected:
            labels = metrics().labels.get(selected.name, frozenset())
            if selected.is_filter or not labels >= TARGET or not labels & {"workflow_id", "execution_id"}:
                continue
            if not selected.aggregations:
                yield f"{query.where}: {selected.name} is shown once for each replica; take most(...)"
            elif selected.aggregations[0] not in {"max", "min", "group", *PICKING}:
                first = selected.aggregations[0]
                yield f"{query.where}: {first} over the replicas of {selected.name}; take most(...) first"


def gauges_of_replicas_are_not_added_up(found: Sequence[Board]) -> Iterator[str]:
    """Want what each replica says of the same thing (targets, limits, times) to be taken once."""
    for query in (query for board in found for query in board.of_panels):
        for selected in query.selected:
            labels = metrics().labels.get(selected.name, frozenset())
            of_workflows = labels & {"workflow_id", "execution_id"}
            if selected.name in metrics().counters or not labels >= TARGET or of_workflows:
                continue
            if selected.aggregations[:1] and selected.aggregations[0] in {"sum", "count", "avg"}:
                yield f"{query.where}: {selected.aggregations[0]} of the gauge {selected.name}; take its max"


def every_legend_tells_series_apart(found: Sequence[Board]) -> Iterator[str]:
    """Want its labels to be in the result, and no two series of the same name."""
    for query in (query for board in found for query in [*board.of_panels, *board.of_annotations]):
        shape, labels = query.shape, LABEL_OF_LEGEND.findall(query.legend)
        for label in labels:
            if label not in shape.always:
                yield f"{query.where}, legend: the series have no {label}; they have {sorted(shape.may)}"
        told = {*labels, *(STAND_FOR[label] for label in labels if label in STAND_FOR)}
        drawn = query.panel is not None and query.panel.type not in {"table", "stat"}
        if drawn and not shape.unique <= told and not _is_one(query):
            yield f"{query.where}, legend {query.legend!r}: does not tell {sorted(shape.unique - told)} apart"


def _is_one(query: Query) -> bool:
    """Tell whether the chosen execution or workflow leaves one series only."""
    multi = {v["name"] for v in query.panel.board.variables if v.get("multi")} if query.panel else set()
    one = {f"{v}_id" for v in ("workflow", "execution") if v not in multi}
    selected = {m.label for s in query.selected for m in s.matchers if m.value.startswith("$")}
    return query.shape.unique <= one & selected


def a_tile_has_one_value(found: Sequence[Board]) -> Iterator[str]:
    """Want one query that gives one series."""
    for panel in panels(found):
        if panel.type != "stat":
            continue
        for query in panel.queries:
            unique = query.shape.unique
            if unique:
                yield f"{query.where}: may give many series, by {sorted(unique)}; aggregate them away"
        if len(panel.queries) > 1:
            yield f"{panel.where}: has {len(panel.queries)} queries; a tile has one"


def tables_have_their_fields(found: Sequence[Board]) -> Iterator[str]:
    """Want what transformations and overrides name, and a field that joins the queries."""
    for panel in panels(found):
        if panel.type != "table":
            continue
        there = fields(panel)
        for step in panel.json.get("transformations", []):
            options = step["options"]
            named = [*options.get("include", {}).get("names", ()), *options.get("renameByName", ())]
            for name in {*named, *options.get("indexByName", ())} - there:
                yield f"{panel.where}, {step['id']}: there is no field {name!r}; there are {sorted(there)}"
        titles = {*panel.renamed.values()} or there
        sorted_by = {by["displayName"] for by in panel.json["options"].get("sortBy", ())}
        for name in {*(name for name, _ in panel.overrides), *sorted_by} - titles:
            yield f"{panel.where}, override or sort by {name!r}: the columns are {sorted(titles)}"
        common = frozenset.intersection(*(query.shape.always for query in panel.queries))
        for query in panel.queries:
            if len(panel.queries) > 1 and not common & query.shape.unique:
                yield f"{query.where}: shares no field with the other queries, so that rows cannot be joined"


def overrides_meet_a_series(found: Sequence[Board]) -> Iterator[str]:
    """Want the name of each override to be one that a series can have."""
    for panel in panels(found):
        names = [shown(query) for query in panel.queries]
        if panel.type == "table" or any(name is None for name in names):
            continue
        possible = set().union(*(name for name in names if name))
        colours = {*OF_STATES, *ERROR_CLASSES}
        for name, properties in panel.overrides:
            if name not in possible and not (name in colours and set(properties) == {"color"}):
                yield f"{panel.where}, override {name!r}: the series are {sorted(possible)}"


def queries_have_the_form_of_their_panel(found: Sequence[Board]) -> Iterator[str]:
    """Want a table of one moment, buckets for a heatmap, and the range for what is drawn over time."""
    for panel in panels(found):
        for target in panel.json.get("targets", []):
            form = {"table": "table", "heatmap": "heatmap"}.get(panel.type, "time_series")
            if target.get("format") != form:
                yield f"{panel.where}, format of {target.get('refId')}: make it {form}"
            if target.get("instant") == target.get("range"):
                yield f"{panel.where}, {target.get('refId')}: is either of one moment or of the range"
            of_moment = panel.type in {"table", "bargauge"}
            if panel.type != "stat" and target.get("instant") != of_moment:
                yield f"{panel.where}, instant of {target.get('refId')}: make it {of_moment}"
            if "$__range" in target["expr"] and "@ end()" not in target["expr"] and not target.get("instant"):
                yield f"{panel.where}, {target.get('refId')}: a total of the range, drawn over the range"


# 8. Both ways.


def every_metric_exists(found: Sequence[Board]) -> Iterator[str]:
    """Want what the exporter exposes, a rule records, or Prometheus itself says."""
    for query in (query for board in found for query in board.queries):
        for selected in query.selected:
            if selected.name not in metrics().labels:
                yield f"{query.where}: nothing exposes or records {selected.name}"


def every_literal_can_be_said(found: Sequence[Board]) -> Iterator[str]:
    """Want each status, class, quota, kind, reason, code or alert to be one that there can be."""
    for query in (query for board in found for query in board.queries):
        for selected in query.selected:
            for matcher in selected.matchers:
                if matcher.label in FREE and "$" in matcher.value:
                    continue
                values = said(selected.name, matcher.label)
                for literal in matcher.value.split("|"):
                    if values is None or not any(re.fullmatch(literal, value) for value in values):
                        yield f"{query.where}: {selected.name} never has {matcher.label} {literal!r}"


def every_metric_is_used(found: Sequence[Board]) -> Iterator[str]:
    """Want what is exposed to be read by a dashboard or a rule, or to be in UNUSED, and not both."""
    used = {selected.name for board in found for query in board.queries for selected in query.selected}
    used |= {selected.name for rule in rules() for selected in selections(rule["expr"])}
    for family, names in metrics().families.items():
        if not names & used and family not in UNUSED:
            yield f"{family}: no dashboard and no rule reads it; show it, or say in UNUSED why not"
        if names & used and family in UNUSED:
            yield f"{family}: is read; take it out of UNUSED"


CHECKS: tuple[Check, ...] = (
    the_head_is_that_of_the_house,
    names_are_those_of_the_house,
    it_is_not_asked_more_often_than_it_is_scraped,
    nothing_is_of_one_machine_or_moment,
    panels_stand_side_by_side,
    the_first_line_is_of_tiles,
    there_are_as_many_panels_as_one_can_read,
    numbers_are_unique,
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
    variables_come_in_their_order,
    variables_have_the_shape_of_the_house,
    every_variable_is_declared_and_used,
    every_variable_reads_its_text_and_value,
    links_lead_somewhere,
    links_use_what_is_there,
    siblings_are_in_a_drop_down,
    linter_template_datasource,
    linter_template_job_and_instance,
    linter_template_on_time_change_reload,
    linter_template_label_promql,
    linter_panel_no_targets,
    linter_target_rate_interval,
    linter_target_job_and_instance,
    linter_target_counter_agg,
    windows_lose_nothing,
    nothing_is_late,
    every_expression_can_be_parsed,
    every_label_exists,
    replicas_are_counted_once,
    gauges_of_replicas_are_not_added_up,
    every_legend_tells_series_apart,
    a_tile_has_one_value,
    tables_have_their_fields,
    overrides_meet_a_series,
    queries_have_the_form_of_their_panel,
    every_metric_exists,
    every_literal_can_be_said,
    every_metric_is_used,
)


def named(check: Check) -> str:
    """Return the name of a check."""
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", CHECKS, ids=named)
def test_the_dashboards_keep_the_rule(check: Check) -> None:
    """There is nothing to complain of."""
    found = list(check([Board(dashboard) for dashboard in committed()]))
    assert not found, "\n".join(found)


# What is built is what is there.


def test_the_committed_dashboards_are_those_of_their_source() -> None:
    """`python -m grafana.source` writes them, byte for byte."""
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == files()


def test_they_are_built_the_same_each_time() -> None:
    """No order of a set and no clock gets into them."""
    program = "import grafana.source.__main__ as m; print(sorted(m.files().items()))"
    built = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"))
    }
    assert len(built) == 1


def test_the_dashboards_know_the_scrape_interval() -> None:
    """Prometheus, the data source and the refresh go by the same number."""
    prometheus = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    assert seconds(prometheus["global"]["scrape_interval"]) == SCRAPE_INTERVAL
    assert [seconds(source["jsonData"]["timeInterval"]) for source in sources()] == [SCRAPE_INTERVAL]


@pytest.mark.parametrize("metric", WITHOUT_TARGET)
def test_an_exception_is_needed(metric: str) -> None:
    """What nobody selects any more is no exception any more."""
    queries = [query for dashboard in committed() for query in Board(dashboard).queries]
    assert any(selected.name == metric for query in queries for selected in query.selected)


def test_the_linter_is_told_the_same_exceptions() -> None:
    """Each panel that selects without job and instance stands in `.lint`, by rule, and no other does."""
    told = yaml.safe_load((FOLDER / ".lint").read_text())["exclusions"]
    wanted = {
        (panel.board.title, panel.title)
        for panel in panels([Board(dashboard) for dashboard in committed()])
        for query in panel.queries
        if {selected.name for selected in query.selected} & set(WITHOUT_TARGET)
    }
    assert set(told) == {"target-job-rule", "target-instance-rule"}
    for rule in told.values():
        assert rule["reason"].endswith(".")
        assert {(entry["dashboard"], entry["panel"]) for entry in rule["entries"]} == wanted


@pytest.mark.parametrize("label", STAND_FOR)
def test_a_label_that_stands_for_another_is_in_a_legend(label: str) -> None:
    """What is no legend any more need not be excused."""
    queries = [query for dashboard in committed() for query in Board(dashboard).of_panels]
    assert any(label in LABEL_OF_LEGEND.findall(query.legend) for query in queries)


# How expressions are read.

ACTIVE_ONES = "yc_workflow_active_executions"


@pytest.mark.parametrize(
    ("expression", "always", "unique"),
    [
        (ACTIVE_ONES, "instance job status workflow_id", "instance job status workflow_id"),
        (f"max by (workflow_id) ({ACTIVE_ONES})", "workflow_id", "workflow_id"),
        (f"max without (job, instance) ({ACTIVE_ONES})", "status workflow_id", "status workflow_id"),
        (f"topk by (workflow_id) (1, {ACTIVE_ONES})", "instance job status workflow_id", "workflow_id"),
        (f"topk(1, max by (status) ({ACTIVE_ONES}))", "status", ""),
        ("histogram_quantile(0.9, max by (le) (yc_workflow_step_duration_seconds_bucket))", "", ""),
        (f"time() - max({ACTIVE_ONES}) and on () up", "", ""),
        (f"max by (status) ({ACTIVE_ONES}) or on () vector(0)", "", "status"),
        (f'label_replace(max({ACTIVE_ONES}), "name", "$1", "", "")', "name", ""),
        (
            f"max by (workflow_id) ({ACTIVE_ONES}) * on (workflow_id) group_left (workflow_name) "
            "topk by (workflow_id) (1, yc_workflow_info)",
            "workflow_id workflow_name",
            "workflow_id",
        ),
        (f"max by (job) ({ACTIVE_ONES}) / on (job) max by (job) (up)", "job", "job"),
    ],
)
def test_the_labels_of_a_result_are_known(expression: str, always: str, unique: str) -> None:
    """Without asking Prometheus: those that each series has, and those that tell series apart."""
    shape, faults = reading(expression)
    assert " ".join(sorted(shape.always)) == always
    assert " ".join(sorted(shape.unique)) == unique
    assert faults == ()


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        (f"max by (folder_id) ({ACTIVE_ONES})", "names folder_id"),
        (f"{ACTIVE_ONES} / on (workflow_id) max by (workflow_id) ({ACTIVE_ONES})", "the left side of `/`"),
        (f"max by (status) ({ACTIVE_ONES}) * on (status) group_left () {ACTIVE_ONES}", "the right side"),
        (f"max by (status) ({ACTIVE_ONES}) and max by (job) ({ACTIVE_ONES})", "nothing is equal"),
        (f"max({ACTIVE_ONES}) * on () group_left (job) max(up)", "group_left names job"),
        (f"histogram_quantile(0.9, max({ACTIVE_ONES}))", "histogram_quantile names le"),
        (f'label_replace({ACTIVE_ONES}, "a", "$1", "b", "(.+)")', "label_replace names b"),
    ],
)
def test_what_cannot_be_joined_is_told(expression: str, fault: str) -> None:
    """With the operator, and what is missing or too much."""
    assert fault in " ".join(reading(expression)[1])


# Provisioning.


def sources() -> list[dict[str, Any]]:
    """Return the data sources that Grafana is given."""
    text = (ROOT / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    found: list[dict[str, Any]] = yaml.safe_load(text)["datasources"]
    return found


def compose() -> dict[str, dict[str, Any]]:
    """Return the services of compose.yaml."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return found


def mounted(service: str) -> dict[str, str]:
    """Return where the folders and files of this repository are in a container, by their path here."""
    pairs = [volume.split(":") for volume in compose()[service]["volumes"]]
    return {parts[0]: parts[1] for parts in pairs if parts[0].startswith("./")}


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    """The path of the provider is that of the volume, and the home page is in it."""
    path = ROOT / "grafana" / "provisioning" / "dashboards" / "yandex-workflows.yml"
    providers = yaml.safe_load(path.read_text())["providers"]
    volumes = mounted("grafana")
    assert [provider["options"]["path"] for provider in providers] == [volumes["./grafana/dashboards"]]
    assert [provider["allowUiUpdates"] for provider in providers] == [False]
    assert volumes["./grafana/provisioning"] == "/etc/grafana/provisioning"
    home = compose()["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    folder, _, name = home.rpartition("/")
    assert folder == volumes["./grafana/dashboards"]
    assert (FOLDER / name).is_file()


def test_grafana_reads_the_prometheus_of_compose() -> None:
    """The one data source is the default, and its address is the service's."""
    assert [(source["type"], source["isDefault"]) for source in sources()] == [("prometheus", True)]
    host, port = sources()[0]["url"].removeprefix("http://").split(":")
    assert any(published.endswith(f":{port}") for published in compose()[host]["ports"])


def test_everything_that_is_mounted_is_there() -> None:
    """Docker makes an empty folder of what is not, without a word."""
    for service in compose():
        for path in mounted(service) if "volumes" in compose()[service] else {}:
            assert (ROOT / path).exists(), f"{service} mounts {path}"


def test_the_grafana_of_compose_is_one_that_the_dashboards_are_made_for() -> None:
    """From 10 to 13, pinned."""
    version = re.fullmatch(r"grafana/grafana:(\d+)\.\d+\.\d+", compose()["grafana"]["image"])
    assert version
    assert 10 <= int(version[1]) <= 13


# The guard of the guards.

Json = dict[str, Any]
Change = Callable[[list[Json]], None]
GONE = object()


@dataclass(frozen=True, slots=True)
class Corruption:
    """Something made wrong in the dashboards, and the checks that have to see it, and no others."""

    what: str
    done: Change
    checks: tuple[Check, ...]


def boxes(dashboards: Iterable[Json]) -> Iterator[Json]:
    """Return all panels and rows."""
    for dashboard in dashboards:
        for panel in dashboard["panels"]:
            yield panel
            yield from panel.get("panels", [])


def put(path: str, value: Any, **wanted: Any) -> Change:
    """Set what is at a path (GONE takes it away) in the first panel of this kind that has it."""

    def done(dashboards: list[Json]) -> None:
        *way, last = path.split(".")
        for box in boxes(dashboards):
            if (
                all(box.get(key) == of for key, of in wanted.items())
                and (at := _follow(box, way)) is not None
            ):
                key: Any = int(last) if isinstance(at, list) else last
                if value is GONE:
                    del at[key]
                else:
                    at[key] = value
                return
        raise LookupError(f"no panel has {path}")

    return done


def _follow(at: Any, way: Iterable[str]) -> Any:
    for step in way:
        if isinstance(at, list):
            at = at[int(step)] if int(step) < len(at) else None
        else:
            at = at.get(step) if at else None
    return at


def swapped(end: str, old: str, new: str) -> Change:
    """Replace what a regular expression finds first in the texts whose path ends so, once."""

    def done(dashboards: list[Json]) -> None:
        for dashboard in dashboards:
            for path, text in texts(dashboard):
                if path.endswith(end) and re.search(old, text):
                    *way, last = path.replace("[", ".").replace("]", "").split(".")
                    at = _follow(dashboard, way)
                    at[int(last) if isinstance(at, list) else last] = re.sub(old, new, text, count=1)
                    return
        raise LookupError(f"no {end} has {old}")

    return done


def head(key: str, value: Any) -> Change:
    """Set something of the first dashboard itself."""
    return lambda dashboards: dashboards[0].update({key: value})


def variable(name: str, **changed: Any) -> Change:
    """Change a variable of the first dashboard that has it."""

    def done(dashboards: list[Json]) -> None:
        found = [v for d in dashboards for v in d["templating"]["list"] if v["name"] == name]
        found[0].update(changed)

    return done


def expr(old: str, new: str) -> Change:
    """Change the first expression in which a regular expression is found."""
    return swapped(".expr", old, new)


def taller_tiles(dashboards: list[Json]) -> None:
    """Make the first line higher, and move down what is below."""
    for panel in boxes(dashboards[:1]):
        place = panel["gridPos"]
        place["h" if place["y"] == 0 else "y"] += 1


def longer(dashboards: list[Json]) -> None:
    """Put many more graphs below."""
    panels_ = dashboards[0]["panels"]
    graph = next(panel for panel in panels_ if panel["type"] == "timeseries")
    below = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels_)
    for number in range(12):
        place = {"x": 0, "w": WIDTH, "h": 8, "y": below + 8 * number}
        panels_.append({**graph, "id": 100 + number, "title": f"More {number}", "gridPos": place})


def folded_elsewhere(dashboards: list[Json]) -> None:
    """Move a panel in a folded row."""
    rows = [row for dashboard in dashboards for row in dashboard["panels"] if row.get("panels")]
    rows[0]["panels"][0]["gridPos"]["x"] += 1


def instance_before_job(dashboards: list[Json]) -> None:
    """Exchange two variables."""
    variables = dashboards[0]["templating"]["list"]
    variables[1], variables[2] = variables[2], variables[1]


def spare_variable(dashboards: list[Json]) -> None:
    """Declare what nobody uses."""
    spare = {"name": "spare", "type": "constant", "query": "1", "hide": 2, "skipUrlSync": True}
    dashboards[0]["templating"]["list"].append(spare)


def dull(word: str, title: str) -> Change:
    """Take the colour away from a series that is a state."""

    def done(dashboards: list[Json]) -> None:
        for box in (box for box in boxes(dashboards) if box["title"] == title):
            overrides = box.get("fieldConfig", {}).get("overrides", [])
            for override in [o for o in overrides if o["matcher"]["options"] == word]:
                overrides.remove(override)
                return
        raise LookupError(f"nothing is called {word}")

    return done


def repainted(word: str, colour: str) -> Change:
    """Give another colour to the first mapping of a word."""

    def done(dashboards: list[Json]) -> None:
        for box in boxes(dashboards):
            for mapping in box.get("fieldConfig", {}).get("defaults", {}).get("mappings", []):
                for option in mapping["options"].values():
                    if option["text"] == word:
                        option["color"] = colour
                        return
        raise LookupError(f"nothing is mapped to {word}")

    return done


FIELD = "fieldConfig.defaults"
CORRUPTIONS = (
    Corruption("a newer schema", head("schemaVersion", 41), (the_head_is_that_of_the_house,)),
    Corruption("editable", head("editable", value=True), (the_head_is_that_of_the_house,)),
    Corruption("an id", head("id", 7), (the_head_is_that_of_the_house,)),
    Corruption("inputs", head("__inputs", []), (the_head_is_that_of_the_house,)),
    Corruption("another prefix", head("title", "Workflows"), (names_are_those_of_the_house,)),
    Corruption(
        "refreshed too often", head("refresh", "10s"), (it_is_not_asked_more_often_than_it_is_scraped,)
    ),
    Corruption("a date", head("description", "Of 2026-11-25."), (nothing_is_of_one_machine_or_moment,)),
    Corruption("a hole", put("gridPos.w", 11, type="timeseries"), (panels_stand_side_by_side,)),
    Corruption("an overlap", put("gridPos.x", 3, type="timeseries"), (panels_stand_side_by_side,)),
    Corruption("uneven heights", put("gridPos.h", 5, type="heatmap"), (panels_stand_side_by_side,)),
    Corruption("a gap in a folded row", folded_elsewhere, (panels_stand_side_by_side,)),
    Corruption("higher tiles", taller_tiles, (the_first_line_is_of_tiles,)),
    Corruption("many more graphs", longer, (there_are_as_many_panels_as_one_can_read,)),
    Corruption("an id twice", put("id", 1, type="timeseries"), (numbers_are_unique,)),
    Corruption("no description", put("description", GONE, type="heatmap"), (every_panel_says_what_it_is,)),
    Corruption("no advice", swapped(".description", r"\n\n\*\*What.*", ""), (every_panel_says_what_it_is,)),
    Corruption("no title", put("title", "", type="bargauge"), (every_panel_says_what_it_is,)),
    Corruption("no unit", put(f"{FIELD}.unit", GONE, type="bargauge"), (every_panel_has_a_unit,)),
    Corruption("a unit of ours", put(f"{FIELD}.unit", "runs", type="timeseries"), (every_panel_has_a_unit,)),
    Corruption(
        "no word for nothing", put(f"{FIELD}.noValue", "", type="stat"), (every_panel_says_that_it_is_empty,)
    ),
    Corruption("an empty cell", swapped(".id", "^noValue$", "noWord"), (every_panel_says_that_it_is_empty,)),
    Corruption(
        "no data is good news",
        put(f"{FIELD}.thresholds.steps.0.color", "green", type="stat"),
        (no_data_is_not_good_news,),
    ),
    Corruption(
        "a colour of one's own",
        swapped("color", "^text$", "crimson"),
        (every_colour_is_one, no_data_is_not_good_news),
    ),
    Corruption("another red", repainted("FAILED", "orange"), (one_state_has_one_colour,)),
    Corruption(
        "a colour alone",
        swapped(".text", "^RUNNING$", ""),
        (one_state_has_one_colour, every_number_of_a_state_has_its_word),
    ),
    Corruption("a state without a colour", dull("PAUSED", "Active executions"), (every_state_is_coloured,)),
    Corruption(
        "a class without a colour", dull("YDB_CALL", "Failures by error class"), (every_state_is_coloured,)
    ),
    Corruption(
        "another word", swapped(".text", "^RUNNING$", "GOING"), (every_number_of_a_state_has_its_word,)
    ),
    Corruption(
        "a legend of one",
        put("options.legend.showLegend", value=True, title="Token renewals"),
        (the_legend_fits_the_series,),
    ),
    Corruption(
        "other numbers",
        put("options.legend.calcs", ["mean"], title="Failures by error class"),
        (the_legend_fits_the_series,),
    ),
    Corruption(
        "a fixed source",
        put("targets.0.datasource.uid", "prometheus", type="stat"),
        (everything_asks_the_chosen_source,),
    ),
    Corruption("instance before job", instance_before_job, (variables_come_in_their_order,)),
    Corruption(
        "one of all folders", variable("folder", multi=False), (variables_have_the_shape_of_the_house,)
    ),
    Corruption(
        "all is anything",
        variable("job", allValue=".*"),
        (variables_have_the_shape_of_the_house, linter_template_job_and_instance),
    ),
    Corruption(
        "a source by another name",
        variable("datasource", label="Source"),
        (variables_have_the_shape_of_the_house, linter_template_datasource),
    ),
    Corruption(
        "read once",
        variable("instance", refresh=1),
        (variables_have_the_shape_of_the_house, linter_template_on_time_change_reload),
    ),
    Corruption(
        "an undeclared variable",
        swapped(".description", "^", "Of $cluster. "),
        (every_variable_is_declared_and_used,),
    ),
    Corruption("a spare variable", spare_variable, (every_variable_is_declared_and_used,)),
    Corruption(
        "an ID that is not read",
        swapped(".regex", "workflow_id=", "workflow="),
        (every_variable_reads_its_text_and_value,),
    ),
    Corruption(
        "a link to nowhere", swapped(".url", "/d/ycwf-workflow", "/d/ycwf-workflows"), (links_lead_somewhere,)
    ),
    Corruption(
        "a link without the time", swapped(".url", r"&\$\{__url_time_range\}", ""), (links_lead_somewhere,)
    ),
    Corruption(
        "a link that sets nothing", swapped(".url", "&var-workflow=", "&var-flow="), (links_lead_somewhere,)
    ),
    Corruption(
        "a link by a missing column", swapped(".url", r"fields\.ID", "fields.Id"), (links_use_what_is_there,)
    ),
    Corruption(
        "a link by a missing label",
        swapped(".url", r"labels\.execution_id", "labels.execution"),
        (links_use_what_is_there,),
    ),
    Corruption("no drop-down", swapped("links[0].tags[0]", ".+", "other"), (siblings_are_in_a_drop_down,)),
    Corruption(
        "two lines",
        swapped(".query.query", r"query_result\(", "query_result(\n"),
        (linter_template_label_promql,),
    ),
    Corruption(
        "292 years",
        swapped(".query.query", r"\[\$__range\]", "[${__range_s}s]"),
        (linter_template_label_promql, windows_lose_nothing),
    ),
    Corruption("no query", put("targets", [], type="heatmap"), (linter_panel_no_targets,)),
    Corruption(
        "a rate of its own",
        expr(r"(rate\([^\[]+\[)\$__rate_interval", r"\g<1>5m"),
        (linter_target_rate_interval,),
    ),
    Corruption("all jobs there are", expr(r'job=~"\$job", ', ""), (linter_target_job_and_instance,)),
    Corruption(
        "one job",
        expr(r'job=~"\$job"', 'job="yc-workflow"'),
        (linter_target_job_and_instance, every_literal_can_be_said),
    ),
    Corruption(
        "all instances of a variable",
        swapped(".query.query", r'instance=~"\$instance"', 'job=~"$job"'),
        (linter_target_job_and_instance,),
    ),
    Corruption(
        "a bare counter", expr(r"increase\((yc_[^\[]+)\[[^\]]+\]\)", r"\1"), (linter_target_counter_agg,)
    ),
    Corruption(
        "the growth of a gauge",
        expr(r"(yc_workflow_active_executions\{[^}]*\})", r"increase(\1[5m])"),
        (linter_target_counter_agg,),
    ),
    Corruption(
        "a window with gaps",
        expr(r"increase\(([^\[]+)\[\$__range\]", r"increase(\1[$__interval]"),
        (windows_lose_nothing,),
    ),
    Corruption("late by an hour", put("interval", "1h", type="heatmap"), (nothing_is_late,)),
    Corruption(
        "half an expression",
        expr(r"^histogram_quantile\(", "histogram_quantile(("),
        (every_expression_can_be_parsed,),
    ),
    Corruption("a join by nothing", expr(r"on \(workflow_id\)", "on (workflow)"), (every_label_exists,)),
    Corruption(
        "a join by everything", expr(r"and on \(execution_id\) topk", "and topk"), (every_label_exists,)
    ),
    Corruption(
        "a join of many",
        expr(r"topk by \(execution_id\) \(1, ", "max by (execution_id, alias) ("),
        (every_label_exists,),
    ),
    Corruption(
        "a misspelt label",
        expr('quota="active', 'quotas="active'),
        (every_label_exists, every_literal_can_be_said),
    ),
    Corruption(
        "replicas counted twice",
        expr(r"max by \(workflow_id, status\)", "sum by (workflow_id, status)"),
        (replicas_are_counted_once,),
    ),
    Corruption(
        "targets counted twice",
        expr(
            r"max by \(kind\) \(yc_workflow_exporter_scrape_targets",
            "sum by (kind) (yc_workflow_exporter_scrape_targets",
        ),
        (gauges_of_replicas_are_not_added_up,),
    ),
    Corruption(
        "a legend of nothing",
        swapped(".legendFormat", r"\{\{method\}\}", "{{methods}}"),
        (every_legend_tells_series_apart,),
    ),
    Corruption(
        "one name for all",
        swapped(".legendFormat", r"\{\{reason\}\}", "reason"),
        (every_legend_tells_series_apart, the_legend_fits_the_series),
    ),
    Corruption(
        "a tile of many",
        expr(r"^sum\((max by \(workflow_id\) \(yc_workflow_active_executions[^)]*\))\)$", r"\1"),
        (a_tile_has_one_value,),
    ),
    Corruption(
        "a missing field", swapped("names[1]", "Value #B|status", "Value #Z"), (tables_have_their_fields,)
    ),
    Corruption("sorted by nothing", swapped(".displayName", ".+", "Trouble"), (tables_have_their_fields,)),
    Corruption(
        "a limit by another name", swapped(".legendFormat", "^quota$", "limit"), (overrides_meet_a_series,)
    ),
    Corruption(
        "a table over time",
        put("targets.0.instant", value=False, type="table"),
        (queries_have_the_form_of_their_panel,),
    ),
    Corruption(
        "no buckets",
        put("targets.0.format", "time_series", type="heatmap"),
        (queries_have_the_form_of_their_panel,),
    ),
    Corruption(
        "a metric that is not there",
        expr(
            "yc_workflow_exporter_last_api_success_timestamp_seconds",
            "yc_workflow_exporter_last_success_seconds",
        ),
        (every_metric_exists,),
    ),
    Corruption(
        "a misspelt status",
        expr(r'(total\{[^}]*status=)"FAILED"', r'\1"FAILURE"'),
        (every_literal_can_be_said,),
    ),
    Corruption("a code that is none", expr(r"499\|5\.\.", "499|6.."), (every_literal_can_be_said,)),
    Corruption("an alert that is none", expr(r"YcWorkflow\.\+", "Workflow.+"), (every_literal_can_be_said,)),
    Corruption(
        "a metric that nobody reads",
        expr("exporter_cache_hits_total", "exporter_cache_requests_total"),
        (every_metric_is_used,),
    ),
)


@cache
def complaints() -> dict[Check, frozenset[str]]:
    """Return what there is to complain of without any corruption."""
    found = [Board(dashboard) for dashboard in committed()]
    return {check: frozenset(check(found)) for check in CHECKS}


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.what)
def test_what_is_made_wrong_is_seen(corruption: Corruption) -> None:
    """By the checks that are meant, and by no others."""
    wrong = committed()
    corruption.done(wrong)
    found = [Board(dashboard) for dashboard in wrong]
    seen = {named(check): sorted(set(check(found)) - complaints()[check]) for check in CHECKS}
    seen = {name: new for name, new in seen.items() if new}
    assert sorted(seen) == sorted(named(check) for check in corruption.checks), json.dumps(seen, indent=1)


def test_every_check_is_shown_something_wrong() -> None:
    """None of them is green whatever it sees."""
    assert {check for corruption in CORRUPTIONS for check in corruption.checks} == set(CHECKS)
