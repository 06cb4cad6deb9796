"""The calls of the cloud as functions: a request in, an answer out, no sockets.

Which call a request is, who may make it, and what it answers, errors as google.rpc.Status included.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from exporter.simulator import listing, wire
from exporter.simulator.conditions import Weather
from exporter.simulator.faults import FaultRule, Faults
from exporter.simulator.iam import Denied, Iam, Tokens
from exporter.simulator.values import clock_nanoseconds
from exporter.simulator.world import World

FAULTS: Final = "/_simulator/faults"
CONDITIONS: Final = "/_simulator/conditions"
_ROUTES: Final = tuple(
    (verb, re.compile(path), method, target)
    for verb, path, method, target in (
        ("GET", "/workflows/v1/execution", "Execution.List", "workflowId"),
        ("GET", "/workflows/v1/execution/([^/]+)", "Execution.Get", ""),
        ("GET", "/workflows/v1/execution/([^/]+)/history", "Execution.GetHistory", ""),
        ("GET", "/workflows/v1/workflow", "Workflow.List", "folderId"),
        ("GET", "/workflows/v1/workflow/([^/]+)", "Workflow.Get", ""),
        ("POST", "/iam/v1/tokens", "Iam.CreateToken", ""),
        ("GET", "/computeMetadata/v1/instance/service-accounts/default/token", "Metadata.Token", ""),
        ("POST", "/oauth/token", "OAuth.Token", ""),
    )
)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_PARAMETERS: Final = {
    "Execution.List": {"workflowId", "pageSize", "pageToken", "filter"},
    "Workflow.List": {"folderId", "pageSize", "pageToken", "filter"},
}


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; header names in lower case."""

    verb: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The path, still quoted."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` is JSON, or bytes that are sent as they are."""

    code: int
    body: Any
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def refusal(code: int, message: str) -> Answer:
    """Return an error as the vendor words it."""
    return Answer(code, wire.error(code, message))


def route(request: Request) -> tuple[str, str]:
    """Return the call's name and its target, both "" when it is none."""
    for verb, pattern, method, parameter in _ROUTES:
        match = pattern.fullmatch(request.path)
        if match and verb == request.verb:
            target = unquote(match[1]) if pattern.groups else request.query.get(parameter, "")
            return method, target
    return "", ""


class Api:
    """The Workflows API and the doors to its tokens; `clock` in unix seconds."""

    def __init__(
        self, world: World, tokens: Tokens, iam: Iam, clock: Callable[[], float], weather: Weather
    ) -> None:
        self._world = world
        self._weather = weather
        self._tokens = tokens
        self._iam = iam
        self._clock = clock
        self._calls: dict[str, Callable[[str, Mapping[str, str]], Answer]] = {
            "Execution.Get": self._execution,
            "Execution.GetHistory": self._history,
            "Execution.List": self._executions,
            "Workflow.Get": self._workflow,
            "Workflow.List": self._workflows,
        }

    def authorized(self, request: Request) -> bool:
        """Say whether a request bears a token that is good now."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._tokens.good(token)

    def answer(self, request: Request, method: str, target: str) -> Answer:
        """Answer a request that was routed as this call."""
        if not method:
            return refusal(404, f"Not found: {request.verb} {request.path}")
        if method in self._calls:
            return self._workflows_call(request, method, target)
        try:
            return Answer(200, self._token(request, method))
        except Denied as error:
            return self._denied(method, str(error))
        except ValueError as error:
            return self._malformed(method, str(error))

    def _workflows_call(self, request: Request, method: str, target: str) -> Answer:
        if not self.authorized(request):
            return refusal(401, "Token is invalid or has expired.")
        query = request.query
        unknown = set(query) - _PARAMETERS.get(method, set())
        if unknown:
            return refusal(400, f"Unknown parameters: {', '.join(sorted(unknown))}")
        try:
            return self._calls[method](target, query)
        except ValueError as error:
            return refusal(400, str(error))

    def _token(self, request: Request, method: str) -> dict[str, Any]:
        if method == "Iam.CreateToken":
            return self._iam.by_jwt(request.body)
        if method == "Metadata.Token":
            return self._iam.by_metadata(request.headers.get("metadata-flavor", ""))
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        return self._iam.by_subject_token(form)

    def _denied(self, method: str, message: str) -> Answer:
        if method == "OAuth.Token":
            return Answer(400, {"error": "invalid_grant", "error_description": message})
        if method == "Metadata.Token":
            return Answer(403, message.encode(), content_type="text/plain")
        return refusal(401, message)

    def _malformed(self, method: str, message: str) -> Answer:
        if method == "OAuth.Token":
            return Answer(400, {"error": "invalid_request", "error_description": message})
        return refusal(400, message)

    def _now(self) -> int:
        return clock_nanoseconds(self._clock)

    def _execution(self, execution_id: str, _: Mapping[str, str]) -> Answer:
        found = self._world.execution(execution_id, self._now())
        if found is None:
            return refusal(404, f"Execution {execution_id} not found")
        return Answer(200, wire.execution_answer(found, self._weather.now.payload_bytes))

    def _history(self, execution_id: str, _: Mapping[str, str]) -> Answer:
        found = self._world.execution(execution_id, self._now())
        if found is None:
            return refusal(404, f"Execution {execution_id} not found")
        return Answer(200, wire.history_answer(found, self._weather.now.payload_bytes))

    def _executions(self, workflow_id: str, query: Mapping[str, str]) -> Answer:
        if not workflow_id:
            return refusal(400, "workflowId: is required")
        wanted = listing.condition(query.get("filter", ""), self._weather.now.filters)
        found = self._world.executions(workflow_id, self._now(), wanted)
        if found is None:
            return refusal(404, f"Workflow {workflow_id} not found")
        about = ("workflowId", "filter")
        shown, token = listing.page(found, lambda e: e.id, query, about, self._paging())
        return Answer(200, wire.page("executions", [wire.preview(e) for e in shown], token))

    def _workflow(self, workflow_id: str, _: Mapping[str, str]) -> Answer:
        found = self._world.workflow(workflow_id)
        if found is None:
            return refusal(404, f"Workflow {workflow_id} not found")
        return Answer(200, wire.workflow_answer(found))

    def _workflows(self, folder_id: str, query: Mapping[str, str]) -> Answer:
        if not folder_id:
            return refusal(400, "folderId: is required")
        if not _ID.fullmatch(folder_id):
            return refusal(400, "folderId: must be letters, digits, _ and -")
        if query.get("filter"):
            return refusal(400, "filter: is not supported for workflows")
        found = self._world.workflows(folder_id)
        shown, token = listing.page(found, lambda w: w.id, query, ("folderId",), self._paging())
        return Answer(200, wire.page("workflows", [wire.workflow_preview(w) for w in shown], token))

    def _paging(self) -> listing.Paging:
        weather = self._weather.now
        return listing.Paging(weather.page_limit, weather.overlap)


class Admin:
    """What can be changed over HTTP while it runs.

    FAULTS: GET lists them, POST adds one, DELETE lifts those of the query, or all.
    CONDITIONS: GET tells them, POST changes those that it names.
    """

    def __init__(self, faults: Faults, weather: Weather) -> None:
        self._faults = faults
        self._weather = weather
        self._doors: dict[tuple[str, str], Callable[[Request], Answer]] = {
            (FAULTS, "GET"): self._list,
            (FAULTS, "POST"): self._add,
            (FAULTS, "DELETE"): self._clear,
            (CONDITIONS, "GET"): lambda _: Answer(200, asdict(self._weather.now)),
            (CONDITIONS, "POST"): lambda request: Answer(200, self._weather.change_to(_json(request.body))),
        }

    def knows(self, request: Request) -> bool:
        """Say whether a request is for this, and not for the cloud."""
        return request.path in (FAULTS, CONDITIONS)

    def answer(self, request: Request) -> Answer:
        """Answer a request that it knows."""
        door = self._doors.get((request.path, request.verb))
        if door is None:
            return Answer(405, {"error": f"{request.verb} does nothing here"})
        try:
            return door(request)
        except ValueError as error:
            return Answer(400, {"error": str(error)})

    def _list(self, _: Request) -> Answer:
        return Answer(200, {"faults": [rule.to_json() for rule in self._faults.rules()]})

    def _add(self, request: Request) -> Answer:
        rule = FaultRule.from_json(_json(request.body))
        self._faults.add(rule)
        return Answer(201, rule.to_json())

    def _clear(self, request: Request) -> Answer:
        unknown = set(request.query) - {"kind", "target", "method"}
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: not one of kind, target, method")
        return Answer(200, {"cleared": self._faults.clear(**request.query)})


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError('the body is not JSON; try {"kind": "status", "code": 503}') from None
