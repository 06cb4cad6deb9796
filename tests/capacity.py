"""How many series and calls each thing that is watched costs: counted on pages that have one more of it."""

from dataclasses import replace

from exporter.collector import ExecutionsCollector
from exporter.cron import Cron
from exporter.firings import Firings
from exporter.outcome import Collection, ExecutionOutcome, WorkflowOutcome
from exporter.standing import Group, Run, Standing
from exporter.targets import ExecutionTarget, WorkflowTarget
from exporter.workflowcollector import WorkflowsCollector
from exporter.yandex.history import History
from exporter.yandex.models import ErrorDetail, Execution, Status, Step, StepStatus
from exporter.yandex.workflows import Workflow, WorkflowState

NOW = 1_790_000_000.0
BY_STATUS = tuple((status, 0) for status in StepStatus)
STEP = Step("charge", "Charge the card", "FunctionCall", StepStatus.COMPLETED, NOW - 60, 5.0, 1)
BARE = Workflow("flow", "folder", "flow", (), WorkflowState.ACTIVE, express=False, created_at=NOW - 1e6,
                schedule=None, unread=())  # fmt: skip
BUSY = Standing(
    {Status.RUNNING: Group(1, NOW - 60)}, {}, {}, {}, {},
    last_started=NOW - 60, last_completed=Run(Status.FINISHED, 5.0, NOW - 55),
    last_success=NOW - 55, last_failure=NOW - 9e4,
)  # fmt: skip
EMPTY = Collection((), NOW, 1.0)


def series(given: Collection, *, history: bool) -> int:
    """Return how many series a collection has."""
    collectors = (
        ExecutionsCollector(lambda: given, history=history),
        WorkflowsCollector(lambda: given, labels=(), history=history, recent_window=3600.0),
    )
    return sum(len(family.samples) for collector in collectors for family in collector.collect())


def execution(status: Status, history: History | None = None) -> Collection:
    """Return what is known of one execution."""
    ended = status.terminal
    read = Execution(
        "run", "flow", status, NOW - 60, 5.0 if ended else None,
        ErrorDetail("STEP_FAIL", "STEP") if status is Status.FAILED else None, (),
    )  # fmt: skip
    target = ExecutionTarget("run")
    known = ExecutionOutcome(
        target, NOW, execution=read, history=history, http_code=200, last_success=NOW, fresh=True
    )
    return replace(EMPTY, executions=(known,))


def aliased(given: Collection) -> Collection:
    """Return a collection whose executions have an alias."""
    named = tuple(replace(o, target=ExecutionTarget(o.target.id, "nightly")) for o in given.executions)
    return replace(given, executions=named)


def workflows(number: int, standing: Standing = BUSY, firings: Firings | None = None) -> Collection:
    """Return what is known of some workflows that are alike."""
    known = WorkflowOutcome(
        WorkflowTarget("flow"), NOW, http_code=200, fresh=True, listed=True, last_success=NOW,
        workflow=BARE, firings=firings, standing=standing,
    )  # fmt: skip
    return replace(
        EMPTY, workflows=tuple(replace(known, target=WorkflowTarget(f"{n}")) for n in range(number))
    )


def history(*steps: Step) -> History:
    """Return the history of an execution of these steps."""
    return History(steps, BY_STATUS, 0, 0, 0, (), (), ())


def rows() -> list[tuple[str, int, str]]:
    """Return what is watched, its series, and its calls."""
    running, failed = execution(Status.RUNNING), execution(Status.FAILED)
    alone, stepped = execution(Status.RUNNING, history()), execution(Status.RUNNING, history(STEP))
    steps = replace(BUSY, steps={"charge": ("FunctionCall", "Charge the card")})
    plain, firings = series(workflows(1), history=False), Firings.of(Cron.parse("0 3 * * ? *"), NOW)
    of_workflow = series(workflows(2), history=False) - plain
    return [
        (
            "an execution, QUEUED, RUNNING or PAUSED",
            series(running, history=False),
            "1 at each scrape",
        ),
        ("one that is FINISHED or STOPPED", series(execution(Status.FINISHED), history=False), "1 an hour"),
        ("one that is FAILED", series(failed, history=False), "1 an hour"),
        ("its `alias`", series(aliased(failed), history=False) - series(failed, history=False), ""),
        (
            "with `history.enabled`, an execution besides",
            series(alone, history=True) - series(running, history=True),
            "1 more at each scrape while it is active, 1 more when it ended",
        ),
        ("each of its steps besides", series(stepped, history=True) - series(alone, history=True), ""),
        (
            "a workflow",
            of_workflow,
            "1 at each scrape, 4 an hour, 1 for each run that failed; "
            "1 at each scrape for each active run that is older than 10 minutes",
        ),
        ("its schedule", series(workflows(1, firings=firings), history=False) - plain, ""),
        (
            "with `history.enabled`, each of its steps besides",
            series(workflows(1, steps), history=True) - series(workflows(1), history=True),
            "1 at each scrape for each active run, 1 for each that ended",
        ),
        ("a folder", 0, "1 at each scrape for 1,000 workflows"),
    ]
