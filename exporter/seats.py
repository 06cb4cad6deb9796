"""How many clients there are and how many bytes are kept for them; the slowest client goes first."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MOMENT_SECONDS = 0.1


@dataclass(eq=False, slots=True)
class Seat:
    """One client; `show_out` ends his connection, `since` is when we began to wait for him.

    `held` are the bytes that are kept for him, or their number.
    """

    show_out: Callable[[], object] = bool
    held: bytes | int = 0
    since: float = 0.0


class Seats:
    """The clients that are there, at most `most`, and at most about `most_bytes` kept for all of them.

    A client waits while we wait for him (for his request, or until he takes his answer) and can be shown
    out for another after a moment; he does not while we work for him. Who sends his request at once and
    takes his answer at once therefore always finds a seat. Bytes that are kept for several clients count
    once. `clock` gives seconds. Belongs to one thread, so
    there is no lock.
    """

    def __init__(self, most: int, most_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._waiting: dict[Seat, None] = {}  # in the order in which the waiting began
        self._working: set[Seat] = set()
        self._held = 0
        self._takers: Counter[int] = Counter()  # how many there are of bytes that are kept, by identity

    def __len__(self) -> int:
        return len(self._waiting) + len(self._working)

    @property
    def are_taken(self) -> bool:
        """Whether the next client costs another his seat."""
        return len(self) >= self._most

    @property
    def are_firm(self) -> bool:
        """Whether all are taken and nobody can be shown out: we work for him, or he had no moment yet."""
        oldest = next(iter(self._waiting), None)
        return self.are_taken and (oldest is None or self._clock() - oldest.since < MOMENT_SECONDS)

    def take(self, seat: Seat) -> None:
        """Give a seat, where all are taken at the cost of the client that has waited longest."""
        if self.are_taken:
            self.show_one_out()
        seat.since = self._clock()
        self._waiting[seat] = None

    def show_one_out(self) -> bool:
        """Show out the client that has waited longest; False when none waits."""
        for seat in self._waiting:
            self.give_back(seat)
            seat.show_out()
            return True
        return False

    def wait(self, seat: Seat) -> None:
        """Note that from now on the client is waited for; he goes behind those that wait already."""
        if self._has(seat):
            self._working.discard(seat)
            self._waiting.pop(seat, None)
            seat.since = self._clock()
            self._waiting[seat] = None

    def work(self, seat: Seat) -> None:
        """Note that his request is worked on."""
        if self._has(seat):
            self._waiting.pop(seat, None)
            self._working.add(seat)

    def hold(self, seat: Seat, held: bytes | int) -> None:
        """Note what is kept for a client, or its size; is it too much in all, the longest waiting go."""
        if not self._has(seat):
            return
        self._let_go(seat)
        seat.held = held
        if isinstance(held, int):
            self._held += held
        else:
            self._takers[id(held)] += 1
            self._held += len(held) if self._takers[id(held)] == 1 else 0
        if self._held <= self._most_bytes:
            return
        for other in [other for other in self._waiting if other.held and other is not seat]:
            self.give_back(other)
            other.show_out()
            if self._held <= self._most_bytes:
                return

    def give_back(self, seat: Seat) -> None:
        """Note that a client has gone; a second time is harmless."""
        if self._has(seat):
            self._let_go(seat)
            self._waiting.pop(seat, None)
            self._working.discard(seat)

    def _let_go(self, seat: Seat) -> None:
        held, seat.held = seat.held, 0
        if isinstance(held, int):
            self._held -= held
            return
        self._takers[id(held)] -= 1
        if not self._takers[id(held)]:
            del self._takers[id(held)]
            self._held -= len(held)

    def _has(self, seat: Seat) -> bool:
        return seat in self._waiting or seat in self._working
