"""Panels that several dashboards show."""

from collections.abc import Sequence

from grafana.source.layout import to_dashboard
from grafana.source.overrides import coloured, limit_line
from grafana.source.panels import Query, about, bars, graph, heatmap, link, now, stat, timeline
from grafana.source.promql import (
    EXPORTERS,
    HOUR,
    RANGE,
    ended,
    executions_of_workflows,
    exporters,
    failed,
    increase,
    most,
    per_bar,
    ratio,
    with_names,
    workflows,
)
from grafana.source.states import (
    CLASS_COLOURS,
    EXECUTION_CODES,
    EXECUTION_COLOURS,
    GREY,
    Json,
    mapped,
    steps,
    words,
)

LIMIT_SECONDS = 172800
"""The cloud ends an execution after 48 hours."""
NEAR_LIMIT = 0.9 * LIMIT_SECONDS
NOTHING_ENDED = "no executions in range"


def exporter_state() -> Json:
    """Return the tile that says whether anything on the dashboard can be believed."""
    build = exporters("exporter_build_info")
    down = f"up{{{EXPORTERS}}} == 0 and on (job, instance) last_over_time({build}[1d])"
    silent = f"({down}) - 1"
    return stat(
        "Exporter",
        about(
            "Whether the exporter runs and its last contact with the API was good.",
            "While it is not OK, nothing on this page is news.",
            "Open the exporter's dashboard by a click on the tile; the runbook has ExporterDown and ApiUnreachable.",
        ),
        now(f"min({exporters('up')}\nor on (job, instance) {silent})\nor vector(-2)"),
        unit="none",
        empty="not known",
        filled=True,
        thresholds=steps(base=GREY),
        mappings=words(
            {
                1: ("OK", "green"),
                0: ("API not read", "red"),
                -1: ("one is down", "red"),
                -2: ("not running", "red"),
            }
        ),
        links=[link("Exporter", to_dashboard("ycwf-exporter"))],
    )


def success_ratio() -> Json:
    """Return the tile of the share of executions that went well."""
    finished = most(
        increase(workflows("executions_completed_total", 'status="FINISHED"'), RANGE), "workflow_id"
    )
    return stat(
        "Success",
        about(
            "Executions that finished, as a share of those that finished or failed, in the chosen time.",
            "It is what your users see. What was stopped by hand counts as neither.",
            "Below 99 % look at the failures by class and by workflow, further down.",
        ),
        now(ratio(f"sum({finished})", ended(RANGE))),
        unit="percentunit",
        empty=NOTHING_ENDED,
        decimals=1,
        thresholds=steps((0, "red"), (0.95, "orange"), (0.99, "green")),
    )


def completed(*more: Query, overrides: Sequence[Json] = ()) -> Json:
    """Return the bars of what ended, by status."""
    counted = most(per_bar(workflows("executions_completed_total")), "workflow_id", "status")
    return bars(
        "Completed executions",
        about(
            "Executions that ended in each interval, by how they ended.",
            "The rhythm of the workload: a gap is a stop, red is failures, a tower is a burst.",
            "In a gap look at what is active and at the exporter; for red at the failures by class.",
        ),
        [Query(f"sum by (status) ({counted})", "{{status}}"), *more],
        empty=NOTHING_ENDED,
        series=3 + len(more),
        overrides=[*coloured(EXECUTION_COLOURS), *overrides],
    )


def active(*, quota: bool) -> Json:
    """Return what is active over time, by status."""
    each = most(workflows("active_executions"), "workflow_id", "status")
    queries = [Query(f"sum by (status) ({each})", "{{status}}")]
    if quota:
        limit = exporters("quota_limit", 'quota="active_executions"')
        # From far below the line would leave no room for what it is to be compared with.
        queries.append(Query(f"max({limit})\nand on () sum({each}) > max({limit}) / 3", "quota"))
    return graph(
        "Active executions",
        about(
            "Executions that have not ended, by status"
            + (", against the quota as soon as a third of it is used." if quota else "."),
            "A growing queue means that work comes in faster than it is done, or that the quota is used up. "
            "Paused ones wait for someone, and count for the quota.",
            "If it grows, look at the oldest active one and at durations; resume or stop what is paused.",
        ),
        queries,
        unit="locale",
        empty="not known",
        series=3 + quota,
        stacked=True,
        decimals=0,
        overrides=[*coloured(EXECUTION_COLOURS), *([limit_line("quota")] if quota else [])],
    )


def failures_by_class() -> Json:
    """Return the bars of failures, by the class of their error."""
    each = most(per_bar(workflows("failures_total")), "workflow_id", "error_class")
    return bars(
        "Failures by error class",
        about(
            "Executions that failed in each interval, by the class of their error code.",
            "The class says whose trouble it is: HTTP_CALL, GRPC_CALL, FUNCTION_CALL, CONTAINER_CALL and "
            "YDB_CALL are what a step called, STEP is the workflow itself.",
            "Look at the called service first. The code of one execution: "
            "`yc serverless workflow execution get <id>`.",
        ),
        [Query(f"sum by (error_class) ({each}) > 0", "{{error_class}}")],
        empty="no failures in range",
        series=7,
        overrides=coloured(CLASS_COLOURS),
    )


def durations() -> Json:
    """Return the heatmap of how long executions took."""
    each = most(per_bar(workflows("completed_duration_seconds_bucket")), "workflow_id", "le")
    return heatmap(
        "Durations of completed executions",
        about(
            "How many executions took how long: the darker, the more.",
            "It shows what a percentile hides: two kinds of runs, a band that wanders upwards, a few that hang.",
            "If a band moves up, compare its start with deployments and with what the steps call.",
        ),
        Query(f"sum by (le) ({each})", "{{le}}", format="heatmap"),
        empty=NOTHING_ENDED,
    )


def failure_ratio() -> str:
    """Return the share of failed executions by workflow."""
    return ratio(failed(HOUR, "workflow_id"), ended(HOUR, "workflow_id"))


def configured_executions(title: str) -> Json:
    """Return the states of the configured executions over time."""
    code = most(executions_of_workflows("status_code"), "execution_id")
    start = executions_of_workflows("start_timestamp_seconds")
    newest = f"topk(15, max by (execution_id) (last_over_time({start}[{RANGE}] @ end())))"
    return timeline(
        title,
        about(
            "The state of each execution that the configuration names; of many, the 15 that started last.",
            "These are the ones that somebody wanted to watch one by one.",
            "Click a bar for its steps and its error.",
        ),
        [Query(f"({with_names(code)})\nand on (execution_id) {newest}", "{{name}}")],
        mappings=mapped(EXECUTION_CODES, EXECUTION_COLOURS),
        empty="no executions configured",
        links=[
            link(
                "Open the execution",
                to_dashboard("ycwf-execution", execution="${__field.labels.execution_id}"),
            )
        ],
    )
