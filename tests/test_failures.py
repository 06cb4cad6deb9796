"""The table of failures, row by row: twenty executions, one of them bad in every way."""

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from conftest import ToldClock

from exporter.details import Details
from exporter.discovery import Discovery
from exporter.executions import Executions
from exporter.folders import Folders
from exporter.infos import Infos
from exporter.ledger import Ledger
from exporter.looks import Looks
from exporter.memory import Memory
from exporter.outcome import Collection, ExecutionOutcome
from exporter.patience import Patience
from exporter.scraper import Scraper
from exporter.simulator import Fault, FaultRule, Simulator
from exporter.targets import ExecutionTarget, Watched
from exporter.workflows import Workflows
from exporter.yandex.calls import Budget, Clock, Limits, SystemClock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.iam import IamAuth
from exporter.yandex.sources import StaticToken
from exporter.yandex.transport import Transport

BAD = "dfq-bad"
GOOD = tuple(f"dfq-good-{n}" for n in range(19))
TARGETS = tuple(ExecutionTarget(id_) for id_ in (*GOOD[:10], BAD, *GOOD[10:]))


@dataclass(frozen=True)
class Row:
    """A fault and what the contract says of it."""

    rule: FaultRule
    http_code: int
    reason: str
    calls: int


def fault(kind: Fault, **more: object) -> FaultRule:
    """Return a rule for the bad execution."""
    return FaultRule(kind, target=BAD, **more)  # type: ignore[arg-type]


ROWS = {
    "refuse": Row(fault(Fault.REFUSE), 0, "connection", 3),
    "reset": Row(fault(Fault.RESET), 0, "connection", 3),
    "reset in mid-body": Row(fault(Fault.RESET_MID_BODY), 0, "connection", 3),
    "truncated": Row(fault(Fault.TRUNCATED), 0, "connection", 3),
    "stall": Row(fault(Fault.STALL), 0, "timeout", 1),
    "dripping headers": Row(fault(Fault.DRIP_HEADERS, interval=0.05), 0, "timeout", 1),
    "dripping body": Row(fault(Fault.DRIP_BODY, interval=0.05), 0, "timeout", 1),
    "404": Row(fault(Fault.STATUS, code=404), 404, "not_found", 1),
    "403": Row(fault(Fault.STATUS, code=403), 403, "forbidden", 1),
    "429 without a hint": Row(fault(Fault.STATUS, code=429), 429, "rate_limited", 3),
    "429 for longer than the budget": Row(
        fault(Fault.STATUS, code=429, retry_after="3600"), 429, "rate_limited", 1
    ),
    "429 with a date": Row(
        fault(Fault.STATUS, code=429, retry_after="Fri, 31 Dec 2100 23:59:59 GMT"), 429, "rate_limited", 1
    ),
    "429 with nonsense": Row(fault(Fault.STATUS, code=429, retry_after="soon"), 429, "rate_limited", 3),
    "499": Row(fault(Fault.STATUS, code=499), 499, "server_error", 3),
    "500": Row(fault(Fault.STATUS, code=500), 500, "server_error", 3),
    "501": Row(fault(Fault.STATUS, code=501), 501, "server_error", 1),
    "503": Row(fault(Fault.STATUS, code=503), 503, "server_error", 3),
    "504": Row(fault(Fault.STATUS, code=504), 504, "server_error", 3),
    "400": Row(fault(Fault.STATUS, code=400), 400, "bad_request", 1),
    "418": Row(fault(Fault.STATUS, code=418), 418, "bad_request", 1),
    "a page for people": Row(fault(Fault.HTML), 200, "bad_response", 1),
    "not JSON": Row(fault(Fault.NOT_JSON), 200, "bad_response", 1),
    "no execution": Row(fault(Fault.NO_EXECUTION), 200, "bad_response", 1),
    "another execution": Row(fault(Fault.WRONG_ID), 200, "bad_response", 1),
    "too large": Row(fault(Fault.HUGE, size=2 << 20), 200, "bad_response", 1),
    "a redirect": Row(fault(Fault.REDIRECT, value="/elsewhere"), 302, "bad_response", 1),
}


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    """Return a cloud with twenty executions that run."""
    with Simulator(executions=0) as simulator:
        for target in TARGETS:
            simulator.put(target.id, status="RUNNING", started_at=1741622000.0, workflow_id="dfqworkflow")
        yield simulator


def scraper(
    cloud: Simulator,
    memory: Memory[ExecutionOutcome] | None = None,
    *,
    concurrency: int = 8,
    max_steps: int | None = None,
    clock: Clock | None = None,
    rate: float | None = None,
    timeout: float = 0.4,
    retries: int = 2,
    observe: Sequence[Callable[[Collection], None]] = (),
) -> Scraper:
    """Return a scraper over the simulator, with a short patience."""
    clock = clock or SystemClock()
    limits = Limits(timeout, rate, max_response_bytes=1 << 20, retries=retries, pool=concurrency)
    jitter = random.Random(1)
    transport = Transport(limits, clock, observe=lambda _: None, jitter=jitter)
    auth = IamAuth(StaticToken(cloud.token), clock, lambda _: None)
    client = WorkflowsClient(transport, auth, cloud.base_url)
    kept = memory or Memory[ExecutionOutcome]()
    discovery = Discovery()
    flows = workflows(client, discovery, clock, max_steps)
    return Scraper(
        Executions(client, kept, clock, max_steps=max_steps, jitter=jitter),
        flows,
        Folders(client, discovery, Memory(), clock, follow=flows.jobs),
        clock,
        concurrency=concurrency,
        observe=observe,
    )


def workflows(
    client: WorkflowsClient, discovery: Discovery, clock: Clock, max_steps: int | None
) -> Workflows:
    """Return what reads workflows, counting in memory only."""
    ledger = Ledger(None, lambda: None)
    return Workflows(
        client,
        Looks(client, ledger, clock, lookback=691200.0, window=3600.0, max_steps=max_steps),
        Details(client, ledger, Patience(clock), clock, max_steps=max_steps),
        infos=Infos(clock, random.Random(1)),
        discovery=discovery,
        ledger=ledger,
        memory=Memory(),
        clock=clock,
        window=3600.0,
    )


def collect(made: Scraper, seconds: float = 5.0) -> dict[str, ExecutionOutcome]:
    """Return the outcomes of one collection by execution."""
    return by_id(made.collect(Watched(TARGETS), Budget.of(seconds, SystemClock())))


def by_id(collection: Collection) -> dict[str, ExecutionOutcome]:
    """Return the outcomes of a collection by execution."""
    return {outcome.target.id: outcome for outcome in collection.executions}


@pytest.mark.parametrize("name", ROWS)
def test_one_bad_execution_is_told_and_costs_no_other_its_data(cloud: Simulator, name: str) -> None:
    """Code, reason and number of calls are those of the table, the other nineteen are whole."""
    row = ROWS[name]
    cloud.faults.add(row.rule)
    outcomes = collect(scraper(cloud))
    bad = outcomes[BAD]
    assert (bad.success, bad.http_code, bad.reason, bad.execution) == (False, row.http_code, row.reason, None)
    assert bad.message
    assert all(outcomes[id_].success and outcomes[id_].execution for id_ in GOOD)
    assert sum(call.target == BAD for call in cloud.calls) == row.calls


@pytest.mark.parametrize("name", [n for n in ROWS if n != "404"])
def test_an_execution_comes_back_at_the_next_scrape(cloud: Simulator, name: str) -> None:
    """What failed before is whole again when the fault is lifted."""
    made = scraper(cloud)
    cloud.faults.add(ROWS[name].rule)
    assert not collect(made)[BAD].success
    cloud.faults.clear()
    assert collect(made)[BAD].success


@pytest.mark.parametrize(
    ("kind", "unread"),
    [
        (Fault.UNKNOWN_STATUS, "status"),
        (Fault.BAD_DURATION, "duration"),
        (Fault.BAD_STARTED_AT, "started_at"),
    ],
)
def test_a_malformed_field_costs_that_field_only(cloud: Simulator, kind: Fault, unread: str) -> None:
    """The execution is read, the field is named."""
    cloud.faults.add(fault(kind))
    bad = collect(scraper(cloud))[BAD]
    assert bad.success
    assert bad.execution is not None
    assert bad.execution.unread == (unread,)


def test_a_refused_token_ends_the_asking(cloud: Simulator) -> None:
    """After a 401 nothing more is asked, and each target that was not asked says 401."""
    cloud.faults.add(FaultRule(Fault.STATUS, code=401))
    outcomes = collect(scraper(cloud, concurrency=2))
    assert {(o.success, o.http_code, o.reason) for o in outcomes.values()} == {(False, 401, "unauthorized")}
    assert cloud.count("Execution.Get") <= 4


@pytest.mark.parametrize("concurrency", [1, 2, 20])
def test_one_execution_that_answers_401_costs_no_other_its_data(cloud: Simulator, concurrency: int) -> None:
    """Even the first of all, with one call at a time: another call shows that the token is good."""
    first = TARGETS[0].id
    cloud.faults.add(FaultRule(Fault.STATUS, target=first, code=401))
    made = scraper(cloud, concurrency=concurrency)
    for _ in range(3):
        outcomes = collect(made)
        assert {id_ for id_, outcome in outcomes.items() if not outcome.success} == {first}
        assert (outcomes[first].http_code, outcomes[first].reason) == (401, "unauthorized")


@pytest.mark.parametrize("kind", [Fault.REFUSE, Fault.STALL])
def test_a_call_that_fails_otherwise_says_nothing_of_the_token(cloud: Simulator, kind: Fault) -> None:
    """A bad token costs few calls, though every other call breaks before it can be refused."""
    for target in TARGETS[::2]:
        cloud.faults.add(FaultRule(kind, target=target.id, times=3))
    cloud.faults.add(FaultRule(Fault.STATUS, code=401))
    outcomes = collect(scraper(cloud, concurrency=1))
    assert not any(outcome.success for outcome in outcomes.values())
    assert len({call.target for call in cloud.calls}) <= 4


def test_what_is_slow_is_not_told_to_be_refused(cloud: Simulator) -> None:
    """While calls are under way a refusal is no verdict: what they do not bring in time is late."""
    cloud.faults.add(FaultRule(Fault.STATUS, target=TARGETS[0].id, code=401))
    cloud.faults.add(FaultRule(Fault.STALL))
    outcomes = collect(scraper(cloud, concurrency=4), 0.3)
    assert outcomes[TARGETS[0].id].http_code == 401
    others = {(o.http_code, o.reason, o.sent) for id_, o in outcomes.items() if id_ != TARGETS[0].id}
    assert others == {(0, "budget", True), (0, "budget", False)}


def test_while_a_token_is_refused_one_execution_is_asked_for(cloud: Simulator) -> None:
    """A token that is bad costs one call a scrape, whatever the concurrency, until it is good again."""
    made = scraper(cloud, concurrency=20)
    cloud.faults.add(FaultRule(Fault.STATUS, code=401))
    collect(made)
    cloud.clear_calls()
    for _ in range(3):
        assert {o.http_code for o in collect(made).values()} == {401}
    assert cloud.count("Execution.Get") == 3
    cloud.faults.clear()
    assert all(outcome.success for outcome in collect(made).values())


def test_a_token_that_is_revoked_in_the_middle_ends_the_asking(cloud: Simulator) -> None:
    """What was read stays read, and no more than two calls find out that the token is bad."""
    for target in TARGETS[5:]:
        cloud.faults.add(FaultRule(Fault.STATUS, target=target.id, code=401))
    outcomes = collect(scraper(cloud, concurrency=1))
    assert [outcomes[t.id].success for t in TARGETS] == [True] * 5 + [False] * 15
    assert {outcomes[t.id].http_code for t in TARGETS[5:]} == {401}
    assert cloud.count("Execution.Get") == 5 + 2


def test_what_ended_does_not_wait_behind_what_stalls(cloud: Simulator) -> None:
    """With every worker held, an execution that is known costs no time and no failure."""
    cloud.put(TARGETS[-1].id, status="FINISHED", started_at=1.0, duration=1.0, workflow_id="dfqworkflow")
    made = scraper(cloud, concurrency=1)
    collect(made)
    cloud.faults.add(FaultRule(Fault.STALL))
    known = collect(made, seconds=0.2)[TARGETS[-1].id]
    assert (known.success, known.cached, known.reason, known.http_code) == (True, True, "", 200)


def test_what_ended_is_served_through_an_outage_and_costs_no_call(cloud: Simulator) -> None:
    """A terminal execution is read once; an unreachable cloud takes only what lives."""
    cloud.put(BAD, status="FINISHED", started_at=1741622000.0, duration=60.0, workflow_id="dfqworkflow")
    made = scraper(cloud)
    assert collect(made)[BAD].fresh
    cloud.faults.add(FaultRule(Fault.REFUSE))
    outcomes = collect(made)
    assert (outcomes[BAD].success, outcomes[BAD].cached, outcomes[BAD].http_code) == (True, True, 200)
    assert all(outcomes[id_].reason == "connection" and outcomes[id_].execution is None for id_ in GOOD)
    assert all(outcomes[id_].last_success is not None for id_ in GOOD)
    assert sum(call.target == BAD for call in cloud.calls) == 1


def test_a_missing_execution_is_not_asked_again_until_a_reload(cloud: Simulator) -> None:
    """A 404 costs one call in five minutes; a reload asks at once."""
    memory = Memory[ExecutionOutcome]()
    cloud.remove(BAD)
    made = scraper(cloud, memory)
    for _ in range(3):
        assert collect(made)[BAD].reason == "not_found"
    assert sum(call.target == BAD for call in cloud.calls) == 1
    cloud.put(BAD, status="RUNNING", workflow_id="dfqworkflow")
    memory.ask_missing_again()
    assert collect(made)[BAD].success


def test_a_stalled_cloud_cannot_hold_a_collection_past_its_budget(cloud: Simulator) -> None:
    """With every call stalled the collection ends when its time is over, and says budget."""
    cloud.faults.add(FaultRule(Fault.STALL))
    collection = scraper(cloud).collect(Watched(TARGETS), Budget.of(0.3, SystemClock()))
    assert collection.seconds < 1.0
    assert {o.reason for o in collection.executions} == {"budget"}


def test_collections_that_come_together_are_one(cloud: Simulator) -> None:
    """Sixty-four at a time make the calls of one and see the same."""
    cloud.faults.add(FaultRule(Fault.LATENCY, latency=0.2))
    made = scraper(cloud, concurrency=20)
    seen: list[dict[str, ExecutionOutcome]] = []
    together = threading.Barrier(64)

    def one() -> None:
        together.wait(10)
        seen.append(collect(made))

    threads = [threading.Thread(target=one) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 64
    assert all(o.success for outcomes in seen for o in outcomes.values())
    assert cloud.count("Execution.Get") == len(TARGETS)


def test_as_many_calls_as_the_concurrency_are_under_way(cloud: Simulator) -> None:
    """The number of workers bounds the calls in flight, and is made use of."""
    cloud.faults.add(FaultRule(Fault.LATENCY, latency=0.05))
    collect(scraper(cloud, concurrency=4))
    assert cloud.peak_in_flight == 4


ENDED = {"status": "FINISHED", "started_at": 1741622000.0, "duration": 60.0, "workflow_id": "dfqworkflow"}


@pytest.mark.parametrize(
    ("rule", "after", "calls"),
    [
        (FaultRule(Fault.STATUS, method="Execution.GetHistory", code=501, times=1), 0.0, 2),
        (FaultRule(Fault.HTML, method="Execution.GetHistory", times=1), 299.0, 1),
        (FaultRule(Fault.HTML, method="Execution.GetHistory", times=1), 301.0, 2),
    ],
)
def test_a_history_that_fails_costs_its_steps_only(
    cloud: Simulator, told_clock: ToldClock, rule: FaultRule, after: float, calls: int
) -> None:
    """The execution is read, the reason told; what may pass is tried at once, the rest after a while."""
    cloud.put(BAD, **ENDED)  # type: ignore[arg-type]
    made = scraper(cloud, max_steps=10, clock=told_clock)
    target = Watched((ExecutionTarget(BAD),))
    cloud.faults.add(rule)
    (first,) = made.collect(target, Budget.of(5.0, told_clock)).executions
    assert (first.success, first.http_code, first.history) == (True, 200, None)
    assert first.reason == ("server_error" if rule.kind is Fault.STATUS else "bad_response")
    assert first.message.startswith("history: ")
    told_clock.now += after
    (second,) = made.collect(target, Budget.of(5.0, told_clock)).executions
    assert (second.success, second.reason, second.history is not None) == (True, "", calls == 2)
    assert cloud.count("Execution.GetHistory") == calls


def test_what_ended_is_asked_for_again_about_hourly(cloud: Simulator, told_clock: ToldClock) -> None:
    """A deletion is noticed within seventy minutes, and not before fifty; then all its data is gone."""
    cloud.put(BAD, **ENDED)  # type: ignore[arg-type]
    made = scraper(cloud, clock=told_clock)

    def read() -> ExecutionOutcome:
        return made.collect(Watched((ExecutionTarget(BAD),)), Budget.of(5.0, told_clock)).executions[0]

    assert read().fresh
    cloud.remove(BAD)
    told_clock.now += 3000
    assert (read().success, cloud.count()) == (True, 1)
    told_clock.now += 1200
    gone = read()
    assert (gone.success, gone.execution, gone.http_code, gone.reason) == (False, None, 404, "not_found")
    told_clock.now += 299
    assert (read().reason, cloud.count()) == ("not_found", 2)
    told_clock.now += 2
    assert (read().reason, cloud.count()) == ("not_found", 3)


def test_a_recheck_that_fails_keeps_the_data_and_is_repeated_after_a_while(
    cloud: Simulator, told_clock: ToldClock
) -> None:
    """An outage at the wrong moment takes nothing that cannot change."""
    cloud.put(BAD, **ENDED)  # type: ignore[arg-type]
    made = scraper(cloud, clock=told_clock)

    def read() -> ExecutionOutcome:
        return made.collect(Watched((ExecutionTarget(BAD),)), Budget.of(5.0, told_clock)).executions[0]

    read()
    cloud.faults.add(FaultRule(Fault.STATUS, code=501))
    told_clock.now += 4200
    kept = read()
    assert (kept.success, kept.http_code, kept.reason) == (True, 501, "server_error")
    assert kept.execution is not None
    cloud.faults.clear()
    told_clock.now += 299
    assert read().cached
    told_clock.now += 2
    assert read().fresh


def test_a_changed_history_setting_reads_again_what_is_kept(cloud: Simulator) -> None:
    """Who switches histories on need not wait for the hourly recheck, and nothing is lost on the way."""
    cloud.put(BAD, **ENDED)  # type: ignore[arg-type]
    memory = Memory[ExecutionOutcome]()
    collect(scraper(cloud, memory))
    memory.ask_all_again()
    cloud.faults.add(FaultRule(Fault.REFUSE, times=len(TARGETS) * 3))
    assert collect(scraper(cloud, memory, max_steps=10))[BAD].success
    cloud.faults.clear()
    memory.ask_all_again()
    assert collect(scraper(cloud, memory, max_steps=10))[BAD].history is not None
