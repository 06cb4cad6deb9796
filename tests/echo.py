"""A hostile cloud: it answers whatever it was sent, in every part of an answer and in every spelling."""

import base64
import json
import re
import socket
from collections.abc import Callable
from urllib.parse import parse_qs, quote

from wire import answer

SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda secret: base64.b64encode(secret.encode()).decode(),
    lambda secret: quote(secret, safe=""),
    lambda secret: f"{secret[:16]}... is bad",
    lambda secret: f"what ends in ...{secret[-14:]} is bad",
    str.upper,
)


def _message(code: int) -> Callable[[str], bytes]:
    return lambda said: answer(
        code, {"code": 16, "message": f"no: {said}", "details": [said]}, f"X-Said: {said}"
    )


def _raw(text: str) -> Callable[[str], bytes]:
    return lambda said: text.replace("SAID", said).replace("\n", "\r\n").encode()


MODES: tuple[Callable[[str], bytes], ...] = (
    _message(403),
    _message(400),
    _message(404),
    _message(499),
    _message(503),
    lambda said: answer(500, None, "Content-Type: text/html", raw=f"<h1>{said}</h1>".encode()),
    lambda said: answer(302, {"message": said}, f"Location: https://127.0.0.1:9/{said}"),
    lambda said: answer(200, None, "Content-Type: text/html", raw=f"<h1>{said}</h1>".encode()),
    lambda said: answer(200, None, "Content-Encoding: gzip", raw=said.encode()),
    lambda said: answer(
        200, {"execution": {"id": said, "status": said, "duration": said, "startedAt": said}}
    ),
    lambda said: answer(200, {"iamToken": [said], "access_token": f"{said} {said}", "expires_in": said}),
    lambda said: answer(200, said),
    _raw("SAID\n\n"),
    _raw("HTTP/1.1 SAID\n\n"),
    _raw("HTTP/1.1 403 SAID\nContent-Length: 0\n\n"),
    _raw("HTTP/1.1 200 OK\nSAID\nContent-Length: 2\n\n{}"),
    _raw("HTTP/1.1 200 OK\nContent-Length: SAID\n\n{}"),
    _raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nSAID\n"),
    _raw('HTTP/1.1 429 Wait\nRetry-After: SAID\nContent-Length: 17\n\n{"message": "no"}'),
    _message(401),
)
"""Ways to answer; the last one keeps the exporter from asking again."""


def name(mode: int, spelling: int) -> str:
    """Return an ID, or a part of an address, that is answered so."""
    return f"m{mode}-s{spelling}-end"


def heard(request: bytes) -> list[str]:
    """Return the secrets that a request has: its token, what it posts."""
    head, body = (part.decode("latin-1") for part in request.split(b"\r\n\r\n", 1))
    found = re.findall(r"Authorization: Bearer (\S+)", head)
    if body.startswith("{"):
        found += json.loads(body).values()
    return found + parse_qs(body).get("subject_token", [])


def echo(tokens: dict[str, str]) -> Callable[[socket.socket, bytes], None]:
    """Return a cloud that gives tokens, by the path that asks for one, and else repeats what it hears."""

    def reply(sock: socket.socket, request: bytes) -> None:
        target = request.split(b" ")[1].decode()
        chosen = re.search(r"m(\d+)-s(\d+)-end", target)
        if chosen is None:
            token = next((token for path, token in tokens.items() if path in target), "")
            answered = {"iamToken": token, "access_token": token, "expires_in": 3600} if token else {}
            return sock.sendall(answer(200, answered))
        secret = (heard(request) or ["nothing"])[0]
        sock.sendall(MODES[int(chosen[1])](SPELLINGS[int(chosen[2])](secret)))
        if int(chosen[1]) > 11:
            # Not all of these have an end of their own.
            sock.close()
        return None

    return reply
