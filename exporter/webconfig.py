"""The door by the web configuration file, which is read again when it changes: who may come in, how often."""

import enum
import hashlib
import hmac
import logging
import math
import os
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter.webfile import RateLimit, matches, read
from exporter.webtls import Tls, admitted, context_of

log = logging.getLogger(__name__)

REMEMBERED_PASSWORDS = 100
MOST_WAITING = 16
BCRYPT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WebConfig:
    """One reading of the file, and the context made of its certificates; hashes are no part of its repr."""

    tls: Tls | None = None
    context: ssl.SSLContext | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    rate_limit: RateLimit | None = None

    def admits_peer(self, certificate: Mapping[str, Any] | None) -> bool:
        """Say whether a client may connect; `certificate` is what `getpeercert` returns of a verified one."""
        return self.tls is None or admitted(self.tls, certificate)


class Admission(enum.Enum):
    """What is said to someone at the door."""

    GRANTED = enum.auto()
    REFUSED = enum.auto()
    LATER = enum.auto()
    TOO_MANY = enum.auto()


class Bucket:
    """A token bucket: full at the start, each request takes one. `_lock` guards `_tokens` and `_filled`."""

    def __init__(self, limit: RateLimit, monotonic: Callable[[], float]) -> None:
        self.limit = limit
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tokens = float(limit.burst)
        self._filled = monotonic()

    def take(self) -> bool:
        """Take a token; False where there is none."""
        with self._lock:
            now = self._monotonic()
            more = (now - self._filled) / self.limit.interval
            self._tokens = min(float(self.limit.burst), self._tokens + more)
            self._filled = now
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True


class WebConfigFile:
    """The file as it is now: read again when it or its certificates change; a bad change is not taken.

    `_lock` guards `_seen` (the files of the last reading, taken or not, as they were when looked at),
    `_good`, `_bucket` and `_remembered`, which holds at most 100 digests of passwords found right, each
    with its hash: who keeps his hash is known after a change of the file, too. `_bcrypt`
    lets one password be hashed at a time; `_places` lets few wait for that, so that a flood of wrong
    passwords leaves threads to others. `matches` says whether a password has a hash, `monotonic` is the time
    of the rate limit. Whoever is refused costs the same: as much as the dearest hash of the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        patience: float = BCRYPT_SECONDS,
        matches: Callable[[bytes, bytes], bool] = matches,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._patience = patience
        self._checkpw = matches
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._bcrypt = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._remembered: OrderedDict[bytes, None] = OrderedDict()
        self._pepper = os.urandom(32)
        self._seen: dict[Path, object] = {}
        self._good = self._reading()
        self._bucket: Bucket | None = None
        self._limit()

    def current(self) -> WebConfig:
        """Return what the file says, after looking whether it changed."""
        with self._lock:
            if any(_stat(path) != seen for path, seen in self._seen.items()):
                self._reread()
            return self._good

    def _reading(self) -> WebConfig:
        """Read everything, each file looked at before it is read, so that no later change is missed."""
        self._seen = {self._path: _stat(self._path)}
        file = read(self._path)
        context = None
        if file.tls is not None:
            self._seen |= {path: _stat(path) for path in file.tls.files}
            context = context_of(file.tls)
        return WebConfig(file.tls, context, file.headers, file.users, file.rate_limit)

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
        self._limit()
        log.info("web.config_file read again")

    def _limit(self) -> None:
        """Have the rate limited as the file says; what was taken counts on where the limit is the same."""
        limit = self._good.rate_limit
        if limit is None:
            self._bucket = None
        elif self._bucket is None or self._bucket.limit != limit:
            self._bucket = Bucket(limit, self._monotonic)
            if not limit.burst:
                log.warning("rate_limit.burst: 0 refuses every request; write at least 1")

    @property
    def retry_after(self) -> int:
        """The seconds after which one that was too many may come back."""
        limit = self.current().rate_limit
        return max(1, math.ceil(limit.interval)) if limit else 1

    def admits(self, credentials: tuple[str, bytes] | None) -> Admission:
        """Say whether these are the name and the password of a user; without users all may enter.

        Each call is a request to the rate limit, which asks for no password.
        """
        users = self.current().users
        with self._lock:
            bucket = self._bucket
        if bucket is not None and not bucket.take():
            return Admission.TOO_MANY
        if not users:
            return Admission.GRANTED
        if credentials is None:
            return Admission.REFUSED
        user, password = credentials
        dearest = max(users.values(), key=_cost)
        hashed = users.get(user, dearest)
        digest = self._digest(b"\0".join((user.encode(), password, hashed)))
        with self._lock:
            if digest in self._remembered and user in users:
                return Admission.GRANTED
        right = self._matches(password, hashed, _cost(dearest))
        if right and user in users:
            self._remember(digest)
            return Admission.GRANTED
        return Admission.LATER if right is None else Admission.REFUSED

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._pepper, text, hashlib.sha256)

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._remembered[digest] = None
            while len(self._remembered) > REMEMBERED_PASSWORDS:
                self._remembered.popitem(last=False)

    def _matches(self, password: bytes, hashed: bytes, dearest: int) -> bool | None:
        """Return None where there was no turn to be had; a wrong password costs as much as `dearest`."""
        with ExitStack() as held:
            if not self._places.acquire(blocking=False):
                return None
            held.callback(self._places.release)
            if not self._bcrypt.acquire(timeout=self._patience):
                return None
            held.callback(self._bcrypt.release)
            # bcrypt itself uses 72 bytes; longer ones are refused by the library, cut by the toolkit.
            return self._hashed(password[:72], hashed, dearest)

    def _hashed(self, password: bytes, hashed: bytes, dearest: int) -> bool:
        try:
            if self._checkpw(password, hashed):
                return True
            # A cost is a power of two: with each of those from its own up to the dearest it is that.
            for cost in range(_cost(hashed), dearest):
                self._checkpw(password, b"%b%02d%b" % (hashed[:4], cost, hashed[6:]))
        except ValueError:
            return False
        return False


def _cost(hashed: bytes) -> int:
    return int(hashed[4:6])


def _stat(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError as error:
        return error.errno
    # What keeps its time and size when it is copied over still changes its status.
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev
