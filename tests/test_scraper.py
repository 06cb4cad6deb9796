"""Many targets, few workers, little time: what stalls, who waits for whom, and what everybody gets."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from conftest import ToldClock
from processes import until
from test_failures import TARGETS, by_id, scraper

from exporter.memory import Memory, Remembered
from exporter.outcome import Collection, ExecutionOutcome
from exporter.scraper import Scraper
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.targets import ExecutionTarget, Watched
from exporter.workers import Turns
from exporter.yandex.calls import Budget, CallRecord, SystemClock
from exporter.yandex.history import History

FLOW = "dfqworkflow"
STALLED = tuple(ExecutionTarget(f"dfq-stalled-{n}") for n in range(40))
PATIENT = 30.0
"""Seconds that no test takes: what ends earlier did not wait for its time to be over."""


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with twenty executions that run, and forty whose calls stall."""
    with Simulator(executions=0) as simulator:
        for target in (*TARGETS, *STALLED):
            simulator.put(target.id, status="RUNNING", started_at=1741622000.0, workflow_id=FLOW)
        for target in STALLED:
            simulator.faults.add(FaultRule(Fault.STALL, target=target.id))
        yield simulator


def collect(
    made: Scraper, targets: tuple[ExecutionTarget, ...], seconds: float, *, probe: bool = False
) -> Collection:
    """Collect within so many seconds."""
    return made.collect(Watched(targets), Budget.of(seconds, SystemClock()), probe=probe)


def read(collection: Collection) -> int:
    """Return how many of the twenty have data."""
    outcomes = by_id(collection)
    return sum(outcomes[target.id].success for target in TARGETS)


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """Return threads for what goes on beside."""
    with ThreadPoolExecutor(64) as pool:
        yield pool


@pytest.mark.parametrize("together", [True, False])
def test_probes_that_stall_take_nothing_from_the_scrape(
    cloud: Simulator, beside: ThreadPoolExecutor, *, together: bool
) -> None:
    """However many executions are probed, in one request or in forty, the configured ones are read."""
    made = scraper(cloud, concurrency=8)
    named = [STALLED] if together else [(target,) for target in STALLED]
    probes = [beside.submit(collect, made, targets, 0.4, probe=True) for targets in named]
    assert cloud.wait_in_flight(4, 5.0)
    assert read(collect(made, TARGETS, PATIENT)) == len(TARGETS)
    assert cloud.peak_in_flight <= 8
    assert not any(o.success for probe in probes for o in probe.result(10).executions)


def test_a_long_scrape_does_not_keep_a_probe_waiting_for_its_end(
    cloud: Simulator, beside: ThreadPoolExecutor
) -> None:
    """A probe has its turn while a scrape of many is under way."""
    made = scraper(cloud, concurrency=2)
    scrape: Future[Collection] = beside.submit(collect, made, STALLED, 8.0)
    assert cloud.wait_in_flight(2, 5.0)
    assert collect(made, TARGETS[:1], PATIENT, probe=True).executions[0].success
    assert not scrape.done()
    made.close()
    scrape.result(5)


def test_what_stalled_is_asked_for_last(cloud: Simulator) -> None:
    """As many stalled executions as there are workers cost the others one scrape, not every scrape."""
    made = scraper(cloud, concurrency=4)
    targets = (*STALLED[:4], *TARGETS)
    collect(made, targets, 0.3)
    for _ in range(3):
        assert read(collect(made, targets, 1.5)) == len(TARGETS)


def test_what_waited_longest_is_asked_for_first(cloud: Simulator, told_clock: ToldClock) -> None:
    """Where the time is never enough for all, each has its turn: here ten of twenty a scrape."""
    made = scraper(cloud, concurrency=1, clock=told_clock, rate=5.0)
    read = []
    for _ in range(4):
        collection = made.collect(Watched(TARGETS), Budget.of(2.0, told_clock))
        read.append({outcome.target.id for outcome in collection.executions if outcome.fresh})
        told_clock.now += 30
    assert [len(ids) for ids in read] == [10] * 4
    assert read[0] == read[2] == {target.id for target in TARGETS} - read[1]


def test_turns_are_taken_in_the_order_of_waiting(beside: ThreadPoolExecutor) -> None:
    """Who gives a turn back and wants another is behind those who wait; who gives up leaves no gap."""
    turns, order = Turns(1), list[int]()
    assert turns.acquire(0.0)
    assert not turns.acquire(0.01)
    started = [threading.Event() for _ in range(5)]

    def take(number: int) -> None:
        started[number].set()
        assert turns.acquire(PATIENT)
        order.append(number)
        turns.release()

    waiting = []
    for number in range(5):
        waiting.append(beside.submit(take, number))
        assert started[number].wait(5)
        until(lambda: turns.waiting > number)  # noqa: B023  # called before the next turn of the loop
    turns.release()
    for each in waiting:
        each.result(5)
    assert order == [0, 1, 2, 3, 4]
    assert turns.acquire(0.0)


def test_a_history_that_stalls_costs_its_steps_only(cloud: Simulator) -> None:
    """What was read of the execution is served, though the time was over before its history came."""
    cloud.faults.add(FaultRule(Fault.STALL, method="Execution.GetHistory"))
    collection = collect(scraper(cloud, max_steps=5, concurrency=20), TARGETS, 0.35)
    assert read(collection) == len(TARGETS)
    assert {(o.http_code, o.history, o.reason) for o in collection.executions} == {(200, None, "budget")}


def test_a_history_that_is_refused_is_refused_for_all(cloud: Simulator) -> None:
    """After a second 401 no more histories are asked for; what was read of the executions stays."""
    cloud.faults.add(FaultRule(Fault.STATUS, method="Execution.GetHistory", code=401))
    collection = collect(scraper(cloud, max_steps=5, concurrency=1), TARGETS, PATIENT)
    assert read(collection) == len(TARGETS)
    assert {o.reason for o in collection.executions} == {"unauthorized"}
    assert cloud.count("Execution.GetHistory") == 2


def test_a_refused_probe_does_not_hold_up_the_scrape(cloud: Simulator) -> None:
    """That one execution is refused to a probe makes nobody else suspect the token."""
    cloud.faults.add(FaultRule(Fault.STATUS, target="dfq-refused", code=401))
    made = scraper(cloud, concurrency=4)
    refused = collect(made, (ExecutionTarget("dfq-refused"),), PATIENT, probe=True)
    assert refused.executions[0].http_code == 401
    collection = collect(made, (STALLED[0], *TARGETS), 1.5)
    assert read(collection) == len(TARGETS)


def test_a_call_without_a_verdict_does_not_make_all_refused(cloud: Simulator) -> None:
    """When the one call that shall show whether a token is good again stalls, the others are asked."""
    cloud.faults.add(FaultRule(Fault.STATUS, code=401, times=2))
    made = scraper(cloud, concurrency=1)
    targets = TARGETS[:2]
    assert {o.http_code for o in collect(made, targets, 2.0).executions} == {401}
    cloud.faults.clear()
    cloud.faults.add(FaultRule(Fault.STALL, target=targets[1].id, times=1))
    outcomes = by_id(collect(made, targets, 2.0))
    assert (outcomes[targets[0].id].success, outcomes[targets[1].id].reason) == (True, "timeout")


def test_a_collection_joins_only_one_that_leaves_it_its_time(
    cloud: Simulator, beside: ThreadPoolExecutor
) -> None:
    """Who may take ten seconds does not settle for what somebody else wants to have in one."""
    made = scraper(cloud, concurrency=2)
    short = beside.submit(collect, made, STALLED[:1], 0.2)
    assert cloud.wait_in_flight(1, 5.0)
    cloud.faults.clear()
    assert collect(made, STALLED[:1], PATIENT).executions[0].success
    assert short.result(5).executions[0].reason == "budget"


def together(beside: ThreadPoolExecutor, cloud: Simulator, made: Scraper) -> list[Future[Collection]]:
    """Let eight collect the twenty at a time, which takes half a second."""
    cloud.faults.add(FaultRule(Fault.LATENCY, latency=0.5))
    begin = threading.Barrier(8)

    def one() -> Collection:
        begin.wait(PATIENT)
        return collect(made, TARGETS, PATIENT)

    return [beside.submit(one) for _ in range(8)]


def test_who_waits_for_a_collection_to_its_end_gets_the_same(
    cloud: Simulator, beside: ThreadPoolExecutor
) -> None:
    """It is put together once, not once for each of those who wait."""
    made = scraper(cloud, concurrency=20, timeout=PATIENT)
    assert len({id(each.result(PATIENT)) for each in together(beside, cloud, made)}) == 1
    assert cloud.count() == len(TARGETS)


def test_nobody_has_a_collection_before_it_was_counted(cloud: Simulator, beside: ThreadPoolExecutor) -> None:
    """So no page of a collection is without what the collection has added to the counters."""
    had, early = threading.Event(), list[bool]()
    made = scraper(cloud, concurrency=20, timeout=PATIENT, observe=[lambda _: early.append(had.wait(0.3))])
    waiting = together(beside, cloud, made)
    for each in waiting:
        each.add_done_callback(lambda _: had.set())
    assert all(each.result(PATIENT) for each in waiting)
    assert early == [False]


def test_who_has_less_time_than_the_collection_takes_gets_what_there_is(
    cloud: Simulator, beside: ThreadPoolExecutor
) -> None:
    """It is not kept waiting, and the other's collection is whole in the end."""
    made = scraper(cloud, concurrency=20, timeout=PATIENT)
    cloud.faults.add(FaultRule(Fault.STALL, target=TARGETS[0].id))
    patient = beside.submit(collect, made, TARGETS, PATIENT)
    assert until(lambda: cloud.in_flight == 1 and cloud.count() == len(TARGETS))
    hasty = collect(made, TARGETS, 0.1)
    assert (read(hasty), hasty.executions[0].reason) == (len(TARGETS) - 1, "budget")
    assert (cloud.count(), patient.done()) == (len(TARGETS), False)
    made.close()
    assert patient.result(5) is not hasty


def test_a_collection_that_cannot_be_counted_keeps_nobody_waiting(
    cloud: Simulator, beside: ThreadPoolExecutor
) -> None:
    """Who began it is told what broke; those who have joined get what was read."""

    def count(_: Collection) -> None:
        raise ValueError("the counter is broken")

    made = scraper(cloud, concurrency=20, timeout=PATIENT, observe=[count])
    ends = [each.exception(PATIENT) or read(each.result()) for each in together(beside, cloud, made)]
    assert sorted(map(str, ends)) == [*["20"] * 7, "the counter is broken"]


def test_the_end_waits_for_nobody(cloud: Simulator, beside: ThreadPoolExecutor) -> None:
    """Who waits for a collection when the process ends gets what there is at once."""
    made = scraper(cloud, concurrency=2)
    waiting = beside.submit(collect, made, STALLED, PATIENT)
    assert cloud.wait_in_flight(2, 5.0)
    made.close()
    assert {o.reason for o in waiting.result(5).executions} <= {"budget", "timeout"}


def test_the_latest_collection_is_that_of_the_same_targets_and_not_old(cloud: Simulator) -> None:
    """A probe, other targets or too many seconds are no latest collection."""
    made = scraper(cloud)
    assert made.latest(Watched(TARGETS), PATIENT) is None
    collection = collect(made, TARGETS, PATIENT)
    collect(made, TARGETS[:1], PATIENT, probe=True)
    latest = made.latest(Watched(TARGETS), PATIENT)
    assert latest is not None
    assert latest.executions is collection.executions
    assert made.latest(Watched(TARGETS), -1.0) is None
    assert made.latest(Watched(TARGETS[:1]), PATIENT) is None


def failed(name: str, asked: float) -> Remembered[ExecutionOutcome]:
    """Return the record of a call that failed."""
    return Remembered(ExecutionOutcome(ExecutionTarget(name), 0.0, reason="timeout"), asked, float("-inf"))


@pytest.mark.parametrize(("seconds", "place"), [(30.0, 19), (90.0, 0)])
def test_who_failed_once_is_behind_the_others_for_a_minute_only(
    cloud: Simulator, told_clock: ToldClock, seconds: float, place: int
) -> None:
    """Where the time is never enough for all, one failure does not put an execution last for ever."""
    memory = Memory[ExecutionOutcome]()
    made = scraper(cloud, memory, concurrency=1, clock=told_clock)
    made.collect(Watched(TARGETS), Budget.of(PATIENT, told_clock))
    bad = TARGETS[0].id
    memory.update(bad, lambda _: failed(bad, told_clock.now - seconds))
    told_clock.now += 1
    cloud.clear_calls()
    made.collect(Watched(TARGETS), Budget.of(PATIENT, told_clock))
    assert [call.target for call in cloud.calls].index(bad) == place


def test_a_scrape_under_way_does_not_undo_what_a_reload_asks_for(
    cloud: Simulator, beside: ThreadPoolExecutor
) -> None:
    """What it reads by the old configuration is read again by the new one, and not in an hour."""
    cloud.put("dfq-ended", status="FINISHED", started_at=1.0, duration=1.0, workflow_id=FLOW)
    cloud.faults.add(FaultRule(Fault.LATENCY, latency=0.3, times=1))
    memory, target = Memory[ExecutionOutcome](), (ExecutionTarget("dfq-ended"),)
    old = beside.submit(collect, scraper(cloud, memory), target, PATIENT)
    assert cloud.wait_in_flight(1, 5.0)
    memory.ask_all_again()
    assert old.result(5).executions[0].success
    assert collect(scraper(cloud, memory, max_steps=5), target, PATIENT).executions[0].history is not None


def test_the_end_is_the_end_of_every_collection(cloud: Simulator, beside: ThreadPoolExecutor) -> None:
    """Also of one that a later one has displaced, of a debugged probe, and of one that begins after it."""
    made = scraper(cloud, concurrency=8)
    seen: list[CallRecord] = []
    debugged = Budget.of(PATIENT, SystemClock(), (seen.append,))
    waiting = [
        beside.submit(collect, made, STALLED[:2], PATIENT / 2),
        beside.submit(collect, made, STALLED[:2], PATIENT),
        beside.submit(made.collect, Watched(STALLED[2:3]), debugged, probe=True),
    ]
    assert cloud.wait_in_flight(5, 5.0)
    made.close()
    for each in waiting:
        assert not any(outcome.success for outcome in each.result(5).executions)
    assert beside.submit(collect, made, TARGETS, PATIENT).result(5).executions[0].reason == "budget"


def test_a_scrape_does_not_join_a_probe(cloud: Simulator, beside: ThreadPoolExecutor) -> None:
    """It has the scrape's share of the calls, and is the latest collection."""
    made = scraper(cloud, concurrency=2)
    probe = beside.submit(collect, made, STALLED[:1], PATIENT, probe=True)
    assert cloud.wait_in_flight(1, 5.0)
    scrape = collect(made, STALLED[:1], PATIENT)
    assert (scrape.probe, probe.result(5).probe) == (False, True)
    latest = made.latest(Watched(STALLED[:1]), PATIENT)
    assert latest is not None
    assert latest.executions is scrape.executions


def test_what_was_never_sent_says_nothing_of_the_api(cloud: Simulator) -> None:
    """An outcome tells whether anybody was asked, so that `up` is judged by those only."""
    made = scraper(cloud, concurrency=1)
    outcomes = collect(made, (*STALLED[:1], *TARGETS), 0.2).executions
    assert [outcome.sent for outcome in outcomes] == [True] + [False] * len(TARGETS)


class Breaking(Memory[ExecutionOutcome]):
    """A memory with a fault of its own for one execution."""

    def update(
        self,
        target_id: str,
        make: Callable[[Remembered[ExecutionOutcome] | None], Remembered[ExecutionOutcome]],
        generation: int | None = None,
    ) -> ExecutionOutcome:
        """Break, or do what a memory does."""
        if target_id == TARGETS[0].id:
            raise RuntimeError("nobody foresaw this")
        return super().update(target_id, make, generation)


def test_what_breaks_in_an_unforeseen_way_costs_nobody_else_data_or_time(
    cloud: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are read, the page does not wait for its budget to be over, and the log has the reason."""
    collection = collect(scraper(cloud, Breaking()), TARGETS, PATIENT)
    outcomes = by_id(collection)
    assert {id_: o.reason for id_, o in outcomes.items() if not o.success} == {TARGETS[0].id: "bad_response"}
    assert collection.seconds < PATIENT / 2
    assert "nobody foresaw this" in caplog.text


def test_the_memory_forgets_what_was_used_least() -> None:
    """It holds so much, steps included, and twice as much as is watched at the least."""
    memory = Memory[ExecutionOutcome](size=2)

    def put(name: str, steps: int = 0) -> None:
        entries = [{"id": f"step-{n}"} for n in range(steps)]
        history = History.from_json({"execution": {"id": name}, "entries": entries}, steps)
        outcome = ExecutionOutcome(ExecutionTarget(name), 0.0, history=history)
        memory.update(name, lambda _: Remembered(outcome, 0.0, 0.0))

    def kept(names: str) -> str:
        return "".join(name for name in names if memory.get(name))

    for name in "ab":
        put(name)
    assert memory.get("a")
    put("c")
    assert kept("abc") == "ac"
    memory.reserve(4)
    put("d", steps=5)
    assert kept("acd") == "acd"
    put("e")
    assert kept("acde") == "cde"
    put("c", steps=7)
    assert kept("cde") == "c"


def test_two_who_write_at_once_lose_nothing() -> None:
    """A record is made of the one that is there when it is written."""
    memory = Memory[ExecutionOutcome]()
    together = threading.Barrier(8)

    def count(_: int) -> None:
        together.wait(10)
        for _ in range(200):
            memory.update(
                "a", lambda last: Remembered(ExecutionOutcome(ExecutionTarget("a"), 0.0), 0.0, _next(last))
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    record = memory.get("a")
    assert record is not None
    assert record.ask_after == 1600


def _next(last: Remembered[ExecutionOutcome] | None) -> float:
    return 1.0 + (last.ask_after if last else 0.0)
