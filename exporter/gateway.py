"""From an HTTP request to a WSGI application and back: values in, values out, no sockets."""

import io
import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection, host and port, and whether TLS is between them."""

    ours: tuple[str, int]
    theirs: tuple[str, int]
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for; the names of headers are in lower case.

    The path is decoded; as in WSGI, each of its characters stands for a byte.
    """

    method: str
    path: str
    query: bytes
    version: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to a client."""

    status: int
    reason: str
    headers: Headers
    body: bytes


def plain(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer of one line for people."""
    content = (("Content-Type", "text/plain; charset=utf-8"), *headers)
    return Answer(status, status.phrase, content, f"{text}\n".encode())


FAILED = plain(HTTPStatus.INTERNAL_SERVER_ERROR, "This page could not be made; the log says why.")


def answered(app: WSGIApplication, request: Request, ends: Ends) -> Answer:
    """Let an application answer; what it raises is in the log, once, and a 500 for the client."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start(status: str, headers: list[tuple[str, str]], _: Any = None) -> Callable[[bytes], object]:
        started[:] = [(status, headers)]
        return written.append

    try:
        written.extend(_parts(app(environ(request, ends), start)))
        status, headers = started[0]
        code, _, reason = status.partition(" ")
        return Answer(int(code), reason, tuple(headers), b"".join(written))
    except Exception:
        log.exception("the application could not answer")
        return FAILED


def environ(request: Request, ends: Ends) -> WSGIEnvironment:
    """Return what WSGI (PEP 3333) tells an application of a request."""
    told: WSGIEnvironment = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query.decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": ends.ours[0],
        "SERVER_PORT": str(ends.ours[1]),
        "REMOTE_ADDR": ends.theirs[0],
        "REMOTE_PORT": str(ends.theirs[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if ends.is_secure else "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw, value in request.headers:
        # `A_B` and `A-B` would be the same variable: who sends the former may not pass for the latter.
        if b"_" in raw:
            continue
        name = raw.decode("latin-1").upper().replace("-", "_")
        name = name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"
        said = value.decode("latin-1")
        told[name] = f"{told[name]},{said}" if name in told else said
    return told


def _parts(answer: Iterable[bytes]) -> list[bytes]:
    try:
        return list(answer)
    finally:
        if close := getattr(answer, "close", None):
            close()
