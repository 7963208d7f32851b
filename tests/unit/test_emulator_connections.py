"""The shell around the gateway model, driven by a scripted client and scripted functions."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gatesocket.clock import milliseconds
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.effects import Invoke
from gatesocket.emulator.gateway import Gateway
from gatesocket.emulator.websocket import LARGEST_FRAME, PING

OK = Returned({"statusCode": 200})


class Functions:
    """Holds every invocation until the test answers it."""

    def __init__(self) -> None:
        self.invoked: asyncio.Queue[tuple[Invoke, asyncio.Future[Answer]]] = asyncio.Queue()

    async def invoke(self, effect: Invoke) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.invoked.put_nowait((effect, answer))
        return await answer

    async def next(self, route_key: str, answer: Answer = OK) -> Invoke:
        """Answer the next invocation, which must be of *route_key*."""
        effect, future = await self.invoked.get()
        assert effect.event["requestContext"]["routeKey"] == route_key
        future.set_result(answer)
        return effect


class Client:
    """The other end of one socket, as ASGI shows it."""

    def __init__(
        self, connections: Connections, query: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self.gone = False
        scope = {"type": "websocket", "headers": headers, "client": ("192.0.2.1", 5)}
        self.incoming.put_nowait({"type": "websocket.connect"})
        self.served = asyncio.create_task(connections.serve(scope, query, self.incoming.get, self._send))

    def send(self, **message: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", **message})

    def leave(self, code: int = 1005, reason: str = "") -> None:
        self.gone = True
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def received(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.outgoing.get()
        return message

    async def _send(self, message: Any) -> None:
        if self.gone:
            raise OSError("gone")
        self.outgoing.put_nowait(message)


@dataclass
class Clock:
    now: int = field(default_factory=milliseconds)

    def __call__(self) -> int:
        return self.now


@dataclass
class World:
    connections: Connections
    functions: Functions
    clock: Clock

    async def open(self) -> tuple[Client, str]:
        """Open a connection; return its client and id."""
        client = Client(self.connections)
        effect = await self.functions.next("$connect")
        assert await client.received() == {"type": "websocket.accept", "subprotocol": None}
        return client, effect.connection_id


@pytest.fixture
async def world() -> AsyncIterator[World]:
    ids = (f"{number:015}=" for number in range(1000))
    route = Route("F")
    api = Api(
        "a1",
        "prod",
        "us-east-1",
        "local",
        r"\$default",
        dict.fromkeys(("$connect", "$default", "$disconnect"), route),
    )
    functions, clock = Functions(), Clock()
    connections = Connections(Gateway(api, new_id=lambda: next(ids)), functions.invoke, clock=clock)
    yield World(connections, functions, clock)
    await connections.aclose(grace=0)


async def test_the_handshake_waits_for_the_function(world: World) -> None:
    client = Client(world.connections, "a=1&b=", headers=((b"Sec-WebSocket-Protocol", b"chat"),))
    answer = Returned({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chat"}})
    effect = await world.functions.next("$connect", answer)
    assert effect.event["queryStringParameters"] == {"a": "1", "b": ""}
    assert effect.event["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"
    assert await client.received() == {"type": "websocket.accept", "subprotocol": "chat"}


async def test_a_refused_client_gets_the_functions_status(world: World) -> None:
    client = Client(world.connections)
    await world.functions.next("$connect", Returned({"statusCode": 401, "body": "no"}))
    assert (await client.received())["status"] == 401
    assert await client.received() == {"type": "websocket.http.response.body", "body": b"no"}
    await client.served


async def test_a_message_is_an_invocation_and_posts_reach_the_client_in_order(world: World) -> None:
    client, connection_id = await world.open()
    client.send(text="hi")
    effect = await world.functions.next("$default")
    assert effect.event.get("body") == "hi"
    for text in (b"one", b"two"):
        assert world.connections.manage("POST", connection_id, text).status == 200
    assert [(await client.received())["text"] for _ in range(2)] == ["one", "two"]


async def test_messages_do_not_wait_for_one_another(world: World) -> None:
    client, _ = await world.open()
    client.send(text="first")
    client.send(text="second")
    (first, answer_first), (second, answer_second) = [await world.functions.invoked.get() for _ in range(2)]
    assert [first.event.get("body"), second.event.get("body")] == ["first", "second"]
    answer_second.set_result(Failed("ValueError", "boom"))
    assert "Internal server error" in (await client.received())["text"]
    answer_first.set_result(OK)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"bytes": b"x"}, 1003),
        ({"text": "x" * 33_000}, 1009),
        ({"text": "x", LARGEST_FRAME: 33_000}, 1009),
    ],
)
async def test_a_message_that_api_gateway_refuses_ends_the_connection(
    world: World, message: dict[str, Any], code: int
) -> None:
    client, _ = await world.open()
    client.send(**message)
    assert (await client.received())["code"] == code
    await world.functions.next("$disconnect")
    await client.served


async def test_a_long_message_in_small_frames_passes(world: World) -> None:
    client, _ = await world.open()
    client.send(**{"text": "x" * 100_000, LARGEST_FRAME: 32_000})
    event: Any = (await world.functions.next("$default")).event
    assert len(event["body"]) == 100_000


@pytest.mark.parametrize(
    ("code", "reason", "seen"),
    [(1005, "", 1005), (1001, "", 1001), (4000, "bye", 4000), (1006, "", 1006)],
)
async def test_a_client_that_leaves_is_reported_with_its_code(world: World, code: int, reason: str, seen: int) -> None:
    client, _ = await world.open()
    client.leave(code, reason)
    effect = await world.functions.next("$disconnect")
    assert effect.event["requestContext"]["disconnectStatusCode"] == seen
    await client.served


async def test_a_client_that_leaves_during_the_handshake_is_let_go_at_once(world: World) -> None:
    client = Client(world.connections)
    _, answer = await world.functions.invoked.get()
    client.leave(1006)
    await client.served
    answer.set_result(OK)
    await world.functions.next("$disconnect")


async def test_a_client_that_speaks_before_the_handshake_is_answered_has_to_wait(world: World) -> None:
    client = Client(world.connections)
    client.send(text="too early")
    await world.functions.next("$connect")
    assert (await client.received())["type"] == "websocket.accept"
    assert (await world.functions.next("$default")).event.get("body") == "too early"


async def test_a_client_that_vanishes_while_it_is_sent_to_is_reported_once(world: World) -> None:
    client, connection_id = await world.open()
    client.gone = True
    assert world.connections.manage("POST", connection_id, b"lost").status == 200
    client.leave(1006)
    await world.functions.next("$disconnect")
    await client.served
    assert world.connections.manage("POST", connection_id, b"gone").status == 410


async def test_a_socket_that_the_server_gives_up_is_a_connection_that_broke(world: World) -> None:
    client, _ = await world.open()
    client.served.cancel()
    effect = await world.functions.next("$disconnect")
    assert effect.event["requestContext"]["disconnectStatusCode"] == 1006


async def test_the_management_api_closes_a_connection(world: World) -> None:
    client, connection_id = await world.open()
    assert world.connections.manage("DELETE", connection_id, b"").status == 204
    assert await client.received() == {
        "type": "websocket.close",
        "code": 1000,
        "reason": "Connection Closed Normally",
    }
    await client.served
    await world.functions.next("$disconnect")


async def test_a_connection_without_messages_is_ended_after_ten_minutes(world: World) -> None:
    client, _ = await world.open()
    world.clock.now += 10 * 60 * 1000
    world.connections._tick()
    assert (await client.received())["code"] == 1001
    await world.functions.next("$disconnect")


async def test_time_passes_by_itself(world: World) -> None:
    """The clock is set forward while a handshake waits, so that its deadline is over when the next timer is set."""
    late, later = Client(world.connections), Client(world.connections)
    for _ in range(2):
        await world.functions.invoked.get()
    world.clock.now += 30_000
    late.leave(1006)  # Any input sets the timer anew.
    assert (await later.received())["status"] == 504


async def test_a_ping_is_no_message_and_goes_to_no_function(world: World) -> None:
    """What it may do is keep the connection alive, which is for the model to know."""
    client, connection_id = await world.open()
    client.incoming.put_nowait({"type": PING})
    client.send(text="after")
    effect = await world.functions.next("$default")
    assert effect.event.get("body") == "after"
    assert effect.connection_id == connection_id


async def test_a_client_without_an_address_is_local(world: World) -> None:
    outgoing: asyncio.Queue[Any] = asyncio.Queue()
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    incoming.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "headers": (), "client": None}
    served = asyncio.create_task(world.connections.serve(scope, "", incoming.get, outgoing.put))
    effect = await world.functions.next("$connect", Returned({"statusCode": 403}))
    assert effect.event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    await served


async def test_the_end_waits_for_what_still_runs_and_abandons_it_then(world: World) -> None:
    client, _ = await world.open()
    client.send(text="quick")
    client.send(text="forever")
    (_, quick), (_, forever) = [await world.functions.invoked.get() for _ in range(2)]
    quick.set_result(OK)
    await world.connections.aclose(grace=0.01)
    await asyncio.wait([forever])
    assert forever.cancelled()
    client.served.cancel()
