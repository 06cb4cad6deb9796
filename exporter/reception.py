"""Accepts clients, gives them seats and shows them out, all in one thread that waits for all of them."""

import asyncio
import errno
import logging
import socket
from collections.abc import Sequence

from exporter.gateway import Ends
from exporter.seats import Seat
from exporter.visit import House, Visit
from exporter.wire import Wire

log = logging.getLogger(__name__)

ACCEPTED_AT_ONCE = 64
PAUSE_SECONDS = 0.05
SHOWN_OUT_AT_ONCE = 8
WARN_SECONDS = 60.0
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Reception:
    """Serves clients from the listening sockets, which it closes, until it is told to close.

    All methods belong to the thread of the loop that runs `serve`.
    """

    def __init__(self, house: House, listeners: Sequence[socket.socket]) -> None:
        self._house = house
        self._listeners = listeners
        self._visits: dict[asyncio.Task[None], Visit] = {}
        self._ended = asyncio.Event()
        self._warn_again = 0.0

    async def serve(self) -> None:
        """Serve until closed, and the last client has gone."""
        for listener in self._listeners:
            self._resume(listener)
        await self._ended.wait()

    def close(self) -> None:
        """Accept nobody any more; who is asking gets his answer, all others go."""
        loop = asyncio.get_running_loop()
        self._house.is_closing = True
        for listener in self._listeners:
            loop.remove_reader(listener)
            listener.close()
        self._show_out(everybody=False)

    def cut(self) -> None:
        """End every connection."""
        self._house.crew.close()
        self._show_out(everybody=True)

    def _show_out(self, *, everybody: bool) -> None:
        for task, visit in self._visits.items():
            if everybody or not visit.is_asking:
                task.cancel()
        if not self._visits:
            self._ended.set()

    def _resume(self, listener: socket.socket) -> None:
        if not self._house.is_closing:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        """Accept who waits, but not so many at a time that those who are here have to wait.

        When the seats are taken it is one: whom he costs his seat has to be gone before the next.
        """
        for _ in range(ACCEPTED_AT_ONCE):
            if self._house.seats.are_firm:
                self._pause(listener)
                return
            try:
                sock, peer = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._pause(listener)
                    self._make_room(error)
                    return
                log.debug("a client went before he was accepted", extra={"fields": {"error": str(error)}})
            else:
                self._receive(sock, peer)
                if self._house.seats.are_taken:
                    return

    def _pause(self, listener: socket.socket) -> None:
        """Come back later: who waits to be accepted would otherwise be reported all the time."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(PAUSE_SECONDS, self._resume, listener)

    def _make_room(self, error: OSError) -> None:
        """Give files back when there are no more, and say so from time to time."""
        loop = asyncio.get_running_loop()
        for _ in range(SHOWN_OUT_AT_ONCE):
            self._house.seats.show_one_out()
        if loop.time() >= self._warn_again:
            self._warn_again = loop.time() + WARN_SECONDS
            fields = {"error": error.strerror or str(error)}
            log.warning("cannot accept connections; raise the limit of open files", extra={"fields": fields})

    def _receive(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        try:
            ends = Ends(sock.getsockname()[:2], peer[:2])
        except (OSError, TypeError) as error:  # BSD says so of who has gone already
            sock.close()
            log.debug("a client went as he was accepted", extra={"fields": {"error": str(error)}})
            return
        wire, seat = Wire(sock), Seat()
        self._house.seats.take(seat)
        visit = Visit(self._house, wire, seat, ends)
        task = asyncio.get_running_loop().create_task(visit.stay())
        self._visits[task] = visit

        def show_out() -> None:
            wire.give_up()
            task.cancel()

        seat.show_out = show_out

        # A task that is cancelled before it ever ran has no `finally` that would do this.
        def ended(task: asyncio.Task[None]) -> None:
            wire.close()
            self._house.seats.give_back(seat)
            del self._visits[task]
            if not task.cancelled() and (error := task.exception()):
                log.error("a connection ended in an unforeseen way", exc_info=error)
            if self._house.is_closing and not self._visits:
                self._ended.set()

        task.add_done_callback(ended)
