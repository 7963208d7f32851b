"""Sockets of a client that a test plays the servers of."""

import asyncio
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response
from websockets.protocol import State

__all__ = ["PlayedSocket", "PlayedSockets", "refusal"]


def refusal(status: int) -> InvalidStatus:
    """What websockets raises when a handshake is answered with *status*."""
    return InvalidStatus(Response(status, "", Headers()))


class PlayedSocket:
    """One socket, as far as a client uses it; the other half is what the test says as its server."""

    def __init__(self, address: str, subprotocols: list[str] | None) -> None:
        self.address = address
        self.subprotocols = subprotocols
        self.state = State.CONNECTING
        self.sent: list[str] = []
        self.closed_with: tuple[int, str] | None = None
        self.aborted = False
        self.stuck = False
        """Whether what is written doesn't leave this process."""
        self.answers_close = True
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._brought: asyncio.Queue[str | bytes | ConnectionClosedError] = asyncio.Queue()
        self._over = asyncio.Event()
        self._moved = asyncio.Event()

    # What the client does.

    @property
    def transport(self) -> Any:
        return self

    def abort(self) -> None:
        self.aborted = True
        self.end()

    async def opened(self) -> "PlayedSocket":
        try:
            await self._answered
        except asyncio.CancelledError:
            self.state = State.CLOSED
            raise
        return self

    async def recv(self) -> str | bytes:
        brought = await self._brought.get()
        if isinstance(brought, ConnectionClosedError):
            raise brought
        return brought

    async def send(self, message: str) -> None:
        assert self.state is State.OPEN
        self.sent.append(message)
        while self.stuck:
            self._moved.clear()
            await self._moved.wait()
            if self._over.is_set():
                raise ConnectionClosedError(None, None)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.state is not State.CLOSED:
            self.closed_with = (code, reason)
            self.state = State.CLOSING
            if self.answers_close:
                self.end(code, reason)
            await self._over.wait()

    # What the server and the network do.

    async def accept(self) -> None:
        self.state = State.OPEN
        self._answered.set_result(None)
        await settle()

    async def fail(self, error: Exception) -> None:
        self.state = State.CLOSED
        self._answered.set_exception(error)
        await settle()

    async def says(self, *frames: str | bytes) -> None:
        for frame in frames:
            self._brought.put_nowait(frame)
        await settle()

    async def move(self) -> None:
        self.stuck = False
        self._moved.set()
        await settle()

    async def breaks(self) -> None:
        """What is written fails; what was brought before can still be read."""
        self._over.set()
        self._moved.set()
        await settle()

    def end(self, code: int | None = None, reason: str = "") -> None:
        self.state = State.CLOSED
        self._brought.put_nowait(ConnectionClosedError(None if code is None else Close(code, reason), None))
        self._over.set()
        self._moved.set()

    async def ends(self, code: int | None = None, reason: str = "") -> None:
        self.end(code, reason)
        await settle()


class PlayedSockets(list[PlayedSocket]):
    """What a client's ``connect`` has opened so far."""

    async def __call__(self, address: str, *, subprotocols: list[str] | None, write_limit: object) -> PlayedSocket:
        self.append(PlayedSocket(address, subprotocols))
        return await self[-1].opened()


async def settle() -> None:
    """Let all that can happen now happen, in virtual time."""
    await asyncio.sleep(1e-6)
