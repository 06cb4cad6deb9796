"""Reads PromQL for the tests: the tree of an expression, and what it selects."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import promql_parser as promql

Node = promql.Expr
Path_ = tuple[Node, ...]
"""What stands above a node, the outermost first."""


@lru_cache(maxsize=4096)
def parsed(text: str) -> Node:
    """Parse once, however often it is asked for."""
    return promql.parse(text)


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


def tree_of(text: str) -> Node | None:
    """Return the tree of an expression, None where it is no PromQL."""
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
    return tuple(_nodes(tree)) if (tree := tree_of(text)) is not None else ()


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
    return tuple(_selections(tree, (), is_filter=False)) if (tree := tree_of(text)) is not None else ()


def seconds(text: str) -> float:
    """Return a duration of Prometheus or Grafana in seconds, 0 if it is none."""
    return promql.parse_duration(text).total_seconds() if re.fullmatch(r"\d+[smhd]", text) else 0.0
