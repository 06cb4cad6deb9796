"""How an answer goes over a connection: whole, or the way that a fault has it."""

import http
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from exporter.simulator.api import Answer, refusal
from exporter.simulator.faults import Fault, FaultRule
from exporter.simulator.framing import Frame, Huge
from exporter.simulator.spoiling import endless, spoil

SILENT: Final = frozenset({Fault.REFUSE, Fault.RESET, Fault.STALL})
"""The faults that leave the client without a status."""

_HTML: Final = b"<!DOCTYPE html><html><body><h1>Welcome to the hotel's Wi-Fi</h1></body></html>"
_POLL_SECONDS: Final = 0.05


def faulty(rule: FaultRule, answer: Answer, page_token: str = "") -> Answer:
    """Return what the client, who asked for this page of a list, is told instead of the right answer."""
    if rule.kind in _INSTEAD and (rule.kind is not Fault.STALL_BODY or rule.code >= 400):
        return _INSTEAD[rule.kind](rule)
    if rule.kind is Fault.NO_END:
        return Answer(200, endless(answer.body, page_token))
    if answer.code != 200:
        return answer
    if rule.kind is Fault.CODE:
        return replace(answer, code=rule.code)
    return replace(answer, body=spoil(rule, answer.body))


def _refused(rule: FaultRule) -> Answer:
    headers = (("Retry-After", rule.retry_after),) if rule.retry_after else ()
    return replace(refusal(rule.code, rule.message or _message(rule.code)), headers=headers)


def _redirected(rule: FaultRule) -> Answer:
    return Answer(rule.code or 302, b"", (("Location", str(rule.value or "/elsewhere")),))


def _message(code: int) -> str:
    known = {429: "The limit on requests was exceeded.", 403: "Permission denied"}
    try:
        return known.get(code) or http.HTTPStatus(code).phrase
    except ValueError:
        return "Cancelled" if code == 499 else "Unknown"


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


def deliver(line: Line, sent: Frame, rule: FaultRule | None) -> bool:
    """Send an answer as the rule has it; False when the connection is of no more use."""
    if isinstance(sent.body, Huge):
        return line.send(sent.top) and all(line.send(chunk) for chunk in sent.body.chunks())
    kind = rule.kind if rule else None
    if kind in _UNFINISHED:
        half = sent.body[: len(sent.body) // 2]
        if kind not in SILENT:
            line.send(sent.top + half)
        _UNFINISHED[kind](line)
        return False
    if rule and kind is Fault.DRIP_HEADERS:
        return line.drip(sent.top, rule.interval) and line.send(sent.body)
    if rule and kind is Fault.DRIP_BODY:
        return line.send(sent.top) and line.drip(sent.body, rule.interval)
    return line.send(sent.top + sent.body) and not sent.closes


_UNFINISHED: Final[Mapping[Fault | None, Callable[[Line], None]]] = {
    Fault.REFUSE: lambda _: None,
    Fault.RESET: Line.reset,
    Fault.STALL: Line.stall,
    Fault.TRUNCATED: lambda _: None,
    Fault.RESET_MID_BODY: Line.reset,
    Fault.STALL_BODY: Line.stall,
}
_INSTEAD: Final[Mapping[Fault, Callable[[FaultRule], Answer]]] = {
    Fault.STATUS: _refused,
    Fault.STALL_BODY: _refused,
    Fault.HTML: lambda rule: Answer(rule.code or 200, _HTML, content_type="text/html; charset=utf-8"),
    Fault.NOT_JSON: lambda rule: Answer(rule.code or 200, b'{"execution": {"id": '),
    Fault.HUGE: lambda rule: Answer(200, Huge(rule.size)),
    Fault.REDIRECT: _redirected,
}
