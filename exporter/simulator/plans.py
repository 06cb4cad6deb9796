"""The life of one execution as a plan: every state is a pure function of the time.

A plan is a list of phases. What the execution is at a moment, what its history says and how long it has
run are all derived from it, so nothing has to be moved along by a thread.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from exporter.simulator.values import TERMINAL, Entry, Execution, Failure, Status


@dataclass(frozen=True, slots=True)
class Phase:
    """From `at` on (nanoseconds) the execution is in this state."""

    at: int
    status: Status


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the specification: from `begin` to `end`, as shares of the time that it is running."""

    id: str
    type: str
    begin: float
    end: float
    title: str = ""
    attempts: int = 1


STEPS = (
    Step("fetch_order", "HttpCall", 0.0, 0.15, "Fetch order"),
    Step("each_item", "Foreach", 0.15, 0.45, "For each item"),
    Step("send_item", "HttpCall", 0.15, 0.25, "Send item"),
    Step("send_item", "HttpCall", 0.25, 0.35, "Send item", attempts=3),
    Step("send_item", "HttpCall", 0.35, 0.45, "Send item"),
    Step("reserve", "FunctionCall", 0.45, 0.7, "Reserve stock"),
    Step("charge", "GRPCCall", 0.7, 1.0, "Charge (оплата)", attempts=2),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """An execution that lives. `failure` is how it ends if the last phase is FAILED.

    It is told of from `visible_at` on (nanoseconds), and not before its first phase. `final` may hold what
    its preview is for ever once it has ended.
    """

    id: str
    workflow_id: str
    phases: tuple[Phase, ...]
    failure: Failure | None = None
    steps: tuple[Step, ...] = STEPS
    visible_at: int = 0
    final: Execution | None = None

    def at(self, now: int) -> Execution | None:
        """Return the execution at a moment; None before it is told of."""
        brief, last = self.preview(now), self._phase(now)
        if brief is None or last is None:
            return None
        return replace(brief, history=tuple(self._entries(last, now)))

    def preview(self, now: int) -> Execution | None:
        """Return the execution at a moment without its history, which costs far more than the rest."""
        if now < self.visible_at:
            return None
        if self.final is not None and now >= self.phases[-1].at:
            return self.final
        last = self._phase(now)
        if last is None:
            return None
        return Execution(
            id=self.id,
            workflow_id=self.workflow_id,
            status=last.status,
            started_at=self.phases[0].at,
            duration=self._duration(last),
            error=self.failure if last.status is Status.FAILED else None,
        )

    def _phase(self, now: int) -> Phase | None:
        """Return the phase it is in; None before the first."""
        return next((phase for phase in reversed(self.phases) if phase.at <= now), None)

    def _duration(self, last: Phase) -> int | None:
        if last.status in TERMINAL:
            return last.at - self.phases[0].at
        if last.status is Status.PAUSED:
            return sum(min(end, last.at) - begin for begin, end in self._running() if begin < last.at)
        return None

    def _running(self) -> list[tuple[int, int]]:
        """Return the intervals in which it runs."""
        return [(a.at, b.at) for a, b in pairwise(self.phases) if a.status is Status.RUNNING]

    def _moment(self, share: float) -> int:
        """Return when this share of its running time is over."""
        intervals = self._running()
        left = int(sum(end - begin for begin, end in intervals) * share)
        for begin, end in intervals:
            if left <= end - begin:
                return begin + left
            left -= end - begin
        return intervals[-1][1]

    def _entries(self, last: Phase, now: int) -> Iterator[Entry]:
        """Yield the steps that have begun and the one that is next."""
        if not self._running():
            return
        for step in self.steps:
            begin, end = self._moment(step.begin), self._moment(step.end)
            if begin <= now and last.status is not Status.QUEUED:
                yield self._begun(step, begin, end, last, now)
            elif last.status not in TERMINAL:
                yield Entry(step.id, step.type, "SCHEDULED", step.title, attempts=0)
                return

    def _begun(self, step: Step, begin: int, end: int, last: Phase, now: int) -> Entry:
        retried = Failure("HTTP_CALL_503", "the first attempt was answered with 503")
        entry = Entry(step.id, step.type, "STARTED", step.title, started_at=begin, attempts=step.attempts)
        if step is self.steps[-1] and end <= now and last.status is Status.STOPPED:
            return replace(entry, status="CANCELLED", attempts=1)
        if step is self.steps[-1] and end <= now and last.status is Status.FAILED:
            entry = replace(entry, status="FAILED", duration=end - begin, attempts=3)
            return replace(entry, error=self.failure, last_error=self.failure)
        if step.attempts > 1:
            entry = replace(entry, last_error=retried)
        if end > now:
            return entry
        return replace(entry, status="COMPLETED", duration=end - begin, output_json='{"ok":true}')
