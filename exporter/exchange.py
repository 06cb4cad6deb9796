"""HTTP/1.1 between a wire and values: h11 parses, the limits are ours."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import h11

from exporter.gateway import FAILED, Answer, Request, plain
from exporter.wire import Wire

log = logging.getLogger(__name__)

MOST_HEAD_BYTES = 64 * 1024
MOST_HEADERS = 100
MOST_BODY_BYTES = 64 * 1024
MOST_CHUNKS = 1000
NO_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
REMEDIES = {
    HTTPStatus.BAD_REQUEST: "This is no request as RFC 9112 has it; send one that is.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not come in time; send it at once.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"The body is too large; send at most {MOST_BODY_BYTES} bytes.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request line or the headers are too large; send less.",
    HTTPStatus.NOT_IMPLEMENTED: "This transfer encoding is not known; use chunked or none.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "Only HTTP/1.0 and HTTP/1.1 are spoken here; use one of them.",
}


class Refused(Exception):
    """A request that is not taken; `answer` is for the client."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.answer = refusal(status)


def refusal(status: HTTPStatus) -> Answer:
    """Return the answer to a request that is not taken: why, and what to do."""
    return plain(status, REMEDIES[status])


class Exchange:
    """The requests and answers of one connection, one after the other.

    What a client sends ahead stays in his own system until its turn has come. `hold` is told what is kept
    here for him: a body, which others may share, or how many bytes. Belongs to the thread of the wire's
    loop; deadlines are the caller's.
    """

    def __init__(self, wire: Wire, hold: Callable[[bytes | int], None]) -> None:
        self._wire = wire
        self._hold = hold
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._method = ""
        self._received = 0

    async def begins(self) -> bool:
        """Wait for the first bytes of a request; False when no more come. Raises OSError."""
        ahead = self._http.trailing_data[0]
        self._received = len(ahead)
        self._hold(self._received)
        return bool(ahead) or await self._receive()

    async def request(self) -> Request:
        """Return the request that has begun; raises Refused, or OSError when the client goes."""
        self._method = ""
        try:
            head = await self._event()
            if not isinstance(head, h11.Request):
                raise ConnectionError("went away in the middle of a request")
            self._method = head.method.decode()
            return replace(_request(head), body=await self._body())
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            raise Refused(status if status in REMEDIES else HTTPStatus.BAD_REQUEST) from None

    async def answer(self, answer: Answer, *, last: bool) -> bool:
        """Send an answer; True when the client may go on. Raises OSError when he has gone."""
        try:
            head = self._head(answer, last=last)
        except h11.LocalProtocolError:
            log.exception("an answer is not fit to be sent", extra={"fields": {"status": answer.status}})
            answer = FAILED
            head = self._head(answer, last=True)
        body = b"" if self._method == "HEAD" or answer.status in NO_BODY else answer.body
        self._hold(body)
        start = self._http.send(head) or b""
        if body:
            self._http.send_with_data_passthrough(h11.Data(data=body))
        self._http.send(h11.EndOfMessage())
        # One packet for what is small; a large body is not copied for it.
        for data in [start + body] if len(body) < MOST_BODY_BYTES else [start, body]:
            await self._wire.send(data)
        self._hold(0)
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _head(self, answer: Answer, *, last: bool) -> h11.Response:
        own = {"date": formatdate(usegmt=True), "server": "yc-workflow-exporter"}
        if self._method != "HEAD" and answer.status not in NO_BODY:
            own["content-length"] = str(len(answer.body))
        if last:
            own["connection"] = "close"
        told = [(name, value) for name, value in answer.headers if name.lower() not in own]
        headers = [*((name.title(), value) for name, value in own.items()), *told]
        return h11.Response(status_code=answer.status, reason=answer.reason, headers=headers)

    async def _receive(self) -> bool:
        data = await self._wire.receive()
        self._received += len(data)
        self._hold(self._received)
        self._http.receive_data(data)
        return bool(data)

    async def _event(self) -> object:
        """Return what h11 makes of what has come, and wait for more where it is too little."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                await self._wire.send(self._http.send(go_on) or b"")
            await self._receive()
        return event

    async def _body(self) -> bytes:
        """Return the body to its end; raises Refused for one that is too large, or in silly pieces."""
        body = bytearray()
        chunks = 0
        while isinstance(event := await self._event(), h11.Data):
            body += event.data
            chunks += 1
            if len(body) > MOST_BODY_BYTES or chunks > MOST_CHUNKS:
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return bytes(body)


def _request(head: h11.Request) -> Request:
    """Return the request without its body; raises Refused.

    A request that others could read in two ways is not read at all, since a proxy may be one of them.
    """
    headers = tuple(head.headers)
    names = {name for name, _ in headers}
    if head.http_version not in {b"1.0", b"1.1"}:
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    # What h11 bounds is a head that is not yet whole.
    size = len(head.target) + sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MOST_HEADERS or size > MOST_HEAD_BYTES:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    if b"transfer-encoding" in names and (b"content-length" in names or head.http_version == b"1.0"):
        raise Refused(HTTPStatus.BAD_REQUEST)
    if any(name == b"content-length" and int(value) > MOST_BODY_BYTES for name, value in headers):
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    path, _, query = _origin_form(head.target).partition(b"?")
    decoded = unquote_to_bytes(path).decode("latin-1")
    return Request(head.method.decode(), decoded, query, head.http_version.decode(), headers)


def _origin_form(target: bytes) -> bytes:
    """Return path and query of a target, which may be a whole URL; raises Refused for other forms."""
    url = re.fullmatch(rb"(?i:https?)://[^/?]+(/?)(.*)", target)
    if url:
        target = b"/" + url[2]
    if not target.startswith(b"/"):
        raise Refused(HTTPStatus.BAD_REQUEST)
    return target
