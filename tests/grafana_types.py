"""Dashboards against the types of Grafana's own package, of four versions: its installation and its check.

The JSON of a dashboard becomes a TypeScript program in which every part is a value of the type that
grafana_types.ts names for it. tsc says what does not fit; each error is led back to its place in the JSON.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import npmpackages
from npmpackages import TYPESCRIPT, VENV

HERE = Path(__file__).parent
VERSIONS = {"10.4": "10.4.19", "11.6": "11.6.16", "12.4": "12.4.11", "13.2": "13.2.3"}
"""The newest patch of each version of @grafana/schema that a dashboard has to fit."""
INSTALLED = VENV / "grafana-types"
LATER = frozenset(VERSIONS) - {"10.4"}
NEWEST = LATER - {"11.6"}
ALL = frozenset(VERSIONS)


@dataclass(frozen=True, slots=True)
class Exemption:
    """A field in which a type is stricter than the Grafana of its version.

    Attributes:
        of: The type, as `stat.Options`.
        field: Its field.
        versions: The versions whose type refuses what their Grafana accepts.
        reason: How we know that it accepts it.
        added: The field's own type, if the type does not know the field; otherwise the field may be absent.

    """

    of: str
    field: str
    versions: frozenset[str]
    reason: str
    added: str = ""


_DEFAULT = "an older version refuses it; the panel fills it in, see defaultOptions in the package"
_LEGEND = "10.4 refuses it; the panel fills it in, a legend that is hidden"
_STEP = "the data source's own type of a query has it in all four: the least step"
_BESIDE = "the data source reads it in all four off the annotation, beside `target`"
_GAUGE = ("barShape", "barWidthFactor", "effects", "segmentCount", "segmentSpacing", "shape")
EXEMPTIONS = (
    Exemption("stat.Options", "percentChangeColorMode", LATER, _DEFAULT),
    Exemption("bargauge.Options", "legend", LATER, _LEGEND),
    *(Exemption("gauge.Options", field, NEWEST, _DEFAULT) for field in _GAUGE),
    Exemption("prometheus.PrometheusDataQuery", "interval", ALL, _STEP, added="string"),
    Exemption("dashboard.AnnotationQuery", "titleFormat", ALL, _BESIDE, added="string"),
    Exemption("dashboard.AnnotationQuery", "textFormat", ALL, _BESIDE, added="string"),
    Exemption("dashboard.AnnotationQuery", "tagKeys", ALL, _BESIDE, added="string"),
    Exemption("dashboard.AnnotationQuery", "useValueForTime", ALL, _BESIDE, added="boolean"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One part of a dashboard, and the type that it has to have.

    Attributes:
        dashboard: The name of the dashboard.
        part: The part for people, as `panel "Failed"`; empty for the dashboard itself.
        type: The name of the type in grafana_types.ts, with its arguments.
        value: The part.

    """

    dashboard: str
    part: str
    type: str
    value: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What a version says against a part of a dashboard.

    Attributes:
        version: The version of Grafana.
        dashboard: The name of the dashboard.
        part: The part, as its check names it.
        field: The field within it, as `options.legend.displayMode`; empty for the part itself.
        said: What tsc says.

    """

    version: str
    dashboard: str
    part: str
    field: str
    said: str

    def __str__(self) -> str:
        """Write it on one line."""
        where = ": ".join(filter(None, (self.dashboard, self.part, self.field)))
        return f"Grafana {self.version}: {where}: {self.said}"


def install(directory: Path = INSTALLED, environ: Mapping[str, str] | None = None) -> Path:
    """Install the pinned packages once and return where they are; later calls need no network.

    Raises:
        RuntimeError: npm could not install them.

    """
    packages = [f"schema-{name}@npm:@grafana/schema@{version}" for name, version in VERSIONS.items()]
    return npmpackages.installed(directory, [*packages, TYPESCRIPT], __file__, environ)


def dashboards(directory: Path) -> dict[str, Any]:
    """Return the dashboards of a directory by their file's name.

    Raises:
        FileNotFoundError: There is none: nothing would be checked.

    """
    found = {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}
    if not found:
        raise FileNotFoundError(f"{directory} has no dashboard (*.json) to check")
    return found


def checks(name: str, dashboard: Any) -> Iterator[Check]:
    """Take a dashboard apart, each part with its type; what cannot be taken apart stays in the whole."""
    dashboard, panels = _emptied(dashboard, "panels")
    dashboard, variables = _emptied(dashboard, "templating", "list")
    dashboard, annotations = _emptied(dashboard, "annotations", "list")
    yield Check(name, "", "Dashboard", dashboard)
    for panel in panels:
        yield from _panel(name, panel)
    for variable in variables:
        kind = "QueryVariable" if _get(variable, "type") == "query" else "Variable"
        yield Check(name, f'variable "{_get(variable, "name")}"', kind, variable)
    for annotation in annotations:
        kind = "BuiltInAnnotation" if _get(annotation, "builtIn") else "Annotation"
        yield Check(name, f'annotation "{_get(annotation, "name")}"', kind, annotation)


def _panel(name: str, panel: Any) -> Iterator[Check]:
    part, kind = f'panel "{_get(panel, "title")}"', _get(panel, "type")
    if kind != "row":
        yield Check(name, part, f"Panel<{json.dumps(kind)}>", panel)
        return
    row, nested = _emptied(panel, "panels")
    yield Check(name, part, "Row", row)
    for inner in nested:
        yield from _panel(name, inner)


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _emptied(value: Any, key: str, *more: str) -> tuple[Any, list[Any]]:
    """Return a value with a list in it empty, and the elements; the same value if there is no such list."""
    inner = _get(value, key)
    if more:
        emptied, elements = _emptied(inner, *more)
    else:
        emptied, elements = [], inner if isinstance(inner, list) else []
    return ({**value, key: emptied}, elements) if elements else (value, [])


def faults(parts: Iterable[Check], work: Path, packages: Path) -> list[Fault]:
    """Return what each version says against these parts; every version is one run of tsc.

    Args:
        parts: The parts to check.
        work: An empty directory for the programs.
        packages: Where the packages are installed.

    Raises:
        RuntimeError: tsc did not judge the parts, but fell over something else.

    """
    known = list(parts)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda version: _faults_of(version, known, work / version, packages), VERSIONS)
        return [fault for version in found for fault in version]


def _faults_of(version: str, parts: list[Check], work: Path, packages: Path) -> list[Fault]:
    work.mkdir(parents=True)
    lines, places = ["import type * as g from './grafana_types';"], [("", "", "")]
    for number, part in enumerate(parts):
        lines.append(f"export const part{number}: g.{part.type} =")
        places.append((part.dashboard, part.part, ""))
        for line, field in _literal(part.value, ""):
            lines.append(line)
            places.append((part.dashboard, part.part, field))
        lines[-1] += ";"
    (work / "dashboards.ts").write_text("\n".join(lines))
    (work / "grafana_types.ts").write_text((HERE / "grafana_types.ts").read_text())
    (work / "exemptions.ts").write_text(_exempted())
    (work / "tsconfig.json").write_text(json.dumps(_configuration(packages, version)))
    return [Fault(version, *places[line - 1], said) for line, said in _tsc(work, packages)]


def _literal(value: Any, field: str, key: str = "", end: str = "") -> Iterator[tuple[str, str]]:
    """Write a value as TypeScript, a line for each field, with the field of each line."""
    if isinstance(value, dict):
        inner = [
            (f"{field}.{name}".lstrip("."), f"{json.dumps(name)}: ", item) for name, item in value.items()
        ]
        brackets = "{}"
    elif isinstance(value, list):
        inner = [(f"{field}[{number}]", "", item) for number, item in enumerate(value)]
        brackets = "[]"
    else:
        yield key + json.dumps(value) + end, field
        return
    yield key + brackets[0], field
    for name, start, item in inner:
        yield from _literal(item, name, start, ",")
    yield brackets[1] + end, field


def _exempted() -> str:
    """Write the exemptions as TypeScript."""
    omittable: dict[str, list[str]] = {}
    added: dict[str, list[str]] = {}
    for exemption in EXEMPTIONS:
        if exemption.added:
            added.setdefault(exemption.of, []).append(f"{exemption.field}?: {exemption.added}")
        else:
            omittable.setdefault(exemption.of, []).append(json.dumps(exemption.field))
    lines = [f"  '{of}': {' | '.join(fields)};" for of, fields in omittable.items()]
    more = [f"  '{of}': {{ {'; '.join(fields)} }};" for of, fields in added.items()]
    return "\n".join(
        ["export interface Omittable {", *lines, "}", "export interface Added {", *more, "}", ""]
    )


def _configuration(packages: Path, version: str) -> dict[str, Any]:
    """Return the options of tsc, strict, with nothing of a browser or of node, and the files of a version."""
    modules = packages / "node_modules"
    package = modules / f"schema-{version}" / "dist"
    types = next(path for path in (package / "types", package / "esm") if (path / "index.d.ts").exists())
    panels = {path.parts[-4]: path for path in types.glob("raw/composable/*/panelcfg/x/*.d.ts")}
    # Only 10.4 ships the query of Prometheus under this licence; it extends the DataQuery of each version.
    (query,) = modules.glob("schema-10.4/dist/esm/raw/composable/prometheus/dataquery/x/*.d.ts")
    (dashboard,) = types.glob("raw/dashboard/x/*.d.ts")
    files = {**panels, "dashboard": dashboard, "prometheus": query}
    paths = {f"schema/{name}": [str(path)] for name, path in files.items()}
    return {
        "files": ["dashboards.ts"],
        "compilerOptions": {
            "strict": True,
            "noEmit": True,
            "skipLibCheck": True,
            "types": [],
            "lib": ["es2015"],
            "module": "esnext",
            "moduleResolution": "bundler",
            "paths": {**paths, "@grafana/schema": [str(types / "index.d.ts")]},
        },
    }


def _tsc(work: Path, packages: Path) -> Iterator[tuple[int, str]]:
    """Run tsc and return the line and the text of each error.

    Raises:
        RuntimeError: tsc says something that is no error of the dashboards.

    """
    code, said = npmpackages.tsc(packages, work)
    errors = re.split(r"^(?=\S)", said, flags=re.MULTILINE)[1:]
    for error in errors:
        found = re.match(r"dashboards\.ts\((\d+),\d+\): error TS\d+: (.*)", error, re.DOTALL)
        if not found:
            raise RuntimeError(f"tsc: {error.strip()}")
        yield int(found[1]), _short(found[2])
    if bool(errors) != bool(code):
        raise RuntimeError(f"tsc ends with {code}: {said}")


def _short(said: str) -> str:
    """Return the first and the innermost line of an error, long types cut."""
    lines = [re.sub(r"'[^']{120,}'", "'...'", line.strip()) for line in said.strip().splitlines()]
    return lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"


if __name__ == "__main__":
    install()
