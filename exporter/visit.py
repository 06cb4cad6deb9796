"""The life of one connection: shake hands, then request and answer in turn, each with its deadline."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from wsgiref.types import WSGIApplication

from exporter.crew import Crew, Lane, Task
from exporter.exchange import Exchange, Refused, refusal
from exporter.gateway import Answer, Ends, Request, answered, plain
from exporter.seats import Seat, Seats
from exporter.webconfig import WebConfigFile
from exporter.wire import HANDSHAKE, Wire

log = logging.getLogger(__name__)

MOST_LINGERED_BYTES = 1024 * 1024
SAFE = ("GET", "HEAD")
HTTPS_ONLY = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks HTTPS only.\n"
BUSY = plain(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests wait; come back later.", ("Retry-After", "5"))


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: until a request must be there, until the next must begin, until an answer must be taken."""

    request: float
    idle: float
    answer: float


@dataclass(slots=True)
class House:
    """What all visits have in common; while `is_closing` every answer is the last of its connection.

    `under_way` are the answers in the making, by the address of who asked and what for.
    """

    app: WSGIApplication
    crew: Crew
    seats: Seats
    patience: Patience
    lanes: Mapping[str, Lane]
    other_lane: Lane
    web_config: WebConfigFile | None = None
    is_closing: bool = False
    under_way: dict[tuple[str, Request], asyncio.Future[Answer]] = field(default_factory=dict)


class Visit:
    """One connection; belongs to the thread of its loop, and gives requests to the crew's threads."""

    def __init__(self, house: House, wire: Wire, seat: Seat, ends: Ends) -> None:
        self._house = house
        self._wire = wire
        self._seat = seat
        self._ends = ends
        self._is_asking = False

    @property
    def is_asking(self) -> bool:
        """Whether there is a request, be it the first byte of one, that is not yet answered."""
        return self._is_asking or self._wire.has_heard

    async def stay(self) -> None:
        """Serve the client until he goes or must; what he does to it is told to debuggers only."""
        try:
            deadline = asyncio.get_running_loop().time() + self._house.patience.request
            async with asyncio.timeout_at(deadline):
                may_enter = await self._enters()
            if may_enter:
                await self._converse(deadline)
            async with asyncio.timeout(self._house.patience.answer):
                await self._wire.end(MOST_LINGERED_BYTES)
        except OSError as error:
            if isinstance(error, TimeoutError):
                self._wire.give_up()
            fields = {"client": self._ends.theirs[0], "error": str(error) or type(error).__name__}
            log.debug("a connection ended early", extra={"fields": fields})

    async def _enters(self) -> bool:
        """Shake hands where TLS is spoken, by the context of now; False for who is not let in."""
        if self._house.web_config is None:
            return True
        config = self._house.web_config.current()
        if config.context is None:
            return True
        first = await self._wire.first_byte()
        if first != HANDSHAKE:
            await self._wire.send(HTTPS_ONLY if first else b"")
            return False
        await self._wire.secure(config.context)
        return config.admits_peer(self._wire.peer_certificate)

    async def _converse(self, deadline: float) -> None:
        """Answer request after request; the first must be there by the deadline."""
        exchange = Exchange(self._wire, self._hold)
        patience, clock = self._house.patience, asyncio.get_running_loop().time
        ends = Ends(self._ends.ours, self._ends.theirs, is_secure=self._wire.is_secure)
        begun_by, there_by, goes_on = deadline, deadline, True
        while goes_on:
            async with asyncio.timeout_at(begun_by):
                if not await exchange.begins():
                    return
            self._is_asking = True
            answer, is_last = await self._answer(exchange, ends, there_by or clock() + patience.request)
            self._house.seats.wait(self._seat)
            async with asyncio.timeout(patience.answer):
                goes_on = await exchange.answer(answer, last=is_last or self._house.is_closing)
            del answer  # a page may be large, and the next request a minute away
            self._is_asking = False
            self._house.seats.wait(self._seat)
            begun_by, there_by = clock() + patience.idle, 0.0

    async def _answer(self, exchange: Exchange, ends: Ends, deadline: float) -> tuple[Answer, bool]:
        """Return what is said to the request that has begun, and whether it is the last word."""
        try:
            async with asyncio.timeout_at(deadline):
                request = await exchange.request()
        except Refused as refused:
            return refused.answer, True
        except TimeoutError:
            return refusal(HTTPStatus.REQUEST_TIMEOUT), True
        self._house.seats.work(self._seat)
        answer = await self._made(request, ends)
        return answer, answer is BUSY

    async def _made(self, request: Request, ends: Ends) -> Answer:
        """Wait for the answer.

        The pages that may wait are made once for all connections of a client that ask the same at a time:
        however many there are, they take one thread, and no place from his other requests.
        """
        if request.method not in SAFE or request.path not in self._house.lanes:
            return await self._begun(request, ends)
        under_way, asked = self._house.under_way, (ends.theirs[0], request)
        if (made := under_way.get(asked)) is None:
            made = under_way[asked] = self._begun(request, ends)
            made.add_done_callback(lambda _: under_way.pop(asked))
        # Who goes takes the answer from none of the others.
        return await asyncio.shield(made)

    def _begun(self, request: Request, ends: Ends) -> asyncio.Future[Answer]:
        """Let a thread of the crew run the application."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[Answer] = loop.create_future()

        def tell(answer: Answer) -> None:
            with contextlib.suppress(RuntimeError):  # the server was stopped meanwhile, and its loop with it
                loop.call_soon_threadsafe(_fulfil, made, answer)

        def do() -> None:
            tell(answered(self._house.app, request, ends))

        lane = self._house.lanes.get(request.path, self._house.other_lane)
        self._house.crew.take(Task(lane, ends.theirs[0], do, lambda: tell(BUSY)))
        return made

    def _hold(self, held: bytes | int) -> None:
        self._house.seats.hold(self._seat, held)


def _fulfil(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
