"""The dashboards made wrong, one thing at a time, each with the checks that must see it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from board_choices import (
    every_variable_is_declared_and_used,
    every_variable_reads_its_text_and_value,
    links_lead_somewhere,
    links_use_what_is_there,
    siblings_are_in_a_drop_down,
    variables_come_in_their_order,
    variables_have_the_shape_of_the_house,
)
from board_layout import (
    WIDTH,
    it_is_not_asked_more_often_than_it_is_scraped,
    names_are_those_of_the_house,
    nothing_is_of_one_machine_or_moment,
    numbers_are_unique,
    panels_stand_side_by_side,
    the_first_line_is_of_tiles,
    the_head_is_that_of_the_house,
    there_are_as_many_panels_as_one_can_read,
)
from board_linter import (
    linter_panel_no_targets,
    linter_target_counter_agg,
    linter_target_job_and_instance,
    linter_target_rate_interval,
    linter_template_datasource,
    linter_template_job_and_instance,
    linter_template_label_promql,
    linter_template_on_time_change_reload,
)
from board_looks import (
    every_colour_is_one,
    every_number_of_a_state_has_its_word,
    every_panel_has_a_unit,
    every_panel_says_that_it_is_empty,
    every_panel_says_what_it_is,
    every_state_is_coloured,
    everything_asks_the_chosen_source,
    no_data_is_not_good_news,
    one_state_has_one_colour,
    the_legend_fits_the_series,
)
from board_queries import (
    a_tile_has_one_value,
    every_expression_can_be_parsed,
    every_label_exists,
    every_legend_tells_series_apart,
    every_literal_can_be_said,
    every_metric_exists,
    every_metric_is_used,
    gauges_of_replicas_are_not_added_up,
    nothing_is_late,
    overrides_meet_a_series,
    queries_have_the_form_of_their_panel,
    replicas_are_counted_once,
    tables_have_their_fields,
    windows_lose_nothing,
)
from boards import Check, texts

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
