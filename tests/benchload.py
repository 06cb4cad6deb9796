"""A load on the bench's own cloud, to see what it can do: raw sockets, no HTTP library in between."""

import selectors
import socket
import time

REQUEST = b"GET /workflows/v1/execution/dfqbench000000000000-%08d HTTP/1.1\r\nHost: bench\r\n\r\n"
END = b"}}"


def answers_a_second(port: int, connections: int, seconds: float) -> float:
    """Return how many answers a second come over so many connections, each asking again at once."""
    with selectors.DefaultSelector() as waiting:
        socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        for place, sock in enumerate(socks):
            waiting.register(sock, selectors.EVENT_READ, (sock, REQUEST % place))
            sock.sendall(REQUEST % place)
        begun, answers = time.monotonic(), 0
        while time.monotonic() - begun < seconds:
            for key, _ in waiting.select(1.0):
                asker, request = key.data
                if asker.recv(65536).endswith(END):
                    answers += 1
                    asker.sendall(request)
        took = time.monotonic() - begun
        for sock in socks:
            sock.close()
    return answers / took
