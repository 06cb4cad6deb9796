"""What can be wrong below HTTP: ports, names, TLS, each before the first success and after it."""

import contextlib
import datetime as dt
import ipaddress
import select
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from faulty import BUDGET, LATER, SECONDS, Door, Halves, Page, Subject
from processes import free_port, until

from exporter.simulator import Fault, FaultRule, Simulator

PEM = serialization.Encoding.PEM
PLAIN = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def name(text: str) -> x509.Name:
    """Return a name of a certificate."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Authority:
    """Who signs certificates, and where its own is."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def server(self, title: str, *, host: str = "127.0.0.1", days: int = 1, alone: bool = False) -> Path:
        """Return a file of certificate and key: for a host, valid for so many days, or by itself alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        address = ipaddress.ip_address(host)
        builder = x509.CertificateBuilder().subject_name(name(title)).issuer_name(name("authority"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(days=9))
        builder = builder.not_valid_after(now + dt.timedelta(days=days))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(address)]), critical=False
        )
        made = builder.sign(key if alone else self.key, hashes.SHA256())
        path = self.folder / f"{title}.pem"
        path.write_bytes(made.public_bytes(PEM) + key.private_bytes(PEM, *PLAIN))
        return path

    def own(self) -> Path:
        """Return the file of what is to be trusted."""
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name("authority")).issuer_name(name("authority"))
        builder = builder.public_key(self.key.public_key()).serial_number(1)
        builder = builder.not_valid_before(now - dt.timedelta(days=9))
        builder = builder.not_valid_after(now + dt.timedelta(days=9))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        path = self.folder / "authority.pem"
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM))
        return path


Greeting = Callable[[socket.socket], socket.socket | None]


def tls(path: Path) -> Greeting:
    """Return what speaks TLS with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return lambda sock: context.wrap_socket(sock, server_side=True)


def says(data: bytes) -> Greeting:
    """Return what says something, whatever it hears, and goes."""

    def greet(sock: socket.socket) -> None:
        with sock:
            sock.recv(4096)
            sock.sendall(data)

    return greet


def silent(sock: socket.socket) -> None:
    """Say nothing until the other side goes."""
    with sock:
        while sock.recv(4096):
            pass


class Gate:
    """A port before the cloud, whose way to greet can be changed; ended by `with`. `_lock` guards `_open`."""

    def __init__(self, cloud: Simulator, greet: Greeting) -> None:
        parts = urlsplit(cloud.base_url)
        self._cloud = (parts.hostname or "", parts.port or 0)
        self.greet = greet
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)

    def hang_up(self) -> None:
        """End the connections that there are."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    @property
    def open(self) -> int:
        """How many connections there are."""
        with self._lock:
            return len(self._open)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.add(sock)
        inner: socket.socket | None = None
        try:
            with contextlib.suppress(OSError):
                inner = self.greet(sock)
            if inner is not None:
                with self._lock:
                    self._open = (self._open - {sock}) | {inner}
                with contextlib.suppress(OSError):
                    self._pass_on(inner)
        finally:
            with self._lock:
                self._open -= {sock, inner}
            for each in filter(None, (inner, sock)):
                each.close()

    def _pass_on(self, inner: socket.socket) -> None:
        with socket.create_connection(self._cloud) as outer:
            other = {inner: outer, outer: inner}
            while True:
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)


@dataclass
class Place:
    """Where the exporter and its cloud are: a gate between them that speaks TLS as it should."""

    halves: Halves
    door: Door
    gate: Gate
    authority: Authority
    environ: dict[str, str]
    right: Greeting

    def subject(self, url: str = "", seconds: float = SECONDS) -> Subject:
        """Return an exporter that asks the gate, or another address."""
        settings = self.halves.settings(seconds)
        settings["api"]["endpoint"] = url or self.gate.url
        return Subject(settings, self.door, self.environ)


@pytest.fixture
def place(door: Door, tmp_path: Path) -> Iterator[Place]:
    """Return a cloud behind TLS."""
    authority = Authority(tmp_path)
    right = tls(authority.server("right"))
    with Simulator(executions=0, clock=door.clock.time) as cloud, Gate(cloud, right) as gate:
        environ = {"REQUESTS_CA_BUNDLE": str(authority.own())}
        yield Place(Halves(cloud, door.clock), door, gate, authority, environ, right)


ALL = 8
"""Targets that are asked for before anything is known; after it, what ended is not, but two are found."""

WRONG: dict[str, tuple[Callable[[Authority], Greeting], str]] = {
    "a certificate that has run out": (lambda a: tls(a.server("old", days=-1)), "tls"),
    "a certificate that nobody signed": (lambda a: tls(a.server("alone", alone=True)), "tls"),
    "a certificate of another host": (lambda a: tls(a.server("other", host="127.0.0.2")), "tls"),
    "no TLS but HTTP": (lambda _: says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls"),
    "an alert": (lambda _: says(b"\x15\x03\x03\x00\x02\x02\x28"), "tls"),
    "a handshake that stalls": (lambda _: silent, "timeout"),
    "a handshake that is heard and not answered": (lambda _: says(b""), "connection"),
    "a port that hangs up": (lambda _: lambda sock: sock.close(), "connection"),
}


def failed(page: Page, before: Counter[str], reason: str) -> None:
    """Compare a page with what the contract says of a cloud that nobody reaches."""
    assert page.reasons() - before == Counter({reason: ALL})
    assert page.value("up") == 0
    assert page.value("execution_scrape_http_code", execution_id="exe-twin") == 0
    assert page.value("scrape_success", workflow_id="flow-twin") == 0
    assert page.differs() == frozenset()
    assert page.seconds < BUDGET + 0.5


@pytest.mark.parametrize("wrong", WRONG)
def test_a_line_that_is_wrong(place: Place, wrong: str) -> None:
    """Before the first success and after it: all says why, what ended is served, then all is whole."""
    make, reason = WRONG[wrong]
    greeting = make(place.authority)
    with place.subject(seconds=0.5 if reason == "timeout" else SECONDS) as subject:
        place.gate.greet = greeting
        failed(subject.scrape(), Counter(), reason)
        place.gate.greet = place.right
        whole = subject.scrape()
        assert (whole.value("up"), whole.differs()) == (1, frozenset())
        place.gate.greet = greeting
        place.gate.hang_up()
        before = subject.reasons()
        page = subject.scrape()
        failed(page, before, reason)
        assert page.value("execution_scrape_success", execution_id="ended-twin") == 1
        place.gate.greet = place.right
        place.gate.hang_up()
        place.halves.clock.sleep(LATER)
        after = subject.scrape()
        assert (after.half("twin"), after.value("up")) == (whole.half("twin"), 1)


@pytest.mark.parametrize("url", ["https://127.0.0.1:{port}", "https://name.invalid", "https://[::1]:{port}"])
def test_an_address_where_nobody_is(place: Place, url: str) -> None:
    """A closed port and a name that nobody has: no connection, and nothing else."""
    with place.subject(url.format(port=free_port()), seconds=20) as subject:
        page = subject.scrape()
        assert set(page.reasons() + Counter()) <= {"connection", "budget"}
        assert page.value("up") == 0
        assert page.seconds < BUDGET + 0.5


def test_an_outage_in_the_middle_of_a_life(place: Place) -> None:
    """Connections that were kept and are gone cost nothing: what is asked for is asked for again."""
    with place.subject() as subject:
        whole = subject.scrape()
        for _ in range(3):
            place.gate.hang_up()
            page = subject.scrape()
            assert (page.half("twin"), page.reasons()) == (whole.half("twin"), whole.reasons())


def test_a_redirect_is_not_followed_and_takes_no_token_along(place: Place) -> None:
    """Not to another host, not to another path: where it points nobody calls."""
    with Simulator(executions=0) as elsewhere, place.subject() as subject:
        for code in (301, 302, 303, 307, 308):
            url = f"{elsewhere.base_url}/workflows/v1/execution/exe-bad"
            rule = FaultRule(Fault.REDIRECT, method="Execution.Get", target="exe-bad", code=code, value=url)
            place.halves.cloud.faults.add(rule)
            page = subject.scrape()
            place.halves.cloud.faults.clear()
            assert page.value("execution_scrape_http_code", execution_id="exe-bad") == code
        assert elsewhere.calls == ()


def descriptors() -> int:
    """Return how many files and sockets this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_is_left_behind(place: Place) -> None:
    """After every kind of trouble and the end of the exporter there is no thread, no socket, no file."""
    threads, files = threading.active_count(), descriptors()
    kinds = [Fault.RESET, Fault.TRUNCATED, Fault.STALL_BODY, Fault.GARBAGE, Fault.SHORT_LENGTH, Fault.HUGE]
    for _ in range(3):
        with place.subject(seconds=0.3) as subject:
            for kind in kinds:
                place.halves.cloud.faults.add(FaultRule(kind, size=2 << 20))
                subject.scrape()
                subject.application.reload()
                place.halves.cloud.faults.clear()
                subject.scrape()
    until(lambda: place.gate.open == 0, 10)
    until(lambda: threading.active_count() <= threads, 10)
    until(lambda: descriptors() <= files, 10)
