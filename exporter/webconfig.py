"""The web configuration file: TLS, users and headers of the exporter's own door.

The format is that of Prometheus' exporter-toolkit (its docs/web-configuration.md). What Python cannot do
is refused with the reason.
"""

import difflib
import enum
import hashlib
import hmac
import logging
import os
import re
import ssl
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from exporter import files
from exporter.strictyaml import StrictLoader
from exporter.yandex.secrets import one_line

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
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
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
HASH = re.compile(r"(\$2[aby]\$)(?:0[4-9]|[12][0-9]|3[01])(\$[./A-Za-z0-9]{53})")
MAX_FILE_BYTES = 1024 * 1024
REMEMBERED_PASSWORDS = 100
MOST_WAITING = 16
BCRYPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Tls:
    """What tls_server_config says; the files by the keys that name them."""

    files: Mapping[str, Path]
    client_auth: ssl.VerifyMode
    minimum: ssl.TLSVersion
    maximum: ssl.TLSVersion


@dataclass(frozen=True, slots=True)
class WebConfig:
    """One reading of the file, and the context made of its certificates; hashes are no part of its repr."""

    tls: Tls | None = None
    context: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def admits_peer(self, certificate: Mapping[str, Any] | None) -> bool:
        """Say whether a client may connect; `certificate` is what `getpeercert` returns of a verified one."""
        return self.tls is None or certificate is not None or self.tls.client_auth is not ssl.CERT_REQUIRED


class Admission(enum.Enum):
    """What is said to someone at the door."""

    GRANTED = enum.auto()
    REFUSED = enum.auto()
    LATER = enum.auto()


def read(path: Path) -> WebConfig:
    """Read the file; raises OSError, or ValueError that names key, value and remedy."""
    top = _section(_parsed(path), TOP_KEYS, "")
    http = _section(top.get("http_server_config"), {"http2", "headers"}, "http_server_config.")
    if not isinstance(http.get("http2", True), bool):
        raise ValueError(f"http_server_config.http2: {_shown(http['http2'])} is neither true nor false")  # noqa: TRY004  # as all else here
    users = top.get("basic_auth_users")
    tls = _section(top.get("tls_server_config"), TLS_KEYS, "tls_server_config.")
    return WebConfig(
        tls=_tls(tls, path.parent) if tls else None,
        headers=_headers(_section(http.get("headers"), set(HEADERS), "http_server_config.headers.")),
        users=_users(_section(users, users or (), "basic_auth_users.")),
    )


def _parsed(path: Path) -> Any:
    try:
        raw = files.read(path, MAX_FILE_BYTES)
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError(f"{path}: too large for a web configuration: more than {MAX_FILE_BYTES} bytes")
        return yaml.load(raw.decode("utf-8-sig"), StrictLoader)  # noqa: S506  # a safe loader
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        said = getattr(error, "problem", None) or "not YAML"
        raise ValueError(f"{path}{where}: cannot be read: {one_line(said)}") from None
    except RecursionError:
        raise ValueError(f"{path}: is nested too deep") from None


def _shown(value: object) -> str:
    return one_line(repr(value), 60)


def _section(raw: Any, known: Collection[str], where: str) -> Mapping[Any, Any]:
    """Return a mapping of the file, empty where there is none, and only with keys that are known."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ValueError(f"{where.rstrip('.') or 'the file'}: must map keys to values")  # noqa: TRY004  # as all else here
    for key in (key for key in raw if key not in known):
        shown = one_line(str(key), 60)
        near = difflib.get_close_matches(shown, known, 1)
        said = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
        raise ValueError(f"{where}{shown}: {REFUSED_KEYS.get(shown) or f'unknown key; {said}'}")
    return raw


def _text(section: Mapping[str, Any], key: str, default: str) -> str:
    value = section.get(key)
    if value is None or value == "":
        return default
    # What cannot be printed (NUL, a lone surrogate) cannot name a file either.
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"tls_server_config.{key}: {_shown(value)} is no printable text; use quotes")
    return value


def _choice(section: Mapping[str, Any], key: str, table: Collection[str], default: str) -> str:
    value = _text(section, key, default)
    if value not in table:
        raise ValueError(f"tls_server_config.{key}: {_shown(value)} is none of {', '.join(table)}")
    return value


def _tls(raw: Mapping[str, Any], base: Path) -> Tls:
    names = {key: _text(raw, key, "") for key in ("cert_file", "key_file", "client_ca_file")}
    for key in ("cert_file", "key_file"):
        if not names[key]:
            raise ValueError(f"tls_server_config.{key}: is missing; name a PEM file")
    auth = _choice(raw, "client_auth_type", CLIENT_AUTH, "NoClientCert")
    verifies = CLIENT_AUTH[auth] is not ssl.CERT_NONE
    if verifies and not names["client_ca_file"]:
        raise ValueError(f"tls_server_config.client_ca_file: is needed for client_auth_type {auth}")
    if names["client_ca_file"] and not verifies:
        raise ValueError(f"tls_server_config.client_auth_type: {auth} verifies nothing; drop client_ca_file")
    least = _choice(raw, "min_version", VERSIONS, "TLS12")
    most = _choice(raw, "max_version", VERSIONS, "TLS13")
    if VERSIONS[least] > VERSIONS[most]:
        raise ValueError(f"tls_server_config.min_version: {least} is above max_version {most}; lower it")
    files = {key: base / name for key, name in names.items() if name}
    return Tls(files, CLIENT_AUTH[auth], VERSIONS[least], VERSIONS[most])


def _headers(raw: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    for name, value in raw.items():
        where, allowed = f"http_server_config.headers.{name}: {_shown(value)}", HEADERS[name]
        if allowed and value not in allowed:
            raise ValueError(f"{where} is not a value for this header; write {' or '.join(allowed)}")
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise ValueError(f"{where} cannot be sent; write one line of ASCII text, in quotes")
    return tuple(raw.items())


def _users(raw: Mapping[Any, Any]) -> Mapping[str, bytes]:
    for user, hashed in raw.items():
        where = f"basic_auth_users.{one_line(str(user), 60)}"
        if not isinstance(user, str):
            raise ValueError(f"{where}: is not text; write the user in quotes")  # noqa: TRY004  # as all else here
        if not isinstance(hashed, str) or not _is_hash(hashed):
            raise ValueError(f"{where}: not a bcrypt hash of cost 4 to 31; make one with `htpasswd -nBC 10`")
    return {user: hashed.encode() for user, hashed in raw.items()}


def _is_hash(text: str) -> bool:
    """Say whether bcrypt takes it, at the least cost: a hash may be made to cost days."""
    parts = HASH.fullmatch(text)
    try:
        return parts is not None and bcrypt.checkpw(b"", f"{parts[1]}04{parts[2]}".encode()) in {True, False}
    except ValueError:
        return False


def _context(tls: Tls) -> ssl.SSLContext:
    """Return a context of this reading alone: one that is filled again keeps every CA it ever trusted."""
    for key, file in tls.files.items():
        try:
            files.read(file, 0)
        except OSError as error:
            said = f"{str(file)!r} cannot be read: {error.strerror}; correct the path or its permissions"
            raise ValueError(f"tls_server_config.{key}: {said}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    key = "cert_file"
    try:
        context.load_cert_chain(tls.files[key], tls.files["key_file"], password=_no_passphrase)
        if "client_ca_file" in tls.files:
            key = "client_ca_file"
            context.load_verify_locations(tls.files[key])
    except OSError as error:
        said = f"{str(tls.files[key])!r} cannot be used: {getattr(error, 'reason', None) or error}"
        raise ValueError(f"tls_server_config.{key}: {said}; give PEM files that belong together") from None
    context.verify_mode = tls.client_auth
    context.minimum_version, context.maximum_version = tls.minimum, tls.maximum
    return context


def _no_passphrase() -> str:
    """Instead of OpenSSL's own question on the terminal, at which a server would wait for ever."""
    raise ValueError("tls_server_config.key_file: is encrypted; give a key without a passphrase")


class WebConfigFile:
    """The file as it is now: read again when it or its certificates change; a bad change is not taken.

    `_lock` guards `_seen` (the files of the last reading, taken or not, as they were when looked at),
    `_good` and `_remembered`, which holds at most 100 digests of passwords found right. `_bcrypt` lets
    one password be hashed at a time; `_places` lets few wait for that, so that a flood of wrong passwords
    leaves threads to others.
    """

    def __init__(self, path: Path, *, patience: float = BCRYPT_SECONDS) -> None:
        self._path = path
        self._patience = patience
        self._lock = threading.Lock()
        self._bcrypt = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._pepper = os.urandom(32)
        self._seen: dict[Path, object] = {}
        self._good = self._reading()

    def current(self) -> WebConfig:
        """Return what the file says, after looking whether it changed."""
        with self._lock:
            if any(_stat(path) != seen for path, seen in self._seen.items()):
                self._reread()
            return self._good

    def _reading(self) -> WebConfig:
        """Read everything, each file looked at before it is read, so that no later change is missed."""
        self._seen = {self._path: _stat(self._path)}
        config = read(self._path)
        if config.tls is None:
            return config
        self._seen |= {file: _stat(file) for file in config.tls.files.values()}
        return replace(config, context=_context(config.tls))

    def _reread(self) -> None:
        try:
            config = self._reading()
            if (config.tls is None) != (self._good.tls is None):
                raise ValueError("tls_server_config: TLS is switched on or off at the next start only")  # noqa: TRY301  # one way out
        except (OSError, ValueError) as error:
            fields = {"error": error.strerror if isinstance(error, OSError) else str(error)}
            log.warning("web.config_file not taken; the last good one holds", extra={"fields": fields})
            return
        self._good = config
        self._remembered.clear()
        log.info("web.config_file read again")

    def admits(self, credentials: tuple[str, bytes] | None) -> Admission:
        """Say whether these are the name and the password of a user; without users all may enter."""
        users = self.current().users
        if not users:
            return Admission.GRANTED
        if credentials is None:
            return Admission.REFUSED
        user, password = credentials
        hashed = users.get(user) or self._stand_in(user, users)
        digest = self._digest(b"\0".join((user.encode(), password, hashed)))
        with self._lock:
            if digest in self._remembered and user in users:
                return Admission.GRANTED
        right = self._matches(password, hashed)
        if right and user in users:
            self._remember(digest)
            return Admission.GRANTED
        return Admission.LATER if right is None else Admission.REFUSED

    def _stand_in(self, user: str, users: Mapping[str, bytes]) -> bytes:
        """Return a hash for an unknown user, always the same, so that he costs as much as a known one."""
        return sorted(users.values())[int.from_bytes(self._digest(user.encode())) % len(users)]

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._pepper, text, hashlib.sha256)

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._remembered[digest] = None
            while len(self._remembered) > REMEMBERED_PASSWORDS:
                self._remembered.popitem(last=False)

    def _matches(self, password: bytes, hashed: bytes) -> bool | None:
        """Return None where there was no turn to be had."""
        with ExitStack() as held:
            if not self._places.acquire(blocking=False):
                return None
            held.callback(self._places.release)
            if not self._bcrypt.acquire(timeout=self._patience):
                return None
            held.callback(self._bcrypt.release)
            try:
                # bcrypt itself uses 72 bytes; longer ones are refused by the library, cut by the toolkit.
                return bcrypt.checkpw(password[:72], hashed)
            except ValueError:
                return False


def _stat(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError as error:
        return error.errno
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
