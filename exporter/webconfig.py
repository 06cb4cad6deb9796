"""The web configuration file: TLS, users and headers of the exporter's own door.

The format is that of Prometheus' exporter-toolkit (its docs/web-configuration.md). What Python cannot do
is refused with the reason.
"""

import base64
import difflib
import hashlib
import hmac
import logging
import os
import ssl
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import yaml

log = logging.getLogger(__name__)

VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
HEADERS = {
    "Content-Security-Policy": None,
    "Strict-Transport-Security": None,
    "X-Content-Type-Options": {"nosniff"},
    "X-Frame-Options": {"deny", "sameorigin"},
    "X-XSS-Protection": None,
}
TOP_KEYS = {"tls_server_config", "http_server_config", "basic_auth_users"}
TLS_KEYS = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version"}
REFUSED_KEYS = {
    "cert": "inline certificates are not taken; use cert_file",
    "key": "inline keys are not taken; use key_file",
    "client_ca": "inline certificates are not taken; use client_ca_file",
    "cipher_suites": "the cipher suites are Python's own; remove this key",
    "prefer_server_cipher_suites": "the order is Python's own; remove this key",
    "curve_preferences": "the curves are Python's own; remove this key",
    "client_allowed_sans": "the names in client certificates are not checked; remove this key",
    "rate_limit": "requests are not limited; remove this key",
}
REMEMBERED_PASSWORDS = 100
BCRYPT_SECONDS = 5.0
NOBODY = b"$2b$10$J0VSQbWCbbPAZTRlHtOiv.Q3B0fnC/tgRZ/KFyGRBrnUBIgd4Mryy"
"""A hash of a password that nobody has, so that an unknown user costs as much as a known one."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What tls_server_config says."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None
    client_auth: ssl.VerifyMode
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion | None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """One reading of the file; hashes are no part of its repr."""

    tls: Tls | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def read(path: Path) -> WebConfig:
    """Read the file; raises OSError, or ValueError that names key, value and remedy."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ValueError(f"{path}{where}: not YAML") from None
    top = _section(raw, TOP_KEYS, "")
    http = _section(top.get("http_server_config"), {"http2", "headers"}, "http_server_config.")
    tls = top.get("tls_server_config")
    return WebConfig(
        tls=_tls(_section(tls, TLS_KEYS, "tls_server_config."), path.parent) if tls else None,
        headers=_headers(http.get("headers") or {}),
        users=_users(top.get("basic_auth_users") or {}),
    )


def _section(raw: Any, known: set[str], where: str) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ValueError(f"{where.rstrip('.') or 'the file'}: must map keys to values")  # noqa: TRY004  # as all else here
    for key in raw:
        if key in known:
            continue
        if key in REFUSED_KEYS:
            raise ValueError(f"{where}{key}: {REFUSED_KEYS[key]}")
        near = difflib.get_close_matches(str(key), known, 1)
        raise ValueError(
            f"{where}{key}: unknown key; "
            + (f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}")
        )
    return raw


def _tls(raw: Mapping[str, Any], base: Path) -> Tls:
    for key in ("cert_file", "key_file"):
        if not raw.get(key):
            raise ValueError(f"tls_server_config.{key}: is missing")
    auth = raw.get("client_auth_type") or "NoClientCert"
    if auth not in CLIENT_AUTH:
        raise ValueError(f"tls_server_config.client_auth_type: {auth!r} is none of {', '.join(CLIENT_AUTH)}")
    ca = raw.get("client_ca_file")
    if CLIENT_AUTH[auth] is not ssl.CERT_NONE and not ca:
        raise ValueError(f"tls_server_config.client_ca_file: is needed for client_auth_type {auth}")
    if ca and CLIENT_AUTH[auth] is ssl.CERT_NONE:
        raise ValueError(
            "tls_server_config.client_auth_type: must verify certificates where client_ca_file is given"
        )
    versions = {}
    for key, default in (("min_version", "TLS12"), ("max_version", "TLS13")):
        value = raw.get(key) or default
        if value not in VERSIONS:
            raise ValueError(f"tls_server_config.{key}: {value!r} is none of {', '.join(VERSIONS)}")
        versions[key] = VERSIONS[value]
    return Tls(
        base / raw["cert_file"], base / raw["key_file"], base / ca if ca else None,
        CLIENT_AUTH[auth], versions["min_version"], versions["max_version"],
    )  # fmt: skip


def _headers(raw: Any) -> tuple[tuple[str, str], ...]:
    for name, value in _section(raw, set(HEADERS), "http_server_config.headers.").items():
        allowed = HEADERS[name]
        if not isinstance(value, str) or not value.isprintable() or (allowed and value not in allowed):
            raise ValueError(f"http_server_config.headers.{name}: {value!r} is not a value for this header")
    return tuple(raw.items())


def _users(raw: Any) -> Mapping[str, bytes]:
    if not isinstance(raw, dict):
        raise ValueError("basic_auth_users: must map users to bcrypt hashes")  # noqa: TRY004  # as all else here
    for user, hashed in raw.items():
        if (
            not isinstance(hashed, str)
            or not hashed.startswith(("$2a$", "$2b$", "$2y$"))
            or len(hashed) != 60
        ):
            raise ValueError(
                f"basic_auth_users.{user}: not a bcrypt hash; make one with `htpasswd -nBC 10 {user}`"
            )
    return {str(user): hashed.encode() for user, hashed in raw.items()}


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _fill(context, tls)
    return context


def _fill(context: ssl.SSLContext, tls: Tls) -> None:
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
        if tls.client_ca_file:
            context.load_verify_locations(tls.client_ca_file)
    except ssl.SSLError as error:
        raise ValueError(
            f"tls_server_config: certificate, key or CA cannot be used: {error.reason}"
        ) from None
    except OSError as error:
        raise ValueError(f"tls_server_config: a file cannot be read: {error.strerror}") from None
    context.verify_mode = tls.client_auth
    context.minimum_version = tls.minimum
    if tls.maximum:
        context.maximum_version = tls.maximum


class WebConfigFile:
    """The file as it is now: read again when it or its certificates change; a bad change is not taken.

    `_lock` guards `_signature`, `_config` and `_context`; `_bcrypt` lets one password be hashed at a time;
    `_remembered` is guarded by `_lock` and holds at most 100 digests of passwords found right.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._bcrypt = threading.Lock()
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._pepper = os.urandom(32)
        self._config = read(path)
        self.context = _context(self._config.tls) if self._config.tls else None
        self._signature = self._stat()

    def current(self) -> WebConfig:
        """Return what the file says, after looking whether it changed."""
        with self._lock:
            signature = self._stat()
            if signature != self._signature:
                self._signature = signature
                self._reread()
            return self._config

    def _reread(self) -> None:
        try:
            config = read(self._path)
            if (config.tls is None) != (self.context is None):
                raise ValueError("TLS is switched on or off at the next start only")  # noqa: TRY301  # one way out
            if config.tls and self.context:
                _context(config.tls)
                _fill(self.context, config.tls)
        except (OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) else str(error)
            log.warning(
                "web.config_file not taken; the last good one holds", extra={"fields": {"error": text}}
            )
            return
        self._config = config
        self._remembered.clear()
        log.info("web.config_file read again")

    def _stat(self) -> tuple[object, ...]:
        tls = self._config.tls
        paths = [self._path, *((tls.cert_file, tls.key_file) if tls else ())]
        if tls and tls.client_ca_file:
            paths.append(tls.client_ca_file)
        seen: list[object] = []
        for path in paths:
            try:
                stat = path.stat()
                seen.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError as error:
                seen.append(error.errno)
        return tuple(seen)

    def admits(self, authorization: str) -> bool:
        """Say whether an Authorization header is that of a user; True where there are no users."""
        config = self.current()
        if not config.users:
            return True
        user, password = _credentials(authorization)
        hashed = config.users.get(user, NOBODY)
        digest = hmac.digest(self._pepper, b"\0".join((user.encode(), password, hashed)), hashlib.sha256)
        with self._lock:
            if digest in self._remembered:
                return True
        right = self._matches(password, hashed) and user in config.users
        if right:
            with self._lock:
                self._remembered[digest] = None
                while len(self._remembered) > REMEMBERED_PASSWORDS:
                    self._remembered.popitem(last=False)
        return right

    def _matches(self, password: bytes, hashed: bytes) -> bool:
        if not self._bcrypt.acquire(timeout=BCRYPT_SECONDS):
            return False
        try:
            # bcrypt itself uses 72 bytes; longer ones are refused by the library, cut by the toolkit.
            return bcrypt.checkpw(password[:72], hashed)
        except ValueError:
            return False
        finally:
            self._bcrypt.release()


def _credentials(authorization: str) -> tuple[str, bytes]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", b""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
        return user.decode(), password
    except ValueError:
        return "", b""
