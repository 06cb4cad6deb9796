"""How many requests of one kind may be under way, and how many of them may be one client's."""

import threading
from collections import Counter


class Turnstile:
    """Lets `size` requests in at once, and one client with three quarters of them at most.

    So whoever floods leaves room for the others. `_lock` guards `_inside`, the requests by client.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._inside: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """Let a client's request in, without waiting; False when there is no room for it."""
        with self._lock:
            if self._inside.total() >= self._size or 4 * self._inside[client] >= 3 * self._size:
                return False
            self._inside[client] += 1
            return True

    def leave(self, client: str) -> None:
        """Let out what was let in."""
        with self._lock:
            self._inside[client] -= 1
            if not self._inside[client]:
                del self._inside[client]
