"""What Workflow.Get says of workflows: asked rarely, for the schedule above all."""

import logging
import random
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace

from exporter.cron import BadCron, Cron
from exporter.firings import Firings
from exporter.memory import FAILED_RECHECK
from exporter.yandex.calls import Budget, Clock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.errors import LASTING, ApiError, NotFound, NotSent
from exporter.yandex.workflows import Workflow

log = logging.getLogger(__name__)

INFO_AGE = 900.0
"""Seconds after which a workflow is asked for again."""
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Info:
    """What was last read of a workflow; `ask_after` is a monotonic instant, `error` that of the last call.

    `cron_since` is the Unix time at which another schedule was seen to be gone, None for the first one;
    `firings` are those that were worked out last.
    """

    ask_after: float
    workflow: Workflow | None = None
    cron: Cron | None = None
    cron_since: float | None = None
    firings: Firings | None = None
    error: ApiError | None = None

    @property
    def gone(self) -> bool:
        """Whether there is no such workflow."""
        return isinstance(self.error, NotFound)


class Infos:
    """The last Info of each workflow. Outlives a reload.

    `_lock` guards `_infos`, which holds at most 10,000.
    """

    def __init__(self, clock: Clock, jitter: random.Random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._infos: OrderedDict[str, Info] = OrderedDict()

    def get(self, workflow_id: str) -> Info | None:
        """Return what is known of a workflow."""
        with self._lock:
            info = self._infos.get(workflow_id)
            if info is not None:
                self._infos.move_to_end(workflow_id)
            return info

    def now(self, workflow_id: str) -> Info:
        """Return what is known of a workflow, with the firings of its schedule around this moment."""
        info, now = self.get(workflow_id) or Info(0.0), self._clock.time()
        if info.cron is None or (info.firings is not None and info.firings.hold(now)):
            return info
        info = replace(info, firings=Firings.of(info.cron, now))
        with self._lock:
            if (known := self._infos.get(workflow_id)) is not None and known.cron is info.cron:
                self._infos[workflow_id] = replace(known, firings=info.firings)
        return info

    def due(self, workflow_id: str) -> bool:
        """Whether it is time to ask for a workflow."""
        info = self.get(workflow_id)
        return info is None or self._clock.monotonic() >= info.ask_after

    def ask_missing_again(self) -> None:
        """Let those that could not be read be asked for at once."""
        with self._lock:
            for workflow_id, info in self._infos.items():
                if info.error is not None:
                    self._infos[workflow_id] = replace(info, ask_after=float("-inf"))

    def read(self, client: WorkflowsClient, workflow_id: str, budget: Budget) -> tuple[str, ...]:
        """Ask for a workflow; return the fields that could not be read. Raises ApiError."""
        last = self.get(workflow_id) or Info(0.0)
        try:
            workflow = client.workflow(workflow_id, budget)
        except ApiError as error:
            if isinstance(error, NotSent):
                raise
            pause = FAILED_RECHECK if isinstance(error, LASTING) else 0.0
            kept = Info(0.0) if isinstance(error, NotFound) else last
            self._put(workflow_id, replace(kept, ask_after=self._clock.monotonic() + pause, error=error))
            raise
        cron, problem = _cron(workflow)
        changed = last.workflow is not None and last.workflow.schedule != workflow.schedule
        since = self._clock.time() if changed else last.cron_since
        if problem and (last.workflow is None or changed):
            fields = {"workflow_id": workflow_id, "error": problem}
            log.warning("schedule cannot be read, and has no series", extra={"fields": fields})
        ask_after = self._clock.monotonic() + INFO_AGE * self._jitter.uniform(0.9, 1.1)
        self._put(workflow_id, Info(ask_after, workflow, cron, since))
        return workflow.unread + (("cron",) if problem else ())

    def _put(self, workflow_id: str, info: Info) -> None:
        with self._lock:
            self._infos[workflow_id] = info
            self._infos.move_to_end(workflow_id)
            while len(self._infos) > MOST:
                self._infos.popitem(last=False)


def _cron(workflow: Workflow) -> tuple[Cron | None, str]:
    """Return the schedule, and what is wrong with it."""
    if workflow.schedule is None:
        return None, ""
    try:
        return Cron.parse(workflow.schedule.expression, workflow.schedule.timezone), ""
    except BadCron as error:
        return None, str(error)
