"""Threads that answer requests: bounded, born when needed, and fair between the clients."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a thread is to do for a client, and what instead when there is no place to wait."""

    client: str
    do: Callable[[], None]
    refuse: Callable[[], None]


class Crew:
    """At most `size` daemon threads; at most `2 * size` tasks wait for one.

    The clients that wait have their turns one after the other, each for one task. When there is no place
    for one more, the client that has most of them loses his last. Threads that had nothing to do for
    `idle` seconds end. All below is guarded by the lock of `_changed`, on which idle threads wait.
    """

    def __init__(self, size: int, idle: float = IDLE_SECONDS) -> None:
        self._size = size
        self._idle = idle
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Task]] = {}
        self._number_waiting = 0
        self._threads: set[threading.Thread] = set()
        self._free = 0
        self._closed = False

    def take(self, task: Task) -> None:
        """Let a thread do this when it is its turn; what there is no place for is refused at once."""
        with self._changed:
            refused = self._displaced(task) if self._has_threads() else task
            if refused is not task:
                self._waiting.setdefault(task.client, deque()).append(task)
                self._number_waiting += 1
                self._changed.notify()
        if refused is not None:
            refused.refuse()

    def close(self) -> None:
        """Begin nothing any more; what is being done goes on. A second time is harmless."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._number_waiting = 0
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for the threads to end, but not past a time of the monotonic clock."""
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _displaced(self, task: Task) -> Task | None:
        """Return the task that there is no place for: none, this one, or the last of who has most."""
        if self._closed:
            return task
        if self._number_waiting < 2 * self._size:
            return None
        most = max(self._waiting.values(), key=len)
        if len(most) <= len(self._waiting.get(task.client, ())) + 1:
            return task
        self._number_waiting -= 1
        return most.pop()

    def _has_threads(self) -> bool:
        """Say whether a thread will come for one task more; where none is free, a new one is called."""
        if self._free <= self._number_waiting and len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name="serve", daemon=True)
            # Where the system gives no more threads, those that are there have to do.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._threads.add(thread)
        return bool(self._threads)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            task.do()

    def _next(self) -> Task | None:
        """Return the task whose turn it is; None when this thread is not needed any more."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting or self._closed, self._idle)
            self._free -= 1
            if not self._waiting:
                self._threads.discard(threading.current_thread())
                return None
            client, tasks = next(iter(self._waiting.items()))
            del self._waiting[client]
            self._number_waiting -= 1
            task = tasks.popleft()
            if tasks:
                self._waiting[client] = tasks  # behind the others
            return task
