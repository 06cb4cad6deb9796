"""How an answer goes over a connection: whole, or the way that a fault has it."""

import http
import select
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Final

from exporter.simulator import wire
from exporter.simulator.api import Answer, refusal
from exporter.simulator.faults import Fault, FaultRule, spoil

SILENT: Final = frozenset({Fault.REFUSE, Fault.RESET, Fault.STALL})
"""The faults that leave the client without a status."""

_HTML: Final = b"<!DOCTYPE html><html><body><h1>Welcome to the hotel's Wi-Fi</h1></body></html>"
_START: Final = b'{"execution":{"input":{"inputJson":"'
_END: Final = b'"}}}'
_POLL_SECONDS: Final = 0.05
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Huge:
    """A body of `size` bytes that is never in memory: JSON in form, with one very long text."""

    size: int

    def __len__(self) -> int:
        return len(_START) + self.size + len(_END)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        yield _START
        for sent in range(0, self.size, _CHUNK):
            yield b"x" * min(_CHUNK, self.size - sent)
        yield _END


def faulty(rule: FaultRule, answer: Answer) -> Answer:
    """Return what the client is told instead of the right answer."""
    if rule.kind is Fault.STATUS:
        headers = (("Retry-After", rule.retry_after),) if rule.retry_after else ()
        return replace(refusal(rule.code, rule.message or _message(rule.code)), headers=headers)
    if rule.kind is Fault.HTML:
        return Answer(rule.code or 200, _HTML, content_type="text/html; charset=utf-8")
    if rule.kind is Fault.NOT_JSON:
        return Answer(rule.code or 200, b'{"execution": {"id": ')
    if rule.kind is Fault.HUGE:
        return Answer(200, Huge(rule.size))
    if rule.kind is Fault.REDIRECT:
        return Answer(rule.code or 302, b"", (("Location", str(rule.value or "/elsewhere")),))
    return replace(answer, body=spoil(rule, answer.body)) if answer.code == 200 else answer


def _message(code: int) -> str:
    known = {429: "The limit on requests was exceeded.", 403: "Permission denied"}
    try:
        return known.get(code) or http.HTTPStatus(code).phrase
    except ValueError:
        return "Cancelled" if code == 499 else "Unknown"


def body_of(answer: Answer) -> bytes | Huge:
    """Return the body as it goes over the line."""
    return answer.body if isinstance(answer.body, Huge) else wire.encode(answer.body)


def head(answer: Answer, size: int, close: bool, now: float) -> bytes:
    """Return status line and headers of an answer whose body has `size` bytes; `now` in Unix seconds."""
    try:
        phrase = http.HTTPStatus(answer.code).phrase
    except ValueError:
        phrase = "Unknown"
    headers = (
        ("Date", formatdate(now, usegmt=True)),
        ("Content-Type", answer.content_type),
        ("Content-Length", str(size)),
        *((("Connection", "close"),) if close else ()),
        *answer.headers,
    )
    lines = [f"HTTP/1.1 {answer.code} {phrase}", *(f"{k}: {v}" for k, v in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


@dataclass(frozen=True, slots=True)
class Line:
    """A connection, and the event that ends every wait on it."""

    connection: socket.socket
    stopping: threading.Event

    def send(self, data: bytes) -> bool:
        """Send all of it; False when the client is gone."""
        try:
            self.connection.sendall(data)
        except OSError:
            return False
        return True

    def drip(self, data: bytes, interval: float) -> bool:
        """Send a byte each `interval` seconds."""
        for index in range(len(data)):
            if self.stopping.wait(interval) or not self.send(data[index : index + 1]):
                return False
        return True

    def stall(self) -> None:
        """Say nothing until the client or the simulator goes."""
        while not self.stopping.wait(_POLL_SECONDS) and not self._deserted():
            pass

    def _deserted(self) -> bool:
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    def reset(self) -> None:
        """Close with a TCP reset, as a crashed process or a firewall does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


def deliver(line: Line, top: bytes, body: bytes | Huge, rule: FaultRule | None) -> bool:
    """Send an answer as the rule has it; False when the connection is of no more use."""
    if isinstance(body, Huge):
        return line.send(top) and all(line.send(chunk) for chunk in body.chunks())
    kind = rule.kind if rule else None
    if kind in SILENT:
        if kind is Fault.STALL:
            line.stall()
        if kind is Fault.RESET:
            line.reset()
        return False
    if kind in (Fault.TRUNCATED, Fault.RESET_MID_BODY):
        line.send(top + body[: len(body) // 2])
        if kind is Fault.RESET_MID_BODY:
            line.reset()
        return False
    if rule and kind is Fault.DRIP_HEADERS:
        return line.drip(top, rule.interval) and line.send(body)
    if rule and kind is Fault.DRIP_BODY:
        return line.send(top) and line.drip(body, rule.interval)
    return line.send(top + body)
