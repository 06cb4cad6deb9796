"""A token for the authorized key of a service account, the file that `yc iam key create` writes.

A module of its own, for what it signs with takes 9 MB of memory: who has no key never loads it.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.yandex.calls import Budget, Clock, Request
from exporter.yandex.errors import AuthFailed
from exporter.yandex.models import parse_timestamp
from exporter.yandex.sources import UNSTATED_LIFE, Signature, Token, ask, read, signature_of, token_of
from exporter.yandex.transport import Transport

_AUDIENCE = "https://iam.api.cloud.yandex.net/iam/v1/tokens"  # a literal, whatever the endpoint is
_JWT_LIFE = 3600  # seconds; the longest that is accepted
_MIN_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class AuthorizedKey:
    """What is needed of the JSON file that `yc iam key create` writes."""

    id: str
    service_account_id: str
    private_key: RSAPrivateKey = field(repr=False)


class ServiceAccountKey:
    """An authorized key of a service account: a signed JWT is exchanged for a token."""

    def __init__(
        self, path: str | os.PathLike[str], endpoint: str, transport: Transport, clock: Clock
    ) -> None:
        self._path = Path(path)
        self._endpoint = endpoint.rstrip("/")
        self._transport = transport
        self._clock = clock
        self._seen: Signature | None = None

    def load(self) -> AuthorizedKey:
        """Read the key file; raises ValueError that names file and field, without content."""
        text = read(self._path, "service account key file")
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise ValueError(self._broken("it is not a JSON object"))  # noqa: TRY004 - one error for all
        key_id, account = (self._text(fields, name) for name in ("id", "service_account_id"))
        return AuthorizedKey(key_id, account, self._private_key(self._text(fields, "private_key")))

    def issue(self, budget: Budget) -> Token:
        """Return a token of the service account; raises AuthFailed."""
        signature = signature_of(self._path)
        try:
            key = self.load()
        except ValueError as error:
            raise AuthFailed(str(error)) from None
        request = Request(
            method="Iam.CreateToken",
            verb="POST",
            url=f"{self._endpoint}/iam/v1/tokens",
            json={"jwt": self._signed(key)},
        )
        purpose = f"for service account key file {self._path} (`yc iam key create` makes a new key)"
        body = ask(self._transport, request, budget, purpose)
        token = Token(token_of(body, "iamToken"), self._expiry(body))
        self._seen = signature
        return token

    def changed(self) -> bool:
        """Whether the key file is another one than that of the last token."""
        return signature_of(self._path) != self._seen

    def check(self) -> None:
        """Raise ValueError if the key file cannot be used."""
        self.load()

    def _signed(self, key: AuthorizedKey) -> str:
        now = int(self._clock.time())
        claims = {"iss": key.service_account_id, "aud": _AUDIENCE, "iat": now, "exp": now + _JWT_LIFE}
        return jwt.encode(claims, key.private_key, algorithm="PS256", headers={"kid": key.id})

    def _expiry(self, body: Any) -> float:
        try:
            stated = parse_timestamp(body.get("expiresAt"))
        except ValueError:
            stated = None
        return stated if stated is not None else self._clock.time() + UNSTATED_LIFE

    def _text(self, fields: dict[str, Any], name: str) -> str:
        value = fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(self._broken(f"`{name}` is missing, or not a text"))
        return value.strip()

    def _private_key(self, text: str) -> RSAPrivateKey:
        # `yc` writes a comment line before the PEM.
        start = max(0, text.find("-----BEGIN"))
        try:
            key = load_pem_private_key(text[start:].encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_KEY_BITS:
            raise ValueError(self._broken("`private_key` is not an RSA private key in PEM"))
        return key

    def _broken(self, why: str) -> str:
        return (
            f"service account key file {self._path}: {why}; "
            f"`yc iam key create --service-account-name NAME --output {self._path}` writes a new one"
        )
