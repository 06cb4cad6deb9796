"""A flight comes to an end, whatever its calls come to and in whatever order."""

from collections import deque

from conftest import ToldClock
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flight import GLIMPSE_SECONDS, Flight, Job
from exporter.outcome import Collection, ExecutionOutcome
from exporter.targets import ExecutionTarget, Target, Watched, WorkflowTarget
from exporter.yandex.calls import Budget
from exporter.yandex.errors import KINDS, ApiError, NotSent, Unauthorized
from exporter.yandex.models import Execution, Status

RUNNING = Execution("e", "w", Status.RUNNING, None, None, None, ())
UNAUTHORIZED = Unauthorized("the token is not accepted", 401)
COMES_TO = st.sampled_from([None, NotSent("no time"), UNAUTHORIZED, *(kind("it failed") for kind in KINDS)])
"""What a job may come to: data, or an error."""


def outcome(target: ExecutionTarget, error: ApiError | None) -> ExecutionOutcome:
    """Return what a call came to."""
    if error is None:
        return ExecutionOutcome(target, 0.0, execution=RUNNING, http_code=200, fresh=True)
    return ExecutionOutcome(target, 0.0, http_code=error.http_code, reason=error.reason)


class Crew:
    """Workers that take jobs and finish them in any order, each call coming to one of these errors.

    Each job may leave others, in the front or behind, while there are `spare` ones. It is checked at each
    taking that jobs come in their order, those behind when nothing else waits, and none after the finish.
    """

    def __init__(self, data: st.DataObject, flight: Flight, errors: list[ApiError | None]) -> None:
        self.data = data
        self.flight = flight
        self.errors = errors
        self.spare = 0
        self.taken: list[Job] = []
        self.ended: list[tuple[Job, ApiError | None]] = []
        self.most = 0
        self._asking: list[Job] = []
        self._front: deque[Job] = deque()
        self._behind: deque[Job] = deque()

    def enqueue(self, *targets: ExecutionTarget, behind: bool = False) -> None:
        """Give the flight a job for each of these."""
        jobs = [Job(target, Work(self, target)) for target in targets]
        if behind:
            self._behind.extend(jobs)
            self.flight.enqueue_behind(jobs)
        else:
            self._front.extend(jobs)
            self.flight.enqueue(jobs)

    def fly(self, limit: int, steps: int = 10_000) -> None:
        """Work until nobody is left who works, or so many steps are done."""
        idle = self.flight.hire(limit)
        for _ in range(steps):
            if idle and (not self._asking or self.data.draw(st.booleans())):
                idle -= 1
                self._take()
            elif self._asking:
                self._finish(self._asking.pop(self.data.draw(st.integers(0, len(self._asking) - 1))))
                idle += 1 + self.flight.hire(limit)
            else:
                return

    def finish(self) -> None:
        """Finish what is under way, in some order."""
        for job in self._asking:
            self._finish(job)

    @property
    def left(self) -> list[Job]:
        """The jobs that nobody took."""
        return [*self._front, *self._behind]

    def _take(self) -> None:
        job = self.flight.take()
        if job is not None:
            assert not self.flight.finished.is_set()
            assert job is (self._front or self._behind).popleft()
            self.taken.append(job)
            self._asking.append(job)
            self.most = max(self.most, len(self._asking))

    def _finish(self, job: Job) -> None:
        error = job.work(self.flight)
        self.flight.done(job, error)
        self.ended.append((job, error))


class Work:
    """What one job does: it may leave more jobs, notes an outcome, and returns its error."""

    def __init__(self, crew: Crew, target: ExecutionTarget) -> None:
        self._crew = crew
        self._target = target

    def __call__(self, flight: Flight) -> ApiError | None:
        """Do it."""
        crew, draw = self._crew, self._crew.data.draw
        for _ in range(draw(st.integers(0, min(2, crew.spare)))):
            crew.spare -= 1
            target = draw(st.sampled_from([self._target, ExecutionTarget(f"{crew.spare} more")]))
            flight.join([target])
            crew.enqueue(target, behind=draw(st.booleans()))
        error = draw(st.sampled_from(crew.errors))
        flight.note(outcome(self._target, error))
        return error


def targets(number: int) -> tuple[ExecutionTarget, ...]:
    """Return so many targets."""
    return tuple(ExecutionTarget(str(n)) for n in range(number))


def flight_of(watched: tuple[ExecutionTarget, ...], refusal: Unauthorized | None = None) -> Flight:
    """Return a flight whose time does not pass."""
    return Flight(Watched(watched), Budget.of(10.0, ToldClock()), 0.0, refusal=refusal)


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.integers(0, 12),
    st.integers(1, 5),
    st.lists(COMES_TO, min_size=1, max_size=4),
    st.booleans(),
)
def test_a_flight_ends_and_asks_for_each_target_once(
    data: st.DataObject, number: int, limit: int, errors: list[ApiError | None], suspicious: bool
) -> None:
    """Nobody is asked for twice or by too many; what is left out is left out because of a refusal."""
    watched = targets(number)
    flight = flight_of(watched, UNAUTHORIZED if suspicious else None)
    crew = Crew(data, flight, errors)
    crew.enqueue(*watched)
    crew.fly(limit)
    ids = [job.target.id for job in crew.taken]
    assert flight.finished.is_set()
    assert crew.most <= limit
    assert len(set(ids)) == len(ids)
    assert {t.id for t in watched if flight.outcome(t) is not None} == set(ids)
    assert (len(ids) == number) or flight.refusal is not None


@settings(max_examples=300, deadline=None)
@given(
    st.data(),
    st.integers(1, 4),
    st.integers(1, 5),
    st.lists(COMES_TO, min_size=1, max_size=4),
    st.booleans(),
)
def test_a_flight_whose_jobs_leave_more_jobs_ends_when_all_are_done(
    data: st.DataObject, number: int, limit: int, errors: list[ApiError | None], suspicious: bool
) -> None:
    """Each is done once, in its order; those behind wait for all others; only a refusal leaves any out."""
    flight = flight_of(targets(number), UNAUTHORIZED if suspicious else None)
    crew = Crew(data, flight, errors)
    crew.enqueue(*targets(number))
    crew.enqueue(*targets(data.draw(st.integers(0, number))), behind=True)
    crew.spare = data.draw(st.integers(0, 12))
    crew.fly(limit)
    assert flight.finished.is_set()
    assert crew.most <= limit
    assert len(crew.ended) == len(crew.taken)
    assert not crew.left or flight.refusal is not None


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 5), st.lists(COMES_TO, min_size=1, max_size=3))
def test_a_flight_is_not_finished_while_a_job_is_to_be_done(
    data: st.DataObject, number: int, limit: int, errors: list[ApiError | None]
) -> None:
    """Who waits for it has what the last job brings, also one that another job left, or one behind."""
    flight = flight_of(targets(number))
    crew = Crew(data, flight, [error for error in errors if not isinstance(error, Unauthorized)] or [None])
    crew.enqueue(*targets(number))
    crew.spare = 6
    crew.fly(limit, steps=data.draw(st.integers(0, 30)))
    assert flight.finished.is_set() == (not crew.left and len(crew.ended) == len(crew.taken))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(2, 12), st.integers(1, 5))
def test_a_bad_token_costs_no_more_calls_than_were_under_way_and_one(
    data: st.DataObject, number: int, limit: int
) -> None:
    """When every call is refused, and the flight after that begins with a single one."""
    first = flight_of(targets(number))
    crew = Crew(data, first, [UNAUTHORIZED])
    crew.enqueue(*targets(number // 2))
    crew.enqueue(*targets(number)[number // 2 :], behind=True)
    crew.fly(limit)
    assert len(crew.taken) <= limit + 1
    second = Crew(data, flight_of(targets(number), first.refusal), [UNAUTHORIZED])
    second.enqueue(*targets(number))
    second.fly(limit)
    assert len(second.taken) == 1


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 5), st.integers(0, 12), st.booleans())
def test_after_the_end_nothing_is_taken(
    data: st.DataObject, number: int, limit: int, steps: int, suspicious: bool
) -> None:
    """Not what waited, not what is left by jobs that were under way, not what comes later."""
    flight = flight_of(targets(number), UNAUTHORIZED if suspicious else None)
    crew = Crew(data, flight, [None, UNAUTHORIZED])
    crew.enqueue(*targets(number))
    crew.spare = 8
    crew.fly(limit, steps)
    flight.close()
    assert flight.finished.is_set()
    crew.finish()
    crew.enqueue(*targets(2))
    crew.enqueue(*targets(2), behind=True)
    assert flight.take() is None
    assert flight.finished.is_set()


@given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 8), st.booleans())
def test_work_finds_as_many_workers_as_it_may_have(
    front: int, behind: int, limit: int, suspicious: bool
) -> None:
    """Also what is behind is done by many at once; in doubt of the token there is one, and no second."""
    flight = flight_of(targets(6), UNAUTHORIZED if suspicious else None)
    nothing = [Job(target, lambda _: None) for target in targets(6)]
    flight.enqueue(nothing[:front])
    flight.enqueue_behind(nothing[:behind])
    hired = flight.hire(limit)
    assert hired == (1 if suspicious else min(limit, front + behind))
    assert hired + flight.hire(limit) <= (1 if suspicious else limit)


KNOWN = st.builds(ExecutionTarget, st.sampled_from("abc")) | st.builds(WorkflowTarget, st.sampled_from("abc"))


@given(st.lists(KNOWN, unique=True), st.lists(st.lists(KNOWN, unique=True)))
def test_who_joins_is_new_once(watched: list[Target], joining: list[list[Target]]) -> None:
    """A target that two folders show is followed once; an execution may have a workflow's ID."""
    executions = tuple(target for target in watched if isinstance(target, ExecutionTarget))
    workflows = tuple(target for target in watched if isinstance(target, WorkflowTarget))
    flight = Flight(Watched(executions, workflows), Budget.of(10.0, ToldClock()), 0.0)
    known: list[Target] = [*executions, *workflows]
    for found in joining:
        fresh = flight.join(found)
        assert fresh == [target for target in found if target not in known]
        known += fresh
    assert flight.targets() == tuple(known)


def test_who_is_watched_keeps_its_settings_when_a_folder_shows_it() -> None:
    """The expectation that somebody configured for a workflow is not lost to its folder."""
    mine = WorkflowTarget("a", 60.0)
    flight = Flight(Watched(workflows=(mine,)), Budget.of(10.0, ToldClock()), 0.0)
    assert flight.join([WorkflowTarget("a")]) == []
    assert flight.targets() == (mine,)


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 5), st.lists(COMES_TO, min_size=1, max_size=3))
def test_a_target_was_asked_for_if_a_job_of_it_was_sent(
    data: st.DataObject, number: int, limit: int, errors: list[ApiError | None]
) -> None:
    """Of what was never sent nothing is said of the API, and one call that was sent is a contact."""
    flight = flight_of(targets(number))
    crew = Crew(data, flight, errors)
    crew.enqueue(*targets(number))
    crew.enqueue(*targets(data.draw(st.integers(0, number))), behind=True)
    crew.fly(limit)
    sent = {job.target.id for job, error in crew.ended if not isinstance(error, NotSent)}
    assert {target.id for target in targets(number) if flight.asked(target)} == sent


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 5), st.lists(COMES_TO, min_size=1, max_size=3))
def test_a_target_whose_only_job_was_not_sent_was_not_asked_for(
    data: st.DataObject, number: int, limit: int, errors: list[ApiError | None]
) -> None:
    """An outcome that was not sent says nothing of the API."""
    flight = flight_of(targets(number))
    crew = Crew(data, flight, [*errors, NotSent("no time")])
    crew.enqueue(*targets(number))
    crew.fly(limit)
    sent = {job.target.id for job, error in crew.ended if not isinstance(error, NotSent)}
    assert {target.id for target in targets(number) if flight.asked(target)} == sent


def test_who_cannot_wait_sees_what_was_known_a_moment_ago(told_clock: ToldClock) -> None:
    """Many who ask for it at a time cost no more than one; half a second later it is put together anew."""
    flight = Flight(Watched(targets(1)), Budget.of(10.0, told_clock), told_clock.time())

    def put_together() -> Collection:
        return Collection((), told_clock.time(), 0.0)

    first = flight.glimpse(put_together)
    told_clock.now += GLIMPSE_SECONDS
    assert flight.glimpse(put_together) is first
    told_clock.now += 0.1
    assert flight.glimpse(put_together).started == told_clock.time()
