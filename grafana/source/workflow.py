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
from grafana.source.panels import (
    Column,
    Json,
    Query,
    about,
    column,
    graph,
    limit_line,
    link,
    now,
    stat,
    styled,
    table,
)
from grafana.source.promql import (
    INTERVAL,
    RANGE,
    ended,
    executions_of_workflows,
    exporters,
    failed,
    increase,
    most,
    quantile,
    ratio,
    workflows,
)
from grafana.source.states import EXECUTION_CODES, EXECUTION_COLOURS, mapped, steps

NO_STEPS = "no steps: set history.enabled"
NO_SCHEDULE = "no schedule"


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
            row(shared.completed(_started()), shared.failures_by_class()),
            row(shared.durations(), _percentiles()),
            row(_oldest(), shared.active(quota=False)),
            row(_steps(), height=9, title="Steps"),
            row(_step_failures(), _step_retries()),
            row(
                shared.configured_executions(), _executions(),
                height=9, title="Configured executions", collapsed=True,
            ),
        ],
        variables=[workflow_variable(several=False), console(), objective()],
    )  # fmt: skip


def _since_success() -> Json:
    return stat(
        "Since last success",
        about(
            "Time since an execution of this workflow last finished well.",
            "For a job that must run every day this is the one number that matters.",
            "Compare with the schedule on the right and with failures below. "
            "`expected_success_interval` in the configuration makes an alert of it.",
        ),
        now(f"time() - max({workflows('last_success_timestamp_seconds')})"),
        unit="s",
        empty="never",
    )


def _burn() -> Json:
    spent = ratio(failed("1h"), ended("1h"))
    return stat(
        "Budget burn, 1 h",
        about(
            "How many times faster than allowed the error budget (1 % of the executions) was used in the last hour.",
            "At 1 the budget lasts exactly as long as it must; at 14.4 two percent of a month's went in an hour, "
            "which wakes someone.",
            "Above 1 look at the failures by class; above 14.4 now.",
        ),
        now(f"({spent})\n/ (1 - $objective)"),
        unit="suffix:x",
        empty="nothing in the last hour",
        decimals=1,
        thresholds=steps("green", (1, "orange"), (14.4, "red")),
    )


def _active(status: str, what: str, do: str) -> Json:
    return stat(
        status.capitalize(),
        about(what, "Active executions count for the quota of the cloud.", do),
        Query(
            f"sum({most(workflows('active_executions', f'status={chr(34)}{status}{chr(34)}'), 'workflow_id')})"
        ),
        empty="not read",
        decimals=0,
        colour=EXECUTION_COLOURS[status],
    )


def _last_expected() -> Json:
    return stat(
        "Last expected start",
        about(
            "When the schedule of this workflow last fired.",
            "If nothing started then, the timer or the workflow is broken (alert ScheduleMissed).",
            "Compare with the bars of completed and started executions.",
        ),
        now(f"max({workflows('schedule_last_expected_timestamp_seconds')}) * 1000"),
        unit="dateTimeFromNow",
        empty=NO_SCHEDULE,
    )


def _next_start() -> Json:
    return stat(
        "Next start",
        about(
            "When the schedule of this workflow fires next.",
            "It is until when a failed run has to be mended, and shows how the cron expression was read.",
            "If it is not what you meant, correct the expression or its time zone in the cloud.",
        ),
        now(f"max({workflows('schedule_next_timestamp_seconds')}) * 1000"),
        unit="dateTimeFromNow",
        empty=NO_SCHEDULE,
    )


def _started() -> Query:
    return Query(f"sum({most(increase(workflows('executions_started_total')), 'workflow_id')})", "started")


def _percentiles() -> Json:
    queries = [
        Query(quantile(f"0.{share}", "completed_duration_seconds", INTERVAL), f"p{share}")
        for share in (50, 95, 99)
    ]
    last = Query(f"max({workflows('last_completed_duration_seconds')})", "last run")
    return graph(
        "Duration percentiles",
        about(
            "The time within which 50, 95 and 99 of 100 executions ended, by the hour, and that of the last run.",
            "p50 is the usual, p99 the unlucky. When they part, some runs hang; when all climb, everything got slower.",
            "Look at the slowest steps below.",
        ),
        [*queries, last],
        unit="s",
        empty=shared.NOTHING_ENDED,
        series=4,
        least_interval="1h",
        overrides=[
            styled(
                "last run",
                ("custom.lineStyle", {"fill": "dot", "dash": [0, 6]}),
                ("custom.fillOpacity", 0),
                ("custom.showPoints", "never"),
                ("color", {"mode": "fixed", "fixedColor": "text"}),
            )
        ],
    )


def _oldest() -> Json:
    started = workflows("oldest_active_start_timestamp_seconds", 'status="RUNNING"')
    p95 = quantile("0.95", "completed_duration_seconds", "7d")
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
            styled(
                "oldest running", ("color", {"mode": "fixed", "fixedColor": EXECUTION_COLOURS["RUNNING"]})
            ),
            limit_line("too long"),
        ],
    )


def _by_step(family: str, window: str, label: str = "", matcher: str = "") -> str:
    selector = workflows(family, *([matcher] if matcher else []))
    each = most(increase(selector, window), "workflow_id", "step_id", *([label] if label else []))
    return f"sum by (step_id) ({each})"


def _steps() -> Json:
    info = exporters("step_info", 'workflow_id=~"$workflow"')
    known = f"topk by (step_id) (1, last_over_time({info}[1h]))"
    queries = [
        f"group by (step_id, step_title, step_type) ({known})",
        f"max by (step_id) ({workflows('active_steps')})",
        f"round({_by_step('steps_completed_total', RANGE, matcher='status=' + chr(34) + 'COMPLETED' + chr(34))})",
        f"round({_by_step('step_failures_total', RANGE, 'error_class')})",
        f"round({_by_step('step_retries_total', RANGE)})",
        quantile("0.95", "step_duration_seconds", RANGE, "step_id"),
    ]
    bar = ("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
    red = (
        ("custom.cellOptions", {"type": "color-text"}),
        ("thresholds", steps("text", (1, "red"))),
        ("decimals", 0),
        ("custom.width", 100),
    )
    yellow = (*red[:1], ("thresholds", steps("text", (1, "yellow"))), *red[2:])
    return table(
        "Steps: failures, retries, slowest",
        about(
            "Each step of this workflow: what is under way now, what the chosen time brought, how long it takes.",
            "It names the step to blame: the one that fails, the one that only works by trying again, the slow one.",
            "For a failing step look at the service it calls; of one execution "
            "`yc serverless workflow execution get-history <id>` shows all.",
        ),
        [column(expression) for expression in queries],
        [
            Column("step_id", "Step"),
            Column("step_title", "Title"),
            Column("step_type", "Type", (("custom.width", 140),)),
            Column("Value #B", "Active", (("decimals", 0), ("custom.width", 90))),
            Column("Value #C", "Completed", (("decimals", 0), ("custom.width", 110))),
            Column("Value #D", "Failed", red),
            Column("Value #E", "Retries", yellow),
            Column(
                "Value #F", "p95",
                (("unit", "s"), ("noValue", "-"), ("min", 0), bar,
                 ("color", {"mode": "fixed", "fixedColor": "blue"})),
            ),
        ],
        empty=NO_STEPS,
        sort="Failed",
    )  # fmt: skip


def _step_failures() -> Json:
    return graph(
        "Step failures",
        about(
            "Steps that failed in each interval, by step.",
            "A step that fails need not fail the execution, if it is caught or tried again.",
            "Look at the service that the step calls at that time.",
        ),
        [Query(f"{_by_step('step_failures_total', INTERVAL, 'error_class')} > 0", "{{step_id}}")],
        unit="short",
        empty="no failures in range",
        series=10,
        bars=True,
        decimals=0,
        least_interval="5m",
    )


def _step_retries() -> Json:
    return graph(
        "Step retries",
        about(
            "Attempts beyond the first in each interval, by step.",
            "Retries hide trouble until they no longer do: they cost time and money first (alert StepRetryStorm).",
            "Look at the service that the step calls, and at the retry policy of the step.",
        ),
        [Query(f"{_by_step('step_retries_total', INTERVAL)} > 0", "{{step_id}}")],
        unit="short",
        empty="no retries in range",
        series=10,
        bars=True,
        decimals=0,
        least_interval="5m",
    )


def _executions() -> Json:
    ids = ("execution_id",)
    start = executions_of_workflows("start_timestamp_seconds")
    alias = exporters("execution_info", 'workflow_id=~"$workflow"')
    queries = [
        f"group by (execution_id, alias) (topk by (execution_id) (1, {alias}))",
        most(executions_of_workflows("status_code"), *ids),
        f"{most(start, *ids)} * 1000",
        most(executions_of_workflows("duration_seconds"), *ids),
        most(executions_of_workflows("errors"), *ids),
    ]
    painted = ("custom.cellOptions", {"type": "color-background", "mode": "basic"})
    there = to_dashboard("ycwf-execution", execution="${__data.fields.ID}")
    return table(
        "Executions",
        about(
            "The executions of this workflow that the configuration names.",
            "These are the ones that somebody wanted to watch one by one.",
            "Click an ID for its steps and its error.",
        ),
        [column(expression) for expression in queries],
        [
            Column("alias", "Alias", (("noValue", "-"), ("custom.width", 110))),
            Column(
                "Value #B", "Status",
                (("mappings", mapped(EXECUTION_CODES, EXECUTION_COLOURS)), painted, ("custom.width", 100)),
            ),
            Column("Value #C", "Started", (("unit", "dateTimeFromNow"), ("custom.width", 130))),
            Column("Value #D", "Duration", (("unit", "s"), ("noValue", "not stated"), ("custom.width", 100))),
            Column(
                "Value #E", "Errors",
                (
                    ("decimals", 0),
                    ("custom.cellOptions", {"type": "color-text"}),
                    ("thresholds", steps("text", (1, "red"))),
                    ("custom.width", 80),
                ),
            ),
            Column("execution_id", "ID", (("links", [link("Open the execution", there)]),)),
        ],
        empty="no executions configured",
        sort="Started",
    )  # fmt: skip
