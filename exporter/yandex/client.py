"""The calls of the Workflows API that the exporter makes: one method each, typed answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from exporter.yandex.calls import Authorizer, Budget, Request, Response
from exporter.yandex.errors import BadResponse, Unauthorized
from exporter.yandex.history import History
from exporter.yandex.models import Execution, execution_of
from exporter.yandex.translation import http_date
from exporter.yandex.transport import Transport
from exporter.yandex.workflows import Page, Workflow, executions_page, workflows_page

_T = TypeVar("_T")
_Params = tuple[tuple[str, str], ...]
_EXECUTIONS = "/workflows/v1/execution"
_WORKFLOWS = "/workflows/v1/workflow"


class WorkflowsClient:
    """Speaks to the API at `endpoint`, a base URL. Every method raises ApiError within the budget."""

    def __init__(self, transport: Transport, auth: Authorizer, endpoint: str) -> None:
        self._transport = transport
        self._auth = auth
        self._endpoint = endpoint.rstrip("/")

    def execution(self, execution_id: str, budget: Budget) -> Execution:
        """Return one execution (Execution.Get)."""
        body = self._call("Execution.Get", _execution_path(execution_id), budget).body
        _same_execution(body, execution_id)
        return _parsed(Execution.from_json, body)

    def history(self, execution_id: str, max_steps: int, budget: Budget) -> History:
        """Return what the steps of one execution came to (Execution.GetHistory)."""
        body = self._call("Execution.GetHistory", f"{_execution_path(execution_id)}/history", budget).body
        _same_execution(body, execution_id)
        return _parsed(lambda answer: History.from_json(answer, max_steps), body)

    def executions(
        self,
        workflow_id: str,
        budget: Budget,
        *,
        filter_: str = "",
        page_token: str = "",
        page_size: int = 1000,
    ) -> Page[Execution]:
        """Return one page of a workflow's executions, in no order (Execution.List).

        What says that it is another workflow's counts as skipped.
        """
        params = _query(workflowId=workflow_id, pageSize=page_size, pageToken=page_token, filter=filter_)
        answer = self._call("Execution.List", _EXECUTIONS, budget, params)
        page = _parsed(executions_page, answer.body)
        _advances(page, page_token)
        own = [item for item in page.items if item.workflow_id in {"", workflow_id}]
        items = (item if item.workflow_id else replace(item, workflow_id=workflow_id) for item in own)
        skipped = page.skipped + len(page.items) - len(own)
        return Page(tuple(items), page.next_token, skipped, http_date(answer.date))

    def workflow(self, workflow_id: str, budget: Budget) -> Workflow:
        """Return one workflow, with its schedule (Workflow.Get)."""
        body = self._call("Workflow.Get", f"{_WORKFLOWS}/{quote(workflow_id, safe='')}", budget).body
        found = _parsed(Workflow.from_json, body)
        if found.id != workflow_id:
            raise BadResponse("the answer is about another workflow", 200)
        return found

    def workflows(
        self, folder_id: str, budget: Budget, *, page_token: str = "", page_size: int = 1000
    ) -> Page[Workflow]:
        """Return one page of a folder's workflows, in no order and without schedules (Workflow.List).

        What says that it is another folder's counts as skipped.
        """
        params = _query(folderId=folder_id, pageSize=page_size, pageToken=page_token)
        page = _parsed(workflows_page, self._call("Workflow.List", _WORKFLOWS, budget, params).body)
        _advances(page, page_token)
        own = [item for item in page.items if item.folder_id in {"", folder_id}]
        items = (item if item.folder_id else replace(item, folder_id=folder_id) for item in own)
        return Page(tuple(items), page.next_token, page.skipped + len(page.items) - len(own))

    def _call(self, method: str, path: str, budget: Budget, params: _Params = ()) -> Response:
        url = f"{self._endpoint}{path}"
        token = self._auth.token(budget)
        try:
            return self._get(Request(method, "GET", url, params, token), budget)
        except Unauthorized:
            fresh = self._auth.renew(token, budget)
            if fresh is None:
                raise
        return self._get(Request(method, "GET", url, params, fresh), budget)

    def _get(self, request: Request, budget: Budget) -> Response:
        return self._transport.send(request, budget)


def _execution_path(execution_id: str) -> str:
    return f"{_EXECUTIONS}/{quote(execution_id, safe='')}"


def _query(**fields: object) -> _Params:
    return tuple((name, str(value)) for name, value in fields.items() if value != "")


def _advances(page: Page[_T], page_token: str) -> None:
    if page_token and page.next_token == page_token:
        raise BadResponse("the list does not advance", 200)


def _same_execution(body: object, execution_id: str) -> None:
    if _parsed(execution_of, body).get("id") != execution_id:
        raise BadResponse("the answer is about another execution", 200)


def _parsed(parse: Callable[[object], _T], body: object) -> _T:
    try:
        return parse(body)
    except ValueError as error:
        said = str(error)
    raise BadResponse(f"the answer is not what this API says: {said}", 200)
