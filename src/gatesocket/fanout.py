"""Large broadcasts through a queue: a function that posts to batches of connections.

A broadcast posts to its first members itself. The others go onto the fan-out queue in batches, and so do those whose
post failed in a way that may pass; `FanoutHandler`, the callable of another Lambda function, posts to them::

    handler = FanoutHandler()

What becomes of a batch::

    each has got it, or has left        done
    some have, and some posts failed    those that failed are a new batch; this one is done
    every post failed                   SQS brings it again, and in the end takes it to the dead-letter queue

So nobody gets a text twice because somebody else didn't get it: a batch that comes again is one that nobody has had. A
new batch is smaller than the one that it comes from, so that this ends. What can repeat a text is what can't be told
apart from a failure: an invocation that dies between a post and its end, an answer that is lost, and SQS itself, which
delivers at least once.
"""

import logging
import sys
from collections.abc import AsyncIterator, Callable
from typing import Final

from gatesocket import backend
from gatesocket.backend import Backend
from gatesocket.batches import Batch
from gatesocket.delivery import Round
from gatesocket.exceptions import ConfigurationError, InvalidConnectionId
from gatesocket.observation import Observer, Tracer, count
from gatesocket.presence import Presence, Tell, announce
from gatesocket.queue_handler import QueueHandler
from gatesocket.registry.base import Member

__all__ = ["FanoutHandler", "run"]

logger = logging.getLogger("gatesocket")

HAND_OVER_MILLISECONDS: Final = 15_000
"""Time that an invocation keeps for the posts that are under way, which may be tried again for 12 seconds, and for
putting back what it hasn't begun."""


class FanoutHandler(QueueHandler):
    """Post to the batches of the fan-out queue: the callable of a Lambda function whose event source the queue is.

    The event source needs ``ReportBatchItemFailures``; with a batch size of 1 the batches of a broadcast are posted to
    by as many invocations as there are. The function has no app, so that it starts quickly.

    Args:
        presence: what makes a group's message of those who turn out to have left it; the same as the
            `gatesocket.ConnectionManager`'s of the app.
        observer: is told of every batch when it is over, as ``fan-out``; None observes nothing. See
            `gatesocket.observe`.
        tracing: follows every batch; None follows none. See `gatesocket.observe.tracing`.
    """

    def __init__(
        self, *, presence: Tell | None = None, observer: Observer | None = None, tracing: Tracer | None = None
    ) -> None:
        super().__init__("fan-out", "batch", observer=observer, tracing=tracing)
        self._presence = presence

    async def _serve(self, body: str, context: object) -> bool:
        remaining = getattr(context, "get_remaining_time_in_millis", None)

        def has_time() -> bool:
            return remaining is None or remaining() > HAND_OVER_MILLISECONDS

        return await run(body, presence=self._presence, has_time=has_time)


async def run(body: str, *, presence: Tell | None = None, has_time: Callable[[], bool] = lambda: True) -> bool:
    """Post to the batch that a queue's message holds, and put what failed of it back as a new one.

    Args:
        body: the message.
        presence: see `FanoutHandler`.
        has_time: whether to begin another post; what there is no time for is put back with what failed.

    Returns:
        Whether the batch is done; False if nobody of it was reached, so that it may come again as it is.

    Raises:
        ConfigurationError: this process has no fan-out queue to put anything back on; nothing was posted.
        QueueError: what failed couldn't be put back; if the batch comes again, some get the text a second time.
        UnexpectedEvent: *body* is no message of the fan-out queue.
    """
    batch, text = Batch.read(body)
    through = backend.current()
    if through.fanout is None:
        raise ConfigurationError(
            "there is no fan-out queue to put back what fails of a batch. Set GATESOCKET_FANOUT_QUEUE to the queue's "
            "URL, as template.yaml does"
        )
    rest, left = _Rest(), list[Member]()

    async def members() -> AsyncIterator[Member]:
        for connection_id in batch.connections:
            if has_time():
                yield Member(connection_id, None)
            else:
                rest.add(connection_id)

    await Round(text, through, group=batch.group, on_left=left.append, hand_over=rest).send(members())
    failed, total = len(rest.collected), len(batch.connections)
    nobody = 0 < failed == total
    if nobody:
        logger.warning("nobody of a batch of %d connections was reached", total)
    elif failed:
        logger.warning("%d of a batch of %d connections are put back", failed, total)
        await through.fanout.put(batch.model_copy(update={"connections": tuple(rest.collected)}).body())
        count("queued", failed)
    if presence is not None and batch.group is not None:
        await _announce(left, batch.group, presence, through)
    return not nobody


class _Rest:
    """Collects those of a batch who have to be tried again; see `gatesocket.delivery.HandOver`."""

    above = sys.maxsize
    patience: float | None = None

    def __init__(self) -> None:
        self.collected: list[str] = []

    def takes(self, error: Exception) -> bool:
        """Whether another try may help: always, but for what never was a connection."""
        return not isinstance(error, InvalidConnectionId)

    def add(self, connection_id: str) -> list[str]:
        """Collect a connection; there is only one batch, in the end."""
        self.collected.append(connection_id)
        return []

    def rest(self) -> list[str]:
        """Return nothing: whoever made this takes what it has collected."""
        return []

    async def put(self, batch: list[str]) -> None:
        """Do nothing, as there is never a batch."""


async def _announce(left: list[Member], group: str, tell: Tell, through: Backend) -> None:
    """Announce who has left; a failure of that is no reason to post to the batch again."""
    try:
        await announce([await _leaving(member, group, through) for member in left], tell, through)
    except Exception:
        logger.exception("group %r wasn't told of some who left", group)


async def _leaving(member: Member, group: str, through: Backend) -> Presence:
    """Say who has left; the batch doesn't name people, but a record is there until its route has ended."""
    record = await through.registry.get(member.connection_id, now=through.clock())
    return Presence("left", group, member.connection_id, None if record is None else record.user)
