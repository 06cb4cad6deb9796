"""What one collection knows of its targets: frozen values, between the API's and the page's."""

from dataclasses import dataclass

from exporter.targets import ExecutionTarget
from exporter.yandex.history import History
from exporter.yandex.models import Execution


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one collection knows of one execution.

    `execution` is None when there is no valid data; `http_code` is that of the last attempt, 0 if
    it had no answer; `reason` and `message` say what failed, empty if nothing did; times are Unix
    seconds. `fresh` is data read in this collection, `cached` an answer that cost no call, `sent` whether
    the API was asked at all where there is neither.
    """

    target: ExecutionTarget
    at: float
    execution: Execution | None = None
    history: History | None = None
    http_code: int = 0
    reason: str = ""
    message: str = ""
    last_success: float | None = None
    fresh: bool = False
    cached: bool = False
    sent: bool = True

    @property
    def success(self) -> bool:
        """Whether there is valid data: read now, or kept after the execution ended."""
        return self.execution is not None

    @property
    def ended(self) -> bool:
        """Whether this is valid data that will not change any more."""
        return self.execution is not None and self.execution.status.terminal


@dataclass(frozen=True, slots=True)
class Collection:
    """The outcomes of one reading of targets, each target once.

    `started` in Unix seconds, `seconds` it took, `allowed` seconds it could have taken; `probe`: of
    targets that a request named, not the configuration.
    """

    outcomes: tuple[Outcome, ...]
    started: float
    seconds: float
    allowed: float = 0.0
    probe: bool = False
