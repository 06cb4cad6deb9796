"""What goes wrong in the clouds of the alerts' test, what must be said of it, and how it ends."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import living
import processes
import yaml

from exporter.simulator import Entry, Fault, FaultRule, Simulator

NUMBERS = itertools.count()
FLOWS = (
    "calm", "fails", "counts", "queued", "paused", "long", "max", "retries", "nosuccess", "never",
    "onschedule", "forbidden", "burns-1h", "burns-6h", "burns-1d", "burns-3d",
)  # fmt: skip
FOLDER = "b1gfolder00000000002"
EXECUTIONS = ("failed", "endless", "unread", "steps")
LONGEST_PAUSE = 5.0
"""Seconds between two attempts to get a token after which their failures are out of the rule's sight."""
FLAKY = ("flaky-broken", *(f"flaky-limited-{n}" for n in range(5)), "flaky-busy")


def run(
    cloud: Simulator, flow: str, status: str = "FINISHED", *, ago: float = 0.3, times: int = 1, **fields: Any
) -> str:
    """Let a workflow have executions that started so many seconds ago; return the id of the last."""
    ended = {} if status in {"QUEUED", "RUNNING", "PAUSED"} else {"duration": 0.2}
    error = {"error": ("HTTP_CALL_503", "no answer")} if status == "FAILED" else {}
    for _ in range(times):
        id_ = f"{flow}-{next(NUMBERS)}"
        cloud.put(
            id_, workflow_id=flow, status=status, started_at=time.time() - ago, **{**ended, **error, **fields}
        )
    return id_


@dataclass
class Stage:
    """Clouds, exporters, and who watches: `light` for most, `dark` for what takes the sight of everything."""

    main: Simulator
    flaky: Simulator
    stale: Simulator
    barred: Simulator
    dark: Simulator
    exporters: dict[str, living.Exporter] = field(default_factory=dict)
    prometheus: dict[str, str] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    inboxes: dict[str, living.Inbox] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)


Act = Callable[[Stage], object]


def nothing(_: Stage) -> None:
    """Leave it to time."""


@dataclass(frozen=True)
class Story:
    """An alert: what makes it fire, what is done again and again until then, what ends it.

    Without `heal` it ends with the last of its chain.
    """

    alert: str
    labels: Mapping[str, str]
    trouble: Act = nothing
    heal: Act | None = nothing
    during: Act = nothing
    receiver: str = "team"
    side: str = "light"
    replicas: int = 1

    @property
    def name(self) -> str:
        """What to call it."""
        return "-".join([self.alert, *self.labels.values()])


def ran(flow: str, status: str = "FINISHED", **fields: Any) -> Act:
    """Return an act: executions of a workflow of the main cloud."""
    return lambda stage: run(stage.main, flow, status, **fields)


def active(flow: str, status: str, ago: float) -> tuple[Act, Act]:
    """Return two acts: an execution is active, and ends."""

    def begin(stage: Stage) -> None:
        stage.active[flow] = run(stage.main, flow, status, ago=ago)

    def end(stage: Stage) -> None:
        stage.main.put(
            stage.active[flow], workflow_id=flow, status="STOPPED", started_at=time.time() - ago, duration=ago
        )

    return begin, end


def refused(target: str, code: int, cloud: str = "main") -> tuple[Act, Act]:
    """Return two acts: what is asked of a target is refused, and is not any more."""
    rule = FaultRule(Fault.STATUS, code=code, target=target)
    return (
        lambda stage: getattr(stage, cloud).faults.add(rule),
        lambda stage: getattr(stage, cloud).faults.clear(target=target, kind="status"),
    )


def steps(number: int) -> Act:
    """Return an act: a configured execution has so many steps."""
    history = [Entry(f"step-{n}", status="STARTED") for n in range(number)]
    return lambda stage: stage.main.put(
        "steps", workflow_id="elsewhere", status="RUNNING", started_at=time.time() - 1, history=history
    )


def retried(stage: Stage) -> None:
    """Let a step be tried again and again."""
    run(stage.main, "retries", times=4, history=[Entry("charge", attempts=15, duration=10**8)])


def missed(stage: Stage) -> None:
    """Let there be a workflow that should have started two hours ago, and last did three hours ago."""
    hour, created = time.gmtime(time.time() - 7200).tm_hour, time.time() - 90_000
    stage.main.put_workflow("missed", name="missed", cron=f"0 {hour} ? * * *", created_at=created)
    run(stage.main, "missed", ago=4 * 3600.0)


def burn(flow: str, failed: int, well: int) -> Act:
    """Return an act: of so many executions so many fail."""

    def act(stage: Stage) -> None:
        for status, number in (("FINISHED", well), ("FAILED", failed)):
            for _ in range(number):
                run(stage.main, flow, status)

    return act


def reloaded(text: str) -> Act:
    """Return an act: this stands at the end of a configuration, which is read again."""

    def act(stage: Stage) -> None:
        exporter = stage.exporters["flaky"]
        exporter.path.write_text(exporter.path.read_text().split("# more\n")[0] + "# more\n" + text)
        exporter.signal(signal.SIGHUP)

    return act


def moved(source: str, target: str) -> Act:
    """Return an act: the state file goes somewhere else."""

    def act(stage: Stage) -> None:
        folder = stage.exporters["flaky"].folder
        (folder / source).rename(folder / target)

    return act


def key_touched(stage: Stage) -> None:
    """Let the key file be another one, so that a token is asked for at once."""
    os.utime(stage.exporters["stale"].folder / "key.json")


def token_runs_out(stage: Stage) -> None:
    """Give a token that lasts for seconds, and then none."""
    cloud, before = stage.stale, stage.stale.count("Iam.CreateToken")
    cloud.token_lifetime = 14.0
    key_touched(stage)
    processes.until(lambda: cloud.count("Iam.CreateToken") > before)
    cloud.faults.add(FaultRule(Fault.STATUS, code=503, method="Iam.CreateToken"))
    key_touched(stage)


def running_out() -> Act:
    """Return an act that keeps it so: where pauses grow too long to be seen, it begins anew."""
    asked, since = 0, 0.0

    def act(stage: Stage) -> None:
        nonlocal asked, since
        key_touched(stage)
        count = stage.stale.count("Iam.CreateToken")
        if count != asked:
            asked, since = count, time.monotonic()
        elif time.monotonic() - since > LONGEST_PAUSE:
            stage.stale.faults.clear(method="Iam.CreateToken")
            token_runs_out(stage)

    return act


def token_comes(stage: Stage) -> None:
    """Give tokens again."""
    stage.stale.token_lifetime = 43200
    stage.stale.faults.clear(method="Iam.CreateToken")
    key_touched(stage)


READING = ("Workflow.List", "Workflow.Get", "Execution.List")


def unread(cloud: str, code: int) -> tuple[Act, Act]:
    """Return two acts: the API is there and shows nothing, and shows all again."""

    def begin(stage: Stage) -> None:
        for method in READING:
            getattr(stage, cloud).faults.add(FaultRule(Fault.STATUS, code=code, method=method))

    def end(stage: Stage) -> None:
        for method in READING:
            getattr(stage, cloud).faults.clear(method=method)

    return begin, end


def busy(number: int) -> Act:
    """Return an act: so many executions more are active."""
    return lambda stage: run(stage.flaky, "flaky-busy", "RUNNING", times=number)


def idle(stage: Stage) -> None:
    """End all that is active."""
    stage.flaky.remove_workflow("flaky-busy")
    stage.flaky.put_workflow("flaky-busy", name="flaky-busy")


def deployed(stage: Stage) -> None:
    """Let there be as many workflows as the quota allows."""
    for n in range(3):
        stage.flaky.put_workflow(f"flaky-new-{n}", name=f"new-{n}")


def removed(stage: Stage) -> None:
    """Let there be fewer workflows."""
    for n in range(3):
        stage.flaky.remove_workflow(f"flaky-new-{n}")


def limited(stage: Stage) -> None:
    """Let the API answer 429 for most workflows."""
    for flow in FLAKY[1:-1]:
        stage.flaky.faults.add(FaultRule(Fault.STATUS, code=429, target=flow))


def unlimited(stage: Stage) -> None:
    """Let it answer."""
    for flow in FLAKY[1:-1]:
        stage.flaky.faults.clear(target=flow)


def dark(code: int) -> tuple[Act, Act]:
    """Return two acts: the whole API answers so, and is well again."""
    return (
        lambda stage: stage.dark.faults.add(FaultRule(Fault.STATUS, code=code)),
        lambda stage: stage.dark.faults.clear(),
    )


def targets(present: bool) -> Act:
    """Return an act: the job is, or is not, in Prometheus' configuration."""

    def act(stage: Stage) -> None:
        path = stage.folders["dark"] / "prometheus.yml"
        document = yaml.safe_load(path.read_text())
        if not present:
            path.with_suffix(".kept").write_text(path.read_text())
            document["scrape_configs"] = []
            path.write_text(yaml.safe_dump(document))
        else:
            path.write_text(path.with_suffix(".kept").read_text())
        assert processes.get(f"{stage.prometheus['dark']}/-/reload", method="POST")[0] == 200

    return act


def put(cloud: Simulator, execution: str, status: str, **fields: Any) -> None:
    """Put a configured execution that started just now."""
    ended = {} if status == "RUNNING" else {"duration": 0.2, "error": ("STEP_TIMEOUT", "too slow")}
    started = time.time() - 0.3
    cloud.put(execution, workflow_id="elsewhere", status=status, started_at=started, **{**ended, **fields})


PAUSED = active("paused", "PAUSED", 1.0)
"""What takes the longest, and so begins while all is well."""


def of_flow(flow: str, **more: str) -> dict[str, str]:
    """Return the labels of an alert on a workflow of the main cloud."""
    return {"workflow_id": flow, "workflow_name": f"name-of-{flow}", **more}


CHAINS: tuple[tuple[Story, ...], ...] = (
    (Story("LastRunFailed", of_flow("fails"), ran("fails", "FAILED"), ran("fails")),),
    (
        Story(
            "Failures", of_flow("counts", error_class="HTTP_CALL"), ran("counts", "FAILED"),
            receiver="nobody",
        ),
    ),
    (Story("StuckQueued", of_flow("queued"), *active("queued", "QUEUED", 60.0)),),
    (Story("PausedTooLong", of_flow("paused"), nothing, PAUSED[1]),),
    (Story("RunningTooLong", of_flow("long"), *active("long", "RUNNING", 60.0)),),
    (Story("NearMaxRunTime", of_flow("max"), *active("max", "RUNNING", 1400.0)),),
    (Story("StepRetryStorm", of_flow("retries", step_id="charge"), retried),),
    (Story("NoRecentSuccess", of_flow("nosuccess"), heal=ran("nosuccess"), receiver="pager"),),
    (Story("NoRecentSuccess", of_flow("never"), heal=ran("never"), receiver="pager"),),
    (Story("ScheduleMissed", {"workflow_id": "missed"}, missed, ran("missed")),),
    (
        Story(
            "ErrorBudgetBurn", of_flow("burns-1h", window="1h"), burn("burns-1h", 25, 0),
            during=ran("burns-1h", "FAILED"), receiver="pager",
        ),
    ),
    (
        Story(
            "ErrorBudgetBurn", of_flow("burns-6h", window="6h"), burn("burns-6h", 3, 27),
            ran("burns-6h", times=150), receiver="pager",
        ),
    ),
    (
        Story(
            "ErrorBudgetBurn", of_flow("burns-1d", window="1d"), burn("burns-1d", 1, 24),
            ran("burns-1d", times=150),
        ),
    ),
    (
        Story(
            "ErrorBudgetBurn", of_flow("burns-3d", window="3d"), burn("burns-3d", 1, 49),
            ran("burns-3d", times=150),
        ),
    ),
    (Story("ExecutionFailed", {"execution_id": "failed"}, lambda s: put(s.main, "failed", "FAILED")),),
    (
        Story(
            "ExecutionFailed", {"execution_id": "endless"},
            lambda s: put(s.main, "endless", "FAILED", duration=None),
        ),
    ),
    (Story("ScrapeFailing", {"workflow_id": "forbidden"}, *refused("forbidden", 403)),),
    (Story("ScrapeFailing", {"execution_id": "unread"}, *refused("unread", 403)),),
    (Story("ScrapeFailing", {"kind": "folder", "job": "yc-workflow"}, *refused(FOLDER, 403)),),
    (Story("SeriesOverLimit", {"kind": "step"}, steps(8), steps(2), replicas=2),),
    (Story("ApiErrorsHigh", {"job": "yc-workflow-flaky"}, *refused("flaky-broken", 503, "flaky")),),
    (Story("ApiThrottled", {"job": "yc-workflow-flaky"}, limited, unlimited),),
    (
        Story(
            "StateWriteFailing", {"job": "yc-workflow-flaky"}, moved("state.db", "gone.db"),
            moved("gone.db", "state.db"), during=lambda s: run(s.flaky, "flaky-busy"),
        ),
    ),
    (
        Story(
            "ConfigReloadFailed", {"job": "yc-workflow-flaky"}, reloaded("api.endpont: x\n"), reloaded("")
        ),
    ),
    (
        # Asked for again and again: on a busy machine a pause is longer than the rule looks back.
        Story(
            "TokenExpiring", {"job": "yc-workflow-stale"}, token_runs_out, token_comes, during=running_out()
        ),
    ),
    (Story("DataStale", {"job": "yc-workflow-stale"}, *unread("stale", 400)),),
    (Story("AuthFailing", {"job": "yc-workflow-barred"}, *unread("barred", 403), receiver="pager"),),
    (
        Story("ActiveQuotaNear", {"job": "yc-workflow-flaky"}, busy(9), None),
        Story("ActiveQuotaExhausted", {"job": "yc-workflow-flaky"}, busy(1), idle, receiver="pager"),
    ),
    (Story("WorkflowsQuotaNear", {"job": "yc-workflow-flaky"}, deployed, removed, receiver="nobody"),),
    (
        Story("ApiUnreachable", {}, *dark(503), receiver="pager", side="dark"),
        Story("AuthFailing", {}, *dark(401), receiver="pager", side="dark"),
        Story(
            "ExporterDown", {}, lambda s: s.exporters["dark"].stop(), lambda s: s.exporters["dark"].start(),
            receiver="pager", side="dark",
        ),
        Story(
            "ExporterAbsent", {}, targets(present=False), targets(present=True),
            receiver="pager", side="dark",
        ),
    ),
)  # fmt: skip
"""What happens in a chain happens one after the other."""
