"""Members that come back: what they get of what they missed, in either life, whatever happens meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect, WebSocketState

from gatesocket import ConnectionManager
from gatesocket.backend import Backend, use
from gatesocket.connection import LocalConnection
from gatesocket.cursors import Cursor, cursor_of, tag_of, with_cursor
from gatesocket.exceptions import ConfigurationError, RegistryError
from gatesocket.fanout import run
from gatesocket.gateway.fake import FakeGateway
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.history import History, replay_of
from gatesocket.queues import MemoryQueue
from gatesocket.registry.base import EVERYONE, START, Record, Replay
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.testing import GatewayTestClient
from support.cloud import NOW, Cloud, end_all
from support.lambda_events import CONNECTION, connect, message

HISTORY = History(messages=10, seconds=60)
LIVES = pytest.mark.parametrize("client", [TestClient, GatewayTestClient], ids=["uvicorn's life", "the cloud's life"])
RUN = NOW // 1000

manager = ConnectionManager(history=HISTORY)


@pytest.fixture
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


def make_room() -> FastAPI:
    """A room that says what it is told, to those who are in it."""
    app = FastAPI()

    @app.websocket("/ws/{room}")
    async def talk(websocket: WebSocket, room: str, after: str | None = None) -> None:
        await manager.connect(websocket, groups=[room], after=after)
        await websocket.send_json({"type": "welcome"})
        async for text in websocket.iter_text():
            if text == "join":
                await manager.join(websocket, "attic", after="")
                await websocket.send_json({"type": "joined"})
            else:
                await manager.broadcast({"type": "said", "text": text}, group=room, keep=True)

    return app


def heard(socket: Any) -> tuple[Any, ...]:
    """Return what a message says, without its cursor."""
    told = socket.receive_json()
    return told["type"], *(told[name] for name in ("text", "complete") if name in told)


@LIVES
def test_who_comes_back_gets_what_was_said_meanwhile_once_and_in_order(client: type[TestClient]) -> None:
    with client(make_room()) as served, served.websocket_connect("/ws/lobby") as ann:
        assert heard(ann) == ("welcome",)
        with served.websocket_connect("/ws/lobby?after=") as bob:
            begin = [bob.receive_json()["cursor"] for _ in (EVERYONE, "lobby")]
            assert heard(bob) == ("welcome",)
            ann.send_text("one")
            seen = bob.receive_json()["cursor"]
        ann.send_text("two")
        ann.send_text("three")
        assert [heard(ann) for _ in range(3)] == [("said", "one"), ("said", "two"), ("said", "three")]

        with served.websocket_connect(f"/ws/lobby?after={begin[0]},{seen}") as bob:
            assert [heard(bob) for _ in range(5)] == [
                ("history", True),
                ("history", True),
                ("said", "two"),
                ("said", "three"),
                ("welcome",),
            ]
            ann.send_text("four")
            assert heard(bob) == heard(ann) == ("said", "four")


@LIVES
def test_who_joins_a_group_later_is_told_where_its_history_stands(client: type[TestClient]) -> None:
    with client(make_room()) as served, served.websocket_connect("/ws/lobby") as ann:
        assert heard(ann) == ("welcome",)
        ann.send_text("join")
        assert heard(ann) == ("history", True)
        assert heard(ann) == ("joined",)


@LIVES
def test_who_does_not_know_of_histories_is_told_nothing_of_them(client: type[TestClient]) -> None:
    with client(make_room()) as served, served.websocket_connect("/ws/lobby") as ann:
        assert heard(ann) == ("welcome",)
        ann.send_text("hello")
        assert heard(ann) == ("said", "hello")


@LIVES
@pytest.mark.parametrize("after", ["hello", "%00", "x" * 3000, str(Cursor(tag_of("lobby"), START, 9))])
def test_a_made_up_cursor_ends_no_route(client: type[TestClient], after: str) -> None:
    with client(make_room()) as served, served.websocket_connect(f"/ws/lobby?after={after}") as ann:
        assert [heard(ann) for _ in range(3)] == [("history", False), ("history", False), ("welcome",)]


# What can't be kept.


class Elsewhere:
    """A process that holds no socket, and one member."""

    def __init__(self, registry: MemoryRegistry | None = None) -> None:
        self.registry = registry or MemoryRegistry()
        self.gateway = FakeGateway()
        self.gateway.open(CONNECTION)
        self.backend = Backend(self.registry, self.gateway)

    async def kept(self, group: str = EVERYONE) -> list[str]:
        return [kept.text for kept in await self.registry.recent(group, since=START, most=100, now=NOW)]

    @property
    def sent(self) -> list[str]:
        return self.gateway.sent[CONNECTION]


@pytest.fixture
async def elsewhere() -> Elsewhere:
    process = Elsewhere()
    await process.registry.create(Record(CONNECTION, b"", 0, 1 << 40, b"", live=True, groups=frozenset({EVERYONE})))
    return process


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("hello", {}, "expected a JSON object"),
        ({"cursor": 1}, {}, "without a member 'cursor'"),
        ({}, {"exclude": [CONNECTION]}, "can't exclude anybody"),
        ({}, {"group": ""}, "'' has 0"),
    ],
)
async def test_what_can_not_be_kept_reaches_nobody(
    elsewhere: Elsewhere, text: Any, options: dict[str, Any], error: str
) -> None:
    with use(elsewhere.backend), pytest.raises(ValueError, match=error):
        await manager.broadcast(text, keep=True, **options)
    assert (elsewhere.sent, await elsewhere.kept()) == ([], [])


async def test_what_is_not_to_be_kept_may_be_anything(elsewhere: Elsewhere) -> None:
    with use(elsewhere.backend):
        await manager.broadcast("hello", exclude=["another"])
    assert (elsewhere.sent, await elsewhere.kept()) == (["hello"], [])


async def test_what_could_not_be_kept_reaches_nobody() -> None:
    class Throttled(MemoryRegistry):
        async def keep(self, *_: Any, **__: Any) -> Any:
            raise RegistryError("throttled")

    process = Elsewhere(Throttled())
    with use(process.backend), pytest.raises(RegistryError, match="throttled"):
        await manager.broadcast({}, keep=True)
    assert process.sent == []


async def test_keeping_needs_a_manager_with_a_history(elsewhere: Elsewhere) -> None:
    with use(elsewhere.backend), pytest.raises(ConfigurationError, match="keeps no history"):
        await ConnectionManager().broadcast({}, keep=True)
    assert elsewhere.sent == []


async def test_a_cursor_needs_a_manager_with_a_history() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        with pytest.raises(ConfigurationError, match=r"ConnectionManager\(history=History\(\)\)"):
            await ConnectionManager().connect(websocket, after="")
        with pytest.raises(ConfigurationError, match="keeps no history"):
            await ConnectionManager().join(websocket, "lobby", after="")
        await websocket.close()

    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/"):
        pass


async def test_what_goes_by_the_fan_out_queue_has_the_cursor_that_everybody_gets(elsewhere: Elsewhere) -> None:
    bodies: list[str] = []

    async def put(body: str) -> None:
        bodies.append(body)

    with use(Backend(elsewhere.registry, elsewhere.gateway, fanout=MemoryQueue(put), fanout_above=0)):
        assert (await manager.broadcast({"n": 1}, keep=True)).queued == 1
        for _ in range(2):
            assert await run(bodies[0])
    [kept] = await elsewhere.registry.recent(EVERYONE, since=START, most=10, now=NOW)
    assert elsewhere.sent == [with_cursor(kept.text, cursor_of(EVERYONE, kept))] * 2, "by which a client knows it again"


# Under uvicorn: others send while somebody gets what they missed.


class Socket:
    """A socket that takes each text when the test lets it, or has none to give it to any more."""

    def __init__(self) -> None:
        self.client_state = self.application_state = WebSocketState.CONNECTED
        self.taken: list[str] = []
        self.room = asyncio.Semaphore(0)
        self.gone = False

    async def send_text(self, text: str) -> None:
        await self.room.acquire()
        if self.gone:
            raise WebSocketDisconnect(1006)
        self.taken.append(json.loads(text).get("n", "history"))


class Uvicorn:
    """A process that holds one socket, whose client comes back after it has missed two messages."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.gateway = SocketGateway()
        self.registry = MemoryRegistry()
        self.backend = Backend(self.registry, self.gateway, clock=lambda: NOW)
        self.connection = LocalConnection(self.socket, self.registry, self.gateway)  # type: ignore[arg-type]
        self.said = 0

    async def say(self) -> None:
        self.said += 1
        with use(self.backend):
            await manager.broadcast({"n": self.said}, group="lobby", keep=True)

    async def come(self, after: str) -> None:
        with use(self.backend):
            await self.connection.replay(replay_of(after, ["lobby"], HISTORY))


BEGIN = str(Cursor(tag_of("lobby"), START, RUN))


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_others_send_meanwhile_comes_after_what_was_missed() -> None:
    process = Uvicorn()
    await process.say()
    await process.say()
    await process.connection.enter(["lobby"], None)
    back = asyncio.create_task(process.come(BEGIN))
    await settle()
    process.socket.room.release()
    await process.say()  # which doesn't wait
    for _ in range(3):
        process.socket.room.release()
    await back
    assert process.socket.taken == ["history", 1, 2, 3]
    process.socket.room.release()
    await process.say()
    assert process.socket.taken == ["history", 1, 2, 3, 4]


async def test_nothing_is_lost_between_two_replays_at_once() -> None:
    process = Uvicorn()
    await process.connection.enter(["lobby"], None)
    both = [asyncio.create_task(process.come("")) for _ in range(2)]
    await settle()
    await process.say()
    for _ in range(3):
        process.socket.room.release()
    await asyncio.gather(*both)
    assert process.socket.taken == ["history", "history", 1]


async def test_a_client_that_leaves_meanwhile_is_no_error() -> None:
    process = Uvicorn()
    await process.connection.enter(["lobby"], None)
    process.socket.gone = True
    process.socket.room.release()
    await process.come("")
    await process.come("")
    assert process.socket.taken == []


# In the cloud.

in_the_cloud = pytest.mark.usefixtures("shut_down")


@in_the_cloud
async def test_what_was_missed_is_not_stored_in_the_record_but_read_when_the_socket_is_live() -> None:
    """It may be more than a record holds, and what is said until then belongs to it."""
    cloud = Cloud(make_room())
    large = "x" * 100_000
    with use(cloud.backend):
        for _ in range(5):
            await manager.broadcast({"type": "said", "text": large}, group="lobby", keep=True)
    await cloud(connect("/ws/lobby", query={"after": BEGIN}))
    record = await cloud.record()
    assert record is not None
    assert record.outbox == (Replay((EVERYONE, "lobby"), BEGIN, 10), '{"type":"welcome"}')

    with use(cloud.backend):
        assert (await manager.broadcast({"type": "said", "text": "meanwhile"}, group="lobby", keep=True)).queued == 1
    await cloud.wake()
    told = [json.loads(text) for text in cloud.sent]
    assert [(each["type"], each.get("text", "")[:9]) for each in told] == [
        ("history", ""),
        ("history", ""),
        *[("said", "x" * 9)] * 5,
        ("said", "meanwhile"),
        ("welcome", ""),
        ("said", "meanwhile"),
    ]
    assert told[-1]["cursor"] == told[-3]["cursor"], "by which a client knows it again"
    with use(cloud.backend):
        assert (await manager.broadcast({"type": "said", "text": "now"}, group="lobby", keep=True)).sent == 1


@in_the_cloud
async def test_a_client_that_has_left_before_it_got_everything_is_sent_no_more() -> None:
    class Leaving(FakeGateway):
        async def post(self, connection_id: str, text: str) -> None:
            await super().post(connection_id, text)
            self.gone(connection_id)

    cloud = Cloud(make_room(), gateway=Leaving())
    with use(cloud.backend):
        await manager.broadcast({"type": "said", "text": "missed"}, group="lobby", keep=True)
    await cloud(connect("/ws/lobby", query={"after": BEGIN}))
    await cloud.wake()
    assert len(cloud.sent) == 1


@in_the_cloud
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_route_that_has_received_something_before_it_connects_is_found_before_it_looks(leaves: bool) -> None:
    """As one that waits for a first message with a token: what is said while it looks must not pass it by."""
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        after = await websocket.receive_text()
        await manager.connect(websocket, groups=["lobby"], after=after)
        async for _ in websocket.iter_text():
            pass

    class Watching(MemoryRegistry):
        async def recent(self, group: str, **options: Any) -> Any:
            found = await super().recent(group, **options)
            if group == "lobby" and options["most"] > 1:
                if leaves:
                    cloud.gateway.gone(CONNECTION)
                with use(cloud.backend):
                    await manager.broadcast({"n": 2}, group="lobby", keep=True)
            return found

    cloud = Cloud(app, registry=Watching())
    with use(cloud.backend):
        await manager.broadcast({"n": 1}, group="lobby", keep=True)
    await cloud(connect())
    await cloud(message(BEGIN))
    if leaves:
        assert (cloud.sent, cloud.errors) == ([], [])
    else:
        assert sorted(json.loads(text).get("n", 0) for text in cloud.sent) == [0, 0, 1, 2]
    with use(cloud.backend):
        assert [member async for member in manager.members("lobby")] == ([] if leaves else [CONNECTION])


@in_the_cloud
async def test_a_registry_that_is_down_for_a_moment_is_asked_again_by_the_next_wake() -> None:
    class Down(MemoryRegistry):
        down = True

        async def recent(self, group: str, **options: Any) -> Any:
            if self.down:
                raise RegistryError("throttled")
            return await super().recent(group, **options)

    registry = Down()
    cloud = Cloud(make_room(), registry=registry)
    await cloud(connect("/ws/lobby", query={"after": ""}))
    wake = cloud.wakes.pop()
    answer = await cloud(wake)
    assert answer["batchItemFailures"], "so that the queue brings it again"
    registry.down = False
    cloud.now += 60_000
    await cloud(wake)
    assert [json.loads(text)["type"] for text in cloud.sent] == ["history", "history", "welcome"]
