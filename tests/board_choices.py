"""What can be chosen on the dashboards, and where their links lead."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boards import FIELD_OF_DATA, LABEL_OF_FIELD, VARIABLE, Board, Check, asked, fields, panels, texts

ORDER = ("datasource", "job", "instance", "folder", "workflow", "execution")
BUILT_IN = {
    "__all", "__data", "__field", "__from", "__interval", "__interval_ms", "__range", "__range_ms",
    "__range_s", "__rate_interval", "__to", "__url_time_range", "__value",
}  # fmt: skip
"""What Grafana puts in by itself."""


def variables_come_in_their_order(found: Sequence[Board]) -> Iterator[str]:
    """Want the order from the source down to the execution, and each after what it is made from."""
    for board in found:
        names = [v["name"] for v in board.variables if v.get("hide") != 2]
        if names[:3] != list(ORDER[:3]) or names != [name for name in ORDER if name in names]:
            yield f"{board.title}, variables: {', '.join(names)}; the order is {', '.join(ORDER)}"
        known: set[str] = set()
        for variable in board.variables:
            for name in _named(json.dumps(variable.get("query"))) - known - BUILT_IN:
                yield f"{board.title}, variable {variable['name']}, query: ${name} comes after it, or never"
            known.add(variable["name"])


def variables_have_the_shape_of_the_house(found: Sequence[Board]) -> Iterator[str]:
    """Want what chooses targets to take many, to have all, and to be read again with the time range."""
    wanted: dict[str, dict[str, Any]] = {
        "datasource": {"type": "datasource", "query": "prometheus", "label": "Data source", "hide": 0},
        "job": {
            "type": "query",
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "label": "Job",
            "refresh": 2,
        },
        "folder": {
            "type": "query",
            "multi": True,
            "includeAll": True,
            "allValue": ".+",
            "label": "Folder",
            "refresh": 2,
        },
        "workflow": {"type": "query", "refresh": 2, "label": "Workflow"},
        "execution": {
            "type": "query",
            "refresh": 2,
            "label": "Execution",
            "multi": False,
            "includeAll": False,
        },
    }
    wanted["instance"] = {**wanted["job"], "label": "Instance"}
    for board in found:
        for variable in board.variables:
            where = f"{board.title}, variable {variable['name']}"
            for key, value in wanted.get(variable["name"], {"type": "constant", "hide": 2}).items():
                if variable.get(key) != value:
                    yield f"{where}, {key}: is {variable.get(key)!r}; make it {value!r}"
            if variable["name"] in {"job", "instance"}:
                function, text = asked(variable)
                if function != "label_values" or not re.fullmatch(
                    rf"yc_workflow_exporter_build_info(\{{.*\}})?, {variable['name']}", text
                ):
                    yield f"{where}, query: must be label_values of {variable['name']} in the build_info"


def _named(text: str) -> set[str]:
    """Return the names of the variables in a text."""
    return {m["plain"] or m["braced"] for m in VARIABLE.finditer(text)}


def every_variable_is_declared_and_used(found: Sequence[Board]) -> Iterator[str]:
    """Want that of all queries, titles, links, annotations and variables."""
    for board in found:
        used: set[str] = set()
        declared = [variable["name"] for variable in board.variables]
        for path, text in texts({key: value for key, value in board.json.items() if key != "templating"}):
            for name in _named(text) - set(declared) - BUILT_IN:
                yield f"{board.title}, {path}: ${name} is not declared; add the variable, or take it out"
            used |= _named(text)
        for variable in board.variables:
            used |= _named(json.dumps(variable)) - {variable["name"]}
        for name in declared:
            if name not in used:
                yield f"{board.title}, variable {name}: nothing uses it; take it out"


def every_variable_reads_its_text_and_value(found: Sequence[Board]) -> Iterator[str]:
    """Want the ID as the value and the name, if there is one, as the text."""
    for board in found:
        for variable in board.variables:
            if variable["type"] != "query" or asked(variable)[0] != "query_result":
                continue
            where = f"{board.title}, variable {variable['name']}, regex"
            id_ = f"{variable['name']}_id"
            name = {"workflow": "workflow_name", "execution": "alias"}[variable["name"]]
            for labels in ({id_: "dfq-1", name: "Täglich, 2 (neu)"}, {id_: "dfq-1"}):
                read = chosen(variable["regex"], labels)
                if read != (labels.get(name, labels[id_]), labels[id_]):
                    yield f"{where}: reads {read} from {rendered(labels)}; wanted are the name and the ID"
            shape = next(q.shape for q in board.of_variables if q.where.endswith(f" {variable['name']}"))
            if shape.always != {id_} or shape.may != {id_, name}:
                yield f"{where}: the query gives {sorted(shape.may)}; wanted are {id_} and {name}"


def rendered(labels: Mapping[str, str]) -> str:
    """Return a result of `query_result` as Grafana writes it."""
    return "{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "} 1 1700000000000"


def chosen(regex: str, labels: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the text and value that a variable's regular expression makes of a result."""
    match = re.search(re.sub(r"\(\?<(\w+)>", r"(?P<\1>", regex.strip("/")), rendered(labels))
    if match is None:
        return None
    groups = match.groupdict()
    return groups.get("text") or groups["value"], groups.get("value") or groups["text"]


def links_lead_somewhere(found: Sequence[Board]) -> Iterator[str]:
    """Want one of ours, with its variables, the source, the exporters and the time; or the cloud console."""
    declared = {board.uid: {variable["name"] for variable in board.variables} for board in found}
    kept = ("${datasource:queryparam}", "${job:queryparam}", "${instance:queryparam}", "${__url_time_range}")
    for board in found:
        for path, url in texts(board.json):
            if not path.endswith(".url"):
                continue
            where = f"{board.title}, {path}"
            match = re.match(r"/d/([\w-]+)\?", url)
            if not match:
                if not url.startswith(("${console}/", "https://")):
                    yield f"{where}: {url} leads nowhere; make it with to_dashboard(...)"
                continue
            if match[1] not in declared:
                yield f"{where}: there is no dashboard {match[1]}; ours are {', '.join(sorted(declared))}"
            for part in kept:
                if part not in url:
                    yield f"{where}: does not carry {part}"
            for name in set(re.findall(r"&var-(\w+)=", url)) - declared.get(match[1], set()):
                yield f"{where}: sets {name}, which {match[1]} does not have"


def links_use_what_is_there(found: Sequence[Board]) -> Iterator[str]:
    """Want columns that the table has, and labels that the series have."""
    for panel in panels(found):
        columns = {*fields(panel), *panel.renamed.values()} if panel.type == "table" else set()
        labels = [query.shape.always for query in panel.queries]
        for path, text in texts(panel.json):
            for name in FIELD_OF_DATA.findall(text):
                if name.strip('[]"') not in columns:
                    yield f"{panel.where}, {path}: there is no column {name}; there are {sorted(columns)}"
            for name in LABEL_OF_FIELD.findall(text):
                if not all(name in always for always in labels):
                    yield f"{panel.where}, {path}: the series have no label {name}"


def siblings_are_in_a_drop_down(found: Sequence[Board]) -> Iterator[str]:
    """Want a drop-down by the tag, with the choice and the time."""
    wanted = {
        "type": "dashboards",
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "tags": ["yc-workflow"],
    }
    for board in found:
        if not any(all(link.get(k) == v for k, v in wanted.items()) for link in board.json.get("links", [])):
            yield f"{board.title}, links: has no drop-down of the dashboards with the tag yc-workflow"


CHECKS: tuple[Check, ...] = (
    variables_come_in_their_order,
    variables_have_the_shape_of_the_house,
    every_variable_is_declared_and_used,
    every_variable_reads_its_text_and_value,
    links_lead_somewhere,
    links_use_what_is_there,
    siblings_are_in_a_drop_down,
)
