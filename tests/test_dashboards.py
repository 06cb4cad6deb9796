"""The dashboards keep the rules of the house: what can be read off their JSON is proved here.

Each check takes dashboards and yields complaints, so that it can be shown dashboards that are wrong.
"""

import json
import os
import subprocess
import sys
from functools import cache

import board_choices
import board_layout
import board_linter
import board_looks
import board_queries
import pytest
import yaml
from board_layout import SCRAPE_INTERVAL
from board_linter import WITHOUT_TARGET
from board_queries import STAND_FOR
from boards import FOLDER, LABEL_OF_LEGEND, ROOT, Board, Check, committed, panels
from corruptions import CORRUPTIONS, Corruption
from expressions import seconds
from shapes import reading

from grafana.source.__main__ import files

CHECKS = (
    *board_layout.CHECKS,
    *board_looks.CHECKS,
    *board_choices.CHECKS,
    *board_linter.CHECKS,
    *board_queries.CHECKS,
)


def named(check: Check) -> str:
    """Return the name of a check."""
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", CHECKS, ids=named)
def test_the_dashboards_keep_the_rule(check: Check) -> None:
    """There is nothing to complain of."""
    found = list(check([Board(dashboard) for dashboard in committed()]))
    assert not found, "\n".join(found)


# What is built is what is there.


def test_the_committed_dashboards_are_those_of_their_source() -> None:
    """`python -m grafana.source` writes them, byte for byte."""
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == files()


def test_they_are_built_the_same_each_time() -> None:
    """No order of a set and no clock gets into them."""
    program = "import grafana.source.__main__ as m; print(sorted(m.files().items()))"
    built = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"))
    }
    assert len(built) == 1


def test_the_dashboards_know_the_scrape_interval() -> None:
    """Prometheus and the refresh go by the same number."""
    prometheus = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    assert seconds(prometheus["global"]["scrape_interval"]) == SCRAPE_INTERVAL


@pytest.mark.parametrize("metric", WITHOUT_TARGET)
def test_an_exception_is_needed(metric: str) -> None:
    """What nobody selects any more is no exception any more."""
    queries = [query for dashboard in committed() for query in Board(dashboard).queries]
    assert any(selected.name == metric for query in queries for selected in query.selected)


def test_the_linter_is_told_the_same_exceptions() -> None:
    """Each panel that selects without job and instance stands in `.lint`, by rule, and no other does."""
    told = yaml.safe_load((FOLDER / ".lint").read_text())["exclusions"]
    wanted = {
        (panel.board.title, panel.title)
        for panel in panels([Board(dashboard) for dashboard in committed()])
        for query in panel.queries
        if {selected.name for selected in query.selected} & set(WITHOUT_TARGET)
    }
    assert set(told) == {"target-job-rule", "target-instance-rule"}
    for rule in told.values():
        assert rule["reason"].endswith(".")
        assert {(entry["dashboard"], entry["panel"]) for entry in rule["entries"]} == wanted


@pytest.mark.parametrize("label", STAND_FOR)
def test_a_label_that_stands_for_another_is_in_a_legend(label: str) -> None:
    """What is no legend any more need not be excused."""
    queries = [query for dashboard in committed() for query in Board(dashboard).of_panels]
    assert any(label in LABEL_OF_LEGEND.findall(query.legend) for query in queries)


# How expressions are read.

ACTIVE_ONES = "yc_workflow_active_executions"


@pytest.mark.parametrize(
    ("expression", "always", "unique"),
    [
        (ACTIVE_ONES, "instance job status workflow_id", "instance job status workflow_id"),
        (f"max by (workflow_id) ({ACTIVE_ONES})", "workflow_id", "workflow_id"),
        (f"max without (job, instance) ({ACTIVE_ONES})", "status workflow_id", "status workflow_id"),
        (f"topk by (workflow_id) (1, {ACTIVE_ONES})", "instance job status workflow_id", "workflow_id"),
        (f"topk(1, max by (status) ({ACTIVE_ONES}))", "status", ""),
        ("histogram_quantile(0.9, max by (le) (yc_workflow_step_duration_seconds_bucket))", "", ""),
        (f"time() - max({ACTIVE_ONES}) and on () up", "", ""),
        (f"max by (status) ({ACTIVE_ONES}) or on () vector(0)", "", "status"),
        (f'label_replace(max({ACTIVE_ONES}), "name", "$1", "", "")', "name", ""),
        (
            f"max by (workflow_id) ({ACTIVE_ONES}) * on (workflow_id) group_left (workflow_name) "
            "topk by (workflow_id) (1, yc_workflow_info)",
            "workflow_id workflow_name",
            "workflow_id",
        ),
        (f"max by (job) ({ACTIVE_ONES}) / on (job) max by (job) (up)", "job", "job"),
    ],
)
def test_the_labels_of_a_result_are_known(expression: str, always: str, unique: str) -> None:
    """Without asking Prometheus: those that each series has, and those that tell series apart."""
    shape, faults = reading(expression)
    assert " ".join(sorted(shape.always)) == always
    assert " ".join(sorted(shape.unique)) == unique
    assert faults == ()


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        (f"max by (folder_id) ({ACTIVE_ONES})", "names folder_id"),
        (f"{ACTIVE_ONES} / on (workflow_id) max by (workflow_id) ({ACTIVE_ONES})", "the left side of `/`"),
        (f"max by (status) ({ACTIVE_ONES}) * on (status) group_left () {ACTIVE_ONES}", "the right side"),
        (f"max by (status) ({ACTIVE_ONES}) and max by (job) ({ACTIVE_ONES})", "nothing is equal"),
        (f"max({ACTIVE_ONES}) * on () group_left (job) max(up)", "group_left names job"),
        (f"histogram_quantile(0.9, max({ACTIVE_ONES}))", "histogram_quantile names le"),
        (f'label_replace({ACTIVE_ONES}, "a", "$1", "b", "(.+)")', "label_replace names b"),
    ],
)
def test_what_cannot_be_joined_is_told(expression: str, fault: str) -> None:
    """With the operator, and what is missing or too much."""
    assert fault in " ".join(reading(expression)[1])


# What is wrong is seen.


@cache
def complaints() -> dict[Check, frozenset[str]]:
    """Return what there is to complain of without any corruption."""
    found = [Board(dashboard) for dashboard in committed()]
    return {check: frozenset(check(found)) for check in CHECKS}


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.what)
def test_what_is_made_wrong_is_seen(corruption: Corruption) -> None:
    """By the checks that are meant, and by no others."""
    wrong = committed()
    corruption.done(wrong)
    found = [Board(dashboard) for dashboard in wrong]
    seen = {named(check): sorted(set(check(found)) - complaints()[check]) for check in CHECKS}
    seen = {name: new for name, new in seen.items() if new}
    assert sorted(seen) == sorted(named(check) for check in corruption.checks), json.dumps(seen, indent=1)


def test_every_check_is_shown_something_wrong() -> None:
    """None of them is green whatever it sees."""
    assert {check for corruption in CORRUPTIONS for check in corruption.checks} == set(CHECKS)
