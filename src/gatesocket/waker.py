"""What brings an invocation to a connection that has no message of its own: a queue, or a callback."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from gatesocket.exceptions import ConfigurationError, RegistryError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["MemoryWaker", "QueueWaker", "Waker", "wake_event"]


class Waker(Protocol):
    """Asks for an invocation that looks after a connection: delivers what is held back, and whatever is due.

    At least once, not before *delay*, in no particular order; a wake that comes too often does no harm.
    """

    async def wake(self, connection_id: str, *, delay: float = 0) -> None:
        """Ask for an invocation in *delay* seconds."""
        ...


def wake_event(connection_id: str) -> dict[str, Any]:
    """Make the Lambda event by which a wake arrives: a batch of one SQS record."""
    return {"Records": [{"messageId": str(uuid4()), "eventSource": "aws:sqs", "body": _body(connection_id)}]}


def _body(connection_id: str) -> str:
    return json.dumps({"connection_id": connection_id}, separators=(",", ":"))


class MemoryWaker:
    """Wakes in this process, by calling back.

    Args:
        on_wake: gets the Lambda event of the wake and the delay in seconds; it decides when the handler is invoked.
    """

    def __init__(self, on_wake: Callable[[dict[str, Any], float], Awaitable[None]]) -> None:
        self._on_wake = on_wake

    async def wake(self, connection_id: str, *, delay: float = 0) -> None:
        """Hand the wake over."""
        await self._on_wake(wake_event(connection_id), delay)


class QueueWaker:
    """Wakes through an SQS queue that invokes the handler's function.

    Args:
        queue_url: the queue's URL.
        region: the queue's region; None leaves it to boto3.
        client: a boto3 SQS client; None makes one on first use.
    """

    def __init__(self, queue_url: str, *, region: str | None = None, client: "SQSClient | None" = None) -> None:
        self._queue_url = queue_url
        self._region = region
        self._client = client

    async def wake(self, connection_id: str, *, delay: float = 0) -> None:
        """Put a message on the queue.

        Raises:
            ConfigurationError: there are no credentials or no region.
            RegistryError: SQS refused it or can't be reached.
        """
        # boto3 costs 120 ms of cold start (measured), so that nobody pays for it who doesn't wake.
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError  # noqa: PLC0415

        try:
            await asyncio.to_thread(self._send, _body(connection_id), round(delay))
        except (NoCredentialsError, NoRegionError) as error:
            raise ConfigurationError(f"the wake queue can't be used: {error}") from error
        except (BotoCoreError, ClientError) as error:
            raise RegistryError(f"the wake of connection {connection_id!r} was not taken by SQS: {error}") from error

    def _send(self, body: str, delay: int) -> None:
        if self._client is None:
            import boto3  # noqa: PLC0415

            self._client = boto3.client("sqs", region_name=self._region)
        self._client.send_message(QueueUrl=self._queue_url, MessageBody=body, DelaySeconds=delay)
