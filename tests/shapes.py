"""Works out the labels of an expression's series, and what cannot be joined, without asking Prometheus."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml
from docs import families, label_names
from expressions import Node, parsed, tree_of

RULES = Path(__file__).parent.parent / "prometheus" / "rules"

Json = dict[str, Any]
TARGET = frozenset({"job", "instance"})
"""The labels that Prometheus gives to what it scrapes."""
PICKING = frozenset({"topk", "bottomk", "limitk"})
"""Aggregations that keep the labels of the series that they pick."""
SETS = frozenset({"and", "or", "unless"})


@dataclass(frozen=True, slots=True)
class Shape:
    """The labels of an expression's series.

    Attributes:
      always: Those that each series has.
      may: Those that some series have.
      unique: Those that tell its series apart; without any there is one series at most.
      is_open: Whether there may be any others, as with ALERTS.
      is_scalar: Whether it is a number and no vector.

    """

    always: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    unique: frozenset[str] = frozenset()
    is_open: bool = False
    is_scalar: bool = False

    def lacks(self, labels: Iterable[str]) -> list[str]:
        """Return which of these labels no series can have."""
        return [] if self.is_open else sorted(set(labels) - self.may)

    def kept(self, labels: Iterable[str]) -> "Shape":
        """Keep these labels only."""
        names = frozenset(labels)
        # What told the series apart before still does, if all of it is kept.
        unique = min(self.unique, names)
        return Shape(self.always & names, names if self.is_open else self.may & names, unique)

    def without(self, labels: Iterable[str]) -> "Shape":
        """Take these labels away."""
        names = frozenset(labels)
        rest = self.may - names
        return Shape(self.always - names, rest, self.unique - names, self.is_open)


SCALAR = Shape(is_scalar=True)
ONE = Shape()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What Prometheus has: the labels of each series' name, and which of them are counters.

    `unique` are the labels that tell the series of a recorded name apart, where that is not all of them.
    """

    labels: Mapping[str, frozenset[str]]
    counters: frozenset[str]
    exposed: frozenset[str]
    recorded: frozenset[str]
    families: Mapping[str, frozenset[str]]
    unique: Mapping[str, frozenset[str]]


@lru_cache(maxsize=4096)
def reading(text: str) -> tuple[Shape, tuple[str, ...]]:
    """Return the labels that an expression gives, and what cannot be so in it; none where it is no PromQL."""
    faults: list[str] = []
    tree = tree_of(text)
    shape = _Reading(metrics().labels, metrics().unique, faults).shape(tree) if tree is not None else ONE
    return shape, tuple(faults)


PROCESS = (
    "process_cpu_seconds_total",
    "process_max_fds",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_virtual_memory_bytes",
)
"""What the client library says of a process; the exporter registers its collector."""
OPEN = frozenset({"ALERTS", "ALERTS_FOR_STATE"})
"""What Prometheus says of alerts, with the labels of each."""


@lru_cache(maxsize=1)
def metrics() -> Metrics:
    """Read the exporter and the recording rules."""
    labels: dict[str, frozenset[str]] = {}
    counters, names = set(), label_names()
    of_families: dict[str, frozenset[str]] = {}
    for family in families():
        own = frozenset(names[family.name]) | TARGET
        if family.type == "histogram":
            found = {f"{family.name}_bucket": own | {"le"}}
            found |= {f"{family.name}_{end}": own for end in ("sum", "count")}
        else:
            found = {f"{family.name}{'_total' if family.type == 'counter' else ''}": own}
        labels |= found
        of_families[family.name] = frozenset(found)
        if family.type != "gauge":
            counters |= set(found)
    exposed = frozenset(labels)
    labels |= dict.fromkeys(("up", *PROCESS), TARGET)
    labels |= dict.fromkeys(OPEN, frozenset({"alertname", "alertstate", "severity"}))
    counters |= {name for name in PROCESS if name.endswith("_total")}
    unique: dict[str, frozenset[str]] = {}
    for rule in recording_rules():
        shape = _Reading(labels, unique, []).shape(parsed(rule["expr"]))
        labels[rule["record"]] = shape.may | set(rule.get("labels", {}))
        unique[rule["record"]] = shape.unique
    return Metrics(labels, frozenset(counters), exposed, frozenset(unique), of_families, unique)


@lru_cache(maxsize=1)
def rules() -> tuple[Json, ...]:
    """Return the rules of Prometheus, the recorded ones first."""
    files = (RULES / "recording.yml", RULES / "alerts.yml")
    groups = [group for path in files for group in yaml.safe_load(path.read_text())["groups"]]
    return tuple(rule for group in groups for rule in group["rules"])


def recording_rules() -> list[Json]:
    """Return the rules that record a series."""
    return [rule for rule in rules() if "record" in rule]


@dataclass(frozen=True, slots=True)
class _Reading:
    """The way through a tree from its selectors up; `faults` are noted on the way."""

    labels: Mapping[str, frozenset[str]]
    unique: Mapping[str, frozenset[str]]
    faults: list[str]

    def shape(self, node: Node) -> Shape:
        match node:
            case promql.VectorSelector():
                return self._selected(node.name or "")
            case promql.MatrixSelector():
                return self._selected(node.vector_selector.name or "")
            case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
                return self.shape(node.expr)
            case promql.AggregateExpr():
                return self._aggregate(node)
            case promql.BinaryExpr():
                return self._binary(node)
        return self._call(node) if isinstance(node, promql.Call) else SCALAR

    def _selected(self, name: str) -> Shape:
        own = self.labels.get(name, TARGET)
        if name in OPEN:
            return Shape(own, own, frozenset({"*"}), is_open=True)
        return Shape(own, own, self.unique.get(name, own))

    def _call(self, node: promql.Call) -> Shape:
        shapes = [self.shape(argument) for argument in node.args]
        vector = next((shape for shape in shapes if not shape.is_scalar), None)
        match node.func.name:
            case "time" | "pi" | "scalar":
                return SCALAR
            case "vector" | "absent" | "absent_over_time":
                return ONE
        if vector is None:
            return ONE
        if node.func.name == "histogram_quantile":
            self._want(vector, ["le"], "histogram_quantile")
            return vector.without(["le"])
        if node.func.name == "label_replace":
            self._want(vector, filter(None, [node.args[3].val]), "label_replace")
            made = {node.args[1].val}
            return Shape(vector.always | made, vector.may | made, vector.unique, vector.is_open)
        return vector

    def _aggregate(self, node: promql.AggregateExpr) -> Shape:
        inner, by, op = self.shape(node.expr), node.modifier, str(node.op)
        if by is not None:
            self._want(inner, by.labels, op)
        is_by = by is None or by.type == promql.AggModifierType.By
        names = frozenset(by.labels) if by is not None else frozenset[str]()
        if op in PICKING:
            alone = isinstance(node.param, promql.NumberLiteral) and node.param.val == 1
            unique = (names if is_by else inner.unique - names) if alone else inner.unique
            return Shape(inner.always, inner.may, unique, inner.is_open)
        return inner.kept(names) if is_by else inner.without(names)

    def _binary(self, node: promql.BinaryExpr) -> Shape:
        left, right, op = self.shape(node.lhs), self.shape(node.rhs), str(node.op)
        if left.is_scalar or right.is_scalar:
            return right if left.is_scalar else left
        matching = node.modifier.matching if node.modifier else None
        if matching is None:
            is_open = left.is_open or right.is_open
            if op != "or" and not is_open and left.may != right.may:
                self.faults.append(
                    f"`{op}` matches on all labels, and its sides have different ones, so nothing is equal: "
                    f"{sorted(left.may)} and {sorted(right.may)}; name the common ones by on (...)"
                )
            return _joined(left, right, op)
        is_on = matching.type == promql.LabelModifierType.Include
        names = frozenset(matching.labels) if is_on else left.may & right.may - set(matching.labels)
        for side, shape in (("left", left), ("right", right)):
            self._want(shape, matching.labels, f"the {side} side of `{op} {'on' if is_on else 'ignoring'}`")
        if op in SETS:
            return _joined(left, right, op)
        return self._matched(node, left, right, names)

    def _matched(self, node: promql.BinaryExpr, left: Shape, right: Shape, names: frozenset[str]) -> Shape:
        card, added = promql.VectorMatchCardinality.OneToOne, frozenset[str]()
        if node.modifier is not None:
            card, added = node.modifier.card, frozenset(node.modifier.group_labels or ())
        many = "left" if card == promql.VectorMatchCardinality.ManyToOne else ""
        many = "right" if card == promql.VectorMatchCardinality.OneToMany else many
        group = ", ".join(sorted(names))
        for side, shape in (("left", left), ("right", right)):
            if side != many and not shape.unique <= names:
                self.faults.append(
                    f"the {side} side of `{node.op}` may have many series for one of ({group}), "
                    f"which differ in {', '.join(sorted(shape.unique - names))}; take the max by them first"
                )
        if not many:
            return Shape(left.always & names, names, names)
        of_many, of_one = (left, right) if many == "left" else (right, left)
        self._want(of_one, added, "group_left" if many == "left" else "group_right")
        return Shape(
            of_many.always | (of_one.always & added), of_many.may | added, of_many.unique, of_many.is_open
        )

    def _want(self, shape: Shape, labels: Iterable[str], at: str) -> None:
        lacking = shape.lacks(labels)
        if lacking:
            self.faults.append(
                f"{at} names {', '.join(lacking)}, which nothing there has; "
                f"it has {', '.join(sorted(shape.may)) or 'no labels'}"
            )


def _joined(left: Shape, right: Shape, op: str) -> Shape:
    if op != "or":
        return left
    return Shape(
        left.always & right.always,
        left.may | right.may,
        left.unique | right.unique,
        left.is_open or right.is_open,
    )
