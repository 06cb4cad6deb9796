"""Threads that answer requests: bounded, born when needed, and fair between kinds of requests and clients."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

IDLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Lane:
    """A kind of request, of which at most so many are worked on at once: none is in the way of another."""

    name: str
    most: int


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a thread is to do for a client, and what instead when there is no place to wait."""

    lane: Lane
    client: str
    do: Callable[[], None]
    refuse: Callable[[], None]


@dataclass(slots=True)
class _Queue:
    """The tasks that wait in one lane, and the number of those that are worked on."""

    lane: Lane
    clients: dict[str, deque[Task]] = field(default_factory=dict)
    waiting: int = 0
    working: int = 0

    @property
    def may_begin(self) -> int:
        """How many more may be worked on now."""
        return min(self.waiting, self.lane.most - self.working)

    def add(self, task: Task, places: int) -> Task | None:
        """Add a task; return the one that there is no place for: this, or the last of who has most."""
        displaced = None
        if self.waiting >= places:
            most = max(self.clients.values(), key=len)
            if len(most) <= len(self.clients.get(task.client, ())) + 1:
                return task
            displaced = most.pop()
            self.waiting -= 1
        self.clients.setdefault(task.client, deque()).append(task)
        self.waiting += 1
        return displaced

    def begin(self) -> Task:
        """Take the task whose turn it is; its client goes behind the others with the rest of his."""
        client, tasks = next(iter(self.clients.items()))
        del self.clients[client]
        task = tasks.popleft()
        if tasks:
            self.clients[client] = tasks
        self.waiting -= 1
        self.working += 1
        return task


class Crew:
    """At most `size` daemon threads; at most `2 * size` tasks wait in each lane.

    The clients in a lane have their turns one after the other, each for one task. When there is no place
    for one more, the client that has most of them loses his last. Threads that had nothing to do for
    `idle` seconds end. All below is guarded by the lock of `_changed`, on which idle threads wait.
    """

    def __init__(self, size: int, idle: float = IDLE_SECONDS) -> None:
        self._size = size
        self._idle = idle
        self._changed = threading.Condition()
        self._queues: dict[str, _Queue] = {}  # the one whose turn it is first
        self._threads: set[threading.Thread] = set()
        self._free = 0
        self._closed = False

    def take(self, task: Task) -> None:
        """Let a thread do this when it is its turn; what there is no place for is refused at once."""
        with self._changed:
            refused: Task | None = task
            if not self._closed and self._has_threads():
                queue = self._queues.setdefault(task.lane.name, _Queue(task.lane))
                refused = queue.add(task, 2 * self._size)
                self._changed.notify()
        if refused is not None:
            refused.refuse()

    def close(self) -> None:
        """Begin nothing any more; what is being done goes on. A second time is harmless."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self, deadline: float) -> None:
        """Wait for the threads to end, but not past a time of the monotonic clock."""
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _has_threads(self) -> bool:
        """Say whether a thread will come for one task more; where none is free, a new one is called."""
        others = sum(queue.may_begin for queue in self._queues.values())
        if self._free <= others and len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name="serve", daemon=True)
            # Where the system gives no more threads, those that are there have to do.
            with contextlib.suppress(RuntimeError):
                thread.start()
                self._threads.add(thread)
                self._free += 1
        return bool(self._threads)

    def _work(self) -> None:
        while (begun := self._next()) is not None:
            queue, task = begun
            try:
                task.do()
            finally:
                with self._changed:
                    queue.working -= 1
                    self._free += 1

    def _next(self) -> tuple[_Queue, Task] | None:
        """Return the task whose turn it is; None when this thread is not needed any more."""
        with self._changed:
            queue = self._changed.wait_for(lambda: self._closed or self._turn(), self._idle)
            self._free -= 1
            if self._closed or not isinstance(queue, _Queue):
                self._threads.discard(threading.current_thread())
                return None
            self._queues[queue.lane.name] = self._queues.pop(queue.lane.name)  # the others are first now
            self._changed.notify()  # there may be more that can begin than there were calls
            return queue, queue.begin()

    def _turn(self) -> _Queue | None:
        return next((queue for queue in self._queues.values() if queue.may_begin), None)
