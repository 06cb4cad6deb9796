"""Writes protobuf JSON: camelCase names, defaults left out, int64 as text, times as protobuf prints them."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.simulator.values import NANO, UNSET, Entry, Execution, Failure, Instant, Status, Workflow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RPC_CODES = {
    400: 3,
    401: 16,
    403: 7,
    404: 5,
    409: 10,
    412: 9,
    429: 8,
    499: 1,
    500: 13,
    501: 12,
    503: 14,
    504: 4,
}


def timestamp(value: Instant) -> str:
    """Return a google.protobuf.Timestamp: RFC 3339 in UTC with 0, 3, 6 or 9 digits."""
    if isinstance(value, str):
        return value
    seconds, nanos = divmod(value, NANO)
    when = _EPOCH + timedelta(seconds=seconds)
    return f"{when.isoformat()[:19]}{_fraction(nanos)}Z"


def duration(value: Instant) -> str:
    """Return a google.protobuf.Duration: seconds with 0, 3, 6 or 9 digits and an s."""
    if isinstance(value, str):
        return value
    seconds, nanos = divmod(abs(value), NANO)
    return f"{'-' if value < 0 else ''}{seconds}{_fraction(nanos)}s"


def _fraction(nanos: int) -> str:
    if nanos == 0:
        return ""
    digits = next(d for d in (3, 6, 9) if nanos % 10 ** (9 - d) == 0)
    return f".{nanos // 10 ** (9 - digits):0{digits}d}"


def _present(**fields: Any) -> dict[str, Any]:
    """Leave out what is at its default; an empty object stays, because a message has presence."""
    return {k: v for k, v in fields.items() if isinstance(v, dict) or v not in (None, "", 0, False, [])}


def _times(started_at: Instant | None, lasted: Instant | None) -> dict[str, Any]:
    times = {} if started_at is None else {"startedAt": timestamp(started_at)}
    return times if lasted is None else {**times, "duration": duration(lasted)}


def failure(error: Failure | None) -> dict[str, Any] | None:
    """Return an ExecutionError or a HistoryEntryError."""
    return None if error is None else _present(message=error.message, errorCode=error.code)


def payload(size: int) -> str:
    """Return a JSON text of `size` bytes, or the smallest there is."""
    return "{}" if size < 12 else '{"data":"' + "x" * (size - 11) + '"}'


def preview(execution: Execution) -> dict[str, Any]:
    """Return an ExecutionPreview: no input, no result, no error."""
    status = execution.status
    head = _present(id=execution.id, workflowId=execution.workflow_id, status=str(status))
    return {**head, **_times(execution.started_at, execution.duration)}


def execution_answer(execution: Execution, payload_bytes: int = 0) -> Any:
    """Return the answer of Execution.Get, its input and result of at least so many bytes."""
    if execution.raw is not UNSET:
        return execution.raw
    done = execution.status == Status.FINISHED
    text = payload(max(execution.payload_bytes, payload_bytes))
    extra = _present(
        input={"inputJson": text},
        result={"resultJson": text} if done else None,
        error=failure(execution.error),
    )
    return {"execution": {**preview(execution), **extra}}


def entry(item: Entry | Mapping[str, Any]) -> dict[str, Any]:
    """Return a HistoryEntry; a mapping is taken for protobuf JSON already."""
    if not isinstance(item, Entry):
        return dict(item)
    fields = _present(
        id=item.id,
        title=item.title,
        description=item.description,
        input={"inputJson": item.input_json} if item.input_json else None,
        output={"outputJson": item.output_json} if item.output_json else None,
        error=failure(item.error),
        status=item.status,
        type=item.type,
        attempts=str(item.attempts) if item.attempts else "",
        lastError=failure(item.last_error),
    )
    return {**fields, **_times(item.started_at, item.duration)}


def history_answer(execution: Execution, payload_bytes: int = 0) -> Any:
    """Return the answer of Execution.GetHistory, each input and output of at least so many bytes."""
    if execution.raw_history is not UNSET:
        return execution.raw_history
    entries = [entry(item) for item in execution.history]
    for each in entries if payload_bytes else ():
        each.update(input={"inputJson": payload(payload_bytes)})
        if "output" in each:
            each.update(output={"outputJson": payload(payload_bytes)})
    return _present(execution=preview(execution), entries=entries)


def workflow_preview(workflow: Workflow) -> dict[str, Any]:
    """Return a WorkflowPreview: no specification and no schedule."""
    return _present(
        id=workflow.id,
        folderId=workflow.folder_id,
        createdAt=None if workflow.created_at is None else timestamp(workflow.created_at),
        name=workflow.name,
        description=workflow.description,
        labels=dict(workflow.labels) or None,
        status=workflow.status,
        serviceAccountId=workflow.service_account_id,
        express=workflow.express,
        isPublic=workflow.is_public,
    )


def workflow_answer(workflow: Workflow) -> Any:
    """Return the answer of Workflow.Get."""
    if workflow.raw is not UNSET:
        return workflow.raw
    schedule = _present(cronExpression=workflow.cron, timezone=workflow.timezone)
    specification = _present(specYaml=workflow.specification)
    extra = {"specification": specification, **({"schedule": schedule} if schedule else {})}
    return {"workflow": {**workflow_preview(workflow), **extra}}


def page(name: str, items: list[dict[str, Any]], token: str) -> dict[str, Any]:
    """Return the answer of a List call."""
    return _present(**{name: items, "nextPageToken": token})


def error(http_code: int, message: str) -> dict[str, Any]:
    """Return a google.rpc.Status for an HTTP status."""
    info = {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": str(uuid.uuid4())}
    return {"code": _RPC_CODES.get(http_code, 2), "message": message, "details": [info]}


def encode(body: Any) -> bytes:
    """Return JSON as UTF-8; bytes as they are. A lone surrogate has no UTF-8 and stays escaped."""
    if isinstance(body, bytes):
        return body
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(body).encode()
