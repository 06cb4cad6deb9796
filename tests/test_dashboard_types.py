"""The dashboards fit the types of Grafana's own package, of each version from 10.4 to 13.2."""

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from grafana_types import (
    ALL,
    EXEMPTIONS,
    HERE,
    LATER,
    NEWEST,
    Check,
    Exemption,
    Fault,
    checks,
    dashboards,
    faults,
    install,
)

DASHBOARDS = HERE.parent / "grafana" / "dashboards"
SAMPLE: dict[str, Any] = json.loads((HERE / "samples" / "dashboard.json").read_text())
"""A dashboard with one panel of each type and nearly every field that all versions know."""
GONE = object()
OLDEST = ALL - LATER
NO_REGISTRY = {
    "npm_config_registry": "http://127.0.0.1:9",
    "npm_config_noproxy": "127.0.0.1",
    "npm_config_fetch_retries": "0",
}


@dataclass(frozen=True, slots=True)
class Corruption:
    """One thing made wrong in the sample.

    Attributes:
        part: The title of the panel, the name of the variable or annotation; empty for the dashboard itself.
        field: The field in it, as a fault names it.
        value: What stands there instead; GONE takes the field away.
        versions: The versions that have to refuse it.

    """

    part: str
    field: str
    value: Any
    versions: frozenset[str] = ALL

    def __str__(self) -> str:
        """Say what is wrong."""
        return f"{self.part} {self.field} {'gone' if self.value is GONE else json.dumps(self.value)}".strip()

    def done(self) -> dict[str, Any]:
        """Return the sample with this wrong, and with no more parts than this one."""
        dashboard = copy.deepcopy(SAMPLE)
        kept: list[Any] = []
        for elements, key in parts(dashboard):
            elements[:] = [element for element in elements if element[key] == self.part]
            kept += elements
        (place,) = kept or [dashboard]
        *way, last = (int(s[1:-1]) if s[0] == "[" else s for s in self.field.replace("[", ".[").split("."))
        for step in way:
            place = place[step]
        if self.value is GONE:
            del place[last]
        else:
            place[last] = self.value
        return dashboard


def parts(dashboard: dict[str, Any]) -> list[tuple[list[Any], str]]:
    """Return the lists of a dashboard's parts, with the field that names a part."""
    variables, annotations = dashboard["templating"]["list"], dashboard["annotations"]["list"]
    return [(dashboard["panels"], "title"), (variables, "name"), (annotations, "name")]


CORRUPTIONS = (
    Corruption("", "uid", 7),
    Corruption("", "title", ["x"]),
    Corruption("", "schemaVersion", GONE),
    Corruption("", "__inputs", []),
    Corruption("", "graphTooltip", 4),
    Corruption("", "time.from", GONE),
    Corruption("", "panels", {}),
    Corruption("", "links[0].asDropdown", "yes"),
    Corruption("", "links[0].type", "dashboard"),
    Corruption("", "links[0].tooltip", GONE),
    Corruption("stat", "gridPos", GONE),
    Corruption("stat", "gridPos.w", GONE),
    Corruption("stat", "gridPos.x", "0"),
    Corruption("stat", "id", GONE),
    Corruption("stat", "type", "singlestat"),
    Corruption("stat", "titel", "x"),
    Corruption("stat", "datasource.id", 1),
    Corruption("stat", "timeFrom", 3600),
    Corruption("stat", "options", GONE),
    Corruption("stat", "options.colorMode", "backgroud"),
    Corruption("stat", "options.graph", "area"),
    Corruption("stat", "options.reduceOptions.calcs", "last"),
    Corruption("stat", "options.percentChangeColorMode", "red"),
    Corruption("stat", "options.wideLayout", GONE),
    Corruption("stat", "fieldConfig.overrides", GONE),
    Corruption("stat", "fieldConfig.defaults.noValue", 0),
    Corruption("stat", "fieldConfig.defaults.fixedColor", "red"),
    Corruption("bargauge", "fieldConfig.defaults.custom.lineWidth", 1),
    Corruption("stat", "fieldConfig.defaults.color.mode", "threshold"),
    Corruption("stat", "fieldConfig.defaults.thresholds.mode", "absolut"),
    Corruption("stat", "fieldConfig.defaults.thresholds.steps[1].value", "80"),
    Corruption("stat", "fieldConfig.defaults.thresholds.steps[0].value", GONE),
    Corruption("stat", "fieldConfig.defaults.mappings[0].options.0.text", 0),
    Corruption("stat", "fieldConfig.defaults.mappings[1].options.from", "1"),
    Corruption("stat", "fieldConfig.defaults.mappings[2].options.match", "nil"),
    Corruption("stat", "fieldConfig.defaults.mappings[3].type", "regexp"),
    Corruption("stat", "fieldConfig.defaults.links[0].url", GONE),
    Corruption("timeseries", "options.legend.displayMode", "tabel"),
    Corruption("timeseries", "options.legend.showLegend", GONE),
    Corruption("timeseries", "options.legend.calc", ["max"]),
    Corruption("timeseries", "options.tooltip.sort", "descending"),
    Corruption("timeseries", "fieldConfig.defaults.custom.fillOpactiy", 10),
    Corruption("timeseries", "fieldConfig.defaults.custom.drawStyle", "bar"),
    Corruption("timeseries", "fieldConfig.defaults.custom.stacking.mode", "stacked"),
    Corruption("timeseries", "fieldConfig.defaults.custom.hideFrom.viz", GONE),
    Corruption("timeseries", "fieldConfig.defaults.custom.barAlignment", 2),
    Corruption("timeseries", "fieldConfig.overrides[0].matcher.id", GONE),
    Corruption("timeseries", "fieldConfig.overrides[0].properties[0].id", "colour"),
    Corruption("timeseries", "fieldConfig.overrides[0].properties[0].value.mode", "fix"),
    Corruption("timeseries", "fieldConfig.overrides[0].properties[1].id", "custom.drawstyle"),
    Corruption("timeseries", "fieldConfig.overrides[0].properties[1].value", "bar"),
    Corruption("timeseries", "fieldConfig.overrides[0].properties[3].value", "1"),
    Corruption("timeseries", "targets[0].expr", GONE),
    Corruption("timeseries", "targets[0].format", "timeseries"),
    Corruption("timeseries", "targets[0].legend", "{{x}}"),
    Corruption("timeseries", "targets[0].range", "true"),
    Corruption("timeseries", "targets[0].interval", 60),
    Corruption("timeseries", "targets[0].datasource.uid", None),
    Corruption("table", "options.frameIndex", "0"),
    Corruption("table", "options.footer", {"show": True}),
    Corruption("table", "options.sortBy[0].displayName", GONE),
    Corruption("table", "fieldConfig.defaults.custom.align", "middle"),
    Corruption("table", "fieldConfig.defaults.custom.inspect", GONE),
    Corruption("table", "fieldConfig.overrides[0].properties[0].value.type", "guage"),
    Corruption("table", "fieldConfig.overrides[0].properties[0].value.mode", "flat"),
    Corruption("table", "transformations[0].options", GONE),
    Corruption("table", "transformations[1].excludeByName", {}),
    Corruption("state-timeline", "options.rowHeight", "0.9"),
    Corruption("state-timeline", "options.showValue", "on"),
    Corruption("state-timeline", "fieldConfig.defaults.custom.fillOpacity", "70"),
    Corruption("status-history", "options.showValue", "on"),
    Corruption("status-history", "fieldConfig.defaults.custom.opacity", 70),
    Corruption("heatmap", "options.calculate", "no"),
    Corruption("heatmap", "options.cellGap", "1"),
    Corruption("heatmap", "options.yAxis.axisPlacement", "west"),
    Corruption("heatmap", "options.yAxis.units", "s"),
    Corruption("heatmap", "options.color.scale", "log"),
    Corruption("heatmap", "options.rowsFrame.layout", "less"),
    Corruption("heatmap", "fieldConfig.defaults.custom.scaleDistribution.type", "log10"),
    Corruption("gauge", "options.sizing", "big"),
    Corruption("gauge", "options.min", 0),
    Corruption("bargauge", "options.displayMode", "flat"),
    Corruption("barchart", "options.stacking", 1),
    Corruption("barchart", "fieldConfig.defaults.custom.axisLabels", "n"),
    Corruption("text", "options.mode", "md"),
    Corruption("alertlist", "options.viewMode", "table"),
    Corruption("row", "collapsed", GONE),
    Corruption("row", "gridPos", GONE),
    Corruption("row", "targets", []),
    Corruption("datasource", "type", "data source"),
    Corruption("datasource", "hide", 3.5),
    Corruption("datasource", "current.value", GONE),
    Corruption("console", "query", 1),
    Corruption("job", "datasource", GONE),
    Corruption("job", "definition", "label_values(job)"),
    Corruption("job", "refresh", 3),
    Corruption("job", "sort", "asc"),
    Corruption("job", "query.refId", GONE),
    Corruption("job", "query.qryTyp", 1),
    Corruption("job", "allValue", [".+"]),
    Corruption("job", "current.text", None),
    Corruption("Failures", "datasource", GONE),
    Corruption("Failures", "enable", "true"),
    Corruption("Failures", "filter.exclude", "no"),
    Corruption("Failures", "target.expr", GONE),
    Corruption("Failures", "target", GONE),
    Corruption("Failures", "expr", "up"),
    Corruption("Failures", "tagKeys", ["x"]),
    Corruption("Annotations & Alerts", "target", {"type": "dashboard"}),
    Corruption("Annotations & Alerts", "iconColor", GONE),
    # What some versions know and others do not.
    Corruption("", "preload", value=False, versions=OLDEST),
    Corruption("stat", "options.percentChangeColorMode", "standard", OLDEST),
    Corruption(
        "bargauge",
        "options.legend",
        {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        OLDEST,
    ),
    Corruption("gauge", "options.shape", "gauge", ALL - NEWEST),
    Corruption("timeseries", "fieldConfig.defaults.custom.insertNulls", 60000, OLDEST),
    Corruption("state-timeline", "options.perPage", 20, OLDEST),
    Corruption("table", "options.footer", {"reducer": ["sum"], "show": True}, NEWEST),
    Corruption("table", "fieldConfig.defaults.custom.wrapText", value=True, versions=ALL - NEWEST),
    Corruption("job", "hide", 3, ALL - NEWEST),
)


def told(found: list[Fault]) -> str:
    """Write faults for the one who has to mend them."""
    return "\n" + "\n".join(map(str, found))


@pytest.fixture(scope="module")
def packages() -> Path:
    """Return where the pinned packages are."""
    return install()


@pytest.fixture(scope="module")
def guards(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Fault]:
    """Return what is said of the sample, its corruptions and the exemptions: a run for each version."""
    given = [*checks("sample", SAMPLE)]
    for corruption in CORRUPTIONS:
        given += checks(str(corruption), corruption.done())
    for exemption in EXEMPTIONS:
        of, field = json.dumps(exemption.of), json.dumps(exemption.field)
        given.append(Check(str(exemption), "known", f"Knowing<{of}>", exemption.field))
        given.append(Check(str(exemption), "omitted", f"Omitting<{of}, {field}>", {}))
    return faults(given, tmp_path_factory.mktemp("guards"), packages)


def test_every_dashboard_fits_every_version(packages: Path, tmp_path: Path) -> None:
    """No field is unknown to a version, none is of another type, none is missing."""
    given = [check for name, board in dashboards(DASHBOARDS).items() for check in checks(name, board)]
    found = faults(given, tmp_path, packages)
    assert found == [], told(found)


def test_a_directory_without_dashboards_is_no_success(tmp_path: Path) -> None:
    """Nothing that was checked is nothing that fits."""
    with pytest.raises(FileNotFoundError, match="no dashboard"):
        dashboards(tmp_path)


def test_the_sample_fits(guards: list[Fault]) -> None:
    """What is right is not refused, so that a corruption is refused for what is wrong in it."""
    found = [fault for fault in guards if fault.dashboard == "sample"]
    assert found == [], told(found)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=str)
def test_each_version_refuses_what_is_wrong(corruption: Corruption, guards: list[Fault]) -> None:
    """Each version for itself, once, and it names the field or what the field is in."""
    found = [fault for fault in guards if fault.dashboard == str(corruption)]
    assert sorted(fault.version for fault in found) == sorted(corruption.versions), told(found)
    around = re.sub(r"(^|\.)[^.\[]+$|\[\d+\]$", "", corruption.field)
    assert {fault.field for fault in found} <= {corruption.field, around}, told(found)


def test_each_type_of_panel_has_something_wrong_in_its_options() -> None:
    """Types that are not found would be any, and any refuses nothing."""
    given = {corruption.part for corruption in CORRUPTIONS if corruption.field.startswith("options.")}
    assert given >= {panel["title"] for panel in SAMPLE["panels"]} - {"row"}


def test_every_part_is_checked_by_its_own_type() -> None:
    """Also a panel that a collapsed row hides."""
    given = {check.part: check.type for check in checks("sample", SAMPLE)}
    assert given.pop("") == "Dashboard"
    panels = {f'panel "{panel["title"]}"': f'Panel<"{panel["type"]}">' for panel in SAMPLE["panels"]}
    variables = {f'variable "{name}"': "QueryVariable" for name in ("job", "instance")}
    assert given == {
        **panels,
        'panel "row"': "Row",
        'panel "nested"': 'Panel<"stat">',
        **variables,
        'variable "datasource"': "Variable",
        'variable "console"': "Variable",
        'annotation "Annotations & Alerts"': "BuiltInAnnotation",
        'annotation "Failures"': "Annotation",
    }


@pytest.mark.parametrize("exemption", EXEMPTIONS, ids=lambda exemption: f"{exemption.of}.{exemption.field}")
def test_each_exemption_is_needed(exemption: Exemption, guards: list[Fault]) -> None:
    """In just the versions that it names: the others refuse what these require, or know it themselves."""
    found = [fault for fault in guards if fault.dashboard == str(exemption)]
    unknown = {fault.version for fault in found if fault.part == "known"}
    required = {fault.version for fault in found if fault.part == "omitted"}
    assert unknown == (exemption.versions if exemption.added else ALL - exemption.versions), told(found)
    assert required == (set() if exemption.added else exemption.versions), told(found)


def test_what_is_installed_is_not_installed_again(packages: Path) -> None:
    """The tests need no network when they have run once."""
    assert install(packages, NO_REGISTRY) == packages


def test_an_installation_that_fails_says_what_to_do(tmp_path: Path) -> None:
    """And it leaves nothing behind that looks like one."""
    environ = {**NO_REGISTRY, "npm_config_cache": str(tmp_path / "cache")}
    with pytest.raises(
        RuntimeError, match=r"npm cannot install .*@grafana/schema(.|\n)*run .*grafana_types\.py"
    ):
        install(tmp_path / "types", environ)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
