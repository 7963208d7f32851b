"""What every gateway client promises (`gatesocket.gateway.base.GatewayClient`), asked of each of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from gatesocket.exceptions import ConnectionGone, GatewayError, InvalidConnectionId, MessageTooLarge
from gatesocket.gateway.base import GatewayClient
from gatesocket.gateway.fake import FakeGateway
from gatesocket.gateway.management_api import ManagementAPI
from gatesocket.limits import MESSAGE_BYTES
from support.management import ManagementServer, error, lean

Call = Callable[[GatewayClient, str], Awaitable[object]]

NEVER_WAS = "TXzPWdnOjoECGjA="


class World(Protocol):
    """A gateway with the clients that a test gives it."""

    @property
    def gateway(self) -> GatewayClient: ...
    def connecting(self, *, source_ip: str = ..., user_agent: str | None = ...) -> str: ...
    def open(self, connection_id: str) -> None: ...
    def leave(self, connection_id: str) -> None: ...
    def sent(self, connection_id: str) -> list[str]: ...
    def refuse(self, connection_id: str, status: int) -> None: ...


class Fake:
    def __init__(self) -> None:
        self.gateway = FakeGateway()
        self._said: dict[str, tuple[str, str | None]] = {}

    def connecting(self, *, source_ip: str = "203.0.113.7", user_agent: str | None = None) -> str:
        connection_id = f"YlzQXenPjoFDG{len(self._said):02}="
        self._said[connection_id] = (source_ip, user_agent)
        self.gateway.connecting(connection_id)
        return connection_id

    def open(self, connection_id: str) -> None:
        source_ip, user_agent = self._said[connection_id]
        self.gateway.open(connection_id, source_ip=source_ip, user_agent=user_agent)

    def leave(self, connection_id: str) -> None:
        self.gateway.gone(connection_id)

    def sent(self, connection_id: str) -> list[str]:
        return self.gateway.sent[connection_id]

    def refuse(self, connection_id: str, status: int) -> None:
        self.gateway.refuse(connection_id, status)


class Emulated:
    def __init__(self, server: ManagementServer, gateway: GatewayClient) -> None:
        self.gateway = gateway
        self._server = server
        self.connecting: Callable[..., str] = server.connecting
        self.open, self.leave = server.open, server.leave

    def sent(self, connection_id: str) -> list[str]:
        return self._server.sent[connection_id]

    def refuse(self, connection_id: str, status: int) -> None:
        self._server.answers.append(error(status, None, "no"))


@pytest.fixture(params=["fake", "management-api:boto3", "management-api:asyncio"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    kind, _, caller = request.param.partition(":")
    if kind == "fake":
        yield Fake()
        return
    server: ManagementServer = request.getfixturevalue("management")
    client = lean(server.url) if caller == "asyncio" else request.getfixturevalue("management_client")
    yield Emulated(server, ManagementAPI(client=client))
    if caller == "asyncio":
        await client.aclose()


@pytest.fixture
def ann(world: World) -> str:
    """A connection that is open."""
    connection_id = world.connecting()
    world.open(connection_id)
    return connection_id


CALLS = [
    pytest.param(lambda gateway, connection_id: gateway.post(connection_id, "hello"), id="post"),
    pytest.param(lambda gateway, connection_id: gateway.close(connection_id), id="close"),
    pytest.param(lambda gateway, connection_id: gateway.info(connection_id), id="info"),
]


async def test_posts_that_are_awaited_arrive_in_order(world: World, ann: str) -> None:
    texts = ["hello", "", "é\n\0\U0001f44b", '{"a": "b"}']
    for text in texts:
        await world.gateway.post(ann, text)
    assert world.sent(ann) == texts


async def test_concurrent_posts_arrive_in_the_order_in_which_they_were_called_for(world: World, ann: str) -> None:
    texts = [str(number) for number in range(20)]
    await asyncio.gather(*(world.gateway.post(ann, text) for text in texts))
    assert world.sent(ann) == texts


async def test_posts_to_different_connections_do_not_wait_for_one_another(world: World) -> None:
    connections = [world.connecting() for _ in range(10)]
    for connection_id in connections:
        world.open(connection_id)
    await asyncio.gather(*(world.gateway.post(connection_id, connection_id) for connection_id in connections))
    assert [world.sent(connection_id) for connection_id in connections] == [[each] for each in connections]


async def test_a_message_of_128_kib_is_sent(world: World, ann: str) -> None:
    await world.gateway.post(ann, "é" * (MESSAGE_BYTES // 2))
    assert len(world.sent(ann)[0].encode()) == MESSAGE_BYTES


async def test_a_larger_message_is_not_sent(world: World, ann: str) -> None:
    with pytest.raises(MessageTooLarge) as caught:
        await world.gateway.post(ann, "é" * (MESSAGE_BYTES // 2) + "x")
    assert (caught.value.size, caught.value.limit) == (MESSAGE_BYTES + 1, MESSAGE_BYTES)
    assert world.sent(ann) == []


@pytest.mark.parametrize("call", CALLS)
async def test_a_connection_whose_handshake_is_not_over_is_gone(world: World, call: Call) -> None:
    connection_id = world.connecting()
    with pytest.raises(ConnectionGone) as caught:
        await call(world.gateway, connection_id)
    assert caught.value.connection_id == connection_id


@pytest.mark.parametrize("call", CALLS)
async def test_a_client_that_has_left_is_gone(world: World, ann: str, call: Call) -> None:
    await world.gateway.post(ann, "hello")
    world.leave(ann)
    with pytest.raises(ConnectionGone):
        await call(world.gateway, ann)
    assert world.sent(ann) == ["hello"]


@pytest.mark.parametrize("call", CALLS)
async def test_a_connection_that_never_was_is_gone(world: World, call: Call) -> None:
    with pytest.raises(ConnectionGone):
        await call(world.gateway, NEVER_WAS)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("connection_id", ["", "ann", "../prod", "TXzPWdnOjoECGjA", "é"])
async def test_what_can_not_be_a_connection_id_is_refused(world: World, call: Call, connection_id: str) -> None:
    with pytest.raises(InvalidConnectionId, match="connection id") as caught:
        await call(world.gateway, connection_id)
    assert caught.value.connection_id == connection_id


async def test_a_connection_can_be_closed_once(world: World, ann: str) -> None:
    await world.gateway.close(ann)
    with pytest.raises(ConnectionGone):
        await world.gateway.close(ann)


async def test_what_is_known_of_a_connection(world: World) -> None:
    connection_id = world.connecting(source_ip="203.0.113.9", user_agent="wscat")
    world.open(connection_id)
    info = await world.gateway.info(connection_id)
    assert (info.source_ip, info.user_agent) == ("203.0.113.9", "wscat")
    assert datetime.now(UTC) - info.connected_at < timedelta(minutes=1)
    assert info.connected_at <= info.last_active_at


async def test_a_client_needn_t_say_what_it_is(world: World, ann: str) -> None:
    assert (await world.gateway.info(ann)).user_agent is None


@pytest.mark.parametrize("status", [403, 429, 500, 503])
@pytest.mark.parametrize("call", CALLS)
async def test_any_other_refusal_tells_its_status(world: World, ann: str, call: Call, status: int) -> None:
    world.refuse(ann, status)
    with pytest.raises(GatewayError, match=str(status)) as caught:
        await call(world.gateway, ann)
    assert (caught.value.connection_id, caught.value.status) == (ann, status)
    await world.gateway.post(ann, "the next one is accepted")


async def test_closing_the_client_twice_is_harmless(world: World) -> None:
    await world.gateway.aclose()
    await world.gateway.aclose()
