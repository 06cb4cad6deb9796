"""What happens to a cloud and to the files of an exporter while it works: faults, changes, mistakes."""

import os
import random
import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import processes
import yaml
from faulty import ROWS
from lifetimes import Life
from test_server import certificate, hashed
from visitors import Door

from exporter.simulator import Entry, Fault, FaultRule, Simulator

FLOWS: Final = tuple(f"dfqflow{n}" for n in range(4))
"""Workflows of which every run is counted; the first is configured by its ID, the others are in a folder."""
LIAR: Final = "dfqliar"
"""A workflow of which the cloud tells what is not true."""
GUESTS: Final = tuple(f"dfqguest{n}" for n in range(4))
"""Workflows that come and go."""
WATCHED: Final = tuple(f"dfqowner-watched-{n}" for n in range(40))
FOLDER: Final = "b1gsoak"
OTHER_FOLDER: Final = "b1gsoakother"
METHODS: Final = ("Execution.Get", "Execution.GetHistory", "Execution.List", "Workflow.Get", "Workflow.List")
TOKEN_METHODS: Final = ("Iam.CreateToken", "Metadata.Token", "OAuth.Token")
MOST_TIMES: Final = 5
"""How often a fault strikes at most: some take all the time that a call may take."""
CALM: Final = {"latency": 0.002, "payload_bytes": 0, "page_limit": 30, "overlap": 2, "filters": "served"}
WEATHERS: Final[Sequence[dict[str, Any]]] = (
    {"latency": 0.03}, {"payload_bytes": 20_000}, {"page_limit": 5, "overlap": 4}, {"filters": "refused"},
    {"filters": "ignored"}, {"filters": "quoted"},
)  # fmt: skip
HONEST_LISTS: Final = (Fault.NO_END, Fault.BAD_ITEMS)
"""Lies of a list that are seen through."""
LIES: Final = tuple(sorted(set(Fault) - {row.kind for row in ROWS.values()}))
FIELDS: Final = ("execution.status", "entries.0", "executions.0", "workflow.name")
"""Fields that are null when a field is a lie."""
CHANGES: Final[Sequence[dict[str, Any]]] = (
    {"log": {"level": "debug"}}, {"labels": ["team", "stage"]}, {"quota": {"workflows": 50}},
    {"recent_window": "2m"}, {"scrape": {"timeout": "1500ms"}},
    {"history": {"enabled": True, "max_steps": 50}},
    {"executions": [{"id": WATCHED[0], "alias": "the first"}]},
)  # fmt: skip
MISTAKES: Final = ("api: [", "apy: {}\n", "api: {timeout: soon}\n", "auth: {iam_token_file: nowhere}\n", "")

Step = Callable[[], None]


def nothing() -> None:
    """Let nothing happen."""


@dataclass(frozen=True, slots=True)
class Upset:
    """What happens in a visit: the first step before anybody comes, the last when all have gone.

    Those between happen amid. `unseen`: the cloud does not see all calls that are made.
    """

    name: str
    steps: tuple[Step, ...]
    unseen: bool = False


def every(dice: random.Random, things: Sequence[Any]) -> Iterator[Any]:
    """Yield all of these in any order, again and again."""
    while True:
        yield from dice.sample(things, len(things))


class Files:
    """The files of an exporter: its configuration, its token, its executions, its door."""

    def __init__(self, folder: Path, cloud: Simulator, door: Door) -> None:
        self._cloud = cloud
        self._folder = folder
        self._plain = door
        self.config, self.state, self.web = (folder / name for name in ("config.yml", "state.db", "web.yml"))
        cloud.create_key(folder)
        certificate(folder, "server")
        (folder / "subject.token").write_text(cloud.subject_token)
        url = cloud.base_url
        federation = {"service_account_id": cloud.service_account_id, "token_file": "subject.token"}
        self._ways: list[dict[str, Any]] = [
            {"iam_token_file": "iam.token"},
            {"service_account_key_file": "key.json"},
            {"metadata": {"endpoint": url}},
            {"workload_identity": {**federation, "endpoint": url}},
        ]
        self._hash = hashed("secret")
        self.write_token()
        self.write_executions(WATCHED[:20])
        self.write_web("open")
        self.write()

    @property
    def is_token_read(self) -> bool:
        """Whether the token comes from the file."""
        return "iam_token_file" in self._ways[0]

    def write(self, *, patient: bool = False, **changes: Any) -> None:
        """Write the configuration, with changes; the `patient` one waits for calls on a busy machine, too."""
        url = self._cloud.base_url
        call, scrape = ("5s", "10s") if patient else ("400ms", "2s")
        settings = {
            "api": {
                "endpoint": url, "iam_endpoint": url, "timeout": call, "requests_per_second": 10_000,
                "max_response_bytes": "1MiB", "concurrency": 8,
            },
            "auth": self._ways[0],
            "folders": [FOLDER, {"id": OTHER_FOLDER, "exclude": ["nobody-*"]}],
            "workflows": [{"id": FLOWS[0], "expected_success_interval": "25h"}],
            "executions_file": "ids.txt",
            "history": {"enabled": True},
            "state": {"file": "state.db"},
            "scrape": {"timeout": scrape},
            "web": {"enable_lifecycle": True},
            "labels": ["team"],
            "lookback": "1d",
            **changes,
        }  # fmt: skip
        self.config.write_text(yaml.safe_dump(settings))

    def err(self, mistake: str) -> None:
        """Write a configuration that cannot be taken."""
        self.config.write_text(mistake)

    def turn(self) -> None:
        """Let the token come another way from the next reload on."""
        self._ways.append(self._ways.pop(0))
        self.write()

    def write_token(self) -> None:
        """Write the token that is good now."""
        (self._folder / "iam.token").write_text(self._cloud.token)

    def write_executions(self, ids: Sequence[str], more: str = "") -> None:
        """Write which executions to watch."""
        (self._folder / "ids.txt").write_text("\n".join(ids) + f"\n{more}")

    def remove_executions(self) -> None:
        """Let there be no such file."""
        (self._folder / "ids.txt").unlink()

    def write_web(self, kind: str) -> Door:
        """Write a web configuration file of a kind, or a broken one, and return the door that it makes."""
        users = f"basic_auth_users: {{ann: '{self._hash}'}}\n"
        tls = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
        texts = {"open": "{}\n", "users": users, "tls": tls, "tls, users": tls + users}
        self.web.write_text(texts.get(kind, "basic_auth_users: []\n"))
        door = self._plain.with_user("ann", "secret") if "users" in kind else self._plain
        if "tls" in kind:
            return replace(door, context=ssl.create_default_context(cafile=self._folder / "server.crt"))
        return door


def populate(cloud: Simulator) -> None:
    """Let there be workflows, and executions to watch."""
    for flow in FLOWS:
        folder = "elsewhere" if flow == FLOWS[0] else FOLDER
        cloud.put_workflow(flow, name=flow, folder_id=folder, labels={"team": "a"}, cron="0 0 1 1 ? *")
    cloud.put_workflow(LIAR, name=LIAR, folder_id=OTHER_FOLDER)
    cloud.add_stream(LIAR, interval=5.0, run=(0.5, 5.0), kept=50)
    for number in range(len(WATCHED)):
        run_on(cloud, number, 0)


def run_on(cloud: Simulator, number: int, turn: int) -> None:
    """Let an execution that is watched be another one: it runs, or has ended in one way or the other."""
    status = ("RUNNING", "FINISHED", "FAILED", "QUEUED", "STOPPED")[(number + turn) % 5]
    ended: dict[str, Any] = {} if status in {"RUNNING", "QUEUED"} else {"duration": 9.5}
    if status == "FAILED":
        ended["error"] = ("HTTP_CALL_503", "no answer")
    steps = [Entry("fetch", attempts=2, duration=10**9), Entry("charge", status="STARTED")]
    cloud.put(
        WATCHED[number], workflow_id="dfqowner", status=status, started_at=1.7e9, history=steps, **ended
    )


class Upsets:
    """Draws what happens next; all of its kinds come in turn, in any order.

    `life` is the exporter that it happens to; `struck` counts by kind how often faults did.
    """

    def __init__(self, cloud: Simulator, files: Files, seed: str) -> None:
        self.life: Life | None = None
        self.struck: Counter[str] = Counter()
        self._cloud = cloud
        self._files = files
        self._dice = random.Random(seed)
        self._faults = every(self._dice, sorted(ROWS))
        self._lies = every(self._dice, LIES)
        self._weathers = every(self._dice, WEATHERS)
        self._changes = every(self._dice, CHANGES)
        self._mistakes = every(self._dice, MISTAKES)
        self._turns = 0
        self._guests: set[str] = set()
        kinds = [
            self._fault, self._fault, self._fault, self._lie, self._no_token, self._unplugged, self._rotated,
            self._other_executions, self._changed, self._mistaken, self._other_door, self._guest,
            self._weather,
        ]  # fmt: skip
        self._kinds = every(self._dice, kinds)

    def draw(self) -> Upset:
        """Return what happens next."""
        upset: Upset = next(self._kinds)()
        return upset

    def calm(self) -> None:
        """Let all be well, with a token that nobody has refused."""
        self._lift()
        self._cloud.change_conditions(**CALM)
        self._cloud.start()
        self._files.write_token()
        self._files.turn()

    def _reload(self, *, refused: bool = False) -> None:
        if self.life is not None:
            self.life.reload(by_signal=self._dice.random() < 0.5, refused=refused)

    def _add(self, rule: FaultRule) -> None:
        times = self._dice.randint(1, MOST_TIMES)
        self.struck[rule.kind] += times
        self._cloud.faults.add(replace(rule, times=times))

    def _lift(self) -> None:
        for rule in self._cloud.faults.rules():
            self.struck[rule.kind] -= rule.times or 0
        self._cloud.faults.clear()

    def _fault(self) -> Upset:
        names = [next(self._faults) for _ in range(self._dice.randint(1, 3))]
        return Upset(f"fault: {', '.join(names)}", (nothing, lambda: self._befall(names), self._lift))

    def _befall(self, names: Sequence[str]) -> None:
        for name in names:
            method, target = self._dice.choice(METHODS), ""
            if name == "404" and method.startswith("Execution.Get"):
                # That there is no such run is believed in the end, and that would cost a count.
                target = self._dice.choice(WATCHED[:20])
            self._add(ROWS[name].rule(method, target))

    def _lie(self) -> Upset:
        kind = next(self._lies)
        return Upset(f"lie: {kind}", (nothing, lambda: self._deceive(kind), self._lift))

    def _deceive(self, kind: Fault) -> None:
        method = self._dice.choice(METHODS[:4])
        if kind in HONEST_LISTS:
            rule = FaultRule(kind, method="Execution.List", target=self._dice.choice(FLOWS))
        elif method in {"Execution.Get", "Execution.GetHistory"}:
            rule = FaultRule(kind, method=method, target=self._dice.choice(WATCHED[:20]))
        else:
            rule = FaultRule(kind, method=method, target=LIAR)
        if kind is Fault.FIELD:
            rule = replace(rule, path=self._dice.choice(FIELDS))
        self._add(rule)

    def _no_token(self) -> Upset:
        names = [next(self._faults) for _ in TOKEN_METHODS]

        def befall() -> None:
            for name, method in zip(names, TOKEN_METHODS, strict=True):
                self._add(ROWS[name].rule(method, ""))
            self._another_way()

        return Upset(f"no token: {', '.join(names)}", (nothing, befall, self._another_way, self._well_again))

    def _another_way(self) -> None:
        self._files.turn()
        self._reload()

    def _well_again(self) -> None:
        self._lift()
        self._files.write_token()
        self._another_way()

    def _unplugged(self) -> Upset:
        return Upset("unplugged", (nothing, self._cloud.stop, self._cloud.start, nothing), unseen=True)

    def _rotated(self) -> Upset:
        def revoke() -> None:
            self._cloud.revoke_tokens()
            self._cloud.token_lifetime = self._dice.choice([75.0, 43200.0])

        return Upset("token rotated", (nothing, revoke, self._files.write_token, self._well_again))

    def _other_executions(self) -> Upset:
        self._turns += 1
        numbers = self._dice.sample(range(len(WATCHED)), 20)

        def other() -> None:
            for number in numbers[:5]:
                run_on(self._cloud, number, self._turns)
            self._files.write_executions([WATCHED[n] for n in numbers], "no id\n# a comment\n\0\n")

        def first() -> None:
            self._files.write_executions(WATCHED[:20])

        return Upset("executions", (nothing, other, self._files.remove_executions, first))

    def _changed(self) -> Upset:
        changes = next(self._changes)

        def change() -> None:
            self._files.write(**changes)
            self._reload()

        def back() -> None:
            self._files.write()
            self._reload()

        return Upset(f"change: {', '.join(changes)}", (nothing, change, back))

    def _mistaken(self) -> Upset:
        mistake = next(self._mistakes)

        def err() -> None:
            self._files.err(mistake)
            self._reload(refused=True)

        def back() -> None:
            self._files.write()
            self._reload()

        return Upset("mistake in the configuration", (nothing, err, back))

    def _other_door(self) -> Upset:
        kind = self._dice.choice(self.life.doors if self.life and self.life.doors else ("open",))

        def touch() -> None:
            os.utime(self._files.web)

        return Upset(f"door: {kind}", (lambda: self._open(kind), touch, lambda: self._open(kind, "broken")))

    def _open(self, *kinds: str) -> None:
        """Write the web configuration file, at last in this way, and wait until it is what counts."""
        life = self.life
        if life is None or life.is_over or not life.doors:
            return
        for kind in kinds[1:]:
            self._files.write_web(kind)
            assert life.answers(), "a broken web configuration file has cost the door"
        life.door = self._files.write_web(kinds[0])
        processes.until(life.answers)

    def _guest(self) -> Upset:
        self._turns += 1
        guest = self._dice.choice(GUESTS)

        def come() -> None:
            self._cloud.put_workflow(guest, name=guest, folder_id=OTHER_FOLDER, labels={"team": "b"})
            self._cloud.add_stream(guest, interval=5.0, seed=self._turns, run=(0.1, 3.0), kept=20)

        def go() -> None:
            self._cloud.remove_workflow(guest)

        return Upset(
            "workflow comes or goes", (nothing, go, come, nothing, nothing, go)[: self._turns % 3 + 4]
        )

    def _weather(self) -> Upset:
        weather = next(self._weathers)

        def change() -> None:
            self._cloud.change_conditions(**weather)

        return Upset(f"weather: {weather}", (change, nothing, lambda: self._cloud.change_conditions(**CALM)))
