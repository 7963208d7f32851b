"""Timers: where a route hibernates for them, where it waits, and what becomes of deadlines."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from fastapi import WebSocket

from gatesocket.hibernation import TIMER_THRESHOLD, Hibernated, prepare, run
from gatesocket.hibernation.timers import LONGEST, deadline, earliest, limit, set_deadline
from support.hibernation import serving
from support.lives import scope
from support.virtual_time import in_virtual_time, milliseconds

Endpoint = Callable[[WebSocket], Awaitable[None]]


class Life:
    """A connection in virtual time, of which each message is one run."""

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:
        self.app = serving(endpoint)
        self.sent: list[str] = []
        self.hibernated: Hibernated | None = None
        self.options = options

    async def connect(self) -> Hibernated | None:
        return await self.run({"type": "websocket.connect"})

    async def say(self, text: str) -> Hibernated | None:
        return await self.run({"type": "websocket.receive", "text": text})

    async def run(self, *messages: dict[str, Any]) -> Hibernated | None:
        waiting = list(messages)
        self.hibernated = await run(
            self.app,
            scope("/"),
            lambda: waiting.pop(0) if waiting else None,
            self.send,
            blueprint=prepare(self.app),
            snapshot=self.hibernated.snapshot if self.hibernated else None,
            clock=milliseconds,
            **self.options,
        )
        return self.hibernated

    async def send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self.sent.append(message["text"])


def connected(endpoint: Endpoint, **options: Any) -> tuple[Hibernated | None, float]:
    """Connect to *endpoint*; return what is left of it, and how long that took."""

    async def main() -> tuple[Hibernated | None, float]:
        hibernated = await Life(endpoint, **options).connect()
        return hibernated, asyncio.get_running_loop().time()

    return in_virtual_time(main)


# Sleeps.


def test_a_route_that_sleeps_hibernates_until_the_sleep_is_over() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(90.5)

    hibernated, took = connected(route)
    assert hibernated is not None
    assert (hibernated.due, hibernated.asleep, took) == (90_500, True, 0)


def test_a_shorter_sleep_than_the_threshold_is_spent_in_the_process() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(TIMER_THRESHOLD - 0.25)
        await websocket.receive_text()

    hibernated, took = connected(route)
    assert hibernated is not None
    assert (hibernated.due, hibernated.asleep, took) == (None, False, TIMER_THRESHOLD - 0.25)


def test_a_sleep_for_ever_is_one_for_a_day() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(math.inf)

    hibernated, _ = connected(route)
    assert hibernated is not None
    assert hibernated.due == LONGEST * 1000


def test_neither_a_message_nor_an_early_wake_runs_a_route_that_sleeps() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(60)
        await websocket.send_text(await websocket.receive_text())

    async def main() -> None:
        life = Life(route)
        asleep = await life.connect()
        await asyncio.sleep(30)
        assert await life.say("early") == asleep
        await asyncio.sleep(30 - TIMER_THRESHOLD / 2)
        # So close to its end it is woken, and sleeps the rest here.
        awake = await life.say("a")
        assert (life.sent, awake, milliseconds()) == (["a"], None, 60_000)

    in_virtual_time(main)


def test_who_runs_a_route_decides_how_long_it_waits_here() -> None:
    asked: list[tuple[float, bool]] = []

    def stays(seconds: float, *, receiving: bool) -> bool:
        asked.append((seconds, receiving))
        return seconds > 2

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(3)
        await asyncio.wait_for(websocket.receive_text(), 2)

    hibernated, took = connected(route, stays=stays)
    assert hibernated is not None
    assert (hibernated.due, hibernated.asleep, took) == (5000, False, 3)
    assert asked == [(3, False), (2, True)]


def test_a_route_that_can_t_be_left_sleeps_here_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "gatesocket")

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        task = asyncio.create_task(forever(), name="forever")
        await asyncio.sleep(60)
        task.cancel()
        await websocket.send_text("slept")

    async def main() -> None:
        life = Life(route)
        assert await life.connect() is None
        assert (life.sent, milliseconds()) == (["slept"], 60_000)

    in_virtual_time(main)
    (record,) = caplog.records
    assert f"{__file__}:{route.__code__.co_firstlineno + 2}: the task 'forever' still runs" in record.message
    assert record.message.startswith("the route sleeps in the process, for 60 s: ")


async def forever() -> None:
    await asyncio.Event().wait()


async def nap() -> None:
    await asyncio.sleep(5)


def test_a_task_sleeps_here() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.gather(nap(), nap())
        await websocket.receive_text()
        await nap()

    hibernated, took = connected(route)
    assert hibernated is not None
    assert (hibernated.due, took) == (None, 5)


def test_the_end_of_a_with_that_hibernation_leaves_sleeps_here() -> None:
    class Slow:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None:
            await nap()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with Slow():
            await websocket.receive_text()
        await nap()

    hibernated, took = connected(route)
    assert hibernated is not None
    assert (hibernated.due, took) == (None, 5)


# Deadlines.


def test_a_receive_with_a_deadline_hibernates_until_a_message_or_the_deadline() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with asyncio.timeout(60):
            await asyncio.wait_for(websocket.receive_text(), 30)

    hibernated, took = connected(route)
    assert hibernated is not None
    assert (hibernated.due, hibernated.asleep, took) == (30_000, False, 0)


def test_a_message_that_is_there_wins_over_a_deadline_that_has_passed() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        text = await asyncio.wait_for(websocket.receive_text(), 30)
        await websocket.send_text(text)

    async def main() -> None:
        life = Life(route)
        await life.connect()
        await asyncio.sleep(31)
        assert await life.say("late") is None
        assert life.sent == ["late"]

    in_virtual_time(main)


def test_a_deadline_that_was_caught_in_its_block_does_not_come_again() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with asyncio.timeout(5):
            try:
                await websocket.receive_text()
            except asyncio.CancelledError:
                await websocket.send_text("caught")
            await websocket.receive_text()

    async def main() -> None:
        life = Life(route)
        await life.connect()
        await asyncio.sleep(5)
        hibernated = await life.run()
        assert hibernated is not None
        assert (life.sent, hibernated.due) == (["caught"], None)

    in_virtual_time(main)


def test_a_scope_of_anyio_that_was_cancelled_cancels_what_waits_in_it() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await websocket.receive_text()
        await websocket.send_text(str(scope.cancelled_caught))

    async def main() -> None:
        life = Life(route)
        assert await life.connect() is None
        assert life.sent == ["True"]

    in_virtual_time(main)


def test_a_scope_without_a_deadline_may_stay_open() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with anyio.CancelScope():
            await websocket.send_text(await websocket.receive_text())

    async def main() -> None:
        life = Life(route)
        hibernated = await life.connect()
        assert hibernated is not None
        assert hibernated.due is None
        await life.say("a")
        assert life.sent == ["a"]

    in_virtual_time(main)


def test_a_block_that_can_t_be_entered_again_is_left_without_its_deadline() -> None:
    tries: list[str] = []

    class Once:
        async def __aenter__(self) -> None:
            tries.append("enter")
            if len(tries) > 1:
                raise OSError("gone")

        async def __aexit__(self, *_: object) -> None: ...

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async with asyncio.timeout(5), Once():
                await websocket.receive_text()
        except OSError as error:
            await websocket.send_text(str(error))
        await websocket.receive_text()

    async def main() -> None:
        life = Life(route)
        await life.connect()
        await asyncio.sleep(2)
        hibernated = await life.run()
        assert hibernated is not None
        assert (life.sent, hibernated.due) == (["gone"], None)

    in_virtual_time(main)


def test_deadlines_are_read_and_set_alike_whoever_made_the_block() -> None:
    async def main() -> None:
        async with asyncio.timeout(5) as timeout:  # noqa: ASYNC100 - nothing is to be cancelled
            assert deadline(timeout) == 5
            set_deadline(timeout, 7)
            assert deadline(timeout) == 7
            set_deadline(timeout, None)
            assert deadline(timeout) is None
        with anyio.move_on_after(5) as scope:  # noqa: ASYNC100
            assert deadline(scope) == 5
            set_deadline(scope, 7)
            assert deadline(scope) == 7
            set_deadline(scope, None)
            assert deadline(scope) is None

    in_virtual_time(main)


def test_no_time_at_all_is_a_timeout_that_lets_others_run() -> None:
    turns: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(turns.append, "other")
        with pytest.raises(TimeoutError):
            async with limit(-1):
                turns.append("never")

    in_virtual_time(main)
    assert turns == ["other"]


def test_the_earliest_time_is_found_among_some_that_never_come() -> None:
    assert earliest([None, 5, 3]) == 3
    assert earliest([None]) is None
