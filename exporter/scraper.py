"""Reads many targets within one budget. Knows nothing of samples, nor how one target is read.

A bounded number of workers makes the calls. Collections of the same targets that come at the same time
are one, and the same object.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from exporter.executions import Executions
from exporter.flight import Flight, Job
from exporter.folders import Folders
from exporter.outcome import Collection
from exporter.targets import Watched
from exporter.workers import Turns, Workers
from exporter.workflows import Workflows
from exporter.yandex.calls import Budget, Clock
from exporter.yandex.errors import ApiError, BadResponse, NotSent, Unauthorized

log = logging.getLogger(__name__)

JOINABLE = 0.75
"""The share of its own time for which a collection may wait for another one instead of beginning."""
LANDING_SECONDS = 1.0
"""Seconds past its time that who has joined leaves for what was read to be put together once, for all."""

_Key = tuple[Watched, bool, bool]


class Scraper:
    """Reads targets: many of them, one budget, bounded workers.

    At most `concurrency` calls are under way, those of probes at most half of them, so that no probe
    keeps the scrape waiting. Each call ends with its budget. Where one collection needs several turns,
    others have theirs in between. `release` closes the connections that are kept.

    `_lock` guards `_joinable`, `_flights`, `_closed`, `_refusal` and `_latest`.
    """

    def __init__(
        self,
        executions: Executions,
        workflows: Workflows,
        folders: Folders,
        clock: Clock,
        *,
        concurrency: int,
        observe: Sequence[Callable[[Collection], None]] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._executions = executions
        self._workflows = workflows
        self._folders = folders
        self._clock = clock
        self._observe = tuple(observe)
        self._release = release
        self._calls = Turns(concurrency)
        self._scrapes = Workers(concurrency)
        self._probes = Workers(max(1, concurrency // 2))
        self._lock = threading.Lock()
        self._joinable: dict[_Key, Flight] = {}
        self._flights: set[Flight] = set()
        self._closed = False
        self._refusal: Unauthorized | None = None
        self._latest: tuple[Watched, float, Collection] | None = None

    def collect(
        self, watched: Watched, budget: Budget, *, probe: bool = False, searching: bool = False
    ) -> Collection:
        """Read these targets; return when all are read or the budget is spent.

        `searching` finds the workflows and what they are, but does not look at their executions.
        Who waits for the collection of another to its end gets that; whose own time ends before has what
        was read by then, or a moment before. Never raises because the cloud did: what failed is said by the
        outcomes.
        """
        key = (watched, probe, searching)
        flight, joined = self._join(key, budget)
        if joined:
            return self._joined(flight, budget, probe=probe)
        return self._fly(flight, key)

    def latest(self, watched: Watched, max_age: float) -> Collection | None:
        """Return the last collection of just these targets; None if it is older than so many seconds."""
        with self._lock:
            latest = self._latest
        if latest is None or latest[0] != watched or self._clock.monotonic() - latest[1] > max_age:
            return None
        return latest[2]

    def close(self) -> None:
        """End every collection, later ones too; calls under way end with their own time limit."""
        with self._lock:
            self._closed = True
            flights = list(self._flights)
        for flight in flights:
            flight.close()
        self._scrapes.close()
        self._probes.close()
        self.release()

    def release(self) -> None:
        """Let go of what is kept for later collections, of which there will be few or none."""
        self._release()

    def _join(self, key: _Key, budget: Budget) -> tuple[Flight, bool]:
        """Return the flight of these targets if it leaves us our time, else a new one."""
        watched, probe, searching = key
        with self._lock:
            flight = self._joinable.get(key)
            observed = bool(budget.observers)
            if flight and not observed and flight.budget.remaining() >= budget.remaining() * JOINABLE:
                return flight, True
            refusal = None if probe else self._refusal
            flight = Flight(watched, budget, self._clock.time(), refusal=refusal, searching=searching)
            self._flights.add(flight)
            if not observed:
                self._joinable[key] = flight
            if self._closed:
                flight.close()
            return flight, False

    def _joined(self, flight: Flight, budget: Budget, *, probe: bool) -> Collection:
        if flight.finished.wait(budget.remaining()):
            flight.landed.wait(max(LANDING_SECONDS, budget.remaining()))
        landed = flight.collection
        return flight.glimpse(lambda: self._collection(flight, probe=probe)) if landed is None else landed

    def _fly(self, flight: Flight, key: _Key) -> Collection:
        """Make a collection for all who have joined, and let those know before who count and log."""
        collection: Collection | None = None
        try:
            collection = self._collected(flight, key)
            return collection
        finally:
            flight.land(collection)

    def _collected(self, flight: Flight, key: _Key) -> Collection:
        watched, probe, searching = key
        try:
            self._begin(flight, self._probes if probe else self._scrapes, probe=probe)
            flight.finished.wait(flight.budget.remaining())
        finally:
            flight.close()
            with self._lock:
                self._flights.discard(flight)
                if self._joinable.get(key) is flight:
                    del self._joinable[key]
        collection = self._collection(flight, probe=probe)
        if not probe and not searching:
            with self._lock:
                self._refusal = flight.refusal
                # A copy: the collection itself lives as long as the requests that it is for, and so may
                # what is made of it.
                self._latest = (watched, self._clock.monotonic(), replace(collection))
        # A search has not looked at workflows, and so has nothing to say of them.
        told = replace(collection, workflows=()) if searching else collection
        for observe in self._observe:
            observe(told)
        return collection

    def _begin(self, flight: Flight, workers: Workers, *, probe: bool) -> None:
        watched = flight.watched
        if not probe:
            self._executions.reserve(len(watched.executions))
        jobs = self._executions.jobs(watched.executions, flight)
        jobs += self._workflows.jobs(watched.workflows, flight)
        jobs += self._folders.jobs(watched.folders, flight)
        flight.enqueue(jobs)
        self._hire(flight, workers)
        if flight.suspicious and not flight.finished.wait(flight.budget.remaining() / 4):
            flight.trust()
            self._hire(flight, workers)

    def _collection(self, flight: Flight, *, probe: bool) -> Collection:
        return Collection(
            self._executions.outcomes(flight),
            flight.started,
            self._clock.monotonic() - flight.began,
            allowed=flight.budget.seconds,
            probe=probe,
            workflows=self._workflows.outcomes(flight),
            folders=self._folders.outcomes(flight),
        )

    def _hire(self, flight: Flight, workers: Workers) -> None:
        for _ in range(flight.hire(workers.size)):
            workers.submit(self._work, flight, workers)

    def _work(self, flight: Flight, workers: Workers) -> None:
        """Do one job after another; where there are other flights, go behind their work for the next."""
        while (job := flight.take()) is not None:
            flight.done(job, self._do(job, flight))
            self._hire(flight, workers)
            if len(self._flights) > 1:  # to know it a moment too late does no harm
                workers.submit(self._work, flight, workers)
                return

    def _do(self, job: Job, flight: Flight) -> ApiError | None:
        if not self._calls.acquire(flight.budget.remaining()):
            return NotSent("no time was left for the call")
        try:
            error = job.work(flight)
            return error.bare() if error else None
        except Exception:
            log.exception("reading a target failed in an unforeseen way")
            broken = BadResponse("the answer could not be handled; see the log")
            flight.broke(job.target, broken)
            return broken
        finally:
            self._calls.release()
