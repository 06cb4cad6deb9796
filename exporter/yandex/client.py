"""The calls of the Workflows API that the exporter makes: one method each, typed answers."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from exporter.yandex.calls import Authorizer, Budget, Request
from exporter.yandex.errors import BadResponse, Unauthorized
from exporter.yandex.history import History
from exporter.yandex.models import Execution, execution_of
from exporter.yandex.transport import Transport

_T = TypeVar("_T")


class WorkflowsClient:
    """Speaks to the API at `endpoint`, a base URL. Every method raises ApiError within the budget."""

    def __init__(self, transport: Transport, auth: Authorizer, endpoint: str) -> None:
        self._transport = transport
        self._auth = auth
        self._endpoint = endpoint.rstrip("/")

    def execution(self, execution_id: str, budget: Budget) -> Execution:
        """Return one execution (Execution.Get)."""
        body = self._call("Execution.Get", _execution_path(execution_id), budget)
        _same_execution(body, execution_id)
        return _parsed(Execution.from_json, body)

    def history(self, execution_id: str, max_steps: int, budget: Budget) -> History:
        """Return what the steps of one execution came to (Execution.GetHistory)."""
        body = self._call("Execution.GetHistory", f"{_execution_path(execution_id)}/history", budget)
        _same_execution(body, execution_id)
        return _parsed(lambda answer: History.from_json(answer, max_steps), body)

    def _call(self, method: str, path: str, budget: Budget) -> Any:
        token = self._auth.token(budget)
        try:
            return self._get(method, path, token, budget)
        except Unauthorized:
            fresh = self._auth.renew(token, budget)
            if fresh is None:
                raise
        return self._get(method, path, fresh, budget)

    def _get(self, method: str, path: str, token: str, budget: Budget) -> Any:
        request = Request(method=method, verb="GET", url=f"{self._endpoint}{path}", token=token)
        return self._transport.send(request, budget).body


def _execution_path(execution_id: str) -> str:
    return f"/workflows/v1/execution/{quote(execution_id, safe='')}"


def _same_execution(body: object, execution_id: str) -> None:
    if _parsed(execution_of, body).get("id") != execution_id:
        raise BadResponse("the answer is about another execution", 200)


def _parsed(parse: Callable[[object], _T], body: object) -> _T:
    try:
        return parse(body)
    except ValueError as error:
        said = str(error)
    raise BadResponse(f"the answer is not what this API says: {said}", 200)
