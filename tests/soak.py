"""Thousands of scrapes over a cloud that lives, with all that can happen: what an exporter takes, and counts.

`python tests/soak.py --scrapes 5000 --seed 7`, or `make soak`. It exits with 0 if memory, threads and open
files stayed as they were, no counter ever fell, and at the end every counter is the truth.
"""

import argparse
import contextlib
import dataclasses
import http.client
import os
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import processes
import tally
from lifetimes import Life, lived
from siege import Footprint
from steadiness import NOISE, Moment, complaints, table
from upsets import FLOWS, WATCHED, Files, Upset, Upsets, populate
from visitors import Door, Page, Samples, Visit

from exporter.simulator import Simulator

MOST_PROBLEMS: Final = 20
"""After so many there is no point in going on."""
SETTLE_SECONDS: Final = 30.0
REST_SECONDS: Final = 10.0
QUIET_THREADS: Final = 5
"""At rest: the main one, those of reloads, the server and the state, and the one that tells from within."""
SAY_SECONDS: Final = 5.0
SHORT_NOISE: Final = {"used": 512.0, "blocks": 8000.0, "resident": 24 * 1024.0}
"""By so much a life may grow that is too short for memory to find its size."""
FEWEST_RESTS: Final = 5
LONG_LIFE: Final = 0.7
"""The share of the scrapes that one exporter lives through, whose memory is judged."""
FAILURES: Final = (AssertionError, OSError, http.client.HTTPException)
UNFORESEEN: Final = ("Traceback", "unforeseen", "could not be made")
"""What no log may have."""
DOORS: Final = (("tls", "tls, users"), (), ("open", "users"))
"""The doors that the lives have by and by; whether TLS is spoken is settled at the start."""
PROBED: Final = (
    *(f"workflow_id={flow}" for flow in FLOWS),
    *(f"execution_id={id_}" for id_ in WATCHED[:5]),
    f"execution_id={WATCHED[5]}&execution_id={WATCHED[6]}&workflow_id={FLOWS[1]}",
)


@dataclasses.dataclass
class Clock:
    """The time of the cloud, until it is stopped; then nothing happens there any more."""

    stopped: float | None = None

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.stopped or time.time()


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """How much is done: scrapes in all, in one visit, and between two moments of rest; killed lives.

    Each workflow starts a run every `interval` seconds; after `seconds` it comes to its end.
    """

    scrapes: int
    visit: int = 20
    rest: int = 100
    kills: int = 10
    interval: float = 4.0
    seconds: float = float("inf")
    noise: Mapping[str, float] = dataclasses.field(default_factory=lambda: NOISE)

    @classmethod
    def of(cls, scrapes: int) -> "Size":
        """Return a size that fits a number of scrapes."""
        if scrapes >= 2000:
            return cls(scrapes, kills=scrapes // 250)
        rest = round(scrapes * LONG_LIFE / FEWEST_RESTS)
        return cls(scrapes, visit=10, rest=rest, kills=4, interval=1.0, noise=SHORT_NOISE)


@dataclasses.dataclass
class Report:
    """What came of it."""

    done: Counter[str] = dataclasses.field(default_factory=Counter)
    moments: list[Moment] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    slowest: float = 0.0
    compared: int = 0

    def text(self) -> str:
        """Return it for people."""
        done = ", ".join(f"{number} {what}" for what, number in sorted(self.done.items()))
        lines = [table(self.moments), done, f"{self.compared} counters compared with the truth at the end"]
        lines += [f"the slowest page took {self.slowest:.2f} s", *(f"PROBLEM {p}" for p in self.problems)]
        return "\n".join(lines)


class Highest:
    """The highest that each counter was on any page so far. `_lock` guards `_kept`, which is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: Samples = {}

    def seen(self) -> Samples:
        """Return it; nobody changes what is returned."""
        return self._seen

    def add(self, found: Samples) -> None:
        """Take the counters of a page."""
        with self._lock:
            self._seen = {**self._seen, **{k: v for k, v in found.items() if v > self._seen.get(k, -1.0)}}

    def restart(self) -> None:
        """Forget what no exporter keeps over its end."""
        with self._lock:
            self._seen = {key: value for key, value in self._seen.items() if tally.is_kept(key)}


class Soak:
    """One exporter after the other over one cloud and one state file."""

    def __init__(
        self, folder: Path, size: Size, seed: str, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.report = Report()
        self._folder = folder
        self._size = size
        self._seed = seed
        self._say = say
        self._dice = random.Random(seed)
        self._clock = Clock()
        self._highest = Highest()
        self._cloud = Simulator(port=processes.free_port(), executions=0, clock=self._clock)
        self._port = processes.free_port()
        self._since = 0.0
        self._began = self._said = time.monotonic()
        self._scraped = self._lives = 0
        self._unseen = False
        self._upset = "nothing"
        self._base: Counter[tuple[str, int]] = Counter()

    def run(self) -> Report:
        """Do it all, or as much as problems leave."""
        with self._cloud:
            populate(self._cloud)
            self._files = Files(self._folder, self._cloud, Door(self._port))
            self._upsets = Upsets(self._cloud, self._files, self._seed)
            self._live(self._first_look)
            short = int(self._size.scrapes * (1 - LONG_LIFE) / self._size.kills)
            for number in range(self._size.kills):
                self._live(lambda life: self._until_killed(life, short), DOORS[number % len(DOORS)])
            self._live(self._for_long, DOORS[0])
            self._live(self._at_last)
            self.report.done["faults"] = self._upsets.struck.total()
            self.report.done["kinds of faults"] = sum(times > 0 for times in self._upsets.struck.values())
        return self.report

    def _live(self, what: Callable[[Life], None], doors: Sequence[str] = ()) -> None:
        """Let an exporter live for this, and then it ends."""
        if len(self.report.problems) > MOST_PROBLEMS:
            return
        self._lives += 1
        self._scraped = 0
        self._highest.restart()
        self._upsets.calm()
        self._begin_to_compare(Counter())
        door = self._files.write_web(doors[0] if doors else "open")
        flags = [f"--web.config.file={self._files.web}"] if doors else []
        folder = self._folder / f"life-{self._lives}"
        with lived(folder, door, f"--config.file={self._files.config}", *flags, doors=doors) as life:
            self._upsets.life = life
            try:
                what(life)
                if not life.is_over:
                    self._claim(life.end() == 0, "SIGTERM did not end it with 0")
                    self.report.done["ends"] += 1
            except FAILURES as error:
                where = "".join(traceback.format_tb(error.__traceback__)[-4:])
                self.report.problems.append(f"life {self._lives}, {self._upset}: {error!r}\n{where}")
            self._look_back(life)

    def _look_back(self, life: Life) -> None:
        self.report.done["reloads"] += life.reloads
        self.report.done["refused reloads"] += life.refusals
        log = life.log.read_text(errors="replace")
        for word in UNFORESEEN:
            at = log.find(word)
            self._claim(at < 0, f"the log of life {self._lives}: {log[max(0, at - 200) : at + 1500]}")

    def _first_look(self, life: Life) -> None:
        """Let it see the workflows while nothing runs, so that all is counted from now on."""
        seen = [f'yc_workflow_scrape_success{{workflow_id="{flow}"}}' for flow in FLOWS]
        processes.until(lambda: all(life.page().get(key) == 1 for key in seen))
        self._since = time.time()
        for number, flow in enumerate(FLOWS):
            self._cloud.add_stream(
                flow, interval=self._size.interval, seed=number, run=(0.1, 6.0), failing=0.3, lag=(0.0, 1.0)
            )

    def _until_killed(self, life: Life, scrapes: int) -> None:
        while self._scraped < scrapes - self._size.visit and not self._is_late():
            self._visit(life)
        self._visit(life, kill=True)
        self.report.done["kills"] += 1

    def _for_long(self, life: Life) -> None:
        rest = 0
        while self._scraped < self._size.scrapes * LONG_LIFE and not self._is_late():
            self._visit(life)
            if self._scraped >= rest:
                self._rest(life)
                rest = self._scraped + self._size.rest
            if len(self.report.problems) > MOST_PROBLEMS:
                return
        self.report.problems += complaints(self.report.moments, self._size.noise)

    def _at_last(self, life: Life) -> None:
        """Stop the time of the cloud, and let everything be the truth."""
        until = self._clock.stopped = time.time()
        page = life.page()
        expected: dict[str, Samples] = {}
        for flow in FLOWS:
            ended = [
                run
                for run in self._cloud.runs(flow, until=until)
                if run.ended is not None and self._since * 1e9 < run.ended
            ]
            truth = self._cloud.truth(flow, since=self._since, until=until)
            steps = tally.steps_counted(tally.entries_of(self._cloud, ended), flow, page)
            expected[flow] = {**tally.runs_counted(truth, flow, page), **steps}
        self.report.compared = sum(len(each) for each in expected.values())
        self.report.done["runs"] = sum(
            int(value) for each in expected.values() for key, value in each.items() if "started_total" in key
        )

        def wrong() -> list[str]:
            page = life.page()
            return [w for f in FLOWS for w in tally.differing(tally.of_workflow(page, f), expected[f])]

        self._settle(wrong, "at the end")

    def _is_late(self) -> bool:
        return time.monotonic() - self._began > self._size.seconds

    def _claim(self, is_so: bool, problem: str) -> None:
        if not is_so:
            self.report.problems.append(problem)

    def _settle(self, wrong: Callable[[], list[str]], when: str) -> None:
        """Wait until nothing is wrong any more, or say what is."""
        found: list[str] = []

        def is_right() -> bool:
            found[:] = wrong()
            return not found

        try:
            processes.until(is_right, SETTLE_SECONDS, every=0.2)
        except AssertionError:
            self.report.problems += [f"life {self._lives}, {when}: {each}" for each in found[:5]]

    def _visit(self, life: Life, *, kill: bool = False) -> None:
        """Let visitors come, and something happen amid."""
        upset = self._upsets.draw()
        first, *amid, last = upset.steps
        self._upset = upset.name
        self._unseen = self._unseen or upset.unseen
        visit = Visit(
            life.door, self._size.visit, PROBED, before=self._highest.seen, take=self._take,
            seed=f"{self._seed} {self._dice.random()}",
        )  # fmt: skip
        first()
        visit.door = life.door
        with visit:
            if kill:
                amid = [*amid[: self._dice.randint(0, len(amid))], lambda: self._kill(life, visit)]
            for number, step in enumerate(amid, start=1):
                visit.reached(self._size.visit * number // (len(amid) + 1))
                step()
        last()
        self._take_leave(life, visit, upset, killed=kill)

    def _take_leave(self, life: Life, visit: Visit, upset: Upset, *, killed: bool) -> None:
        scraped, passed = visit.done
        self._scraped += scraped
        self.report.done["scrapes"] += scraped
        self.report.done["passers-by"] += passed
        self.report.done["upsets"] += 1
        found = visit.failures
        if life.is_over and not killed:
            found.append(f"it has ended by itself with {life.process.returncode}")
        where = f"life {self._lives}, after {self._scraped} scrapes, {upset.name}"
        self.report.problems += [f"{where}: {each}" for each in found[:3]]
        if time.monotonic() - self._said > SAY_SECONDS:
            self._said = time.monotonic()
            seconds, done = self._said - self._began, self.report.done
            self._say(f"{seconds:5.0f} s, life {self._lives}, {done['scrapes']} scrapes; {upset.name}")

    def _kill(self, life: Life, visit: Visit) -> None:
        """Kill it in the midst of a scrape, at its end, or when it is over."""
        visit.forgive()
        self._cloud.wait_in_flight(self._dice.randint(0, 3), self._dice.random() / 4)
        life.kill()

    def _take(self, page: Page) -> None:
        """Take a page of a visitor's; this is done by his thread."""
        found = tally.counters(page.samples)
        self._highest.add(found)
        self.report.slowest = max(self.report.slowest, page.seconds)
        for each in tally.fallen(found, page.before)[:3]:
            self.report.problems.append(f"life {self._lives}: {each}")

    def _begin_to_compare(self, counted: Counter[tuple[str, int]]) -> None:
        self._cloud.clear_calls()
        self._base = counted
        self._unseen = False

    def _compare(self, life: Life, when: str, *, codes: bool) -> None:
        """Hold the calls that were counted against those that the cloud saw, and begin anew."""
        counted: Counter[tuple[str, int]] = Counter()

        def wrong() -> list[str]:
            counted.clear()
            counted.update(tally.calls_counted(life.values(f"{tally.OWN}api_requests_total")))
            told, seen = counted - self._base, tally.calls_logged(self._cloud)
            if codes:
                return [] if told == seen else [f"calls counted {told - seen}, seen {seen - told}"]
            one, other = tally.by_method(told), tally.by_method(seen)
            return [] if one == other else [f"calls counted {one}, seen {other}"]

        if self._unseen:
            counted.update(tally.calls_counted(life.values(f"{tally.OWN}api_requests_total")))
        else:
            self._settle(wrong, when)
            self.report.done["comparisons of calls"] += 1
        self._begin_to_compare(counted)

    def _rest(self, life: Life) -> None:
        """Let all be well for a moment: whatever was missed is made up for, and nothing is left behind."""
        where = f"at rest after {self._scraped} scrapes"
        self._compare(life, f"{where}, calls", codes=False)
        self._upsets.calm()
        self._files.write(patient=True)
        life.reload()
        began = time.time()
        self._settle(lambda: self._untrue(life, began), where)
        self._compare(life, f"{where}, calls by code", codes=True)
        self._files.write()
        life.reload()
        self._wait_for_quiet(life)
        moment = Moment.of(life.pid, life.in_use, self._scraped, self._files.state)
        self.report.moments.append(moment)
        self.report.done["rests"] += 1
        itself = life.values("process_open_fds", "process_resident_memory_bytes")
        # Who asks has a connection.
        told = int(itself["process_open_fds"]), itself["process_resident_memory_bytes"] / 1024
        agrees = 0 <= told[0] - moment.files <= 2 and abs(told[1] - moment.resident) < moment.resident / 10
        self._claim(agrees, f"{where} it says of itself {told}, and is {moment}")

    def _wait_for_quiet(self, life: Life) -> None:
        """Wait until all that ends has ended; what does not is seen in the moment."""

        def is_quiet() -> bool:
            now, moments = Footprint.of(life.pid), self.report.moments
            return now.threads <= QUIET_THREADS and (not moments or now.files <= moments[0].files)

        with contextlib.suppress(AssertionError):
            processes.until(is_quiet, REST_SECONDS)

    def _untrue(self, life: Life, since: float) -> list[str]:
        """Return what a page says that is not true, or was not at an instant that is over."""
        page = life.page()
        now = time.time()
        found = [f"{key} is {page[key]}" for key in page if "_scrape_failed_targets" in key and page[key]]
        for flow in FLOWS:
            least, most = (
                tally.runs_counted(self._cloud.truth(flow, since=self._since, until=at), flow, page)
                for at in (since, now)
            )
            found += tally.outside(tally.of_workflow(page, flow), least, most)
        return found


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what it does not say the environment may."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    environ = os.environ
    parser.add_argument("--scrapes", type=int, default=int(environ.get("SOAK_SCRAPES", "5000")))
    parser.add_argument("--seed", default=environ.get("SOAK_SEED") or str(random.randrange(1000)))
    parser.add_argument(
        "--minutes", type=float, default=float(environ.get("SOAK_MINUTES", "inf")),
        help="end after so many, however many scrapes there were",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, help="where the files and logs are kept; else they are removed"
    )
    return parser.parse_args(given)


def main(given: Sequence[str]) -> int:
    """Do it, tell of it, and return the exit code."""
    said = arguments(given)

    def say(line: str) -> None:
        print(line, flush=True)  # noqa: T201  # a program for people

    size = dataclasses.replace(Size.of(said.scrapes), seconds=said.minutes * 60)
    say(f"seed {said.seed}, {said.scrapes} scrapes")
    with contextlib.ExitStack() as stack:
        if said.folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            folder = said.folder
            folder.mkdir(parents=True)
        report = Soak(folder, size, said.seed, say).run()
    say(report.text())
    if report.problems:
        again = f"--scrapes {said.scrapes} --seed {said.seed} --minutes {said.minutes}"
        say(f"not well; again: python tests/soak.py {again} --folder soak.out")
        return 1
    say("well: memory, threads and files are flat, no counter fell, each is the truth")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
