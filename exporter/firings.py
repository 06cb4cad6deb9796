"""The instants around a moment at which a schedule fires: a value that holds until the next of them."""

from dataclasses import dataclass
from typing import Self

from exporter.cron import Cron


@dataclass(frozen=True, slots=True)
class Firings:
    """The firing instants around an instant, `at`: all in Unix seconds, None if there is none.

    `last` is the newest at or before it, `next` the first after it. They are the same until then.
    """

    at: float
    last: float | None
    next: float | None

    @classmethod
    def of(cls, cron: Cron, now: float) -> Self:
        """Return those of a schedule around `now`, in Unix seconds."""
        return cls(now, cron.last(now), cron.next(now))

    def hold(self, now: float) -> bool:
        """Whether they are those around another instant, too."""
        return self.at <= now and (self.next is None or now < self.next)
