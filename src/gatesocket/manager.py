"""Who is connected, and messages to them: to one connection, to one person, to a group, to everyone.

The names are those of FastAPI's own tutorial, and so is their meaning; what the tutorial's list of sockets can't do is
to reach a connection that another process serves.
"""

from collections.abc import AsyncIterator, Awaitable, Collection, Generator, Iterable
from typing import Literal

from starlette.websockets import WebSocket, WebSocketState

from gatesocket import backend
from gatesocket.batches import batches_for
from gatesocket.connection import (
    SCOPE_KEY,
    SUBPROTOCOL_KEY,
    Connection,
    LocalConnection,
    current_connection,
    published_connection,
)
from gatesocket.cursors import checked
from gatesocket.delivery import Delivery, Round, members_of
from gatesocket.encoding import Message, encode
from gatesocket.exceptions import ConfigurationError
from gatesocket.gateway.base import check_connection_id
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.history import History, keep_text, replay_of
from gatesocket.observation import count
from gatesocket.presence import Presence, Tell, announce
from gatesocket.registry.base import EVERYONE, Member
from gatesocket.registry.memory import MemoryRegistry

__all__ = ["ConnectionManager"]


class ConnectionManager:
    """Register connections, and send to them from anywhere.

    A manager has no state of its own: connections are kept in the registry that the process's settings name, in memory
    under uvicorn and in DynamoDB in the cloud. So it works in a WebSocket route, in an HTTP route of the same app, in
    another Lambda function or in a script, and any number of managers see the same connections.

    Args:
        presence: makes the message by which a group's other members learn that somebody has joined it or left it; None
            tells nobody. A connection leaves by `leave`, by a `disconnect` that is awaited, and by being found gone by
            a message to the group. The group of everyone isn't told. Each of it costs a broadcast to the group; it is
            told at most once but for a connection that is found gone while its own route runs, and a process that dies
            in between tells nobody.
        history: how much of what is broadcast with ``keep=True`` is kept for members that come back; see
            `gatesocket.history`. None keeps nothing.
    """

    def __init__(self, *, presence: Tell | None = None, history: History | None = None) -> None:
        self._presence = presence
        self._history = history

    async def connect(
        self,
        websocket: WebSocket,
        *,
        groups: Iterable[str] = (),
        user: str | None = None,
        subprotocol: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        after: str | None = None,
    ) -> str:
        """Accept a connection, unless that is done, and register it; return its connection id.

        With *after*, the client gets of the group of everyone and of each of *groups* a message ``{"type": "history",
        "cursor": …, "complete": …}``, and then what it has missed, in order. ``complete`` says whether that is all. It
        isn't if the client was away for longer than the `History` reaches back, or has missed more than that holds; nor
        if *after* can't be understood or isn't of this group, and then nothing follows. Whatever others send meanwhile
        comes after it, and may be among it: a client drops a message whose cursor it has seen.

        Args:
            websocket: the socket that the route got.
            groups: groups that it joins, besides the group of everyone.
            user: the person behind it, for `send_to_user`; None for nobody.
            subprotocol: one of those that the client offered; None for that which `gatesocket.auth` has chosen, if any.
            headers: further headers of the answer. API Gateway drops them.
            after: how far the client has come, in its own words; empty for a client that connects for the first time.
                None for one that doesn't know of histories, and is told nothing of them.

        Raises:
            ConfigurationError: the settings name a table, but this process holds the socket itself; or there is an
                *after*, but this manager has no history.
        """
        if isinstance(groups, str):
            raise TypeError(f"expected a list of groups, but got the text {groups!r}; did you mean [{groups!r}]?")
        history = self._with_history() if after is not None else None
        connection = _find(websocket) or _adopt(websocket)
        # A dependency that waits for a first message had to accept the socket already.
        if websocket.application_state is WebSocketState.CONNECTING or subprotocol or headers:
            chosen = websocket.scope.get(SUBPROTOCOL_KEY) if subprotocol is None else subprotocol
            await websocket.accept(subprotocol=chosen, headers=headers)
        groups = frozenset(groups)
        await connection.enter(groups, user)
        if after is not None and history is not None:
            await connection.replay(replay_of(after, {EVERYONE, *groups}, history))
        await self._announce("joined", groups, connection.connection_id, user)
        return connection.connection_id

    def disconnect(self, websocket: WebSocket) -> Awaitable[None]:
        """Forget a connection: from here on no broadcast reaches it. It isn't closed.

        It is done when the call returns, so that awaiting the result is a matter of taste; with *presence*, its groups
        are told when it is awaited. Forgetting a connection that isn't registered is harmless.
        """
        connection = _find(websocket)
        if connection is None:
            return _Done()
        user = connection.user
        left = connection.forget()
        if self._presence is None:
            return _Done()
        return self._announce("left", left, connection.connection_id, user)

    async def join(self, websocket: WebSocket, group: str, *, after: str | None = None) -> None:
        """Add a connection to a group; broadcasts that begin afterwards reach it.

        With *after*, the client gets what it has missed of the group; see `connect`. Once the route has received
        something, what others send meanwhile may come before that.
        """
        history = self._with_history() if after is not None else None
        connection = _registered(websocket)
        await connection.join(group)
        if after is not None and history is not None:
            await connection.replay(replay_of(after, {group}, history))
        await self._announce("joined", {group}, connection.connection_id, connection.user)

    async def leave(self, websocket: WebSocket, group: str) -> None:
        """Remove a connection from a group."""
        connection = _registered(websocket)
        if await connection.leave(group):
            await self._announce("left", {group}, connection.connection_id, connection.user)

    def connection_id(self, websocket: WebSocket) -> str:
        """Return the id by which a connection can be reached from anywhere.

        Raises:
            ConfigurationError: it isn't registered.
        """
        return _registered(websocket).connection_id

    async def send_personal_message(self, message: Message, websocket: WebSocket) -> None:
        """Send to the connection of this very route, in order with what the route sends itself.

        It returns when API Gateway has taken the message, which for a client that reads too slowly is tried as
        `broadcast` says; before the handshake is over the message waits in the connection's record.

        Raises:
            GatewayError: the gateway refused, or can't be reached.
            WebSocketDisconnect: the client has left.
            MessageTooLarge: it is over 128 KB.
        """
        await websocket.send_text(encode(message))

    async def send_to(self, connection_id: str, message: Message) -> bool:
        """Send to one connection, wherever it is served; return False if it has left.

        It returns when API Gateway has taken the message, or has it wait for the end of the client's handshake. What is
        said of slow clients, of order and of time at `broadcast` holds here, too; but nothing goes onto the fan-out
        queue, as whoever names one connection wants to know.

        Raises:
            InvalidConnectionId: what was named can't be a connection id.
            GatewayError: the gateway refused, or can't be reached.
            MessageTooLarge: it is over 128 KB.
            RegistryError: it couldn't be asked whether the client's handshake is over.
            TypeError: what was named isn't a text, or the message can't become JSON.
            ValueError: the message holds what JSON can't say.
        """
        check_connection_id(connection_id)
        text = encode(message)
        delivery = await Round(text, backend.current()).send(_one(await _look_up(connection_id)))
        for failure in delivery.failures.values():
            raise failure
        return not delivery.gone

    async def send_to_user(self, user: str, message: Message) -> Delivery:
        """Send to every connection of one person: see `broadcast`, as to slow clients, order, the queue and errors.

        A connection that has left is counted, and removed when its route ends.
        """
        through = backend.current()

        async def connections() -> AsyncIterator[Member]:
            own = await published_connection()
            if own is not None and own.user == user:
                yield Member(own.connection_id, user)
            async for member in through.registry.connections(user, now=through.clock()):
                if own is None or member.connection_id != own.connection_id:
                    yield member

        return await self._send(connections(), encode(message), group=None)

    async def broadcast(
        self,
        message: Message,
        *,
        group: str = EVERYONE,
        exclude: Collection[str | WebSocket] = (),
        keep: bool = False,
    ) -> Delivery:
        """Send to every member of a group.

        The message is encoded once, and checked before anybody gets it. Members are read page by page while posts are
        under way, and no faster than posts end: so it takes the same memory for any number of members, and whoever
        joins or leaves meanwhile may get it or not. Numbers of API Gateway are from the facts sheet, whose section is
        named.

        **Delivered** is what API Gateway has taken (200): it counts as sent. The network behind it may still lose it,
        and nobody will be told; a client that vanished without a word is noticed after up to ten minutes (section 7).
        Who has to know asks the client to answer.

        **Back-pressure**: whoever awaits a broadcast waits until the gateway has taken it, or hasn't, for each member.
        64 posts are under way at a time (`delivery.POSTS_AT_ONCE`), and nothing is kept in a buffer here: a caller that
        doesn't await each broadcast before the next has them side by side, and all their posts compete.

        **A client that reads too slowly** keeps the message from nobody else. API Gateway buffers for each connection;
        how much, it doesn't say. When a buffer is full it answers 429, as it does when the account's 10,000 requests a
        second are used up, and the two can't be told apart (section 4). The post is tried again, six times in
        all, with pauses of 1.55 s at most, and keeps one of the 64 places meanwhile. Then it is left to the fan-out
        queue, or has failed. Nothing is dropped to make room, and no connection is closed for being slow. Under uvicorn
        the post waits for room in the socket's buffer, at most until uvicorn's pings find the client gone.

        **A client that has left** (410) isn't tried again, and is pruned from the group. One whose handshake isn't over
        answers 410, too (section 4): it gets the message when it is, after what its own route sent first. Nobody's
        failure keeps the message from anybody else.

        **Order**: posts to one connection from one process are made one after the other, as they were called for, tries
        included; a broadcast that is awaited comes before whatever the same caller sends next. Between processes there
        is no order, as API Gateway has none (section 6): two broadcasts that overlap may reach two members in different
        order.

        **How long it takes** is the number of members, divided by 64, times what a post takes; 10,000 members take some
        two seconds if a post takes 10 ms. A post that nothing answers has 3 s to connect and 10 s to be answered, and
        no try begins after 12 s: it keeps its place for 25 s at the most. API Gateway waits for a route's function for
        29 s.

        **The fan-out queue**, where ``GATESOCKET_FANOUT_QUEUE`` names one, takes all members beyond the first
        ``GATESOCKET_FANOUT_ABOVE``, and those whose post failed in a way that may pass (429, 5xx, no answer) when no
        further try would begin within a second, so that such a post keeps its place for 14 s at the most. They count as
        queued and get the message soon, in no order with what is sent next, and in rare cases twice; what becomes of
        them is in the log of the queue's function, and in the end in its dead-letter queue; see `gatesocket.fanout`.
        Without a queue all are posted to directly, and what fails is in the result.

        **History**: with *keep* the message is kept first, and is sent with its cursor then. So members get only what
        those who come back can get, too.

        Args:
            message: what to send.
            group: to whom; everyone by default.
            exclude: sockets or connection ids that don't get it.
            keep: whether those who come back get it, too. It has to be a JSON object then, and has a member ``cursor``
                when it is sent; and it can't exclude anybody, as who comes back does so as another connection.

        Returns:
            How many got it, had left, will get it, and why others failed.

        Raises:
            ApplicationProtocolError: the message is bytes; nobody got it.
            ConfigurationError: there is no table, region or credentials to read the members with, or it is to be kept,
                but this manager has no history; nobody got it.
            MessageTooLarge: it is over 128 KB; nobody got it.
            RegistryError: the members couldn't be read to their end; who was read until then gets it. Or it couldn't be
                kept; nobody got it.
            TypeError: the message can't become JSON, *group* isn't a text, or *exclude* isn't a list of sockets and
                connection ids; nobody got it.
            ValueError: the message holds what JSON can't say, *group* can't be a group's name, or it is to be kept and
                is no JSON object, or has a ``cursor`` of its own, or excludes somebody; nobody got it.
        """
        if isinstance(exclude, str):
            raise TypeError(
                f"expected a list of what to exclude, but got the text {exclude!r}; did you mean [{exclude!r}]?"
            )
        text = encode(message)
        skipped = {self._id_of(item) for item in exclude}
        if keep:
            history = self._with_history()
            if skipped:
                raise ValueError(
                    "a message that is kept can't exclude anybody: who comes back does so as another connection. "
                    "Leave exclude=… out, or keep=True"
                )
            text = await keep_text(checked(text), group, history, backend.current())

        async def members() -> AsyncIterator[Member]:
            async for member in members_of(group, backend.current()):
                if member.connection_id not in skipped:
                    yield member

        return await self._send(members(), text, group=group)

    async def members(self, group: str = EVERYONE) -> AsyncIterator[str]:
        """Iterate over the connection ids of a group, page by page, in no particular order.

        Raises:
            RegistryError: they couldn't be read to their end.
            ValueError: *group* can't be a group's name.
        """
        async for member in members_of(group, backend.current()):
            yield member.connection_id

    async def users(self, group: str = EVERYONE) -> AsyncIterator[str]:
        """Iterate over the people in a group, each once, however many connections they have.

        It keeps the names that it has given; see `members` for what it raises.
        """
        seen = set()
        async for member in members_of(group, backend.current()):
            if member.user is not None and member.user not in seen:
                seen.add(member.user)
                yield member.user

    async def count(self, group: str = EVERYONE) -> int:
        """Count the connections in a group."""
        own, through = await published_connection(), backend.current()
        counted = await through.registry.count(group, now=through.clock())
        return counted + (own.unwritten(group) if own is not None else 0)

    async def _send(self, members: AsyncIterator[Member], text: str, *, group: str | None) -> Delivery:
        through, left = backend.current(), list[Member]()
        on_left = left.append if self._presence is not None else None
        hand_over = batches_for(text, group, through)
        count("broadcasts")
        try:
            return await Round(text, through, group=group, on_left=on_left, hand_over=hand_over).send(members)
        finally:
            for member in left:
                await self._announce("left", {group or EVERYONE}, member.connection_id, member.user)

    def _id_of(self, excluded: str | WebSocket) -> str:
        match excluded:
            case str():
                return excluded
            case WebSocket():
                return self.connection_id(excluded)
            case _:
                raise TypeError(f"expected a connection id or a socket to exclude, but got {type(excluded).__name__}")

    def _with_history(self) -> History:
        if self._history is None:
            raise ConfigurationError(
                "this manager keeps no history that a client could come back to. Make it with one: "
                "ConnectionManager(history=History())"
            )
        return self._history

    async def _announce(
        self, kind: Literal["joined", "left"], groups: Iterable[str], connection_id: str, user: str | None
    ) -> None:
        if self._presence is not None:
            events = [Presence(kind, group, connection_id, user) for group in sorted(groups)]
            await announce(events, self._presence, backend.current())


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
