"""The dashboards in life: each expression asked as Grafana asks it, of a Prometheus over the real exporter.

Everything that can happen has happened in its cloud, and eight days lie behind it.
"""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import asking
import boards
import pytest
from asking import Chosen, Series, View
from boards import Board, Panel
from expressions import selections
from lived import DAY, JOBS, STATUSES, STEP_STATUSES, STRANGERS, World, everything_happened

from exporter.yandex.models import ERROR_CLASSES

MAY_BE_EMPTY: Mapping[str, str] = {
    "Execution, panel 'Time left'": "the execution has ended",
    "Exporter, panel 'Calls without a good answer, by code'": "there are none",
    "Exporter, panel 'Targets not read, by reason'": "all are read",
    "Exporter, panel 'What should not be there'": "it is not there",
    "Overview, panel 'Failure ratio by workflow'": "nothing failed",
    "Overview, panel 'Failures by error class'": "nothing failed",
    "Workflow, panel 'Burn, times'": "fewer than 20 executions in an hour are no measure",
    "Workflow, panel 'Failures by error class'": "nothing failed",
    "Workflow, panel 'Step failures'": "no step failed",
    "Workflow, panel 'Step retries'": "no step was tried again",
}
"""Panels that show nothing while all is well, and why that is right; here each is full as well."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return a world in which everything has happened."""
    with everything_happened(tmp_path_factory.mktemp("boards")) as made:
        yield made


@dataclass(frozen=True)
class Answer:
    """What a query of a panel gave in a view, or why it was refused; `chosen` names the view."""

    panel: Panel
    target: dict[str, Any]
    chosen: str
    series: tuple[Series, ...] = ()
    refused: str = ""

    @property
    def where(self) -> str:
        """Return the dashboard, the panel and the query."""
        return f"{self.panel.where}, query {self.target['refId']}"


def views(world: World, board: Board, end: float, **given: Chosen) -> dict[str, View]:
    """Return a dashboard with each workflow, or each execution, if it shows one; else as it is opened."""
    first, offers = world.source.opened(board, end, **given)
    (single,) = [v["name"] for v in board.variables if v["type"] == "query" and not v["multi"]][:1] or [""]
    if not single:
        return {"all": first}
    values = [value for _, value in offers[single]]
    opened = [world.source.opened(board, end, **given, **{single: Chosen((value,))})[0] for value in values]
    return dict(zip(values, opened, strict=True))


def answered(world: World, view: View, chosen: str) -> list[Answer]:
    """Return all answers of a view."""

    def ask(asked: tuple[Panel, dict[str, Any]]) -> Answer:
        panel, target = asked
        try:
            return Answer(panel, target, chosen, tuple(world.source.panel(view, panel.json, target)))
        except asking.Refused as refused:
            return Answer(panel, target, chosen, refused=str(refused))

    return world.each(ask, [(p, target) for p in view.board.panels for target in p.json.get("targets", [])])


def all_answers(world: World, shown: Iterable[Board], end: float, **given: Chosen) -> list[Answer]:
    """Return the answers of dashboards in all their views."""
    return [
        answer
        for board in shown
        for chosen, view in views(world, board, end, **given).items()
        for answer in answered(world, view, chosen)
    ]


@pytest.fixture(scope="module")
def answers(world: World) -> list[Answer]:
    """Return the answers to everything that the dashboards ask when they are opened, now."""
    return all_answers(world, world.boards, world.now)


Check = Callable[[list[Answer]], list[Any]]
"""Returns what is wrong with answers."""


def by_panel(answers: Iterable[Answer]) -> dict[str, list[Answer]]:
    """Return the answers of each panel."""
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        found.setdefault(answer.panel.where, []).append(answer)
    return found


def nothing_is_refused(answers: list[Answer]) -> list[Any]:
    """Every expression is one that Prometheus takes, in every view."""
    return [(a.where, a.chosen, a.refused) for a in answers if a.refused]


def every_query_shows_something(answers: list[Answer]) -> list[Any]:
    """In a cloud in which everything has happened, no query of any panel is empty in all views."""
    return sorted({a.where for a in answers} - {a.where for a in answers if a.series})


def every_label_of_a_legend_is_there(answers: list[Answer]) -> list[Any]:
    """Every name in double braces is a label of each series, or the legend has a hole."""
    holes = {
        (answer.where, label)
        for answer in answers
        for label in asking.LEGEND.findall(answer.target.get("legendFormat", ""))
        for series in answer.series
        if not series["metric"].get(label)
    }
    return sorted(holes)


def a_tile_shows_one_value(answers: list[Answer]) -> list[Any]:
    """No query of a tile gives more than one series."""
    tiles = [answer for answer in answers if answer.panel.type == "stat"]
    return [(a.where, a.chosen, len(a.series)) for a in tiles if len(a.series) > 1]


def no_two_series_have_one_name(answers: list[Answer]) -> list[Any]:
    """Who reads a legend can tell the series apart."""
    alike = []
    for where, found in by_panel(answers).items():
        for chosen in {a.chosen for a in found if a.target.get("format") == "time_series"}:
            given = [asking.shown(a.target, s) for a in found if a.chosen == chosen for s in a.series]
            alike += [(where, chosen, name) for name in sorted(set(given)) if given.count(name) > 1]
    return alike


PALETTES = (
    {*STATUSES[:-1], "UNKNOWN"},
    {*STEP_STATUSES[:-1], "UNKNOWN"},
    set(ERROR_CLASSES),
)
"""Overrides that come together, though not all of them may meet something."""


def names(answers: Iterable[Answer]) -> set[str]:
    """Return the names of what a panel shows, its columns after they were renamed."""
    found: set[str] = set()
    for answer in answers:
        if answer.target.get("format") == "table":
            fields = asking.columns(answer.panel, {answer.target["refId"]: list(answer.series)})
            found |= {answer.panel.renamed.get(name, name) for name in fields}
        else:
            found |= {asking.shown(answer.target, series) for series in answer.series}
    return found


def every_override_meets_something(answers: list[Answer]) -> list[Any]:
    """All that overrides name is shown; of a palette of states or classes at least one is."""
    lost = []
    for where, found in by_panel(answers).items():
        there = names(found)
        for name, _ in found[0].panel.overrides:
            palettes = [colours for colours in PALETTES if name in colours] or [{name}]
            if not any(palette & there for palette in palettes):
                lost.append((where, name))
    return lost


def every_column_is_there(answers: list[Answer]) -> list[Any]:
    """All that the transformations of a table choose, order and rename are fields of its queries."""
    lost = []
    for where, found in by_panel(answers).items():
        fields: set[str] = set()
        for answer in found:
            fields |= asking.columns(answer.panel, {answer.target["refId"]: list(answer.series)})
        for step in found[0].panel.json.get("transformations", []):
            options = step["options"]
            wanted = {*options.get("include", {}).get("names", [])}
            for key in ("indexByName", "renameByName", "excludeByName"):
                wanted |= set(options.get(key, {}))
            lost += [(where, step["id"], name) for name in sorted(wanted - fields)]
    return lost


def the_rows_of_a_table_find_each_other(answers: list[Answer]) -> list[Any]:
    """Find rows: the queries of a table share labels, whose values are in one row of each query at most."""
    torn: list[Any] = []
    for where, found in by_panel(answers).items():
        full = [answer for answer in found if answer.series]
        if found[0].panel.type != "table" or not full:
            continue
        shared = set.intersection(*({n for s in a.series for n in s["metric"]} for a in full))
        torn += [] if shared or len(found[0].panel.queries) == 1 else [(where, "nothing shared")]
        for answer in full:
            keys = [tuple(s["metric"].get(name) for name in sorted(shared)) for s in answer.series]
            torn += [(answer.where, answer.chosen)] if len(set(keys)) < len(keys) else []
    return torn


CHECKS: tuple[Check, ...] = (
    nothing_is_refused,
    every_query_shows_something,
    every_label_of_a_legend_is_there,
    a_tile_shows_one_value,
    no_two_series_have_one_name,
    every_override_meets_something,
    every_column_is_there,
    the_rows_of_a_table_find_each_other,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_is_answered_can_be_shown(answers: list[Answer], check: Check) -> None:
    """The check says what it promises."""
    assert answers
    assert check(answers) == []


def test_every_variable_offers_what_there_is(world: World) -> None:
    """Jobs and instances are those of exporters, workflows and executions have their names for texts."""
    found: dict[str, dict[str, str]] = {}
    for board in world.boards:
        for name, options in world.source.opened(board, world.now)[1].items():
            found.setdefault(name, {}).update({value: text for text, value in options})
    assert sorted(found["job"]) == sorted(JOBS)
    assert sorted(found["instance"]) == sorted(exporter.address for exporter in world.exporters.values())
    assert sorted(found["folder"]) == ["b1gfolder00000000001", "b1gfolder00000000002"]
    flows = ("wrong", "shaky", "lost", "still", "well", "elsewhere")
    of_one_name = {"orders": "orders …00001", "others": "orders …00002"}
    assert found["workflow"] == {flow: flow for flow in flows} | of_one_name
    assert found["execution"] == {
        **{f"orders-{status.lower()}": f"the orders-{status.lower()}" for status in STATUSES},
        "well-done": "nightly",
        "elsewhere-1": "elsewhere-1",
        "never-was": "never-was",
    }


def test_every_annotation_marks_something(world: World) -> None:
    """It is asked without an error, has the labels of its title, and its values are times in milliseconds."""
    marked = set()
    asked = [
        (board, annotation, view)
        for board in world.boards
        for view in views(world, board, world.now).values()
        for annotation in board.annotations
    ]
    for board, annotation, view in asked:
        target = annotation["target"]
        step = view.step(target)
        for series in world.source.ranged(view.expression(target["expr"], step), view.end, 600, step):
            marked.add((board.uid, annotation["name"]))
            labels = asking.LEGEND.findall(annotation["titleFormat"])
            assert all(series["metric"].get(label) for label in labels)
            assert abs(float(series["values"][-1][1]) / 1000 - view.end) < 30 * DAY
    assert marked == {(board.uid, annotation["name"]) for board, annotation, _ in asked}


def comparable(answers: Iterable[Answer]) -> dict[tuple[str, str], list[Any]]:
    """Return answers to be compared, by where they were and what was chosen."""
    return {
        (answer.where, answer.chosen): sorted(
            [
                sorted(s["metric"].items()),
                [(at, round(float(v), 6)) for at, v in s.get("values") or [s["value"]]],
            ]
            for s in answer.series
        )
        for answer in answers
    }


def unlike(some: Iterable[Answer], others: Iterable[Answer]) -> list[tuple[str, str]]:
    """Return where and for what chosen two askings have not got the same."""
    left, right = comparable(some), comparable(others)
    return sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))


def of_strangers(world: World, shown: list[Board]) -> list[Any]:
    """Return where something of other jobs is shown, or is part of a number, though all jobs are chosen."""
    found = all_answers(world, shown, world.now)
    named = [
        (answer.where, answer.chosen)
        for answer in found
        if any(series["metric"].get("job") in STRANGERS for series in answer.series)
    ]
    exporters_only = {"job": Chosen(JOBS, many=True)}
    return named + unlike(found, all_answers(world, shown, world.now, **exporters_only))


def doubled(world: World, shown: list[Board]) -> list[Any]:
    """Return where two replicas that know the same are shown as more than one of them."""
    job = Chosen(("yc-workflow",), many=True)
    one = Chosen((world.exporters["one"].address,), many=True)
    alone = all_answers(world, shown, world.then, job=job, instance=one)
    return unlike(alone, all_answers(world, shown, world.then, job=job))


def test_strangers_are_in_no_answer(world: World) -> None:
    """With All chosen, nothing of what else Prometheus scrapes is in any result, nor in a sum."""
    assert of_strangers(world, world.boards) == []


def test_replicas_do_not_double_numbers(world: World) -> None:
    """Two replicas that know the same are shown as one; but calls, CPU and the like are added up."""
    assert doubled(world, [board for board in world.boards if board.uid != "ycwf-exporter"]) == []


@pytest.mark.parametrize("job", [*JOBS[1:3], "nobody"])
def test_whoever_watches_less_is_shown_without_errors(world: World, job: str) -> None:
    """Executions only, workflows only and without their steps, or nothing at all: no query is refused."""
    found = all_answers(world, world.boards, world.now, job=Chosen((job,), many=True))
    assert nothing_is_refused(found) == []


def test_panels_are_empty_while_all_is_well_only_where_that_is_right(world: World) -> None:
    """What shows nothing in a world where nothing is wrong is written down with its reason."""
    healthy = Chosen((JOBS[3],), many=True)
    found = by_panel(all_answers(world, world.boards, world.then, job=healthy))
    empty = [where for where, given in found.items() if not any(answer.series for answer in given)]
    assert sorted(empty) == sorted(f"Yandex Workflows / {where}" for where in MAY_BE_EMPTY)


def bad_panel(kind: str, *expressions: str, legend: str = "__auto", **more: Any) -> Board:
    """Return a dashboard of one panel; on a table, each expression is a query of its own."""
    table = kind == "table"
    targets = [
        {
            "refId": chr(65 + n), "expr": expression, "legendFormat": legend,
            "instant": kind != "timeseries", "format": "table" if table else "time_series",
        }
        for n, expression in enumerate(expressions)
    ]  # fmt: skip
    panel = {"id": 1, "type": kind, "title": "bad", "targets": targets, **more}
    (overview,) = [board.json for board in map(Board, boards.committed()) if board.uid == "ycwf-overview"]
    return Board({**overview, "panels": [panel], "annotations": {"list": []}})


ACTIVE = 'yc_workflow_active_executions{job=~"$job", instance=~"$instance"}'
NAMED_NOWHERE = {"matcher": {"id": "byName", "options": "nobody"}, "properties": []}
BAD: tuple[tuple[Check, Board], ...] = (
    (nothing_is_refused, bad_panel("timeseries", "sum by (")),
    (nothing_is_refused, bad_panel("timeseries", "max by (job) (up) * on (job) (up or up + 1)")),
    (every_query_shows_something, bad_panel("timeseries", ACTIVE, f"{ACTIVE} > 1e9")),
    (every_label_of_a_legend_is_there, bad_panel("timeseries", f"sum({ACTIVE})", legend="{{status}}")),
    (a_tile_shows_one_value, bad_panel("stat", f"sum by (status) ({ACTIVE})")),
    (no_two_series_have_one_name, bad_panel("timeseries", ACTIVE, legend="{{status}}")),
    (
        every_override_meets_something,
        bad_panel("timeseries", ACTIVE, fieldConfig={"overrides": [NAMED_NOWHERE]}),
    ),
    (
        every_column_is_there,
        bad_panel(
            "table", f"sum by (workflow_id) ({ACTIVE})",
            transformations=[{"id": "organize", "options": {"renameByName": {"Value #A": "Active"}}}],
        ),
    ),
    (
        the_rows_of_a_table_find_each_other,
        bad_panel("table", f"sum by (workflow_id) ({ACTIVE})", f"sum by (status) ({ACTIVE})"),
    ),
    (
        the_rows_of_a_table_find_each_other,
        bad_panel("table", f"sum by (workflow_id) ({ACTIVE})", f"sum by (workflow_id, status) ({ACTIVE})"),
    ),
)  # fmt: skip


@pytest.mark.parametrize(("check", "board"), BAD, ids=lambda given: getattr(given, "__name__", ""))
def test_what_cannot_be_shown_is_seen(world: World, check: Check, board: Board) -> None:
    """Each check finds its fault in a panel that has it."""
    assert check(all_answers(world, [board], world.now))


@pytest.mark.parametrize(
    "expression", ['sum(up{job=~"$job"})', 'process_open_fds{job=~"$job", instance=~"$instance"}']
)
def test_strangers_are_seen(world: World, expression: str) -> None:
    """A selector that other jobs fit is found, in a sum as well."""
    assert of_strangers(world, [bad_panel("timeseries", expression)])


def test_doubled_numbers_are_seen(world: World) -> None:
    """A sum over replicas is found."""
    assert doubled(world, [bad_panel("stat", f"sum({ACTIVE})")])
    assert not doubled(world, [bad_panel("stat", f"sum(max by (workflow_id, status) ({ACTIVE}))")])


def test_every_check_is_shown_a_fault() -> None:
    """No check goes without a panel that it must find."""
    assert {check for check, _ in BAD} == set(CHECKS)


def selectors(text: str) -> list[str]:
    """Return what an expression selects, in its order."""
    found = []
    for selected in selections(text):
        values = {m: json.dumps(m.value, ensure_ascii=False) for m in selected.matchers}
        matchers = ",".join(f"{m.label}{m.op}{value}" for m, value in values.items())
        found.append(f"{selected.name}{{{matchers}}}")
    return found


def expressions(world: World) -> dict[str, list[str]]:
    """Return every expression of panels, variables and annotations, as it is asked in each view."""
    found: dict[str, list[str]] = {}
    for board in world.boards:
        for view in views(world, board, world.now).values():
            for query in board.queries:
                found.setdefault(query.where, []).append(view.expression(query.text))
    return found


@dataclass
class Finder:
    """Says of selectors whether they find anything in eight days; asks each once."""

    world: World
    known: dict[str, bool] = field(default_factory=dict)

    def ask(self, found: Iterable[str]) -> None:
        """Ask for all that is not known, some at the same time."""
        fresh = list(set(found) - self.known.keys())
        self.known.update(zip(fresh, self.world.each(self._finds, fresh), strict=True))

    def _finds(self, selector: str) -> bool:
        return bool(self.world.source.instant(f"count(last_over_time({selector}[8d]))", self.world.now))

    def blind(self, views_of: Iterable[str]) -> list[str]:
        """Return the selectors of an expression that find nothing in any of its views."""
        chosen = [selectors(text) for text in views_of]
        self.ask(itertools.chain.from_iterable(chosen))
        return [each[0] for each in zip(*chosen, strict=True) if not any(map(self.known.get, each))]


@pytest.fixture(scope="module")
def finder(world: World) -> Finder:
    """Return who looks for what is selected."""
    return Finder(world)


def test_every_selector_finds_something(world: World, finder: Finder) -> None:
    """No part of any expression, not even one behind an `or`, asks for what is never there."""
    lost = {where: finder.blind(texts) for where, texts in expressions(world).items()}
    assert {where: found for where, found in lost.items() if found} == {}


def test_a_metric_by_another_name_is_found_out(world: World, finder: Finder) -> None:
    """Each metric of each expression, renamed, is seen by the check above."""
    missed, number = [], 0
    for where, texts in expressions(world).items():
        metrics = {selected.name for selected in selections(texts[0])}
        for name in metrics:
            pattern = re.compile(rf"(?<![\w:]){re.escape(name)}(?![\w:])")
            for nth in range(len(pattern.findall(texts[0]))):
                number += 1
                mutants = [renamed(pattern, text, nth) for text in texts]
                missed += [] if finder.blind(mutants) else [(where, name, nth)]
    assert number > 150
    assert missed == []


def renamed(pattern: re.Pattern[str], text: str, nth: int) -> str:
    """Return an expression in which one metric has another name."""
    match = list(pattern.finditer(text))[nth]
    return f"{text[: match.end()]}_x{text[match.end() :]}"
