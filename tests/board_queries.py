"""What the dashboards ask: that it can be asked, is counted once, and is all there is."""

import re
from collections.abc import Iterator, Sequence

from board_looks import OF_STATES
from boards import LABEL_OF_LEGEND, Board, Check, Query, fields, panels, shown
from expressions import parsed, seconds, selections
from shapes import OPEN, PICKING, TARGET, metrics, rules
from vocabulary import said

from exporter.yandex.models import ERROR_CLASSES

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
            parsed(query.parsable)
        except ValueError as error:
            yield f"{query.where}: {query.parsable} is no PromQL: {error}"


def every_label_exists(found: Sequence[Board]) -> Iterator[str]:
    """Want the labels of matchers, `by`, `on`, `group_left` and functions, and joins of one with one."""
    for query in (query for board in found for query in board.queries):
        yield from (f"{query.where}: {fault}" for fault in query.faults)
        for selected in query.selected:
            known = metrics().labels.get(selected.name)
            for matcher in selected.matchers:
                if known is not None and matcher.label not in known and selected.name not in OPEN:
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
