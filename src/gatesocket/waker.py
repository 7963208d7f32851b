"""What brings an invocation to a connection that has no message of its own: a queue, or a callback."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from gatesocket.exceptions import QueueError, RegistryError
from gatesocket.queues import SQSQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from gatesocket.aws import AWSClient

__all__ = ["MemoryWaker", "QueueWaker", "Waker", "wake_event"]


class Waker(Protocol):
    """Asks for an invocation that looks after a connection: delivers what is held back, and whatever is due.

    At least once, not before *delay*, in no particular order; a wake that comes too often does no harm.
    """

    async def wake(self, connection_id: str, *, delay: float = 0, due: int | None = None) -> None:
        """Ask for an invocation in *delay* seconds, at most `limits.WAKE_DELAY_SECONDS`.

        *due* is the `Record.due` that it is for; None if it is for no timer.
        """
        ...


def wake_event(connection_id: str, due: int | None = None) -> dict[str, Any]:
    """Make the Lambda event by which a wake arrives: a batch of one SQS record."""
    return {"Records": [{"messageId": str(uuid4()), "eventSource": "aws:sqs", "body": _body(connection_id, due)}]}


def _body(connection_id: str, due: int | None) -> str:
    body: dict[str, Any] = {"connection_id": connection_id}
    if due is not None:
        body["due"] = due
    return json.dumps(body, separators=(",", ":"))


class MemoryWaker:
    """Wakes in this process, by calling back.

    Args:
        on_wake: gets the Lambda event of the wake and the delay in seconds; it decides when the handler is invoked.
    """

    def __init__(self, on_wake: Callable[[dict[str, Any], float], Awaitable[None]]) -> None:
        self._on_wake = on_wake

    async def wake(self, connection_id: str, *, delay: float = 0, due: int | None = None) -> None:
        """Hand the wake over."""
        await self._on_wake(wake_event(connection_id, due), delay)


class QueueWaker:
    """Wakes through an SQS queue that invokes the handler's function.

    Args:
        queue_url: the queue's URL.
        region: the queue's region; None leaves it to the client.
        client: calls SQS, see `SQSQueue`.
    """

    def __init__(
        self, queue_url: str, *, region: str | None = None, client: "AWSClient | SQSClient | None" = None
    ) -> None:
        self._queue = SQSQueue(queue_url, region=region, client=client)

    async def wake(self, connection_id: str, *, delay: float = 0, due: int | None = None) -> None:
        """Put a message on the queue.

        Raises:
            ConfigurationError: there are no credentials or no region.
            RegistryError: SQS refused it or can't be reached.
        """
        try:
            await self._queue.put(_body(connection_id, due), delay=delay)
        except QueueError as error:
            raise RegistryError(f"the wake of connection {connection_id!r} was not taken by SQS: {error}") from error

    async def aclose(self) -> None:
        """Let go of network connections."""
        await self._queue.aclose()
