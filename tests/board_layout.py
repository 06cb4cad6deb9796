"""The head of a dashboard, and where its panels stand."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from boards import Board, Check, texts
from expressions import seconds

WIDTH = 24
TAGS = ["yandex-cloud", "yc-workflow"]
SCRAPE_INTERVAL = 30
"""Seconds; what prometheus.yml says, see `test_the_dashboards_know_the_scrape_interval`."""


def the_head_is_that_of_the_house(found: Sequence[Board]) -> Iterator[str]:
    """Want what is the same for each, and nothing that file provisioning does not resolve."""
    wanted = {"schemaVersion": 39, "editable": False, "graphTooltip": 1, "tags": TAGS}
    for board in found:
        for key, value in wanted.items():
            if board.json.get(key) != value:
                yield f"{board.title}, {key}: is {board.json.get(key)!r}; make it {value!r}"
        for key in {"id", "version", "__inputs", "__requires", "__elements"} & set(board.json):
            yield f"{board.title}, {key}: must not be there; Grafana gives it, or does not resolve it"
        if board.json.get("time", {}).get("to") != "now":
            yield f"{board.title}, time: must end now"


def names_are_those_of_the_house(found: Sequence[Board]) -> Iterator[str]:
    """Want a name for people, one for addresses that is there once, and a sentence of what it is for."""
    for board in found:
        if not re.fullmatch(r"Yandex Workflows / \w+", board.title):
            yield f"{board.title}, title: must be 'Yandex Workflows / ...'"
        if not board.json.get("description", "").endswith("."):
            yield f"{board.title}, description: say in a sentence what it is for"
    for uid, count in Counter(board.uid for board in found).items():
        if count > 1 or not re.fullmatch(r"ycwf-[a-z]+", uid):
            yield f"uid {uid}: must be ycwf-... and there once"


def it_is_not_asked_more_often_than_it_is_scraped(found: Sequence[Board]) -> Iterator[str]:
    """Want no refresh that brings nothing new."""
    for board in found:
        asked_for = [
            board.json.get("refresh", ""),
            *board.json.get("timepicker", {}).get("refresh_intervals", ()),
        ]
        for text in asked_for:
            if seconds(text) < SCRAPE_INTERVAL:
                yield f"{board.title}, refresh {text!r}: shorter than the scrape interval; take 30s or more"


def nothing_is_of_one_machine_or_moment(found: Sequence[Board]) -> Iterator[str]:
    """Want no time of building and no path of the machine where it was built."""
    foreign = re.compile(
        r"\d{4}-\d{2}-\d{2}|\b1[5-9]\d{8}(?:\d{3})?\b|/(?:home|root|tmp|work|usr|var)/|\$\{DS_|localhost"
    )
    for board in found:
        for path, text in texts(board.json):
            if foreign.search(text):
                yield f"{board.title}, {path}: {text!r} is of one machine or moment; take it out"


def panels_stand_side_by_side(found: Sequence[Board]) -> Iterator[str]:
    """Want each line to fill the width with panels of one height, and the next to begin below it."""
    for board in found:
        folded = [row["panels"] for row in board.rows if row.get("panels")]
        yield from _stacked(board, board.json["panels"], 0)
        for inner in folded:
            yield from _stacked(board, inner, min(panel["gridPos"]["y"] for panel in inner))


def _stacked(board: Board, boxes: Sequence[dict[str, Any]], y: int) -> Iterator[str]:
    lines = defaultdict(list)
    for box in boxes:
        lines[box["gridPos"]["y"]].append(box)
    for top, line in sorted(lines.items()):
        where = f"{board.title}, line of {line[0].get('title')!r}, gridPos"
        if top != y:
            yield f"{where}: begins at y {top}; the line above ends at {y}"
        x = 0
        for box in sorted(line, key=lambda box: box["gridPos"]["x"]):
            if box["gridPos"]["x"] != x:
                yield f"{where}: {box.get('title')!r} begins at x {box['gridPos']['x']}, wanted is {x}"
            x = box["gridPos"]["x"] + box["gridPos"]["w"]
        if x != WIDTH:
            yield f"{where}: ends at x {x}; it must fill {WIDTH} columns"
        heights = {box["gridPos"]["h"] for box in line}
        if len(heights) > 1:
            yield f"{where}: heights {sorted(heights)} side by side; take one"
        y = top + max(heights)


def the_first_line_is_of_tiles(found: Sequence[Board]) -> Iterator[str]:
    """Want 'is it fine now?' to be answered before anything is scrolled, and tiles nowhere else."""
    for board in found:
        for panel in board.panels:
            place = panel.json["gridPos"]
            if (panel.type == "stat") != (place["y"] == 0):
                yield f"{panel.where}, gridPos: tiles, and only tiles, stand in the first line"
            if panel.type == "stat" and place["h"] != 4:
                yield f"{panel.where}, gridPos.h: {place['h']}; a tile is 4 high"


def there_are_as_many_panels_as_one_can_read(found: Sequence[Board]) -> Iterator[str]:
    """Want 10 to 16 looks.

    The standard wants about 12 to 16 panels. A line of tiles is read at a glance: however many it has (8 at
    most, else their texts do not fit), it counts as four.
    """
    for board in found:
        tiles = sum(panel.type == "stat" for panel in board.panels)
        looks = 4 + len(board.panels) - tiles
        if tiles > 8:
            yield f"{board.title}: {tiles} tiles in a line; more than 8 cannot be read"
        if not 10 <= looks <= 16:
            yield f"{board.title}: {looks} looks (the tiles count as four); 10 to 16 can be read"


def numbers_are_unique(found: Sequence[Board]) -> Iterator[str]:
    """Want no two panels or rows to share an id, nor two queries of a panel a refId."""
    for board in found:
        ids = Counter(box.get("id") for box in [*board.rows, *(panel.json for panel in board.panels)])
        for id_, count in ids.items():
            if count > 1 or not isinstance(id_, int):
                yield f"{board.title}, id {id_}: is there {count} times; number the panels from 1 on"
        for panel in board.panels:
            for ref, count in Counter(query.ref for query in panel.queries).items():
                if count > 1 or not re.fullmatch("[A-Z]", ref):
                    yield f"{panel.where}, refId {ref!r}: must be one letter and there once"


CHECKS: tuple[Check, ...] = (
    the_head_is_that_of_the_house,
    names_are_those_of_the_house,
    it_is_not_asked_more_often_than_it_is_scraped,
    nothing_is_of_one_machine_or_moment,
    panels_stand_side_by_side,
    the_first_line_is_of_tiles,
    there_are_as_many_panels_as_one_can_read,
    numbers_are_unique,
)
