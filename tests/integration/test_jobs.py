"""Jobs through SQS: the template's queues, made in a stand-in for it that speaks its protocol."""

import json
from collections.abc import AsyncIterator

import pytest

from gatesocket.backend import Backend, use
from gatesocket.emulator.resources import EventSource
from gatesocket.exceptions import QueueError
from gatesocket.gateway.fake import FakeGateway
from gatesocket.jobs import JobsHandler, job
from gatesocket.limits import QUEUE_MESSAGE_BYTES
from gatesocket.queues import SQSQueue
from gatesocket.registry.memory import MemoryRegistry
from support.sqs import SourceQueue, source_queue, template_resources

CONNECTION = "TXzPWdnOjoECGjA="


@job
async def shout(text: str) -> str:
    """Say it louder; nothing can't be said louder."""
    if not text:
        raise ValueError("nothing to say")
    return text.upper()


class Cloud:
    """The template's queue of jobs, what Lambda does with it, and a connection."""

    def __init__(self, queue: SourceQueue) -> None:
        self.queue = queue
        self.gateway = FakeGateway()
        self.gateway.open(CONNECTION)
        self.backend = Backend(MemoryRegistry(), self.gateway, jobs=queue.queue)
        self.handler = JobsHandler()

    async def deliver(self, *, at_most: int = 10) -> bool:
        return await self.queue.deliver(self.handler.invoke, at_most=at_most)


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with source_queue("JobsFunction") as queue:
        cloud = Cloud(queue)
        with use(cloud.backend):
            yield cloud


async def test_what_is_enqueued_runs_in_the_function_and_its_result_reaches_the_connection(cloud: Cloud) -> None:
    await shout.reply_to(connection=CONNECTION).enqueue("hello")
    assert cloud.gateway.sent[CONNECTION] == []

    assert await cloud.deliver()

    assert cloud.gateway.sent[CONNECTION] == ["HELLO"]
    assert not await cloud.deliver()


async def test_every_text_and_the_largest_message_pass(cloud: Cloud) -> None:
    awkward = "\x00\x0b\ufffe\uffff\N{WAVING HAND SIGN}"
    await shout.enqueue(awkward)
    [small] = cloud.queue.bodies(cloud.queue.url)
    largest = "x" * (QUEUE_MESSAGE_BYTES - len(small) + len(json.dumps(awkward)) - 2)

    await shout.enqueue(largest)

    [large] = cloud.queue.bodies(cloud.queue.url)
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
    assert deliveries == cloud.queue.redrive["maxReceiveCount"]
    [dead] = cloud.queue.bodies(cloud.queue.dead_letters)
    assert json.loads(dead) == {
        "job": f"{__name__}:shout",
        "arguments": {"text": ""},
        "reply_to": {"kind": "connection", "name": CONNECTION},
    }


async def test_a_queue_that_is_not_there_has_not_taken_the_job(cloud: Cloud) -> None:
    absent = f"{cloud.queue.url}-absent"

    with (
        use(Backend(MemoryRegistry(), cloud.gateway, jobs=SQSQueue(absent, client=cloud.queue.sqs))),
        pytest.raises(QueueError, match=f"the queue {absent} didn't take a message: .*does not exist"),
    ):
        await shout.enqueue("hello")


def test_the_template_leaves_a_job_its_time() -> None:
    """A message that is visible again while its job still runs would run a second time beside it.

    Six times the function's time limit is AWS's advice:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    resources = template_resources()
    [source] = [source for source in resources.sources if source.function == "JobsFunction"]
    [queue] = [queue for queue in resources.queues if queue.name == source.queue]

    assert source == EventSource(queue.name, "JobsFunction", batch_size=1, reports_failures=True)
    assert int(queue.attributes["VisibilityTimeout"]) == 6 * resources.functions["JobsFunction"].timeout
    assert resources.functions["JobsFunction"].handler == "chat.entry.jobs"
    for function in resources.functions.values():
        assert function.environment["GATESOCKET_JOBS_QUEUE"].endswith(f"/{queue.name}")
