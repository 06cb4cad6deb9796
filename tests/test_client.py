"""The client asks with a token, renews it once when it is refused, and believes only the right answer."""

import json
import random
from pathlib import Path

import pytest
from conftest import ToldClock
from wire import answer, says, serving

from exporter.yandex import errors
from exporter.yandex.calls import Budget, Limits
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.models import Status
from exporter.yandex.transport import Transport

SAMPLES = Path(__file__).parent / "samples"
ID = "dfqud9cbc4k5m0a1b2c3-429e9f6f-b506-4c5a-84b2-9abb00000003"
LIMITS = Limits(timeout=5.0, requests_per_second=None, max_response_bytes=100_000)


class Tokens:
    """An authorizer that hands out the tokens that it was given, and counts renewals."""

    def __init__(self, *values: str) -> None:
        self.values = list(values)
        self.renewed: list[str] = []

    def token(self, budget: Budget) -> str:  # noqa: ARG002 - a fake
        """Return the present token."""
        return self.values[0]

    def renew(self, stale: str, budget: Budget) -> str | None:  # noqa: ARG002 - a fake
        """Return the next token, if there is one."""
        self.renewed.append(stale)
        self.values = self.values[1:] or self.values
        return None if self.values[0] == stale else self.values[0]


def client(url: str, tokens: Tokens) -> tuple[WorkflowsClient, Budget]:
    """Return a client and a budget for one call."""
    clock = ToldClock()
    transport = Transport(LIMITS, clock, observe=lambda _: None, jitter=random.Random(1))
    return WorkflowsClient(transport, tokens, f"{url}/"), Budget.of(60, clock)


def sample(name: str) -> bytes:
    """Return a recorded answer as it goes over the wire."""
    return answer(200, json.loads((SAMPLES / f"{name}.json").read_text()))


def test_an_execution_is_asked_for_by_its_id() -> None:
    """The path is the documented one, and the answer an Execution."""
    with serving(says(sample("execution_get_failed"))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        assert asked.execution(ID, budget).status is Status.FAILED
    assert wire.requests[0].startswith(f"GET /workflows/v1/execution/{ID} HTTP/1.1".encode())
    assert wire.header("Authorization") == "Bearer one"


def test_a_history_is_asked_for_by_its_id() -> None:
    """The path is the documented one, and the cap is handed on."""
    with serving(says(sample("execution_history"))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        read = asked.history(ID, 3, budget)
    assert (len(read.steps), read.over_limit) == (3, 1)
    assert wire.requests[0].startswith(f"GET /workflows/v1/execution/{ID}/history HTTP/1.1".encode())


def test_an_id_cannot_change_the_path() -> None:
    """What has a meaning in a URL is quoted."""
    with serving(says(answer(404))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        with pytest.raises(errors.NotFound):
            asked.execution("a/../b?c#d", budget)
    assert wire.requests[0].startswith(b"GET /workflows/v1/execution/a%2F..%2Fb%3Fc%23d HTTP/1.1")


def test_a_refused_token_is_renewed_once() -> None:
    """The second attempt goes with the fresh token."""
    with serving(says(answer(401), sample("execution_get_failed"))) as wire:
        tokens = Tokens("old", "new")
        asked, budget = client(wire.url, tokens)
        assert asked.execution(ID, budget).id == ID
    assert [wire.header("Authorization", n) for n in (0, 1)] == ["Bearer old", "Bearer new"]
    assert tokens.renewed == ["old"]


@pytest.mark.parametrize(("values", "calls"), [(("old",), 1), (("old", "new", "newer"), 2)])
def test_no_more_than_one_renewal_is_tried(values: tuple[str, ...], calls: int) -> None:
    """Without a fresher token, or with one that is refused as well, the call is unauthorized."""
    with serving(says(answer(401))) as wire:
        tokens = Tokens(*values)
        asked, budget = client(wire.url, tokens)
        with pytest.raises(errors.Unauthorized) as caught:
            asked.execution(ID, budget)
    assert (caught.value.http_code, len(wire.requests), len(tokens.renewed)) == (401, calls, 1)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "x",
        5,
        {},
        {"execution": None},
        {"execution": {}},
        {"execution": {"id": "another"}},
        {"execution": [ID]},
    ],
)
def test_another_answer_is_a_bad_response(body: object) -> None:
    """What is not about the execution that was asked for is not believed."""
    with serving(says(answer(200, body))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        for call in (lambda: asked.execution(ID, budget), lambda: asked.history(ID, 5, budget)):
            with pytest.raises(errors.BadResponse) as caught:
                call()
            assert caught.value.http_code == 200


def test_entries_that_are_no_list_are_a_bad_response() -> None:
    """A history has a list of entries, or none."""
    with serving(says(answer(200, {"execution": {"id": ID}, "entries": {}}))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        with pytest.raises(errors.BadResponse):
            asked.history(ID, 5, budget)
