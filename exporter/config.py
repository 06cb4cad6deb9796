"""The settings: one declared field is a flag, a variable, a YAML key and a row of the README."""

import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from exporter import units
from exporter.yandex.secrets import redact

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
LABEL_KEY = re.compile(r"[a-z][-_./\\@0-9a-z]{0,62}")
WAYS = ("iam_token", "iam_token_file", "service_account_key_file", "metadata", "workload_identity")


class ConfigError(Exception):
    """The configuration cannot be used; the text has a line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(redact(problem) for problem in problems))


def _check(test: Callable[[Any], bool], remedy: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if not test(value):
            raise ValueError(remedy)
        return value

    return BeforeValidator(check)


def _positive(parse: Callable[[object], float]) -> Callable[[object], float]:
    def checked(value: object) -> float:
        number = parse(value)
        if number <= 0:
            raise ValueError("must be greater than 0")
        return number

    return checked


def _listed(value: object) -> object:
    """Take `a,b` and JSON lists from flags and variables, and one value where a list is meant."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError("not a JSON list") from None
        return [part.strip() for part in value.split(",") if part.strip()]
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")  # noqa: TRY004  # pydantic reports ValueError
    return value


def _item(value: object) -> object:
    """Take a bare ID where an object with an `id` is meant."""
    if isinstance(value, int | float):
        raise ValueError('is a number to YAML; quote it, as "123"')  # noqa: TRY004  # pydantic reports ValueError
    return {"id": value} if isinstance(value, str) else value


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _link_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False


def _url(value: object, *, plain: Callable[[str], bool]) -> str:
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("not a URL; write it like https://host") from None
    if parts.scheme not in {"http", "https"} or not host or not str(value).isascii():
        raise ValueError("not a base URL; write it like https://host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a base URL has no user, password, query or fragment")
    if parts.scheme == "http" and not plain(host):
        raise ValueError("must be https: a token must not travel in the clear (http is for loopback only)")
    return str(value).rstrip("/")


def _endpoint(value: object) -> str:
    return _url(value, plain=_loopback)


def _metadata_endpoint(value: object) -> str:
    return _url(value, plain=lambda host: _loopback(host) or _link_local(host))


def _address(value: object) -> str:
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("not an address; write it like :10317, 127.0.0.1:10317 or [::1]:10317")
    return text


def _metadata(value: object) -> object:
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.lower(), {"endpoint": value})
    if isinstance(value, bool):
        return {} if value else None
    return value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  # pydantic reports ValueError
    return value


def _secret(value: object) -> object:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not text.strip() or not text.strip().isascii():
        raise ValueError("must be an IAM token; get one with `yc iam create-token`")
    if text.strip().startswith("y0_"):
        raise ValueError("is an OAuth token, not an IAM token; get one with `yc iam create-token`")
    return text.strip()


Duration = Annotated[float, BeforeValidator(_positive(units.duration)), PlainSerializer(units.duration_text)]
Offset = Annotated[float, BeforeValidator(units.duration), PlainSerializer(units.duration_text)]
Size = Annotated[int, BeforeValidator(_positive(units.size)), PlainSerializer(units.size_text)]
Endpoint = Annotated[str, BeforeValidator(_endpoint)]
Id = Annotated[
    str,
    _check(lambda v: isinstance(v, str) and bool(ID.fullmatch(v)), "not an ID: 1 to 128 of A-Z a-z 0-9 _ -"),
]
Text = Annotated[
    str,
    _check(
        lambda v: isinstance(v, str) and v.isprintable() and len(v) <= 128, "at most 128 printable characters"
    ),
]
Token = Annotated[SecretStr, BeforeValidator(_secret)]
Count = Annotated[int, BeforeValidator(_number)]
Globs = Annotated[tuple[Text, ...], BeforeValidator(_listed)]


class Section(BaseModel):
    """A part of the settings: no key but the declared ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Api(Section):
    """How the cloud is asked."""

    endpoint: Endpoint = Field(
        "https://serverless-workflows.api.cloud.yandex.net", description="Base URL of the Workflows API."
    )
    iam_endpoint: Endpoint = Field(
        "https://iam.api.cloud.yandex.net",
        description="Base URL of the IAM API, where a key is exchanged for a token.",
    )
    timeout: Duration = Field(5.0, description="How long one call may take.")
    concurrency: Count = Field(32, ge=1, le=1024, description="Calls under way at the same time.")
    requests_per_second: Annotated[float, BeforeValidator(_number)] = Field(
        100.0,
        gt=0,
        allow_inf_nan=False,
        description="Calls that may start in a second; fractions are allowed.",
    )
    max_response_bytes: Size = Field(16 * 1024 * 1024, description="The largest answer that is read.")


class Metadata(Section):
    """The metadata service of an instance."""

    endpoint: Annotated[str, BeforeValidator(_metadata_endpoint)] = Field(
        "http://169.254.169.254",
        description="Base URL of the metadata service; http only on loopback and link-local addresses.",
    )


class WorkloadIdentity(Section):
    """A token of another identity provider, exchanged for ours."""

    service_account_id: Id = Field(description="Service account to become.")
    token_file: Path = Field(description="File with the identity provider's token, read at each exchange.")
    endpoint: Endpoint = Field("https://auth.yandex.cloud", description="Base URL of the token exchange.")


class Auth(Section):
    """How an IAM token is had: exactly one way."""

    iam_token: Token | None = Field(
        None,
        description="An IAM token; without any way `YC_IAM_TOKEN` or `YC_TOKEN` is taken.",
    )
    iam_token_file: Path | None = Field(
        None, description="File with an IAM token, read again when it changes."
    )
    service_account_key_file: Path | None = Field(
        None,
        description="Authorized key of `yc iam key create`; else `YC_SERVICE_ACCOUNT_KEY_FILE`.",
    )
    metadata: Annotated[Metadata | None, BeforeValidator(_metadata)] = Field(
        None, description="`true`: the service account attached to this VM, container or node."
    )
    workload_identity: WorkloadIdentity | None = Field(None, description="Workload identity federation.")

    def ways(self) -> list[str]:
        """Return the ways that are configured."""
        return [way for way in WAYS if getattr(self, way) is not None]


class Execution(Section):
    """An execution to watch."""

    id: Id
    alias: Text = ""


class Workflow(Section):
    """A workflow to watch."""

    id: Id
    expected_success_interval: Duration | None = None


class Folder(Section):
    """A folder whose workflows are watched."""

    id: Id
    include: Globs = ()
    exclude: Globs = ()
    labels: dict[Text, Text] = Field(default_factory=dict)


class History(Section):
    """The steps of executions."""

    enabled: bool = Field(
        default=False, description="Also read the steps of each execution: one more call for each."
    )
    max_steps: Count = Field(
        200, ge=1, le=1000, description="Steps of an execution that get series of their own."
    )


class Scrape(Section):
    """How long a scrape may take."""

    timeout: Duration = Field(
        10.0,
        description="The longest that a scrape may take, and what it may take when Prometheus does not say.",
    )
    timeout_offset: Offset = Field(
        0.5, ge=0, description="How much earlier than Prometheus' timeout the page is ready."
    )


class State(Section):
    """What is kept across restarts."""

    file: Path | None = Field(None, description="File in which counters are kept; none: they live in memory.")


class Quota(Section):
    """Limits of the cloud, for the rules."""

    active_executions: Count = Field(100, ge=1, description="Active executions that the cloud allows.")
    workflows: Count = Field(30, ge=1, description="Workflows that the cloud allows.")


class Web(Section):
    """The exporter's own door."""

    listen_address: Annotated[
        tuple[Annotated[str, BeforeValidator(_address)], ...], BeforeValidator(_listed)
    ] = Field((":10317",), min_length=1, description="Addresses to listen on.")
    config_file: Path | None = Field(
        None, description="TLS, users and headers, in the format of the exporter toolkit."
    )
    enable_lifecycle: bool = Field(default=False, description="Allow `POST /-/reload`.")


class Log(Section):
    """The log, on standard error."""

    level: Literal["debug", "info", "warn", "error"] = Field(
        "info", description="debug, info, warn or error."
    )
    format: Literal["logfmt", "json"] = Field("logfmt", description="logfmt or json.")


class Settings(BaseSettings):
    """All settings, of one reading; frozen, and without secrets in its repr."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api: Api = Api()
    auth: Auth = Auth()
    executions: Annotated[
        tuple[Annotated[Execution, BeforeValidator(_item)], ...], BeforeValidator(_listed)
    ] = Field((), description="Executions to watch: IDs, or `{id, alias}`.")
    executions_file: Path | None = Field(
        None, description="File with one execution ID a line, read again when it changes."
    )
    workflows: Annotated[
        tuple[Annotated[Workflow, BeforeValidator(_item)], ...], BeforeValidator(_listed)
    ] = Field((), description="Workflows: IDs, or `{id, expected_success_interval}`.")
    folders: Annotated[tuple[Annotated[Folder, BeforeValidator(_item)], ...], BeforeValidator(_listed)] = (
        Field((), description="Folders: IDs, or `{id, include, exclude, labels}` with globs of names.")
    )
    lookback: Duration = Field(691200.0, description="How far the first look at a workflow reaches back.")
    history: History = History()
    recent_window: Duration = Field(3600.0, description="Window of the recent executions of a workflow.")
    scrape: Scrape = Scrape()
    state: State = State()
    labels: Annotated[
        tuple[
            Annotated[
                str,
                _check(
                    lambda v: isinstance(v, str) and bool(LABEL_KEY.fullmatch(v)),
                    "not a label key: lower-case letters, digits, - _ . /",
                ),
            ],
            ...,
        ],
        BeforeValidator(_listed),
    ] = Field((), description="Labels of workflows to show.")
    quota: Quota = Quota()
    web: Web = Web()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the readers of flags, variables and file have merged, and nothing behind their back."""
        return (init_settings,)

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        aliases: dict[str, str] = {}
        for execution in self.executions:
            if aliases.setdefault(execution.id, execution.alias) != execution.alias:
                raise ValueError(
                    f"executions: {execution.id!r} is given twice with different aliases; keep one"
                )
        return self

    def public_yaml(self) -> str:
        """Return the settings as a YAML file, with secrets hidden."""
        plain = self.model_dump(mode="json", exclude_none=True)
        if self.auth.iam_token is not None:
            plain["auth"]["iam_token"] = "<secret>"  # noqa: S105  # what stands in a secret's place
        return redact(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
