"""Who comes into a group and who leaves it, told to its other members."""

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.testclient import TestClient

from gatesocket import ConnectionManager
from gatesocket.backend import Backend, use
from gatesocket.exceptions import ConnectionGone, RegistryError
from gatesocket.gateway.fake import FakeGateway
from gatesocket.presence import Presence
from gatesocket.registry.base import EVERYONE, Member, Record
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.testing import GatewayTestClient

FAR = 1 << 40
ANN, BOB, EVE = "AAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBB=", "EEEEEEEEEEEEEEE="

LIVES = pytest.mark.parametrize("client", [TestClient, GatewayTestClient], ids=["uvicorn's life", "the cloud's life"])


def tell(event: Presence) -> str:
    return f"{event.user} {event.kind} {event.group}"


app = FastAPI()
manager = ConnectionManager(presence=tell)


@app.websocket("/ws/{room}")
async def talk(websocket: WebSocket, room: str, user: str) -> None:
    await manager.connect(websocket, groups=[room], user=user)
    try:
        while True:
            command, _, group = (await websocket.receive_text()).partition(" ")
            if command == "join":
                await manager.join(websocket, group)
            if command == "leave":
                await manager.leave(websocket, group)
    except WebSocketDisconnect:
        await manager.disconnect(websocket)


@LIVES
def test_the_others_in_a_group_hear_who_comes_and_who_leaves(client: type[TestClient]) -> None:
    with client(app) as served, served.websocket_connect("/ws/lobby?user=ann") as ann:
        with served.websocket_connect("/ws/lobby?user=bob"):
            assert ann.receive_text() == "bob joined lobby"
        assert ann.receive_text() == "bob left lobby"


@LIVES
def test_joining_and_leaving_while_connected_is_told_where_it_happens(client: type[TestClient]) -> None:
    with (
        client(app) as served,
        served.websocket_connect("/ws/attic?user=ann") as ann,
        served.websocket_connect("/ws/lobby?user=bob") as bob,
    ):
        bob.send_text("join attic")
        assert ann.receive_text() == "bob joined attic"
        bob.send_text("leave attic")
        assert ann.receive_text() == "bob left attic"
        bob.send_text("leave attic")  # it isn't in it, and nobody hears of it
        bob.send_text("join attic")
        assert ann.receive_text() == "bob joined attic"


class Deployment:
    """A process that holds no socket."""

    def __init__(self, registry: MemoryRegistry | None = None) -> None:
        self.registry = registry or MemoryRegistry()
        self.gateway = FakeGateway()
        self.backend = Backend(self.registry, self.gateway)

    async def connect(self, connection_id: str, user: str) -> None:
        groups = frozenset({EVERYONE, "lobby"})
        record = Record(connection_id, b"", 0, FAR, b"snapshot", live=True, groups=groups, user=user)
        await self.registry.create(record)
        self.gateway.open(connection_id)


async def test_who_is_found_gone_is_announced_and_so_is_who_is_found_gone_by_that() -> None:
    class Leaving(FakeGateway):
        async def post(self, connection_id: str, text: str) -> None:
            if text == "bob left lobby" and connection_id == EVE:
                raise ConnectionGone(EVE)
            await super().post(connection_id, text)

    deployment = Deployment()
    deployment.gateway = Leaving()
    deployment.backend = Backend(deployment.registry, deployment.gateway)
    await deployment.connect(ANN, "ann")
    await deployment.connect(BOB, "bob")
    await deployment.connect(EVE, "eve")
    deployment.gateway.gone(BOB)

    with use(deployment.backend):
        assert (await manager.broadcast("hello", group="lobby")).gone == 1
        assert (await manager.broadcast("again", group="lobby")).gone == 0

    assert deployment.gateway.sent[ANN] == ["hello", "bob left lobby", "eve left lobby", "again"]


async def test_the_group_of_everyone_is_not_told() -> None:
    deployment = Deployment()
    await deployment.connect(ANN, "ann")
    await deployment.connect(BOB, "bob")
    deployment.gateway.gone(BOB)

    with use(deployment.backend):
        assert (await manager.broadcast("hello")).gone == 1

    assert deployment.gateway.sent[ANN] == ["hello"]


async def test_without_presence_nobody_hears_of_anybody() -> None:
    deployment = Deployment()
    await deployment.connect(ANN, "ann")
    await deployment.connect(BOB, "bob")
    deployment.gateway.gone(BOB)

    with use(deployment.backend):
        assert (await ConnectionManager().broadcast("hello", group="lobby")).gone == 1

    assert deployment.gateway.sent[ANN] == ["hello"]


async def test_an_announcement_that_fails_is_logged_and_the_broadcast_stands(caplog: pytest.LogCaptureFixture) -> None:
    class Unreadable(MemoryRegistry):
        reads = 0

        async def members(self, group: str, *, now: int):  # type: ignore[no-untyped-def]  # as the base class
            self.reads += 1
            if self.reads > 1:
                raise RegistryError("throttled")
            yield Member(ANN, "ann")
            yield Member(BOB, "bob")

    deployment = Deployment(Unreadable())
    await deployment.connect(ANN, "ann")
    await deployment.connect(BOB, "bob")
    deployment.gateway.gone(BOB)

    with use(deployment.backend):
        delivery = await manager.broadcast("hello", group="lobby")

    assert (delivery.sent, delivery.gone) == (1, 1)
    assert f"group 'lobby' wasn't told of connection {BOB}, who left" in caplog.messages
