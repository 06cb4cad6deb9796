"""The product alive: real rules in a hurry, a real Alertmanager and who hears it, exporters that can die."""

import contextlib
import http.server
import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import processes
import promql_parser
import yaml

BESIDE: Final = Path(__file__).parent.parent / "prometheus"
SCALE: Final = 120
"""A minute takes half a second."""
SCRAPE: Final = "800ms"
EVALUATION: Final = "500ms"
KEPT: Final = "15m"
"""The most that an alert is kept here for what may come again; promtool's tests prove the hours."""
SECONDS_FROM: Final = 100
"""A number of an expression that is at least this is a time in seconds."""
UNITLESS: Final = frozenset({0, 0.01, 0.1, 0.5, 0.8, 0.9, 0.95, 1, 3, 6, 10, 14.4, 20})
"""The numbers of the rules that are no times."""

_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION: Final = r"(?:\d+(?:ms|[smhdw]))+"
_TOKEN: Final = re.compile(
    r"(?P<text>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|#[^\n]*|[A-Za-z_][\w:]*)"
    rf"|(?P<duration>{_DURATION}\b)|(?P<number>\d+(?:\.\d+)?)|(?P<other>.)",
    re.DOTALL,
)


_BRACKETS: Final = re.compile(rf"\[({_DURATION})(?::({_DURATION}))?\]")


def scaled_duration(text: str) -> str:
    """Return a duration in a hurry, in whole milliseconds; one that cannot be said so is refused."""
    parts = re.findall(r"(\d+)(ms|[smhdw])", text)
    assert text == "".join(number + unit for number, unit in parts), f"{text!r} is no duration"
    scaled, rest = divmod(sum(int(number) * _UNITS[unit] for number, unit in parts), SCALE)
    assert not rest, f"{text} is not a multiple of {SCALE} ms"
    return f"{scaled}ms"


def _scaled_number(text: str) -> str:
    number = float(text)
    if number >= SECONDS_FROM:
        return f"{number / SCALE:.12g}"
    assert number in UNITLESS, f"{text}: neither a known share or count, nor seconds"
    return text


def scaled_expression(expression: str) -> str:
    """Return an expression in a hurry: ranges, offsets, subqueries, and numbers that are seconds."""
    found = []
    for match in _TOKEN.finditer(expression):
        if match["duration"]:
            found.append(scaled_duration(match["duration"]))
        elif match["number"]:
            found.append(_scaled_number(match["number"]))
        else:
            found.append(match[0])
    return "".join(found)


def durations_and_numbers(expression: str) -> tuple[list[float], list[float]]:
    """Return what a parser of PromQL finds in an expression, in its order; durations in seconds."""
    durations: list[float] = []
    numbers: list[float] = []

    def visit(node: promql_parser.Expr) -> None:
        given = [getattr(node, name, None) for name in ("range", "offset", "step")]
        durations.extend(value.total_seconds() for value in given if value is not None)
        if isinstance(node, promql_parser.NumberLiteral):
            numbers.append(node.val)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return durations, numbers


def unscaled(expression: str, scaled: str) -> list[float]:
    """Return the times of an expression that are not what they must be in its scaled form."""
    (before, numbers), (after, others) = durations_and_numbers(expression), durations_and_numbers(scaled)
    expected = [n / SCALE if n >= SECONDS_FROM else n for n in numbers]
    pairs = [
        *zip(before, [seconds * SCALE for seconds in after], strict=True),
        *zip(expected, others, strict=True),
    ]
    return [was for was, now in pairs if abs(was - now) > 1e-9 * was]


def _milliseconds(duration: str) -> int:
    return int(duration.removesuffix("ms"))


def _scaled_brackets(match: re.Match[str]) -> str:
    return f"[{':'.join(scaled_duration(part) for part in match.groups() if part)}]"


def scaled_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule in a hurry."""
    scaled = {**rule, "expr": scaled_expression(rule["expr"])}
    assert not unscaled(rule["expr"], scaled["expr"]), rule
    texts = rule.get("annotations", {}).items()
    if texts:
        # Texts ask as well; their durations stand in brackets only.
        scaled["annotations"] = {key: _BRACKETS.sub(_scaled_brackets, text) for key, text in texts}
    if "keep_firing_for" in rule:
        kept = (scaled_duration(rule["keep_firing_for"]), scaled_duration(KEPT))
        scaled["keep_firing_for"] = min(kept, key=_milliseconds)
    return scaled | {key: scaled_duration(rule[key]) for key in ("for",) if key in rule}


def alert_names() -> set[str]:
    """Return the names of the alerts."""
    documents = [yaml.safe_load(path.read_text()) for path in (BESIDE / "rules").glob("*.yml")]
    rules = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
    return {rule["alert"] for rule in rules if "alert" in rule}


def scaled_rules(target: Path) -> Path:
    """Write the rules in a hurry and return the pattern of their files; promtool has read them."""
    target.mkdir()
    for source in sorted((BESIDE / "rules").glob("*.yml")):
        document = yaml.safe_load(source.read_text())
        for group in document["groups"]:
            group["rules"] = [scaled_rule(rule) for rule in group["rules"]]
            if "interval" in group:
                group["interval"] = scaled_duration(group["interval"])
        (target / source.name).write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
    checked = subprocess.run(
        ["promtool", "check", "rules", *sorted(map(str, target.glob("*.yml")))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return target / "*.yml"


def prometheus_configuration(rules: Path, alertmanager: str, jobs: Mapping[str, Sequence[str]]) -> str:
    """Return the example's configuration with other jobs (job: addresses), and in a hurry."""
    document = yaml.safe_load((BESIDE / "prometheus.yml").read_text())
    document["global"] |= {
        "scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": EVALUATION,
    }  # fmt: skip
    document["rule_files"] = [str(rules)]
    (manager,) = document["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [alertmanager.removeprefix("http://")]}]
    document["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": list(addresses)}]} for job, addresses in jobs.items()
    ]
    return yaml.safe_dump(document, sort_keys=False)


def _scaled_route(route: Mapping[str, Any]) -> dict[str, Any]:
    waits = {k: scaled_duration(v) for k, v in route.items() if k.endswith(("_wait", "_interval"))}
    return {**route, **waits, "routes": [_scaled_route(child) for child in route.get("routes", ())]}


def alertmanager_configuration(webhook: str) -> str:
    """Return the example's configuration in a hurry, each receiver with a webhook of its name."""
    document = yaml.safe_load((BESIDE / "alertmanager.yml").read_text())
    document["route"] = _scaled_route(document["route"])
    for receiver in document["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{webhook}/{receiver['name']}"}]
    return yaml.safe_dump(document, sort_keys=False)


@contextlib.contextmanager
def alertmanager(tmp_path: Path, webhook: str) -> Iterator[str]:
    """Run a real Alertmanager over the example's configuration and return its URL."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_configuration(webhook))
    address = f"127.0.0.1:{processes.free_port()}"
    command = [
        "prometheus-alertmanager",
        f"--config.file={path}",
        f"--storage.path={tmp_path}/alertmanager",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with processes.running(command, tmp_path / "alertmanager.log"):
        processes.until(lambda: processes.get(f"http://{address}/-/ready")[0] == 200)
        yield f"http://{address}"


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert in a message that someone received."""

    receiver: str
    message: int
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    def fits(self, alert: str, labels: Mapping[str, str]) -> bool:
        """Whether it is of this alert, with these labels among others."""
        return self.labels["alertname"] == alert and labels.items() <= self.labels.items()


@dataclass
class Inbox:
    """What the receivers of a webhook were told, in its order. `_lock` guards `_notices`."""

    _notices: list[Notice] = field(default_factory=list)
    _messages: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, receiver: str, message: Mapping[str, Any]) -> None:
        """Keep the alerts of a message."""
        with self._lock:
            self._messages += 1
            self._notices += [
                Notice(receiver, self._messages, alert["status"], alert["labels"], alert["annotations"])
                for alert in message["alerts"]
            ]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """All that came so far."""
        with self._lock:
            return tuple(self._notices)

    def first(self, status: str, alert: str, labels: Mapping[str, str], after: int = 0) -> Notice | None:
        """Return the first notice of an alert in a message later than this one."""
        fitting = (n for n in self.notices if n.status == status and n.message > after)
        return next((notice for notice in fitting if notice.fits(alert, labels)), None)


@contextlib.contextmanager
def webhook(inbox: Inbox) -> Iterator[str]:
    """Run a server that puts messages of Alertmanager into an inbox, and return its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take one message."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.receive(self.path.strip("/"), json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Exporter:
    """An exporter that keeps its address and its configuration over its lives."""

    def __init__(self, folder: Path, configuration: str, **environ: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.address = f"127.0.0.1:{processes.free_port()}"
        self.url = f"http://{self.address}"
        self.path = folder / "config.yml"
        self.path.write_text(configuration)
        self._environ = processes.clean_environ(**environ)
        self._life = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run until stop(); does not wait until it answers."""
        command = processes.exporter_command(
            f"--web.listen-address={self.address}", f"--config.file={self.path}"
        )
        running = processes.running(command, self.folder / "exporter.log", self._environ)
        self.process = self._life.enter_context(running)

    def wait(self) -> None:
        """Wait until it answers and has read something."""
        processes.until(lambda: processes.get(f"{self.url}/-/ready")[0] == 200)
        self.page()

    def page(self) -> str:
        """Return what it shows to Prometheus."""
        status, text = processes.get(f"{self.url}/metrics")
        assert status == 200, text
        return text

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """End the process."""
        self._life.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def firing(prometheus: str, alert: str = "", labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the alerts that are firing, or only those of a name, with these labels among others."""
    return [a for a in alerts(prometheus, alert, labels) if a["state"] == "firing"]


def alerts(prometheus: str, alert: str = "", labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Return the alerts that are pending or firing."""
    status, body = processes.get(f"{prometheus}/api/v1/alerts")
    assert status == 200, body
    wanted = {**(labels or {}), **({"alertname": alert} if alert else {})}
    found: list[dict[str, Any]] = json.loads(body)["data"]["alerts"]
    return [a for a in found if wanted.items() <= a["labels"].items()]


def rule_troubles(prometheus: str) -> list[str]:
    """Return the rules whose last evaluation failed, and why."""
    status, body = processes.get(f"{prometheus}/api/v1/rules")
    assert status == 200, body
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]
    return [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]
