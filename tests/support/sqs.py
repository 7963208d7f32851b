"""A queue of template.yaml in a stand-in for SQS, and what Lambda's event source mapping does with it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatesocket.emulator.answers import Returned
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.description import describe
from gatesocket.emulator.queues import to_delete, to_event
from gatesocket.emulator.resources import Addresses, Resources
from gatesocket.emulator.template import load
from gatesocket.queues import SQSQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

__all__ = ["REGION", "SourceQueue", "source_queue", "template_resources"]

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
REGION = "eu-west-1"
CONTEXT: Any = None  # a batch is run without Lambda's context


def template_resources(aws: str = "http://127.0.0.1:1") -> Resources:
    """Return what template.yaml describes, with AWS at the address *aws*."""
    addresses = Addresses(gateway="http://127.0.0.1:1", aws=aws)
    return describe(load(TEMPLATE, region=REGION), region=REGION, addresses=addresses)


class SourceQueue:
    """The queue that is a function's event source, and its dead-letter queue."""

    def __init__(self, sqs: "SQSClient", resources: Resources, function: str) -> None:
        self.sqs = sqs
        [self.source] = [source for source in resources.sources if source.function == function]
        self.url = sqs.get_queue_url(QueueName=self.source.queue)["QueueUrl"]
        [policy] = [queue.redrive_policy for queue in resources.queues if queue.name == self.source.queue]
        self.redrive: dict[str, Any] = json.loads(policy or "")
        self.dead_letters = sqs.get_queue_url(QueueName=self.redrive["deadLetterTargetArn"].split(":")[-1])["QueueUrl"]
        self.queue = SQSQueue(self.url, client=sqs)

    def bodies(self, url: str) -> list[str]:
        """Take every message from a queue that is there to be taken."""
        taken: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            taken.extend(message["Body"] for message in messages)
        return taken

    def send_back(self) -> int:
        """Do what SQS does when it is told to move dead letters back to their queue; return how many there were."""
        bodies = self.bodies(self.dead_letters)
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)
        return len(bodies)

    async def deliver(
        self, invoke: Callable[[dict[str, Any], Any], Awaitable[dict[str, Any]]], *, at_most: int = 10
    ) -> bool:
        """Do once what Lambda's event source mapping does; return whether there was anything to do.

        What failed is visible again at once, and not only after the queue's visibility timeout.
        """
        answer = self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=at_most, MessageSystemAttributeNames=["All"]
        )
        messages = answer.get("Messages", [])
        if not messages:
            return False
        event = to_event(messages, queue=self.source.queue, region=REGION)
        report = Returned(await invoke(event, CONTEXT))
        done = to_delete(messages, report, reports_failures=self.source.reports_failures)
        for message in messages:
            receipt = message["ReceiptHandle"]
            if message in done:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)
            else:
                self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return True


@asynccontextmanager
async def source_queue(function: str) -> AsyncIterator[SourceQueue]:
    """Make the queues of template.yaml, and give the one that *function* reads."""
    stand_in = AwsStandIn(REGION)
    await stand_in.start()
    resources = template_resources(stand_in.endpoint)
    stand_in.create([], resources.queues)
    sqs = stand_in.sqs()
    yield SourceQueue(sqs, resources, function)
    sqs.close()
    await stand_in.aclose()
