"""The objects of one configuration, built and replaced whole: the wiring that every subcommand shares."""

import logging
import random
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests.utils
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from exporter.collector import ProbeCollector, WorkflowCollector
from exporter.config import ConfigError, Settings
from exporter.log import OutcomeLog
from exporter.logformat import configure
from exporter.memory import Memory
from exporter.outcome import Collection
from exporter.scraper import Scraper
from exporter.settings.flags import load
from exporter.targets import ExecutionTarget, Targets, read_ids
from exporter.telemetry import ScrapeTelemetry, Telemetry
from exporter.web import Runtime
from exporter.yandex.calls import CallRecord, Clock, Limits, SystemClock
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.iam import IamAuth, TokenRecord
from exporter.yandex.sources import (
    InstanceMetadata,
    ServiceAccountKey,
    Source,
    StaticToken,
    TokenFile,
    WorkloadIdentity,
)
from exporter.yandex.transport import Transport

log = logging.getLogger(__name__)

TOKEN_RESPONSE_BYTES = 1024 * 1024
PROCESS_COLLECTORS = (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one configuration is built into, and the settings it was built from."""

    settings: Settings
    runtime: Runtime
    auth: IamAuth
    memory: Memory


class Application:
    """The objects of the current configuration, and their replacement by a reload.

    `settings` are the first ones; `read` reads them again and raises ConfigError; `begin_log` is called
    with those that are taken. `_lock` is held while a reload builds; `parts` is replaced in one assignment
    and read without it.
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
    ) -> None:
        self._read = read
        self._begin_log = begin_log
        self._environ = environ
        self._clock = clock
        self._lock = threading.Lock()
        self._log = OutcomeLog(clock)
        self.telemetry = Telemetry(version, environ.get("EXPORTER_REVISION", "unknown"))
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
            parts.memory.ask_missing_again()
            if parts.settings.history != before.settings.history:
                parts.memory.ask_all_again()
            self.telemetry.reloaded(self._clock.time())
            self._begin_log(parts.settings)
            _warn_of_restart(before.settings, parts.settings)
            log.info("configuration reloaded")

    def metrics_registry(self, runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return a registry for one page of /metrics."""
        # What the library says of the process does not describe itself; without that `name[]` skips it.
        registry = CollectorRegistry(auto_describe=True)
        registry.register(WorkflowCollector(collect, history=runtime.history))
        registry.register(ScrapeTelemetry(collect))
        registry.register(self.telemetry)
        for collector in PROCESS_COLLECTORS:
            registry.register(collector)
        return registry

    def probe_registry(self, runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return a registry for one page of /probe."""
        registry = CollectorRegistry()
        registry.register(ProbeCollector(collect))
        registry.register(WorkflowCollector(collect, history=runtime.history))
        return registry

    def _build(self, settings: Settings, before: Parts | None) -> Parts:
        targets = _targets(settings)
        auth = self._auth(settings, before)
        # What is known of executions holds as long as the same cloud is asked.
        same_cloud = before is not None and before.settings.api.endpoint == settings.api.endpoint
        memory = before.memory if before is not None and same_cloud else Memory()
        runtime = Runtime(
            scraper=self._scraper(settings, auth, memory),
            executions=targets.executions,
            scrape_timeout=settings.scrape.timeout,
            timeout_offset=settings.scrape.timeout_offset,
            config_text=settings.public_yaml(),
            authorizer=auth,
            enable_lifecycle=settings.web.enable_lifecycle,
            endpoint=settings.api.endpoint,
            history=settings.history.enabled,
        )
        return Parts(settings, runtime, auth, memory)

    def _auth(self, settings: Settings, before: Parts | None) -> IamAuth:
        """Return what holds the token: the same as before, if its settings are, for its token is good."""
        if before is not None and _credentials(before.settings) == _credentials(settings):
            return before.auth
        source = self._source(settings)
        try:
            source.check()
        except ValueError as error:
            raise ConfigError([f"auth: {error}"]) from None
        return IamAuth(source, self._clock, self._token_observed)

    def _scraper(self, settings: Settings, auth: IamAuth, memory: Memory) -> Scraper:
        limits = Limits(
            timeout=settings.api.timeout,
            requests_per_second=settings.api.requests_per_second,
            max_response_bytes=settings.api.max_response_bytes,
            pool=settings.api.concurrency,
        )
        transport = self._transport(limits, settings.api.endpoint, self.telemetry.called)
        return Scraper(
            WorkflowsClient(transport, auth, settings.api.endpoint),
            memory,
            self._clock,
            concurrency=settings.api.concurrency,
            max_steps=settings.history.max_steps if settings.history.enabled else None,
            observe=(self.telemetry.collected, self._log.collected),
            jitter=random.Random(),  # noqa: S311  # spreads rechecks, guards nothing
        )

    def _token_observed(self, record: TokenRecord) -> None:
        self.telemetry.token(record)
        self._log.token(record)

    def _transport(self, limits: Limits, base_url: str, observe: Callable[[CallRecord], None]) -> Transport:
        return Transport(
            limits,
            self._clock,
            observe=observe,
            jitter=random.Random(),  # noqa: S311  # spreads retries, guards nothing
            verify=_certificates(self._environ),
            proxies=_proxies(base_url),
        )

    def _source(self, settings: Settings) -> Source:
        auth = settings.auth
        limits = Limits(settings.api.timeout, None, TOKEN_RESPONSE_BYTES, pool=1)
        if auth.iam_token is not None:
            return StaticToken(auth.iam_token.get_secret_value())
        if auth.iam_token_file is not None:
            return TokenFile(auth.iam_token_file)
        if auth.service_account_key_file is not None:
            endpoint = settings.api.iam_endpoint
            transport = self._transport(limits, endpoint, _unobserved)
            return ServiceAccountKey(auth.service_account_key_file, endpoint, transport, self._clock)
        if auth.workload_identity is not None:
            identity = auth.workload_identity
            transport = self._transport(limits, identity.endpoint, _unobserved)
            return WorkloadIdentity(
                identity.service_account_id, identity.token_file, identity.endpoint, transport, self._clock
            )
        if auth.metadata is not None:
            endpoint = auth.metadata.endpoint
            transport = self._transport(limits, endpoint, _unobserved)
            return InstanceMetadata(endpoint, transport, self._clock)
        raise ConfigError(["auth: no way to authenticate is set"])


def started(
    given: Mapping[str, Any], environ: Mapping[str, str], version: str, *, quiet: bool = False
) -> Application:
    """Read the settings, begin the log, build the objects; raises ConfigError.

    `given` are the settings of the command line; `quiet` leaves the log to errors, unless it is at debug,
    for a command that tells all the rest itself.
    """

    def read() -> Settings:
        return load(given, environ)

    def begin_log(settings: Settings) -> None:
        level = "error" if quiet and settings.log.level != "debug" else settings.log.level
        configure(level, settings.log.format, sys.stderr)

    settings = read()
    begin_log(settings)
    return Application(settings, read, environ, SystemClock(), version, begin_log=begin_log)


def _unobserved(_: CallRecord) -> None:
    """Do nothing: calls for tokens are counted as tokens, not as calls of the API."""


def _credentials(settings: Settings) -> tuple[object, ...]:
    """Return the settings that a token comes from."""
    return settings.auth, settings.api.iam_endpoint, settings.api.endpoint, settings.api.timeout


def _certificates(environ: Mapping[str, str]) -> bool | str:
    """Return whose certificates are trusted: those of a file or folder, else those that come along."""
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        path = environ.get(variable)
        if not path:
            continue
        try:
            _trust(path)
        except OSError as error:
            reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            problem = f"{variable}: {path!r} cannot be used: {reason}; correct or unset it"
            raise ConfigError([problem]) from None
        return path
    return True


def _trust(path: str) -> ssl.SSLContext:
    folder = path if Path(path).is_dir() else None
    return ssl.create_default_context(cafile=None if folder else path, capath=folder)


def _proxies(base_url: str) -> dict[str, str]:
    """Return the proxies of the environment that stand between us and an address, by scheme."""
    found = requests.utils.get_environ_proxies(base_url)
    proxies = {scheme: url for scheme, url in found.items() if scheme in {"http", "https", "all"}}
    for scheme, url in proxies.items():
        if urlsplit(url).scheme.startswith("socks"):
            problem = f"{scheme.upper()}_PROXY: SOCKS is not spoken; name an http:// proxy, or unset it"
            raise ConfigError([problem])
    return proxies


def _targets(settings: Settings) -> Targets:
    executions = [ExecutionTarget(e.id, e.alias) for e in settings.executions]
    if settings.executions_file is not None:
        try:
            read_ids(settings.executions_file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                [f"executions_file: {str(settings.executions_file)!r} cannot be read: {reason}"]
            ) from None
    if settings.workflows or settings.folders:
        log.warning("workflows and folders are read and checked, but this version collects executions only")
    return Targets(executions, settings.executions_file)


def _warn_of_restart(old: Settings, new: Settings) -> None:
    if (old.web.listen_address, old.web.config_file) != (new.web.listen_address, new.web.config_file):
        log.warning("web.listen_address and web.config_file take effect at the next start")
