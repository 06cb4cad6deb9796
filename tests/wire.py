"""A raw HTTP server of one behaviour: what the tests of the wire need."""

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Reply = Callable[[socket.socket, bytes], None]


@dataclass
class Wire:
    """Where the server is, what it was sent, and how many connections it saw."""

    url: str
    requests: list[bytes]
    connections: list[int]

    def header(self, name: str, index: int = -1) -> str:
        """Return a header of a request, empty if it has none."""
        lines = self.requests[index].split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        found = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
        return found.get(name.lower(), "")

    def body(self, index: int = -1) -> bytes:
        """Return the body of a request."""
        return self.requests[index].split(b"\r\n\r\n", 1)[1]


def answer(code: int, body: object = None, *headers: str, raw: bytes | None = None) -> bytes:
    """Return the bytes of an HTTP answer with a JSON body."""
    data = json.dumps(body).encode() if raw is None else raw
    lines = [f"HTTP/1.1 {code} Said", f"Content-Length: {len(data)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + data


def says(*answers: bytes) -> Reply:
    """Return a reply that goes through the answers and stays with the last."""
    left = list(answers)
    lock = threading.Lock()

    def reply(sock: socket.socket, _: bytes) -> None:
        with lock:
            data = left.pop(0) if len(left) > 1 else left[0]
        sock.sendall(data)

    return reply


def drips(start: bytes, drop: bytes, stop: threading.Event) -> Reply:
    """Return a reply that sends one drop every 20 ms and never comes to an end."""

    def reply(sock: socket.socket, _: bytes) -> None:
        sock.sendall(start)
        while not stop.wait(0.02):
            sock.sendall(drop)

    return reply


@contextlib.contextmanager
def serving(reply: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Serve on loopback; every request is kept and handed to `reply`."""
    wire = Wire("", [], [])

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire.connections.append(1)
            with contextlib.suppress(OSError):
                self.request.settimeout(10)
                with tls.wrap_socket(self.request, server_side=True) if tls else self.request as sock:
                    while request := _request(sock):
                        wire.requests.append(request)
                        reply(sock, request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        wire.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        yield wire
        server.shutdown()


def _request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return b""
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lengths = [
        line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    ]
    length = int(lengths[0]) if lengths else 0
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body
