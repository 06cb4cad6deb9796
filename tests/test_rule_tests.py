"""The unit tests of the rules see all that matters: nothing can be changed without one going red."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from expressions import selections
from rulebook import RECORDED, RULE_FILES, RULES, TEST_FILES, Rule, alerts_of, loaded, of_alerts, run

STRINGS_AND_RANGES = re.compile(r"\"[^\"]*\"|\{[^}]*\}|\[[^\]]*\]")
METRIC = re.compile(r"(?<![\w:])(?:up|yc_workflow[\w:]*)(?![\w:])")
NUMBER = re.compile(r"(?<![\w.:])\d+(?:\.\d+)?(?![\w.])")


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
        read = selections(left.pop().expr)
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
