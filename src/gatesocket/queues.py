"""Queues of texts that other functions are invoked with."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from gatesocket.aws import AWSClient, Refused, Unreachable, client_for
from gatesocket.exceptions import QueueError, UnexpectedEvent

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["MemoryQueue", "Queue", "SQSQueue", "records"]


class Queue(Protocol):
    """Takes texts to somebody who works on them: each at least once, in no particular order."""

    async def put(self, body: str) -> None:
        """Put a text on the queue; it is safe there when this returns.

        Raises:
            ConfigurationError: the queue can't be used as things are set up.
            QueueError: the queue didn't take it.
        """
        ...


class MemoryQueue:
    """A queue in this process.

    Args:
        on_put: gets each text; it decides when somebody works on it.
    """

    def __init__(self, on_put: Callable[[str], Awaitable[None]]) -> None:
        self._on_put = on_put

    async def put(self, body: str) -> None:
        """Hand the text over."""
        await self._on_put(body)


class SQSQueue:
    """A standard queue of SQS.

    Args:
        url: the queue's URL.
        region: the queue's region; None leaves it to the client.
        client: calls SQS; a boto3 ``sqs`` client can, and its maker closes it. None makes an `AsyncioClient`.
    """

    def __init__(self, url: str, *, region: str | None = None, client: "AWSClient | SQSClient | None" = None) -> None:
        self._url = url
        self._sqs = client_for("sqs", client, region=region)

    async def put(self, body: str, *, delay: float = 0) -> None:
        """Put a text on the queue; nobody gets it before *delay* seconds are over, of which SQS knows whole ones.

        Raises:
            ConfigurationError: there are no credentials or no region.
            QueueError: SQS refused it or can't be reached.
        """
        try:
            message = {"QueueUrl": self._url, "MessageBody": body, "DelaySeconds": math.ceil(delay)}
            await self._sqs.call("SendMessage", message)
        except (Refused, Unreachable) as error:
            raise QueueError(f"the queue {self._url} didn't take a message: {error}") from error

    async def aclose(self) -> None:
        """Let go of network connections."""
        await self._sqs.aclose()


def records(event: Mapping[str, Any], queue: str) -> list[tuple[str, str]]:
    """Return the ids and bodies of a batch of SQS messages, as Lambda brings them.

    Args:
        event: the Lambda event.
        queue: what the queue is for, to say what was expected.

    Raises:
        UnexpectedEvent: *event* is no such batch.
    """
    try:
        return [(record["messageId"], record["body"]) for record in event["Records"]]
    except (KeyError, TypeError) as error:
        raise UnexpectedEvent(
            f"expected a batch of the {queue} queue, with Records that have a messageId and a body, but got "
            + (f"an event with the keys {sorted(event)}" if isinstance(event, dict) else type(event).__name__)
        ) from error
