"""Large broadcasts over registries of every kind and the template's queue, made in a stand-in for SQS."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gatesocket import ConnectionManager
from gatesocket.backend import Backend, use
from gatesocket.batches import BATCH_CONNECTIONS, Batch
from gatesocket.emulator.resources import EventSource
from gatesocket.exceptions import ConfigurationError, GatewayError
from gatesocket.fanout import FanoutHandler
from gatesocket.gateway.fake import FakeGateway
from gatesocket.limits import MESSAGE_BYTES, QUEUE_MESSAGE_BYTES
from gatesocket.registry.base import EVERYONE, Record, Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.memory import MemoryRegistry
from support import dynamodb
from support.botocore_events import limit_pages, record_calls
from support.sqs import SourceQueue, source_queue, template_resources
from support.stack import running

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[2]
FAR = 1 << 40
PATIENCE = 30  # s: a cold start on a busy machine
ABOVE = 4


class Gateway(FakeGateway):
    """Refuses every post to some connections."""

    def __init__(self) -> None:
        super().__init__()
        self.unreachable: set[str] = set()

    async def post(self, connection_id: str, text: str) -> None:
        if connection_id in self.unreachable:
            raise GatewayError("busy", connection_id=connection_id, status=503)
        await super().post(connection_id, text)


class Cloud:
    """The template's fan-out queue, what Lambda does with it, and connections."""

    def __init__(self, queue: SourceQueue, registry: Registry) -> None:
        self.queue = queue
        self.registry = registry
        self.gateway = Gateway()
        self.handler = FanoutHandler()
        self.backend = Backend(registry, self.gateway, fanout=queue.queue, fanout_above=ABOVE)

    async def connect(self, number: int) -> list[str]:
        ids = [f"{index:015}=" for index in range(number)]
        for connection_id in ids:
            groups = frozenset({EVERYONE, "lobby"})
            await self.registry.create(Record(connection_id, b"", 0, FAR, b"snapshot", live=True, groups=groups))
            self.gateway.open(connection_id)
        return ids

    async def deliver_all(self) -> int:
        """Let the function have every message; return how often it was invoked."""
        times = 0
        while await self.queue.deliver(self.handler.invoke, at_most=self.queue.source.batch_size):
            times += 1
        return times


@pytest.fixture
async def queue() -> AsyncIterator[SourceQueue]:
    async with source_queue("FanoutFunction") as queue:
        yield queue


@pytest.fixture
def cloud(queue: SourceQueue, registry: Registry) -> Cloud:
    return Cloud(queue, registry)


async def test_a_large_broadcast_reaches_everybody_once_and_prunes_who_is_gone(cloud: Cloud) -> None:
    ids = await cloud.connect(12)
    for gone in (ids[1], ids[-1]):
        cloud.gateway.gone(gone)

    with use(cloud.backend):
        delivery = await ConnectionManager().broadcast("hello", group="lobby", exclude=[ids[5]])
        assert delivery.sent + delivery.gone == ABOVE
        assert delivery.queued == 11 - ABOVE
        assert await cloud.deliver_all() == 1

    left_out = {ids[1], ids[5], ids[-1]}
    assert cloud.gateway.sent == {i: [] if i in left_out else ["hello"] for i in ids}
    members = {member.connection_id async for member in cloud.registry.members("lobby", now=0)}
    assert members == set(ids) - {ids[1], ids[-1]}
    assert await cloud.registry.count(EVERYONE, now=0) == 12


@pytest.fixture
def memory_cloud(queue: SourceQueue) -> Cloud:
    return Cloud(queue, MemoryRegistry())


async def test_who_can_not_be_reached_ends_with_the_dead_letters_and_the_others_get_it_once(
    memory_cloud: Cloud,
) -> None:
    cloud = memory_cloud
    ids = await cloud.connect(12)
    cloud.gateway.unreachable = {ids[0], ids[-1]}

    with use(cloud.backend):
        delivery = await ConnectionManager().broadcast("hello", group="lobby")
        assert (delivery.sent, delivery.queued, delivery.failed) == (ABOVE - 1, 12 - ABOVE + 1, 0)
        receives = await cloud.deliver_all()

    assert cloud.gateway.sent == {i: [] if i in cloud.gateway.unreachable else ["hello"] for i in ids}
    assert receives == 1 + cloud.queue.redrive["maxReceiveCount"], "the batch, and those of it who failed"
    dead = [Batch.read(body) for body in cloud.queue.bodies(cloud.queue.dead_letters)]
    assert {i for batch, _ in dead for i in batch.connections} == cloud.gateway.unreachable
    assert [text for _, text in dead] == ["hello"]


@pytest.mark.parametrize("character", ["x", "\x00", "\uffff", "\N{WAVING HAND SIGN}"])
async def test_every_text_and_the_largest_batch_pass(memory_cloud: Cloud, character: str) -> None:
    cloud = memory_cloud
    ids = await cloud.connect(ABOVE + BATCH_CONNECTIONS)
    text = character * (MESSAGE_BYTES // len(character.encode()))

    with use(cloud.backend):
        assert (await ConnectionManager().broadcast(text, group="lobby")).queued == BATCH_CONNECTIONS
        [body] = cloud.queue.bodies(cloud.queue.url)
        assert len(body) <= QUEUE_MESSAGE_BYTES
        assert await cloud.handler.invoke({"Records": [{"messageId": "1", "body": body}]}, None) == {
            "batchItemFailures": []
        }

    assert all(cloud.gateway.sent[connection_id] == [text] for connection_id in ids)


# Members of a table, page by page.


@pytest.fixture
def own_client(moto_client: "DynamoDBClient") -> Iterator["DynamoDBClient"]:
    client = dynamodb.connect(moto_client.meta.endpoint_url)
    yield client
    client.close()


@pytest.mark.parametrize("shards", [1, 3])
async def test_posts_leave_while_pages_are_still_read(
    own_client: "DynamoDBClient", moto_table: str, shards: int
) -> None:
    registry = DynamoDBRegistry(moto_table, client=own_client, shards=shards)
    gateway = FakeGateway()
    ids = {f"{number:015}=" for number in range(12)}
    for connection_id in ids:
        await registry.create(Record(connection_id, b"", 0, FAR, b"snapshot", live=True))
        gateway.open(connection_id)
    limit_pages(own_client, 2)
    queries = record_calls(own_client)
    before_each: list[int] = []

    class Watching(FakeGateway):
        async def post(self, connection_id: str, text: str) -> None:
            before_each.append(len(queries))
            await gateway.post(connection_id, text)

    with use(Backend(registry, Watching())):
        delivery = await ConnectionManager().broadcast("hello")

    assert delivery.sent == 12
    assert gateway.sent == {connection_id: ["hello"] for connection_id in ids}
    assert before_each[0] < len(queries), "the first post leaves before the last page is read"


async def test_a_page_that_can_not_be_read_is_an_error_and_the_pages_before_are_delivered(
    own_client: "DynamoDBClient", moto_table: str
) -> None:
    registry = DynamoDBRegistry(moto_table, client=own_client)
    gateway = FakeGateway()
    for number in range(5):
        connection_id = f"{number:015}="
        await registry.create(Record(connection_id, b"", 0, FAR, b"snapshot", live=True))
        gateway.open(connection_id)
    limit_pages(own_client, 2)
    queries = record_calls(own_client)

    def fail(params: dict[str, Any], **_: object) -> None:
        if len(queries) > 1:
            params["TableName"] = "no-such-table"

    own_client.meta.events.register("provide-client-params.dynamodb.Query", fail)

    with use(Backend(registry, gateway)), pytest.raises(ConfigurationError, match="DynamoDB has no table"):
        await ConnectionManager().broadcast("hello")

    assert sum(len(texts) for texts in gateway.sent.values()) == 4


async def test_the_emulated_stack_brings_batches_to_their_function(tmp_path: Path) -> None:
    """The reference app as its template deploys it, but for a queue that takes every member of a broadcast."""
    queue = "        GATESOCKET_FANOUT_QUEUE: !GetAtt FanoutQueue.QueueUrl\n"
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert queue in text
    template = text.replace(queue, f'{queue}        GATESOCKET_FANOUT_ABOVE: "0"\n')
    (tmp_path / "handlers").symlink_to(ROOT / "handlers")

    async with (
        running(tmp_path, template=template, runtimes=1) as (_, address),
        connect(f"ws://{address}/ws/lobby?name=ann", open_timeout=PATIENCE) as ann,
        connect(f"ws://{address}/ws/lobby?name=bob", open_timeout=PATIENCE) as bob,
        httpx2.AsyncClient(timeout=PATIENCE) as http,
    ):
        for client in (ann, bob):
            await hear(client, "welcome")
        # Who has only just come is posted to directly, behind what the route sent first.
        async with asyncio.timeout(PATIENCE):
            while (await announce(http, address, "soon"))["queued"] < 2:
                pass
        assert await announce(http, address, "closing time") == {"sent": 0, "gone": 0, "queued": 2, "failed": 0}

        for client in (ann, bob):
            while (await hear(client, "announced"))["text"] != "closing time":
                pass


async def announce(http: httpx2.AsyncClient, address: str, text: str) -> Any:
    answer = await http.post(f"http://{address}/announce", json={"text": text})
    return answer.json()


async def hear(client: ClientConnection, kind: str) -> Any:
    """Read messages until one of *kind* has come; return its data."""
    async with asyncio.timeout(PATIENCE):
        while (message := json.loads(await client.recv()))["type"] != kind:
            pass
    return message["data"]


def test_the_template_leaves_a_batch_its_time() -> None:
    """A message that is visible again while its batch is still posted to would be posted to beside it.

    Six times the function's time limit is AWS's advice:
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    resources = template_resources()
    [source] = [source for source in resources.sources if source.function == "FanoutFunction"]
    [queue] = [queue for queue in resources.queues if queue.name == source.queue]

    assert source == EventSource(queue.name, "FanoutFunction", batch_size=1, reports_failures=True)
    assert int(queue.attributes["VisibilityTimeout"]) >= 6 * resources.functions["FanoutFunction"].timeout
    assert resources.functions["FanoutFunction"].handler == "chat.fanout.handler"
    for function in resources.functions.values():
        assert function.environment["GATESOCKET_FANOUT_QUEUE"].endswith(f"/{queue.name}")
