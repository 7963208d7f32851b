"""What an invocation does about others of the same connection: those that died, and those that come after it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket.invocation import HAND_OVER_MARGIN, LEASE_MARGIN
from gatesocket.registry.base import Entry, Lease, Taken
from gatesocket.registry.bounds import Bounds
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.session import MAX_ATTEMPTS
from support.cloud import Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, message

TIME_LIMIT = 10_000  # ms that each invocation of `Cloud` has


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


def nothing(text: str) -> None:
    """Take no time."""


def diary(seen: list[str], *, on_text: Callable[[str], None] = nothing) -> FastAPI:
    """An app whose one route writes down what it receives, and how it ends."""
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                text = await websocket.receive_text()
                on_text(text)
                seen.append(text)
        except WebSocketDisconnect as left:
            seen.append(f"left with {left.code}")

    return app


async def die(cloud: Cloud, entry: Entry, times: int) -> None:
    """Let holders take the connection with *entry* and die of it."""
    for number in range(times):
        taken = await cloud.registry.take(CONNECTION, entry, Lease(f"dead {number}", cloud.now + 1000), now=cloud.now)
        assert isinstance(taken, Taken)
        cloud.now += 1000


POISON = Entry("message", "poison", "poison")


# What a dead holder leaves.


async def test_what_a_dead_holder_left_is_received_first() -> None:
    seen: list[str] = []
    cloud = Cloud(diary(seen))
    await cloud(connect())
    await die(cloud, Entry("message", "1", "one"), 1)

    await cloud(message("two", message_id="2"))

    assert seen == ["one", "two"]


async def test_messages_that_kill_their_holders_are_dropped_and_the_route_is_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    cloud = Cloud(diary(seen))
    await cloud(connect())
    await die(cloud, POISON, MAX_ATTEMPTS)

    await cloud(message("innocent", message_id="2"))

    assert seen == ["left with 1011"]
    assert cloud.gateway.closed == [CONNECTION]
    assert await cloud.record() is None
    assert "3 invocations in a row have died of it" in caplog.text
    assert "these messages are dropped: poison, 2" in caplog.text


async def test_a_client_that_has_left_is_seen_to_have_left_with_its_own_code() -> None:
    seen: list[str] = []
    cloud = Cloud(diary(seen))
    await cloud(connect())
    await die(cloud, POISON, MAX_ATTEMPTS)

    await cloud(disconnect(1001))

    assert seen == ["left with 1001"]


async def test_a_route_whose_end_kills_its_holders_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    cloud = Cloud(diary(seen))
    await cloud(connect())
    await die(cloud, POISON, 2 * MAX_ATTEMPTS)

    await cloud(disconnect(1001))

    assert seen == []
    assert await cloud.record() is None
    assert "6 invocations in a row have died of it" in caplog.text


async def test_a_connection_that_can_not_be_closed_is_given_up_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    cloud = Cloud(diary(seen))
    await cloud(connect())
    await die(cloud, POISON, MAX_ATTEMPTS)
    cloud.gateway.refuse(CONNECTION, 500)

    await cloud(message("innocent", message_id="2"))

    assert seen == ["left with 1011"]
    assert await cloud.record() is None
    assert "could not be closed" in caplog.text


async def test_a_route_that_has_ended_does_not_end_again_because_its_close_failed() -> None:
    seen: list[str] = []
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        seen.append(await websocket.receive_text())

    cloud = Cloud(app)
    await cloud(connect())
    cloud.gateway.refuse(CONNECTION, 500)

    await cloud(message("one", message_id="1"))
    await cloud(message("two", message_id="2"))

    assert seen == ["one"]
    assert cloud.gateway.closed == [CONNECTION], "by the message that found no record"


async def test_nobody_is_left_alone_with_a_disconnect_whose_holder_may_die() -> None:
    """Nothing comes after a disconnect; so a wake looks after it when the holder's lease is over."""
    seen: list[str] = []
    cloud = Cloud(diary(seen))
    await cloud(connect())
    lease = Lease("dies", cloud.now + TIME_LIMIT + LEASE_MARGIN)
    await cloud.registry.take(CONNECTION, Entry("message", "1", "one"), lease, now=cloud.now)

    await cloud(disconnect(1001))

    assert (seen, cloud.delays) == ([], [12])
    cloud.now += 11_000
    await cloud.wake()
    assert seen == ["one", "left with 1001"]
    assert await cloud.record() is None


async def test_without_a_waker_a_disconnect_waits_for_its_holder() -> None:
    cloud = Cloud(diary([]), waker=False)
    await cloud(connect())
    await cloud.registry.take(CONNECTION, Entry("message", "1"), Lease("h", cloud.now + 1000), now=cloud.now)

    assert await cloud(disconnect(1001)) == {"statusCode": 200}

    record = await cloud.record()
    assert record is not None
    assert [entry.kind for entry in record.inbox] == ["message", "disconnect"]


async def test_a_full_inbox_of_a_dead_holder_is_worked_off_by_a_wake() -> None:
    seen: list[str] = []
    cloud = Cloud(diary(seen), registry=MemoryRegistry(bounds=Bounds(inbox_entries=1)))
    await cloud(connect())
    await die(cloud, Entry("message", "1", "one"), 1)

    await cloud.waker.wake(CONNECTION)  # type: ignore[union-attr]
    assert await cloud.wake() == {"batchItemFailures": []}

    assert seen == ["one"]


async def test_a_wake_is_not_needed_where_a_holder_has_a_full_inbox(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gatesocket")
    cloud = Cloud(diary([]), registry=MemoryRegistry(bounds=Bounds(inbox_entries=1)))
    await cloud(connect())
    await cloud.registry.take(CONNECTION, Entry("message", "1"), Lease("h", cloud.now + 1000), now=cloud.now)

    await cloud.waker.wake(CONNECTION)  # type: ignore[union-attr]
    assert await cloud.wake() == {"batchItemFailures": []}

    assert "isn't needed" in caplog.text


async def test_a_client_that_left_without_a_word_is_heard_to_its_last_message() -> None:
    """A post finds it gone, while its last message waits behind the one that is worked on."""
    seen: list[str] = []
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        try:
            while True:
                seen.append(await websocket.receive_text())
                if len(seen) == 1:
                    await cloud(message("two", message_id="2"))
        except WebSocketDisconnect as left:
            seen.append(f"left with {left.code}")

    cloud = Cloud(app)
    await cloud(connect())
    cloud.gateway.gone(CONNECTION)

    await cloud(message("one", message_id="1"))

    assert seen == ["one", "two", "left with 1006"]
    assert await cloud.record() is None


# What an invocation without much time leaves.


async def test_an_invocation_close_to_its_time_limit_leaves_the_rest_to_a_wake() -> None:
    seen: list[str] = []

    def spend(text: str) -> None:
        if text == "one":
            cloud.now += TIME_LIMIT - HAND_OVER_MARGIN

    cloud = Cloud(diary(seen, on_text=spend))
    await cloud(connect())
    await die(cloud, Entry("message", "1", "one"), 1)

    await cloud(message("two", message_id="2"))

    record = await cloud.record()
    assert record is not None
    assert (seen, record.inbox) == (["one"], (Entry("message", "2", "two"),))
    assert (record.lease, record.attempts, cloud.delays) == (None, 0, [0])
    await cloud.wake()
    assert seen == ["one", "two"]


async def test_what_comes_while_the_time_runs_out_is_left_as_well() -> None:
    seen: list[str] = []
    reached, go_on = asyncio.Event(), asyncio.Event()
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                seen.append(await websocket.receive_text())
                if not reached.is_set():
                    reached.set()
                    await go_on.wait()
        except WebSocketDisconnect as left:
            seen.append(f"left with {left.code}")

    cloud = Cloud(app)
    await cloud(connect())
    first = asyncio.ensure_future(cloud(message("one", message_id="1")))
    await reached.wait()
    await cloud(message("two", message_id="2"))
    await cloud(disconnect(1001))
    cloud.now += TIME_LIMIT - HAND_OVER_MARGIN
    go_on.set()
    await first

    record = await cloud.record()
    assert record is not None
    assert (seen, [entry.kind for entry in record.inbox]) == (["one"], ["message", "disconnect"])
    await cloud.wake()
    assert seen == ["one", "two", "left with 1001"]
    assert await cloud.record() is None


async def test_an_invocation_with_time_left_leaves_nothing() -> None:
    seen: list[str] = []

    def spend(text: str) -> None:
        cloud.now += TIME_LIMIT - HAND_OVER_MARGIN - 1 if text == "one" else 0

    cloud = Cloud(diary(seen, on_text=spend))
    await cloud(connect())
    await die(cloud, Entry("message", "1", "one"), 1)

    await cloud(message("two", message_id="2"))

    assert (seen, cloud.wakes) == (["one", "two"], [])


async def test_without_a_waker_an_invocation_works_to_its_end() -> None:
    seen: list[str] = []

    def spend(text: str) -> None:
        cloud.now += TIME_LIMIT

    cloud = Cloud(diary(seen, on_text=spend), waker=False)
    await cloud(connect())
    await die(cloud, Entry("message", "1", "one"), 1)

    await cloud(message("two", message_id="2"))

    assert seen == ["one", "two"]


async def test_a_text_from_elsewhere_keeps_its_place_between_two_messages() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    cloud = Cloud(app)
    await cloud(connect())
    await die(cloud, Entry("message", "1", "one"), 1)
    assert await cloud.registry.hold_back(CONNECTION, Entry("post", "p", "from elsewhere"), now=cloud.now)

    await cloud(message("two", message_id="2"))

    assert cloud.sent == ["one", "from elsewhere", "two"]
