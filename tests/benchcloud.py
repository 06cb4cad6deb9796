"""The cloud of the benchmarks: canned answers after a latency, as cheap as Python can give them.

`python tests/benchcloud.py LATENCY_SECONDS PAYLOAD_BYTES` prints its port. It knows of a request no more
than its path: an execution whose ID begins with `t` is FINISHED, any other RUNNING; a list has five that
ended.
`/bench` answers with what was asked since it was last asked itself, and takes it back to nothing.
"""

import asyncio
import datetime as dt
import json
import selectors
import sys
import time
from collections import Counter
from typing import cast

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %d\r\n\r\n"
WORKFLOW = "dfqbench000000000000"
LISTED = 5
ITEM = 22
"""The bytes of one item of a payload, as it is on the wire."""


def execution(id_: str, status: str, workflow: str, started: str, payload: str = "") -> dict[str, object]:
    """Return an execution as protobuf's JSON has it."""
    made: dict[str, object] = {"id": id_, "workflowId": workflow, "status": status, "startedAt": started}
    if status == "FINISHED":
        made["duration"] = "12.345678901s"
    if payload:
        made["input"], made["result"] = {"inputJson": payload}, {"resultJson": payload}
    return made


class Answers:
    """What is answered to each path, made once; and how often each call was made."""

    def __init__(self, payload: int) -> None:
        now = dt.datetime.now(dt.UTC)
        self._date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
        self._started = (now - dt.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")
        # JSON in a text of JSON, half of it in the input and half in the result.
        items = payload // 2 // ITEM
        self._payload = json.dumps([{"key": "value"}] * items) if items else ""
        self._bodies: dict[str, tuple[str, bytes]] = {}
        self.calls: Counter[str] = Counter()

    def to(self, path: str) -> bytes:
        """Return what is answered."""
        known = self._bodies.get(path)
        if known is None:
            method, body = self._made(path)
            answer = json.dumps(body).encode()
            known = self._bodies[path] = method, HEAD % (self._date, len(answer)) + answer
        self.calls[known[0]] += 1
        return known[1]

    def _made(self, path: str) -> tuple[str, object]:
        place, _, query = path.partition("?")
        id_ = place.rpartition("/")[2]
        if query:
            workflow = query.partition("workflowId=")[2].partition("&")[0]
            ids = [f"{workflow}-{number:08d}-b506-4c5a-84b2-9abb0c1d2e3f" for number in range(LISTED)]
            found = [execution(each, "FINISHED", workflow, self._started) for each in ids]
            return "Execution.List", {"executions": found}
        if place.startswith("/workflows/v1/workflow/"):
            schedule = {"cronExpression": "0 5 * * ? *", "timezone": "Europe/Moscow"}
            names = {"id": id_, "name": f"name-{id_}", "folderId": "b1gbench000000000000"}
            born = "2026-01-01T00:00:00Z"
            return "Workflow.Get", {
                "workflow": {**names, "status": "ACTIVE", "createdAt": born, "schedule": schedule}
            }
        status = "FINISHED" if id_.startswith("t") else "RUNNING"
        return "Execution.Get", {"execution": execution(id_, status, WORKFLOW, self._started, self._payload)}


class Connection(asyncio.Protocol):
    """One client, who may ask one thing after another."""

    def __init__(self, answers: Answers, latency: float) -> None:
        self._answers = answers
        self._latency = latency
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where the answers go."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what has been asked in full."""
        self._heard += data
        while (end := self._heard.find(b"\r\n\r\n")) >= 0:
            path = self._heard[: self._heard.index(b" HTTP/")].partition(b" ")[2].decode()
            self._heard = self._heard[end + 4 :]
            if path == "/bench":
                told = json.dumps({"calls": self._answers.calls, "cpu": time.process_time()}).encode()
                self._transport.write(HEAD % (b"", len(told)) + told)
                self._answers.calls.clear()
            elif self._latency:
                answer = self._answers.to(path)
                asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer)
            else:
                self._transport.write(self._answers.to(path))


async def serve(latency: float, payload: int) -> None:
    """Serve on a free port of loopback, which is printed, until the process is ended."""
    answers = Answers(payload)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers, latency), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    # epoll waits in whole milliseconds, and so half of one too long.
    asyncio.SelectorEventLoop(selectors.SelectSelector()).run_until_complete(
        serve(float(sys.argv[1]), int(sys.argv[2]))
    )
