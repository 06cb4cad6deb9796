"""Threads that do tasks, held at a gate where their order matters."""

import threading
import time
from dataclasses import dataclass, field

from processes import until

from exporter.crew import Crew, Lane, Task

WIDE, NARROW = Lane("wide", 10), Lane("narrow", 1)


@dataclass
class Book:
    """Notes what was done and what was refused; what is called `held` waits for the gate."""

    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def task(self, name: str, client: str = "a", lane: Lane = WIDE) -> Task:
        """Return a task of this name."""

        def do() -> None:
            self.begun.release()
            if name.startswith("held"):
                self.gate.wait(30)
            self.done.append(name)

        return Task(lane, client, do, lambda: self.refused.append(name))


def held(size: int, book: Book) -> Crew:
    """Return a crew that is at work with all of its threads."""
    crew = Crew(size)
    for number in range(size):
        crew.take(book.task(f"held {number}", f"at work {number}"))
    assert all(book.begun.acquire(timeout=10) for _ in range(size))
    return crew


def end(crew: Crew) -> None:
    """End its threads."""
    crew.close()
    crew.join(time.monotonic() + 10)


def test_clients_have_their_turns_one_after_the_other() -> None:
    """Whoever asks for much waits behind who asks for little."""
    book = Book()
    crew = Crew(1)
    crew.take(book.task("held", lane=Lane("wide", 1)))
    assert book.begun.acquire(timeout=10)
    for name in ("a1", "b1"):
        crew.take(book.task(name, name[0]))
    book.gate.set()
    assert until(lambda: len(book.done) == 3)
    end(crew)
    assert book.done == ["held", "a1", "b1"]


def test_who_asks_for_most_loses_his_last_where_there_is_no_place() -> None:
    """And the newcomer himself where he has as many as anybody."""
    book = Book()
    crew = held(2, book)
    for name in ("a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3"):
        crew.take(book.task(name, name[0]))
    book.gate.set()
    assert until(lambda: len(book.done) == 6)
    end(crew)
    assert book.refused == ["a5", "a4", "a3", "b3"]
    assert sorted(book.done) == ["a1", "a2", "b1", "b2", "held 0", "held 1"]


def test_a_full_lane_is_in_nobodys_way() -> None:
    """Its second task waits for its first, others do not."""
    book = Book()
    crew = Crew(4)
    for name in ("held", "narrow"):
        crew.take(book.task(name, lane=NARROW))
    for number in range(3):
        crew.take(book.task(f"wide {number}"))
    assert until(lambda: len(book.done) == 3)
    book.gate.set()
    assert until(lambda: len(book.done) == 5)
    end(crew)
    assert book.done[3:] == ["held", "narrow"]


def test_threads_are_born_when_needed_and_end_when_they_are_not() -> None:
    """At most as many as it is allowed."""
    before = threading.active_count()
    book = Book()
    crew = Crew(3, idle=0.05)
    assert threading.active_count() == before
    for number in range(6):
        crew.take(book.task(f"held {number}"))
    assert all(book.begun.acquire(timeout=10) for _ in range(3))
    assert threading.active_count() == before + 3
    book.gate.set()
    assert until(lambda: len(book.done) == 6 and threading.active_count() == before)
    crew.take(book.task("again"))
    assert until(lambda: book.done[-1] == "again")
    end(crew)


def test_no_thread_is_born_for_what_may_not_begin() -> None:
    """A flood in a narrow lane costs a thread, and one that waits for others."""
    before = threading.active_count()
    book = Book()
    crew = Crew(10)
    for number in range(10):
        crew.take(book.task(f"held {number}", lane=NARROW))
    assert book.begun.acquire(timeout=10)
    assert threading.active_count() <= before + 2
    book.gate.set()
    assert until(lambda: len(book.done) == 10)
    end(crew)


def test_after_the_end_nothing_is_begun() -> None:
    """What waits is forgotten, what comes is refused, and what is done goes on."""
    book = Book()
    crew = held(1, book)
    crew.take(book.task("waiting"))
    crew.close()
    crew.take(book.task("late"))
    book.gate.set()
    end(crew)
    assert (book.done, book.refused) == (["held 0"], ["late"])


def test_every_task_of_a_storm_is_done_or_refused_once() -> None:
    """From many threads, in several lanes."""
    book = Book()
    crew = Crew(4, idle=0.01)
    names = [f"{thread}-{number}" for thread in range(4) for number in range(250)]

    def storm(thread: int) -> None:
        for number in range(250):
            lane = NARROW if number % 3 else WIDE
            crew.take(book.task(f"{thread}-{number}", str(number % 5), lane))

    storming = [threading.Thread(target=storm, args=(thread,)) for thread in range(4)]
    for thread in storming:
        thread.start()
    for thread in storming:
        thread.join(30)
    assert until(lambda: len(book.done) + len(book.refused) == len(names))
    end(crew)
    assert sorted(book.done + book.refused) == sorted(names)
