"""One client's socket, plain or TLS, for coroutines: they wait, no thread does."""

import asyncio
import contextlib
import fcntl
import functools
import socket
import ssl
import struct
import termios
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
CHUNK = 64 * 1024
HANDSHAKE = b"\x16"
"""The first byte of TLS."""


class Wire:
    """A socket that never blocks; belongs to the thread of its loop.

    The socket is asked first and waited for only when it has nothing to say, so TLS needs no buffers but
    OpenSSL's own (asyncio's are 256 KiB a connection, before its client has said a byte).
    Errors are OSErrors, those of TLS included; deadlines are the caller's.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def first_byte(self) -> bytes:
        """Wait until the client says something, and look at it without taking it; empty when he has gone."""
        return await self._until_done(lambda: self._sock.recv(1, socket.MSG_PEEK))

    @property
    def has_heard(self) -> bool:
        """Whether something has come that is not yet received."""
        try:
            return bool(socket.socket.recv(self._sock, 1, socket.MSG_PEEK))
        except OSError:
            return False

    async def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands."""
        try:
            self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        except ValueError as error:  # the client has gone
            raise ConnectionError(str(error)) from None
        await self._until_done(self._sock.do_handshake)

    @property
    def peer_certificate(self) -> Mapping[str, Any] | None:
        """The certificate of the client if he has shown one and it was verified."""
        return self._sock.getpeercert() or None if isinstance(self._sock, ssl.SSLSocket) else None

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken."""
        return isinstance(self._sock, ssl.SSLSocket)

    async def receive(self) -> bytes:
        """Return what the client says next; empty when he says no more."""
        return await self._until_done(lambda: self._sock.recv(CHUNK))

    async def send(self, data: bytes) -> None:
        """Return when the system has taken all; others have their turns in between."""
        rest = memoryview(data)
        while rest:
            sent = await self._until_done(functools.partial(self._sock.send, rest[:CHUNK]), writing=True)
            rest = rest[sent:]
            if rest:
                await asyncio.sleep(0)

    async def end(self, most: int) -> None:
        """Say that nothing more is said, and hear the client out, but `most` bytes.

        A close over unread bytes would be a reset, which can overtake the answer.
        """
        if isinstance(self._sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._sock.unwrap()
        # Of the socket under TLS, whose own method would take the encryption off what is still to be read.
        socket.socket.shutdown(self._sock, socket.SHUT_WR)
        while most > 0 and (heard := await self._until_done(lambda: socket.socket.recv(self._sock, CHUNK))):
            most -= len(heard)

    def give_up(self) -> None:
        """Let the coming close throw away what the client has not taken: the system keeps it for minutes."""
        with contextlib.suppress(OSError, ValueError):
            (untaken,) = struct.unpack("i", fcntl.ioctl(self._sock, termios.TIOCOUTQ, bytes(4)))
            if untaken:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        """Close at once; a second time is harmless."""
        self._sock.close()

    async def _until_done(self, attempt: Callable[[], T], *, writing: bool = False) -> T:
        """Return what an operation gives that may have to wait: TLS may have to read for a write, too."""
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                await self._ready(writing=False)
            except ssl.SSLWantWriteError:
                await self._ready(writing=True)
            except (BlockingIOError, InterruptedError):
                await self._ready(writing=writing)

    async def _ready(self, *, writing: bool) -> None:
        """Wait until the system would take, or has, bytes."""
        watch, forget = (
            (self._loop.add_writer, self._loop.remove_writer)
            if writing
            else (self._loop.add_reader, self._loop.remove_reader)
        )
        ready = self._loop.create_future()
        watch(self._sock, _fulfil, ready)
        try:
            await ready
        finally:
            forget(self._sock)


def _fulfil(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
