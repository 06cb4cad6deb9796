"""The rules of Prometheus and the examples beside them: they are valid, and say what they should.

The unit tests of the rules, which promtool runs, are held to it that no change of a rule escapes them.
"""

import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from expressions import selections
from rulebook import (
    ALERTS,
    FOLDER,
    RECORDED,
    RULE_FILES,
    RULES,
    TEST_FILES,
    Rule,
    loaded,
    of_alerts,
    of_rules,
    run,
)
from shapes import metrics, reading
from vocabulary import said

from exporter.telemetry import Telemetry

RUNBOOK = (FOLDER / "runbook.md").read_text()
CONFIG = (FOLDER / "prometheus.yml").read_text()
WAYS = re.findall(r"^  # - job_name: (\S+)$", CONFIG, re.MULTILINE)
DASHBOARDS: Mapping[str, frozenset[str]] = {
    "ycwf-overview": frozenset(),
    "ycwf-workflow": frozenset({"workflow"}),
    "ycwf-execution": frozenset({"execution"}),
    "ycwf-exporter": frozenset(),
}
"""The dashboards, and the variables that a link to them may set."""
STANDARD = {
    "ExporterAbsent", "ExporterDown", "ApiUnreachable", "AuthFailing", "TokenExpiring", "ScrapeFailing",
    "DataStale", "ApiErrorsHigh", "ApiThrottled", "SeriesOverLimit", "ExecutionFailed", "LastRunFailed",
    "Failures", "StuckQueued", "PausedTooLong", "RunningTooLong", "NearMaxRunTime", "StepRetryStorm",
    "NoRecentSuccess", "ScheduleMissed", "ErrorBudgetBurn", "ActiveQuotaNear", "ActiveQuotaExhausted",
    "WorkflowsQuotaNear",
}  # fmt: skip
"""What there must be an alert for."""
READ_ELSEWHERE = {"yc_workflow:rules_loaded"}
"""What is recorded for dashboards alone: that no alert fires says nothing where there are no rules."""
OF_REPLICAS = {"max", "min", "group", "topk"}
"""Aggregations that see what several replicas say of one thing as one."""


def test_promtool_has_nothing_to_say_of_the_rules() -> None:
    """The rules are valid, and no two are the same."""
    code, said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert code == 0, said


@pytest.fixture(scope="module")
def verdicts() -> dict[Path, tuple[int, str]]:
    """Return what promtool says of each file of unit tests, asked of several at once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said_of = pool.map(lambda path: run("promtool", "test", "rules", path), TEST_FILES)
        return dict(zip(TEST_FILES, said_of, strict=True))


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_the_unit_tests_of_the_rules_are_green(verdicts: dict[Path, tuple[int, str]], path: Path) -> None:
    """Promtool evaluates the rules over what the tests say, and finds what they say."""
    code, said_of = verdicts[path]
    assert code == 0, said_of


# The examples beside the rules.


def scraping(way: str) -> str:
    """Return the configuration with one of the commented jobs instead of the first."""
    active = re.compile(r"^  - job_name: yc-workflow\n(?:    .*\n)+", re.MULTILINE)
    assert active.search(CONFIG)
    job = re.compile(rf"^  # - job_name: {way}\n(?:  #   .*(?:\n|\Z))+", re.MULTILINE)
    uncommented = job.sub(lambda found: re.sub(r"^  # ", "  ", found[0], flags=re.MULTILINE), CONFIG)
    return active.sub("", uncommented) if way in WAYS else CONFIG


@pytest.mark.parametrize("way", ["yc-workflow", *WAYS])
def test_prometheus_takes_each_way_to_scrape(way: str, tmp_path: Path) -> None:
    """Each of the commented jobs is valid, and has targets, when it is taken instead of the first."""
    shutil.copytree(FOLDER, tmp_path / "prometheus")
    path = tmp_path / "prometheus" / "prometheus.yml"
    path.write_text(scraping(way))
    code, said = run("promtool", "check", "config", path)
    assert (code, "FAILED" in said) == (0, False), said
    (job,) = loaded(path)["scrape_configs"]
    assert job["job_name"] == way
    assert job.keys() & {"static_configs", "http_sd_configs"}


def test_what_the_exporter_says_of_itself_is_scraped_beside_probes() -> None:
    """Whoever only probes loses no alert on the exporter but those on what it is configured to watch."""
    (names,) = re.findall(r"^  # +name\[\]:\n((?:  # +- \S+\n?)+)", CONFIG, re.MULTILINE)
    asked = set(re.findall(r"- (\S+)", names))
    own = {family.name for family in Telemetry("", "").describe()}
    read = {selected.name for rule in RULES for selected in selections(rule.expr)}
    assert {name for name in read if name.removesuffix("_total") in own} - asked == set()


def test_alertmanager_takes_the_example() -> None:
    """The example for Alertmanager is valid."""
    code, said = run("amtool", "check-config", FOLDER / "alertmanager.yml")
    assert code == 0, said


@of_alerts
def test_an_alert_reaches_who_its_severity_says(alert: Rule) -> None:
    """What is critical goes to the pager, a warning to the team, the rest to nobody."""
    labels = [f"{name}={value}" for name, value in {**alert.labels, "alertname": alert.name}.items()]
    route = ("amtool", "config", "routes", "test", f"--config.file={FOLDER / 'alertmanager.yml'}")
    code, said = run(*route, *labels)
    receiver = {"critical": "pager", "warning": "team", "info": "nobody"}[alert.labels["severity"]]
    assert (code, said.splitlines()[0]) == (0, receiver)


def test_what_alertmanager_inhibits_exists() -> None:
    """No rule of inhibition waits for an alert that there is not."""
    names = {alert.name for alert in ALERTS}
    for inhibition in loaded(FOLDER / "alertmanager.yml")["inhibit_rules"]:
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"]):
            name, pattern = re.fullmatch(r"(\w+)(?:=~|!=|=)\"(.*)\"", matcher).groups()  # type: ignore[union-attr]
            if name == "alertname":
                alternatives = re.fullmatch(r"YcWorkflow(?:\((.*)\)|(\w+))", pattern)
                assert alternatives
                wanted = (alternatives[1] or alternatives[2]).split("|")
                assert {f"YcWorkflow{short}" for short in wanted} <= names


# What each alert says of itself.


def test_every_alert_of_the_standard_is_there() -> None:
    """Nothing that someone relies on was lost."""
    assert {f"YcWorkflow{name}" for name in STANDARD} <= {alert.name for alert in ALERTS}


@of_alerts
def test_an_alert_says_what_is_wrong_and_where_to_look(alert: Rule) -> None:
    """Name, severity and texts are what people and Alertmanager can build on."""
    assert re.fullmatch(r"YcWorkflow(?:[A-Z][a-z]+)+", alert.name)
    assert alert.labels["severity"] in {"critical", "warning", "info"}
    assert alert.annotations.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    # One sentence, and the same for all alerts of a group: a notification has one title for them.
    assert re.fullmatch(r"[A-Z][^.!?{}]*(?:\d\.\d[^.!?{}]*)*\.", alert.annotations["summary"])
    assert alert.annotations["description"].rstrip().endswith((".", "}"))


@of_alerts
def test_the_links_of_an_alert_lead_somewhere(alert: Rule) -> None:
    """Each alert has its heading in the runbook, and opens a dashboard at the right place."""
    anchors = {f"#{heading.lower()}" for heading in re.findall(r"^## (\S+)$", RUNBOOK, re.MULTILINE)}
    assert "#" + alert.annotations["runbook_url"].rpartition("#")[2] in anchors
    assert alert.annotations["runbook_url"].endswith(f"#{alert.name.lower()}")
    links = re.findall(r"(ycwf-\w+)(?:\?((?:&?var-\w+=\{\{[^}]*\}\})+))?", alert.annotations["dashboard_url"])
    assert links
    for uid, query in links:
        assert set(re.findall(r"var-(\w+)=", query)) <= DASHBOARDS[uid]


def test_the_runbook_says_the_same_things_of_every_alert() -> None:
    """One heading for each alert, in the order of the rules, each with all its parts."""
    sections = re.split(r"^## ", RUNBOOK, flags=re.MULTILINE)
    alerts = [section for section in sections if section.startswith("YcWorkflow")]
    assert [section.split()[0] for section in alerts] == list(dict.fromkeys(alert.name for alert in ALERTS))
    for section in alerts:
        parts = re.findall(r"^\*\*([^*]+)\*\*", section, re.MULTILINE)
        assert parts == ["Meaning", "Impact", "First checks", "Remedy", "False alarm"], section.split()[0]


def test_the_queries_of_the_runbook_can_be_pasted() -> None:
    """Each is PromQL of metrics that there are, Prometheus' own among them."""
    queries = re.findall(r"^```promql\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    for query in filter(None, "\n".join(queries).splitlines()):
        assert selections(query), query
        for selected in selections(query):
            assert selected.name in metrics().labels or selected.name.startswith("prometheus_"), query


def test_a_reason_stands_above_each_rule() -> None:
    """A threshold without its reason is changed by the first who is annoyed by it.

    What is recorded alike, for one window after the other, has one reason above its group.
    """
    for path in RULE_FILES:
        of_group = False
        for before, line in pairwise(filter(str.strip, path.read_text().splitlines())):
            reason = before.lstrip().startswith("#")
            if re.match(r"  - name: ", line):
                of_group = reason
            if re.match(r" +- (?:alert|record): ", line):
                assert reason or ("record" in line and of_group), line


# What the expressions read.


@of_rules
def test_a_rule_reads_what_the_exporter_says(rule: Rule) -> None:
    """Each metric, label and value is one that can come: a rule that selects another is silent for ever."""
    for selected in selections(rule.expr):
        assert selected.name in metrics().labels
        for matcher in selected.matchers:
            assert not reading(selected.name)[0].lacks([matcher.label])
            values = said(selected.name, matcher.label)
            assert values is None or any(re.fullmatch(matcher.value, value) for value in values)
            if values and "." not in matcher.value:
                assert set(matcher.value.split("|")) <= values


@of_rules
def test_what_a_rule_joins_can_be_joined(rule: Rule) -> None:
    """The labels that it matches on, takes over and keeps are there, and there is one series for one."""
    assert reading(rule.expr)[1] == ()


@of_rules
def test_replicas_that_read_the_same_workflow_are_not_added_up(rule: Rule) -> None:
    """What is said of a workflow or execution is taken once, by max or the like, before it is added up."""
    for selected in selections(rule.expr):
        own = metrics().labels[selected.name] if selected.name in metrics().exposed else frozenset()
        if own & {"workflow_id", "execution_id"} and selected.aggregations:
            assert selected.aggregations[0] in OF_REPLICAS


@of_alerts
def test_the_texts_of_an_alert_read_labels_that_it_has(alert: Rule) -> None:
    """A text that reads a label that is never there has a hole; its queries read metrics that there are."""
    has = reading(alert.expr)[0].may | alert.labels.keys()
    for text in alert.annotations.values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= has
        for query in re.findall(r"printf \"([^\"]*%q[^\"]*)\"", text):
            for selected in selections(query.replace("%q", '"x"')):
                assert selected.name in metrics().labels, query
                assert not reading(selected.name)[0].lacks(matcher.label for matcher in selected.matchers)


@of_alerts
def test_an_alert_of_a_workflow_tells_replicas_apart_no_more(alert: Rule) -> None:
    """Two replicas are one alert: what an alert of a workflow or execution says has no instance."""
    labels = reading(alert.expr)[0].may
    if labels & {"workflow_id", "execution_id"}:
        assert "instance" not in labels


def test_everything_that_is_recorded_is_read() -> None:
    """A series that nothing reads costs for nothing."""
    read = {selector.name for rule in RULES for selector in selections(rule.expr)}
    assert RECORDED.keys() - read == READ_ELSEWHERE
