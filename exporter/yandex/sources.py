"""Where an IAM token comes from: a value, a file, the metadata service, a federation.

The fifth way, an authorized key, is in `authorizedkey`.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from exporter import files
from exporter.yandex.calls import Budget, Clock, Request
from exporter.yandex.errors import ApiError, AuthFailed
from exporter.yandex.transport import Transport

_LONGEST_LIFE = 10.0**9
UNSTATED_LIFE = 3600.0
"""Seconds that a token is taken to live whose answer does not say, or not legibly."""
_MAX_FILE = 1024 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_OAUTH = re.compile(r"y[0-3]_")
_REMEDY = "correct the path or its permissions"
_SECONDS = re.compile(r"[0-9]{1,9}")

Signature = tuple[int, int, int]
"""What tells a file from its next content: when it changed, its size, its inode."""


@dataclass(frozen=True, slots=True)
class Token:
    """An IAM token; `expires_at` in Unix seconds, None if nobody says."""

    value: str = field(repr=False)
    expires_at: float | None


class Source(Protocol):
    """One way to get a token."""

    def issue(self, budget: Budget) -> Token:
        """Return a new token; raises ApiError."""

    def changed(self) -> bool:
        """Whether what the last token was made from is not the same any more."""

    def check(self) -> None:
        """Raise ValueError, which names the remedy, if this cannot work; asks nobody."""


class StaticToken:
    """A token given as it is."""

    def __init__(self, value: str) -> None:
        self._value = value.strip()

    def issue(self, budget: Budget) -> Token:  # noqa: ARG002 - asks nobody
        """Return the token; raises AuthFailed if it cannot be one."""
        try:
            self.check()
        except ValueError as error:
            raise AuthFailed(str(error)) from None
        return Token(self._value, None)

    def changed(self) -> bool:
        """Return False: a value stays as it is."""
        return False

    def check(self) -> None:
        """Raise ValueError if the value cannot be an IAM token."""
        _check_token(self._value, "the IAM token")


class TokenFile:
    """A token in a file that something else rotates; read again when the file changes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._seen: Signature | None = None

    def issue(self, budget: Budget) -> Token:  # noqa: ARG002 - asks nobody
        """Return the token in the file; raises AuthFailed if there is none."""
        # Before the file is read: what changes in between is noticed next time.
        signature = signature_of(self._path)
        try:
            value = self._read()
        except ValueError as error:
            raise AuthFailed(str(error)) from None
        self._seen = signature
        return Token(value, None)

    def changed(self) -> bool:
        """Whether the file is another one than that of the last token."""
        return signature_of(self._path) != self._seen

    def check(self) -> None:
        """Raise ValueError if the file cannot be read or holds no IAM token."""
        self._read()

    def _read(self) -> str:
        value = read(self._path, "IAM token file").strip()
        _check_token(value, f"IAM token file {self._path}: its content")
        return value


class InstanceMetadata:
    """The token of the service account that a VM, container or node runs as."""

    def __init__(self, endpoint: str, transport: Transport, clock: Clock) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._transport = transport
        self._clock = clock

    def issue(self, budget: Budget) -> Token:
        """Return the metadata service's token; raises AuthFailed."""
        request = Request(
            method="Metadata.Token",
            verb="GET",
            url=f"{self._endpoint}/computeMetadata/v1/instance/service-accounts/default/token",
            headers=(("Metadata-Flavor", "Google"),),
        )
        purpose = "from instance metadata (is a service account linked to this machine?)"
        body = ask(self._transport, request, budget, purpose)
        return Token(token_of(body, "access_token"), self._clock.time() + _life(body))

    def changed(self) -> bool:
        """Return False: only the metadata service knows."""
        return False

    def check(self) -> None:
        """Do nothing: there is nothing to see offline."""


class WorkloadIdentity:
    """A token of another identity provider, in a file that is read each time, exchanged for ours."""

    def __init__(
        self,
        service_account_id: str,
        token_file: str | os.PathLike[str],
        endpoint: str,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._account = service_account_id
        self._path = Path(token_file)
        self._endpoint = endpoint.rstrip("/")
        self._transport = transport
        self._clock = clock

    def issue(self, budget: Budget) -> Token:
        """Return a token of the service account; raises AuthFailed."""
        try:
            subject = self._read()
        except ValueError as error:
            raise AuthFailed(str(error)) from None
        request = Request(
            method="OAuth.Token",
            verb="POST",
            url=f"{self._endpoint}/oauth/token",
            form={
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
                "audience": self._account,
                "subject_token": subject,
            },
        )
        purpose = f"for workload identity token file {self._path} and service account {self._account}"
        body = ask(self._transport, request, budget, purpose)
        return Token(token_of(body, "access_token"), self._clock.time() + _life(body))

    def changed(self) -> bool:
        """Return False: a new subject token does not make the old access token worse."""
        return False

    def check(self) -> None:
        """Raise ValueError if the file cannot be read or holds no token."""
        self._read()

    def _read(self) -> str:
        value = read(self._path, "workload identity token file").strip()
        if not _TOKEN.fullmatch(value):
            raise ValueError(f"workload identity token file {self._path}: its content is not a token")
        return value


def ask(transport: Transport, request: Request, budget: Budget, purpose: str) -> dict[str, Any]:
    """Return the JSON object that answers; raises AuthFailed that says what the token was for."""
    # One call in hours needs no connection that is kept.
    request = replace(request, headers=(*request.headers, ("Connection", "close")))
    try:
        body = transport.send(request, budget).body
    except ApiError as error:
        said = str(error)
    else:
        if isinstance(body, dict):
            return body
        said = "the answer is not a JSON object"
    raise AuthFailed(f"no IAM token {purpose}: {said}")


def token_of(body: dict[str, Any], name: str) -> str:
    """Return the token in a field of an answer; raises AuthFailed."""
    value = body.get(name)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise AuthFailed(f"no IAM token: the answer has no valid `{name}`")
    return value


def _life(body: dict[str, Any]) -> float:
    value = body.get("expires_in")
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _LONGEST_LIFE:
        return float(value)
    return UNSTATED_LIFE


def _check_token(value: str, what: str) -> None:
    if _OAUTH.match(value):
        raise ValueError(f"{what} is an OAuth token, not an IAM token; `yc iam create-token` prints one")
    if not _TOKEN.fullmatch(value):
        state = "holds a character that no token has" if value else "is empty"
        raise ValueError(f"{what} {state}; `yc iam create-token` prints an IAM token")


def read(path: Path, what: str) -> str:
    """Return the text of a file; raises ValueError that says what it should have been, and the remedy."""
    try:
        data = files.read(path, _MAX_FILE)
    except OSError as error:
        raise ValueError(f"{what} {path} cannot be read: {error.strerror}; {_REMEDY}") from None
    if len(data) > _MAX_FILE:
        raise ValueError(f"{what} {path} is too large to be one")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{what} {path} is not UTF-8 text") from None


def signature_of(path: Path) -> Signature | None:
    """Return what is another when a file changes; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
