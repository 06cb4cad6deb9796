"""Is anything wrong, and where: all workflows at a glance."""

from functools import partial

from grafana.source import shared
from grafana.source.layout import (
    console,
    dashboard,
    folder_variable,
    row,
    tiles,
    to_dashboard,
    workflow_variable,
)
from grafana.source.panels import Column, Json, Query, about, column, graph, link, now, stat, table
from grafana.source.promql import (
    RANGE,
    coded,
    exporters,
    failed,
    increase,
    most,
    named,
    only_the,
    quantile,
    workflows,
)
from grafana.source.states import (
    EXECUTION_CODES,
    EXECUTION_COLOURS,
    WORKFLOW_CODES,
    WORKFLOW_COLOURS,
    mapped,
    steps,
    words,
)

FIRING = 'alertname=~"YcWorkflow.+", alertstate="firing"'
THIS_WORKFLOW = to_dashboard("ycwf-workflow", workflow="${__data.fields.ID}")
IN_CONSOLE = "${console}/folders/${__data.fields.Folder}/serverless-integrations/workflows/workflows"


def overview() -> Json:
    """Return the dashboard."""
    return dashboard(
        "ycwf-overview",
        "Overview",
        "Is anything wrong with the workflows, and with which. Start here.",
        since="now-24h",
        rows=[
            tiles(
                _firing(), shared.exporter_state(), _failed(), shared.success_ratio(),
                _active(), _queued(), _oldest(), _quota(),
            ),
            row(shared.completed(), shared.active(quota=True)),
            row(_failure_ratio(), shared.failures_by_class()),
            row(shared.durations(), _p95()),
            row(_workflows(), height=10),
            row(_alerts(), shared.configured_executions(), height=9, shares=(9, 15)),
        ],
        variables=[folder_variable(), workflow_variable(several=True), console()],
    )  # fmt: skip


def _firing() -> Json:
    told = f'ALERTS{{{FIRING}, severity=~"critical|warning"}}'
    return stat(
        "Firing alerts",
        about(
            "Alerts of the exporter's rules that fire, critical and warning.",
            "It is the sum of all that the rules know. None means that nothing has to be done now.",
            "The list is at the bottom of this page; each alert has its chapter in the runbook.",
        ),
        now(f"count({told}) or 0 * count(yc_workflow:info)"),
        unit="short",
        empty="rules not loaded",
        filled=True,
        thresholds=steps("green", (1, "red")),
        mappings=words({0: ("none", "green")}),
    )


def _failed() -> Json:
    return stat(
        "Failed",
        about(
            "Executions that failed in the chosen time.",
            "Each is work that was not done.",
            "The table of workflows below tells whose they are, the bars by class why.",
        ),
        now(f"round({failed(RANGE)})"),
        empty="not read",
        decimals=0,
        thresholds=steps("green", (1, "red")),
    )


def _active() -> Json:
    each = most(workflows("active_executions"), "workflow_id", "status")
    return stat(
        "Active",
        about(
            "Executions that are queued, running or paused now.",
            "It is the load, and what counts for the quota.",
            "Nothing by itself; compare with the usual, which the small graph shows.",
        ),
        Query(f"sum({each})"),
        empty="not read",
        decimals=0,
        colour=EXECUTION_COLOURS["RUNNING"],
    )


def _queued() -> Json:
    each = most(workflows("active_executions", 'status="QUEUED"'), "workflow_id")
    return stat(
        "Queued",
        about(
            "Executions that wait for their start now.",
            "A start takes seconds. A queue that stays means that the quota is used up, or that the service is "
            "in trouble.",
            "Compare with the quota beside; ask for more, or stop what is not needed.",
        ),
        Query(f"sum({each})"),
        empty="not read",
        decimals=0,
        colour=EXECUTION_COLOURS["QUEUED"],
    )


def _oldest() -> Json:
    return stat(
        "Oldest active",
        about(
            "Time since the oldest active execution started.",
            "After 48 hours the cloud ends it; red begins at 90 % of that. One that is far older than the others "
            "hangs.",
            "Find it: `yc serverless workflow execution list`; resume it, stop it, or mend what it waits for.",
        ),
        now(f"time() - min({workflows('oldest_active_start_timestamp_seconds')})"),
        unit="s",
        empty="nothing active",
        thresholds=steps("text", (shared.NEAR_LIMIT, "red")),
    )


def _quota() -> Json:
    each = most(exporters("active_executions"), "workflow_id", "status")
    limit = exporters("quota_limit", 'quota="active_executions"')
    return stat(
        "Active quota used",
        about(
            "Active executions of all workflows as a share of what the cloud allows.",
            "At 100 % new executions wait or are refused.",
            "Above 80 % ask the cloud's support for more, and set `quota.active_executions` to it.",
        ),
        now(f"sum({each})\n/ max({limit})"),
        unit="percentunit",
        empty="not read",
        decimals=0,
        thresholds=steps("green", (0.8, "orange"), (1, "red")),
    )


def _failure_ratio() -> Json:
    score = most(
        increase(workflows("executions_completed_total", 'status="FAILED"'), RANGE, " @ end()"),
        "workflow_id",
    )
    ratio = f"({shared.failure_ratio_parts()})"
    return graph(
        "Failure ratio by workflow",
        about(
            "Failed executions as a share of those that failed or finished, by the hour; the ten workflows with "
            "the most failures.",
            "It tells one broken workflow from a cloud that is in trouble: one line goes up, or all do.",
            "For one line open its workflow in the table below; for all look at the error classes beside.",
        ),
        [Query(named(f"({ratio}{only_the(10, f'{score} > 0')})"), "{{workflow_name}}")],
        unit="percentunit",
        empty="no failures in range",
        series=10,
        least_interval="1h",
        most_y=1,
    )


def _p95() -> Json:
    score = most(increase(workflows("completed_duration_seconds_count"), RANGE, " @ end()"), "workflow_id")
    p95 = quantile("0.95", "completed_duration_seconds", "$__rate_interval", "workflow_id")
    return graph(
        "p95 duration by workflow",
        about(
            "The time within which 95 of 100 executions ended, by the hour; the ten workflows that ran most often.",
            "A line that climbs is a workflow that gets slower, long before it fails.",
            "Open the workflow in the table below: its steps tell what takes the time.",
        ),
        [Query(named(f"({p95}{only_the(10, score)})"), "{{workflow_name}}")],
        unit="s",
        empty=shared.NOTHING_ENDED,
        series=10,
        least_interval="1h",
    )


def _workflows() -> Json:
    known = f"topk by (workflow_id) (1, last_over_time({workflows('info')}[1h]))"
    finished = most(
        increase(workflows("executions_completed_total", 'status="FINISHED"'), RANGE), "workflow_id"
    )
    each = most(workflows("active_executions"), "workflow_id", "status")
    last = coded(
        partial(workflows, "last_completed_status"),
        "status",
        {state: EXECUTION_CODES[state] for state in ("STOPPED", "FAILED", "FINISHED")},
        "workflow_id",
    )
    queries = [
        f"group by (workflow_id, workflow_name, folder_id) ({known})",
        last,
        f"sum by (workflow_id) ({each})",
        f"round({finished})",
        f"round({failed(RANGE, 'workflow_id')})",
        quantile("0.95", "completed_duration_seconds", RANGE, "workflow_id"),
        f"{most(workflows('last_success_timestamp_seconds'), 'workflow_id')} * 1000",
        f"{most(workflows('schedule_next_timestamp_seconds'), 'workflow_id')} * 1000",
        coded(partial(workflows, "state"), "state", WORKFLOW_CODES, "workflow_id"),
    ]
    return table(
        "Workflows",
        about(
            "Every workflow that is watched: what it does now, what it did in the chosen time, and how it ended last.",
            "It answers whose trouble it is. The one with the most failures is at the top.",
            "Click a name for the workflow's dashboard, a folder for the cloud console.",
        ),
        [column(expression) for expression in queries],
        _columns(),
        empty="no workflows watched",
        sort="Failed",
    )


def _columns() -> list[Column]:
    painted = ("custom.cellOptions", {"type": "color-background", "mode": "basic"})
    last = {code: state for state, code in EXECUTION_CODES.items()}
    ends = {code: (last[code], EXECUTION_COLOURS[last[code]]) for code in (4, 5, 6)}
    ago = ("unit", "dateTimeFromNow")
    return [
        Column("workflow_name", "Workflow", (("links", [link("Open the workflow", THIS_WORKFLOW)]),)),
        Column(
            "Value #B", "Last result",
            (("mappings", words(ends)), painted, ("noValue", "none yet"), ("custom.width", 110)),
        ),
        Column("Value #C", "Active", (("decimals", 0), ("noValue", "not read"), ("custom.width", 80))),
        Column("Value #D", "Finished", (("decimals", 0), ("custom.width", 90))),
        Column(
            "Value #E", "Failed",
            (
                ("decimals", 0),
                ("custom.cellOptions", {"type": "color-text"}),
                ("thresholds", steps("text", (1, "red"))),
                ("custom.width", 80),
            ),
        ),
        Column("Value #F", "p95", (("unit", "s"), ("noValue", "-"), ("custom.width", 100))),
        Column("Value #G", "Last success", (ago, ("noValue", "never"), ("custom.width", 140))),
        Column("Value #H", "Next start", (ago, ("noValue", "no schedule"), ("custom.width", 130))),
        Column(
            "Value #I", "State",
            (
                ("mappings", mapped(WORKFLOW_CODES, WORKFLOW_COLOURS)),
                ("custom.cellOptions", {"type": "color-text"}),
                ("noValue", "not read"),
                ("custom.width", 100),
            ),
        ),
        Column(
            "folder_id", "Folder",
            (("links", [link("Open the folder's workflows in the console", IN_CONSOLE, new_tab=True)]),),
        ),
        Column("workflow_id", "ID"),
    ]  # fmt: skip


def _alerts() -> Json:
    fires = f"max by (alertname, severity, workflow_name) (ALERTS{{{FIRING}}})"
    colours = {"critical": "red", "warning": "orange", "info": "blue"}
    shown = [{"type": "value", "options": {k: {"color": c, "text": k} for k, c in colours.items()}}]
    return table(
        "Firing alerts",
        about(
            "The alerts of the exporter's rules that fire now.",
            "It is the list behind the first tile.",
            "Critical first. What to do is in the runbook, a chapter for each name.",
        ),
        [column(fires)],
        [
            Column(
                "severity", "Severity",
                (
                    ("mappings", shown),
                    ("custom.cellOptions", {"type": "color-text"}),
                    ("custom.width", 80),
                ),
            ),
            Column("alertname", "Alert"),
            Column("workflow_name", "Workflow"),
        ],
        empty="no alert fires",
        sort="Severity",
        descending=False,
    )  # fmt: skip
