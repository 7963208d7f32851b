"""One text on its way to many connections, and what becomes of it."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol, TypeVar
from uuid import uuid4

from gatesocket.backend import Backend
from gatesocket.connection import current_connection, published_connection
from gatesocket.exceptions import ConnectionGone, GatesocketError
from gatesocket.observation import count
from gatesocket.patience import patience
from gatesocket.registry.base import Entry, Member

__all__ = ["FAILURES_NAMED", "POSTS_AT_ONCE", "Delivery", "HandOver", "Round", "members_of"]

logger = logging.getLogger("gatesocket")

POSTS_AT_ONCE: Final = 64
"""Posts of one text that are under way at the same time."""

FAILURES_NAMED: Final = 100
"""Failures of one delivery that are logged and named; the others are counted. It bounds what a delivery takes up."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message that was sent to many; each of them is counted once."""

    sent: int = 0
    """Connections whose gateway has taken it."""
    gone: int = 0
    """Connections that turned out to have left; they were pruned."""
    queued: int = 0
    """Connections that get it later: their handshake isn't over yet, or the fan-out queue has taken it for them."""
    failed: int = 0
    """Connections that didn't get it although they may still be there."""
    failures: Mapping[str, Exception] = field(default_factory=dict)
    """Why it failed, by connection id; of many failures the first hundred."""


class HandOver(Protocol):
    """Takes connections over that a round doesn't post to itself."""

    above: int
    """How many connections the round posts to before it hands the others over."""
    patience: float | None
    """Seconds after which a post isn't tried again before that; None leaves it to the gateway client."""

    def takes(self, error: Exception) -> bool:
        """Whether a connection whose post failed with *error* is worth handing over."""
        ...

    def add(self, connection_id: str) -> list[str]:
        """Collect a connection; return the batch that it completes, or nothing yet."""
        ...

    def rest(self) -> list[str]:
        """Return what is collected and no batch yet."""
        ...

    async def put(self, batch: list[str]) -> None:
        """Take a batch over.

        Raises:
            GatesocketError: it wasn't taken.
        """
        ...


class _Fate(Enum):
    SENT = auto()
    GONE = auto()
    QUEUED = auto()


class Round:
    """Sends one text to many connections, many at a time, however many there are.

    Members are read while posts are under way, and no faster than posts end, so that a round takes up as much memory
    for a million of them as for some hundred. What is handed over goes in batches.

    Args:
        text: what to send.
        through: where to.
        group: the group that members which are gone are removed from; None removes nobody.
        on_left: is told of each member that this round has removed, and nobody before it.
        hand_over: takes over what is too much for one round, and what has failed; None leaves all to this round.
    """

    def __init__(
        self,
        text: str,
        through: Backend,
        *,
        group: str | None = None,
        on_left: Callable[[Member], None] | None = None,
        hand_over: HandOver | None = None,
    ) -> None:
        self._text = text
        self._through = through
        self._group = group
        self._on_left = on_left
        self._hand_over = hand_over
        self._counts = dict.fromkeys(_Fate, 0)
        self._failed = 0
        self._failures: dict[str, Exception] = {}

    async def send(self, members: AsyncIterator[Member]) -> Delivery:
        """Send to *members*, each of them named once.

        Raises:
            RegistryError: they couldn't be read to their end; who was read until then has been sent to.
        """
        try:
            await _each(self._to_post(members), self._send_to)
        finally:
            if self._hand_over is not None:
                await self._put(self._hand_over.rest(), self._hand_over)
        if self._failed > len(self._failures):
            logger.warning("a message was not delivered to %d connections; not all of them are named", self._failed)
        fates = self._counts
        count("queued", fates[_Fate.QUEUED])
        return Delivery(fates[_Fate.SENT], fates[_Fate.GONE], fates[_Fate.QUEUED], self._failed, self._failures)

    async def _to_post(self, members: AsyncIterator[Member]) -> AsyncIterator[Member]:
        """Pick those of *members* that this round posts to, and hand the others over."""
        posted = 0
        async for member in members:
            if self._hand_over is None or posted < self._hand_over.above or _bound(member):
                posted += 1
                yield member
            else:
                await self._put(self._hand_over.add(member.connection_id), self._hand_over)

    async def _put(self, batch: list[str], to: HandOver) -> None:
        if not batch:
            return
        try:
            await to.put(batch)
        except GatesocketError as error:
            for connection_id in batch:
                self._fail(connection_id, error)
        else:
            self._counts[_Fate.QUEUED] += len(batch)

    async def _send_to(self, member: Member) -> None:
        """Send to one connection; nobody's failure is anybody else's."""
        # Of those who can't be handed over, nobody else would try again.
        hand_over = None if _bound(member) else self._hand_over
        try:
            with patience(hand_over.patience if hand_over is not None else None):
                fate = await _deliver(member, self._text, self._through)
        except Exception as error:
            if not isinstance(error, GatesocketError):
                logger.exception("connection %s: a post failed in a way that no gateway does", member.connection_id)
            if hand_over is not None and hand_over.takes(error):
                logger.debug("connection %s: a post failed, and is handed over: %s", member.connection_id, error)
                await self._put(hand_over.add(member.connection_id), hand_over)
            else:
                self._fail(member.connection_id, error)
            return
        self._counts[fate] += 1
        if fate is _Fate.GONE:
            # The stack's alarm on gone connections counts these lines.
            logger.info("connection %s is gone", member.connection_id)
            if self._group is not None:
                await self._prune(member, self._group)

    async def _prune(self, member: Member, group: str) -> None:
        try:
            was_member = await self._through.registry.leave(member.connection_id, group)
        except GatesocketError as error:
            # The next one who finds it gone removes it, or its time to live does.
            logger.warning("connection %s is gone and could not be removed: %s", member.connection_id, error)
            return
        if was_member and self._on_left is not None:
            self._on_left(member)

    def _fail(self, connection_id: str, error: Exception) -> None:
        self._failed += 1
        if len(self._failures) < FAILURES_NAMED:
            self._failures[connection_id] = error
            logger.warning("connection %s: a message was not delivered: %s", connection_id, error)


def _bound(member: Member) -> bool:
    """Whether nobody else could keep the order: of what a route sends to its own client, or of what is held back."""
    own = current_connection.get()
    return member.waits or (own is not None and own.connection_id == member.connection_id)


async def members_of(group: str, through: Backend) -> AsyncIterator[Member]:
    """Iterate over the members of a group, as the route that runs in this context sees them."""
    # What it has joined or left since it woke isn't in the registry until it hibernates.
    own = await published_connection()
    if own is not None and group in own.groups:
        yield Member(own.connection_id, own.user)
    async for member in through.registry.members(group, now=through.clock()):
        if own is None or member.connection_id != own.connection_id:
            yield member


async def _deliver(member: Member, text: str, through: Backend) -> _Fate:
    """Send to one connection.

    Raises:
        GatesocketError: it couldn't be sent.
    """
    connection_id, own = member.connection_id, current_connection.get()
    try:
        if own is not None and own.connection_id == connection_id:
            # Through its route's own sends, so that they keep their order, before the socket is live too.
            return _Fate.SENT if await own.post(text) else _Fate.QUEUED
        if member.waits and await _hold_back(connection_id, text, through):
            # Its socket may be live already; but what its route sent first isn't delivered.
            return _Fate.QUEUED
        await through.gateway.post(connection_id, text)
    except ConnectionGone:
        return _Fate.QUEUED if await _hold_back(connection_id, text, through) else _Fate.GONE
    return _Fate.SENT


async def _hold_back(connection_id: str, text: str, through: Backend) -> bool:
    """Let a text wait for a connection that isn't live yet; return False if it is, or has no record."""
    if through.waker is None:
        return False
    waiting = await through.registry.hold_back(connection_id, Entry("post", uuid4().hex, text), now=through.clock())
    if waiting:
        await through.waker.wake(connection_id)
    return waiting


async def _each(items: AsyncIterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do *work* on each of *items*, on `POSTS_AT_ONCE` of them at a time, while the next ones are read."""
    free = asyncio.Semaphore(POSTS_AT_ONCE)
    unread: Exception | None = None

    async def do(item: T) -> None:
        try:
            await work(item)
        finally:
            free.release()

    async with asyncio.TaskGroup() as tasks:
        try:
            async for item in items:
                await free.acquire()
                tasks.create_task(do(item))
        except Exception as error:  # what is under way comes to its end first
            unread = error
    if unread is not None:
        raise unread
