"""What the counters of a page must be: held against the simulator's truth, its histories and its calls."""

import json
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

from visitors import Samples

from exporter.simulator import Run, Simulator, Truth

OWN = "yc_workflow_exporter_"
"""How the names begin of what an exporter counts of itself, from its start on."""
COUNTERS = ("_total", "_bucket", "_count", "_sum")
STEP_STATUSES = ("COMPLETED", "FAILED", "CANCELLED")


def series(name: str, **labels: str) -> str:
    """Return name and labels of a sample as they stand on a page."""
    shown = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    return f"yc_workflow_{name}{{{shown}}}"


def is_counter(key: str) -> bool:
    """Whether a sample may never fall."""
    return key.partition("{")[0].endswith(COUNTERS)


def is_kept(key: str) -> bool:
    """Whether a counter is kept over restarts."""
    return key.startswith("yc_workflow_") and not key.startswith(OWN)


def counters(page: Samples) -> Samples:
    """Return all that may never fall."""
    return {key: value for key, value in page.items() if is_counter(key)}


def of_workflow(page: Samples, workflow_id: str) -> Samples:
    """Return the counters that are kept of a workflow, rounded to what a page can say."""
    label = f'workflow_id="{workflow_id}"'
    kept = counters(page).items()
    return {key: round(value, 6) for key, value in kept if is_kept(key) and label in key}


def bounds(page: Iterable[str], begin: str) -> dict[str, float]:
    """Return the buckets of a histogram of a page, and their bounds."""
    found = {}
    for key in page:
        if key.startswith(begin):
            found[key] = float(key.partition('le="')[2].partition('"')[0])
    return found


def runs_counted(truth: Truth, workflow_id: str, page: Samples) -> Samples:
    """Return what a page must say of the runs of a workflow."""
    at = {"workflow_id": workflow_id}
    histogram = "completed_duration_seconds"
    buckets = {
        key: bound
        for key, bound in bounds(page, f"yc_workflow_{histogram}_bucket{{").items()
        if f'workflow_id="{workflow_id}"' in key
    }
    return {
        series("executions_started_total", **at): float(len(truth.started)),
        series(f"{histogram}_count", **at): float(truth.duration_count),
        series(f"{histogram}_sum", **at): round(truth.duration_sum, 6),
        **{key: float(sum(each <= bound for each in truth.durations)) for key, bound in buckets.items()},
        **{
            series("executions_completed_total", status=s, **at): float(n) for s, n in truth.completed.items()
        },
        **{series("failures_total", error_class=c, **at): n for c, n in truth.failures.items()},
    }


def steps_counted(entries: Iterable[Mapping[str, str]], workflow_id: str, page: Samples) -> Samples:
    """Return what a page must say of the steps of a workflow, of which these are all that ended."""
    counted: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    durations: dict[str, list[Decimal]] = {}
    for entry in entries:
        at = {"workflow_id": workflow_id, "step_id": entry["id"]}
        counted[series("steps_completed_total", status=entry["status"], **at)] += 1
        counted[series("step_retries_total", **at)] += max(0, int(entry.get("attempts", "0")) - 1)
        if entry["status"] == "FAILED":
            counted[series("step_failures_total", error_class=_class(entry), **at)] += 1
        if "duration" in entry:
            durations.setdefault(entry["id"], []).append(Decimal(entry["duration"].removesuffix("s")))
    for step_id, lasted in durations.items():
        at = {"workflow_id": workflow_id, "step_id": step_id}
        counted[series("step_duration_seconds_count", **at)] = len(lasted)
        sums[series("step_duration_seconds_sum", **at)] = round(float(sum(lasted)), 6)  # type: ignore[assignment]
        for key, bound in bounds(page, "yc_workflow_step_duration_seconds_bucket{").items():
            if f'step_id="{step_id}"' in key and f'workflow_id="{workflow_id}"' in key:
                counted[key] = sum(float(each) <= bound for each in lasted)
    return {key: float(value) for key, value in {**counted, **sums}.items()}


def _class(entry: Mapping[str, object]) -> str:
    error = entry.get("error")
    code = error.get("errorCode", "") if isinstance(error, dict) else ""
    return Run("", "FAILED", error_code=code).error_class


def entries_of(cloud: Simulator, runs: Iterable[Run]) -> list[Mapping[str, str]]:
    """Return the entries of the histories of these runs that count: of the steps that ended."""
    found: list[Mapping[str, str]] = []
    for run in runs:
        url = f"{cloud.base_url}/workflows/v1/execution/{run.id}/history"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {cloud.token}"})
        with urllib.request.urlopen(request, timeout=15) as answer:
            body = json.loads(answer.read())
        found += [entry for entry in body.get("entries", []) if entry.get("status") in STEP_STATUSES]
    return found


def differing(page: Samples, expected: Samples) -> list[str]:
    """Return where counters of a page are not what they must be; what is not expected must be 0."""
    return [
        f"{key} is {page.get(key, 0.0)}, and {expected.get(key, 0.0)} is true"
        for key in sorted(page.keys() | expected.keys())
        if page.get(key, 0.0) != expected.get(key, 0.0)
    ]


def outside(page: Samples, least: Samples, most: Samples) -> list[str]:
    """Return which counters of a page are not between what was true earlier and what is true later."""
    return [
        f"{key} is {page.get(key, 0.0)}, and {least[key]} to {most[key]} is true"
        for key in sorted(least)
        if not least[key] <= page.get(key, 0.0) <= most[key]
    ]


def fallen(page: Samples, before: Samples) -> list[str]:
    """Return which counters of a page are lower than they were before."""
    return [f"{k} fell from {before[k]} to {v}" for k, v in page.items() if v < before.get(k, v)]


def calls_counted(page: Samples) -> Counter[tuple[str, int]]:
    """Return the calls to the Workflows API that an exporter has counted, by method and code."""
    found: Counter[tuple[str, int]] = Counter()
    for key, value in page.items():
        if key.startswith(f"{OWN}api_requests_total{{"):
            _, code, _, method, _ = key.split('"')
            found[method, int(code)] += int(value)
    return found


def calls_logged(cloud: Simulator) -> Counter[tuple[str, int]]:
    """Return the calls that the cloud has seen since its log was cleared; those for tokens are no such."""
    calls = cloud.calls
    assert len(calls) == cloud.count(), "the cloud's log is too short to compare"
    return Counter((c.method, c.code) for c in calls if c.method.startswith(("Execution.", "Workflow.")))


def by_method(calls: Counter[tuple[str, int]]) -> Counter[str]:
    """Return calls by method alone."""
    found: Counter[str] = Counter()
    for (method, _), number in calls.items():
        found[method] += number
    return found
