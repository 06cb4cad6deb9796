"""The rules of grafana/dashboard-linter, for every panel."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import promql_parser as promql
from boards import Board, Check, asked, panels
from expressions import Matcher
from shapes import metrics

WITHOUT_TARGET = {
    "ALERTS": "an alert is of the rules; few have a job",
    "ALERTS_FOR_STATE": "an alert is of the rules; few have a job",
    "yc_workflow:rules_loaded": "a recorded series is of the rules, not of a target",
}
"""What is selected without job and instance, and why."""
RATES = {"rate", "irate", "increase"}


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


CHECKS: tuple[Check, ...] = (
    linter_template_datasource,
    linter_template_job_and_instance,
    linter_template_on_time_change_reload,
    linter_template_label_promql,
    linter_panel_no_targets,
    linter_target_rate_interval,
    linter_target_job_and_instance,
    linter_target_counter_agg,
)
