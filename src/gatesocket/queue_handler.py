"""The Lambda callable that works a queue off: what those for jobs and for broadcasts have in common."""

import logging
from abc import ABC, abstractmethod
from typing import Any

from gatesocket.event_loop import KeptLoop
from gatesocket.queues import records

__all__ = ["QueueHandler"]

logger = logging.getLogger("gatesocket")


class QueueHandler(ABC):
    """Serves the messages of each batch one after the other, on an event loop for the life of the process.

    Those that failed are reported, so that SQS delivers them again and in the end hands them to the dead-letter queue;
    the event source needs ``ReportBatchItemFailures`` for that.

    Args:
        queue: what the queue is for, to say what was expected.
        message: what one of its messages is, to say what failed.
    """

    def __init__(self, queue: str, message: str) -> None:
        self._queue = queue
        self._message = message
        self._loop = KeptLoop()

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """Serve a batch; a caller that runs an event loop awaits `invoke` instead.

        Raises:
            UnexpectedEvent: the event is no batch of SQS.
        """
        return self._loop.run(self.invoke(event, context))

    async def invoke(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        """Serve a batch on the running event loop, and report which messages SQS is to deliver again.

        https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting

        Raises:
            UnexpectedEvent: the event is no batch of SQS.
        """
        failures = []
        for message_id, body in records(event, self._queue):
            try:
                done = await self._serve(body, context)
            except Exception:
                logger.exception("the %s of message %s failed", self._message, message_id)
                done = False
            if not done:
                failures.append({"itemIdentifier": message_id})
        return {"batchItemFailures": failures}

    @abstractmethod
    async def _serve(self, body: str, context: object) -> bool:
        """Serve one message; return whether it is done, or is to come again. What this raises is logged."""
