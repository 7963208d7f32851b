"""Connections that come at the same moment find one another, and one that isn't let in leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextvars import Context
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket

from gatesocket import ConnectionManager, backend
from gatesocket.exceptions import RecordTooLarge
from support.cloud import Cloud, end_all
from support.lambda_events import CONNECTION, connect, message

ANN, BOB = "AAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBB="
manager = ConnectionManager()


async def elsewhere(cloud: Cloud, happening: Coroutine[Any, Any, None]) -> None:
    """Let something happen in another process of the deployment."""

    async def happens() -> None:
        with backend.use(cloud.backend):
            await happening

    await asyncio.create_task(happens(), context=Context())


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


async def test_of_two_that_join_at_the_same_moment_one_at_least_hears_the_other() -> None:
    """Both have joined before either tells the others, as it may happen between two invocations."""
    app = FastAPI()
    joined = asyncio.Barrier(2)

    @app.websocket("/")
    async def route(websocket: WebSocket, name: str) -> None:
        await manager.connect(websocket, groups=["lobby"], user=name)
        await joined.wait()
        await manager.broadcast(f"{name} joined", group="lobby")
        await websocket.receive_text()

    cloud = Cloud(app)
    for connection_id in (ANN, BOB):
        cloud.gateway.connecting(connection_id)
    await asyncio.gather(
        cloud(connect(query={"name": "ann"}, connection_id=ANN)),
        cloud(connect(query={"name": "bob"}, connection_id=BOB)),
    )
    while cloud.wakes:
        await cloud.wake()

    heard = cloud.gateway.sent
    assert "ann joined" in heard[BOB] or "bob joined" in heard[ANN]
    assert heard[ANN].count("ann joined") == heard[BOB].count("bob joined") == 1


@pytest.mark.parametrize("look", ["broadcast", "members", "users", "count", "send_to_user"])
async def test_who_looks_for_others_can_be_found_by_them(look: str) -> None:
    app = FastAPI()
    found: list[str] = []

    async def another_process_looks() -> None:
        found.extend([connection_id async for connection_id in manager.members("lobby")])

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"], user="ann")
        match look:
            case "broadcast":
                await manager.broadcast("hello", group="lobby")
            case "members":
                assert [member async for member in manager.members("lobby")] == [CONNECTION]
            case "users":
                assert [user async for user in manager.users("lobby")] == ["ann"]
            case "count":
                assert await manager.count("lobby") == 1
            case "send_to_user":
                await manager.send_to_user("ann", "hello")
        await elsewhere(cloud, another_process_looks())
        await websocket.receive_text()

    cloud = Cloud(app)
    assert await cloud(connect()) == {"statusCode": 200}

    assert found == [CONNECTION]
    record = await cloud.record()
    assert record is not None
    assert (record.lease, record.attempts, record.snapshot is not None) == (None, 0, True)


async def test_what_is_said_to_a_connection_during_its_handshake_follows_what_its_route_says_first() -> None:
    app = FastAPI()

    async def another_process_greets() -> None:
        assert (await manager.broadcast("hello, newcomer", group="lobby")).queued == 1

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        others = await manager.count("lobby")
        await elsewhere(cloud, another_process_greets())
        await manager.join(websocket, "cellar")
        await manager.leave(websocket, "lobby")
        await websocket.send_text(f"{others} here")
        await websocket.receive_text()

    cloud = Cloud(app)
    await cloud(connect())
    while cloud.wakes:
        await cloud.wake()
    with backend.use(cloud.backend):
        assert [member async for member in manager.members("lobby")] == []
        await manager.broadcast("and now", group="cellar")

    assert cloud.sent == ["1 here", "hello, newcomer", "and now"]


async def test_a_route_that_only_looked_waits_for_nobody() -> None:
    """Once it hibernates with nothing to say, what others send goes straight to its client."""
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        await manager.count("lobby")
        await websocket.receive_text()

    cloud = Cloud(app)
    await cloud(connect())
    with backend.use(cloud.backend):
        delivery = await manager.broadcast("hello", group="lobby")

    assert (delivery.sent, cloud.wakes, cloud.sent) == (1, [], ["hello"])


async def test_a_route_that_ends_after_it_was_found_says_what_it_had_to_say_and_is_forgotten() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        await manager.broadcast("full", group="lobby")

    cloud = Cloud(app)
    assert await cloud(connect()) == {"statusCode": 200}
    await cloud.wake()

    assert (cloud.sent, cloud.gateway.closed) == (["full"], [CONNECTION])
    assert await cloud.record() is None


async def test_a_connection_that_is_not_let_in_after_it_was_found_is_forgotten() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        await manager.count("lobby")
        await websocket.close(1008)

    cloud = Cloud(app)

    assert await cloud(connect()) == {"statusCode": 403}
    assert await cloud.record() is None
    with backend.use(cloud.backend):
        assert [member async for member in manager.members("lobby")] == []


@pytest.mark.parametrize("looks", [True, False])
async def test_a_route_that_keeps_more_than_a_record_holds_is_not_let_in(looks: bool) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        if looks:
            await manager.count("lobby")
        # Not one text many times, which would compress to nothing.
        kept = [str(number * 7919 % 104_729) for number in range(100_000)]
        await websocket.receive_text()
        await websocket.send_text(kept[0])

    cloud = Cloud(app)
    with pytest.raises(RecordTooLarge):
        await cloud(connect())

    assert await cloud.record() is None
    with backend.use(cloud.backend):
        assert [member async for member in manager.members("lobby")] == []


async def test_a_handshake_whose_process_dies_after_it_was_found_is_taken_for_ended() -> None:
    """API Gateway refuses the client; whoever is told of the connection afterwards clears it away."""
    app = FastAPI()
    reached = asyncio.Event()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"])
        await manager.count("lobby")
        reached.set()
        await asyncio.Event().wait()
        await websocket.receive_text()

    cloud = Cloud(app)
    dying = asyncio.ensure_future(cloud(connect()))
    await reached.wait()
    dying.cancel()
    await asyncio.wait([dying])
    cloud.now += 60_000
    await cloud(message("hello?"))

    assert await cloud.record() is None
    with backend.use(cloud.backend):
        assert [member async for member in manager.members("lobby")] == []
