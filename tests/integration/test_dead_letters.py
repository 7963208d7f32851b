"""What failed five times lies in the queue's dead-letter queue, and does what it was for when it is sent back.

The queues are those of template.yaml, in a stand-in for SQS; docs/dead-letters.md says what a person does.
"""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, WebSocket

from gatesocket import ConnectionManager, WebSocketHandler
from gatesocket.backend import Backend, use
from gatesocket.exceptions import GatewayError, RegistryError
from gatesocket.fanout import FanoutHandler
from gatesocket.gateway.fake import FakeGateway
from gatesocket.jobs import JobsHandler, job
from gatesocket.registry.base import EVERYONE, Busy, Entry, Lease, Record, Taken
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.waker import QueueWaker
from support.lambda_events import CONNECTION, connect, disconnect
from support.sqs import SourceQueue, source_queue


class Gateway(FakeGateway):
    """One connection is open, and can't be posted to for now."""

    def __init__(self) -> None:
        super().__init__()
        self.open(CONNECTION)
        self.broken = True

    async def post(self, connection_id: str, text: str) -> None:
        if self.broken:
            raise GatewayError("busy", connection_id=connection_id, status=503)
        await super().post(connection_id, text)


class Table(MemoryRegistry):
    """A registry that can't be asked for connections for now."""

    broken = True

    async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
        if self.broken:
            raise RegistryError("busy")
        return await super().take(connection_id, entry, lease, now=now)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[SourceQueue]:
    """The queue of the function that the test's parameter names."""
    async with source_queue(request.param) as queue:
        yield queue


async def fail(queue: SourceQueue, handler: WebSocketHandler | JobsHandler | FanoutHandler) -> None:
    """Have the function try what is on the queue for as often as the template lets it."""
    tries = 0
    while await queue.deliver(handler.invoke, at_most=queue.source.batch_size):
        tries += 1
    assert tries == queue.redrive["maxReceiveCount"] == 5


@pytest.mark.parametrize("queue", ["FanoutFunction"], indirect=True)
async def test_a_batch_of_a_broadcast_that_is_sent_back_reaches_its_members(
    queue: SourceQueue, gateway: Gateway
) -> None:
    handler, registry = FanoutHandler(), MemoryRegistry()
    record = Record(CONNECTION, b"", 0, 1 << 40, b"snapshot", live=True, groups=frozenset({EVERYONE}))
    with use(Backend(registry, gateway, fanout=queue.queue, fanout_above=0)):
        await registry.create(record)
        assert (await ConnectionManager().broadcast("hello")).queued == 1
        await fail(queue, handler)
        gateway.broken = False
        assert queue.send_back() == 1
        assert await queue.deliver(handler.invoke)
        assert not await queue.deliver(handler.invoke)

    assert gateway.sent[CONNECTION] == ["hello"]


@job
async def add(left: int, right: int) -> int:
    """Add; the answer can't be posted while the gateway is broken."""
    return left + right


@pytest.mark.parametrize("queue", ["JobsFunction"], indirect=True)
async def test_a_job_that_is_sent_back_runs_again(queue: SourceQueue, gateway: Gateway) -> None:
    handler = JobsHandler()
    with use(Backend(MemoryRegistry(), gateway, jobs=queue.queue)):
        await add.reply_to(connection=CONNECTION).enqueue(1, 2)
        await fail(queue, handler)
        gateway.broken = False
        assert queue.send_back() == 1
        assert await queue.deliver(handler.invoke)
        assert not await queue.deliver(handler.invoke)

    assert gateway.sent[CONNECTION] == ["3"]


# What a route said before its handshake was over waits for a wake.


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def handler(queue: SourceQueue, gateway: Gateway, table: Table) -> WebSocketHandler:
    app = FastAPI()

    @app.websocket("/ws")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        async for _ in websocket.iter_text():
            pass

    gateway.broken = False
    waker, connected_at = QueueWaker(queue.url, client=queue.sqs), connect()["requestContext"]["connectedAt"]
    return WebSocketHandler(app, registry=table, gateway=gateway, waker=waker, clock=lambda: connected_at)


@pytest.mark.parametrize("queue", ["WakeFunction"], indirect=True)
async def test_a_wake_that_is_sent_back_brings_what_was_held_back_unless_the_connection_has_ended(
    queue: SourceQueue, gateway: Gateway, table: Table, handler: WebSocketHandler
) -> None:
    ended = "AAAAAAAAAAAAAAA="
    gateway.open(ended)
    for connection_id in (CONNECTION, ended):
        await handler.invoke(connect("/ws", connection_id=connection_id), None)
    await fail(queue, handler)
    table.broken = False
    await handler.invoke(disconnect(connection_id=ended), None)
    assert queue.send_back() == 2
    assert await queue.deliver(handler.invoke)
    assert not await queue.deliver(handler.invoke), "neither has failed"

    assert gateway.sent == {CONNECTION: ["welcome"], ended: []}
