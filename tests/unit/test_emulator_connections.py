"""The shell around the gateway model, driven by scripted clients and scripted functions."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from gatesocket.clock import milliseconds
from gatesocket.emulator.answers import Answer, Failed, Returned
from gatesocket.emulator.api import Api, Route
from gatesocket.emulator.connections import Connections
from gatesocket.emulator.effects import Invoke
from gatesocket.emulator.gateway import Gateway, Handshake
from gatesocket.emulator.ids import random_id

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


class Browser:
    """A client, and the server's end of its socket."""

    def __init__(self, connections: Connections, query: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.buffered = 0
        self._outgoing: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        handshake = Handshake(headers=headers, query=(), source_ip="192.0.2.1")
        self.client = connections.open(self, handshake, query)

    def say(self, data: str | bytes, *, largest_frame: int | None = None) -> None:
        self.client.received(data, len(data) if largest_frame is None else largest_frame)

    async def heard(self) -> tuple[Any, ...]:
        return await asyncio.wait_for(self._outgoing.get(), 5)

    # What the shell does to its socket.

    def accept(self, subprotocol: str | None) -> None:
        self._outgoing.put_nowait(("accept", subprotocol))

    def refuse(self, status: int, body: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        self._outgoing.put_nowait(("refuse", status, body, tuple(headers)))

    def send(self, text: str) -> None:
        self._outgoing.put_nowait(("send", text))

    def close(self, code: int, reason: str) -> None:
        self._outgoing.put_nowait(("close", code, reason))


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

    async def open(self) -> tuple[Browser, str]:
        """Open a connection; return its client and id."""
        browser = Browser(self.connections)
        effect = await self.functions.next("$connect")
        assert await browser.heard() == ("accept", None)
        return browser, effect.connection_id


@pytest.fixture
async def world() -> AsyncIterator[World]:
    ids = (f"{number:015}=" for number in range(1000))
    route = Route("F")
    keys = ("$connect", "$default", "$disconnect")
    api = Api("a1", "prod", "us-east-1", "local", r"\$default", dict.fromkeys(keys, route))
    functions, clock = Functions(), Clock()
    connections = Connections(Gateway(api, new_id=lambda: next(ids)), functions.invoke, clock=clock)
    yield World(connections, functions, clock)
    await connections.aclose(grace=0)


async def test_the_handshake_waits_for_the_function(world: World) -> None:
    browser = Browser(world.connections, "a=1&b=", headers=(("Sec-WebSocket-Protocol", "chat"),))
    answer = Returned({"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chat"}})
    effect = await world.functions.next("$connect", answer)
    assert effect.event["queryStringParameters"] == {"a": "1", "b": ""}
    assert effect.event["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"
    assert await browser.heard() == ("accept", "chat")


async def test_a_refused_client_gets_the_functions_status(world: World) -> None:
    browser = Browser(world.connections)
    await world.functions.next("$connect", Returned({"statusCode": 401, "body": "no"}))
    assert await browser.heard() == ("refuse", 401, "no", ())


async def test_a_handshake_that_nobody_is_asked_about_is_accepted_at_once() -> None:
    api = Api("a1", "prod", "us-east-1", "local", r"\$default", {})
    connections = Connections(Gateway(api, new_id=random_id), Functions().invoke)
    assert await Browser(connections).heard() == ("accept", None)
    await connections.aclose(grace=0)


async def test_a_message_is_an_invocation_and_posts_reach_the_client_in_order(world: World) -> None:
    browser, connection_id = await world.open()
    browser.say("hi")
    effect = await world.functions.next("$default")
    assert effect.event.get("body") == "hi"
    for text in (b"one", b"two"):
        assert world.connections.manage("POST", connection_id, text).status == 200
    assert [await browser.heard() for _ in range(2)] == [("send", "one"), ("send", "two")]


async def test_messages_do_not_wait_for_one_another(world: World) -> None:
    browser, _ = await world.open()
    browser.say("first")
    browser.say("second")
    (first, answer_first), (second, answer_second) = [await world.functions.invoked.get() for _ in range(2)]
    assert [first.event.get("body"), second.event.get("body")] == ["first", "second"]
    answer_second.set_result(Failed("ValueError", "boom"))
    _, text = await browser.heard()
    assert "Internal server error" in text
    answer_first.set_result(OK)


@pytest.mark.parametrize(
    ("data", "largest_frame", "code"), [(b"x", 1, 1003), ("x" * 33_000, 33_000, 1009), ("x", 33_000, 1009)]
)
async def test_a_message_that_api_gateway_refuses_ends_the_connection(
    world: World, data: str | bytes, largest_frame: int, code: int
) -> None:
    browser, _ = await world.open()
    browser.say(data, largest_frame=largest_frame)
    assert await browser.heard() == ("close", code, "")
    await world.functions.next("$disconnect")


async def test_a_long_message_in_small_frames_passes(world: World) -> None:
    browser, _ = await world.open()
    browser.say("x" * 100_000, largest_frame=32_000)
    event: Any = (await world.functions.next("$default")).event
    assert len(event["body"]) == 100_000


@pytest.mark.parametrize(
    ("code", "reason", "seen"),
    [(1005, "", 1005), (1001, "", 1001), (4000, "bye", 4000), (None, "", 1006)],
)
async def test_a_client_that_leaves_is_reported_with_its_code(
    world: World, code: int | None, reason: str, seen: int
) -> None:
    browser, connection_id = await world.open()
    browser.client.left(code, reason)
    effect = await world.functions.next("$disconnect")
    assert effect.event["requestContext"]["disconnectStatusCode"] == seen
    assert world.connections.manage("POST", connection_id, b"gone").status == 410


async def test_a_client_that_leaves_during_the_handshake_is_let_go_when_it_is_answered(world: World) -> None:
    browser = Browser(world.connections)
    _, answer = await world.functions.invoked.get()
    browser.client.left(None, "")
    answer.set_result(OK)
    await world.functions.next("$disconnect")


async def test_the_management_api_closes_a_connection(world: World) -> None:
    browser, connection_id = await world.open()
    assert world.connections.manage("DELETE", connection_id, b"").status == 204
    assert await browser.heard() == ("close", 1000, "Connection Closed Normally")
    await world.functions.next("$disconnect")


async def test_what_waits_for_a_client_that_does_not_read_is_its_sockets_to_say(world: World) -> None:
    browser, connection_id = await world.open()
    browser.buffered = world.connections.quirks.client_buffer_bytes
    assert world.connections.manage("POST", connection_id, b"one more").status == 429


async def test_a_connection_without_messages_is_ended_after_ten_minutes(world: World) -> None:
    browser, _ = await world.open()
    world.clock.now += 10 * 60 * 1000
    world.connections._tick()
    assert await browser.heard() == ("close", 1001, "Going away")
    await world.functions.next("$disconnect")


async def test_what_is_overdue_after_a_sleep_of_the_machine_happens_with_the_next_input(world: World) -> None:
    """The event loop's clock stands still meanwhile, and with it the timer that waits for the handshake's deadline."""
    left, late = Browser(world.connections), Browser(world.connections)
    for _ in range(2):
        await world.functions.invoked.get()
    world.clock.now += 30_000
    left.client.left(None, "")
    _, status, *_ = await late.heard()
    assert status == 504


async def test_a_ping_is_no_message_and_goes_to_no_function(world: World) -> None:
    """What it may do is keep the connection alive, which is for the model to know."""
    browser, connection_id = await world.open()
    browser.client.pinged()
    browser.say("after")
    effect = await world.functions.next("$default")
    assert effect.event.get("body") == "after"
    assert effect.connection_id == connection_id


async def test_the_end_waits_for_what_still_runs_and_abandons_it_then(world: World) -> None:
    browser, _ = await world.open()
    browser.say("quick")
    browser.say("forever")
    (_, quick), (_, forever) = [await world.functions.invoked.get() for _ in range(2)]
    quick.set_result(OK)
    await world.connections.aclose(grace=0.01)
    await asyncio.wait([forever])
    assert forever.cancelled()
