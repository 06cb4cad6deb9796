"""A world for the dashboards: everything that can happen has happened, and eight days lie behind it."""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import boards
import living
import processes
import yaml
from asking import Source
from boards import Board
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Entry, Failure, Fault, FaultRule, Simulator
from exporter.simulator.streams import FAILURES, ODD_FAILURES

T = TypeVar("T")
R = TypeVar("R")

HOUR, DAY = 3600, 86400
STATUSES = ("QUEUED", "RUNNING", "PAUSED", "STOPPED", "FAILED", "FINISHED", "HIBERNATED")
STEP_STATUSES = ("SCHEDULED", "STARTED", "COMPLETED", "FAILED", "CANCEL_REQUESTED", "CANCELLED", "NAPPING")
JOBS = ("yc-workflow", "yc-workflow-executions", "yc-workflow-workflows", "yc-workflow-healthy")
STRANGERS = ("prometheus", "elsewhere")
NUMBERS = itertools.count()


def ran(cloud: Simulator, flow: str, status: str, seconds: float, **fields: Any) -> None:
    """Let a workflow have an execution that has just ended."""
    started = time.time() - seconds
    id_ = f"{flow}-{next(NUMBERS)}"
    cloud.put(id_, workflow_id=flow, status=status, started_at=started, duration=seconds, **fields)


def configured(cloud: Simulator) -> list[str]:
    """Put an execution of each status, with a step of each status, one elsewhere, and return their ids."""
    now = time.time_ns()
    steps = [
        Entry(
            f"step-{status.lower()}", status=status, title=f"Step {n}", attempts=n,
            started_at=now - (60 - n) * 10**9, duration=n * 10**9,
        )
        for n, status in enumerate(STEP_STATUSES, 1)
    ]  # fmt: skip
    over = [Entry(f"over-{n}", status="STARTED") for n in range(14)]
    found = []
    for status in STATUSES:
        duration = 30.0 if status in {"STOPPED", "FAILED", "FINISHED"} else None
        error = ("HTTP_CALL_503", "no answer") if status == "FAILED" else None
        found.append(f"orders-{status.lower()}")
        cloud.put(
            found[-1], workflow_id="orders", status=status, started_at=time.time() - 60, history=steps,
            duration=duration, error=error,
        )  # fmt: skip
    cloud.put(
        "elsewhere-1", workflow_id="elsewhere", status="RUNNING", started_at=time.time() - 9, history=over
    )
    return [*found, "elsewhere-1", "never-was"]


def populated(cloud: Simulator) -> None:
    """Let there be workflows of all kinds in two folders."""
    second = cloud.folder_ids[1]
    born = time.time() - 30 * DAY
    cloud.put_workflow("orders", name="orders", created_at=born, cron="*/5 * ? * * *", express=True)
    cloud.put_workflow("wrong", name="wrong", created_at=born, status="ERROR")
    cloud.put_workflow("shaky", name="shaky", created_at=born)
    cloud.put_workflow("lost", name="lost", created_at=born)
    cloud.put_workflow("still", name="still", created_at=born)
    cloud.put_workflow("others", name="orders", created_at=born, folder_id=second, cron="0 0 1 1 ? *")


def lived(cloud: Simulator) -> None:
    """Let executions end in every way, with steps that fail in every way."""
    for failure in (*FAILURES, *ODD_FAILURES):
        steps = [
            Entry("fetch", started_at=int(time.time() * 1e9), duration=10**8),
            Entry("charge", status="FAILED", duration=2 * 10**9, attempts=3, error=failure),
        ]
        ran(cloud, "orders", "FAILED", 3.0, error=failure, history=steps)
    for n in range(60):
        ran(cloud, "orders", "FINISHED", 2.0 + n, history=[Entry("fetch", duration=n * 10**8)])
    ran(cloud, "orders", "STOPPED", 4.0)
    for flow in ("others", "wrong", "shaky"):
        ran(cloud, flow, "FINISHED", 5.0)
        ran(cloud, flow, "FAILED", 5.0, error=Failure("STEP_TIMEOUT", "too slow"))


def configuration(cloud: Simulator, more: Mapping[str, Any]) -> str:
    """Return the configuration of an exporter over a cloud."""
    return yaml.safe_dump(
        {
            "api": {
                "endpoint": cloud.base_url, "iam_endpoint": cloud.base_url, "requests_per_second": 10000,
            },
            "auth": {"service_account_key_file": "key.json"},
            "history": {"enabled": True, "max_steps": 12},
            "state": {"file": "state.db"},
            # So few that they are nearly used up, and the line that says so is drawn.
            "quota": {"active_executions": 4},
            **more,
        }
    )  # fmt: skip


@dataclass
class World:
    """What is asked: Prometheus, and at which moments; `then` is one at which all replicas knew the same."""

    source: Source
    exporters: Mapping[str, living.Exporter]
    now: float
    then: float
    pool: ThreadPoolExecutor
    boards: list[Board] = field(default_factory=lambda: [Board(json) for json in boards.committed()])

    def each(self, work: Callable[[T], R], things: Iterable[T]) -> list[R]:
        """Do something with each of many things, some at the same time."""
        return list(self.pool.map(work, things))


def moments(now: float) -> list[float]:
    """Return when something was known: every two hours of eight days, every minute of the last two hours."""
    old = [now - 8 * DAY + n * 2 * HOUR for n in range(95)]
    return [*old, *(now - 2 * HOUR + n * 60 for n in range(1, 121))]


def spelt(labels: Mapping[str, str]) -> str:
    """Return labels as OpenMetrics has them."""
    escaped = {k: v.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for k, v in labels.items()}
    return ",".join(f'{name}="{value}"' for name, value in escaped.items())


def past(page: str, targets: Iterable[tuple[str, str]], now: float) -> Iterator[str]:
    """Yield eight days of a page: counters grew a hundredfold, times were as long ago as they are now."""
    began = now - 8 * DAY
    times = [(at, (at - began) / (8 * DAY) * 100) for at in moments(now)]
    samples = [
        (sample, family.type in {"counter", "histogram"})
        for family in text_string_to_metric_families(page)
        if not family.name.startswith("python_")
        for sample in family.samples
    ]
    for job, instance in targets:
        own = {"job": job, "instance": instance}
        yield from (f"up{{{spelt(own)}}} 1 {at:.3f}\n" for at, _ in times)
        for sample, grows in samples:
            head = f"{sample.name}{{{spelt({**sample.labels, **own})}}}"
            moves = sample.name.endswith("_timestamp_seconds")
            for at, times_now in times:
                value = sample.value
                if grows:
                    value = round(value * times_now)
                elif moves:
                    value -= now - at
                yield f"{head} {value} {at:.3f}\n"


def backfilled(folder: Path, made: Mapping[str, living.Exporter], now: float) -> None:
    """Let Prometheus remember eight days: of both replicas the same, and of the healthy one."""
    source = folder / "past.txt"
    replicas = [("yc-workflow", made[name].address) for name in ("one", "other")]
    with source.open("w") as out:
        out.writelines(past(made["one"].page(), replicas, now))
        out.writelines(past(made["healthy"].page(), [(JOBS[3], made["healthy"].address)], now))
        out.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=200h", "openmetrics"]
    done = subprocess.run([*command, source, folder / "tsdb"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    source.unlink()


def exporters(tmp_path: Path, cloud: Simulator, healthy: Simulator) -> dict[str, living.Exporter]:
    """Return two replicas, one with executions only, one with workflows only, and one where all is well."""
    executions = [{"id": id_, "alias": f"the {id_}"} for id_ in configured(cloud)[:-2]]
    whole = {"executions": [*executions, "elsewhere-1", "never-was"], "folders": list(cloud.folder_ids)}
    whole["workflows"] = [{"id": "orders", "expected_success_interval": "25h"}]
    well = {"executions": [{"id": "well-done", "alias": "nightly"}], "folders": [healthy.folder_id]}
    texts = {
        "one": configuration(cloud, whole),
        "other": configuration(cloud, whole),
        "executions": configuration(cloud, {"executions": whole["executions"]}),
        "workflows": configuration(cloud, {"folders": list(cloud.folder_ids), "history": {"enabled": False}}),
        "healthy": configuration(healthy, well),
    }
    made = {name: living.Exporter(tmp_path / name, text) for name, text in texts.items()}
    for name, exporter in made.items():
        (healthy if name == "healthy" else cloud).create_key(exporter.folder)
    return made


def be_well(cloud: Simulator) -> None:
    """Let a cloud have nothing wrong."""
    step = Entry("fetch", started_at=int((time.time() - 60) * 1e9), duration=10**9)
    cloud.put_workflow("well", name="well", created_at=time.time() - 30 * DAY, cron="*/5 * ? * * *")
    cloud.put(
        "well-done", workflow_id="well", status="FINISHED", started_at=time.time() - 60, duration=9.0,
        history=[step],
    )  # fmt: skip
    cloud.put("well-running", workflow_id="well", started_at=time.time() - 5)


def end_well(cloud: Simulator) -> None:
    """Let executions end as they should."""
    for n in range(30):
        ran(cloud, "well", "FINISHED", 2.0 + n, history=[Entry("fetch", duration=n * 10**8)])


def trouble(cloud: Simulator, exporter: living.Exporter) -> None:
    """Let an exporter have all the troubles of its own that there are."""
    (exporter.folder / "state.db").rename(exporter.folder / "gone.db")
    exporter.path.write_text(exporter.path.read_text() + "api.endpont: x\n")
    exporter.signal(signal.SIGHUP)
    cloud.faults.add(FaultRule(Fault.STATUS, code=503, method="Iam.CreateToken"))
    os.utime(exporter.folder / "key.json")
    ran(cloud, "orders", "FINISHED", 1.0)
    refused = "yc_workflow_exporter_config_last_reload_successful 0.0"
    processes.until(lambda: refused in exporter.page())


def happen(made: Mapping[str, living.Exporter], cloud: Simulator, healthy: Simulator) -> None:
    """Let all happen, after the exporters' first look."""
    cloud.faults.add(FaultRule(Fault.STATUS, code=403, target="lost"))
    cloud.faults.add(FaultRule(Fault.STATUS, code=503, target="shaky"))
    lived(cloud)
    end_well(healthy)
    counted = 'yc_workflow_executions_completed_total{status="FINISHED",workflow_id="%s"} %s'
    for name in ("one", "other", "workflows"):
        processes.until(lambda name=name: counted % ("orders", 60) in made[name].page())  # type: ignore[misc]
    processes.until(lambda: counted % ("well", 30) in made["healthy"].page())
    made["one"].signal(signal.SIGHUP)


def jobs(made: Mapping[str, living.Exporter], itself: str) -> dict[str, list[str]]:
    """Return who is scraped: the exporters, and two others, one of which is down."""
    return {
        "yc-workflow": [made["one"].address, made["other"].address],
        **{f"yc-workflow-{name}": [made[name].address] for name in ("executions", "workflows", "healthy")},
        "prometheus": [itself],
        "elsewhere": ["127.0.0.1:1"],
    }


def rules(folder: Path) -> Path:
    """Write the rules as they are, but all recorded and judged every second."""
    folder.mkdir()
    for path in (living.BESIDE / "rules").glob("*.yml"):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            group.pop("interval", None)
        (folder / path.name).write_text(yaml.safe_dump(document))
    return folder / "*.yml"


@contextlib.contextmanager
def everything_happened(tmp_path: Path) -> Iterator[World]:
    """Run a world in which everything has happened."""
    with contextlib.ExitStack() as stack:
        cloud, healthy = (stack.enter_context(Simulator(executions=0)) for _ in range(2))
        populated(cloud)
        be_well(healthy)
        made = exporters(tmp_path, cloud, healthy)
        for exporter in made.values():
            stack.enter_context(exporter)
        for exporter in made.values():
            exporter.wait()
        happen(made, cloud, healthy)
        then = time.time()
        backfilled(tmp_path, made, then)
        trouble(cloud, made["other"])
        itself = f"127.0.0.1:{processes.free_port()}"
        text = scraping(tmp_path, made, itself)
        url = stack.enter_context(processes.prometheus(tmp_path, text, address=itself))
        source = stack.enter_context(contextlib.closing(Source(url)))
        processes.until(partial(settled, source))
        pool = stack.enter_context(ThreadPoolExecutor(6))
        yield World(source, made, time.time() - 2, then, pool)


def scraping(tmp_path: Path, made: Mapping[str, living.Exporter], itself: str) -> str:
    """Return Prometheus' configuration."""
    watched = jobs(made, itself)
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules(tmp_path / "rules"))],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]}
                for job, addresses in watched.items()
            ],
        }
    )


def settled(source: Source) -> bool:
    """Whether all is scraped, recorded and judged."""
    now = time.time()
    times = source.instant('min(sum_over_time(up{job!="elsewhere"}[20s]))', now)
    fires = source.instant('ALERTS{alertstate="firing",severity="warning",workflow_name!=""}', now)
    known = source.instant("yc_workflow:completed_duration_seconds:p95_7d", now)
    return bool(fires and known and len(times) == 1 and float(times[0]["value"][1]) >= 5)
