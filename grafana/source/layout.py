"""A dashboard around its panels: the grid, the variables, the links to its siblings and the annotations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana.source.panels import DATASOURCE
from grafana.source.promql import executions, exporters, most, named, process, told_apart, workflows
from grafana.source.states import Json

WIDTH: Final = 24
TILE: Final = 4
GRAPH: Final = 8
TAG: Final = "yc-workflow"
CONSOLE: Final = "https://console.yandex.cloud"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, of one height, each as wide as its share; a title makes it a section."""

    panels: tuple[Json, ...]
    height: int = GRAPH
    shares: tuple[int, ...] = ()
    title: str = ""
    collapsed: bool = False


def tiles(*panels: Json) -> Row:
    """Return a row of small panels, all equally wide."""
    return Row(panels, TILE)


def row(
    *panels: Json,
    height: int = GRAPH,
    shares: tuple[int, ...] = (),
    title: str = "",
    collapsed: bool = False,
) -> Row:
    """Return a row of panels; without shares all are equally wide."""
    return Row(panels, height, shares, title, collapsed)


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Give each panel its number and its place, from the top to the bottom."""
    found: list[Json] = []
    y = number = 0
    for line in rows:
        shares = line.shares or (WIDTH // len(line.panels),) * len(line.panels)
        if sum(shares) != WIDTH:
            raise ValueError(f"{line.panels[0]['title']}: the shares of its row must be {WIDTH} together")
        target = found
        if line.title:
            number += 1
            head = _section(line, number, y)
            found.append(head)
            target = head["panels"] if line.collapsed else found
            y += 1
        x = 0
        for panel, width in zip(line.panels, shares, strict=True):
            number += 1
            target.append({"id": number, **panel, "gridPos": {"h": line.height, "w": width, "x": x, "y": y}})
            x += width
        y += 0 if line.collapsed else line.height
    return found


def _section(line: Row, number: int, y: int) -> Json:
    return {
        "id": number,
        "type": "row",
        "title": line.title,
        "collapsed": line.collapsed,
        "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
        "panels": [],
    }


def _query_variable(name: str, label: str, query: str, *, regex: str = "", several: bool, every: str) -> Json:
    """Return a variable that Prometheus fills; `every` is what stands for all of them, if not their list."""
    variable: Json = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": f"variable-{name}"},
        "regex": regex,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "hide": 0,
        "skipUrlSync": False,
        "options": [],
    }
    if several:
        variable["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    if every:
        variable["allValue"] = every
    return variable


def _common_variables() -> list[Json]:
    build = "yc_workflow_exporter_build_info"
    return [
        {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "regex": "",
            "refresh": 1,
            "multi": False,
            "includeAll": False,
            "hide": 0,
            "skipUrlSync": False,
            "options": [],
        },
        _query_variable("job", "Job", f"label_values({build}, job)", several=True, every=".+"),
        _query_variable(
            "instance",
            "Instance",
            f'label_values({build}{{job=~"$job"}}, instance)',
            several=True,
            every=".+",
        ),
    ]


def folder_variable() -> Json:
    """Choose folders, by their IDs."""
    query = f"label_values({exporters('info')}, folder_id)"
    return _query_variable("folder", "Folder", query, several=True, every=".+")


def workflow_variable(*, several: bool) -> Json:
    """Choose workflows by their names; those that have none known, by their IDs.

    What was there at any time in the range can be chosen, so that it can be looked at when it is gone.
    All stands for the list and not for `.+`, so that it means all of the chosen folders.
    """
    lately = "[$__range]"
    in_folders = exporters("info", *(['folder_id=~"$folder"'] if several else []))
    unnamed = " ".join(
        f"or on (workflow_id) max by (workflow_id) (last_over_time({exporters(metric)}{lately})"
        f" unless on (workflow_id) last_over_time({exporters('info')}{lately}))"
        for metric in ("scrape_success", "execution_status_code")
    )
    known = told_apart(f"last_over_time({in_folders}{lately})")
    query = f"max by (workflow_id, workflow_name) ({known}) {unnamed}"
    regex = r'/workflow_id="(?<value>[^"]+)"(?:,\s*workflow_name="(?<text>[^"]+)")?/'
    return _query_variable(
        "workflow", "Workflow", f"query_result({query})", regex=regex, several=several, every=""
    )


def execution_variable() -> Json:
    """Choose a configured execution by its alias, or by its ID where it has none."""
    lately = "[$__range]"
    query = (
        f"max by (execution_id, alias) (last_over_time({exporters('execution_info')}{lately})) "
        f"or on (execution_id) max by (execution_id) "
        f"(last_over_time({exporters('execution_scrape_success')}{lately}))"
    )
    regex = r'/(?:alias="(?<text>[^"]+)",\s*)?execution_id="(?<value>[^"]+)"/'
    return _query_variable(
        "execution", "Execution", f"query_result({query})", regex=regex, several=False, every=""
    )


def its_workflow_variable() -> Json:
    """Know the workflow of the execution that was chosen, without showing it."""
    query = f"label_values({executions('status_code')}, workflow_id)"
    variable = _query_variable("workflow", "Workflow", query, several=False, every="")
    # Whatever a link carries, it is the workflow of this execution.
    return {**variable, "hide": 2, "skipUrlSync": True}


def constant(name: str, label: str, value: str) -> Json:
    """Return a value that is kept in one place and not shown."""
    chosen = {"selected": True, "text": value, "value": value}
    return {
        "name": name,
        "label": label,
        "type": "constant",
        "query": value,
        "hide": 2,
        "skipUrlSync": True,
        "options": [chosen],
        "current": chosen,
    }


def console() -> Json:
    """Return where the cloud console is."""
    return constant("console", "Cloud console", CONSOLE)


def objective() -> Json:
    """Return the share of executions that must not fail, which the rules have as well."""
    return constant("objective", "Objective", "0.99")


def _annotation(name: str, colour: str, expression: str, title: str, *, shown: bool) -> Json:
    """Return marks at the times (in milliseconds) that an expression has as its values."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": shown,
        "hide": False,
        "iconColor": colour,
        "target": {"expr": expression, "interval": "60s", "refId": name},
        "titleFormat": title,
        "useValueForTime": True,
    }


def _annotations(*, failures: bool) -> list[Json]:
    """Mark restarts; failures are there to be switched on, since there may be very many."""
    restarts = f"({process('process_start_time_seconds')}) * 1000"
    found = [_annotation("Exporter restarts", "blue", restarts, "{{instance}} started", shown=True)]
    reloads = f"{exporters('exporter_config_last_reload_success_timestamp_seconds')} * 1000"
    if failures:
        last = named(f"{most(workflows('last_failure_timestamp_seconds'), 'workflow_id')} * 1000")
        found.append(_annotation("Failures", "red", last, "{{workflow_name}} failed", shown=False))
    else:
        found.append(_annotation("Reloads", "purple", reloads, "{{instance}} reloaded", shown=False))
    return found


def _links(*, to_console: bool) -> list[Json]:
    """Return the drop-down of the siblings, and the way to the console where its address is known."""
    siblings = {
        "title": "Yandex Workflows",
        "type": "dashboards",
        "tags": [TAG],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "The other dashboards, with the same choice and time",
    }
    there = {
        "title": "Cloud console",
        "type": "link",
        "url": "${console}/link/serverless-integrations/workflows/workflows",
        "tags": [],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
        "icon": "external link",
        "tooltip": "The workflows of your folder in the cloud console",
    }
    return [siblings, there] if to_console else [siblings]


def to_dashboard(uid: str, **chosen: str) -> str:
    """Return the address of a sibling with the same data source, exporters and time, and these values."""
    values = "".join(f"&var-{name}={value}" for name, value in chosen.items())
    kept = "${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
    return f"/d/{uid}?{kept}{values}&${{__url_time_range}}"


def dashboard(
    uid: str,
    title: str,
    description: str,
    *,
    since: str,
    rows: Sequence[Row],
    variables: Sequence[Json],
    failures: bool = True,
) -> Json:
    """Return the JSON of a dashboard that shows the time since `now-...`."""
    return {
        "uid": uid,
        "title": f"Yandex Workflows / {title}",
        "description": description,
        "tags": ["yandex-cloud", TAG],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": since, "to": "now"},
        "timepicker": {"refresh_intervals": ["30s", "1m", "5m", "15m", "1h"]},
        "timezone": "browser",
        "links": _links(to_console=any(variable["name"] == "console" for variable in variables)),
        "annotations": {"list": _annotations(failures=failures)},
        "templating": {"list": [*_common_variables(), *variables]},
        "panels": _placed(rows),
    }
