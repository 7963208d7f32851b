"""The Lambda callable that works a queue off: what those for jobs and for broadcasts have in common."""

import logging
from abc import ABC, abstractmethod
from typing import Any

from gatesocket.event_loop import KeptLoop
from gatesocket.observation import Observation, Observer, Observers, Tracer, request_id
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
        observer: is told of every batch when it is over; None observes nothing. See `gatesocket.observe`.
        tracing: follows every batch; None follows none. See `gatesocket.observe.tracing`.
    """

    def __init__(
        self, queue: str, message: str, *, observer: Observer | None = None, tracing: Tracer | None = None
    ) -> None:
        self._queue = queue
        self._message = message
        self._observers = Observers.of(observer, tracing)
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
        if self._observers is None:
            return {"batchItemFailures": await self._serve_all(event, context)}
        observation = Observation(self._queue, None, request_id(context))
        try:
            with self._observers.watching(observation), self._observers.counting_posts():
                failures = await self._serve_all(event, context)
                observation.failures = len(failures)
        finally:
            await self._observers.flush()
        return {"batchItemFailures": failures}

    async def _serve_all(self, event: dict[str, Any], context: object) -> list[dict[str, str]]:
        failures = []
        for message_id, body in records(event, self._queue):
            try:
                done = await self._serve(body, context)
            except Exception:
                logger.exception("the %s of message %s failed", self._message, message_id)
                done = False
            if not done:
                failures.append({"itemIdentifier": message_id})
        return failures

    @abstractmethod
    async def _serve(self, body: str, context: object) -> bool:
        """Serve one message; return whether it is done, or is to come again. What this raises is logged."""
