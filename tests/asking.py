"""How Grafana asks Prometheus for a dashboard: variables in their place, steps, names, columns."""

import http.client
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from boards import VARIABLE, Board, Json, Panel, asked

SCRAPE_SECONDS: Final = 30
"""timeInterval of the data source."""
MOST_POINTS: Final = 100
"""Of a graph. A screen shows more, which would prove no more."""
LEGEND: Final = re.compile(r"\{\{\s*(.+?)\s*\}\}")

Series = dict[str, Any]
Labels = Mapping[str, str]
Options = list[tuple[str, str]]
"""Texts and values of what a variable offers."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is chosen of a variable. `many` where more than one could be; `everything` is the value of All."""

    values: tuple[str, ...]
    many: bool = False
    everything: str = ""

    @property
    def text(self) -> str:
        """Return it as the Prometheus data source puts it into an expression."""
        if self.everything:
            return self.everything
        if not self.many:
            return re.sub(r"(['\\])", r"\\\1", self.values[0]) if self.values else ""
        escaped = [re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", v.replace("\\", r"\\\\")) for v in self.values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


@dataclass(frozen=True, slots=True)
class View:
    """A dashboard as someone looks at it: until when (Unix seconds), how far back, and what is chosen."""

    board: Board
    end: float
    chosen: Mapping[str, Chosen]

    @property
    def seconds(self) -> int:
        """Return the length of the time range, which is the dashboard's own."""
        ((number, unit),) = re.findall(r"^now-(\d+)([mhd])$", self.board.json["time"]["from"])
        return int(number) * {"m": 60, "h": 3600, "d": 86400}[unit]

    def step(self, box: Json) -> int:
        """Return the seconds between two points of a panel, or of an annotation."""
        least = duration(box.get("interval") or f"{SCRAPE_SECONDS}s")
        points = min(box.get("maxDataPoints") or MOST_POINTS, MOST_POINTS)
        return max(least, -(-self.seconds // points))

    def expression(self, text: str, step: int = SCRAPE_SECONDS) -> str:
        """Return an expression with everything put in its place."""
        known = {
            "__interval": f"{step}s",
            "__interval_ms": f"{step * 1000}",
            "__rate_interval": f"{max(step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
            "__range": f"{self.seconds}s",
            "__range_s": f"{self.seconds}",
            "__range_ms": f"{self.seconds * 1000}",
            **{name: chosen.text for name, chosen in self.chosen.items()},
        }
        return VARIABLE.sub(lambda match: known[match["plain"] or match["braced"]], text)


def duration(text: str) -> int:
    """Return the seconds of a duration of one unit."""
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]


class Refused(Exception):
    """Prometheus does not take what it is asked; the text is its own."""


class Source:
    """A Prometheus that many threads ask, over connections that are kept until it is closed."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc
        self._idle: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close the connections; nobody may ask any more."""
        while self._idle:
            self._idle.pop().close()

    def get(self, path: str, **parameters: object) -> Any:
        """Return `data` of an answer; raises Refused."""
        # To pop and to append are atomic, so that no lock is needed.
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = http.client.HTTPConnection(self._address, timeout=30)
        connection.request("GET", f"{path}?{urlencode(parameters, doseq=True)}")
        answer = json.loads(connection.getresponse().read())
        self._idle.append(connection)
        if answer["status"] != "success":
            raise Refused(answer["error"])
        return answer["data"]

    def instant(self, expression: str, at: float) -> list[Series]:
        """Return the series of an instant query."""
        data = self.get("/api/v1/query", query=expression, time=at)
        assert data["resultType"] == "vector", f"{expression}: no vector but {data['resultType']}"
        found: list[Series] = data["result"]
        return found

    def ranged(self, expression: str, end: float, seconds: int, step: int) -> list[Series]:
        """Return the series of a range query, whose last point is the end."""
        found: list[Series] = self.get(
            "/api/v1/query_range", query=expression, start=end - seconds, end=end, step=step
        )["result"]
        return found

    def panel(self, view: View, panel: Json, target: Json, text: str = "") -> list[Series]:
        """Return what a panel's target gives; with another expression if one is given."""
        step = view.step(panel)
        expression = view.expression(text or target["expr"], step)
        if target.get("instant"):
            return self.instant(expression, view.end)
        return self.ranged(expression, view.end, view.seconds, step)

    def options(self, view: View, variable: Json) -> Options:
        """Return the texts and values that a variable offers."""
        function, inside = asked(variable)
        if function == "label_values":
            selector, _, label = inside.rpartition(",")
            path = f"/api/v1/label/{label.strip()}/values"
            match = {"match[]": view.expression(selector), "start": view.end - view.seconds, "end": view.end}
            found = self.get(path, **match)
        else:
            found = [rendered(s) for s in self.instant(view.expression(inside), view.end)]
        return picked(variable.get("regex", ""), found)

    def opened(self, board: Board, end: float, **given: Chosen) -> tuple[View, dict[str, Options]]:
        """Return a dashboard as it is when opened, with some of it chosen, and what its variables offer."""
        chosen: dict[str, Chosen] = {}
        offers: dict[str, Options] = {}
        for variable in board.variables:
            name = variable["name"]
            if variable["type"] == "constant":
                chosen[name] = Chosen((variable["query"],))
            elif variable["type"] == "query":
                offers[name] = self.options(View(board, end, chosen), variable)
                chosen[name] = given.get(name) or at_first(variable, offers[name])
        return View(board, end, chosen), offers


def at_first(variable: Json, offered: Iterable[tuple[str, str]]) -> Chosen:
    """Return what is chosen of a variable when nobody has chosen: All, or the first."""
    values = tuple(value for _, value in offered)
    if variable.get("includeAll"):
        return Chosen(values, many=True, everything=variable.get("allValue") or "")
    return Chosen(values[:1], many=bool(variable.get("multi")))


def rendered(series: Series) -> str:
    """Return a series as `query_result` shows it to a variable's regex."""
    metric = dict(series["metric"])
    labels = ",".join(f'{name}="{value}"' for name, value in metric.items() if name != "__name__")
    at, value = series["value"]
    return f"{metric.get('__name__', '')}{{{labels}}} {value} {at * 1000:.0f}"


def picked(regex: str, found: Iterable[str]) -> Options:
    """Return texts and values, each once, of what a variable's query found; its regex picks them."""
    if not regex:
        return list(dict.fromkeys((text, text) for text in found))
    pattern = re.compile(re.sub(r"\(\?<(\w+)>", r"(?P<\1>", regex.strip("/")))
    options = []
    for text in found:
        match = pattern.search(text)
        if match is None:
            continue
        groups = match.groupdict()
        value = groups.get("value") or groups.get("text") or match[0]
        options.append((groups.get("text") or value, value))
    return list(dict.fromkeys(options))


def shown(target: Json, series: Series) -> str:
    """Return the name of a series: its legend spelt out."""
    legend = target.get("legendFormat", "__auto")
    metric: Labels = series["metric"]
    if legend in {"", "__auto"}:
        return ", ".join(f'{name}="{value}"' for name, value in metric.items()) or "Value"
    return LEGEND.sub(lambda match: metric.get(match[1], ""), legend)


def columns(panel: Panel, answers: Mapping[str, list[Series]]) -> set[str]:
    """Return the fields of a table before it is rearranged: labels, and a value of each query."""
    found = {"Time"}
    for ref, series in answers.items():
        found |= {"Value" if len(panel.json["targets"]) == 1 else f"Value #{ref}"}
        found |= {name for each in series for name in each["metric"]}
    return found
