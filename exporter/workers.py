"""Threads that work, and the turns that they take: bounded, fair, and in nobody's way at the end."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """Threads, at most `size`; after the end, work is left undone."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="scrape")

    def submit(self, work: Callable[..., None], *args: object) -> None:
        """Let a thread do this as soon as one is free."""
        with contextlib.suppress(RuntimeError):
            self._threads.submit(work, *args)

    def close(self) -> None:
        """Take no new work, drop what waits, wait for nothing."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Turns:
    """A semaphore that is fair: who has waited longest has the next turn.

    That of the standard library is not: who gives back a turn and wants another has it before those who
    wait have woken up. `_lock` guards `_free` and `_waiting`, which holds at most one event a thread.
    """

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._free = number
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout: float) -> bool:
        """Wait for a turn; False, and none is taken, after `timeout` seconds."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(timeout):
            return True
        with self._lock:
            if turn.is_set():
                return True
            self._waiting.remove(turn)
            return False

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        with self._lock:
            return len(self._waiting)

    def release(self) -> None:
        """Give back a turn."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
