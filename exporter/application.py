"""The objects of one configuration, built and replaced whole: what every subcommand shares."""

import logging
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from exporter.collector import ExecutionsCollector, ProbeCollector
from exporter.config import ConfigError, Settings
from exporter.ledger import Ledger
from exporter.log import OutcomeLog
from exporter.logformat import configure
from exporter.outcome import Collection
from exporter.scraper import Scraper
from exporter.settings.flags import load
from exporter.statefile import StateError, StateFile
from exporter.targets import ExecutionTarget, FolderTarget, Targets, Watched, WorkflowTarget, read_ids
from exporter.telemetry import ScrapeTelemetry, Telemetry
from exporter.web import Runtime
from exporter.wiring import Kept, Wiring
from exporter.workflowcollector import QuotaCollector, WorkflowsCollector, label_names
from exporter.yandex.calls import Clock, SystemClock
from exporter.yandex.iam import IamAuth

log = logging.getLogger(__name__)

PROCESS_COLLECTORS = (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one configuration is built into, and the settings it was built from."""

    settings: Settings
    runtime: Runtime
    auth: IamAuth
    kept: Kept


class AtWork:
    """The scrapers that may be at work: that of now, and those of before a reload until their last page.

    `_lock` guards `_scrapers` and `_ended`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scrapers: weakref.WeakSet[Scraper] = weakref.WeakSet()
        self._ended = False

    def add(self, scraper: Scraper) -> None:
        """Take one more; after the end it is ended at once."""
        with self._lock:
            self._scrapers.add(scraper)
            ended = self._ended
        if ended:
            scraper.close()

    def end(self) -> None:
        """End the collections of all, later ones too: each has what was read so far."""
        with self._lock:
            self._ended = True
            scrapers = list(self._scrapers)
        for scraper in scrapers:
            scraper.close()


class Application:
    """The objects of the current configuration, and their replacement by a reload.

    `settings` are the first ones; `read` reads them again and raises ConfigError; `begin_log` is called
    with those that are taken; `counting`: counters are kept in the state file, if one is set.
    `_lock` is held while a reload builds; `parts` is replaced in one assignment and read without it.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        environ: Mapping[str, str],
        clock: Clock,
        version: str,
        *,
        begin_log: Callable[[Settings], None] = lambda _: None,
        counting: bool = True,
    ) -> None:
        self._read = read
        self._begin_log = begin_log
        self._clock = clock
        self._lock = threading.Lock()
        self.telemetry = Telemetry(version, environ.get("EXPORTER_REVISION", "unknown"))
        self.ledger = _ledger(settings.state.file if counting else None, self.telemetry)
        self._wiring = Wiring(environ, clock, self.telemetry, OutcomeLog(clock), self.ledger)
        self._first = settings
        self._at_work = AtWork()
        self.parts = self._build(settings, None)
        self.telemetry.reloaded(clock.time())

    def runtime(self) -> Runtime:
        """Return the objects of the current configuration."""
        return self.parts.runtime

    def reload(self) -> None:
        """Read the configuration again and swap everything; if it raises, nothing has changed."""
        with self._lock:
            before = self.parts
            try:
                parts = self._build(self._read(), before)
            except Exception as error:
                self.telemetry.reloaded(None)
                log.error(  # noqa: TRY400  # what is wrong with a file needs no traceback
                    "configuration not reloaded",
                    extra={"fields": {"error": str(error)}},
                    exc_info=not isinstance(error, ConfigError),
                )
                raise
            self.parts = parts
            before.runtime.scraper.release()
            parts.kept.discovery.keep(folder.id for folder in parts.settings.folders)
            parts.kept.ask_missing_again()
            if parts.settings.history != before.settings.history:
                parts.kept.executions.ask_all_again()
            self.telemetry.reloaded(self._clock.time())
            self._begin_log(parts.settings)
            self._warn_of_restart(parts.settings)
            log.info("configuration reloaded")

    def metrics_registry(self, runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return a registry for one page of /metrics."""
        # What the library says of the process does not describe itself; without that `name[]` skips it.
        registry = CollectorRegistry(auto_describe=True)
        self._register(registry, runtime, collect)
        registry.register(QuotaCollector(runtime.quota))
        registry.register(ScrapeTelemetry(collect))
        registry.register(self.telemetry)
        for collector in PROCESS_COLLECTORS:
            registry.register(collector)
        return registry

    def probe_registry(self, runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return a registry for one page of /probe."""
        registry = CollectorRegistry()
        registry.register(ProbeCollector(collect))
        self._register(registry, runtime, collect)
        return registry

    @staticmethod
    def _register(registry: CollectorRegistry, runtime: Runtime, collect: Callable[[], Collection]) -> None:
        registry.register(ExecutionsCollector(collect, history=runtime.history))
        registry.register(
            WorkflowsCollector(
                collect,
                labels=runtime.labels,
                history=runtime.history,
                recent_window=runtime.recent_window,
            )
        )

    def _build(self, settings: Settings, before: Parts | None) -> Parts:
        targets = _targets(settings)
        auth = self._auth(settings, before)
        # What is known of the cloud holds as long as the same one is asked.
        same_cloud = before is not None and before.settings.api.endpoint == settings.api.endpoint
        kept = before.kept if before is not None and same_cloud else Kept(self._clock)
        if before is None:
            # Workflows of folders have their counters on the page before the folders are listed.
            kept.discovery.remember(self.ledger.described())
        runtime = Runtime(
            scraper=self._wiring.scraper(settings, auth, kept),
            watched=targets.now,
            scrape_timeout=settings.scrape.timeout,
            timeout_offset=settings.scrape.timeout_offset,
            config_text=self._in_force(settings).public_yaml,
            authorizer=auth,
            enable_lifecycle=settings.web.enable_lifecycle,
            endpoint=settings.api.endpoint,
            history=settings.history.enabled,
            labels=settings.labels,
            recent_window=settings.recent_window,
            quota=settings.quota.model_dump(),
        )
        self._at_work.add(runtime.scraper)
        return Parts(settings, runtime, auth, kept)

    def _auth(self, settings: Settings, before: Parts | None) -> IamAuth:
        """Return what holds the token: the same as before, if its settings are, for its token is good."""
        if before is not None and _credentials(before.settings) == _credentials(settings):
            return before.auth
        return self._wiring.auth(settings)

    def _in_force(self, settings: Settings) -> Settings:
        """Return settings with what only a start can change as it was at the start."""
        first = self._first
        door = {"listen_address": first.web.listen_address, "config_file": first.web.config_file}
        web = settings.web.model_copy(update=door)
        return settings.model_copy(update={"state": first.state, "web": web})

    def _warn_of_restart(self, settings: Settings) -> None:
        now = self._in_force(settings)
        if now.state != settings.state:
            log.warning("state.file takes effect at the next start")
        if now.web != settings.web:
            log.warning("web.listen_address and web.config_file take effect at the next start")

    def hurry(self) -> None:
        """Let all who wait for the cloud have what was read so far."""
        self._at_work.end()

    def close(self) -> None:
        """End what is under way, and save what is counted."""
        self.hurry()
        self.ledger.close()


def started(
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    version: str,
    *,
    quiet: bool = False,
    counting: bool = True,
) -> Application:
    """Read the settings, begin the log, build the objects; raises ConfigError.

    `given` are the settings of the command line; `quiet` leaves the log to errors, unless it is at debug,
    for a command that tells all the rest itself; without `counting` the state file is only examined.
    """

    def read() -> Settings:
        return load(given, environ)

    def begin_log(settings: Settings) -> None:
        level = "error" if quiet and settings.log.level != "debug" else settings.log.level
        configure(level, settings.log.format, sys.stderr)

    settings = read()
    begin_log(settings)
    if settings.state.file is not None and not counting:
        _examine(settings.state.file)
    return Application(
        settings, read, environ, SystemClock(), version, begin_log=begin_log, counting=counting
    )


def _credentials(settings: Settings) -> tuple[object, ...]:
    """Return the settings that a token comes from."""
    return settings.auth, settings.api.iam_endpoint, settings.api.endpoint, settings.api.timeout


def _targets(settings: Settings) -> Targets:
    watched = Watched(
        tuple(ExecutionTarget(e.id, e.alias) for e in settings.executions),
        tuple(WorkflowTarget(w.id, w.expected_success_interval) for w in settings.workflows),
        tuple(FolderTarget(f.id, f.include, f.exclude, tuple(f.labels.items())) for f in settings.folders),
    )
    if settings.executions_file is not None:
        try:
            read_ids(settings.executions_file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            remedy = "correct the path or its permissions; it must be there at the start"
            raise ConfigError(
                [f"executions_file: {str(settings.executions_file)!r} cannot be read: {reason}; {remedy}"]
            ) from None
    for label, keys in label_names(settings.labels):
        if len(keys) > 1:
            fields = {"label": label, "keys": ",".join(keys)}
            log.warning("labels: these keys become one; a workflow shows its first", extra={"fields": fields})
    return Targets(watched, settings.executions_file)


def _ledger(file: Path | None, telemetry: Telemetry) -> Ledger:
    try:
        return Ledger(StateFile(file) if file else None, telemetry.state_failed)
    except StateError as error:
        raise ConfigError([f"state.file: {error}"]) from None


def _examine(file: Path) -> None:
    try:
        StateFile.check(file)
    except StateError as error:
        raise ConfigError([f"state.file: {error}"]) from None
