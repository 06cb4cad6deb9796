"""One workflow: is it well, how fast does it burn its budget, and which step is to blame."""

from grafana.source import shared
from grafana.source.layout import (
    console,
    dashboard,
    objective,
    row,
    tiles,
    to_dashboard,
    workflow_variable,
)
from grafana.source.overrides import beside, coloured, fixed, limit_line, styled
from grafana.source.panels import Query, about, bars, column, graph, link, now, stat
from grafana.source.promql import (
    HOUR,
    RANGE,
    ended,
    executions_of_workflows,
    failed,
    increase,
    lately,
    most,
    one_of,
    per_bar,
    quantile,
    ratio,
    workflows,
)
from grafana.source.states import EXECUTION_COLOURS, Json, steps
from grafana.source.tables import RED_ABOVE_ZERO, Column, table, worded

NO_STEPS = "no steps: set history.enabled"
NO_SCHEDULE = "none known"


def workflow() -> Json:
    """Return the dashboard."""
    return dashboard(
        "ycwf-workflow",
        "Workflow",
        "One workflow: its successes, failures and durations, its steps, its configured executions.",
        since="now-24h",
        rows=[
            tiles(
                _since_success(), shared.success_ratio(), _burn(),
                _active("RUNNING", "Executions that run now.", "Nothing by itself."),
                _active("QUEUED", "Executions that wait for their start.", "Compare with the quota."),
                _active("PAUSED", "Executions that are paused.", "Resume or stop them."),
                _last_expected(), _next_start(),
            ),
            row(_completed(), shared.failures_by_class()),
            row(shared.durations(), _percentiles()),
            row(_oldest(), shared.active(quota=False)),
            row(_steps(), height=9, title="Steps"),
            row(_step_failures(), _step_retries()),
            row(
                shared.configured_executions("Their states"), _executions(),
                height=9, shares=(9, 15), title="Configured executions", collapsed=True,
            ),
        ],
        variables=[workflow_variable(several=False), console(), objective()],
    )  # fmt: skip


def _since_success() -> Json:
    return stat(
        "Succeeded",
        about(
            "When an execution of this workflow last finished well.",
            "For a job that must run every day this is the one number that matters.",
            "Compare with the schedule on the right and with failures below. "
            "`expected_success_interval` in the configuration makes an alert of it.",
        ),
        now(f"max({lately(workflows('last_success_timestamp_seconds'))}) * 1000"),
        unit="dateTimeFromNow",
        empty="never seen",
    )


def _burn() -> Json:
    spent = ratio(failed(HOUR), ended(HOUR))
    return stat(
        "Burn, times",
        about(
            "How many times faster than allowed the error budget (1 % of the executions) was used in the last hour; "
            "with fewer than 20 executions there is no telling.",
            "At 1 the budget lasts exactly as long as it must; at 14.4 two percent of a month's went in an hour, "
            "which wakes someone.",
            "Above 1 look at the failures by class; above 14.4 now.",
        ),
        now(f"({spent})\n/ (1 - $objective)\nand {ended(HOUR)} >= 20"),
        unit="none",
        empty="under 20 in 1 h",
        decimals=1,
        thresholds=steps((0, "green"), (1, "orange"), (14.4, "red")),
    )


def _active(status: str, what: str, do: str) -> Json:
    these = workflows("active_executions", f'status="{status}"')
    return stat(
        status.capitalize(),
        about(what, "Active executions count for the quota of the cloud.", do),
        now(f"sum({most(these, 'workflow_id')})"),
        empty="not known",
        decimals=0,
        colour=EXECUTION_COLOURS[status],
    )


def _last_expected() -> Json:
    return stat(
        "Last due",
        about(
            "When the schedule of this workflow last fired.",
            "If nothing started then, the timer or the workflow is broken (alert ScheduleMissed).",
            "Compare with the bars of completed and started executions.",
        ),
        now(f"max({lately(workflows('schedule_last_expected_timestamp_seconds'))}) * 1000"),
        unit="dateTimeFromNow",
        empty=NO_SCHEDULE,
    )


def _next_start() -> Json:
    return stat(
        "Next due",
        about(
            "When the schedule of this workflow fires next.",
            "It is until when a failed run has to be mended, and shows how the cron expression was read.",
            "If it is not what you meant, correct the expression or its time zone in the cloud.",
        ),
        now(f"max({lately(workflows('schedule_next_timestamp_seconds'))}) * 1000"),
        unit="dateTimeFromNow",
        empty=NO_SCHEDULE,
    )


def _completed() -> Json:
    started = most(per_bar(workflows("executions_started_total")), "workflow_id")
    line = beside("started", EXECUTION_COLOURS["RUNNING"])
    return shared.completed(Query(f"sum({started})", "started"), overrides=[line])


def _percentiles() -> Json:
    queries = [
        Query(quantile(f"0.{share}", "completed_duration_seconds", HOUR), f"p{share}")
        for share in (50, 95, 99)
    ]
    last = Query(f"max({workflows('last_completed_duration_seconds')})", "last run")
    return graph(
        "Duration percentiles",
        about(
            "The time within which 50, 95 and 99 of 100 executions of one hour ended, as exact as the buckets of the "
            "histogram, and the duration of the last run.",
            "p50 is the usual, p99 the unlucky. When they part, some runs hang; when all climb, everything got slower.",
            "Look at the slowest steps below.",
        ),
        [*queries, last],
        unit="s",
        empty=shared.NOTHING_ENDED,
        series=4,
        logarithmic=True,
        least_interval="5m",
        overrides=[
            styled(
                "last run",
                fixed("text"),
                ("custom.drawStyle", "points"),
                ("custom.pointSize", 3),
            )
        ],
    )


def _oldest() -> Json:
    started = workflows("oldest_active_start_timestamp_seconds", 'status="RUNNING"')
    p95 = quantile("0.95", "completed_duration_seconds", "7d", at=" @ end()")
    return graph(
        "Oldest running execution against the usual",
        about(
            "How long the oldest running execution has been at it, and three times the p95 of the last 7 days, "
            "from where the alert RunningTooLong speaks (not below five minutes).",
            "A slope that crosses the dashed line is an execution that hangs.",
            "Find it with `yc serverless workflow execution list`, look at its steps, stop it if nothing moves.",
        ),
        [
            Query(f"time() - min({started})", "oldest running"),
            Query(f"clamp_min(3 * ({p95}), 300)", "too long"),
        ],
        unit="s",
        empty="nothing runs",
        series=2,
        overrides=[
            *coloured({"oldest running": EXECUTION_COLOURS["RUNNING"]}),
            limit_line("too long"),
        ],
    )


def _by_step(counted: str, *label: str) -> str:
    """Add up by step what is counted, where `label` tells series of one step apart."""
    return f"sum by (step_id) ({most(counted, 'workflow_id', 'step_id', *label)})"


def _steps() -> Json:
    known = f"topk by (step_id) (1, {lately(workflows('step_info'))})"
    p95 = quantile("0.95", "step_duration_seconds", RANGE, "step_id")
    completed = workflows("steps_completed_total", 'status="COMPLETED"')
    queries = [
        f"group by (step_id, step_title, step_type) ({known})",
        f"max by (step_id) ({workflows('active_steps')})",
        f"round({_by_step(increase(completed, RANGE))})",
        f"round({_by_step(increase(workflows('step_failures_total'), RANGE), 'error_class')})",
        f"round({_by_step(increase(workflows('step_retries_total'), RANGE))})",
        p95,
        f"({p95})\n/ on () group_left () max({p95})",
    ]
    return table(
        "Steps: failures, retries, slowest",
        about(
            "Each step of this workflow: what is under way now, what the chosen time brought, how long it takes.",
            "It names the step to blame: the one that fails, the one that only works by trying again, the slow one.",
            "For a failing step look at the service it calls; of one execution "
            "`yc serverless workflow execution get-history <id>` shows all.",
        ),
        [column(expression) for expression in queries],
        _step_columns(),
        empty=NO_STEPS,
        sort="Failed",
    )


def _step_columns() -> list[Column]:
    count = (("unit", "locale"), ("decimals", 0), ("custom.width", 110))
    bar = (
        ("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "hidden"}),
        ("unit", "percentunit"), ("min", 0), ("max", 1), fixed("blue"),
    )  # fmt: skip
    retries = (("custom.cellOptions", {"type": "color-text"}), ("thresholds", steps((1, "yellow"))))
    return [
        Column("step_id", "Step"),
        Column("step_title", "Title"),
        Column("step_type", "Type", (("custom.width", 140),)),
        Column("Value #B", "Active", count),
        Column("Value #C", "Completed", count),
        Column("Value #D", "Failed", (*count, *RED_ABOVE_ZERO)),
        Column("Value #E", "Retries", (*count, *retries)),
        Column("Value #F", "p95", (("unit", "s"), ("custom.width", 110))),
        Column("Value #G", "Against the slowest", bar),
    ]


def _step_failures() -> Json:
    return bars(
        "Step failures",
        about(
            "Steps that failed in each interval, by step.",
            "A step that fails need not fail the execution, if it is caught or tried again.",
            "Look at the service that the step calls at that time.",
        ),
        [Query(f"{_by_step(per_bar(workflows('step_failures_total')), 'error_class')} > 0", "{{step_id}}")],
        empty="no failures in range",
        series=10,
        shades_of="red",
    )


def _step_retries() -> Json:
    return bars(
        "Step retries",
        about(
            "Attempts beyond the first in each interval, by step.",
            "Retries hide trouble until they no longer do: they cost time and money first (alert StepRetryStorm).",
            "Look at the service that the step calls, and at the retry policy of the step.",
        ),
        [Query(f"{_by_step(per_bar(workflows('step_retries_total')))} > 0", "{{step_id}}")],
        empty="no retries in range",
        series=10,
    )


def _executions() -> Json:
    ids = ("execution_id",)
    start = executions_of_workflows("start_timestamp_seconds")
    queries = [
        f"group by (execution_id, alias) (topk by (execution_id) (1, {executions_of_workflows('info')}))",
        one_of(executions_of_workflows("status"), "execution_id", "status"),
        f"{most(start, *ids)} * 1000",
        most(executions_of_workflows("duration_seconds"), *ids),
        most(executions_of_workflows("errors"), *ids),
    ]
    there = to_dashboard("ycwf-execution", execution="${__data.fields.ID}")
    return table(
        "What they took",
        about(
            "The executions of this workflow that the configuration names.",
            "These are the ones that somebody wanted to watch one by one.",
            "Click an ID for its steps and its error.",
        ),
        [column(expression) for expression in queries],
        [
            Column("alias", "Alias", (("links", [link("Open the execution", there)]),)),
            Column("status", "Status", worded(EXECUTION_COLOURS, "color-background")),
            Column(
                "Value #C", "Started",
                (("unit", "dateTimeFromNow"), ("custom.align", "left"), ("custom.width", 135)),
            ),
            Column("Value #D", "Duration", (("unit", "s"), ("custom.width", 100)), "not stated"),
            Column("Value #E", "Errors", (("decimals", 0), *RED_ABOVE_ZERO, ("custom.width", 80))),
            Column("execution_id", "ID", (("links", [link("Open the execution", there)]), ("custom.width", 170))),
        ],
        empty="no executions configured",
        sort="Started",
    )  # fmt: skip
