"""Who comes into a group and who leaves it, told to its other members."""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

from gatesocket.backend import Backend
from gatesocket.batches import batches_for
from gatesocket.delivery import Round, members_of
from gatesocket.encoding import Message, encode
from gatesocket.exceptions import GatesocketError
from gatesocket.registry.base import EVERYONE, Member
from gatesocket.values import frozen

__all__ = ["Presence", "Tell", "announce"]

logger = logging.getLogger("gatesocket")


@frozen
class Presence:
    """A connection that has come into a group, or has left it."""

    kind: Literal["joined", "left"]
    group: str
    connection_id: str
    user: str | None
    """The person behind it; None for nobody."""


Tell = Callable[[Presence], Message]
"""Makes the message that a group's other members get."""


async def announce(events: Iterable[Presence], tell: Tell, through: Backend) -> None:
    """Tell the other members of each event's group, one event after the other; then of those who turned out to be gone.

    The group of everyone isn't told: each connection would be a message to all others.
    """
    waiting = deque(event for event in events if event.group != EVERYONE)
    while waiting:
        event = waiting.popleft()
        try:
            await _announce(event, encode(tell(event)), through, waiting)
        except GatesocketError:
            # Whatever has led here is done, and isn't to fail for it.
            logger.exception(
                "group %r wasn't told of connection %s, who %s", event.group, event.connection_id, event.kind
            )


async def _announce(event: Presence, text: str, through: Backend, waiting: deque[Presence]) -> None:
    def on_left(member: Member) -> None:
        waiting.append(Presence("left", event.group, member.connection_id, member.user))

    others = (
        member async for member in members_of(event.group, through) if member.connection_id != event.connection_id
    )
    hand_over = batches_for(text, event.group, through)
    await Round(text, through, group=event.group, on_left=on_left, hand_over=hand_over).send(others)
