"""Invokes functions with the messages of their queues, as Lambda's event source mappings do.

Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from gatesocket.emulator.answers import Answer, Failed
from gatesocket.emulator.resources import ACCOUNT, EventSource

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

__all__ = ["Invoker", "Poller", "failed_items", "to_delete", "to_event"]

logger = logging.getLogger("gatesocket.emulator")

Invoker = Callable[[str, dict[str, Any]], Awaitable[Answer]]
"""Runs the function with a logical id. Never raises."""

LONG_POLL_SECONDS: Final = 20
"""The longest that SQS waits for a message."""

FIFO_PAUSE_SECONDS: Final = 0.05
"""Pause after a FIFO queue had nothing to give."""

CONCURRENT_BATCHES: Final = 5
"""How many batches of one queue are processed at the same time, as Lambda begins with."""

RETRY_SECONDS: Final = 1
"""Pause after a receive that failed."""


class Poller:
    """Waits for the messages of one queue and hands them to its function, batch by batch.

    What the function has processed is deleted; what it hasn't comes back after the queue's visibility timeout, and
    goes to the dead-letter queue after as many receives as the queue's redrive policy allows.

    Args:
        source: the queue and its function.
        sqs: a client for the queue.
        invoke: runs a function.
        threads: where long polls block; one thread for each poller that shares it.
    """

    def __init__(self, source: EventSource, sqs: "SQSClient", invoke: Invoker, threads: ThreadPoolExecutor) -> None:
        self._source = source
        self._sqs = sqs
        self._invoke = invoke
        self._threads = threads
        self._url = sqs.get_queue_url(QueueName=source.queue)["QueueUrl"]
        self._fifo = source.queue.endswith(".fifo")
        self._free = asyncio.Semaphore(CONCURRENT_BATCHES)

    async def run(self) -> None:
        """Poll until cancelled."""
        async with asyncio.TaskGroup() as batches:
            while True:
                await self._free.acquire()
                messages = await self._receive()
                if messages:
                    batches.create_task(self._process(messages))
                else:
                    self._free.release()
                    if self._fifo:
                        await asyncio.sleep(FIFO_PAUSE_SECONDS)

    async def _receive(self) -> "list[MessageTypeDef]":
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._poll)
        except (BotoCoreError, ClientError) as error:
            logger.warning("queue %s can't be polled: %s", self._source.queue, error)
            await asyncio.sleep(RETRY_SECONDS)
            return []

    def _poll(self) -> "list[MessageTypeDef]":
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(self._source.batch_size, 10),
            # moto's long polls look at which message groups are being processed only when they begin.
            WaitTimeSeconds=0 if self._fifo else LONG_POLL_SECONDS,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return answer.get("Messages", [])

    async def _process(self, messages: "list[MessageTypeDef]") -> None:
        try:
            event = to_event(messages, queue=self._source.queue, region=self._sqs.meta.region_name)
            answer = await self._invoke(self._source.function, event)
            done = to_delete(messages, answer, reports_failures=self._source.reports_failures)
            if done:
                await asyncio.to_thread(self._delete, done)
        finally:
            self._free.release()

    def _delete(self, messages: "list[MessageTypeDef]") -> None:
        entries: Any = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)


def to_event(messages: "list[MessageTypeDef]", *, queue: str, region: str) -> dict[str, Any]:
    """Make the Lambda event of a batch of received messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": _attributes(message.get("MessageAttributes", {})),
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{region}:{ACCOUNT}:{queue}",
                "awsRegion": region,
            }
            for message in messages
        ]
    }


def to_delete(messages: "list[MessageTypeDef]", answer: Answer, *, reports_failures: bool) -> "list[MessageTypeDef]":
    """Return the messages of a batch that the function has processed.

    All of them, unless it failed, or reports failures of single messages (``batchItemFailures``). A report that can't
    be read, or that names a message which isn't in the batch, counts as a failure of all, as with Lambda:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if isinstance(answer, Failed):
        return []
    if not reports_failures or not answer.value:
        return messages
    failed = failed_items(answer.value)
    if failed is None or not failed <= {message["MessageId"] for message in messages}:
        logger.warning("a batch's report can't be read, so that all of it comes again: %r", answer.value)
        return []
    return [message for message in messages if message["MessageId"] not in failed]


def failed_items(report: object) -> set[str] | None:
    """Return the ids in a report of failures; None if it isn't one."""
    items = (report.get("batchItemFailures") or []) if isinstance(report, Mapping) else None
    if not isinstance(items, list):
        return None
    ids = [item.get("itemIdentifier") if isinstance(item, Mapping) else None for item in items]
    return set(ids) if all(isinstance(i, str) and i for i in ids) else None  # type: ignore[arg-type]


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _attribute(value) for name, value in attributes.items()}


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, str] = {}
    if "StringValue" in value:
        content["stringValue"] = value["StringValue"]
    else:
        content["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return {**content, "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
