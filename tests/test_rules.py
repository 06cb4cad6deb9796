"""The rules of Prometheus and the examples beside them: they are valid, and say what they should.

The unit tests of the rules, which promtool runs, are held to it that no change of a rule escapes them.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from docs import label_names

from exporter.config import Quota
from exporter.telemetry import KINDS, Telemetry
from exporter.yandex.errors import REASONS
from exporter.yandex.models import ERROR_CLASSES, Status, StepStatus
from exporter.yandex.workflows import WorkflowState

FOLDER = Path(__file__).parent.parent / "prometheus"
RULE_FILES = tuple(FOLDER / "rules" / f"{name}.yml" for name in ("recording", "alerts"))
TEST_FILES = sorted((FOLDER / "tests").glob("*_test.yml"))
RUNBOOK = (FOLDER / "runbook.md").read_text()
CONFIG = (FOLDER / "prometheus.yml").read_text()
WAYS = re.findall(r"^  # - job_name: (\S+)$", CONFIG, re.MULTILINE)

DASHBOARDS = {"ycwf-overview": set[str](), "ycwf-workflow": {"workflow"}, "ycwf-execution": {"execution"}}
"""The dashboards, and the variables that a link to them may set."""
DASHBOARDS["ycwf-exporter"] = set()
STANDARD = {
    "ExporterAbsent", "ExporterDown", "ApiUnreachable", "AuthFailing", "TokenExpiring", "ScrapeFailing",
    "DataStale", "ApiErrorsHigh", "ApiThrottled", "SeriesOverLimit", "ExecutionFailed", "LastRunFailed",
    "Failures", "StuckQueued", "PausedTooLong", "RunningTooLong", "NearMaxRunTime", "StepRetryStorm",
    "NoRecentSuccess", "ScheduleMissed", "ErrorBudgetBurn", "ActiveQuotaNear", "ActiveQuotaExhausted",
    "WorkflowsQuotaNear",
}  # fmt: skip
"""What there must be an alert for."""
SAID = {
    "status": {s.name for s in (*Status, *StepStatus)},
    "state": {s.name for s in WorkflowState},
    "error_class": set(ERROR_CLASSES),
    "quota": set(Quota.model_fields),
    "kind": {*KINDS, "step"},
    "reason": set(REASONS),
}
"""What the exporter can say in a label."""
READ_ELSEWHERE = {"yc_workflow:rules_loaded"}
"""What is recorded for dashboards alone: that no alert fires says nothing where there are no rules."""
TARGET = {"job", "instance"}
OF_REPLICAS = {"max", "min", "group", "topk"}
"""Aggregations that see what several replicas say of one thing as one."""
STRINGS_AND_RANGES = re.compile(r"\"[^\"]*\"|\{[^}]*\}|\[[^\]]*\]")
METRIC = re.compile(r"(?<![\w:])(?:up|yc_workflow[\w:]*)(?![\w:])")
NUMBER = re.compile(r"(?<![\w.:])\d+(?:\.\d+)?(?![\w.])")


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert or a recorded series."""

    name: str
    expr: str
    body: Mapping[str, Any]

    @property
    def is_alert(self) -> bool:
        """Whether this is an alert."""
        return "alert" in self.body

    @property
    def id(self) -> str:
        """Return the name, with the window where several alerts share it."""
        window = self.labels.get("window")
        return f"{self.name}-{window}" if window else self.name

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that the rule adds."""
        return dict(self.body.get("labels", {}))

    @property
    def annotations(self) -> dict[str, str]:
        """Return the texts of an alert."""
        return dict(self.body.get("annotations", {}))


def loaded(path: Path) -> Any:
    """Return a YAML file."""
    return yaml.safe_load(path.read_text())


def rules() -> list[Rule]:
    """Return all rules in the order of the files."""
    bodies = [body for path in RULE_FILES for group in loaded(path)["groups"] for body in group["rules"]]
    return [Rule(body.get("alert") or body["record"], body["expr"], body) for body in bodies]


RULES = rules()
ALERTS = [rule for rule in RULES if rule.is_alert]
RECORDED = {rule.name: rule for rule in RULES if not rule.is_alert}
SAID["alertname"] = {rule.name for rule in ALERTS}
SAID["alertstate"] = {"pending", "firing"}
of_alerts = pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule.id)
of_rules = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def run(*command: str | Path, cwd: Path | None = None) -> tuple[int, str]:
    """Run a program; return its exit code and all that it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def test_promtool_has_nothing_to_say_of_the_rules() -> None:
    """The rules are valid, and no two are the same."""
    code, said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert code == 0, said


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_the_unit_tests_of_the_rules_are_green(path: Path) -> None:
    """Each alert fires, stays quiet and ends when it should."""
    code, said = run("promtool", "test", "rules", path)
    assert code == 0, said


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
    read = {str(selector.name) for rule in RULES for selector in selectors(promql.parse(rule.expr))}
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
        for selector in selectors(promql.parse(query)):
            known = known_labels(selector) is not None or str(selector.name).startswith("prometheus_")
            assert known, query


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


def nodes(expr: Any) -> Iterator[Any]:
    """Yield an expression and all that is in it."""
    yield expr
    inner = [getattr(expr, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for child in (*inner, *getattr(expr, "args", ())):
        if child is not None and not isinstance(child, float | str):
            yield from nodes(child)


def selectors(expr: Any) -> list[promql.VectorSelector]:
    """Return the selectors of an expression."""
    return [node for node in nodes(expr) if isinstance(node, promql.VectorSelector)]


@cache
def exposed() -> dict[str, frozenset[str]]:
    """Return the labels of each series that Prometheus has of the exporter."""
    found: dict[str, frozenset[str]] = {"up": frozenset(TARGET)}
    for name, labels in label_names().items():
        counted = name if name.startswith("probe_") else f"{name}_total"
        for series in (name, counted, f"{name}_bucket", f"{name}_count", f"{name}_sum"):
            le = {"le"} if series.endswith("_bucket") else set()
            found[series] = frozenset({*labels, *TARGET, *le})
    return found


def known_labels(selector: promql.VectorSelector) -> frozenset[str] | None:
    """Return the labels that the series of a selector can have, None if there are no such series."""
    name = selector.name or ""
    if name == "ALERTS":
        added = {"alertname", "alertstate", *(n for a in ALERTS for n in a.labels)}
        return union(labels_of(promql.parse(alert.expr)) for alert in alerts_of(selector)) | added
    if name in RECORDED:
        return labels_of(promql.parse(RECORDED[name].expr))
    return exposed().get(name)


def alerts_of(selector: promql.VectorSelector) -> list[Rule]:
    """Return the alerts that a selector of ALERTS names."""
    named = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "alertname"]
    return [alert for alert in ALERTS if any(re.fullmatch(value, alert.name) for value in named)]


def labels_of(expr: Any) -> frozenset[str]:
    """Return the labels that the result of an expression can have."""
    if isinstance(expr, promql.VectorSelector):
        return known_labels(expr) or frozenset()
    if isinstance(expr, promql.MatrixSelector):
        return labels_of(expr.vector_selector)
    if isinstance(expr, promql.Call):
        return frozenset() if expr.func.name == "absent" else union(map(labels_of, expr.args))
    if isinstance(expr, promql.AggregateExpr):
        return aggregated(expr)
    if isinstance(expr, promql.BinaryExpr):
        return joined(expr)
    return labels_of(expr.expr) if hasattr(expr, "expr") else frozenset()


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    """Return what is in any of the sets."""
    return frozenset().union(*sets)


def aggregated(expr: promql.AggregateExpr) -> frozenset[str]:
    """Return the labels that an aggregation leaves."""
    labels = labels_of(expr.expr)
    if str(expr.op) == "topk":
        return labels
    if expr.modifier is None:
        return frozenset()
    named = frozenset(expr.modifier.labels)
    return labels & named if expr.modifier.type == promql.AggModifierType.By else labels - named


def joined(expr: promql.BinaryExpr) -> frozenset[str]:
    """Return the labels of what a binary operator makes of its sides."""
    left = labels_of(expr.lhs)
    if str(expr.op) in {"and", "unless"}:
        # What is on the right may be the recorded series itself, of a moment before.
        return left
    right = labels_of(expr.rhs)
    if str(expr.op) == "or" or not left or not right:
        return left | right
    modifier = expr.modifier
    if modifier is None or modifier.matching is None:
        return left
    if modifier.card == promql.VectorMatchCardinality.ManyToOne:
        return left | (right & frozenset(modifier.group_labels or ()))
    return left & frozenset(modifier.matching.labels)


@of_rules
def test_a_rule_reads_what_the_exporter_says(rule: Rule) -> None:
    """Each metric, label and value is one that can come: a rule that selects another is silent for ever."""
    for selector in selectors(promql.parse(rule.expr)):
        labels = known_labels(selector)
        assert labels, selector.name
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels
            if matcher.name in SAID:
                assert set(matcher.value.split("|")) <= SAID[matcher.name]


@of_rules
def test_replicas_that_read_the_same_workflow_are_not_added_up(rule: Rule) -> None:
    """What is said of a workflow or execution is taken once, by max or the like, before it is added up."""

    def added(expr: Any) -> Iterator[str]:
        if isinstance(expr, promql.AggregateExpr) and str(expr.op) in OF_REPLICAS:
            return
        if isinstance(expr, promql.VectorSelector) and exposed().get(expr.name or "", frozenset()) & {
            "workflow_id",
            "execution_id",
        }:
            yield str(expr.name)
        for name in ("lhs", "rhs", "expr", "vector_selector"):
            if hasattr(expr, name):
                yield from added(getattr(expr, name))
        for argument in getattr(expr, "args", ()):
            yield from added(argument)

    for node in nodes(promql.parse(rule.expr)):
        if isinstance(node, promql.AggregateExpr) and str(node.op) not in OF_REPLICAS:
            assert not list(added(node.expr))


@of_alerts
def test_the_texts_of_an_alert_read_labels_that_it_has(alert: Rule) -> None:
    """A text that reads a label that is never there has a hole; its queries read metrics that there are."""
    has = labels_of(promql.parse(alert.expr)) | alert.labels.keys()
    for text in alert.annotations.values():
        assert set(re.findall(r"\$labels\.(\w+)", text)) <= has
        for query in re.findall(r"printf \"([^\"]*%q[^\"]*)\"", text):
            for selector in selectors(promql.parse(query.replace("%q", '"x"'))):
                labels = known_labels(selector)
                assert labels, query
                assert {matcher.name for matcher in selector.matchers.matchers} <= labels


@of_alerts
def test_an_alert_of_a_workflow_tells_replicas_apart_no_more(alert: Rule) -> None:
    """Two replicas are one alert: what an alert of a workflow or execution says has no instance."""
    labels = labels_of(promql.parse(alert.expr))
    if labels & {"workflow_id", "execution_id"}:
        assert "instance" not in labels


def test_everything_that_is_recorded_is_read() -> None:
    """A series that nothing reads costs for nothing."""
    read = {selector.name for rule in RULES for selector in selectors(promql.parse(rule.expr))}
    assert RECORDED.keys() - read == READ_ELSEWHERE


# What the unit tests would not miss.


@cache
def unit_tests() -> list[tuple[Path, Any]]:
    """Return all test files."""
    return [(path, loaded(path)) for path in TEST_FILES]


@of_alerts
def test_the_unit_tests_see_an_alert_fire_and_stay_quiet(alert: Rule) -> None:
    """Both are proved, of each window where there are several."""
    cases = [
        case.get("exp_alerts", [])
        for _, document in unit_tests()
        for test in document["tests"]
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == alert.name
    ]
    own = alert.labels.items()
    fired = [[own <= expected["exp_labels"].items() for expected in case] for case in cases]
    assert any(any(case) for case in fired)
    assert any(not any(case) for case in fired)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_the_groups_of_the_rules_are_evaluated_in_order(path: Path) -> None:
    """Without an order recorded series and alerts are evaluated at random."""
    groups = [group["name"] for rule_file in RULE_FILES for group in loaded(rule_file)["groups"]]
    assert loaded(path)["group_eval_order"] == groups


@dataclass(frozen=True, slots=True)
class Mutant:
    """A rule with one thing changed; `change` is empty for one that is as it was."""

    rule: Rule
    change: str


def hidden(expr: str) -> str:
    """Return an expression of the same length, without its strings, matchers and ranges."""
    return STRINGS_AND_RANGES.sub(lambda found: "~" * len(found[0]), expr)


def changed(rule: Rule, found: re.Match[str], to: str) -> Mutant:
    """Return a rule with a part of its expression replaced."""
    expr = rule.expr[: found.start()] + to + rule.expr[found.end() :]
    return Mutant(
        replace(rule, expr=expr, body={**rule.body, "expr": expr}), f"{found[0]} at {found.start()} -> {to}"
    )


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Yield the rule itself, then with each metric renamed, each number and duration changed."""
    yield Mutant(rule, "")
    for found in METRIC.finditer(hidden(rule.expr)):
        yield changed(rule, found, f"{found[0]}_x")
    for found in NUMBER.finditer(hidden(rule.expr)):
        if float(found[0]):
            yield changed(rule, found, str(float(found[0]) * 2))
            yield changed(rule, found, str(float(found[0]) / 2))
    for key in ("for", "keep_firing_for"):
        if key in rule.body:
            number, unit = re.fullmatch(r"(\d+)([mh])", rule.body[key]).groups()  # type: ignore[union-attr]
            for duration in ("0s", f"{int(number) * 2}{unit}"):
                yield Mutant(replace(rule, body={**rule.body, key: duration}), f"{key}: {duration}")


def needed(rule: Rule) -> set[str]:
    """Return the names of the recorded series and the alerts that a rule reads, and that those read."""
    found: dict[str, Rule] = {}
    left = [rule]
    while left:
        read = selectors(promql.parse(left.pop().expr))
        beneath = [RECORDED[selector.name] for selector in read if selector.name in RECORDED]
        beneath += [alert for selector in read if selector.name == "ALERTS" for alert in alerts_of(selector)]
        left += [other for other in beneath if other.name not in found]
        found |= {other.name: other for other in beneath}
    return set(found)


def speaking(test: Mapping[str, Any], rule: Rule) -> dict[str, Any]:
    """Return what a unit test says of this rule."""
    window = rule.labels.get("window")
    own = rule.labels.items() if window else set()
    speaks = re.compile(
        rf"(?<![\w:]){re.escape(rule.name)}(?![\w:])" + (f'.*window="{window}"' if window else "")
    )
    cases = [case for case in test.get("alert_rule_test", ()) if case["alertname"] == rule.name]
    expected = [[e for e in case.get("exp_alerts", ()) if own <= e["exp_labels"].items()] for case in cases]
    return {
        **test,
        "alert_rule_test": [{**c, "exp_alerts": e} for c, e in zip(cases, expected, strict=True)],
        "promql_expr_test": [c for c in test.get("promql_expr_test", ()) if speaks.search(c["expr"])],
    }


def trimmed(rule: Rule) -> dict[str, Any]:
    """Return the unit tests that speak of this rule, as documents without their rule files."""
    found = {}
    for path, document in unit_tests():
        tests = [speaking(test, rule) for test in document["tests"]]
        tests = [test for test in tests if test["alert_rule_test"] or test["promql_expr_test"]]
        if tests:
            found[path.name] = {**document, "group_eval_order": ["all"], "tests": tests}
    return found


def written(folder: Path) -> list[tuple[Mutant, list[Path]]]:
    """Write the unit tests of each mutant, those that say most first, with no more rules than it needs."""
    suites = []
    for rule in RULES:
        documents, wanted = trimmed(rule), needed(rule)
        beside = [other for other in RULES if other is rule or other.name in wanted]
        for number, mutant in enumerate(mutants(rule)):
            bodies = [mutant.rule.body if other is rule else other.body for other in beside]
            name = f"{rule.id.replace(':', '-')}-{number}"
            rule_file = folder / f"{name}.yml"
            rule_file.write_text(yaml.dump({"groups": [{"name": "all", "rules": bodies}]}))
            paths = []
            for test_name, document in documents.items():
                paths.append(folder / f"{name}-{test_name}")
                content = {**document, "rule_files": [rule_file.name]}
                paths[-1].write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))
            suites.append((mutant, sorted(paths, key=lambda path: -path.stat().st_size)))
    return suites


def green(paths: Sequence[Path]) -> set[Path]:
    """Run unit tests; return the files that are green."""
    _, said = run("promtool", "test", "rules", *paths)
    verdicts = re.split(r"^Unit Testing:  ", said, flags=re.MULTILINE)[1:]
    assert len(verdicts) == len(paths), said
    return {path for path, verdict in zip(paths, verdicts, strict=True) if "\n  SUCCESS" in verdict}


def unseen(suites: Iterable[tuple[Mutant, list[Path]]]) -> list[Mutant]:
    """Return the mutants whose unit tests are all green; more tests are run only until one is red."""
    left = list(suites)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for rank in range(max(len(paths) for _, paths in left)):
            paths = [paths[rank] for _, paths in left if rank < len(paths)]
            shares = [paths[start : start + 12] for start in range(0, len(paths), 12)]
            passed = set().union(*pool.map(green, shares))
            left = [(mutant, all_) for mutant, all_ in left if rank >= len(all_) or all_[rank] in passed]
    return [mutant for mutant, _ in left]


def test_no_rule_can_be_changed_unseen(tmp_path: Path) -> None:
    """Each metric renamed, each number and duration changed: the unit tests of that rule go red."""
    suites = written(tmp_path)
    assert all(paths for _, paths in suites)
    left = [(mutant.rule.id, mutant.change) for mutant in unseen(suites)]
    assert left == [(rule.id, "") for rule in RULES]
