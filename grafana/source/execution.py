"""One execution: what it does, whether that is normal, and what each step took."""

from functools import partial

from grafana.source import shared
from grafana.source.layout import (
    TILE,
    console,
    dashboard,
    execution_variable,
    its_workflow_variable,
    row,
    to_dashboard,
)
from grafana.source.overrides import coloured, fixed
from grafana.source.panels import Query, about, column, graph, link, now, ranking, stat, timeline
from grafana.source.promql import coded, executions, exporters, most, one_of, or_words, quantile
from grafana.source.states import (
    EXECUTION_CODES,
    EXECUTION_COLOURS,
    GREY,
    LOWEST,
    STEP_CODES,
    STEP_COLOURS,
    Json,
    mapped,
    steps,
)
from grafana.source.tables import Column, table, worded

ACTIVE = 'status=~"QUEUED|RUNNING|PAUSED"'
NOT_READ = "not read"
NO_STEPS = "no steps: set history.enabled"


def execution() -> Json:
    """Return the dashboard."""
    return dashboard(
        "ycwf-execution",
        "Execution",
        "One configured execution: its state, its error, and what each of its steps took.",
        since="now-48h",
        rows=[
            row(
                _status(), _started(), _duration(), _against_p95(), _error_code(), _time_left(), _failed_steps(),
                height=TILE, shares=(3, 3, 3, 3, 6, 3, 3),
            ),
            row(_status_timeline(), _steps_by_status(), height=7),
            row(_step_timeline(), height=9),
            row(_waterfall(), _slowest(), height=12, shares=(17, 7)),
            row(_http_code(), _age(), title="How it is read", collapsed=True),
        ],
        variables=[execution_variable(), its_workflow_variable(), console()],
        failures=False,
    )  # fmt: skip


def _elapsed() -> str:
    """Return the duration of one that ended, or the time since the start of one that is active."""
    ended = f"{executions('duration_seconds')} and on (execution_id) {executions('end_timestamp_seconds')}"
    active = f"max({executions('status', ACTIVE)}) == 1"
    return f"max({ended})\nor time() - max({executions('start_timestamp_seconds')}) and ({active})"


def _status() -> Json:
    return stat(
        "Status",
        about(
            "The state of this execution, as the API tells it.",
            "STOPPED, FAILED and FINISHED are final: no call resumes them.",
            "For FAILED look at the error code beside and at the red step below.",
        ),
        now(f"max({executions('status_code')})"),
        unit="none",
        empty=NOT_READ,
        filled=True,
        thresholds=steps(base=GREY),
        mappings=mapped(EXECUTION_CODES, EXECUTION_COLOURS),
    )


def _started() -> Json:
    return stat(
        "Started",
        about(
            "When this execution started.",
            "It tells whether you look at the run that you mean.",
            "Choose another execution at the top if it is not.",
        ),
        now(f"max({executions('start_timestamp_seconds')}) * 1000"),
        unit="dateTimeFromNow",
        empty="not stated",
    )


def _duration() -> Json:
    return stat(
        "Duration",
        about(
            "How long it took, or has taken so far, queue and pauses included while it is active.",
            "Compare with the tile on the right.",
            "If it is long, the steps below tell where the time went.",
        ),
        now(_elapsed()),
        unit="s",
        empty="not stated",
    )


def _against_p95() -> Json:
    p95 = quantile("0.95", "completed_duration_seconds", "7d")
    return stat(
        "Of its p95",
        about(
            "Its duration as a multiple of the time within which 95 of 100 executions of this workflow ended.",
            "Above 1 it is among the slowest, above 3 it most likely hangs (alert RunningTooLong).",
            "Above 3 and active: look which step is under way, and stop it if nothing moves.",
        ),
        now(f"({_elapsed()})\n/ ({p95})"),
        unit="none",
        empty="no p95 of 7 days",
        decimals=1,
        thresholds=steps((1, "orange"), (3, "red")),
        links=[link("Open the workflow", to_dashboard("ycwf-workflow", workflow="${workflow}"))],
    )


def _error_code() -> Json:
    codes = f"topk(1, max by (error_code) ({executions('error_info')}))"
    return stat(
        "Error code",
        about(
            "The code of the error with which it failed.",
            "Its beginning says who failed: STEP is the workflow itself, the others are what a step called.",
            "The message: `yc serverless workflow execution get <id>`.",
        ),
        now(or_words(codes, "error_code", "no error known"), "{{error_code}}"),
        unit="none",
        empty="no error known",
        thresholds=steps((1, "red")),
        name=True,
    )


def _time_left() -> Json:
    active = f"max({executions('status', ACTIVE)}) == 1"
    return stat(
        "Time left",
        about(
            "Time until the cloud ends it, while it is active.",
            "Whatever is not done by then is lost.",
            "Below five hours (red) save what can be saved, or split the work.",
        ),
        now(
            f"{shared.LIMIT_SECONDS} - (time() - max({executions('start_timestamp_seconds')}) and ({active}))"
        ),
        unit="s",
        empty="ended, or not read",
        thresholds=steps((LOWEST, "red"), (shared.LIMIT_SECONDS - shared.NEAR_LIMIT, "text")),
    )


def _failed_steps() -> Json:
    return stat(
        "Failed steps",
        about(
            "History entries of this execution that failed.",
            "A failed step of an execution that goes on was caught: it goes on with less than it should have.",
            "The table below names them.",
        ),
        now(f"max({executions('step_errors')})"),
        empty="history is off",
        decimals=0,
        thresholds=steps((0, "green"), (1, "red")),
    )


def _status_timeline() -> Json:
    return timeline(
        "Status over time",
        about(
            "The states this execution went through.",
            "It shows how long it waited, ran and was paused. A gap is a time when it was not read.",
            "A long blue light is a queue: look at the quota on the overview.",
        ),
        [Query(f"max by (execution_id) ({executions('status_code')})", "status")],
        mappings=mapped(EXECUTION_CODES, EXECUTION_COLOURS),
        empty=NOT_READ,
    )


def _steps_by_status() -> Json:
    each = most(executions("steps"), "execution_id", "status")
    return graph(
        "Steps by status",
        about(
            "History entries of this execution, by status.",
            "Green that grows is progress. When nothing grows and blue stays, a step hangs.",
            "The timeline below shows which step that is.",
        ),
        [Query(f"sum by (status) ({each}) > 0", "{{status}}")],
        unit="locale",
        empty=NO_STEPS,
        series=7,
        stacked=True,
        decimals=0,
        overrides=coloured(STEP_COLOURS),
    )


def _step_timeline() -> Json:
    code = coded(partial(executions, "step_status"), "status", STEP_CODES, "step_id")
    unsettled = executions("step_status", 'status=~"FAILED|STARTED|CANCEL_REQUESTED|UNKNOWN"')
    start = executions("step_start_timestamp_seconds")
    score = f"max by (step_id) ({unsettled} @ end()) * 1e12 + on (step_id) max by (step_id) ({start} @ end())"
    return timeline(
        "Steps over time",
        about(
            "The state of each step over time; of many, the 15 that tell most: those that failed or are under way, "
            "then those that started last.",
            "It shows what waited for what, and where the execution is now.",
            "A long blue bar is the step to look at; red is where it failed.",
        ),
        [Query(f"({code})\nand on (step_id) topk(15, {score})", "{{step_id}}")],
        mappings=mapped(STEP_CODES, STEP_COLOURS),
        empty=NO_STEPS,
    )


def _waterfall() -> Json:
    by = ("step_id",)
    info = exporters("step_info", 'workflow_id=~"$workflow"')
    start = f"max({executions('start_timestamp_seconds')})"
    queries = [
        f"group by (step_id, step_title, step_type) (topk by (step_id) (1, {info}))\n"
        f"and on (step_id) {executions('step_attempts')}",
        one_of(executions("step_status"), "step_id", "status"),
        f"{most(executions('step_start_timestamp_seconds'), *by)}\n- on () group_left () {start}",
        most(executions("step_duration_seconds"), *by),
        most(executions("step_attempts"), *by),
        # What has not started comes last.
        f"{most(executions('step_start_timestamp_seconds'), *by)}\n"
        f"or on (step_id) 1e12 * group by (step_id) ({executions('step_attempts')})",
    ]
    return table(
        "Steps, in the order of their start",
        about(
            "Each step: when it began after the start of the execution, how long it took, how often it was tried. "
            "A step of a loop is one row, from its first start to its last end.",
            "Read like a waterfall: the longest bar that nothing runs beside is where the time goes.",
            "Attempts in yellow are retries; the error of a step: "
            "`yc serverless workflow execution get-history <id>`.",
        ),
        [column(expression) for expression in queries],
        _waterfall_columns(),
        empty=NO_STEPS,
        sort="",
        by_field="Value #F",
    )  # fmt: skip


def _waterfall_columns() -> list[Column]:
    bar = ("custom.cellOptions", {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
    return [
        Column("step_id", "Step", (("custom.width", 150),)),
        Column("step_title", "Title"),
        Column("step_type", "Type", (("custom.width", 120),)),
        Column("status", "Status", worded(STEP_COLOURS, "color-background")),
        Column(
            "Value #C",
            "Offset",
            (("unit", "s"), ("min", 0), bar, fixed("super-light-blue")),
            "not started",
        ),
        Column(
            "Value #D",
            "Duration",
            (("unit", "s"), ("min", 0), bar, fixed("blue")),
            "not ended",
        ),
        Column(
            "Value #E",
            "Attempts",
            (
                ("decimals", 0),
                ("custom.cellOptions", {"type": "color-text"}),
                ("thresholds", steps((2, "yellow"))),
                ("custom.width", 90),
            ),
        ),
    ]


def _slowest() -> Json:
    each = most(executions("step_duration_seconds"), "step_id")
    return ranking(
        "Slowest steps",
        about(
            "The ten steps that took longest.",
            "What is at the top is worth making faster.",
            "Compare with the same step in the workflow's dashboard: is it always so?",
        ),
        now(f"sort_desc(topk(10, {each}))", "{{step_id}}"),
        unit="s",
        empty=NO_STEPS,
        colour="blue",
    )


def _http_code() -> Json:
    return graph(
        "HTTP status of the last answer",
        about(
            "What the API answered when this execution was last asked for; 0 is no answer at all.",
            "With anything but 200 the execution has no data, or keeps that of its end.",
            "403: the role is missing. 404: it was deleted, or the ID is wrong. 0, 5xx: look at the exporter.",
        ),
        [Query(f"max({executions('scrape_http_code')})", "HTTP status")],
        unit="none",
        empty="not configured",
        series=1,
    )


def _age() -> Json:
    return graph(
        "Age of its data",
        about(
            "Time since this execution was last read well.",
            "One that ended is asked for again about once an hour only, since it cannot change.",
            "If it grows while the execution is active, look at the status beside.",
        ),
        [
            Query(
                f"time() - max({executions('scrape_last_success_timestamp_seconds')})\n"
                f"and max({executions('scrape_success')}) >= 0",
                "age",
            )
        ],
        unit="s",
        empty="never read",
        series=1,
    )
