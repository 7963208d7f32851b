"""Who is connected, and messages to them: to one connection, to one person, to a group, to everyone.

The names are those of FastAPI's own tutorial, and so is their meaning; what the tutorial's list of sockets can't do is
to reach a connection that another process serves.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import uuid4

from pydantic import BaseModel
from starlette.websockets import WebSocket

from gatesocket import backend
from gatesocket.connection import SCOPE_KEY, Connection, LocalConnection, current_connection
from gatesocket.exceptions import (
    ApplicationProtocolError,
    ConfigurationError,
    ConnectionGone,
    GatesocketError,
)
from gatesocket.gateway.base import wire_bytes
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.registry.base import EVERYONE, Entry, Member
from gatesocket.registry.memory import MemoryRegistry

__all__ = ["ConnectionManager", "Delivery"]

logger = logging.getLogger("gatesocket")

Message = str | bytes | BaseModel | Mapping[str, Any] | Sequence[Any]
"""What can be sent: text as it is, a pydantic model or whatever JSON knows as compact JSON; bytes are refused."""

POSTS_AT_ONCE: Final = 64
"""Posts of one broadcast that are under way at the same time."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message that was sent to many."""

    sent: int = 0
    """Connections whose gateway has taken it."""
    gone: int = 0
    """Connections that turned out to have left; they were pruned."""
    queued: int = 0
    """Connections whose handshake isn't over yet; they get it when it is."""
    failures: Mapping[str, GatesocketError] = field(default_factory=dict)
    """Why it failed, by connection id."""

    @property
    def failed(self) -> int:
        """Connections that didn't get it although they may still be there."""
        return len(self.failures)


class ConnectionManager:
    """Register connections, and send to them from anywhere.

    A manager has no state of its own: connections are kept in the registry that the process's settings name, in memory
    under uvicorn and in DynamoDB in the cloud. So it works in a WebSocket route, in an HTTP route of the same app, in
    another Lambda function or in a script, and any number of managers see the same connections.
    """

    async def connect(
        self,
        websocket: WebSocket,
        *,
        groups: Iterable[str] = (),
        user: str | None = None,
        subprotocol: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> str:
        """Accept a connection and register it; return its connection id.

        Args:
            websocket: the socket that the route got.
            groups: groups that it joins, besides the group of everyone.
            user: the person behind it, for `send_to_user`; None for nobody.
            subprotocol: one of those that the client offered; None for none.
            headers: further headers of the answer. API Gateway drops them.

        Raises:
            ConfigurationError: the settings name a table, but this process holds the socket itself.
        """
        if isinstance(groups, str):
            raise TypeError(f"expected a list of groups, but got the text {groups!r}; did you mean [{groups!r}]?")
        connection = _find(websocket) or _adopt(websocket)
        await websocket.accept(subprotocol=subprotocol, headers=headers)
        await connection.enter(groups, user)
        return connection.connection_id

    def disconnect(self, websocket: WebSocket) -> Awaitable[None]:
        """Forget a connection: from here on no broadcast reaches it. It isn't closed.

        It is done when the call returns, so that awaiting the result is a matter of taste. Forgetting a connection that
        isn't registered is harmless.
        """
        connection = _find(websocket)
        if connection is not None:
            connection.forget()
        return _Done()

    async def join(self, websocket: WebSocket, group: str) -> None:
        """Add a connection to a group; broadcasts that begin afterwards reach it."""
        await _registered(websocket).join(group)

    async def leave(self, websocket: WebSocket, group: str) -> None:
        """Remove a connection from a group."""
        await _registered(websocket).leave(group)

    def connection_id(self, websocket: WebSocket) -> str:
        """Return the id by which a connection can be reached from anywhere.

        Raises:
            ConfigurationError: it isn't registered.
        """
        return _registered(websocket).connection_id

    async def send_personal_message(self, message: Message, websocket: WebSocket) -> None:
        """Send to the connection of this very route, in order with what the route sends itself.

        Raises:
            WebSocketDisconnect: the client has left.
            MessageTooLarge: it is over 128 KB.
        """
        await websocket.send_text(encode(message))

    async def send_to(self, connection_id: str, message: Message) -> bool:
        """Send to one connection, wherever it is served; return False if it has left.

        Raises:
            InvalidConnectionId: what was named can't be a connection id.
            GatewayError: the gateway refused, or can't be reached.
            MessageTooLarge: it is over 128 KB.
        """
        text = encode(message)
        delivery = await self._send(_one(await _look_up(connection_id)), text, prune=None)
        for failure in delivery.failures.values():
            raise failure
        return not delivery.gone

    async def send_to_user(self, user: str, message: Message) -> Delivery:
        """Send to every connection of one person; see `broadcast`."""
        through = backend.current()

        async def connections() -> AsyncIterator[Member]:
            own = current_connection.get()
            if own is not None and own.user == user:
                yield Member(own.connection_id, user)
            async for member in through.registry.connections(user, now=through.clock()):
                if own is None or member.connection_id != own.connection_id:
                    yield member

        return await self._send(connections(), encode(message), prune=None)

    async def broadcast(
        self, message: Message, *, group: str = EVERYONE, exclude: Collection[str | WebSocket] = ()
    ) -> Delivery:
        """Send to every member of a group.

        The message is encoded once. Members are read page by page while posts are already under way, at most
        `POSTS_AT_ONCE` at the same time; so two broadcasts that overlap may reach two members in different order, while
        a broadcast that is awaited comes before whatever is sent next. A slow client holds nobody up: the gateway
        buffers for it. A member that has left is pruned from the group; one whose handshake isn't over gets the
        message when it is, after what its own route sent first; nobody's failure keeps the message from anybody else.

        Args:
            message: what to send.
            group: to whom; everyone by default.
            exclude: sockets or connection ids that don't get it.

        Returns:
            How many got it, had left, will get it, and why others failed. "Sent" means that the gateway has taken it.

        Raises:
            RegistryError: the members couldn't be read.
            MessageTooLarge: it is over 128 KB; nobody got it.
        """
        skipped = {item if isinstance(item, str) else self.connection_id(item) for item in exclude}
        registry = backend.current().registry

        async def members() -> AsyncIterator[Member]:
            async for member in self._members(group):
                if member.connection_id not in skipped:
                    yield member

        return await self._send(
            members(), encode(message), prune=lambda connection_id: registry.leave(connection_id, group)
        )

    async def members(self, group: str = EVERYONE) -> AsyncIterator[str]:
        """Iterate over the connection ids of a group."""
        async for member in self._members(group):
            yield member.connection_id

    async def users(self, group: str = EVERYONE) -> AsyncIterator[str]:
        """Iterate over the people in a group, each once, however many connections they have."""
        seen = set()
        async for member in self._members(group):
            if member.user is not None and member.user not in seen:
                seen.add(member.user)
                yield member.user

    async def count(self, group: str = EVERYONE) -> int:
        """Count the connections in a group."""
        own, through = current_connection.get(), backend.current()
        counted = await through.registry.count(group, now=through.clock())
        return counted + (own.unwritten(group) if own is not None else 0)

    async def _members(self, group: str) -> AsyncIterator[Member]:
        # What this route has joined or left since it woke isn't in the registry until it hibernates.
        own, through = current_connection.get(), backend.current()
        if own is not None and group in own.groups:
            yield Member(own.connection_id, own.user)
        async for member in through.registry.members(group, now=through.clock()):
            if own is None or member.connection_id != own.connection_id:
                yield member

    async def _send(self, members: AsyncIterator[Member], text: str, *, prune: "_Prune | None") -> Delivery:
        tally = _Tally()
        free = asyncio.Semaphore(POSTS_AT_ONCE)

        async def deliver(member: Member) -> None:
            try:
                await _deliver(member, text, prune, tally)
            finally:
                free.release()

        async with asyncio.TaskGroup() as tasks:
            async for member in members:
                await free.acquire()
                tasks.create_task(deliver(member))
        return Delivery(tally.sent, tally.gone, tally.queued, tally.failures)


class _Prune(Protocol):
    def __call__(self, connection_id: str, /) -> Awaitable[None]: ...


@dataclass(slots=True)
class _Tally:
    sent: int = 0
    gone: int = 0
    queued: int = 0
    failures: dict[str, GatesocketError] = field(default_factory=dict)


async def _deliver(member: Member, text: str, prune: _Prune | None, tally: _Tally) -> None:
    """Send to one connection and enter into *tally* what became of it."""
    connection_id, own = member.connection_id, current_connection.get()
    through = backend.current()
    try:
        if own is not None and own.connection_id == connection_id:
            # Through its route's own sends, so that they keep their order, before the socket is live too.
            await own.post(text)
        elif member.waits and await _hold_back(connection_id, text, through):
            # Its socket may be live already; but what its route sent first isn't delivered.
            tally.queued += 1
            return
        else:
            await through.gateway.post(connection_id, text)
        tally.sent += 1
    except ConnectionGone:
        if await _hold_back(connection_id, text, through):
            tally.queued += 1
            return
        tally.gone += 1
        if prune is not None:
            await prune(connection_id)
    except GatesocketError as error:
        logger.warning("connection %s: a message was not delivered: %s", connection_id, error)
        tally.failures[connection_id] = error


async def _hold_back(connection_id: str, text: str, through: backend.Backend) -> bool:
    """Let a text wait for a connection that isn't live yet; return False if it is, or has no record."""
    if through.waker is None:
        return False
    waiting = await through.registry.hold_back(connection_id, Entry("post", uuid4().hex, text), now=through.clock())
    if waiting:
        await through.waker.wake(connection_id)
    return waiting


def encode(message: Message) -> str:
    """Turn a message into the text that is sent.

    Raises:
        ApplicationProtocolError: it is bytes; API Gateway has no binary messages.
        MessageTooLarge: it is over 128 KB.
        TypeError: it isn't text, a pydantic model or JSON.
    """
    text = message if isinstance(message, str) else _to_json(message)
    wire_bytes(text)
    return text


def _to_json(message: Any) -> str:
    if isinstance(message, BaseModel):
        return message.model_dump_json()
    if isinstance(message, bytes | bytearray | memoryview):
        raise ApplicationProtocolError(
            "bytes can't be sent through a manager: API Gateway has no binary messages. "
            "Encode them, as base64 for example"
        )
    try:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    except TypeError as error:
        raise TypeError(
            f"expected text, a pydantic model or what JSON knows, but got {type(message).__name__}: {error}"
        ) from error


class _Done:
    """An awaitable that has nothing left to do, and that nobody misses if it isn't awaited."""

    def __await__(self) -> Generator[None]:
        return
        yield


def _find(websocket: WebSocket) -> Connection | None:
    found: Connection | None = websocket.scope.get(SCOPE_KEY)
    return found


def _registered(websocket: WebSocket) -> Connection:
    connection = _find(websocket)
    if connection is None:
        raise ConfigurationError("this socket isn't registered: await manager.connect(websocket) first")
    return connection


def _adopt(websocket: WebSocket) -> Connection:
    """Make a connection of a socket that this process holds."""
    through = backend.current()
    registry, gateway = through.registry, through.gateway
    if not isinstance(registry, MemoryRegistry) or not isinstance(gateway, SocketGateway):
        raise ConfigurationError(
            "this process holds the socket itself, but GATESOCKET_TABLE says that connections are kept in DynamoDB and "
            "reached through API Gateway. Unset it to run the app under uvicorn"
        )
    connection = LocalConnection(websocket, registry, gateway)
    websocket.scope[SCOPE_KEY] = connection
    return connection


async def _look_up(connection_id: str) -> Member:
    """Find out whether a connection waits; its own route's never does."""
    own, through = current_connection.get(), backend.current()
    if own is not None and own.connection_id == connection_id:
        return Member(connection_id, own.user)
    record = await through.registry.get(connection_id, now=through.clock())
    return Member(connection_id, None, waits=record is not None and record.waits)


async def _one(member: Member) -> AsyncIterator[Member]:
    yield member
