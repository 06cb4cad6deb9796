"""What a collection says in the log: failures when they change and now and then, not at every scrape."""

import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.outcome import Collection, Outcome
from exporter.yandex.calls import Clock
from exporter.yandex.iam import TokenRecord

log = logging.getLogger("exporter.scrape")

REMINDER_SECONDS = 3600.0
MOST_TARGETS = 50_000
ONE_LINE_EACH = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """What was last logged of a failing execution, and when (a monotonic instant)."""

    reason: str
    http_code: int
    at: float


class OutcomeLog:
    """Logs changes in what can be read, and reminds of what still can't be once an hour.

    `_lock` guards `_failures` and `_token_failed`. At most 50,000 failing executions are remembered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, Failure] = OrderedDict()
        self._token_failed = False

    def collected(self, collection: Collection) -> None:
        """Log what changed with this collection; what is only remembered is no news."""
        asked = [o for o in collection.outcomes if not o.cached]
        with self._lock:
            failed = [o for o in asked if o.reason and self._is_news(o)]
            recovered = [o for o in asked if not o.reason and o.target.id in self._failures]
            for outcome in recovered:
                del self._failures[outcome.target.id]
        groups: dict[tuple[bool, str, int], list[Outcome]] = defaultdict(list)
        for outcome in failed:
            groups[outcome.fresh, outcome.reason, outcome.http_code].append(outcome)
        for (read, _, _), group in groups.items():
            what = "history of an execution" if read else "execution"
            _tell(logging.WARNING, f"{what} cannot be read", group)
        _tell(logging.INFO, "execution can be read again", recovered)
        log.debug(
            "collection done",
            extra={"fields": {"targets": len(collection.outcomes), "seconds": round(collection.seconds, 3)}},
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
        last, now = self._failures.get(outcome.target.id), self._clock.monotonic()
        news = (
            last is None
            or (last.reason, last.http_code) != (outcome.reason, outcome.http_code)
            or now - last.at >= REMINDER_SECONDS
        )
        if news:
            self._failures[outcome.target.id] = Failure(outcome.reason, outcome.http_code, now)
            while len(self._failures) > MOST_TARGETS:
                self._failures.popitem(last=False)
        return news


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


def _fields(outcome: Outcome, execution_id: str) -> dict[str, object]:
    if not outcome.reason:
        return {"execution_id": execution_id}
    return {
        "execution_id": execution_id,
        "reason": outcome.reason,
        "http_code": outcome.http_code,
        "error": outcome.message,
    }
