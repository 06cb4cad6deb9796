"""Whatever bytes come to the server: each request is taken or refused in words, and answered once."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from http import HTTPStatus

from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.exchange import MOST_BODY_BYTES, MOST_HEADERS, Exchange, Refused
from exporter.gateway import Request, plain
from exporter.wire import Wire

LATIN = st.text(st.characters(max_codepoint=255), max_size=8)
METHODS = st.sampled_from(["GET "] * 6 + ["HEAD ", "POST ", "get ", "GET", "\0 ", ""])
TARGETS = st.sampled_from([
    "/", "/-/healthy", "/probe?execution_id=a&execution_id[]=b", "http://x/-/healthy", "HTTPS://x", "http://?a",
    "*", "x:1", "/%zz%00%ff?%zz", "//x", "/" + "x" * 70_000, "/\t", "/é", "/a#b",
]) | LATIN.map("/{}".format)  # fmt: skip
VERSIONS = st.sampled_from(
    [" HTTP/1.1\r\n"] * 8 + [" HTTP/1.0\r\n", " HTTP/2.0\r\n", " HTTP/1.1\n", "\r\n", ""]
)
FIELDS = st.sampled_from([
    "Host: y\r\n", "Content-Length: 3\r\n", "Content-Length: 99999999999999999999\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: 3, 4\r\n", f"Content-Length: {MOST_BODY_BYTES + 1}\r\n", "Content-Length: ٣\r\n",
    "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Expect: 100-continue\r\n",
    "Connection: close\r\n", "Upgrade: h2c\r\n", " folded\r\n", "A:\r\n", ": a\r\n", "A : b\r\n", "A: \0\r\n",
    f"A: {'x' * 70_000}\r\n", "A: b\r\n" * (MOST_HEADERS + 1), "Accept: application/openmetrics-text\r\n",
]) | st.tuples(LATIN, LATIN).map("{0[0]}: {0[1]}\r\n".format)  # fmt: skip
BODIES = st.sampled_from([
    "", "abc", "3\r\nabc\r\n0\r\n\r\n", "zz\r\n", "ffffffffffffffffffff\r\n", "0\r\nA: b\r\n\r\n",
    "1\r\na\r\n" * 1100, "3;a=b\r\nabc\r\n0\r\n\r\n",
]) | LATIN  # fmt: skip
SENT = st.tuples(
    METHODS,
    TARGETS,
    VERSIONS,
    st.sampled_from(["Host: x\r\n"] * 6 + [""]),
    st.lists(FIELDS, max_size=3).map("".join),
    st.sampled_from(["\r\n"] * 6 + ["\n", ""]),
    BODIES,
).map(lambda parts: "".join(parts).encode("latin-1", "replace"))


async def heard(sent: bytes) -> tuple[list[Request | Refused], bytes, int]:
    """Return what the server makes of bytes after which no more come, what is answered, the most held."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(5)
        loop = asyncio.get_running_loop()
        speaking = loop.run_in_executor(None, _said, theirs, sent)
        held: list[bytes | int] = [0]
        made: list[Request | Refused] = []
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(5):
                await _served(Exchange(Wire(ours), held.append), made.append)
        ours.shutdown(socket.SHUT_WR)
        while await Wire(ours).receive():
            pass
        await speaking
        read = b""
        while piece := theirs.recv(65536):
            read += piece
    return made, read, max(each if isinstance(each, int) else len(each) for each in held)


def _said(theirs: socket.socket, sent: bytes) -> None:
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)


async def _served(exchange: Exchange, note: Callable[[Request | Refused], None]) -> None:
    going = True
    while going and await exchange.begins():
        try:
            request = await exchange.request()
        except Refused as error:
            note(error)
            going = await exchange.answer(error.answer, last=True)
        else:
            note(request)
            going = await exchange.answer(plain(HTTPStatus.OK, "taken"), last=False)


@given(st.lists(SENT, min_size=1, max_size=2).map(b"".join) | st.binary(max_size=80))
@example(b"GET /%ff%00?a=%00 HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
@example(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
@fuzzed(200)
def test_any_bytes_are_requests_or_refused_in_words(sent: bytes) -> None:
    """What is taken has a path and bounds; as many answers as requests, none after a refusal."""
    made, read, held = asyncio.run(heard(sent))
    told = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", read) if code != b"100"]
    assert told == [error.answer.status if isinstance(error, Refused) else 200 for error in made]
    assert not any(isinstance(each, Refused) for each in made[:-1])
    assert held < 4 * MOST_BODY_BYTES
    for request in made:
        if isinstance(request, Request):
            assert request.path.startswith("/")
            assert len(request.body) <= MOST_BODY_BYTES
            assert len(request.headers) <= MOST_HEADERS
            assert not re.search(rb"[\r\n\0]", b"".join(part for pair in request.headers for part in pair))
