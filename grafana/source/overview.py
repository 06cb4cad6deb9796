"""Is anything wrong, and where: all workflows at a glance."""

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
from grafana.source.panels import Query, about, column, graph, link, now, stat
from grafana.source.promql import (
    HOUR,
    RANGE,
    exporters,
    failed,
    increase,
    lately,
    most,
    named,
    one_of,
    only_the,
    quantile,
    workflows,
)
from grafana.source.states import (
    EXECUTION_COLOURS,
    GREY,
    SEVERITY_COLOURS,
    WORKFLOW_COLOURS,
    Json,
    steps,
    words,
)
from grafana.source.tables import RED_ABOVE_ZERO, Column, table, worded

FOR_PEOPLE = 'alertname=~"YcWorkflow.+", severity=~"critical|warning"'
FIRING = f'ALERTS{{{FOR_PEOPLE}, alertstate="firing"}}'
THIS_WORKFLOW = to_dashboard("ycwf-workflow", workflow="${__data.fields.ID}")
TO_WORKFLOW = (
    link("Open the workflow", to_dashboard("ycwf-workflow", workflow="${__field.labels.workflow_id}")),
)
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
            row(_alerts(), shared.completed()),
            row(_failure_ratio(), shared.failures_by_class()),
            row(shared.durations(), _p95()),
            row(_workflows(), height=10),
            row(shared.active(quota=True), shared.configured_executions("Configured executions"), height=9),
        ],
        variables=[folder_variable(), workflow_variable(several=True), console()],
    )  # fmt: skip


def _firing() -> Json:
    return stat(
        "Firing alerts",
        about(
            "Alerts of the exporter's rules that fire, critical and warning, whatever is chosen at the top.",
            "It is the sum of all that the rules know. None means that nothing has to be done now.",
            "The list is right below; each alert has its chapter in the runbook.",
        ),
        now(f"count({FIRING}) or 0 * yc_workflow:rules_loaded or vector(-1)"),
        unit="none",
        empty="not known",
        filled=True,
        thresholds=steps((1, "red"), base=GREY),
        mappings=words({0: ("none", "green"), -1: ("rules not loaded", "orange")}),
    )


def _failed() -> Json:
    return stat(
        "Failed",
        about(
            "Executions that failed in the chosen time.",
            "Each is work that was not done. Whether it is many is said by the share beside.",
            "The table of workflows below tells whose they are, the bars by class why.",
        ),
        now(f"sum(round({failed(RANGE, 'workflow_id')}))"),
        unit="locale",
        empty="not known",
        decimals=0,
        colour="text",
    )


def _active() -> Json:
    each = most(workflows("active_executions"), "workflow_id", "status")
    return stat(
        "Active",
        about(
            "Executions that are queued, running or paused now.",
            "It is the load, and what counts for the quota.",
            "Nothing by itself; compare with the usual, which the graph of active executions shows.",
        ),
        now(f"sum({each})"),
        empty="not known",
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
        now(f"sum({each})"),
        empty="not known",
        decimals=0,
        colour=EXECUTION_COLOURS["QUEUED"],
    )


def _oldest() -> Json:
    return stat(
        "Oldest",
        about(
            "Time since the oldest active execution started.",
            "After 48 hours the cloud ends it; red begins at 90 % of that. One that is far older than the others "
            "hangs.",
            "Find it: `yc serverless workflow execution list`; resume it, stop it, or mend what it waits for.",
        ),
        now(f"time() - min({workflows('oldest_active_start_timestamp_seconds')})"),
        unit="s",
        empty="none known",
        thresholds=steps((shared.NEAR_LIMIT, "red")),
    )


def _quota() -> Json:
    each = most(exporters("active_executions"), "job", "workflow_id", "status")
    limit = exporters("quota_limit", 'quota="active_executions"')
    by_cloud = f"max(sum by (job) ({each})\n/ on (job) max by (job) ({limit}))"
    return stat(
        "Quota used",
        about(
            "Active executions of all workflows as a share of what the cloud allows; of several clouds (a job for "
            "each) the largest.",
            "At 100 % new executions wait or are refused.",
            "Above 80 % ask the cloud's support for more, and set `quota.active_executions` to it.",
        ),
        now(f"{by_cloud}\nor sum({each}) / max({limit})"),
        unit="percentunit",
        empty="not read",
        decimals=0,
        thresholds=steps((0, "green"), (0.8, "orange"), (1, "red")),
    )


def _failure_ratio() -> Json:
    score = most(
        increase(workflows("executions_completed_total", 'status="FAILED"'), RANGE, " @ end()"),
        "workflow_id",
    )
    ratio = f"({shared.failure_ratio()})"
    return graph(
        "Failure ratio by workflow",
        about(
            "Failed executions as a share of those that failed or finished within one hour; the ten workflows with "
            "the most failures.",
            "It tells one broken workflow from a cloud that is in trouble: one line goes up, or all do.",
            "For one line open its workflow in the table below; for all look at the error classes beside.",
        ),
        [Query(named(f"({ratio}{only_the(10, f'{score} > 0')})"), "{{workflow_name}}")],
        unit="percentunit",
        empty="no failures in range",
        series=10,
        least_interval="5m",
        links=TO_WORKFLOW,
    )


def _p95() -> Json:
    score = most(increase(workflows("completed_duration_seconds_count"), RANGE, " @ end()"), "workflow_id")
    p95 = quantile("0.95", "completed_duration_seconds", HOUR, "workflow_id")
    return graph(
        "p95 duration by workflow",
        about(
            "The time within which 95 of 100 executions of one hour ended, as exact as the buckets of the "
            "histogram; the ten workflows that ran most often.",
            "A line that climbs is a workflow that gets slower, long before it fails.",
            "Open the workflow in the table below: its steps tell what takes the time.",
        ),
        [Query(named(f"({p95}{only_the(10, score)})"), "{{workflow_name}}")],
        unit="s",
        empty=shared.NOTHING_ENDED,
        series=10,
        logarithmic=True,
        least_interval="5m",
        links=TO_WORKFLOW,
    )


def _workflows() -> Json:
    known = f"topk by (workflow_id) (1, {lately(workflows('info'))})"
    finished = most(
        increase(workflows("executions_completed_total", 'status="FINISHED"'), RANGE), "workflow_id"
    )
    each = most(workflows("active_executions"), "workflow_id", "status")
    queries = [
        f"group by (workflow_id, workflow_name, folder_id) ({known})",
        one_of(workflows("last_completed_status"), "workflow_id", "status"),
        f"sum by (workflow_id) ({each})",
        f"round({finished})",
        f"round({failed(RANGE, 'workflow_id')})",
        quantile("0.95", "completed_duration_seconds", RANGE, "workflow_id"),
        f"{most(lately(workflows('last_success_timestamp_seconds')), 'workflow_id')} * 1000",
        f"{most(lately(workflows('schedule_next_timestamp_seconds')), 'workflow_id')} * 1000",
        one_of(workflows("state"), "workflow_id", "state"),
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
    count = (("unit", "locale"), ("decimals", 0))
    when = (("unit", "dateTimeFromNow"), ("custom.align", "left"), ("custom.width", 140))
    return [
        Column(
            "workflow_name", "Workflow", (("links", [link("Open the workflow", THIS_WORKFLOW)]),), "(no name)"
        ),
        Column("status", "Last result", worded(EXECUTION_COLOURS, "color-background", 100), "none yet"),
        Column("Value #C", "Active", (*count, ("custom.width", 70)), "not read"),
        Column("Value #D", "Finished", (*count, ("custom.width", 85))),
        Column("Value #E", "Failed", (*count, *RED_ABOVE_ZERO, ("custom.width", 75))),
        Column("Value #F", "p95", (("unit", "s"), ("custom.width", 90))),
        Column("Value #G", "Last success", when, "never"),
        Column("Value #H", "Next due", when, "no schedule"),
        Column("state", "State", worded(WORKFLOW_COLOURS, "color-text", 95), "not read"),
        Column(
            "folder_id", "Folder",
            (("links", [link("Open the folder's workflows in the console", IN_CONSOLE, new_tab=True)]),),
        ),
        Column("workflow_id", "ID"),
    ]  # fmt: skip


def _alerts() -> Json:
    by = "alertname, severity, workflow_name, workflow_id"
    since = f"ALERTS_FOR_STATE{{{FOR_PEOPLE}}} * 1000\nand ignoring (alertstate) {FIRING}"
    unwatched = "absent(yc_workflow:rules_loaded) * time() * 1000"
    named_so = f'label_replace({unwatched}, "alertname", "rules not loaded", "", "")'
    told_so = f'label_replace({named_so}, "severity", "warning", "", "")'
    return table(
        "What fires",
        about(
            "The critical and warning alerts of the exporter's rules that fire now, whatever is chosen at the top; "
            "those of several executions of one workflow are one row, since the first of them.",
            "It is the list behind the first tile, and where to begin.",
            "Critical first. What to do is in the runbook, a chapter for each name; a click on the ID opens the "
            "workflow.",
        ),
        [column(f"min by ({by}) ({since})\nor {told_so}")],
        [
            Column("severity", "Severity", worded(SEVERITY_COLOURS, "color-text", 80)),
            Column("alertname", "Alert", (("custom.width", 215),)),
            Column("workflow_name", "Workflow"),
            Column(
                "Value",
                "Since",
                (("unit", "dateTimeFromNow"), ("custom.align", "left"), ("custom.width", 125)),
            ),
            Column("workflow_id", "ID", (("links", [link("Open the workflow", THIS_WORKFLOW)]),)),
        ],
        empty="no alert fires",
        sort="Severity",
        descending=False,
    )
