"""The layers of the package are a law: a module imports only from rows below its own."""

import ast
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "exporter"
ROWS = (
    {"__main__"},
    {"cli"},
    {"commands"},
    {"demo", "trial"},
    {"serving"},
    {"application"},
    {"wiring"},
    {"server", "web", "console"},
    {"guard", "page", "sd", "exposition", "reception"},
    {"visit"},
    {"webconfig", "exchange"},
    {"webfile"},
    {"webtls"},
    {"wire", "gateway", "crew", "seats"},
    {"pagerows", "textformat"},
    {"wording"},
    {"collector", "workflowcollector", "telemetry", "log"},
    {"scraper"},
    {"folders"},
    {"workflows", "executions"},
    {"details"},
    {"looks", "patience"},
    {"infos"},
    {"memory", "flight", "workers", "ledger", "discovery"},
    {"account"},
    {"unsaved"},
    {"outcome", "records"},
    {"standing", "statefile", "targets"},
    {"statepath"},
    {"yandex.client", "yandex.iam"},
    {"yandex.workflows", "yandex.authorizedkey"},
    {"yandex.sources"},
    {"yandex.transport"},
    {"yandex.translation"},
    {"yandex.calls", "yandex.pools"},
    {"yandex.sockets", "yandex.history", "firings"},
    {"yandex.models", "yandex.errors", "strictyaml", "cron"},
    {"yandex.secrets", "files", "families", "signals", "exits"},
)
SETTINGS = (
    {"settings.arguments"},
    {"settings.commandline", "settings.flags"},
    {"settings.precedence"},
    {"settings.problems", "settings.shape", "settings.variables"},
    {"settings.origin"},
    {"settings.configfile", "settings.rows"},
    {"config"},
    {"settings.fields"},
    {"settings.addresses", "settings.nearest", "settings.units"},
    {"settings.refusal", "settings.about"},
    {"yandex.models", "strictyaml"},
    {"yandex.secrets", "files"},
)
"""The rows of the settings, which stand beside the others and know nothing of them but what an ID is."""
ALONE = {"health": set[str](), "logformat": {"yandex.secrets"}}
"""Modules that stand beside all rows, and what they may import."""
ROOT = {"cli", "commands", "demo", "trial", "serving", "application", "wiring"}
"""The composition root: it alone imports the settings, the simulator and the format of the log."""


def modules() -> list[str]:
    """Return every module of the package but the package files, with dots."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(p.relative_to(PACKAGE).with_suffix("").parts) for p in paths]
    return [name for name in names if not name.endswith("__init__")]


def imports(module: str) -> set[str]:
    """Return the modules of this package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            found.add("a relative import")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "exporter":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if _is_module(name) else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "exporter"}
    return {name.removeprefix("exporter.") for name in found}


def _is_module(name: str) -> bool:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def row(module: str, rows: tuple[set[str], ...]) -> int:
    """Return the row of a module, 0 the highest; -1 if it has none."""
    return next((index for index, names in enumerate(rows) if module in names), -1)


@pytest.mark.parametrize("module", [m for m in modules() if not m.startswith("simulator")])
def test_a_module_imports_only_from_rows_below_its_own(module: str) -> None:
    """Imports point down, and every module has its place."""
    if module in ALONE:
        assert imports(module) <= ALONE[module]
        return
    rows = SETTINGS if row(module, ROWS) < 0 else ROWS
    for imported in imports(module):
        if module in ROOT and row(imported, ROWS) < 0:
            assert imported in {"logformat", "simulator"} or row(imported, SETTINGS) >= 0
        else:
            assert row(imported, rows) > row(module, rows) >= 0, f"{module} imports {imported}"


@pytest.mark.parametrize("module", [m for m in modules() if m.startswith("simulator")])
def test_the_simulator_shares_no_code_with_what_it_tests(module: str) -> None:
    """The simulator writes the wire format a second time on purpose."""
    assert all(imported.startswith("simulator") for imported in imports(module))


def sources() -> list[Path]:
    """Return the files of all that is not a test: the package, the dashboards, the demo."""
    beside = [*(TOP / "grafana" / "source").glob("*.py"), *(TOP / "prometheus").glob("*.py")]
    return [*(PACKAGE / (module.replace(".", "/") + ".py") for module in modules()), *sorted(beside)]


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(TOP)))
def test_a_module_is_one_room(source: Path) -> None:
    """No module reaches 350 lines."""
    assert len(source.read_text().splitlines()) < 350


def test_a_function_fits_on_a_screen() -> None:
    """Most have less than thirty lines, none has more than forty."""
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for source in sources()
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert max(lengths) <= 40
    assert sum(length > 30 for length in lengths) <= len(lengths) / 50


def metrics(module: str) -> set[str]:
    """Return the names of metrics, or their beginnings, that stand in a module."""
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and text.startswith("yc_workflow_")}


def test_only_the_collectors_name_a_workflows_metric() -> None:
    """Adding a metric touches one file: of executions, of workflows, or of the exporter itself."""
    naming = {module: metrics(module) for module in modules() if metrics(module)}
    own = {name for name in naming.pop("telemetry") if name != "yc_workflow_up"}
    assert set(naming) == {"collector", "workflowcollector"}
    assert all(name.startswith("yc_workflow_exporter_") for name in own)
    assert not any(name.startswith("yc_workflow_exporter_") for names in naming.values() for name in names)
    assert not any("yc_workflow_up" in names for names in naming.values())
