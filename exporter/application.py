"""The objects of one configuration, built and replaced whole: the wiring that every subcommand shares."""

import logging
import random
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests.utils
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from exporter.collector import ProbeCollector, WorkflowCollector
from exporter.config import ConfigError, Metadata, Settings
from exporter.log import OutcomeLog
from exporter.logformat import configure
from exporter.memory import Memory
from exporter.outcome import Collection
from exporter.scraper import Scraper
from exporter.targets import ExecutionTarget, Targets, read_ids
from exporter.telemetry import ScrapeTelemetry, Telemetry
from exporter.web import Runtime
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.iam import (
    IamAuth,
    InstanceMetadata,
    ServiceAccountKey,
    Source,
    StaticToken,
    TokenFile,
    TokenRecord,
    WorkloadIdentity,
)
from exporter.yandex.transport import CallRecord, Clock, Limits, Transport

log = logging.getLogger(__name__)

TOKEN_RESPONSE_BYTES = 1024 * 1024
PROCESS_COLLECTORS = (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR)


@dataclass(frozen=True, slots=True)
class Parts:
    """What one configuration is built into, and the settings it was built from."""

    settings: Settings
    runtime: Runtime


class Application:
    """The objects of the current configuration, and their replacement by a reload.

    `_lock` is held while a reload builds; `parts` is replaced in one assignment and read without it.
    """

    def __init__(
        self, read: Callable[[], Settings], environ: Mapping[str, str], clock: Clock, version: str
    ) -> None:
        self._read = read
        self._environ = environ
        self._clock = clock
        self._lock = threading.Lock()
        self._memory = Memory()
        self._log = OutcomeLog()
        self.telemetry = Telemetry(version, environ.get("EXPORTER_REVISION", "unknown"))
        self.parts = self._build(read())
        self.telemetry.reloaded(clock.time())

    def runtime(self) -> Runtime:
        """Return the objects of the current configuration."""
        return self.parts.runtime

    def reload(self) -> None:
        """Read the configuration again and swap everything; on ConfigError nothing has changed."""
        with self._lock:
            try:
                parts = self._build(self._read())
            except ConfigError as error:
                self.telemetry.reloaded(None)
                log.error("configuration not reloaded", extra={"fields": {"error": str(error)}})  # noqa: TRY400
                raise
            _warn_of_restart(self.parts.settings, parts.settings)
            if parts.settings.api.endpoint != self.parts.settings.api.endpoint:
                self._memory.forget()
            if parts.settings.history != self.parts.settings.history:
                self._memory.ask_all_again()
            self._memory.ask_missing_again()
            self.parts = parts
            self.telemetry.reloaded(self._clock.time())
            configure(parts.settings.log.level, parts.settings.log.format, sys.stderr)
            log.info("configuration reloaded")

    def metrics_registry(self, runtime: Runtime, collect: Callable[[], Collection]) -> CollectorRegistry:
        """Return a registry for one page of /metrics."""
        registry = CollectorRegistry()
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

    def _build(self, settings: Settings) -> Parts:
        targets = _targets(settings)
        source = self._source(settings)
        try:
            source.check()
        except ValueError as error:
            raise ConfigError([f"auth: {error}"]) from None
        auth = IamAuth(source, self._clock, self._token_observed)
        limits = Limits(
            timeout=settings.api.timeout,
            requests_per_second=settings.api.requests_per_second,
            max_response_bytes=settings.api.max_response_bytes,
            pool=settings.api.concurrency,
        )
        transport = self._transport(limits, settings.api.endpoint, self.telemetry.called)
        scraper = Scraper(
            WorkflowsClient(transport, auth, settings.api.endpoint),
            self._memory,
            self._clock,
            concurrency=settings.api.concurrency,
            max_steps=settings.history.max_steps if settings.history.enabled else None,
            observe=(self.telemetry.collected, self._log.collected),
            jitter=random.Random(),  # noqa: S311  # spreads rechecks, guards nothing
        )
        runtime = Runtime(
            scraper=scraper,
            executions=targets.executions,
            scrape_timeout=settings.scrape.timeout,
            timeout_offset=settings.scrape.timeout_offset,
            config_text=settings.public_yaml(),
            authorizer=auth,
            enable_lifecycle=settings.web.enable_lifecycle,
            endpoint=settings.api.endpoint,
            history=settings.history.enabled,
        )
        return Parts(settings, runtime)

    def _token_observed(self, record: TokenRecord) -> None:
        self.telemetry.token(record)
        self._log.token(record)

    def _transport(self, limits: Limits, base_url: str, observe: Callable[[CallRecord], None]) -> Transport:
        return Transport(
            limits,
            self._clock,
            observe=observe,
            jitter=random.Random(),  # noqa: S311  # spreads retries, guards nothing
            verify=self._environ.get("REQUESTS_CA_BUNDLE") or self._environ.get("SSL_CERT_FILE") or True,
            proxies=requests.utils.get_environ_proxies(base_url),
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
        endpoint = (auth.metadata or Metadata()).endpoint
        transport = self._transport(limits, endpoint, _unobserved)
        return InstanceMetadata(endpoint, transport, self._clock)


def _unobserved(_: CallRecord) -> None:
    """Do nothing: calls for tokens are counted as tokens, not as calls of the API."""


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
