"""Batches of connections on the fan-out queue, and how a broadcast makes them."""

import json
from base64 import b64decode, b64encode
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from gatesocket.backend import Backend
from gatesocket.exceptions import GatewayError, UnexpectedEvent
from gatesocket.queues import Queue

__all__ = ["BATCH_CONNECTIONS", "BATCH_ID_BYTES", "Batch", "Batches", "batches_for"]

BATCH_CONNECTIONS: Final = 500
"""Connections in one batch: work for about a second, so that little is repeated if a batch is lost to a crash."""

BATCH_ID_BYTES: Final = 64 * 1024
"""Bytes of connection ids in one batch; beside the largest text, 171 KB in base64, that stays under SQS's 256 KB."""

PATIENCE: Final = 1.0
"""Seconds for which a broadcast tries a post again before it leaves that to the queue.

A rate that was exceeded for a moment is free again by then; a client that reads too slowly would take all the time that
there is, from whoever waits for the broadcast and, behind it, from everybody else.
"""

TOO_MANY_REQUESTS: Final = 429
"""The gateway's status for a rate that is used up, and for a client whose buffer is full (facts sheet, section 4)."""

SERVER_ERROR: Final = 500
"""From here on a status says that it was the gateway's fault."""


class Batch(BaseModel):
    """Connections, and the text that is for them: the message of the queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    """In base64 of its UTF-8: whatever it says, its size has a bound, and SQS takes its characters."""
    group: str | None
    """The group that those which are gone are removed from."""
    connections: tuple[str, ...]

    @classmethod
    def read(cls, body: str) -> tuple["Batch", str]:
        """Return the batch of a queue's message, and its text.

        Raises:
            UnexpectedEvent: *body* is no such message.
        """
        try:
            batch = cls.model_validate_json(body)
            return batch, b64decode(batch.text, validate=True).decode()
        except (ValidationError, ValueError):
            raise UnexpectedEvent(
                'expected a message of the fan-out queue, {"text": …, "group": …, "connections": […]}, but got another '
                f"text of {len(body)} characters"
            ) from None

    def body(self) -> str:
        """Return the message."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"))


class Batches:
    """Takes connections of one broadcast over to the queue; see `gatesocket.delivery.HandOver`.

    Args:
        queue: the fan-out queue.
        text: what the connections are to get.
        group: the group that they are members of; None for none.
        above: how many the broadcast posts to itself.
    """

    patience: float | None = PATIENCE

    def __init__(self, queue: Queue, text: str, *, group: str | None, above: int) -> None:
        self.above = above
        self._queue = queue
        self._text = b64encode(text.encode()).decode("ascii")
        self._group = group
        self._collected: list[str] = []
        self._bytes = 0

    def takes(self, error: Exception) -> bool:
        """Whether *error* may pass: no answer, a full buffer or too many requests, or the gateway's own fault."""
        return isinstance(error, GatewayError) and (
            error.status is None or error.status == TOO_MANY_REQUESTS or error.status >= SERVER_ERROR
        )

    def add(self, connection_id: str) -> list[str]:
        """Collect a connection; return the batch that it completes, or nothing yet."""
        self._collected.append(connection_id)
        # API Gateway's ids have 16 characters; only planted ones fill a batch sooner than their number does.
        self._bytes += len(json.dumps(connection_id)) + 1
        return self.rest() if len(self._collected) == BATCH_CONNECTIONS or self._bytes > BATCH_ID_BYTES else []

    def rest(self) -> list[str]:
        """Return what is collected and no batch yet."""
        batch, self._collected, self._bytes = self._collected, [], 0
        return batch

    async def put(self, batch: list[str]) -> None:
        """Put a batch on the queue.

        Raises:
            ConfigurationError: the queue can't be used as things are set up.
            QueueError: the queue didn't take it.
        """
        await self._queue.put(Batch(text=self._text, group=self._group, connections=tuple(batch)).body())


def batches_for(text: str, group: str | None, through: Backend) -> Batches | None:
    """Return what takes over from a broadcast of *text*; None without a fan-out queue."""
    if through.fanout is None:
        return None
    return Batches(through.fanout, text, group=group, above=through.fanout_above)
