"""The settings: one declared field is a flag, a variable, a YAML key and a row of the README."""

from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.settings import addresses, units
from exporter.settings.fields import (
    Address,
    Duration,
    Endpoint,
    FileName,
    Globs,
    Id,
    LabelKey,
    MetadataEndpoint,
    Offset,
    Size,
    Switch,
    Text,
    Token,
    chosen,
    decimal,
    filled,
    identified,
    listed,
    metadata_section,
    one_of_each,
    whole,
)
from exporter.settings.refusal import Refused
from exporter.yandex.secrets import MASK, one_line, redact

LONGEST_LINE = 2000
WAYS = ("iam_token", "iam_token_file", "service_account_key_file", "metadata", "workload_identity")
NO_CREDENTIALS = (
    "no credentials; set exactly one of auth.service_account_key_file, auth.metadata, "
    "auth.workload_identity, auth.iam_token_file, or YC_IAM_TOKEN in the environment"
)


class ConfigError(Exception):
    """The configuration cannot be used; the text has a printable line for each problem, without secrets."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(one_line(redact(problem), LONGEST_LINE) for problem in problems))


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
    concurrency: Annotated[int, whole(1, 1024)] = Field(32, description="Calls under way at the same time.")
    requests_per_second: Annotated[float, decimal(0.001, 100_000)] = Field(
        100.0, description="Calls that may start in a second; fractions are allowed."
    )
    max_response_bytes: Size = Field(16 * 1024 * 1024, description="The largest answer that is read.")


class Metadata(Section):
    """The metadata service of an instance."""

    endpoint: MetadataEndpoint = Field(
        addresses.METADATA,
        description="Base URL of the metadata service; http only on loopback and link-local addresses.",
    )


class WorkloadIdentity(Section):
    """A token of another identity provider, exchanged for ours."""

    service_account_id: Id = Field(description="Service account to become.")
    token_file: FileName = Field(
        description="File with the identity provider's token, read at each exchange."
    )
    endpoint: Endpoint = Field("https://auth.yandex.cloud", description="Base URL of the token exchange.")


class Auth(Section):
    """How an IAM token is had: exactly one way."""

    iam_token: Token | None = Field(
        None,
        description="An IAM token; without any way `YC_IAM_TOKEN` or `YC_TOKEN` is taken.",
    )
    iam_token_file: FileName | None = Field(
        None, description="File with an IAM token, read again when it changes."
    )
    service_account_key_file: FileName | None = Field(
        None,
        description="Authorized key of `yc iam key create`; else `YC_SERVICE_ACCOUNT_KEY_FILE`.",
    )
    metadata: Annotated[Metadata | None, BeforeValidator(metadata_section)] = Field(
        None, description="`true`: the service account attached to this VM, container or node."
    )
    workload_identity: WorkloadIdentity | None = Field(None, description="Workload identity federation.")

    def ways(self) -> list[str]:
        """Return the ways that are configured."""
        return [way for way in WAYS if getattr(self, way) is not None]

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        ways = self.ways()
        if not ways:
            raise Refused(NO_CREDENTIALS)
        if len(ways) > 1:
            raise Refused(f"{' and '.join(ways)} are given; exactly one way is wanted")
        return self


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

    enabled: Switch = Field(
        default=False, description="Also read the steps of each execution: one more call for each."
    )
    max_steps: Annotated[int, whole(0, 10_000)] = Field(
        200, description="Steps of an execution, and step names of a workflow, that get series of their own."
    )


class Scrape(Section):
    """How long a scrape may take."""

    timeout: Duration = Field(
        10.0,
        description="The longest that a scrape may take, and what it may take when Prometheus does not say.",
    )
    timeout_offset: Offset = Field(
        0.5, description="How much earlier than Prometheus' timeout the page is ready."
    )

    @model_validator(mode="after")
    def _time_remains(self) -> Self:
        # A short timeout alone is no mistake: it caps what remains of Prometheus' own, less the offset.
        if "timeout_offset" in self.model_fields_set and self.timeout_offset >= self.timeout:
            offset, timeout = units.duration_text(self.timeout_offset), units.duration_text(self.timeout)
            raise Refused(f"timeout_offset, {offset}, must be smaller than timeout, {timeout}")
        return self


class State(Section):
    """What is kept across restarts."""

    file: FileName | None = Field(
        None, description="File in which counters are kept; none: they live in memory."
    )


class Quota(Section):
    """Limits of the cloud, for the rules."""

    active_executions: Annotated[int, whole(1, 10**9)] = Field(
        100, description="Active executions that the cloud allows."
    )
    workflows: Annotated[int, whole(1, 10**9)] = Field(30, description="Workflows that the cloud allows.")


class Web(Section):
    """The exporter's own door."""

    listen_address: Annotated[
        tuple[Address, ...], BeforeValidator(listed), one_of_each(str.lower, mergeable=False), filled
    ] = Field((":10317",), description="Addresses to listen on.")
    config_file: FileName | None = Field(
        None, description="TLS, users and headers, in the format of the exporter toolkit."
    )
    enable_lifecycle: Switch = Field(default=False, description="Allow `POST /-/reload`.")


class Log(Section):
    """The log, on standard error."""

    level: Annotated[
        Literal["debug", "info", "warn", "error"],
        chosen("debug", "info", "warn", "error", warning="warn"),
    ] = Field("info", description="debug, info, warn or error.")
    format: Annotated[Literal["logfmt", "json"], chosen("logfmt", "json")] = Field(
        "logfmt", description="logfmt or json."
    )


class Settings(BaseSettings):
    """All settings, of one reading; frozen, and without secrets in its repr.

    The readers that pydantic-settings brings are not used: they pass over variables that are mistyped,
    stop at the first bad JSON, cannot have one source replace the way to authenticate of another, and
    do not say which flag, variable or line of the file a value came from. What is taken from it is the
    order of sources and the construction, with one source: what our readers have merged.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api: Api = Api()
    auth: Auth
    executions: Annotated[
        tuple[Annotated[Execution, BeforeValidator(identified)], ...],
        BeforeValidator(listed),
        one_of_each(lambda item: str(item.id), mergeable=True),
    ] = Field((), description="Executions to watch: IDs, or `{id, alias}`.")
    executions_file: FileName | None = Field(
        None, description="File with one execution ID a line, read again when it changes."
    )
    workflows: Annotated[
        tuple[Annotated[Workflow, BeforeValidator(identified)], ...],
        BeforeValidator(listed),
        one_of_each(lambda item: str(item.id), mergeable=True),
    ] = Field((), description="Workflows: IDs, or `{id, expected_success_interval}`.")
    folders: Annotated[
        tuple[Annotated[Folder, BeforeValidator(identified)], ...],
        BeforeValidator(listed),
        one_of_each(lambda item: str(item.id), mergeable=True),
    ] = Field((), description="Folders: IDs, or `{id, include, exclude, labels}` with globs of names.")
    lookback: Duration = Field(691200.0, description="How far the first look at a workflow reaches back.")
    history: History = History()
    recent_window: Duration = Field(3600.0, description="Window of the recent executions of a workflow.")
    scrape: Scrape = Scrape()
    state: State = State()
    labels: Annotated[tuple[LabelKey, ...], BeforeValidator(listed)] = Field(
        (), description="Labels of workflows to show."
    )
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

    def public_yaml(self) -> str:
        """Return the settings as a YAML file, with secrets hidden."""
        plain = self.model_dump(mode="json", exclude_none=True)
        if self.auth.iam_token is not None:
            plain["auth"]["iam_token"] = MASK
        return redact(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
