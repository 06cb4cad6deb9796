"""What a fault makes of the body of a right answer: one thing wrong, the rest as it was."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from exporter.simulator import wire
from exporter.simulator.faults import Fault, FaultRule

_SOMEBODY_ELSE: Final = "dfqsomebodyelse000000"
_SPOILED: Final = {
    Fault.WRONG_ID: ("id", f"{_SOMEBODY_ELSE}-00000000-0000-4000-8000-000000000000"),
    Fault.UNKNOWN_STATUS: ("status", "HIBERNATED"),
    Fault.BAD_DURATION: ("duration", "an hour"),
    Fault.BAD_STARTED_AT: ("startedAt", "yesterday"),
}
_LISTS: Final = ("executions", "workflows", "entries")
_NO_ITEMS: Final[tuple[Any, ...]] = (
    None,
    True,
    7,
    -1.5,
    "text",
    [],
    {},
    {"id": ""},
    {"id": 5},
    {"id": "no such/id"},
)
_NEWER: Final = {"fromTheFuture": {"deep": [1, {"er": None}]}, "@type": "type.googleapis.com/unheard.of"}
_DEPTH: Final = 100_000


def spoil(rule: FaultRule, body: Any) -> Any:
    """Return a right answer's body with one thing wrong; other bodies as they are."""
    if rule.kind is Fault.NO_EXECUTION:
        return {}
    if rule.kind is Fault.FIELD and not rule.path:
        return rule.value
    if not isinstance(body, dict):
        return body
    if rule.kind in _SPOILED:
        key, default = _SPOILED[rule.kind]
        return _with(body, {key: default if rule.value is None else rule.value})
    spoiler = _SPOILERS.get(rule.kind)
    return body if spoiler is None else spoiler(rule, body)


def _with(body: Mapping[str, Any], wrong: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer with these fields in each execution and workflow."""
    spoiled = dict(body)
    for name in ("execution", "workflow"):
        if isinstance(body.get(name), dict):
            spoiled[name] = {**body[name], **wrong}
    for name in ("executions", "workflows"):
        if isinstance(body.get(name), list):
            spoiled[name] = [{**item, **wrong} for item in body[name]]
    return spoiled


def _field(rule: FaultRule, body: dict[str, Any]) -> Any:
    return _replaced(body, rule.path.split("."), rule.value)


def _replaced(body: Any, path: list[str], value: Any) -> Any:
    """Return the body with another value at a path; as it is where the path leads nowhere."""
    if not path:
        return value
    key, *rest = path
    if isinstance(body, dict) and (key in body or not rest):
        return {**body, key: _replaced(body.get(key), rest, value)}
    if isinstance(body, list) and key.isdecimal() and int(key) < len(body):
        index = int(key)
        return [*body[:index], _replaced(body[index], rest, value), *body[index + 1 :]]
    return body


def _extra_fields(_: FaultRule, body: dict[str, Any]) -> Any:
    return _grown(body)


def _grown(value: Any) -> Any:
    if isinstance(value, list):
        return [_grown(item) for item in value]
    if not isinstance(value, dict):
        return value
    # A map of labels has no fields: what is in there is a label.
    return {**_NEWER, **{key: item if key == "labels" else _grown(item) for key, item in value.items()}}


def _duplicate_keys(_: FaultRule, body: dict[str, Any]) -> bytes:
    def twice(value: Any) -> str:
        if isinstance(value, list):
            return f"[{','.join(map(twice, value))}]"
        if isinstance(value, dict):
            keys = [json.dumps(key) for key in value]
            first = [f"{key}:null" for key in keys]
            second = [f"{key}:{twice(item)}" for key, item in zip(keys, value.values(), strict=True)]
            return f"{{{','.join(first + second)}}}"
        return json.dumps(value)

    return twice(body).encode()


def _nested(_: FaultRule, __: dict[str, Any]) -> bytes:
    return b'{"execution":' + b"[" * _DEPTH + b"]" * _DEPTH + b"}"


def _not_utf8(_: FaultRule, body: dict[str, Any]) -> bytes:
    whole = wire.encode(body)
    return whole[:-1] + b',"name":"\xff\xfe\xc3"}'


def _bom(_: FaultRule, body: dict[str, Any]) -> bytes:
    return b"\xef\xbb\xbf" + wire.encode(body)


def _bad_items(_: FaultRule, body: dict[str, Any]) -> Any:
    spoiled = dict(body)
    for name in _LISTS:
        items = body.get(name)
        if items:
            owner = "folderId" if name == "workflows" else "workflowId"
            foreign = {**items[0], "id": f"{_SOMEBODY_ELSE}-1", owner: _SOMEBODY_ELSE}
            spoiled[name] = [*_NO_ITEMS, *items, foreign, *_older(name, items)]
    return spoiled


def _older(name: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the executions that have ended once more, as they were before."""
    ended = {"FINISHED", "FAILED", "STOPPED"} if name == "executions" else set()
    return [
        {key: value for key, value in item.items() if key != "duration"} | {"status": "RUNNING"}
        for item in items
        if item.get("status") in ended
    ]


_PAGES: Final = "always-one-more-"


def endless(body: Any, asked_for: str) -> Any:
    """Return a page of a list after which there is always another; `asked_for` is the page's token."""
    number = int(asked_for.removeprefix(_PAGES)) if asked_for.startswith(_PAGES) else 0
    return {
        **(body if isinstance(body, dict) and "code" not in body else {}),
        "nextPageToken": f"{_PAGES}{number + 1}",
    }


_SPOILERS: Final[Mapping[Fault, Callable[[FaultRule, dict[str, Any]], Any]]] = {
    Fault.FIELD: _field,
    Fault.EXTRA_FIELDS: _extra_fields,
    Fault.DUPLICATE_KEYS: _duplicate_keys,
    Fault.NESTED: _nested,
    Fault.NOT_UTF8: _not_utf8,
    Fault.BOM: _bom,
    Fault.BAD_ITEMS: _bad_items,
}
