"""The server's end of a WebSocket, where a well-behaved client would see nothing of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

from gatesocket.emulator import websocket
from gatesocket.emulator.answers import Answer
from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.effects import Invoke
from gatesocket.emulator.gateway import Gateway
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.quirks import Quirks
from gatesocket.emulator.throttle import Quotas, RateLimit
from support.stack import LittleStack, serving

HANDSHAKE = (
    b"GET /prod HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def accept(event: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200}


class HeldStack(LittleStack):
    """Whose ``$connect`` answers when the test lets it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.connections = Connections(Gateway(self.api, new_id=random_id), self._hold)

    async def _hold(self, effect: Invoke) -> Answer:
        if effect.event["requestContext"]["routeKey"] == "$connect":
            self.asked.set()
            await self.go_on.wait()
        return await self._invoke(effect)


Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def handshake(stack: LittleStack) -> AsyncIterator[Wire]:
    """Ask for a WebSocket, and don't wait for the answer; the server ends first."""
    async with serving(stack) as address:
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(HANDSHAKE)
        yield reader, writer
    writer.close()


def text(data: bytes) -> bytes:
    return Frame(Opcode.TEXT, data).serialize(mask=True)


async def head(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)


async def test_what_a_client_says_before_its_handshake_is_answered_waits() -> None:
    stack = HeldStack(accept)
    async with handshake(stack) as (reader, writer):
        await stack.asked.wait()
        count = 3 * websocket.EARLY_MESSAGES  # more than are read before
        writer.write(b"".join(text(b"%d" % number) for number in range(count)))
        await writer.drain()
        await asyncio.sleep(0)
        stack.go_on.set()
        assert (await head(reader)).startswith(b"HTTP/1.1 101")
        assert (await stack.events.get())["requestContext"]["eventType"] == "CONNECT"
        assert [(await stack.events.get())["body"] for _ in range(count)] == [str(number) for number in range(count)]


async def test_what_a_client_says_before_it_is_refused_is_lost() -> None:
    stack = HeldStack(lambda event: {"statusCode": 401})
    async with handshake(stack) as (reader, writer):
        await stack.asked.wait()
        writer.write(text(b"hello"))
        stack.go_on.set()
        assert (await head(reader)).startswith(b"HTTP/1.1 401")
    assert stack.events.qsize() == 1


async def test_a_client_that_leaves_before_its_handshake_is_answered_is_told_of_as_one_that_broke() -> None:
    stack = HeldStack(accept)
    async with handshake(stack) as (reader, writer):
        await stack.asked.wait()
        writer.write(b"\xff\xff")  # no frame that there is
        assert await asyncio.wait_for(reader.read(), 5) == b""
        stack.go_on.set()
        assert (await stack.events.get())["requestContext"]["eventType"] == "CONNECT"
        assert (await stack.events.get())["requestContext"]["disconnectStatusCode"] == 1006


async def test_what_a_client_says_after_it_was_closed_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that never answers the close frame is cut off."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.05)
    stack = LittleStack(accept)
    async with handshake(stack) as (reader, writer):
        await head(reader)
        context = (await stack.events.get())["requestContext"]
        stack.connections.manage("DELETE", context["connectionId"], b"")
        writer.write(Frame(Opcode.PING, b"").serialize(mask=True) + text(b"too late"))
        with suppress(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        assert (await stack.events.get())["requestContext"]["disconnectStatusCode"] == 1000
    assert stack.events.empty()


async def test_a_server_that_ends_says_so_to_its_clients() -> None:
    stack = LittleStack(accept)
    async with serving(stack) as address:
        client = await connect(f"ws://{address}/prod")
    await client.wait_closed()
    assert client.close_code == 1012


async def test_a_server_that_ends_answers_handshakes_that_wait() -> None:
    stack = HeldStack(accept)
    async with handshake(stack) as (reader, _):
        await stack.asked.wait()
        await stack.connections.aclose(grace=0)
    assert (await head(reader)).startswith(b"HTTP/1.1 503")


async def test_a_status_without_a_name_is_answered_too() -> None:
    async with serving(LittleStack(lambda event: {"statusCode": 599})) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/prod")
    assert refused.value.response.status_code == 599


async def test_a_handshake_over_the_rate_is_refused_at_once() -> None:
    stack = LittleStack(accept)
    none = Quotas(connections=RateLimit(0, 0))
    stack.connections = Connections(Gateway(stack.api, new_id=random_id, quotas=none), stack._invoke)
    async with serving(stack) as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/prod")
    assert refused.value.response.status_code == 429
    assert stack.events.empty()


async def test_a_handshake_that_nobody_is_asked_about_is_accepted_at_once() -> None:
    api = Api("a1", "prod", "us-east-1", "127.0.0.1", r"\$default", {"$default": Route("F")})
    stack = LittleStack(accept, api)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        await client.send("hello")
        assert (await stack.events.get())["body"] == "hello"


async def test_a_ping_reaches_the_gateway() -> None:
    """Which may take it as a sign of life."""
    stack = LittleStack(accept)
    model = Gateway(stack.api, new_id=random_id, quirks=Quirks(ping_keeps_alive=True))
    stack.connections = Connections(model, stack._invoke)
    async with serving(stack) as address, connect(f"ws://{address}/prod") as client:
        before = model.next_deadline()
        assert before is not None
        while model.next_deadline() == before:  # both are milliseconds
            await (await client.ping())


async def test_a_server_that_ends_waits_for_no_answer_to_its_close_frame() -> None:
    stack = LittleStack(accept)
    async with handshake(stack) as (reader, _):
        await head(reader)
        context = (await stack.events.get())["requestContext"]
        stack.connections.manage("DELETE", context["connectionId"], b"")


async def test_a_client_without_an_address_is_local() -> None:
    asked: list[tuple[Any, ...]] = []

    class Nowhere(asyncio.Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return None

    def admit(*arguments: Any) -> None:
        asked.append(arguments)

    config, server_state = Config(admit, ws_max_size=1000), ServerState()
    socket = websocket.GatewaySocket(admit, quirks=Quirks(), config=config, server_state=server_state)
    socket.connection_made(Nowhere())
    socket.data_received(HANDSHAKE)
    ((_, path, query, handshake),) = asked
    assert (path, query, handshake.source_ip, handshake.port) == ("/prod", "", "127.0.0.1", 80)
