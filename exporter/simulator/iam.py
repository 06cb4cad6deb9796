"""The ways to an IAM token: a signed JWT, the instance's metadata, a federated subject token.

Strict like the real services: a JWT is verified with the registered key, and every claim with it.
"""

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.simulator.values import nanoseconds
from exporter.simulator.wire import timestamp

AUDIENCE: Final = "https://iam.api.cloud.yandex.net/iam/v1/tokens"
_LEEWAY: Final = 60.0
_MAX_TOKENS: Final = 10_000
_FORM: Final = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
}


class Denied(Exception):
    """No token for this caller; the text says why, and nothing that was sent."""


class Tokens:
    """The tokens that are good: one that stays, and those that were issued, until they expire."""

    def __init__(self, clock: Callable[[], float], lifetime: float) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._issued: dict[str, float] = {}
        self._static = _new_token()
        self.lifetime = lifetime

    @property
    def static(self) -> str:
        """The token that does not expire."""
        with self._lock:
            return self._static

    def issue(self) -> tuple[str, float]:
        """Return a new token and when it expires, in unix seconds."""
        value, expires_at = _new_token(), self._clock() + self.lifetime
        with self._lock:
            while len(self._issued) >= _MAX_TOKENS:
                self._issued.pop(next(iter(self._issued)))
            self._issued[value] = expires_at
        return value, expires_at

    def revoke(self) -> None:
        """Make every token bad, and the static one another."""
        with self._lock:
            self._issued.clear()
            self._static = _new_token()

    def good(self, value: str) -> bool:
        """Say whether a token opens the API now."""
        with self._lock:
            return value == self._static or self._issued.get(value, float("-inf")) > self._clock()


def _new_token() -> str:
    return f"t1.{secrets.token_urlsafe(24)}.{secrets.token_urlsafe(48)}"


class Keys:
    """The authorized keys of a service account."""

    def __init__(self, service_account_id: str, clock: Callable[[], float]) -> None:
        self._service_account_id = service_account_id
        self._clock = clock
        self._lock = threading.Lock()
        self._public: dict[str, rsa.RSAPublicKey] = {}

    def create(self, path: Path) -> Path:
        """Write a new key as `yc iam key create` does, for its owner's eyes only, and register it."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_id = f"aje{secrets.token_hex(9)[:17]}"
        path.touch(mode=0o600)
        path.write_text(json.dumps(self._file(key_id, key), indent=2) + "\n")
        with self._lock:
            self._public[key_id] = key.public_key()
        return path

    def _file(self, key_id: str, key: rsa.RSAPrivateKey) -> dict[str, str]:
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "id": key_id,
            "service_account_id": self._service_account_id,
            "created_at": datetime.fromtimestamp(self._clock(), UTC).isoformat().replace("+00:00", "Z"),
            "key_algorithm": "RSA_2048",
            "public_key": public.decode(),
            "private_key": f"PLEASE DO NOT REMOVE THIS LINE! Yandex.Cloud SA Key ID <{key_id}>\n{private}",
        }

    def revoke(self) -> None:
        """Forget every key: their JWTs are refused from now on."""
        with self._lock:
            self._public.clear()

    def verify(self, token: str) -> None:
        """Raise Denied unless this is a JWT that the real IAM would take."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise Denied("jwt: is not a JWT") from None
        if header.get("alg") != "PS256":
            raise Denied("jwt: alg must be PS256")
        with self._lock:
            key = self._public.get(str(header.get("kid")))
        if key is None:
            raise Denied("jwt: kid names no key")
        # Times are checked against the simulated clock, the audience as the literal that is documented.
        options: Any = dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf", "verify_aud"), False)
        try:
            claims = jwt.decode(token, key, algorithms=["PS256"], options=options)
        except jwt.InvalidTokenError:
            raise Denied("jwt: the signature is wrong") from None
        self._check(claims)

    def _check(self, claims: Mapping[str, Any]) -> None:
        if claims.get("iss") != self._service_account_id:
            raise Denied("jwt: iss is not the service account of the key")
        if claims.get("aud") != AUDIENCE:
            raise Denied(f"jwt: aud must be {AUDIENCE}")
        issued, expires, now = claims.get("iat"), claims.get("exp"), self._clock()
        if type(issued) is not int or type(expires) is not int:
            raise Denied("jwt: iat and exp must be integers")
        if issued > now + _LEEWAY:
            raise Denied("jwt: iat is in the future")
        if not now < expires <= issued + 3600:
            raise Denied("jwt: exp must be in the future and at most an hour after iat")


class Iam:
    """The three doors to a token; each raises Denied, or ValueError for a malformed request."""

    def __init__(self, tokens: Tokens, keys: Keys, service_account_id: str) -> None:
        self._tokens = tokens
        self._keys = keys
        self._service_account_id = service_account_id
        self.subject_token = f"eyJhbGciOiJSUzI1NiJ9.{secrets.token_urlsafe(32)}.{secrets.token_urlsafe(32)}"

    def by_jwt(self, body: bytes) -> dict[str, Any]:
        """Answer POST /iam/v1/tokens."""
        try:
            asked = json.loads(body)
        except ValueError:
            raise ValueError("the body is not JSON") from None
        if not isinstance(asked, dict) or not isinstance(asked.get("jwt"), str):
            raise ValueError("jwt: is missing")  # noqa: TRY004 - as every bad body
        self._keys.verify(asked["jwt"])
        value, expires_at = self._tokens.issue()
        return {"iamToken": value, "expiresAt": timestamp(nanoseconds(expires_at) or 0)}

    def by_metadata(self, flavor: str) -> dict[str, Any]:
        """Answer the instance metadata's token path."""
        if flavor != "Google":
            raise Denied("the header Metadata-Flavor: Google is missing")
        return self._oauth()

    def by_subject_token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer POST /oauth/token."""
        for name, expected in _FORM.items():
            if form.get(name) != expected:
                raise ValueError(f"{name} must be {expected}")
        if form.get("audience") != self._service_account_id:
            raise Denied("audience: no federation trusts this service account")
        if form.get("subject_token") != self.subject_token:
            raise Denied("subject_token: is not trusted")
        return {**self._oauth(), "issued_token_type": _FORM["requested_token_type"]}

    def _oauth(self) -> dict[str, Any]:
        value, _ = self._tokens.issue()
        return {"access_token": value, "expires_in": int(self._tokens.lifetime), "token_type": "Bearer"}
