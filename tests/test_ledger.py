"""The counters equal the truth, in whatever order answers come and whatever happens to the process."""

import random
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.account import LONGEST_RUN, OVERLAP
from exporter.ledger import Ledger
from exporter.records import Facts, Look, Record
from exporter.standing import ACTIVE, Run, Standing
from exporter.statefile import Change, StateError, StateFile
from exporter.yandex.history import History, StepRun
from exporter.yandex.models import ErrorDetail, Execution, Status, Step, StepStatus
from exporter.yandex.workflows import Workflow, WorkflowState

NOW = 1_741_622_400.0
WINDOW = 3600.0
REACH = 8 * 86400.0
LATEST = OVERLAP - 100
"""Seconds after its start at which the latest execution of these tests becomes visible."""
W = "dfqworkflow"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - that a disk is slow is not what is tried here
CLASSES = ("STEP", "HTTP_CALL", "OTHER")


def execution(
    number: int, status: Status = Status.RUNNING, started: float | None = NOW, duration: float | None = None
) -> Execution:
    """Return an execution as a list shows it."""
    error = ErrorDetail("UNSPECIFIED", "OTHER") if status is Status.FAILED else None
    return Execution(f"{W}-{number}", W, status, started, duration, error, ())


def in_memory(size: int = 100) -> Ledger:
    """Return a ledger without a file."""
    return Ledger(None, lambda: None, size=size)


def looked(
    ledger: Ledger, *shown: Execution, now: float = NOW, again: bool = True, max_steps: int | None = None
) -> tuple[tuple[str, Record], ...]:
    """Let the ledger have a complete look of one page; return what it wants to know beside it."""
    look = ledger.look(W, now, reach=REACH, window=WINDOW, again=again)
    ledger.page(look, shown, max_steps)
    return ledger.complete(look, max_steps, now)


def standing(ledger: Ledger, now: float = NOW) -> Standing:
    """Return what a page would say."""
    return ledger.publish([W], now, WINDOW)[W]


@dataclass
class Life:
    """An execution of the truth: when it starts, is visible, ends, and of what class it fails."""

    id: str
    start: float
    visible: float
    end: float
    status: Status
    error_class: str

    def at(self, now: float, *, detailed: bool = False) -> Execution:
        """Return what the API says at a moment; only Execution.Get knows the error."""
        if now < self.end:
            status = Status.QUEUED if now < self.start + 1 else Status.RUNNING
            return Execution(self.id, W, status, self.start, None, None, ())
        failed = self.status is Status.FAILED
        known = ErrorDetail("CODE", self.error_class) if detailed else ErrorDetail("UNSPECIFIED", "OTHER")
        error = known if failed else None
        return Execution(self.id, W, self.status, self.start, self.end - self.start, error, ())


@dataclass
class Trial:
    """A cloud, an exporter that may be killed at any moment, and the truth to compare with."""

    path: Path
    chance: random.Random
    now: float = NOW
    clock_error: float = 0.0
    lives: list[Life] = field(default_factory=list)
    late: list[Execution] = field(default_factory=list)
    open_looks: list[tuple[Look, list[list[Execution]]]] = field(default_factory=list)
    first_look: float | None = None
    shown: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Start the exporter."""
        self.file = StateFile(self.path)
        self.ledger = Ledger(self.file, lambda: None)
        self.again = False

    def kill(self) -> None:
        """End the exporter without a goodbye; what it has not written is lost. Start it again."""
        self.file.close()
        self.open_looks.clear()
        self.open()

    @property
    def told(self) -> float:
        """What the exporter's clock says."""
        return self.now + self.clock_error

    def pass_time(self) -> None:
        """Let up to a quarter of an hour go by."""
        self.now += self.chance.choice((0.5, 5, 30, 200, 900)) * self.chance.random()

    def step_clock(self) -> None:
        """Let the exporter's clock jump, once something has been counted."""
        if self.first_look is not None:
            self.clock_error = self.chance.choice((0, -5, 60, -3600, 86400, -86400, 40_000_000))

    def start(self) -> None:
        """Start an execution or a few; some are over in no time, some become visible late."""
        for _ in range(self.chance.randint(1, 4)):
            lag = (
                0.0
                if self.first_look is None
                else self.chance.choice((0, 0, 3, LATEST)) * self.chance.random()
            )
            lasts = self.chance.choice((0.2, 20, 400, 5000)) * self.chance.random()
            status = self.chance.choice((Status.FINISHED, Status.FAILED, Status.STOPPED))
            id_ = f"{W}-{len(self.lives)}"
            self.lives.append(
                Life(id_, self.now, self.now + lag, self.now + lasts, status, self.chance.choice(CLASSES))
            )

    def visible(self, since: float) -> list[Execution]:
        """Return what a list shows, in no order."""
        seen = [life.at(self.now) for life in self.lives if life.visible <= self.now and life.start > since]
        self.chance.shuffle(seen)
        return seen

    def begin(self) -> tuple[Look, list[list[Execution]]]:
        """Ask for a list: its pages repeat a little of each other."""
        look = self.ledger.look(W, self.told, reach=REACH, window=WINDOW, again=self.again)
        look.served(float(int(self.now)), self.told)
        found = self.visible(look.since)
        size = self.chance.randint(1, 5) if self.first_look is not None else max(1, len(found))
        return look, [found[max(0, n - 1) : n + size] for n in range(0, len(found), size)] or [[]]

    def begin_another(self) -> None:
        """Begin a look beside others, of another scrape or a probe."""
        if self.first_look is not None and len(self.open_looks) < 3:
            self.open_looks.append(self.begin())

    def turn_page(self) -> None:
        """Let one of the looks under way have its next page, as it was when it was asked for."""
        if self.open_looks:
            look, pages = self.chance.choice(self.open_looks)
            self.ledger.page(look, pages.pop(0), None)
            if not pages:
                self.open_looks.remove((look, pages))
                self.ask(self.ledger.complete(look, None, self.told), look)

    def look(self, *, broken: bool = False) -> None:
        """Read the list page by page; perhaps not to its end, perhaps with late answers."""
        look, pages = self.begin()
        found = [execution for page in pages for execution in page]
        if broken:
            pages = pages[: len(pages) // 2]
        for page in pages:
            self.ledger.page(look, page, None)
        self.late += self.chance.sample(found, min(2, len(found)))
        if broken:
            return
        if self.first_look is None:
            self.first_look = self.now
        wanted = self.ledger.complete(look, None, self.told)
        self.again = True
        self.ask(wanted, look)

    def ask(self, wanted: tuple[tuple[str, Record], ...], look: Look) -> None:
        """Answer the calls beside the list, but for those that are lost on the way."""
        for id_, record in wanted:
            if self.chance.random() < 0.3 or (id_ in look.shown and not record.owes_class):
                continue
            life = next(life for life in self.lives if life.id == id_)
            self.ledger.learn(W, life.at(self.now, detailed=True), None)

    def stale_answers(self) -> None:
        """Let answers of long ago arrive only now, by another scrape's list and by a single call."""
        look = self.ledger.look(W, self.told, reach=REACH, window=WINDOW, again=True)
        for answer in self.late:
            if self.chance.random() < 0.5 and self.first_look is not None:
                self.ledger.page(look, [answer], None)
            elif answer.status is not Status.FAILED:
                self.ledger.learn(W, answer, None)
        self.late.clear()

    def page(self) -> None:
        """Show a page; no counter is lower than on any page before."""
        totals = self.ledger.publish([W], self.told, WINDOW)[W].totals
        for key, value in self.shown.items():
            assert totals.get(key, 0) >= value
        self.shown = Counter(dict(totals))

    def settle(self) -> None:
        """Wait until everything has ended and is known."""
        self.now = max([self.now, *(max(life.end, life.visible) for life in self.lives)]) + 1
        self.chance = random.Random(0)
        while self.open_looks:
            self.turn_page()
        for _ in range(20):
            self.look()
        self.page()

    def truth(self) -> Counter[tuple[str, ...]]:
        """Return what must have been counted."""
        assert self.first_look is not None
        since = [life for life in self.lives if life.end > self.first_look]
        counts: Counter[tuple[str, ...]] = Counter(("completed", life.status.name) for life in since)
        counts.update(("failures", life.error_class) for life in since if life.status is Status.FAILED)
        counts["started",] = sum(life.start > self.first_look for life in self.lives)
        return +counts


ACTS = (
    "start", "start", "pass_time", "pass_time", "look", "look", "broken", "page", "kill", "stale", "step",
    "begin", "turn", "turn", "turn",
)  # fmt: skip


def acted(trial: Trial, acts: list[str]) -> None:
    """Let these things happen."""
    deeds = {
        "start": trial.start,
        "pass_time": trial.pass_time,
        "look": trial.look,
        "broken": lambda: trial.look(broken=True),
        "page": trial.page,
        "kill": trial.kill,
        "stale": trial.stale_answers,
        "step": trial.step_clock,
        "begin": trial.begin_another,
        "turn": trial.turn_page,
    }
    for act in acts:
        deeds[act]()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(ACTS), max_size=60), st.integers(0, 2**32))
def test_whatever_ends_is_counted_exactly_once(acts: list[str], seed: int) -> None:
    """Over lost scrapes, half-read lists, late answers, kills and clocks that step."""
    with TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        trial = Trial(Path(folder) / "state.db", random.Random(seed))
        trial.start()
        trial.look()
        trial.page()
        trial.pass_time()
        acted(trial, acts)
        trial.settle()
        counted = {key: n for key, n in trial.shown.items() if key[0] in {"started", "completed", "failures"}}
        assert counted == trial.truth()
        ends = [life for life in trial.lives if trial.first_look and life.end > trial.first_look]
        nanos = sum(round((life.end - life.start) * 1e9) for life in ends)
        assert trial.shown["seconds", "sum"] == nanos
        trial.file.close()


def test_what_had_ended_before_the_first_look_is_not_counted_but_known() -> None:
    """It fills the last_* gauges; what was active then is counted when it ends."""
    ledger = in_memory()
    old = execution(1, Status.FINISHED, NOW - 5000, 50.0)
    bad = execution(2, Status.FAILED, NOW - 100, 10.0)
    looked(ledger, old, bad, execution(3, started=NOW - 20))
    first = standing(ledger)
    assert first.totals == {}
    assert first.last_completed == Run(Status.FAILED, NOW - 90, 10.0)
    assert (first.last_success, first.last_failure, first.last_started) == (NOW - 4950, NOW - 90, NOW - 20)
    looked(ledger, old, bad, execution(3, Status.FINISHED, NOW - 20, 30.0), now=NOW + 30)
    assert standing(ledger).totals["completed", "FINISHED"] == 1
    assert ("started",) not in standing(ledger).totals


def test_a_first_look_that_takes_several_pages_counts_what_ends_meanwhile() -> None:
    """What is on a later page and has ended after the look began was not terminal before it."""
    ledger = in_memory()
    look = ledger.look(W, NOW, reach=REACH, window=WINDOW, again=False)
    ledger.page(look, [execution(1, Status.FINISHED, NOW - 60, 60.5)], None)
    ended_meanwhile = execution(2, Status.STOPPED, NOW - 60, 63.0)
    ended_before = execution(3, Status.STOPPED, NOW - 60, 30.0)
    born_meanwhile = execution(4, Status.FINISHED, NOW + 1, 1.0)
    ledger.page(look, [ended_meanwhile, ended_before, born_meanwhile], None)
    ledger.complete(look, None, NOW + 5)
    totals = standing(ledger).totals
    assert totals["completed", "STOPPED"] == totals["completed", "FINISHED"] == totals["started",] == 1


def test_the_first_look_reaches_back_far_enough_for_whatever_may_still_run() -> None:
    """A short lookback does not hide an execution of 48 hours, nor the recent window."""
    assert in_memory().look(W, NOW, reach=60.0, window=60.0, again=False).since <= NOW - LONGEST_RUN
    assert in_memory().look(W, NOW, reach=REACH, window=60.0, again=False).since == NOW - REACH
    assert in_memory().look(W, NOW, reach=60.0, window=2 * REACH, again=False).since == NOW - 2 * REACH


def test_a_later_look_reaches_back_to_the_newest_start_less_the_overlap() -> None:
    """And one time, by each reader, over the recent window: after a restart that gauge is right at once."""
    ledger = in_memory()
    looked(ledger, execution(1, started=NOW - 50))
    since = [ledger.look(W, NOW, reach=REACH, window=WINDOW, again=again).since for again in (True, False)]
    assert since == [NOW - 50 - OVERLAP, NOW - WINDOW]


def test_a_start_in_the_future_does_not_blind_the_exporter() -> None:
    """The next lists do not begin in the year 9999."""
    ledger = in_memory()
    looked(ledger, execution(1, started=NOW + 1e9))
    looked(ledger, execution(2, started=NOW + 10), now=NOW + 20)
    looked(ledger, execution(2, Status.FINISHED, NOW + 10, 5.0), now=NOW + 40)
    assert standing(ledger).totals == {
        ("started",): 1,
        ("completed", "FINISHED"): 1,
        ("seconds", "5.0"): 1,
        ("seconds", "sum"): 5 * 10**9,
    }


def test_an_execution_without_a_start_is_counted_once_however_long_it_is_shown() -> None:
    """If it was seen before it ended; lists that leave it out, and old answers, do not make it new."""
    ledger = in_memory()
    looked(ledger)
    looked(ledger, execution(1, started=None))
    ended = execution(1, Status.STOPPED, None, 3.0)
    for hours in range(60):
        shown = [ended] if hours % 5 == 0 else []
        looked(ledger, *shown, now=NOW + hours * 3600)
        late = ledger.look(W, NOW, reach=REACH, window=WINDOW, again=True)
        ledger.page(late, [execution(1, started=None)], None)
    assert standing(ledger).totals["completed", "STOPPED"] == 1
    assert standing(ledger).totals["started",] == 1


def test_what_has_ended_and_never_started_is_no_news() -> None:
    """A list without a filter may show what was stopped long ago, before it started."""
    ledger = in_memory()
    looked(ledger)
    old = [execution(1, Status.STOPPED, None), execution(2, Status.FINISHED, None, 3.0)]
    for _ in range(2):
        look = ledger.look(W, NOW, reach=REACH, window=WINDOW, again=True)
        look.unfiltered = True
        ledger.page(look, old, None)
        ledger.complete(look, None, NOW)
        assert standing(ledger).totals == {}
    # The last list would have shown this one.
    looked(ledger, *old, execution(3, Status.STOPPED, None))
    assert standing(ledger).totals["completed", "STOPPED"] == 1


def test_a_first_look_goes_by_the_clock_of_the_cloud() -> None:
    """With a clock that is ahead, what had ended before is not taken for what ended meanwhile."""
    ahead = NOW + 20
    ledger = in_memory()
    look = ledger.look(W, NOW, reach=REACH, window=WINDOW, again=False)
    look.served(float(int(ahead)), NOW)
    ledger.page(look, [execution(1, Status.FINISHED, NOW - 60, 30.0)], None)
    ended_before = execution(2, Status.FINISHED, ahead - 10, 5.0)
    ended_meanwhile = execution(3, Status.FINISHED, ahead - 10, 12.0)
    ledger.page(look, [ended_before, ended_meanwhile], None)
    ledger.complete(look, None, NOW)
    late = execution(4, Status.FINISHED, ahead - 20, 10.0)
    fresh = execution(5, Status.FINISHED, ahead + 1, 1.0)
    looked(ledger, late, fresh, now=NOW + 30)
    assert standing(ledger).totals["completed", "FINISHED"] == 2
    assert standing(ledger).totals["started",] == 1


def test_what_is_remembered_is_what_a_later_list_may_show() -> None:
    """Ended executions are forgotten when the overlap and the recent window have passed them by."""
    ledger = in_memory()
    looked(ledger)
    for n in range(500):
        at = NOW + 60 * n
        looked(ledger, execution(n, Status.FINISHED, at, 1.0), now=at + 1)
    file = ledger._accounts[W]  # noqa: SLF001 - what is remembered shows nowhere
    assert len(file.records) <= (OVERLAP + WINDOW) / 60 + 2
    assert standing(ledger).totals["completed", "FINISHED"] == 500


def test_an_active_execution_that_is_not_found_twice_is_forgotten_and_not_counted() -> None:
    """It was deleted; it is neither active nor completed."""
    ledger = in_memory()
    looked(ledger, execution(1))
    ledger.miss(W, f"{W}-1")
    assert standing(ledger).active[Status.RUNNING].count == 0
    assert [id_ for id_, _ in looked(ledger, now=NOW + 60)] == [f"{W}-1"]
    ledger.miss(W, f"{W}-1")
    assert looked(ledger, now=NOW + 120) == ()
    assert ("completed", "FINISHED") not in standing(ledger).totals


def test_an_execution_that_was_not_found_and_is_shown_again_is_not_new() -> None:
    """Its start is not counted again, its end is."""
    ledger = in_memory()
    looked(ledger)
    looked(ledger, execution(1, started=NOW + 1))
    for _ in range(2):
        ledger.miss(W, f"{W}-1")
    looked(ledger, execution(1, started=NOW + 1), now=NOW + 60)
    assert standing(ledger).active[Status.RUNNING].count == 1
    looked(ledger, execution(1, Status.FINISHED, NOW + 1, 90.0), now=NOW + 120)
    assert standing(ledger).totals["started",] == standing(ledger).totals["completed", "FINISHED"] == 1


def test_a_failed_execution_is_counted_by_its_class_once_it_is_known() -> None:
    """The list does not say it; the call that does may come later, or never."""
    ledger = in_memory()
    looked(ledger, execution(1), execution(2))
    failed = [execution(n, Status.FAILED, NOW, 5.0) for n in (1, 2)]
    assert [record.owes_class for _, record in looked(ledger, *failed)] == [True, True]
    detail = replace(failed[0], error=ErrorDetail("STEP_TIMEOUT", "STEP"))
    for _ in range(3):
        ledger.learn(W, detail, None)
        ledger.give_up(W, failed[1].id)
    totals = standing(ledger).totals
    assert totals["failures", "STEP"] == totals["failures", "OTHER"] == 1
    assert looked(ledger, *failed) == ()


def test_what_is_given_up_is_not_new_again() -> None:
    """Lists go on showing it; its start is counted once, and what it comes to in the end as well."""
    ledger = in_memory()
    looked(ledger, now=NOW - 200_000)
    strange = execution(1, Status.UNKNOWN, NOW - 199_000)
    for minutes in range(5):
        looked(ledger, strange, now=NOW + 60 * minutes)
    assert standing(ledger).totals == {("started",): 1}
    assert looked(ledger, strange, now=NOW + 400) == ()
    looked(ledger, execution(1, Status.FINISHED, NOW - 199_000, 5.0), now=NOW + 500)
    assert standing(ledger).totals["completed", "FINISHED"] == standing(ledger).totals["started",] == 1


def test_a_list_read_over_several_scrapes_shows_what_has_no_start() -> None:
    """What is on a page of an earlier scrape is not forgotten, and so is not new again."""
    ledger = in_memory()
    looked(ledger)
    old = [execution(n, Status.STOPPED, None) for n in range(20)]
    for _ in range(40):
        look = ledger.look(W, NOW, reach=REACH, window=WINDOW, again=True)
        look.unfiltered = True
        ledger.page(look, old, None)
        look.shown.clear()
        ledger.page(look, [], None)
        ledger.complete(look, None, NOW)
    assert standing(ledger).totals == {}


def test_gauges_of_now() -> None:
    """How many are active, since when, and how many started lately, by status."""
    ledger = in_memory()
    looked(
        ledger,
        execution(1, Status.QUEUED, NOW - 10),
        execution(2, Status.RUNNING, NOW - 7000),
        execution(3, Status.RUNNING, NOW - 30),
        execution(4, Status.UNKNOWN, NOW - 5),
        execution(5, Status.FINISHED, NOW - 100, 1.0),
        execution(6, Status.FINISHED, NOW - 4000, 1.0),
    )
    now = standing(ledger)
    assert {s: (g.count, g.oldest) for s, g in now.active.items()} == {
        Status.QUEUED: (1, NOW - 10),
        Status.RUNNING: (2, NOW - 7000),
        Status.PAUSED: (0, None),
    }
    assert {s: n for s, n in now.recent.items() if n} == {
        Status.QUEUED: 1, Status.RUNNING: 1, Status.UNKNOWN: 1, Status.FINISHED: 1,
    }  # fmt: skip
    assert set(now.active) == set(ACTIVE)
    assert set(now.recent) == set(Status)


def history(*runs: StepRun) -> History:
    """Return a history of these runs."""
    steps = {run.step_id: Step(run.step_id, "title", "HttpCall", run.status, NOW, 1.0, 1) for run in runs}
    return History(tuple(steps.values()), (), 0, 0, 0, (), runs, ())


def test_steps_of_an_ended_execution_are_counted_once() -> None:
    """By step and status, with retries, errors and durations; what is over the limit is counted as such."""
    ledger = in_memory()
    looked(ledger, execution(1), max_steps=1)
    assert looked(ledger, execution(1, Status.FINISHED, NOW, 5.0), max_steps=1)[0][1].owes_steps
    runs = [
        StepRun("a", StepStatus.COMPLETED, "", 2, 0.3),
        StepRun("a", StepStatus.FAILED, "HTTP_CALL", 0, None),
        StepRun("b", StepStatus.COMPLETED, "", 0, 1.0),
    ]
    for _ in range(2):
        ledger.settle_steps(W, f"{W}-1", history(*runs), 1)
    now = standing(ledger)
    assert {key[1:]: n for key, n in now.totals.items() if key[0].startswith("step")} == {
        ("a", "COMPLETED"): 1, ("a", "FAILED"): 1, ("a",): 2, ("a", "HTTP_CALL"): 1, ("a", "0.5"): 1,
        ("a", "sum"): 300_000_000,
    }  # fmt: skip
    assert dict(now.steps) == {"a": ("HttpCall", "title")}
    assert now.steps_over_limit == 1


def test_a_page_shows_nothing_that_the_file_does_not_have(tmp_path: Path) -> None:
    """When the file cannot be written the counters stand still, and catch up when it can."""
    failures: list[None] = []
    path = tmp_path / "state.db"
    file = StateFile(path)
    ledger = Ledger(file, lambda: failures.append(None))
    looked(ledger, execution(1))
    standing(ledger)
    path.rename(tmp_path / "elsewhere")
    looked(ledger, execution(1, Status.FINISHED, NOW, 5.0))
    assert standing(ledger).totals == {}
    assert failures
    (tmp_path / "elsewhere").rename(path)
    assert standing(ledger).totals["completed", "FINISHED"] == 1
    file.close()
    assert StateFile(path).load()[W].totals["completed", "FINISHED"] == 1


class Stalling(StateFile):
    """A state file on a disk that takes its time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.goes_on = threading.Event()
        self.goes_on.set()

    def write(self, changes: Iterable[Change]) -> None:
        """Write when the disk goes on."""
        assert self.goes_on.wait(30)
        super().write(changes)


def test_a_disk_that_stalls_holds_up_no_page(tmp_path: Path) -> None:
    """The page shows what the file has; when the disk goes on, the next one has the rest, once."""
    failures: list[None] = []
    file = Stalling(tmp_path / "state.db")
    ledger = Ledger(file, lambda: failures.append(None))
    looked(ledger, execution(1), execution(2))
    assert standing(ledger).totals == {}
    file.goes_on.clear()
    looked(ledger, execution(1, Status.FINISHED, NOW, 5.0), execution(2))
    assert standing(ledger).totals == {}
    assert len(failures) == 1
    looked(ledger, execution(2, Status.FINISHED, NOW, 5.0))
    assert standing(ledger).totals == {}
    file.goes_on.set()
    assert ledger.publish([W], NOW, WINDOW, patience=30.0)[W].totals["completed", "FINISHED"] == 2
    ledger.close()
    assert StateFile(tmp_path / "state.db").load()[W].totals["completed", "FINISHED"] == 2


def test_a_restart_goes_on_where_the_last_page_was(tmp_path: Path) -> None:
    """What ended meanwhile is counted, what was counted is not, and the last_* gauges are there at once."""
    first = Ledger(StateFile(tmp_path / "state.db"), lambda: None)
    looked(first, execution(1), execution(2))
    looked(first, execution(1, Status.FINISHED, NOW, 5.0), execution(2), now=NOW + 10)
    before = standing(first, NOW + 10)
    first.close()
    second = Ledger(StateFile(tmp_path / "state.db"), lambda: None)
    assert standing(second, NOW + 10) == replace(before, exemplars={})
    looked(second, *(execution(n, Status.FINISHED, NOW, 5.0) for n in (1, 2)), now=NOW + 9000)
    assert standing(second).totals["completed", "FINISHED"] == 2


def test_what_a_folder_says_of_a_workflow_outlives_a_restart(tmp_path: Path) -> None:
    """So that its counters are on the page before the folder has been listed again."""
    workflow = Workflow(W, "b1g", "name", (("team", "x"),), WorkflowState.ACTIVE, True, NOW, None, ())  # noqa: FBT003
    first = Ledger(StateFile(tmp_path / "state.db"), lambda: None)
    looked(first)
    first.describe([workflow, replace(workflow, id="never-looked-at")])
    standing(first)
    first.close()
    (found,) = Ledger(StateFile(tmp_path / "state.db"), lambda: None).described()
    assert (found.id, found.folder_id, found.name, found.labels) == (W, "b1g", "name", (("team", "x"),))


FACTS = dict.fromkeys(Facts.__slots__) | {"looked": True, "steps": {}}
ROWS = (
    Change(W, facts={"looked": True}),
    Change(W, facts={**FACTS, "unheard": 1}),
    Change(W, facts={**FACTS, "steps": []}),
    Change(W, facts={**FACTS, "floor": "yesterday"}),
    Change(W, facts={**FACTS, "last_completed": [6, None, 1]}),
    Change(W, facts={**FACTS, "workflow": {"name": "no id"}}),
    Change(W, facts=FACTS, records={"e": (2, "yesterday", False, False, 0)}),
    Change(W, facts=FACTS, records={"e": (99, 1.0, False, False, 0)}),
    Change(W, facts=FACTS, records={"e": (2,)}),
)


@pytest.mark.parametrize("change", ROWS, ids=str)
def test_a_file_with_rows_that_mean_nothing_stops_the_start(change: Change, tmp_path: Path) -> None:
    """It is told with path, workflow and remedy, and nothing is overwritten."""
    file = StateFile(tmp_path / "state.db")
    file.write([change])
    before = file.load()
    with pytest.raises(StateError, match=r"state\.db, workflow dfqworkflow: not what .* move it") as told:
        Ledger(file, lambda: None)
    assert "\n" not in str(told.value)
    assert file.load() == before


def names(ledger: Ledger) -> Iterator[str]:
    """Return the workflows that a ledger remembers."""
    yield from ledger._accounts  # noqa: SLF001 - what is remembered shows nowhere


def test_workflows_that_nobody_has_looked_at_for_the_longest_are_forgotten(tmp_path: Path) -> None:
    """In memory and in the file, so that both are bounded."""
    file = StateFile(tmp_path / "state.db")
    ledger = Ledger(file, lambda: None, size=3)
    for n in range(5):
        look = ledger.look(f"w{n}", NOW, reach=REACH, window=WINDOW, again=True)
        ledger.page(look, [replace(execution(n), workflow_id=f"w{n}")], None)
        ledger.complete(look, None, NOW)
        ledger.publish([f"w{n}"], NOW, WINDOW)
    assert list(names(ledger)) == sorted(file.load()) == ["w2", "w3", "w4"]
