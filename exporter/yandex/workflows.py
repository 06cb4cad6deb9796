"""Workflows as frozen values, and the pages of the two lists; no specification is ever kept."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeGuard, TypeVar

from exporter.yandex.models import Execution, Fields, json_object, label_text, parse_timestamp, valid_id

T = TypeVar("T")


class WorkflowState(enum.Enum):
    """The state of a workflow, `status` in the API; the value is the number in its enum."""

    CREATING = 1
    ACTIVE = 2
    UPDATING = 3
    DELETING = 4
    ERROR = 5
    UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a workflow starts by itself: a cron expression as it was written, and a time zone or none, ""."""

    expression: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow: `created_at` in Unix seconds, `labels` sorted; only Workflow.Get knows the schedule.

    `unread` names the fields whose value could not be read: state, cron.
    """

    id: str
    folder_id: str
    name: str
    labels: tuple[tuple[str, str], ...]
    state: WorkflowState
    express: bool
    created_at: float | None
    schedule: Schedule | None
    unread: tuple[str, ...]

    @classmethod
    def from_json(cls, body: object) -> Self:
        """Read the answer of Workflow.Get; raises ValueError if there is no workflow in it."""
        return cls.of(json_object(body, "the answer").get("workflow"))

    @classmethod
    def of(cls, raw: object) -> Self:
        """Read a workflow or its preview; raises ValueError if it is no object or has no valid id."""
        fields = Fields(json_object(raw, "the workflow"))
        workflow_id = fields.raw.get("id")
        if not valid_id(workflow_id):
            raise ValueError("the workflow has no valid id")
        folder_id = fields.raw.get("folderId")
        return cls(
            id=str(workflow_id),
            folder_id=str(folder_id) if valid_id(folder_id) else "",
            name=fields.label("name"),
            labels=_labels(fields.raw.get("labels")),
            state=fields.member(WorkflowState, WorkflowState.UNKNOWN, "state"),
            express=fields.raw.get("express") is True,
            created_at=_created(fields.raw.get("createdAt")),
            schedule=_schedule(fields),
            unread=tuple(fields.unread),
        )

    def to_json(self) -> dict[str, object]:
        """Return what stays true of it for long, as its preview has it; `of` reads it."""
        return {
            "id": self.id,
            "folderId": self.folder_id,
            "name": self.name,
            "labels": dict(self.labels),
            "express": self.express,
        }


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list: `next_token` is "" on the last; `skipped` items could not be read at all.

    `served_at` is when it was served, by the clock of who served it, in whole Unix seconds; None if unknown.
    """

    items: tuple[T, ...]
    next_token: str
    skipped: int
    served_at: float | None = None


def executions_page(body: object) -> Page[Execution]:
    """Read the answer of Execution.List; raises ValueError if it is none."""
    return _page(body, "executions", Execution.of)


def workflows_page(body: object) -> Page[Workflow]:
    """Read the answer of Workflow.List; raises ValueError if it is none."""
    return _page(body, "workflows", Workflow.of)


def _page(body: object, key: str, read: Callable[[object], T]) -> Page[T]:
    answer = json_object(body, "the answer")
    found = answer.get(key)
    if found is not None and not isinstance(found, list):
        raise ValueError(f"`{key}` is not a list")
    items: list[T] = []
    for raw in found or ():
        try:
            items.append(read(raw))
        except ValueError:
            continue
    return Page(tuple(items), _token(answer.get("nextPageToken")), len(found or ()) - len(items))


def _token(value: object) -> str:
    if value is None:
        return ""
    if not _is_text(value):
        raise ValueError("`nextPageToken` is not a text")
    return value


def _labels(found: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, dict):
        return ()
    texts = {
        label_text(key): label_text(value)
        for key, value in found.items()
        if isinstance(value, str) and isinstance(key, str)
    }
    return tuple(sorted(texts.items()))


def _created(value: object) -> float | None:
    try:
        return parse_timestamp(value)
    except ValueError:
        return None


def _schedule(fields: Fields) -> Schedule | None:
    found = fields.raw.get("schedule")
    if found is None:
        return None
    raw = found if isinstance(found, dict) else {}
    # Not as labels: an expression that is cut would be another schedule.
    expression, timezone = raw.get("cronExpression"), raw.get("timezone")
    timezone = "" if timezone is None else timezone
    if not _is_text(expression) or not _is_text(timezone) or not expression:
        fields.unread.append("cron")
        return None
    return Schedule(expression, timezone)


def _is_text(value: object) -> TypeGuard[str]:
    # With a lone surrogate it could be neither logged nor sent back.
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)
