"""One invocation's hold on one connection: what its route has received, sent and joined so far."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from gatesocket import history, scope
from gatesocket.clock import Clock, milliseconds
from gatesocket.conversation import Close, Conversation, HoldBack, Post, State, advance, received
from gatesocket.exceptions import ConfigurationError, ConnectionGone
from gatesocket.gateway.base import GatewayClient, wire_bytes
from gatesocket.hibernation import TIMER_THRESHOLD, Hibernated
from gatesocket.registry.base import EVERYONE, Changes, Entry, Record, Registry, Replay

__all__ = ["Run"]

logger = logging.getLogger("gatesocket")

HANDSHAKE_PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
"""Seconds between the tries to post to a connection whose handshake may not have completed yet: 2.5 s in all.

API Gateway answers 410 until the client has its 101, and says no more of when that is than "try GetConnection":
https://repost.aws/knowledge-center/410-gone-api-gateway. Somebody who has not come after that has left.
"""


class Run:
    """The cloud life's `gatesocket.connection.Connection`, and the ASGI server of its route.

    It performs the effects that `gatesocket.conversation` decides on.
    """

    def __init__(
        self,
        conversation: Conversation,
        registry: Registry,
        gateway: GatewayClient,
        *,
        expires_at: int,
        close_message: bool,
        record: Record | None = None,
        unwritten: Record | None = None,
        has_time: Callable[[], bool] = lambda: True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Clock = milliseconds,
    ) -> None:
        self.connection_id = conversation.connection_id
        self.conversation = conversation
        self.outbox: list[str | Replay] = list(record.outbox) if record else []
        self.live = record is not None and record.live
        self._registry = registry
        self._gateway = gateway
        self._expires_at = expires_at
        self._close_message = close_message
        self._has_time = has_time
        self._sleep = sleep
        self._clock = clock
        self._connecting = False
        self._inbox: deque[Entry] = deque()
        self._end: Entry | None = None
        self._received = False
        self._waited = 0.0
        # What the registry says, and what the route has asked for; the difference is written when it hibernates.
        self._written = record.groups if record else frozenset()
        self._groups = self._written
        self._user = record.user if record else None
        self.to_create = unwritten
        """The record of a new connection, for as long as it isn't written."""
        self.published: Record | None = None
        """What was written of it because the route wanted to be found before its first receive."""

    # What the route receives.

    def connect(self) -> None:
        """Let the route see the handshake."""
        self._connecting = True

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take up what came into the inbox, after what came before.

        A disconnect is known at once, so that nothing is sent any more; the route receives it after its messages.
        """
        for entry in entries:
            match entry.kind:
                case "message" | "post":
                    # A queue that forwards messages may bring one again whose first holder has died.
                    if entry not in self._inbox:
                        self._inbox.append(entry)
                    # Whatever the client sent, it sent through an open socket.
                    self.live = self.live or entry.kind == "message"
                case "disconnect":
                    self._end = self._end or entry
                    self.conversation = replace(
                        self.conversation, state=State.GONE, code=self._end.code, reason=self._end.body
                    )
                case _:
                    # A wake is for nobody; it has brought this invocation here.
                    pass

    async def deliver(self) -> None:
        """Post what was held back: the outbox, and texts from elsewhere that no message came before."""
        while self.outbox and not self.conversation.ended:
            first = self.outbox[0]
            for text in [first] if isinstance(first, str) else await self._missed(first):
                if not self.conversation.ended:
                    await self._deliver(text)
            del self.outbox[0]
        while self.delivering:
            if not self.conversation.ended:
                await self._deliver(self._inbox[0].body)
            self._inbox.popleft()

    @property
    def delivering(self) -> bool:
        """Whether a text from elsewhere is what comes next."""
        return bool(self._inbox) and self._inbox[0].kind == "post"

    @property
    def waiting(self) -> bool:
        """Whether there is anything for the route to receive now.

        Each run lets its route receive one message at least, however little time it has; so the inbox gets shorter.
        """
        if self._connecting:
            return True
        if self._inbox:
            return not self.delivering and (not self._received or self._has_time())
        return self.conversation.ended and not self.unannounced

    @property
    def unannounced(self) -> bool:
        """Whether the client turned out to have left, and no disconnect is in the inbox.

        The route doesn't receive that before one is: it must not overtake the messages that came first.
        """
        return self.conversation.state is State.GONE and self._end is None

    @property
    def rest(self) -> tuple[Entry, ...]:
        """What the route hasn't received of the inbox."""
        return (*self._inbox, self._end) if self._end else tuple(self._inbox)

    def next_message(self) -> dict[str, Any] | None:
        """Return the next ASGI message for the route; None if there is none now, so that it hibernates."""
        if not self.waiting:
            return None
        if self._connecting:
            self._connecting = False
            return {"type": "websocket.connect"}
        if self._inbox:
            self._received = True
            return received(self._inbox.popleft().body, binary=self.conversation.binary)
        return {"type": "websocket.disconnect", "code": self.conversation.code, "reason": self.conversation.reason}

    # What the route waits for.

    def stays(self, seconds: float, *, receiving: bool) -> bool:
        """Decide whether the route waits for a timer in this invocation: a `hibernation.Stays`.

        It does for a short one, while there is time. What comes meanwhile doesn't reach a receive, and a client doesn't
        hear of its handshake: there, short ones may take `TIMER_THRESHOLD` seconds in all. And it does for any before
        the handshake is decided, and after its own close, when nobody could go on.
        """
        if self.conversation.state not in {State.ACCEPTED, State.OPEN, State.GONE}:
            return True
        if seconds >= TIMER_THRESHOLD or not self._has_time():
            return False
        if receiving or self.conversation.state is State.ACCEPTED:
            self._waited += seconds
            return self._waited < TIMER_THRESHOLD
        return True

    # What the route sends.

    async def send(self, message: Mapping[str, Any]) -> None:
        """Perform one ASGI message of the route.

        Raises:
            ApplicationProtocolError: it doesn't fit.
            ConnectionGone: the client has left.
            MessageTooLarge: it is more than API Gateway carries; the connection is as before.
        """
        conversation, effect = advance(self.conversation, message)
        match effect:
            case HoldBack(text):
                wire_bytes(text)
                self.outbox.append(text)
            case Post(text):
                await self._post(text)
            case Close():
                await self._close(conversation)
            case _:
                pass
        self.conversation = conversation

    async def post(self, text: str) -> bool:
        """Send what a manager sends, in order with the route's own; see `RunningConnection.post`."""
        if self.conversation.ended:
            raise ConnectionGone(self.connection_id)
        await self.send({"type": "websocket.send", "text": text})
        return self.conversation.state is not State.ACCEPTED

    async def replay(self, replay: Replay) -> None:
        """Send what the client has missed; see `Connection.replay`.

        Nothing can be posted before the handshake is over, and it may be more than a record holds: so it is read then.
        Whatever others send until then waits behind it.
        """
        if self.conversation.state is State.ACCEPTED:
            self.outbox.append(replay)
            return
        await self.publish()
        with suppress(ConnectionGone):
            for text in await self._missed(replay):
                await self.post(text)

    async def close(self, code: int) -> None:
        """End the connection, unless it has ended."""
        if not self.conversation.ended:
            await self.send({"type": "websocket.close", "code": code})

    async def give_up(self, code: int) -> None:
        """End the connection as if its client had left with *code*, if it hasn't left already; drop what waits.

        Raises:
            GatewayError: it couldn't be closed; for the route it has ended all the same.
        """
        self._inbox.clear()
        self.outbox.clear()
        if not self.conversation.ended:
            self._end = Entry("disconnect", "given up", code=code)
            self.conversation = replace(self.conversation, state=State.GONE, code=code)
            await self._close(self.conversation)

    async def _missed(self, replay: Replay) -> list[str]:
        return await history.texts(replay, self._registry, now=self._clock())

    async def _post(self, text: str) -> None:
        try:
            await self._gateway.post(self.connection_id, text)
        except ConnectionGone:
            self.conversation = replace(self.conversation, state=State.GONE, code=1006)
            raise

    async def _close(self, conversation: Conversation) -> None:
        farewell = json.dumps({"type": "close", "code": conversation.code, "reason": conversation.reason})
        if self.conversation.state is State.ACCEPTED:
            if self._close_message:
                self.outbox.append(farewell)
            return
        try:
            if self._close_message:
                await self._once_live(partial(self._gateway.post, self.connection_id, farewell))
            await self._once_live(partial(self._gateway.close, self.connection_id))
        except ConnectionGone:
            logger.debug("connection %s had left before it was closed", self.connection_id)

    async def _deliver(self, text: str) -> None:
        """Post what was held back."""
        try:
            await self._once_live(partial(self._gateway.post, self.connection_id, text))
        except ConnectionGone:
            self.conversation = replace(self.conversation, state=State.GONE, code=1006)

    async def _once_live(self, call: Callable[[], Awaitable[None]]) -> None:
        """Do something to a socket that may not be live for a moment yet.

        Raises:
            ConnectionGone: the client has left.
        """
        pauses = iter(HANDSHAKE_PAUSES)
        while True:
            try:
                await call()
            except ConnectionGone:
                if self.live or (pause := next(pauses, None)) is None:
                    raise
                await self._sleep(pause)
            else:
                self.live = True
                return

    # What the route belongs to.

    @property
    def groups(self) -> frozenset[str]:
        """The groups that the connection is in."""
        return self._groups

    @property
    def user(self) -> str | None:
        """The person behind the connection; None for nobody."""
        return self._user

    def unwritten(self, group: str) -> int:
        """By how much the registry's count of *group* is wrong until this route hibernates."""
        return (group in self._groups) - (group in self._written)

    async def enter(self, groups: Iterable[str], user: str | None) -> None:
        """Register the connection; written together with its record, as nothing can be posted to it before that."""
        self._groups = self._groups | {EVERYONE, *groups}
        self._user = user

    async def publish(self) -> None:
        """Write the record of a connection that has joined something, or the memberships, unless that is done."""
        if self.to_create is None:
            for group in sorted(self._groups - self._written):
                await self.join(group)
        elif self._groups:
            record = replace(self.to_create, groups=self._groups, user=self._user)
            await self._registry.create(record)
            self.published, self.to_create, self._written = record, None, record.groups

    def redact(self, blank: Callable[[scope.Scope], None]) -> None:
        """Have the record keep a scope that *blank* has taken something out of."""
        if self.to_create is None:
            raise ConfigurationError(
                "a token of the handshake has to be checked before anything waits for the client or sends to others, "
                "because the connection's record would keep it. Put that dependency first; and have it return what can "
                "be kept while the route hibernates, or it is asked again, when the token is gone"
            )
        kept = scope.load(self.to_create.scope)
        blank(kept)
        self.to_create = replace(self.to_create, scope=scope.dump(kept))

    async def join(self, group: str) -> None:
        """Join a group now, unless the record is still to be written."""
        self._groups = self._groups | {group}
        if self.to_create is None:
            await self._registry.join(self.connection_id, group, user=self._user, expires_at=self._expires_at)
            self._written = self._written | {group}

    async def leave(self, group: str) -> bool:
        """Leave a group now; return whether the connection was in it."""
        was_member = group in self._groups
        self._groups = self._groups - {group}
        if group in self._written:
            await self._registry.leave(self.connection_id, group)
            self._written = self._written - {group}
        return was_member

    def forget(self) -> frozenset[str]:
        """Leave every group, and return them; written when the route hibernates or ends."""
        left, self._groups = self._groups, frozenset()
        self._user = None
        return left

    # What is stored.

    def changes(self, hibernated: Hibernated | None) -> Changes:
        """Return what hibernating writes into the record, or what the end of a route does whose outbox is left."""
        return Changes(
            snapshot=hibernated.snapshot if hibernated else None,
            due=hibernated.due if hibernated else None,
            asleep=hibernated.asleep if hibernated else False,
            outbox=tuple(self.outbox),
            live=self.live,
            joined=self._groups - self._written,
            left=self._written - self._groups,
            user=self._user,
            inbox=self.rest,
        )
