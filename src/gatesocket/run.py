"""One invocation's hold on one connection: what its route has received, sent and joined so far."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from gatesocket.exceptions import ConnectionGone
from gatesocket.gateway.base import GatewayClient, wire_bytes
from gatesocket.registry.base import EVERYONE, Changes, Entry, Record, Registry
from gatesocket.session import Close, HoldBack, Post, Session, State, advance, received

__all__ = ["Run"]

logger = logging.getLogger("gatesocket")

HANDSHAKE_PAUSES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
"""Seconds between the tries to post to a connection whose handshake may not have completed yet: 2.5 s in all.

API Gateway answers 410 until the client has its 101, and says no more of when that is than "try GetConnection":
https://repost.aws/knowledge-center/410-gone-api-gateway. Somebody who has not come after that has left.
"""


class Run:
    """The cloud life's `gatesocket.connection.Connection`, and the ASGI server of its route.

    It performs the effects that `gatesocket.session` decides on.
    """

    def __init__(
        self,
        session: Session,
        registry: Registry,
        gateway: GatewayClient,
        *,
        expires_at: int,
        close_message: bool,
        record: Record | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.connection_id = session.connection_id
        self.session = session
        self.outbox: list[str] = list(record.outbox) if record else []
        self.live = record is not None and record.live
        self._registry = registry
        self._gateway = gateway
        self._expires_at = expires_at
        self._close_message = close_message
        self._sleep = sleep
        self._messages: deque[dict[str, Any]] = deque()
        # Three views of one thing: what the route has asked for, what the membership items say, what the record says.
        self._recorded = record.groups if record else frozenset()
        self._written = self._recorded
        self._groups = self._recorded
        self._user = record.user if record else None

    # What the route receives.

    def connect(self) -> None:
        """Let the route see the handshake."""
        self._messages.append({"type": "websocket.connect"})

    async def feed(self, entries: Iterable[Entry]) -> None:
        """Let the route see what came into the inbox, once everything held back has been delivered."""
        entries = tuple(entries)
        # Whatever the client sent, it sent through an open socket.
        self.live = self.live or any(entry.kind == "message" for entry in entries)
        await self._deliver_outbox()
        for entry in entries:
            match entry.kind:
                case "message":
                    self._messages.append(received(entry.body, binary=self.session.binary))
                case "disconnect":
                    self.session = replace(self.session, state=State.GONE, code=entry.code, reason=entry.body)
                case "post":
                    await self._deliver(entry.body)
                case "wake":
                    pass

    @property
    def waiting(self) -> bool:
        """Whether there is anything for the route to receive."""
        return bool(self._messages) or self.session.ended

    def next_message(self) -> dict[str, Any] | None:
        """Return the next ASGI message for the route; None if there is none yet, so that it hibernates."""
        if self._messages:
            return self._messages.popleft()
        if self.session.ended:
            return {"type": "websocket.disconnect", "code": self.session.code, "reason": self.session.reason}
        return None

    # What the route sends.

    async def send(self, message: Mapping[str, Any]) -> None:
        """Perform one ASGI message of the route.

        Raises:
            ApplicationProtocolError: it doesn't fit.
            ConnectionGone: the client has left.
            MessageTooLarge: it is more than API Gateway carries; the connection is as before.
        """
        session, effect = advance(self.session, message)
        match effect:
            case HoldBack(text):
                wire_bytes(text)
                self.outbox.append(text)
            case Post(text):
                await self._post(text)
            case Close():
                await self._close(session)
            case None:
                pass
        self.session = session

    async def post(self, text: str) -> None:
        """Send to the client what a manager sends, in order with the route's own."""
        if self.session.ended:
            raise ConnectionGone(self.connection_id)
        await self.send({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        """End the connection, unless it has ended."""
        if not self.session.ended:
            await self.send({"type": "websocket.close", "code": code})

    async def _post(self, text: str) -> None:
        try:
            await self._gateway.post(self.connection_id, text)
        except ConnectionGone:
            self.session = replace(self.session, state=State.GONE, code=1006)
            raise

    async def _close(self, session: Session) -> None:
        farewell = json.dumps({"type": "close", "code": session.code, "reason": session.reason})
        if self.session.state is State.ACCEPTED:
            if self._close_message:
                self.outbox.append(farewell)
            return
        try:
            if self._close_message:
                await self._gateway.post(self.connection_id, farewell)
            await self._gateway.close(self.connection_id)
        except ConnectionGone:
            logger.debug("connection %s had left before it was closed", self.connection_id)

    async def _deliver_outbox(self) -> None:
        while self.outbox and not self.session.ended:
            await self._deliver(self.outbox[0])
            del self.outbox[0]

    async def _deliver(self, text: str) -> None:
        """Post what was held back, to a socket that may not be live for a moment yet."""
        for pause in (*HANDSHAKE_PAUSES, None):
            try:
                await self._gateway.post(self.connection_id, text)
            except ConnectionGone:
                if self.live or pause is None:
                    self.session = replace(self.session, state=State.GONE, code=1006)
                    return
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

    async def join(self, group: str) -> None:
        """Join a group now, unless the record is still to be written."""
        self._groups = self._groups | {group}
        if self.session.state is not State.ACCEPTED:
            await self._registry.join(self.connection_id, group, user=self._user, expires_at=self._expires_at)
            self._written = self._written | {group}

    async def leave(self, group: str) -> None:
        """Leave a group now."""
        self._groups = self._groups - {group}
        if group in self._written:
            await self._registry.leave(self.connection_id, group)
            self._written = self._written - {group}

    def forget(self) -> None:
        """Leave every group; written when the route hibernates or ends."""
        self._groups = frozenset()
        self._user = None

    # What is stored.

    def changes(self, snapshot: bytes) -> Changes:
        """Return what hibernating writes into the record."""
        return Changes(
            snapshot=snapshot,
            outbox=tuple(self.outbox),
            live=self.live,
            joined=self._groups - self._recorded,
            left=self._recorded - self._groups,
            user=self._user,
        )
