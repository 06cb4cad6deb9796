"""The simulator as its users see it: one object that is started, asked, broken on purpose and stopped."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from exporter.simulator import population
from exporter.simulator.api import Admin, Api
from exporter.simulator.conditions import Conditions, Weather
from exporter.simulator.faults import Faults
from exporter.simulator.iam import Iam, Keys, Tokens
from exporter.simulator.server import Call, CallLog, Cloud, CloudServer
from exporter.simulator.streams import FAILURES, ODD_FAILURES, Birth, Habits, Stream
from exporter.simulator.truth import Run, Truth, truth
from exporter.simulator.values import (
    UNSET,
    Entry,
    Execution,
    Failure,
    Workflow,
    clock_nanoseconds,
    nanoseconds,
)
from exporter.simulator.world import World

DEFAULT_WORKFLOW: Final = "dfqud9cbc4k5m0a1b2c3"


class Simulator:
    """A Yandex Cloud on loopback, as a context manager.

    What lives in it follows from `seed`; a life that takes a minute takes 1/`speed` of it, and every time
    that is told is the clock's own. `executions=0` gives an empty world, without workflows as well.
    `latency` is in seconds, `payload_bytes` the least size of each input, output and result; both may be
    set while it runs. Raises OSError when it cannot listen, ValueError that names the parameter.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        seed: int = 1,
        speed: float = 1.0,
        clock: Callable[[], float] = time.time,
        workflows: int = 3,
        executions: int = 12,
        latency: float = 0.0,
        payload_bytes: int = 0,
        token_lifetime: float = 43200.0,
    ) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError("speed: must be greater than 0, and finite")
        if not 0 <= port <= 65535:
            raise ValueError("port: must be from 0 to 65535")
        if executions < 0:
            raise ValueError("executions (--population): must be 0 or more")
        self.folder_ids = ("b1gfolder00000000001", "b1gfolder00000000002")
        self.folder_id = self.folder_ids[0]
        self.service_account_id = "aje4tpd9coa000000001"
        self._weather = Weather(Conditions(latency, payload_bytes))
        self.faults = Faults()
        self._address = (host, port)
        self._clock = clock
        self._log = CallLog()
        self._server: CloudServer | None = None
        self._tokens = Tokens(clock, token_lifetime)
        self._keys = Keys(self.service_account_id, clock)
        self._iam = Iam(self._tokens, self._keys, self.service_account_id)
        self._birth = Birth(clock_nanoseconds(clock), seed, 1 / speed)
        self._world = _world(self._birth, max(workflows, 1), executions, self.folder_ids)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _now(self) -> int:
        return clock_nanoseconds(self._clock)

    def start(self) -> None:
        """Listen and answer."""
        if self._server is not None:
            return
        api = Api(self._world, self._tokens, self._iam, self._clock, self._weather)
        admin = Admin(self.faults, self._weather)
        cloud = Cloud(api, admin, self.faults, self._log, self._clock, self._weather)
        self._server = CloudServer(self._address, cloud)
        self._server.serve()

    def stop(self) -> None:
        """End the server and every connection; a later start listens anew."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    @property
    def base_url(self) -> str:
        """The endpoint of all four services; raises RuntimeError before the start."""
        if self._server is None:
            raise RuntimeError("the simulator is not started")
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def latency(self) -> float:
        """How many seconds late every answer is; may be set."""
        return self._weather.now.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._weather.change(latency=seconds)

    @property
    def payload_bytes(self) -> int:
        """The least size of each input, output and result; may be set."""
        return self._weather.now.payload_bytes

    @payload_bytes.setter
    def payload_bytes(self, size: int) -> None:
        self._weather.change(payload_bytes=size)

    def change_conditions(self, **changes: Any) -> None:
        """Change some of `conditions.Conditions`; a ValueError names the field, and changes nothing."""
        self._weather.change(**changes)

    def execution_ids(self) -> tuple[str, ...]:
        """Return the executions to watch: those of the demo, in every status, then those that were put."""
        return self._world.ids()

    def workflow_ids(self, folder_id: str = "") -> tuple[str, ...]:
        """Return the workflows of a folder, of the first without one."""
        return tuple(flow.id for flow in self._world.workflows(folder_id or self.folder_id))

    def put(
        self,
        execution_id: str,
        *,
        status: str = "RUNNING",
        started_at: float | str | None = None,
        duration: float | str | None = None,
        error: Failure | tuple[str, str] | None = None,
        workflow_id: str = DEFAULT_WORKFLOW,
        payload_bytes: int = 0,
        history: Sequence[Entry | Mapping[str, Any]] = (),
        raw: Any = UNSET,
        raw_history: Any = UNSET,
    ) -> None:
        """Add or replace an execution that stays exactly so.

        Times are seconds, or texts served as they are; `error` a Failure or (code, message). Entries of
        the history are `Entry` or protobuf JSON. `raw` and `raw_history` replace the whole answer: any
        JSON, None for null, or bytes.
        """
        failure = Failure(*error) if isinstance(error, tuple) else error
        self._world.put(
            Execution(
                id=execution_id,
                workflow_id=workflow_id,
                status=status,
                started_at=nanoseconds(started_at),
                duration=nanoseconds(duration),
                error=failure,
                payload_bytes=payload_bytes,
                history=tuple(history),
                raw=raw,
                raw_history=raw_history,
            ),
            self._now(),
        )

    def remove(self, execution_id: str) -> None:
        """Make an execution unknown: 404 from now on."""
        self._world.remove(execution_id, self._now())

    def put_workflow(
        self,
        workflow_id: str,
        *,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        created_at: float | str | None = None,
        folder_id: str = "",
        **fields: Any,
    ) -> None:
        """Add or replace a workflow; `fields` are those of `values.Workflow`, times are seconds or texts."""
        self._world.put_workflow(
            Workflow(
                id=workflow_id,
                folder_id=folder_id or self.folder_id,
                name=name,
                labels=tuple((labels or {}).items()),
                created_at=nanoseconds(created_at),
                **fields,
            )
        )

    def update_workflow(self, workflow_id: str, **changes: Any) -> None:
        """Change fields of `values.Workflow` of a living one; raises ValueError when there is none."""
        if "labels" in changes:
            changes["labels"] = tuple((changes["labels"] or {}).items())
        if "created_at" in changes:
            changes["created_at"] = nanoseconds(changes["created_at"])
        self._world.update_workflow(workflow_id, **changes)

    def remove_workflow(self, workflow_id: str) -> None:
        """Make a workflow unknown, and its executions with it."""
        self._world.remove_workflow(workflow_id, self._now())

    def add_stream(
        self,
        workflow_id: str,
        *,
        interval: float,
        seed: int | None = None,
        run: tuple[float, float] = (5.0, 60.0),
        failing: float = 0.2,
        stopped: float = 0.05,
        paused: float = 0.05,
        lag: tuple[float, float] = (0.0, 0.0),
        kept: int | None = None,
        queued: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Start an execution of this workflow every `interval` seconds from now on, for ever.

        A workflow that is not known is put. Ranges are (least, most) seconds, drawn evenly, and like all
        lives 1/`speed` as long: each waits `queued` and runs `run`; it is listed and found only `lag` after
        its startedAt. Shares are of all runs; one that pauses takes a quarter of the least run longer.
        `kept` None means that the API remembers all. Raises ValueError that names the parameter.
        """
        habits = Habits(queued, run, failing, stopped, paused, run[0] / 4, lag, kept, FAILURES + ODD_FAILURES)
        seed = self._birth.seed if seed is None else seed
        stream = Stream(workflow_id, interval, replace(self._birth, at=self._now(), seed=seed), habits)
        if self._world.workflow(workflow_id) is None:
            self.put_workflow(workflow_id, name=workflow_id, created_at=self._clock())
        self._world.add_stream(stream)

    def runs(self, workflow_id: str, *, until: float) -> tuple[Run, ...]:
        """Return what the API had shown of each execution by `until` (Unix seconds), removed ones too."""
        runs, _ = self._world.runs(workflow_id, int(nanoseconds(until) or 0))
        return tuple(runs)

    def truth(self, workflow_id: str, *, since: float, until: float) -> Truth:
        """Return what an exporter that had missed nothing would say; both in Unix seconds.

        What began or ended after `since` and not after `until`, and what is so at `until`.
        """
        after, by = int(nanoseconds(since) or 0), int(nanoseconds(until) or 0)
        runs, hidden = self._world.runs(workflow_id, by)
        return truth(runs, after, by, hidden)

    @property
    def token(self) -> str:
        """An IAM token that is good until tokens are revoked; then this is another."""
        return self._tokens.static

    @property
    def token_lifetime(self) -> float:
        """For how many seconds a token is issued; may be set."""
        return self._tokens.lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float) -> None:
        self._tokens.lifetime = seconds

    def revoke_tokens(self) -> None:
        """Make every token bad that was given so far, the static one included."""
        self._tokens.revoke()

    def create_key(self, directory: Path, name: str = "key.json") -> Path:
        """Write and register an authorized key; return its file."""
        return self._keys.create(directory / name)

    def revoke_keys(self) -> None:
        """Refuse every key that was created so far."""
        self._keys.revoke()

    @property
    def subject_token(self) -> str:
        """The OIDC token that the federation trusts."""
        return self._iam.subject_token

    def rotate_subject_token(self) -> str:
        """Trust another OIDC token instead, and return it."""
        head, payload, _ = self._iam.subject_token.split(".")
        self._iam.subject_token = f"{head}.{payload}.{secrets.token_urlsafe(32)}"
        return self._iam.subject_token

    @property
    def calls(self) -> tuple[Call, ...]:
        """The newest calls, oldest first; the faults' own endpoint is not among them."""
        return self._log.calls

    def count(self, method: str = "") -> int:
        """Return how many calls of this name there were, of any name without one."""
        return self._log.count(method)

    def clear_calls(self) -> None:
        """Forget the calls so far, and the peak."""
        self._log.clear()

    @property
    def in_flight(self) -> int:
        """How many calls are being answered."""
        return self._log.in_flight

    def wait_in_flight(self, number: int, timeout: float) -> bool:
        """Wait until exactly so many calls are being answered; False after `timeout` seconds."""
        return self._log.wait(number, timeout)

    @property
    def peak_in_flight(self) -> int:
        """The most calls that were being answered at once."""
        return self._log.peak_in_flight


def _world(birth: Birth, workflows: int, executions: int, folder_ids: tuple[str, str]) -> World:
    if executions <= 0:
        return World((), (), ())
    flows = population.workflows(workflows, folder_ids[0], birth.at)
    others = population.others(folder_ids[1], birth.at)
    plans = population.demo(birth, executions, [flow.id for flow in flows])
    streams = [*population.streams(flows, birth), *population.streams(others, birth)]
    return World(plans, [*flows, *others], streams)
