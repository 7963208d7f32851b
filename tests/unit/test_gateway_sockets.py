"""The local life's gateway client: it posts to the sockets that this process holds."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from gatesocket.exceptions import ConnectionGone, MessageTooLarge
from gatesocket.gateway.sockets import SocketGateway


class Client:
    """A client at the other end of an accepted socket."""

    def __init__(self, **scope: Any) -> None:
        self.got: list[Message] = []
        self.left = False
        whole: Scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", **scope}
        self.socket = WebSocket(whole, self._receive, self._send)

    async def _receive(self) -> Message:
        return {"type": "websocket.disconnect", "code": 1001} if self.left else {"type": "websocket.connect"}

    async def _send(self, message: Message) -> None:
        if self.left:
            raise OSError("the client has left")
        self.got.append(message)


@pytest.fixture
async def gateway() -> AsyncIterator[SocketGateway]:
    gateway = SocketGateway()
    yield gateway
    await gateway.aclose()


@pytest.fixture
async def client(gateway: SocketGateway) -> Client:
    client = Client(client=("192.0.2.1", 5000), headers=[(b"user-agent", b"tester")])
    await client.socket.accept()
    gateway.attach("ann", client.socket)
    client.got.clear()
    return client


async def test_a_post_arrives_as_a_text(gateway: SocketGateway, client: Client) -> None:
    await gateway.post("ann", "hello")

    assert client.got == [{"type": "websocket.send", "text": "hello"}]


async def test_a_message_that_api_gateway_would_refuse_is_refused_here_too(
    gateway: SocketGateway, client: Client
) -> None:
    with pytest.raises(MessageTooLarge):
        await gateway.post("ann", "x" * 131_073)

    assert client.got == []


CALLS: list[Callable[[SocketGateway], Any]] = [
    lambda gateway: gateway.post("ann", "hello"),
    lambda gateway: gateway.close("ann"),
    lambda gateway: gateway.info("ann"),
]


@pytest.mark.parametrize("call", CALLS, ids=["post", "close", "info"])
async def test_nobody_is_behind_an_id_that_was_never_attached(call: Callable[[SocketGateway], Any]) -> None:
    with pytest.raises(ConnectionGone, match="'ann' is gone"):
        await call(SocketGateway())


@pytest.mark.parametrize("call", CALLS, ids=["post", "close", "info"])
async def test_a_socket_that_its_route_has_closed_is_gone(
    gateway: SocketGateway, client: Client, call: Callable[[SocketGateway], Any]
) -> None:
    await client.socket.close()

    with pytest.raises(ConnectionGone):
        await call(gateway)


async def test_a_client_that_leaves_during_the_send_is_gone(gateway: SocketGateway, client: Client) -> None:
    client.left = True

    with pytest.raises(ConnectionGone):
        await gateway.post("ann", "hello")
    with pytest.raises(ConnectionGone):
        await gateway.info("ann")


async def test_a_close_ends_the_connection_with_1000(gateway: SocketGateway, client: Client) -> None:
    await gateway.close("ann")

    assert [(message["type"], message["code"]) for message in client.got] == [("websocket.close", 1000)]
    with pytest.raises(ConnectionGone):
        await gateway.post("ann", "hello?")


async def test_a_detached_socket_is_gone_although_it_is_open(gateway: SocketGateway, client: Client) -> None:
    gateway.detach("ann")
    gateway.detach("ann")

    with pytest.raises(ConnectionGone):
        await gateway.post("ann", "hello?")
    assert client.got == []


async def test_a_connection_is_described_as_api_gateway_describes_it(gateway: SocketGateway, client: Client) -> None:
    before = await gateway.info("ann")
    await gateway.post("ann", "hello")
    after = await gateway.info("ann")

    assert (before.source_ip, before.user_agent) == ("192.0.2.1", "tester")
    assert before.connected_at == after.connected_at <= before.last_active_at <= after.last_active_at


async def test_a_server_on_a_unix_socket_knows_no_address(gateway: SocketGateway) -> None:
    client = Client()
    await client.socket.accept()
    gateway.attach("bob", client.socket)

    info = await gateway.info("bob")

    assert (info.source_ip, info.user_agent) == ("", None)
