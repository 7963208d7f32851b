"""Jobs through SQS: the template's queues, made in a stand-in for it that speaks its protocol."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gatesocket.backend import Backend, use
from gatesocket.emulator.answers import Returned
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.description import describe
from gatesocket.emulator.queues import to_delete, to_event
from gatesocket.emulator.resources import Addresses, EventSource, Resources
from gatesocket.emulator.template import load
from gatesocket.exceptions import QueueError
from gatesocket.gateway.fake import FakeGateway
from gatesocket.jobs import JobsHandler, job
from gatesocket.limits import QUEUE_MESSAGE_BYTES
from gatesocket.queues import SQSQueue
from gatesocket.registry.memory import MemoryRegistry

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
REGION = "eu-west-1"
CONNECTION = "TXzPWdnOjoECGjA="
CONTEXT: Any = None  # a batch is run without Lambda's context


@job
async def shout(text: str) -> str:
    """Say it louder; nothing can't be said louder."""
    if not text:
        raise ValueError("nothing to say")
    return text.upper()


class Cloud:
    """The template's queue of jobs, what Lambda does with it, and a connection."""

    def __init__(self, sqs: "SQSClient", resources: Resources) -> None:
        self.sqs = sqs
        [self.source] = [source for source in resources.sources if source.function == "JobsFunction"]
        self.url = sqs.get_queue_url(QueueName=self.source.queue)["QueueUrl"]
        [policy] = [queue.redrive_policy for queue in resources.queues if queue.name == self.source.queue]
        self.redrive: dict[str, Any] = json.loads(policy or "")
        self.dead_letters = sqs.get_queue_url(QueueName=self.redrive["deadLetterTargetArn"].split(":")[-1])["QueueUrl"]
        self.gateway = FakeGateway()
        self.gateway.open(CONNECTION)
        self.backend = Backend(MemoryRegistry(), self.gateway, jobs=SQSQueue(self.url, client=sqs))
        self.handler = JobsHandler()

    def bodies(self, url: str) -> list[str]:
        """Take every message from a queue that is there to be taken."""
        taken: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            taken.extend(message["Body"] for message in messages)
        return taken

    async def deliver(self, *, at_most: int = 10) -> bool:
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
        report = Returned(await self.handler.invoke(event, CONTEXT))
        done = to_delete(messages, report, reports_failures=self.source.reports_failures)
        for message in messages:
            receipt = message["ReceiptHandle"]
            if message in done:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)
            else:
                self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return True


@pytest.fixture
async def stand_in() -> AsyncIterator[AwsStandIn]:
    stand_in = AwsStandIn(REGION)
    await stand_in.start()
    yield stand_in
    await stand_in.aclose()


@pytest.fixture
async def cloud(stand_in: AwsStandIn) -> AsyncIterator[Cloud]:
    addresses = Addresses(gateway="http://127.0.0.1:1", aws=stand_in.endpoint)
    resources = describe(load(TEMPLATE, region=REGION), region=REGION, addresses=addresses)
    stand_in.create([], resources.queues)
    sqs = stand_in.sqs()
    cloud = Cloud(sqs, resources)
    with use(cloud.backend):
        yield cloud
    sqs.close()


async def test_what_is_enqueued_runs_in_the_function_and_its_result_reaches_the_connection(cloud: Cloud) -> None:
    await shout.reply_to(connection=CONNECTION).enqueue("hello")
    assert cloud.gateway.sent[CONNECTION] == []

    assert await cloud.deliver()

    assert cloud.gateway.sent[CONNECTION] == ["HELLO"]
    assert not await cloud.deliver()


async def test_every_text_and_the_largest_message_pass(cloud: Cloud) -> None:
    awkward = "\x00\x0b\ufffe\uffff\N{WAVING HAND SIGN}"
    await shout.enqueue(awkward)
    [small] = cloud.bodies(cloud.url)
    largest = "x" * (QUEUE_MESSAGE_BYTES - len(small) + len(json.dumps(awkward)) - 2)

    await shout.enqueue(largest)

    [large] = cloud.bodies(cloud.url)
    assert len(large) == QUEUE_MESSAGE_BYTES
    assert [json.loads(body)["arguments"]["text"] for body in (small, large)] == [awkward, largest]


async def test_of_a_batch_only_what_failed_comes_again_and_ends_with_the_dead_letters(cloud: Cloud) -> None:
    for text in ("one", "", "two"):
        await shout.reply_to(connection=CONNECTION).enqueue(text)

    deliveries = 0
    while await cloud.deliver():
        deliveries += 1

    # Messages of a standard queue come in any order.
    assert sorted(cloud.gateway.sent[CONNECTION]) == ["ONE", "TWO"]
    assert deliveries == cloud.redrive["maxReceiveCount"]
    [dead] = cloud.bodies(cloud.dead_letters)
    assert json.loads(dead) == {
        "job": f"{__name__}:shout",
        "arguments": {"text": ""},
        "reply_to": {"kind": "connection", "name": CONNECTION},
    }


async def test_a_queue_that_is_not_there_has_not_taken_the_job(cloud: Cloud) -> None:
    absent = f"{cloud.url}-absent"

    with (
        use(Backend(MemoryRegistry(), cloud.gateway, jobs=SQSQueue(absent, client=cloud.sqs))),
        pytest.raises(QueueError, match=f"the queue {absent} didn't take a message: .*does not exist"),
    ):
        await shout.enqueue("hello")


def test_the_template_leaves_a_job_its_time() -> None:
    """A message that is visible again while its job still runs would run a second time beside it.

    Six times the function's time limit is AWS's advice:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    addresses = Addresses(gateway="http://127.0.0.1:1", aws="http://127.0.0.1:1")
    resources = describe(load(TEMPLATE, region=REGION), region=REGION, addresses=addresses)
    [source] = [source for source in resources.sources if source.function == "JobsFunction"]
    [queue] = [queue for queue in resources.queues if queue.name == source.queue]

    assert source == EventSource(queue.name, "JobsFunction", batch_size=1, reports_failures=True)
    assert int(queue.attributes["VisibilityTimeout"]) == 6 * resources.functions["JobsFunction"].timeout
    assert resources.functions["JobsFunction"].handler == "chat.entry.jobs"
    for function in resources.functions.values():
        assert function.environment["GATESOCKET_JOBS_QUEUE"].endswith(f"/{queue.name}")
