"""The client asks with a token, renews it once when it is refused, and believes only the right answer."""

import json
import random
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import ToldClock
from wire import Wire, answer, says, serving

from exporter.yandex import errors
from exporter.yandex.calls import Budget, CallRecord, Limits
from exporter.yandex.client import WorkflowsClient
from exporter.yandex.models import Status
from exporter.yandex.transport import Transport
from exporter.yandex.workflows import Page, Schedule

SAMPLES = Path(__file__).parent / "samples"
ID = "dfqud9cbc4k5m0a1b2c3-429e9f6f-b506-4c5a-84b2-9abb00000003"
WORKFLOW = "dfqud9cbc4k5m0a1b2c3"
FOLDER = "b1gfolder00000000001"
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


def target(wire: Wire, index: int = -1) -> tuple[str, dict[str, list[str]]]:
    """Return the path of a request and its query."""
    parts = urlsplit(wire.requests[index].split(b" ", 2)[1].decode())
    return parts.path, parse_qs(parts.query, keep_blank_values=True)


def test_executions_are_listed_by_workflow() -> None:
    """Path and query are the documented ones; what is empty is left out."""
    with serving(says(sample("execution_list_page"))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        page = asked.executions(WORKFLOW, budget)
        asked.executions(WORKFLOW, budget, filter_='status="RUNNING"', page_token="a&b", page_size=10)
    assert (len(page.items), page.next_token, page.skipped) == (4, "CiQxMjM0NTY3OC0wMDAwLTAwMDA", 0)
    path = "/workflows/v1/execution"
    assert target(wire, 0) == (path, {"workflowId": [WORKFLOW], "pageSize": ["1000"]})
    assert target(wire, 1) == (
        path,
        {
            "workflowId": [WORKFLOW],
            "pageSize": ["10"],
            "pageToken": ["a&b"],
            "filter": ['status="RUNNING"'],
        },
    )


def test_what_belongs_to_another_workflow_is_skipped() -> None:
    """A list that was not filtered costs no wrong sample; an item that does not say is of this workflow."""
    items = [{"id": "a", "workflowId": "other"}, {"id": "b"}, {"id": "c", "workflowId": WORKFLOW}, None]
    with serving(says(answer(200, {"executions": items}))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        page = asked.executions(WORKFLOW, budget)
    assert [(item.id, item.workflow_id) for item in page.items] == [("b", WORKFLOW), ("c", WORKFLOW)]
    assert page.skipped == 2


def test_a_workflow_is_asked_for_by_its_id() -> None:
    """The path is the documented one, and the answer a Workflow with its schedule."""
    with serving(says(sample("workflow_get"))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        assert asked.workflow(WORKFLOW, budget).schedule == Schedule("0 3 * * ? *", "Europe/Moscow")
        with pytest.raises(errors.BadResponse, match="another workflow"):
            asked.workflow("a/../b?c", budget)
    assert target(wire, 0) == (f"/workflows/v1/workflow/{WORKFLOW}", {})
    assert target(wire, 1) == ("/workflows/v1/workflow/a%2F..%2Fb%3Fc", {})


def test_workflows_are_listed_by_folder() -> None:
    """Path and query are the documented ones."""
    with serving(says(sample("workflow_list"))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        page = asked.workflows(FOLDER, budget, page_token="next", page_size=7)
    assert [item.name for item in page.items] == ["order-fulfilment", "nightly-report", "broken"]
    assert target(wire) == (
        "/workflows/v1/workflow",
        {"folderId": [FOLDER], "pageSize": ["7"], "pageToken": ["next"]},
    )


def test_what_belongs_to_another_folder_is_skipped() -> None:
    """No workflow is taken for one of a folder that it is not in."""
    items = [{"id": "a", "folderId": "other"}, {"id": "b"}, {"id": "c", "folderId": FOLDER}, "x"]
    with serving(says(answer(200, {"workflows": items}))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        page = asked.workflows(FOLDER, budget)
    assert [(item.id, item.folder_id) for item in page.items] == [("b", FOLDER), ("c", FOLDER)]
    assert page.skipped == 2


def test_an_empty_list_is_a_page_without_items() -> None:
    """A workflow that never ran is no failure."""
    with serving(says(sample("execution_list_empty"))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        assert asked.executions(WORKFLOW, budget) == Page((), "", 0)
        assert asked.workflows(FOLDER, budget) == Page((), "", 0)


def test_a_list_that_does_not_advance_is_a_bad_response() -> None:
    """The same token again would be the same page for ever."""
    with serving(says(answer(200, {"nextPageToken": "same"}))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        for call in (asked.executions, asked.workflows):
            assert call("w1", budget).next_token == "same"
            with pytest.raises(errors.BadResponse, match="does not advance") as caught:
                call("w1", budget, page_token="same")
            assert caught.value.http_code == 200


@pytest.mark.parametrize("body", [None, [], "x", {"workflow": [], "workflows": {}, "executions": 5}])
def test_an_answer_without_a_list_or_a_workflow_is_a_bad_response(body: object) -> None:
    """What is not what was asked for is not believed."""
    with serving(says(answer(200, body))) as wire:
        asked, budget = client(wire.url, Tokens("one"))
        for call in (asked.executions, asked.workflow, asked.workflows):
            with pytest.raises(errors.BadResponse) as caught:
                call("w1", budget)
            assert caught.value.http_code == 200


def test_lists_too_renew_a_refused_token_once() -> None:
    """The second attempt is the same request with the fresh token."""
    with serving(says(answer(401), sample("execution_list_empty"))) as wire:
        asked, budget = client(wire.url, Tokens("old", "new"))
        asked.executions(WORKFLOW, budget, page_token="next")
    assert [wire.header("Authorization", n) for n in (0, 1)] == ["Bearer old", "Bearer new"]
    assert target(wire, 0) == target(wire, 1)


def test_every_call_is_recorded_under_the_name_of_the_api() -> None:
    """Records bear the vendor's names, and the query that was sent."""
    records: list[CallRecord] = []
    clock = ToldClock()
    budget = Budget.of(60, clock, (records.append,))
    with serving(
        says(sample("execution_list_empty"), sample("workflow_list"), sample("workflow_get"))
    ) as wire:
        asked, _ = client(wire.url, Tokens("one"))
        asked.executions(WORKFLOW, budget)
        asked.workflows(FOLDER, budget)
        asked.workflow(WORKFLOW, budget)
    assert [record.method for record in records] == ["Execution.List", "Workflow.List", "Workflow.Get"]
    assert records[0].url == f"{wire.url}/workflows/v1/execution?workflowId={WORKFLOW}&pageSize=1000"
