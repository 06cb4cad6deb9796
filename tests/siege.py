"""Attacks on a server, and what an honest client and the operating system see meanwhile.

`python tests/siege.py PORT NAME SIZE` attacks a port of loopback until its standard input ends. The
attacks are programs of their own, so that what they cost is not mistaken for what the server is slow at.
"""

import contextlib
import dataclasses
import errno
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

TICK_SECONDS = 0.1
PATIENCE_SECONDS = 10.0
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MISSING = b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
UNDER_WAY = {errno.EINPROGRESS, errno.EALREADY, errno.EAGAIN}


@dataclasses.dataclass(frozen=True)
class Attack:
    """What each of the attackers does with a connection, one step a tick, and then again with the next.

    It says `opening` as fast as it is taken, then one byte of `drip` a tick; it reads at most `reads`
    bytes a tick; and after `ticks` it ends the connection in its way, or never. NUMBER is one of its own.
    """

    opening: bytes = b""
    drip: bytes = b""
    reads: int = 0
    ticks: int = 0
    way: str = "close"


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
ATTACKS = {
    "idle": Attack(),
    "dripping heads": Attack(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", drip=b"a"),
    "dripping handshakes": Attack(HELLO, drip=b"\0"),
    "dripping bodies": Attack(POST + b"60000\r\n\r\n", drip=b"a"),
    "dripping chunks": Attack(POST[:-16] + b"Transfer-Encoding: chunked\r\n\r\n", drip=b"1\r\na\r\n"),
    "readers that never read": Attack(GET * 50),
    "readers that read slowly": Attack(GET * 50, reads=64),
    "huge heads": Attack(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 500_000, reads=1000, ticks=5),
    "many small headers": Attack(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 16_000, reads=1000, ticks=5),
    "huge bodies": Attack(POST + b"10000000\r\n\r\n" + b"a" * 500_000, reads=1000, ticks=5),
    "pipelines": Attack(MISSING * 500, reads=65536, ticks=20),
    "half-closed": Attack(HEALTHY, reads=65536, ticks=5, way="half"),
    "resets": Attack(GET[:20], ticks=1, way="reset"),
    "connect and close": Attack(ticks=1),
    "requests and resets": Attack(HEALTHY, ticks=1, way="reset"),
    "flood": Attack(MISSING, reads=65536, ticks=3),
    "garbage": Attack(b"\0\xff\r\n" * 100, reads=1000, ticks=2),
    "flood of probes": Attack(
        b"GET /probe?execution_id=made-up-NUMBER HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        reads=65536,
    ),
}


class Attacker:
    """One connection after the other to a port of loopback, never waited for."""

    def __init__(self, port: int, attack: Attack) -> None:
        self._port = port
        self._attack = attack
        self.connections = 0
        self._open()

    def step(self) -> None:
        """Do what is to be done in this tick."""
        try:
            self._speak()
            self._listen()
        except OSError as error:
            if error.errno not in UNDER_WAY and not isinstance(error, BlockingIOError):
                self._again()
                return
        self._age += 1
        if self._age == self._attack.ticks:
            self._end()

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def _open(self) -> None:
        self._sock = socket.socket()
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._sock.settimeout(0)
        self._sock.connect_ex(("127.0.0.1", self._port))
        self._age = self._dripped = 0
        self.connections += 1
        number = b"%d-%d" % (id(self), self.connections)
        self._unsaid = memoryview(self._attack.opening.replace(b"NUMBER", number))

    def _again(self) -> None:
        self._sock.close()
        self._open()

    def _speak(self) -> None:
        while self._unsaid:
            self._unsaid = self._unsaid[self._sock.send(self._unsaid[:65536]) :]
        if drip := self._attack.drip:
            at = self._dripped % len(drip)
            self._dripped += self._sock.send(drip[at : at + 1])

    def _listen(self) -> None:
        flags = 0 if self._attack.reads else socket.MSG_PEEK
        if not self._sock.recv(self._attack.reads or 1, flags):
            raise ConnectionError("closed by the server")

    def _end(self) -> None:
        if self._attack.way == "half":
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            return
        if self._attack.way == "reset":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._again()


def attack(port: int, name: str, size: int, until: threading.Event) -> int:
    """Attack until the event is set and return how many connections were made."""
    attackers: list[Attacker] = []
    try:
        while not until.is_set():
            began = time.monotonic()
            attackers += [Attacker(port, ATTACKS[name]) for _ in range(min(100, size - len(attackers)))]
            for attacker in attackers:
                attacker.step()
            until.wait(max(0.0, TICK_SECONDS - (time.monotonic() - began)))
    finally:
        for attacker in attackers:
            attacker.close()
    return sum(attacker.connections for attacker in attackers)


@contextlib.contextmanager
def under_attack(port: int, name: str, size: int) -> Iterator[None]:
    """Attack a port by so many connections at a time, from a process of its own."""
    command = [sys.executable, __file__, str(port), name, str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attackers:
        assert attackers.stdout is not None
        try:
            attackers.stdout.readline()
            yield
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                attackers.communicate(timeout=10)
            attackers.kill()


@dataclasses.dataclass
class Footprint:
    """What a process takes of its machine: threads, open files, resident KiB, seconds of CPU."""

    threads: int
    files: int
    resident: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> "Footprint":
        """Return what it takes now."""
        status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resident = int(status["VmRSS"].split()[0])
        return cls(int(status["Threads"]), files, resident, (int(ticks[11]) + int(ticks[12])) / 100)

    def peak(self, other: "Footprint") -> "Footprint":
        """Return the larger of each."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Footprint(*(max(pair) for pair in pairs))


@dataclasses.dataclass
class Report:
    """What an honest client saw, in seconds, and the most that the process took."""

    took: list[float]
    failures: list[str]
    peak: Footprint

    @property
    def typical(self) -> float:
        """The median of the answers that came."""
        return statistics.median(self.took) if self.took else float("inf")

    @property
    def worst(self) -> float:
        """The slowest answer, or what was waited in vain."""
        return PATIENCE_SECONDS if self.failures else max(self.took, default=float("inf"))

    def said(self) -> str:
        """Return a row of a table: milliseconds, failures of all, and the peaks."""
        asked, peak = len(self.took) + len(self.failures), self.peak
        times = f"{1000 * self.typical:.0f} | {1000 * self.worst:.0f} | {len(self.failures)}/{asked}"
        return f"{times} | {peak.threads} | {peak.files} | {peak.resident / 1024:.0f}"


def asked(port: int, said: bytes = LAST, context: ssl.SSLContext | None = None) -> bytes:
    """Return the whole answer to a request over a connection of its own; raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as plain:
        sock = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
        with sock:
            sock.sendall(said)
            heard = bytearray()
            while more := sock.recv(65536):
                heard += more
            return bytes(heard)


def observed(
    port: int,
    pid: int,
    seconds: float,
    *,
    said: bytes = LAST,
    context: ssl.SSLContext | None = None,
    pause: float = 0.02,
) -> Report:
    """Ask again and again, as an honest client does, and watch the process."""
    report = Report([], [], Footprint.of(pid))
    end, quiet = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            answer = asked(port, said, context)
        except OSError as error:
            report.failures.append(repr(error))
        else:
            took = time.monotonic() - began
            status, length = answer[:12], len(answer)
            if status == b"HTTP/1.1 200":
                report.took.append(took)
            else:
                report.failures.append(f"{answer[:80]!r} of {length} bytes")
        report.peak = report.peak.peak(Footprint.of(pid))
        quiet.wait(pause)
    return report


if __name__ == "__main__":
    ended = threading.Event()

    def wait_for_the_end() -> None:
        """Wait until the program that started this one says so, or is no more."""
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    sys.stdout.write("attacking\n")
    sys.stdout.flush()
    sys.stdout.write(f"{attack(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), ended)}\n")
