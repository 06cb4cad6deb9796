"""A simulator under a clock that a test moves, and a client that asks it: what its tests share."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from exporter.simulator import Simulator

EXECUTION = "/workflows/v1/execution"
WORKFLOW = "/workflows/v1/workflow"
BORN = 1_741_622_084.304781
DEADLINE = 5.0


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = BORN

    def __call__(self) -> float:
        """Return unix seconds."""
        return self.now


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    code: int
    raw: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.raw)


class Caller:
    """Asks a simulator with its token, unless told otherwise."""

    def __init__(self, cloud: Simulator) -> None:
        self.cloud = cloud

    def ask(
        self,
        path: str,
        verb: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = DEADLINE,
        **query: object,
    ) -> Reply:
        """Send one request on a connection of its own."""
        address = urlsplit(self.cloud.base_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout)
        given = {"Authorization": f"Bearer {self.cloud.token}"} if headers is None else headers
        try:
            connection.request(verb, f"{path}?{urlencode(query)}" if query else path, body, given)
            answer = connection.getresponse()
            return Reply(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def listed(self, workflow_id: str, **query: object) -> list[dict[str, Any]]:
        """Walk all pages of Execution.List."""
        found: list[dict[str, Any]] = []
        token = ""
        for _ in range(1000):
            asked = urlencode({"workflowId": workflow_id, "pageToken": token, **query})
            page = self.ask(f"{EXECUTION}?{asked}").json
            found += page.get("executions", [])
            token = page.get("nextPageToken", "")
            if not token:
                return found
        raise AssertionError("the pages have no end")


def same(body: Any, message: Message) -> None:
    """Parse strictly, print again, compare."""
    ParseDict(body, message, ignore_unknown_fields=False)
    assert MessageToDict(message) == body


def get(cloud: Simulator, execution_id: str) -> dict[str, Any]:
    """Return an execution as the API tells it."""
    answer = Caller(cloud).ask(f"{EXECUTION}/{quote(execution_id, safe='')}")
    assert answer.code == 200
    execution: dict[str, Any] = answer.json["execution"]
    return execution
