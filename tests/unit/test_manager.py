"""Who is connected, and messages to them: the local life, and what is special about a process without sockets."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.testclient import TestClient

from gatesocket import ConnectionManager, backend
from gatesocket.backend import Backend
from gatesocket.exceptions import (
    ConfigurationError,
    GatewayError,
    InvalidConnectionId,
    MessageTooLarge,
)
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.base import EVERYONE, Changes, Entry, Lease, Member, Record
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.testing import GatewayTestClient
from gatesocket.waker import MemoryWaker

FAR = 1 << 40


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of the machine out of the tests."""
    for name in ("GATESOCKET_TABLE", "GATESOCKET_ENDPOINT", "GATESOCKET_WAKE_QUEUE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def chat() -> Iterator[TestClient]:
    """A client of the tutorial's chat, whose HTTP routes show and send what they can."""
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/ws/{room}")
    async def talk(websocket: WebSocket, room: str, user: str | None = None) -> None:
        await manager.connect(websocket, groups=[room], user=user)
        try:
            while True:
                text = await websocket.receive_text()
                match text.partition(" "):
                    case ["id", *_]:
                        await manager.send_personal_message({"id": manager.connection_id(websocket)}, websocket)
                    case ["join", _, group]:
                        await manager.join(websocket, group)
                    case ["leave", _, group]:
                        await manager.leave(websocket, group)
                    case ["others", _, said]:
                        await manager.broadcast(said, group=room, exclude=[websocket])
                    case _:
                        await manager.broadcast(text, group=room)
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"{user} left", group=room)

    @app.get("/members/{room}")
    async def members(room: str) -> dict[str, Any]:
        return {
            "members": [connection_id async for connection_id in manager.members(room)],
            "users": [user async for user in manager.users(room)],
            "count": await manager.count(room),
            "everyone": await manager.count(),
        }

    @app.post("/user/{user}")
    async def to_user(user: str, text: str) -> int:
        return (await manager.send_to_user(user, text)).sent

    @app.post("/connection/{connection_id}")
    async def to_connection(connection_id: str, text: str) -> bool:
        return await manager.send_to(connection_id, text)

    with TestClient(app) as client:
        yield client


def test_a_broadcast_reaches_everybody_in_the_group_and_nobody_else(chat: TestClient) -> None:
    with (
        chat.websocket_connect("/ws/lobby") as ann,
        chat.websocket_connect("/ws/lobby") as bob,
        chat.websocket_connect("/ws/cellar") as eve,
    ):
        ann.send_text("hello")

        assert ann.receive_text() == bob.receive_text() == "hello"
        eve.send_text("anybody here?")
        assert eve.receive_text() == "anybody here?"


def test_a_connection_that_has_left_is_forgotten_before_the_others_are_told(chat: TestClient) -> None:
    with chat.websocket_connect("/ws/lobby?user=ann") as ann:
        with chat.websocket_connect("/ws/lobby?user=bob"):
            assert chat.get("/members/lobby").json()["users"] == ["ann", "bob"]

        assert ann.receive_text() == "bob left"
        assert chat.get("/members/lobby").json()["count"] == 1


def test_whoever_is_excluded_hears_nothing(chat: TestClient) -> None:
    with chat.websocket_connect("/ws/lobby") as ann, chat.websocket_connect("/ws/lobby") as bob:
        ann.send_text("others psst")
        assert bob.receive_text() == "psst"

        ann.send_text("now all")
        assert ann.receive_text() == "now all"


def test_a_connection_joins_and_leaves_groups_while_it_lasts(chat: TestClient) -> None:
    with chat.websocket_connect("/ws/lobby?user=ann") as ann:
        ann.send_text("join cellar")
        ann.send_text("id")
        connection_id = ann.receive_json()["id"]
        assert chat.get("/members/cellar").json() == {
            "members": [connection_id],
            "users": ["ann"],
            "count": 1,
            "everyone": 1,
        }

        ann.send_text("leave cellar")
        ann.send_text("id")
        ann.receive_json()
        assert chat.get("/members/cellar").json()["members"] == []


def test_a_person_is_reached_on_every_connection_they_have(chat: TestClient) -> None:
    with chat.websocket_connect("/ws/a?user=ann") as phone, chat.websocket_connect("/ws/b?user=ann") as desk:
        assert chat.post("/user/ann?text=ping").json() == 2
        assert phone.receive_text() == desk.receive_text() == "ping"
        assert chat.get("/members/a").json()["users"] == ["ann"]


def test_one_connection_is_reached_by_its_id_until_it_has_left(chat: TestClient) -> None:
    with chat.websocket_connect("/ws/lobby") as ann:
        ann.send_text("id")
        connection_id = ann.receive_json()["id"]
        assert chat.post(f"/connection/{connection_id}?text=hi").json() is True
        assert ann.receive_text() == "hi"

    assert chat.post(f"/connection/{connection_id}?text=hi").json() is False


def test_forgetting_a_socket_that_was_never_registered_is_harmless() -> None:
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await manager.disconnect(websocket)
        with pytest.raises(ConfigurationError, match=r"await manager\.connect\(websocket\) first"):
            manager.connection_id(websocket)
        await websocket.close()

    with TestClient(app).websocket_connect("/") as client:
        assert client.receive()["type"] == "websocket.close"


def test_a_text_where_a_list_of_groups_belongs_is_refused_with_what_was_meant() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await ConnectionManager().connect(websocket, groups="lobby")

    with pytest.raises(TypeError, match=r"did you mean \['lobby'\]"), TestClient(app).websocket_connect("/"):
        pass


def test_a_local_socket_is_refused_where_connections_are_kept_in_dynamodb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESOCKET_TABLE", "connections")
    monkeypatch.setenv("GATESOCKET_ENDPOINT", "https://api.execute-api.eu-west-1.amazonaws.com/prod")
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await ConnectionManager().connect(websocket)

    with (
        pytest.raises(ConfigurationError, match="Unset it to run the app under uvicorn"),
        TestClient(app).websocket_connect("/"),
    ):
        pass


async def test_a_table_without_an_endpoint_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATESOCKET_TABLE", "connections")

    with pytest.raises(ConfigurationError, match="Set it to https://{api}"):
        await ConnectionManager().broadcast("hello")


# Where no socket is: an HTTP route in Lambda, a job, a script.


class Elsewhere:
    """A process that holds no socket, with a registry and a gateway of its own."""

    def __init__(self, registry: MemoryRegistry | None = None) -> None:
        self.registry = registry or MemoryRegistry()
        self.gateway = FakeGateway()
        self.woken: list[str] = []

        async def on_wake(event: dict[str, Any], delay: float) -> None:
            self.woken.append(json.loads(event["Records"][0]["body"])["connection_id"])

        self.backend = Backend(self.registry, self.gateway, MemoryWaker(on_wake))

    async def connect(
        self,
        connection_id: str,
        *groups: str,
        live: bool = True,
        user: str | None = None,
        outbox: tuple[str, ...] = (),
    ) -> None:
        record = Record(
            connection_id,
            b"",
            0,
            FAR,
            b"snapshot",
            outbox=outbox,
            live=live,
            groups=frozenset({EVERYONE, *groups}),
            user=user,
        )
        await self.registry.create(record)


ANN, BOB, EVE = "AAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBB=", "EEEEEEEEEEEEEEE="


async def test_a_member_that_has_left_is_pruned_and_the_others_get_the_message() -> None:
    process = Elsewhere()
    await process.connect(ANN, "lobby")
    await process.connect(BOB, "lobby")
    process.gateway.open(ANN)

    with backend.use(process.backend):
        manager = ConnectionManager()
        delivery = await manager.broadcast("hello", group="lobby")

        assert (delivery.sent, delivery.gone, delivery.queued, delivery.failed) == (1, 1, 0, 0)
        assert process.gateway.sent[ANN] == ["hello"]
        assert [member async for member in manager.members("lobby")] == [ANN]
    assert await process.registry.get(BOB, now=0) is not None, "its route still has to learn that it has left"


async def test_a_member_whose_handshake_is_not_over_gets_the_message_when_it_is() -> None:
    process = Elsewhere()
    await process.connect(ANN, live=False)

    with backend.use(process.backend):
        delivery = await ConnectionManager().broadcast("hello")

    assert (delivery.sent, delivery.queued, process.woken) == (0, 1, [ANN])
    record = await process.registry.get(ANN, now=0)
    assert record is not None
    [entry] = record.inbox
    assert (entry.kind, entry.body) == ("post", "hello")


@pytest.mark.parametrize("send", ["broadcast", "send_to_user", "send_to"])
async def test_nothing_overtakes_what_a_route_sent_first(send: str) -> None:
    """The socket is live, so that a post would be taken; but the route's own first words aren't delivered yet."""
    process = Elsewhere()
    await process.connect(ANN, live=False, user="ann", outbox=("welcome",))
    process.gateway.open(ANN)
    manager = ConnectionManager()

    with backend.use(process.backend):
        if send == "broadcast":
            assert (await manager.broadcast("joined")).queued == 1
        elif send == "send_to_user":
            assert (await manager.send_to_user("ann", "joined")).queued == 1
        else:
            assert await manager.send_to(ANN, "joined")

    record = await process.registry.get(ANN, now=0)
    assert record is not None
    assert ([entry.body for entry in record.inbox], process.woken) == (["joined"], [ANN])
    assert process.gateway.sent[ANN] == []


def test_a_route_that_greets_its_own_client_before_the_handshake_is_over_is_told_that_it_waits() -> None:
    app, manager, counts = FastAPI(), ConnectionManager(), list[tuple[int, int]]()

    @app.websocket("/ws")
    async def greet(websocket: WebSocket) -> None:
        await manager.connect(websocket)
        for text in ("hello", "you are connected"):
            delivery = await manager.broadcast(text)
            counts.append((delivery.sent, delivery.queued))
            await websocket.receive()

    with GatewayTestClient(app) as client, client.websocket_connect("/ws") as ann:
        assert ann.receive_text() == "hello"
        ann.send_text("hi")
        assert ann.receive_text() == "you are connected"
    assert counts == [(0, 1), (1, 0)]


async def test_a_member_that_only_seems_to_wait_is_posted_to() -> None:
    """Between its delivery and its membership's saying so."""

    class Late(MemoryRegistry):
        async def members(self, group: str, *, now: int) -> AsyncIterator[Member]:
            yield Member(ANN, None, waits=True)

    process = Elsewhere(Late())
    await process.connect(ANN)
    process.gateway.open(ANN)

    with backend.use(process.backend):
        delivery = await ConnectionManager().broadcast("hello")

    assert (delivery.sent, process.gateway.sent[ANN]) == (1, ["hello"])


async def test_a_message_to_a_connection_that_is_in_use_waits_for_its_holder() -> None:
    process = Elsewhere()
    await process.connect(ANN, live=False)
    taken = await process.registry.take(ANN, Entry("wake", "1"), Lease("h", FAR), now=0)

    with backend.use(process.backend):
        await ConnectionManager().broadcast("hello")

    more = await process.registry.release(taken.record, Changes(b"later"), seen=1, now=0)  # type: ignore[union-attr]
    assert [entry.body for entry in more] == ["hello"]


async def test_a_failure_is_named_and_is_nobody_elses() -> None:
    class Failing(FakeGateway):
        async def post(self, connection_id: str, text: str) -> None:
            if connection_id == BOB:
                raise GatewayError("throttled", connection_id=BOB, status=429)
            await super().post(connection_id, text)

    process = Elsewhere()
    gateway = Failing()
    for connection_id in (ANN, BOB, EVE):
        await process.connect(connection_id)
        gateway.open(connection_id)

    with backend.use(Backend(process.registry, gateway)):
        delivery = await ConnectionManager().broadcast("hello")

    assert (delivery.sent, delivery.failed) == (2, 1)
    assert str(delivery.failures[BOB]) == "throttled"


async def test_a_person_is_reached_from_a_process_that_holds_no_socket() -> None:
    process = Elsewhere()
    await process.connect(ANN, user="ann")
    await process.connect(BOB, user="bob")
    process.gateway.open(ANN)
    process.gateway.open(BOB)

    with backend.use(process.backend):
        delivery = await ConnectionManager().send_to_user("ann", "you")

    assert (delivery.sent, process.gateway.sent[ANN], process.gateway.sent[BOB]) == (1, ["you"], [])


async def test_a_text_where_a_list_to_exclude_belongs_is_refused_before_anybody_gets_the_message() -> None:
    process = Elsewhere()
    await process.connect(ANN)
    process.gateway.open(ANN)

    with backend.use(process.backend), pytest.raises(TypeError, match=r"did you mean \['AAAAAAAAAAAAAAA='\]"):
        await ConnectionManager().broadcast("hello", exclude=ANN)

    assert process.gateway.sent[ANN] == []


async def test_connection_ids_can_be_excluded() -> None:
    process = Elsewhere()
    for connection_id in (ANN, BOB):
        await process.connect(connection_id)
        process.gateway.open(connection_id)

    with backend.use(process.backend):
        assert (await ConnectionManager().broadcast("hello", exclude=[ANN, EVE])).sent == 1

    assert process.gateway.sent == {ANN: [], BOB: ["hello"]}


async def test_what_can_not_be_a_group_is_an_error_of_the_sender() -> None:
    process = Elsewhere()

    with backend.use(process.backend), pytest.raises(ValueError, match="'' has 0"):
        await ConnectionManager().broadcast("hello", group="")


async def test_an_unserialisable_message_reaches_nobody() -> None:
    process = Elsewhere()
    await process.connect(ANN)
    process.gateway.open(ANN)

    with backend.use(process.backend), pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        await ConnectionManager().broadcast({"hello": object()})

    assert process.gateway.sent[ANN] == []


async def test_people_are_named_once_and_nobody_without_a_name() -> None:
    process = Elsewhere()
    await process.connect(ANN, user="ann")
    await process.connect(BOB, user="ann")
    await process.connect(EVE)

    with backend.use(process.backend):
        assert [user async for user in ConnectionManager().users()] == ["ann"]


async def test_malformed_ids_in_the_registry_are_named_and_keep_the_message_from_nobody() -> None:
    process = Elsewhere()
    for connection_id in ("no id", ANN, "a/../b"):
        await process.connect(connection_id)
    process.gateway.open(ANN)

    with backend.use(process.backend):
        delivery = await ConnectionManager().broadcast("hello")

    assert (delivery.sent, delivery.failed) == (1, 2)
    assert {i: type(error) for i, error in delivery.failures.items()} == {
        "no id": InvalidConnectionId,
        "a/../b": InvalidConnectionId,
    }


async def test_an_id_that_can_not_be_one_is_an_error_of_the_sender() -> None:
    process = Elsewhere()

    with backend.use(process.backend), pytest.raises(InvalidConnectionId):
        await ConnectionManager().send_to("no id", "hello")


async def test_a_refusal_of_the_one_post_is_the_senders_to_see() -> None:
    process = Elsewhere()
    await process.connect(ANN)
    process.gateway.open(ANN)
    process.gateway.refuse(ANN, status=403)

    with backend.use(process.backend), pytest.raises(GatewayError, match="403"):
        await ConnectionManager().send_to(ANN, "hello")


async def test_what_is_no_text_names_nobody_and_is_said_before_anybody_is_sent_to() -> None:
    process, manager = Elsewhere(), ConnectionManager()
    await process.connect(ANN)
    process.gateway.open(ANN)
    wrong: Any = 5

    with backend.use(process.backend):
        with pytest.raises(
            TypeError, match=r"expected a connection id, but got int; .*manager.connection_id\(websocket\)"
        ):
            await manager.send_to(wrong, "hello")
        with pytest.raises(TypeError, match="expected a group's name, but got int"):
            await manager.broadcast("hello", group=wrong)
        with pytest.raises(TypeError, match="expected a user's name, but got int"):
            await manager.send_to_user(wrong, "hello")
        with pytest.raises(TypeError, match="expected a connection id or a socket to exclude, but got int"):
            await manager.broadcast("hello", exclude=[ANN, wrong])

    assert process.gateway.sent[ANN] == []


async def test_a_message_that_is_too_large_reaches_nobody() -> None:
    process = Elsewhere()
    await process.connect(ANN)
    process.gateway.open(ANN)

    with backend.use(process.backend), pytest.raises(MessageTooLarge):
        await ConnectionManager().broadcast("x" * (128 * 1024 + 1))

    assert process.gateway.sent[ANN] == []
