"""One socket of a `Connection`: opened, read from, written to and closed, in tasks of its own."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gatesocket.client.events import ABNORMAL, Event, Lost, Opened, Unwritten, Written
from gatesocket.client.sockets import (
    UNREACHABLE,
    WRITE_LIMITS,
    Connect,
    ConnectionClosed,
    Socket,
    State,
    hang_up,
    how_it_ended,
    why_not_opened,
)

__all__ = ["Address", "Dialler", "Line", "Owner"]

Address = str | Callable[[], str | Awaitable[str]]
"""Where to connect to, or a function that says so anew for each attempt."""


class _NotMade(Exception):
    """What an attempt needs couldn't be had; the next may go better."""


class Dialler:
    """Opens the sockets of one connection.

    Args:
        url: where to; a function is asked anew for each socket.
        first: what to say first on each; a function is asked anew, too. None: nothing.
        subprotocols: what to offer.
        connect: what opens them.
        encode: makes a frame of a message.
        complete: makes the address that is asked for of *url*.
    """

    def __init__(
        self,
        url: Address,
        first: Any,
        *,
        subprotocols: Sequence[str],
        connect: Connect,
        encode: Callable[[Any], str],
        complete: Callable[[str], str],
    ) -> None:
        self._url = url
        self._first = first
        self._subprotocols = list(subprotocols) or None
        self._connect = connect
        self._encode = encode
        self._complete = complete

    async def dial(self, number: int) -> tuple[Socket, str | None] | Lost:
        """Open a socket; return it and the frame to send first, or why it couldn't be opened.

        Raises:
            MessageTooLarge: the first message is larger than a frame may be.
            TypeError: it is nothing that can be sent.
        """
        try:
            # Before the socket is there: a server lets a client wait for so long only with its first message.
            first = await _made(self._first, "first message")
            address = await _made(self._url, "address")
        except _NotMade as error:
            return Lost(number, ABNORMAL, str(error))
        frame = None if first is None else self._encode(first)
        try:
            socket = await self._connect(
                self._complete(address), subprotocols=self._subprotocols, write_limit=WRITE_LIMITS
            )
        except UNREACHABLE as error:
            return why_not_opened(number, error)
        return socket, frame


async def _made(source: Any, what: str) -> Any:
    """Return *source*, or what it returns."""
    try:
        made = source() if callable(source) else source
        return await made if inspect.isawaitable(made) else made
    except Exception as error:  # whatever it asks for one, and in whichever way that fails
        raise _NotMade(f"no {what}: {error}") from error


@dataclass(frozen=True, slots=True)
class Owner:
    """What a line needs of the connection that it is a socket of."""

    happen: Callable[[Event], object]
    """Is told what happens to the socket."""
    start: Callable[..., "asyncio.Task[None]"]
    """Starts a task, given a coroutine function and its arguments; its error is the end of the connection."""
    take: Callable[[int, str | bytes], Awaitable[None]]
    """Looks at what the socket of that number has brought."""


class Line:
    """A socket, from the making of its address to its end.

    Args:
        number: the machine's.
        owner: who is told of it.
        dialler: opens it.
    """

    def __init__(self, number: int, owner: Owner, dialler: Dialler) -> None:
        self._number = number
        self._owner = owner
        self._dialler = dialler
        self._frames: asyncio.Queue[str] = asyncio.Queue()  # the machine gives one at a time
        self._goodbye = (1000, "")
        self._abandoned = False
        self.holder = owner.start(self._hold)
        """The task that is there as long as the socket is."""

    def write(self, frame: str) -> None:
        """Have a frame written."""
        self._frames.put_nowait(frame)

    def end(self, code: int = 1000, reason: str = "", *, abandon: bool = False) -> None:
        """Let the socket be closed, or cut off if it is to be abandoned."""
        self._goodbye = (code, reason)
        self._abandoned = abandon
        self.holder.cancel()

    async def _hold(self) -> None:
        lost = await self._converse()
        if not self._frames.empty():
            self._owner.happen(Unwritten(self._number))
        self._owner.happen(lost)

    async def _converse(self) -> Lost:
        """Open a socket, read from it and write to it until it is closed, and return how that came."""
        dialled = await self._dialler.dial(self._number)
        if isinstance(dialled, Lost):
            return dialled
        socket, first = dialled
        writer = self._owner.start(self._write, socket)
        try:
            if first is not None:
                await socket.send(first)
            self._owner.happen(Opened(self._number))
            while True:
                await self._owner.take(self._number, await socket.recv())
        except ConnectionClosed as closed:
            return how_it_ended(self._number, closed)
        finally:
            writer.cancel()
            await hang_up(socket, *self._goodbye, abandoned=self._abandoned)

    async def _write(self, socket: Socket) -> None:
        while True:
            frame = await self._frames.get()
            if socket.state is not State.OPEN:
                self._owner.happen(Unwritten(self._number))
                return
            try:
                await socket.send(frame)
            except ConnectionClosed:
                return  # whoever reads from it finds that, too
            self._owner.happen(Written(self._number))
