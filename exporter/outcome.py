"""What one collection knows of its targets: frozen values, between the API's and the page's."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Self

from exporter.firings import Firings
from exporter.standing import NOTHING, Standing
from exporter.targets import ExecutionTarget, FolderTarget, Target, WorkflowTarget
from exporter.yandex.errors import ApiError, NotSent
from exporter.yandex.history import History
from exporter.yandex.models import Execution
from exporter.yandex.workflows import Workflow


@dataclass(frozen=True, slots=True)
class Outcome(ABC):
    """What one collection knows of one target.

    `http_code` is that of the last attempt, 0 if it had no answer; `reason` and `message` say what
    failed, empty if nothing did; times are Unix seconds. `fresh` is data read in this collection,
    `cached` an answer that cost no call, `sent` whether the API was asked at all where there is neither.
    """

    target: Target
    at: float
    _: KW_ONLY
    http_code: int = 0
    reason: str = ""
    message: str = ""
    last_success: float | None = None
    fresh: bool = False
    cached: bool = False
    sent: bool = True

    @property
    @abstractmethod
    def success(self) -> bool:
        """Whether there is valid data."""

    @property
    def ended(self) -> bool:
        """Whether this is valid data that will not change any more."""
        return False

    @property
    def weight(self) -> int:
        """How much there is to remember."""
        return 1

    @property
    def unread(self) -> tuple[str, ...]:
        """The fields whose values could not be read, each as often as that was so."""
        return ()

    def failed(self, error: ApiError) -> Self:
        """Return it with why nothing was read now."""
        return replace(
            self,
            fresh=False,
            http_code=error.http_code,
            reason=error.reason,
            message=str(error),
            sent=not isinstance(error, NotSent),
        )

    def troubled(self, what: str, error: ApiError) -> Self:
        """Return it with a part that could not be read; the first trouble is told."""
        if self.reason:
            return self
        return replace(self, reason=error.reason, message=f"{what}: {error}")


@dataclass(frozen=True, slots=True)
class ExecutionOutcome(Outcome):
    """What is known of one execution; `execution` is None when there is no valid data."""

    target: ExecutionTarget
    execution: Execution | None = None
    history: History | None = None

    @property
    def success(self) -> bool:
        """Whether there is valid data: read now, or kept after the execution ended."""
        return self.execution is not None

    @property
    def ended(self) -> bool:
        """Whether this is valid data that will not change any more."""
        return self.execution is not None and self.execution.status.terminal

    @property
    def weight(self) -> int:
        """How much there is to remember: the execution, and its steps."""
        return 1 + (len(self.history.steps) if self.history else 0)

    @property
    def unread(self) -> tuple[str, ...]:
        """The fields of the execution and its history that could not be read."""
        execution = self.execution.unread if self.execution else ()
        return execution + (self.history.unread if self.history else ())


@dataclass(frozen=True, slots=True)
class WorkflowOutcome(Outcome):
    """What is known of one workflow and its executions.

    `listed`: all its executions were listed in this collection, so what `standing` says of now is so.
    `workflow` is the last that was read, `firings` those of its schedule around now, None if there is none;
    the schedule was another one before `cron_since` (Unix seconds, None if that was not seen).
    `active_steps` are the steps under way, by step ID, but for those of `histories_missing` executions.
    """

    target: WorkflowTarget
    listed: bool = False
    workflow: Workflow | None = None
    firings: Firings | None = None
    cron_since: float | None = None
    standing: Standing = NOTHING
    active_steps: Mapping[str, int] = field(default_factory=dict)
    histories_missing: int = 0
    unreadable: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        """Whether all its executions were listed now."""
        return self.listed

    @property
    def unread(self) -> tuple[str, ...]:
        """The fields of the workflow and its executions that could not be read."""
        return self.unreadable

    def with_unread(self, fields: tuple[str, ...]) -> Self:
        """Return it with more fields that could not be read."""
        return replace(self, unreadable=self.unreadable + fields) if fields else self


@dataclass(frozen=True, slots=True)
class FolderOutcome(Outcome):
    """What is known of one folder; `found` are its workflows as they were listed last, unfiltered."""

    target: FolderTarget
    listed: bool = False
    found: tuple[Workflow, ...] = ()

    @property
    def success(self) -> bool:
        """Whether its workflows were listed now."""
        return self.listed


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Collection:
    """The outcomes of one reading of targets, each target once. Equal to itself alone, as readings are.

    `started` in Unix seconds, `seconds` it took, `allowed` seconds it could have taken; `probe`: of
    targets that a request named, not the configuration.
    """

    executions: tuple[ExecutionOutcome, ...]
    started: float
    seconds: float
    _: KW_ONLY
    allowed: float = 0.0
    probe: bool = False
    workflows: tuple[WorkflowOutcome, ...] = ()
    folders: tuple[FolderOutcome, ...] = ()

    @property
    def all(self) -> tuple[Outcome, ...]:
        """Return the outcomes of every kind of target."""
        return (*self.executions, *self.workflows, *self.folders)
