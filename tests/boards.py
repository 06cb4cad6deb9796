"""Reads the dashboards for their tests: panels, queries, variables, and which labels an expression gives."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml
from docs import families, label_names

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "grafana" / "dashboards"
RULES = ROOT / "prometheus" / "rules"

Json = dict[str, Any]
Node = promql.Expr
Path_ = tuple[Node, ...]
"""What stands above a node, the outermost first."""

TARGET = frozenset({"job", "instance"})
"""The labels that Prometheus gives to what it scrapes."""
LASTING = frozenset({"avg", "count", "group", "max", "min", "quantile", "stddev", "stdvar", "sum"})
PICKING = frozenset({"topk", "bottomk", "limitk"})
"""Aggregations that keep the labels of the series that they pick."""
SETS = frozenset({"and", "or", "unless"})
EXAMPLES = {
    "__rate_interval": "5m",
    "__interval": "1m",
    "__interval_ms": "60000",
    "__range": "1d",
    "__range_s": "86400",
    "__range_ms": "86400000",
}
"""What Grafana puts in place of its own variables, to be parsed."""
VARIABLE = re.compile(r"\$(?P<plain>[a-zA-Z_]\w*)|\$\{(?P<braced>[a-zA-Z_]\w*)(?P<format>[.:][^}]*)?\}")
FIELD_OF_DATA = re.compile(r"\$\{__data\.fields\.(\w+|\"[^\"]+\"|\[\"[^\"]+\"\])\}")
LABEL_OF_FIELD = re.compile(r"\$\{__field\.labels\.(\w+)\}")
LABEL_OF_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
FUNCTION_OF_VARIABLE = re.compile(r"(label_values|query_result)\((.*)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Query:
    """An expression of a dashboard. `where` says which one, for people; `values` are those of constants."""

    where: str
    text: str
    legend: str = ""
    ref: str = ""
    panel: "Panel | None" = None
    values: tuple[tuple[str, str], ...] = ()

    @property
    def parsable(self) -> str:
        """Return the expression with examples in place of what Grafana knows."""
        known = {**EXAMPLES, **dict(self.values)}
        return VARIABLE.sub(lambda m: known.get(m["plain"] or m["braced"], m[0]), self.text)

    @property
    def nodes(self) -> "tuple[tuple[Node, Path_], ...]":
        """Return every node with what stands above it; none where it is no PromQL."""
        return walked(self.parsable)

    @property
    def selected(self) -> "tuple[Selected, ...]":
        """Return what the expression selects."""
        return selections(self.parsable)

    @property
    def shape(self) -> "Shape":
        """Return the labels that it gives."""
        return reading(self.parsable)[0]

    @property
    def faults(self) -> tuple[str, ...]:
        """Return what cannot be so in it."""
        return reading(self.parsable)[1]


@lru_cache(maxsize=4096)
def parsed(text: str) -> Node:
    """Parse once, however often it is asked for."""
    return promql.parse(text)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel that shows something. `section` is the row in which it is folded, or -1."""

    json: Json
    board: "Board"
    section: int = -1

    @property
    def title(self) -> str:
        """Return the title, or the number of what has none."""
        return str(self.json.get("title") or f"number {self.json.get('id')}")

    @property
    def type(self) -> str:
        """Return the kind of panel."""
        return str(self.json["type"])

    @property
    def where(self) -> str:
        """Return the dashboard and the panel, for people."""
        return f"{self.board.title}, panel {self.title!r}"

    @property
    def defaults(self) -> Json:
        """Return what holds for all fields."""
        found: Json = self.json.get("fieldConfig", {}).get("defaults", {})
        return found

    @property
    def overrides(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the names of fields and the properties that they have instead."""
        return [
            (override["matcher"]["options"], {p["id"]: p["value"] for p in override["properties"]})
            for override in self.json.get("fieldConfig", {}).get("overrides", [])
        ]

    @property
    def queries(self) -> list[Query]:
        """Return the expressions."""
        return [
            Query(
                f"{self.where}, query {target.get('refId')}",
                target["expr"],
                target.get("legendFormat", ""),
                target.get("refId", ""),
                self,
                self.board.constants,
            )
            for target in self.json.get("targets", [])
        ]

    @property
    def renamed(self) -> dict[str, str]:
        """Return the titles of a table's columns, by the fields that they show."""
        found: dict[str, str] = {}
        for step in self.json.get("transformations", []):
            if step["id"] == "organize":
                found |= step["options"].get("renameByName", {})
        return found


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    json: Json

    @property
    def uid(self) -> str:
        """Return the name in addresses."""
        return str(self.json.get("uid"))

    @property
    def title(self) -> str:
        """Return the title."""
        return str(self.json.get("title"))

    @property
    def panels(self) -> list[Panel]:
        """Return all that show something, those in folded rows as well."""
        found = []
        for panel in self.json["panels"]:
            if panel["type"] == "row":
                found += [Panel(inner, self, panel["id"]) for inner in panel.get("panels", [])]
            else:
                found.append(Panel(panel, self))
        return found

    @property
    def rows(self) -> list[Json]:
        """Return the headings of rows."""
        return [panel for panel in self.json["panels"] if panel["type"] == "row"]

    @property
    def variables(self) -> list[Json]:
        """Return the variables, in their order."""
        found: list[Json] = self.json["templating"]["list"]
        return found

    @property
    def annotations(self) -> list[Json]:
        """Return the annotations."""
        found: list[Json] = self.json["annotations"]["list"]
        return found

    @property
    def constants(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values of constants."""
        return tuple((v["name"], v["query"]) for v in self.variables if v["type"] == "constant")

    @property
    def of_panels(self) -> list[Query]:
        """Return the expressions of all panels."""
        return [query for panel in self.panels for query in panel.queries]

    @property
    def of_variables(self) -> list[Query]:
        """Return the expressions that variables are made of."""
        found = []
        for variable in self.variables:
            if variable["type"] == "query":
                function, text = asked(variable)
                text = text.rpartition(",")[0] if function == "label_values" else text
                where = f"{self.title}, variable {variable['name']}"
                found.append(Query(where, text, values=self.constants))
        return found

    @property
    def of_annotations(self) -> list[Query]:
        """Return the expressions of annotations; their titles are their legends."""
        return [
            Query(
                f"{self.title}, annotation {annotation['name']}",
                annotation["target"]["expr"],
                annotation.get("titleFormat", ""),
                values=self.constants,
            )
            for annotation in self.annotations
        ]

    @property
    def queries(self) -> list[Query]:
        """Return every expression."""
        return [*self.of_panels, *self.of_variables, *self.of_annotations]


def asked(variable: Json) -> tuple[str, str]:
    """Return the function of a variable's query and what is in its parentheses; empty if it is neither."""
    match = FUNCTION_OF_VARIABLE.fullmatch(variable["query"]["query"])
    return (match[1], match[2]) if match else ("", "")


def committed() -> list[Json]:
    """Return the dashboards as they are in the repository."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))]


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Return every text in JSON, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, f"{path}[{index}]")


def children(node: Node) -> list[Node]:
    """Return what stands directly below."""
    match node:
        case promql.BinaryExpr():
            return [node.lhs, node.rhs]
        case promql.AggregateExpr():
            return [node.expr, *([node.param] if node.param is not None else [])]
        case promql.Call():
            return list(node.args)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [node.expr]
        case promql.MatrixSelector():
            return [node.vector_selector]
    return []


def _tree(text: str) -> Node | None:
    try:
        return parsed(text)
    except ValueError:
        return None


def _nodes(node: Node, above: Path_ = ()) -> Iterator[tuple[Node, Path_]]:
    yield node, above
    for child in children(node):
        yield from _nodes(child, (*above, node))


@lru_cache(maxsize=4096)
def walked(text: str) -> tuple[tuple[Node, Path_], ...]:
    """Return every node of an expression's tree with what stands above it; none where it is no PromQL."""
    return tuple(_nodes(tree)) if (tree := _tree(text)) is not None else ()


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition of a selector: a label, one of `=`, `!=`, `=~`, `!~`, and a value."""

    label: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Selected:
    """What an expression selects.

    Attributes:
      name: The metric.
      matchers: The conditions.
      above: The nodes above it, the outermost first.
      is_filter: Whether it only says which series of another expression are kept.

    """

    name: str
    matchers: tuple[Matcher, ...]
    above: Path_
    is_filter: bool

    @property
    def aggregations(self) -> list[str]:
        """Return the aggregations above it, the innermost first."""
        return [str(node.op) for node in reversed(self.above) if isinstance(node, promql.AggregateExpr)]


OPERATORS = (
    (promql.MatchOp.Equal, "="),
    (promql.MatchOp.NotEqual, "!="),
    (promql.MatchOp.Re, "=~"),
    (promql.MatchOp.NotRe, "!~"),
)


def _selections(node: Node, above: Path_, *, is_filter: bool) -> Iterator[Selected]:
    if isinstance(node, promql.VectorSelector):
        matchers = tuple(
            Matcher(m.name, next(text for op, text in OPERATORS if op == m.op), m.value)
            for m in node.matchers.matchers
        )
        yield Selected(node.name or "", matchers, above, is_filter)
    keeps = isinstance(node, promql.BinaryExpr) and str(node.op) in {"and", "unless"}
    for number, child in enumerate(children(node)):
        yield from _selections(child, (*above, node), is_filter=is_filter or (keeps and number == 1))


@lru_cache(maxsize=4096)
def selections(text: str) -> tuple[Selected, ...]:
    """Return what an expression selects; nothing where it is no PromQL."""
    return tuple(_selections(tree, (), is_filter=False)) if (tree := _tree(text)) is not None else ()


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
        return Shape(self.always & names, names if self.is_open else self.may & names, names)

    def without(self, labels: Iterable[str]) -> "Shape":
        """Take these labels away."""
        names = frozenset(labels)
        rest = self.may - names
        return Shape(self.always - names, rest, self.unique - names, self.is_open)


SCALAR = Shape(is_scalar=True)
ONE = Shape()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What Prometheus has: the labels of each series' name, and which of them are counters."""

    labels: Mapping[str, frozenset[str]]
    counters: frozenset[str]
    exposed: frozenset[str]
    recorded: frozenset[str]
    families: Mapping[str, frozenset[str]]


@lru_cache(maxsize=4096)
def reading(text: str) -> tuple[Shape, tuple[str, ...]]:
    """Return the labels that an expression gives, and what cannot be so in it; none where it is no PromQL."""
    faults: list[str] = []
    tree = _tree(text)
    shape = _Reading(metrics().labels, faults).shape(tree) if tree is not None else ONE
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
    recorded = set()
    for rule in recording_rules():
        shape = _Reading(labels, []).shape(parsed(rule["expr"]))
        labels[rule["record"]] = shape.may | set(rule.get("labels", {}))
        recorded.add(rule["record"])
    return Metrics(labels, frozenset(counters), exposed, frozenset(recorded), of_families)


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
        return Shape(own, own, own)

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


Check = Callable[[Sequence[Board]], Iterator[str]]
"""Yields a complaint for each thing that is wrong: where, which field, what, and what to do."""


def panels(boards: Iterable[Board]) -> Iterator[Panel]:
    """Return the panels of all dashboards."""
    for board in boards:
        yield from board.panels
