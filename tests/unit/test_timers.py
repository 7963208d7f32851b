"""Durable timers, from the handler's side: wakes, records, and what comes too early, too late, twice or never."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConfigurationError, limits
from gatesocket.invocation import LEASE_MARGIN
from gatesocket.registry.base import Changes, Entry, Lease, Record
from gatesocket.registry.bounds import Bounds
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.waker import wake_event
from support.cloud import NOW, Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, message


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


class Timed(Cloud):
    """A handler whose wakes come when they are due, as SQS brings them: after whole seconds."""

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.queue: list[tuple[int, int, dict[str, Any]]] = []

    async def _on_wake(self, event: dict[str, Any], delay: float) -> None:
        await super()._on_wake(event, delay)
        self.queue.append((self.now + math.ceil(delay) * 1000, len(self.delays), event))

    async def advance(self, seconds: float) -> int:
        """Let time pass, and the wakes come that are due in it; return how many."""
        until = self.now + round(seconds * 1000)
        came = 0
        while self.queue and min(self.queue)[0] <= until:
            first = min(self.queue)
            self.queue.remove(first)
            self.now = max(self.now, first[0])
            assert await self(first[2]) == {"batchItemFailures": []}
            came += 1
        self.now = max(self.now, until)
        return came


def ticker(seconds: float = 5) -> FastAPI:
    app = FastAPI()

    @app.websocket("/")
    async def tick(websocket: WebSocket) -> None:
        await websocket.accept()
        ticks = 0
        while True:
            ticks += 1
            await websocket.send_text(f"tick {ticks}")
            await asyncio.sleep(seconds)

    return app


async def test_a_ticker_runs_for_an_hour_without_a_process_and_stops_when_its_client_has_gone() -> None:
    cloud = Timed(ticker())
    await cloud(connect())
    # One for what was sent before the socket was live, and one for each tick.
    assert await cloud.advance(3600) == 1 + 720
    assert cloud.sent == [f"tick {n + 1}" for n in range(721)]
    record = await cloud.record()
    assert record is not None
    assert (record.asleep, record.due, record.inbox) == (True, NOW + 3_605_000, ())

    cloud.gateway.gone(CONNECTION)
    assert await cloud.advance(3600) == 1
    assert await cloud.record() is None
    assert [type(error) for error in cloud.errors] == [WebSocketDisconnect]


async def test_a_heart_beat_asks_whenever_the_client_is_silent() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            try:
                text = await asyncio.wait_for(websocket.receive_text(), timeout=30)
            except TimeoutError:
                text = "still there?"
            await websocket.send_text(text)

    cloud = Timed(app)
    await cloud(connect())
    assert await cloud.advance(70) == 2
    await cloud(message("yes"))
    # The wake that was for 90 s finds that the client has spoken at 70 s.
    assert await cloud.advance(29) == 1
    assert cloud.sent == ["still there?", "still there?", "yes"]
    assert await cloud.advance(1) == 1
    assert cloud.sent[3:] == ["still there?"]

    await cloud(disconnect())
    assert await cloud.record() is None
    assert await cloud.advance(3600) == 1


async def test_a_wake_that_comes_twice_or_late_does_not_run_the_route_again() -> None:
    cloud = Timed(ticker())
    await cloud(connect())
    await cloud.advance(5)
    assert cloud.sent == ["tick 1", "tick 2"]
    asked = len(cloud.delays)

    for due in (NOW + 5000, NOW, NOW + 9000):
        assert await cloud(wake_event(CONNECTION, due)) == {"batchItemFailures": []}
    assert cloud.sent == ["tick 1", "tick 2"]
    assert len(cloud.delays) == asked, "the wake for the next tick is on its way already"
    assert await cloud.advance(5) == 1
    assert cloud.sent == ["tick 1", "tick 2", "tick 3"]


async def test_a_wake_that_comes_too_early_is_followed_by_another() -> None:
    cloud = Timed(ticker())
    await cloud(connect())
    await cloud.advance(0)
    cloud.now += 2000
    [(_, _, early)] = cloud.queue
    cloud.queue.clear()

    await cloud(early)
    assert cloud.sent == ["tick 1"]
    assert cloud.delays[-1] == 3
    await cloud.advance(3)
    assert cloud.sent == ["tick 1", "tick 2"]


async def test_a_longer_sleep_than_sqs_can_wait_is_waited_for_in_parts() -> None:
    cloud = Timed(ticker(seconds=3600))
    await cloud(connect())
    await cloud.advance(0)
    assert await cloud.advance(3599) == 3
    assert cloud.sent == ["tick 1"]
    assert await cloud.advance(1) == 1
    assert cloud.sent == ["tick 1", "tick 2"]
    assert cloud.delays == [0, *[limits.WAKE_DELAY_SECONDS] * 5]


def sleeper() -> FastAPI:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(60)
        while True:
            await websocket.send_text(await websocket.receive_text())

    return app


async def test_messages_wait_for_a_route_that_sleeps() -> None:
    cloud = Timed(sleeper())
    await cloud(connect())
    await cloud.advance(10)
    for text in "abc":
        await cloud(message(text, message_id=text))
    record = await cloud.record()
    assert record is not None
    assert ([entry.body for entry in record.inbox], record.lease, cloud.sent) == (["a", "b", "c"], None, [])

    assert await cloud.advance(50) == 1
    assert cloud.sent == ["a", "b", "c"]
    await cloud(message("d"))
    assert cloud.sent == ["a", "b", "c", "d"]


async def test_a_client_that_leaves_while_the_route_sleeps_is_missed_when_it_wakes() -> None:
    seen: list[str] = []
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await asyncio.sleep(60)
            seen.append("slept")
            await websocket.send_text("hello?")
        except WebSocketDisconnect as error:
            seen.append(f"left with {error.code}")
            await asyncio.sleep(60)
            seen.append("cleaned up")

    cloud = Timed(app)
    await cloud(connect())
    await cloud(disconnect())
    assert await cloud.record() is not None
    await cloud.advance(59)
    assert seen == []
    await cloud.advance(1)
    assert seen == ["slept", "left with 1006"]
    await cloud.advance(60)
    assert seen == ["slept", "left with 1006", "cleaned up"]
    assert await cloud.record() is None


async def test_a_sleeping_route_is_flooded_no_more_than_any_other() -> None:
    cloud = Timed(sleeper(), registry=MemoryRegistry(bounds=Bounds(inbox_entries=2)))
    await cloud(connect())
    for text in "abc":
        await cloud(message(text, message_id=text))
    assert cloud.gateway.closed == [CONNECTION]


LEASE_SECONDS = 10 + LEASE_MARGIN // 1000
"""How long an invocation has the lease, which has the ten seconds of `support.cloud.Context`."""
LOOK_AGAIN_SECONDS = LEASE_SECONDS + LEASE_MARGIN // 1000
"""When somebody looks whether it was done, whose clock differs from the holder's by less than the margin."""


async def hold(cloud: Cloud) -> None:
    """Let another invocation take the lease, which never comes back."""
    lease = Lease("dead", cloud.now + LEASE_SECONDS * 1000)
    await cloud.registry.take(CONNECTION, Entry("message", "m0", "killer"), lease, now=cloud.now)


async def test_a_wake_that_finds_a_holder_comes_again_when_its_lease_would_be_over() -> None:
    cloud = Timed(sleeper())
    await cloud(connect())
    await cloud.advance(59)
    await hold(cloud)
    assert await cloud.advance(1) == 1
    assert cloud.sent == []
    assert cloud.delays[-1] == LOOK_AGAIN_SECONDS
    await cloud.advance(LOOK_AGAIN_SECONDS)
    assert cloud.sent == ["killer"]


async def test_a_wake_that_finds_a_holder_and_a_full_inbox_comes_again_too() -> None:
    cloud = Timed(sleeper(), registry=MemoryRegistry(bounds=Bounds(inbox_entries=1)))
    await cloud(connect())
    await cloud.advance(59)
    await hold(cloud)
    await cloud.advance(1)
    await cloud.advance(LOOK_AGAIN_SECONDS)
    assert cloud.sent == ["killer"]


class Dies(BaseException):
    """The end of a process, in the middle of what it did."""


class Mortal(MemoryRegistry):
    """A registry whose user dies, when it is told to, before a release is written."""

    dies = False

    async def release(self, record: Record, changes: Changes, *, seen: int, now: int) -> tuple[Entry, ...]:
        if self.dies:
            self.dies = False
            raise Dies
        return await super().release(record, changes, seen=seen, now=now)


async def test_a_timer_outlives_a_holder_that_dies_after_it_asked_for_the_next_wake() -> None:
    registry = Mortal()
    cloud = Timed(ticker(), registry=registry)
    await cloud(connect())
    await cloud.advance(4)
    [(_, _, wake)] = cloud.queue
    registry.dies = True
    with pytest.raises(Dies):
        await cloud.advance(1)
    assert cloud.sent == ["tick 1", "tick 2"]

    # SQS brings the wake again. The dead holder's lease isn't over yet; then it is, and the tick comes once more.
    await cloud(wake)
    await cloud.advance(20)
    assert cloud.sent == ["tick 1", "tick 2", "tick 2", "tick 3"]


async def test_a_message_s_holder_that_dies_leaves_the_timer_of_before() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            try:
                await websocket.send_text(await asyncio.wait_for(websocket.receive_text(), 60))
            except TimeoutError:
                await websocket.send_text("silence")

    registry = Mortal()
    cloud = Timed(app, registry=registry)
    await cloud(connect())
    await cloud.advance(30)
    registry.dies = True
    with pytest.raises(Dies):
        await cloud(message("a"))
    # At 60 s comes the wake of before, and finds the message that the dead holder was given.
    await cloud.advance(30)
    assert cloud.sent == ["a", "a"]
    await cloud.advance(60)
    assert cloud.sent == ["a", "a", "silence"]


async def test_a_wake_that_is_faster_than_the_release_is_left_to_the_holder() -> None:
    class Slow(MemoryRegistry):
        slow = True

        async def release(self, record: Record, changes: Changes, *, seen: int, now: int) -> tuple[Entry, ...]:
            if self.slow and changes.due == NOW + 10_000:
                self.slow = False
                assert await cloud.advance(5) == 1
            return await super().release(record, changes, seen=seen, now=now)

    cloud = Timed(ticker(), registry=Slow())
    await cloud(connect())
    assert await cloud.advance(5) == 2
    # The tick of 10 s came while the one of 5 s was written.
    assert (cloud.sent, cloud.now) == (["tick 1", "tick 2", "tick 3"], NOW + 10_000)


async def test_a_wake_says_what_it_is_for() -> None:
    assert json.loads(wake_event(CONNECTION, 5)["Records"][0]["body"]) == {"connection_id": CONNECTION, "due": 5}
    assert json.loads(wake_event(CONNECTION)["Records"][0]["body"]) == {"connection_id": CONNECTION}


async def test_a_timer_without_a_wake_queue_is_refused_with_the_remedy() -> None:
    cloud = Cloud(sleeper(), waker=False)
    with pytest.raises(ConfigurationError, match="no wake queue.*Set GATESOCKET_WAKE_QUEUE"):
        await cloud(connect())
