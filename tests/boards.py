"""Reads the dashboards for their tests: panels, queries, variables."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expressions import Node, Path_, Selected, selections, walked
from shapes import Shape, metrics, reading
from vocabulary import said

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "grafana" / "dashboards"

Json = dict[str, Any]
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
    def nodes(self) -> tuple[tuple[Node, Path_], ...]:
        """Return every node with what stands above it; none where it is no PromQL."""
        return walked(self.parsable)

    @property
    def selected(self) -> tuple[Selected, ...]:
        """Return what the expression selects."""
        return selections(self.parsable)

    @property
    def shape(self) -> Shape:
        """Return the labels that it gives."""
        return reading(self.parsable)[0]

    @property
    def faults(self) -> tuple[str, ...]:
        """Return what cannot be so in it."""
        return reading(self.parsable)[1]


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


Check = Callable[[Sequence[Board]], Iterator[str]]
"""Yields a complaint for each thing that is wrong: where, which field, what, and what to do."""


def panels(boards: Iterable[Board]) -> Iterator[Panel]:
    """Return the panels of all dashboards."""
    for board in boards:
        yield from board.panels


def shown(query: Query) -> set[str] | None:
    """Return the names that the series of an expression can have in a panel; None where nobody knows."""
    labels = LABEL_OF_LEGEND.findall(query.legend)
    if not labels:
        return {query.legend}
    found: set[str] = set()
    for selector in query.selected:
        values = said(selector.name, labels[0]) if len(labels) == 1 else None
        if labels[0] in metrics().labels.get(selector.name, ()):
            if values is None or labels[0] == "code":
                return None
            found |= {LABEL_OF_LEGEND.sub(value, query.legend) for value in values}
    return found or None


def fields(panel: Panel) -> set[str]:
    """Return the fields of a table before they are renamed."""
    many = len(panel.queries) > 1
    found = {"Time"}
    for query in panel.queries:
        found |= {f"Value #{query.ref}" if many else "Value", *query.shape.may}
        if query.shape.is_open:
            found |= {"workflow_name", "workflow_id", "execution_id", "window", "job"}
    return found
