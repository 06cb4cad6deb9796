"""What a collection says in the log: failures when they change and now and then, not at every scrape."""

import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.outcome import Collection, ExecutionOutcome, FolderOutcome, Outcome
from exporter.yandex.calls import Clock
from exporter.yandex.iam import TokenRecord

log = logging.getLogger("exporter.scrape")

REMINDER_SECONDS = 3600.0
MOST_TARGETS = 50_000
ONE_LINE_EACH = 3
FOLDER = "folder"

Target = tuple[str, str]
"""Kind and ID of a target: IDs of different kinds may be the same."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What was last logged of a failing target, and when (a monotonic instant).

    `what` is the beginning of the message: what of which kind of target.
    """

    what: str
    reason: str
    http_code: int
    at: float


class OutcomeLog:
    """Logs changes in what can be read, and reminds of what still can't be once an hour.

    `_lock` guards `_failures` and `_token_failed`. At most 50,000 failing targets are remembered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[Target, Failure] = OrderedDict()
        self._token_failed = False

    def collected(self, collection: Collection) -> None:
        """Log what changed with this collection; what is only remembered is no news."""
        asked = [o for o in collection.all if not o.cached]
        failed: dict[tuple[str, str, int], list[Outcome]] = defaultdict(list)
        recovered: dict[str, list[Outcome]] = defaultdict(list)
        with self._lock:
            for outcome in asked:
                if not outcome.reason:
                    before = self._failures.pop(_key(outcome), None)
                    if before is not None:
                        recovered[before.what].append(outcome)
                elif self._is_news(outcome):
                    failed[_what(outcome), outcome.reason, outcome.http_code].append(outcome)
        for (what, _, _), group in failed.items():
            _tell(logging.WARNING, f"{what} cannot be {_verb(what)}", group)
        for what, group in recovered.items():
            _tell(logging.INFO, f"{what} can be {_verb(what)} again", group)
        log.debug(
            "collection done",
            extra={"fields": {"targets": len(collection.all), "seconds": round(collection.seconds, 3)}},
        )

    def token(self, record: TokenRecord) -> None:
        """Log that IAM tokens cannot be had, and that they can again."""
        with self._lock:
            before, self._token_failed = self._token_failed, not record.ok
        if not record.ok:
            log.log(
                logging.DEBUG if before else logging.ERROR,
                "no IAM token to be had",
                extra={"fields": {"error": record.message}},
            )
        elif before:
            log.info("IAM tokens can be had again")

    def _is_news(self, outcome: Outcome) -> bool:
        key, now = _key(outcome), self._clock.monotonic()
        failure = Failure(_what(outcome), outcome.reason, outcome.http_code, now)
        last = self._failures.get(key)
        news = last is None or replace(last, at=now) != failure or now - last.at >= REMINDER_SECONDS
        if news:
            self._failures[key] = failure
            while len(self._failures) > MOST_TARGETS:
                self._failures.popitem(last=False)
        return news


def _key(outcome: Outcome) -> Target:
    return outcome.target.kind, outcome.target.id


def _what(outcome: Outcome) -> str:
    """Return what cannot be read: the target, or what belongs to it when it was read itself."""
    if isinstance(outcome, ExecutionOutcome):
        return "history of an execution" if outcome.fresh else "execution"
    kind = FOLDER if isinstance(outcome, FolderOutcome) else "workflow"
    return f"part of a {kind}" if outcome.success else kind


def _verb(what: str) -> str:
    return "listed" if what == FOLDER else "read"


def _tell(level: int, message: str, outcomes: Iterable[Outcome]) -> None:
    """Write a line for each of a few, or one line for many."""
    outcomes = list(outcomes)
    if len(outcomes) <= ONE_LINE_EACH:
        for outcome in outcomes:
            log.log(level, message, extra={"fields": _fields(outcome, outcome.target.id)})
    else:
        some = ",".join(o.target.id for o in outcomes[:ONE_LINE_EACH])
        fields = {"count": len(outcomes), **_fields(outcomes[0], f"{some},...")}
        log.log(level, message, extra={"fields": fields})


def _fields(outcome: Outcome, ids: str) -> dict[str, object]:
    named: dict[str, object] = {f"{outcome.target.kind}_id": ids}
    if not outcome.reason:
        return named
    # The code of a target that was read is that of its own answer, not of the part that failed.
    code = {} if outcome.success else {"http_code": outcome.http_code}
    return {**named, "reason": outcome.reason, **code, "error": outcome.message}
