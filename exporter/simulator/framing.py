"""How an answer lies on the line: status line, headers and body, right or the way that a fault has them."""

import gzip
import http
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Final

from exporter.simulator import wire
from exporter.simulator.api import Answer
from exporter.simulator.faults import Fault, FaultRule

_START: Final = b'{"execution":{"input":{"inputJson":"'
_END: Final = b'"}}}'
_PIECE: Final = 1 << 16
_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Huge:
    """A body of `size` bytes that is never in memory: JSON in form, with one very long text."""

    size: int

    def __len__(self) -> int:
        return len(_START) + self.size + len(_END)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body in pieces."""
        yield _START
        for sent in range(0, self.size, _PIECE):
            yield b"x" * min(_PIECE, self.size - sent)
        yield _END


@dataclass(frozen=True, slots=True)
class Frame:
    """An answer in bytes: `top` is all before the body; `closes` if its end is the connection's."""

    top: bytes
    body: bytes | Huge
    closes: bool = False


def body_of(answer: Answer) -> bytes | Huge:
    """Return the body as it goes over the line."""
    return answer.body if isinstance(answer.body, Huge) else wire.encode(answer.body)


def head(answer: Answer, length: int | None, *, close: bool, now: float) -> bytes:
    """Return status line and headers; `length` None tells no length, `now` is in Unix seconds."""
    try:
        phrase = http.HTTPStatus(answer.code).phrase
    except ValueError:
        phrase = "Unknown"
    headers = (
        ("Date", formatdate(now, usegmt=True)),
        ("Content-Type", answer.content_type),
        *((("Content-Length", str(length)),) if length is not None else ()),
        *((("Connection", "close"),) if close else ()),
        *answer.headers,
    )
    lines = [f"HTTP/1.1 {answer.code} {phrase}", *(f"{k}: {v}" for k, v in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def frame(rule: FaultRule | None, answer: Answer, *, close: bool, now: float) -> Frame:
    """Return an answer as it goes over the line; `now` is in Unix seconds."""
    body = body_of(answer)
    distortion = _DISTORTIONS.get(rule.kind) if rule else None
    if rule is None or distortion is None or isinstance(body, Huge):
        return Frame(head(answer, len(body), close=close, now=now), body)
    return distortion(rule, answer, body, now)


def _with_length(answer: Answer, length: int | None, body: bytes, now: float) -> Frame:
    return Frame(head(answer, length, close=length is None, now=now), body, closes=length is None)


def _encoded(answer: Answer, coding: tuple[str, str], body: bytes, now: float) -> Frame:
    told = replace(answer, headers=(*answer.headers, coding))
    return _with_length(told, len(body) if coding[0] == "Content-Encoding" else None, body, now)


def _chunked(_: FaultRule, answer: Answer, body: bytes, now: float) -> Frame:
    pieces = [body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK)]
    data = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return _encoded(answer, _CHUNKS, data + b"0\r\n\r\n", now)


def _bomb(rule: FaultRule, answer: Answer, _: bytes, now: float) -> Frame:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(piece) for piece in Huge(rule.size).chunks()) + packer.flush()
    return _encoded(answer, _GZIP, packed, now)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _informational(rule: FaultRule, answer: Answer, body: bytes, now: float) -> Frame:
    before = f"HTTP/1.1 {rule.code or 103} Wait\r\nLink: </style.css>\r\n\r\n".encode()
    return Frame(before + head(answer, len(body), close=False, now=now), body)


def _headed(answer: Answer, headers: tuple[tuple[str, str], ...], body: bytes, now: float) -> Frame:
    told = replace(answer, headers=(*answer.headers, *headers))
    return Frame(head(told, len(body), close=False, now=now), body)


_GZIP: Final = ("Content-Encoding", "gzip")
_CHUNKS: Final = ("Transfer-Encoding", "chunked")
_MANY: Final = tuple((f"X-Header-{n}", "1") for n in range(1000))
_LONG: Final = (("X-Header", "x" * 100_000),)
_Distortion = Callable[[FaultRule, Answer, bytes, float], Frame]
_DISTORTIONS: Final[Mapping[Fault, _Distortion]] = {
    Fault.SHORT_LENGTH: lambda _, answer, body, now: _with_length(answer, len(body) // 2, body, now),
    Fault.LONG_LENGTH: lambda _, answer, body, now: _with_length(answer, len(body) + 100, body, now),
    Fault.NO_LENGTH: lambda _, answer, body, now: _with_length(answer, None, body, now),
    Fault.CHUNKED: _chunked,
    Fault.CHUNKED_GARBAGE: lambda _, answer, body, now: _encoded(answer, _CHUNKS, body, now),
    Fault.GZIP: lambda _, answer, body, now: _encoded(answer, _GZIP, gzip.compress(body), now),
    Fault.GZIP_BROKEN: lambda _, answer, body, now: _encoded(answer, _GZIP, body, now),
    Fault.GZIP_CUT: lambda _, answer, body, now: _encoded(answer, _GZIP, _half(gzip.compress(body)), now),
    Fault.GZIP_BOMB: _bomb,
    Fault.INFORMATIONAL: _informational,
    Fault.GARBAGE: lambda *_: Frame(b"\x16\x03\x01 \xff\xfe this is no HTTP\r\n\r\n", b"", closes=True),
    Fault.MANY_HEADERS: lambda _, answer, body, now: _headed(answer, _MANY, body, now),
    Fault.LONG_HEADER: lambda _, answer, body, now: _headed(answer, _LONG, body, now),
}
