"""One connection as its own route has it, the same in both lives.

`LocalConnection` is a socket that this process holds; its counterpart in the cloud is `gatesocket.run.Run`.
"""

import asyncio
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Final, Protocol

from starlette.websockets import WebSocket

from gatesocket import backend, history
from gatesocket.clock import milliseconds
from gatesocket.exceptions import ConnectionGone
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.registry.base import EVERYONE, Record, Replay
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.scope import Scope

__all__ = [
    "SCOPE_KEY",
    "SUBPROTOCOL_KEY",
    "Connection",
    "LocalConnection",
    "RunningConnection",
    "current_connection",
    "published_connection",
]

SCOPE_KEY: Final = "gatesocket.connection"
"""Where a scope holds its `Connection`."""

SUBPROTOCOL_KEY: Final = "gatesocket.subprotocol"
"""Where a scope holds the subprotocol that authentication has chosen; absent if it has chosen none."""


class Connection(Protocol):
    """A connection whose route has its socket in this process, in either life."""

    connection_id: str

    @property
    def user(self) -> str | None:
        """The person behind it; None for nobody."""
        ...

    async def enter(self, groups: Iterable[str], user: str | None) -> None:
        """Register the connection with the group of everyone, with *groups*, and with a person."""
        ...

    async def join(self, group: str) -> None:
        """Join a group."""
        ...

    async def leave(self, group: str) -> bool:
        """Leave a group; return whether the connection was in it."""
        ...

    async def replay(self, replay: Replay) -> None:
        """Send to the client what it has missed of groups that the connection has joined.

        It comes before whatever others send to those groups from now on, if the route has received nothing yet. A
        client that leaves meanwhile is no error: the route's next receive says so.
        """
        ...

    def forget(self) -> frozenset[str]:
        """Leave every group, without awaiting, and return them."""
        ...


class RunningConnection(Connection, Protocol):
    """A connection of the cloud life while its route runs: it knows more than the registry does."""

    @property
    def groups(self) -> frozenset[str]:
        """The groups that it is in, as its own route sees it."""
        ...

    def unwritten(self, group: str) -> int:
        """By how much the registry's count of *group* is wrong until this route hibernates: 1, 0 or -1."""
        ...

    async def publish(self) -> None:
        """Let others find the connection from now on, before its route looks for them.

        Of two that join a group at the same moment and then send to it, one at least reaches the other.
        """
        ...

    def redact(self, blank: Callable[[Scope], None]) -> None:
        """Have the record, which isn't written yet, keep a scope that *blank* has taken something out of.

        Raises:
            ConfigurationError: it is written.
        """
        ...

    async def post(self, text: str) -> bool:
        """Send to the client, in order with what the route sends; return False if it waits for the handshake's end.

        Raises:
            ConnectionGone: it has left.
        """
        ...


current_connection: ContextVar[RunningConnection | None] = ContextVar("gatesocket.connection", default=None)
"""The connection whose route runs in this context; None outside of a route of the cloud life."""


async def published_connection() -> RunningConnection | None:
    """Return the connection whose route looks for others, once they can find it too; None outside of a route."""
    own = current_connection.get()
    if own is not None:
        await own.publish()
    return own


NEVER: Final = 1 << 53
"""An ``expires_at`` that doesn't come: the server that holds a local socket knows when it ends."""


class LocalConnection:
    """A socket that a server such as uvicorn holds in this process."""

    def __init__(self, websocket: WebSocket, registry: MemoryRegistry, gateway: SocketGateway) -> None:
        # Of the same shape as API Gateway's own (facts sheet, section 1).
        self.connection_id = urlsafe_b64encode(secrets.token_bytes(11)).decode("ascii")
        self.user: str | None = None
        self._websocket = websocket
        self._registry = registry
        self._gateway = gateway
        self.task: Final = asyncio.current_task()
        """What runs the route, which is what registers a connection."""

    async def enter(self, groups: Iterable[str], user: str | None) -> None:
        """Register the connection; see `Connection.enter`."""
        self.user = user
        everything = frozenset({EVERYONE, *groups})
        await self._registry.create(
            Record(self.connection_id, b"", milliseconds(), NEVER, live=True, groups=everything, user=user)
        )
        self._gateway.attach(self.connection_id, self._websocket)

    async def join(self, group: str) -> None:
        """Join a group."""
        await self._registry.join(self.connection_id, group, user=self.user, expires_at=NEVER)

    async def leave(self, group: str) -> bool:
        """Leave a group; return whether the connection was in it."""
        return await self._registry.leave(self.connection_id, group)

    async def replay(self, replay: Replay) -> None:
        """Send what the client has missed; see `Connection.replay`."""
        now = backend.current().clock()
        with suppress(ConnectionGone):
            await self._gateway.post_first(self.connection_id, lambda: history.texts(replay, self._registry, now=now))

    def forget(self) -> frozenset[str]:
        """Leave every group, and be reachable no longer; return the groups."""
        self._gateway.detach(self.connection_id)
        left = self._registry.groups_of(self.connection_id)
        self._registry.forget(self.connection_id)
        return left
