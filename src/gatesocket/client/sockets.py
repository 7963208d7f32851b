"""What the Python client needs of websockets."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from gatesocket.client.events import ABNORMAL, Lost
from gatesocket.limits import INTEGRATION_SECONDS

try:
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.protocol import State
except ImportError as error:
    raise ImportError("gatesocket.client.Connection needs websockets: pip install 'gatesocket[client]'") from error

__all__ = [
    "CONNECT",
    "UNREACHABLE",
    "WRITE_LIMITS",
    "Connect",
    "ConnectionClosed",
    "Socket",
    "State",
    "hang_up",
    "how_it_ended",
    "why_not_opened",
]


class Socket(Protocol):
    """A part of websockets' ``ClientConnection``."""

    @property
    def state(self) -> State:
        """How far the connection has come."""
        ...

    @property
    def transport(self) -> asyncio.Transport:
        """What can be aborted."""
        ...

    async def recv(self) -> str | bytes:
        """Return the next message; raise ``ConnectionClosed`` if none will come."""
        ...

    async def send(self, message: str) -> None:
        """Send a message, and wait as ``write_limit`` says."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, unless it is closed."""
        ...


Connect = Callable[..., Awaitable[Socket]]
"""Opens a socket, given an address, ``subprotocols`` and ``write_limit``."""

# API Gateway lets a function answer a handshake for all but one of these seconds.
CONNECT: Final[Connect] = partial(connect, open_timeout=INTEGRATION_SECONDS + 1)

WRITE_LIMITS: Final = (1, 0)
"""Bytes in a socket's buffer over which, and down to which, a write waits.

So a write is over when all of it has left this process. Not (0, 0): a TLS transport would take an empty buffer for one
that is over its limit.
"""

UNREACHABLE: Final = (OSError, InvalidHandshake)
"""What a failed attempt raises; anything else is a mistake of the caller, such as an address that isn't one."""


def why_not_opened(number: int, error: Exception) -> Lost:
    """Say what became of a socket that couldn't be opened."""
    status = error.response.status_code if isinstance(error, InvalidStatus) else None
    return Lost(number, ABNORMAL, str(error) or type(error).__name__, status)


def how_it_ended(number: int, closed: ConnectionClosed) -> Lost:
    """Say what became of a socket that was open."""
    if closed.rcvd is None:
        return Lost(number, ABNORMAL, str(closed))
    return Lost(number, closed.rcvd.code, closed.rcvd.reason)


async def hang_up(socket: Socket, code: int, reason: str, *, abandoned: bool) -> None:
    """Close a socket, and wait for the other side to agree.

    It is cut off instead if it is *abandoned*, and if there is no more time to wait.
    """
    try:
        if abandoned:
            socket.transport.abort()
        await socket.close(code, reason)
    except BaseException:
        socket.transport.abort()
        raise
