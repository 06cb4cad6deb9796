"""How the objects that ask the cloud are built of the settings."""

import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import requests.utils

from exporter.config import ConfigError, Settings
from exporter.details import Details
from exporter.discovery import Discovery
from exporter.executions import Executions
from exporter.folders import Folders
from exporter.infos import Infos
from exporter.ledger import Ledger
from exporter.log import OutcomeLog
from exporter.looks import Looks
from exporter.memory import Memory
from exporter.outcome import ExecutionOutcome, FolderOutcome, WorkflowOutcome
from exporter.patience import Patience
from exporter.scraper import Scraper
from exporter.telemetry import Telemetry
from exporter.workflows import Workflows
from exporter.yandex.calls import CallRecord, Clock, Limits
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.iam import IamAuth, TokenRecord
from exporter.yandex.sources import (
    InstanceMetadata,
    Source,
    StaticToken,
    TokenFile,
    WorkloadIdentity,
)
from exporter.yandex.transport import Transport

TOKEN_RESPONSE_BYTES = 1024 * 1024


class Kept:
    """What is known of a cloud and holds as long as the same one is asked, over reloads."""

    def __init__(self, clock: Clock) -> None:
        self.executions = Memory[ExecutionOutcome]()
        self.workflows = Memory[WorkflowOutcome]()
        self.folders = Memory[FolderOutcome]()
        self.discovery = Discovery()
        self.infos = Infos(clock, random.Random())  # noqa: S311  # spreads calls, guards nothing
        self.patience = Patience(clock)

    def ask_missing_again(self) -> None:
        """Let what could not be read be asked for at once."""
        for memory in (self.executions, self.workflows, self.folders, self.infos, self.patience):
            memory.ask_missing_again()


class Wiring:
    """Builds what one configuration needs; the parts that outlive it are given."""

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Clock,
        telemetry: Telemetry,
        log: OutcomeLog,
        ledger: Ledger,
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._telemetry = telemetry
        self._log = log
        self._ledger = ledger

    def auth(self, settings: Settings) -> IamAuth:
        """Return what holds the token; raises ConfigError."""
        source = self._source(settings)
        try:
            source.check()
        except ValueError as error:
            raise ConfigError([f"auth: {error}"]) from None
        return IamAuth(source, self._clock, self._token_observed)

    def scraper(self, settings: Settings, auth: IamAuth, kept: Kept) -> Scraper:
        """Return what reads the targets; raises ConfigError."""
        limits = Limits(
            timeout=settings.api.timeout,
            requests_per_second=settings.api.requests_per_second,
            max_response_bytes=settings.api.max_response_bytes,
            pool=settings.api.concurrency,
        )
        transport = self._transport(limits, settings.api.endpoint, self._telemetry.called)
        client = WorkflowsClient(transport, auth, settings.api.endpoint)
        max_steps = settings.history.max_steps if settings.history.enabled else None
        jitter = random.Random()  # noqa: S311  # spreads rechecks, guards nothing
        workflows = self._workflows(settings, client, kept, max_steps)
        return Scraper(
            Executions(client, kept.executions, self._clock, max_steps=max_steps, jitter=jitter),
            workflows,
            Folders(client, kept.discovery, kept.folders, self._clock, follow=workflows.jobs),
            self._clock,
            concurrency=settings.api.concurrency,
            observe=(self._telemetry.collected, self._log.collected),
            release=transport.close,
        )

    def _workflows(
        self,
        settings: Settings,
        client: WorkflowsClient,
        kept: Kept,
        max_steps: int | None,
    ) -> Workflows:
        clock, ledger, window = self._clock, self._ledger, settings.recent_window
        return Workflows(
            client,
            Looks(client, ledger, clock, lookback=settings.lookback, window=window, max_steps=max_steps),
            Details(client, ledger, kept.patience, clock, max_steps=max_steps),
            infos=kept.infos,
            discovery=kept.discovery,
            ledger=ledger,
            memory=kept.workflows,
            clock=clock,
            window=window,
        )

    def _token_observed(self, record: TokenRecord) -> None:
        self._telemetry.token(record)
        self._log.token(record)

    def _transport(self, limits: Limits, base_url: str, observe: Callable[[CallRecord], None]) -> Transport:
        return Transport(
            limits,
            self._clock,
            observe=observe,
            jitter=random.Random(),  # noqa: S311  # spreads retries, guards nothing
            trust=_certificates(self._environ),
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
            from exporter.yandex.authorizedkey import ServiceAccountKey  # noqa: PLC0415  # loads 9 MB

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


def _unobserved(_: CallRecord) -> None:
    """Do nothing: calls for tokens are counted as tokens, not as calls of the API."""


def _certificates(environ: Mapping[str, str]) -> str | None:
    """Return the file or folder of the authorities that are trusted, None for those that come along."""
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
    return None


def _trust(path: str) -> ssl.SSLContext:
    folder = path if Path(path).is_dir() else None
    return ssl.create_default_context(cafile=None if folder else path, capath=folder)


def _proxies(base_url: str) -> dict[str, str]:
    """Return the proxies of the environment that stand between us and an address, by scheme."""
    found = requests.utils.get_environ_proxies(base_url)
    proxies = {scheme: url for scheme, url in found.items() if scheme in {"http", "https", "all"}}
    for scheme, url in proxies.items():
        if problem := _proxy_problem(url):
            raise ConfigError([f"{scheme.upper()}_PROXY: {problem}, or unset it"])
    return proxies


def _proxy_problem(url: str) -> str:
    """Return what is wrong with the address of a proxy, nothing if it can be one; it may hold a password."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "not the address of a proxy; write it like http://proxy:3128"
    if parts.scheme.startswith("socks"):
        return "SOCKS is not spoken; name an http:// proxy"
    return "" if known else "not the address of a proxy; write it like http://proxy:3128"
