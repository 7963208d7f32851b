"""Routes with timers, as people write them."""

import asyncio

import anyio
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from support.lives import fx

app = FastAPI()
SAID: dict[str, tuple[tuple[float, str | int], ...]] = {}


def clock() -> float:
    return asyncio.get_running_loop().time()


def now() -> float:
    return round(clock(), 1)


def endpoint(*said):
    """Serve the endpoint below to a client that says things at their times."""

    def add(function):
        SAID[function.__name__] = said
        app.websocket(f"/{function.__name__}")(function)
        return function

    return add


@endpoint()
async def countdown(websocket: WebSocket):
    await websocket.accept()
    for left in range(3, 0, -1):
        await websocket.send_text(str(left))
        await asyncio.sleep(60)
    await websocket.close()


@endpoint((7, "stop"))
async def ticks_until_the_client_says_something(websocket: WebSocket):
    await websocket.accept()
    ticks = 0
    while True:
        try:
            text = await asyncio.wait_for(websocket.receive_text(), timeout=2)
        except TimeoutError:
            ticks += 1
            await websocket.send_text(f"tick {ticks}")
        else:
            fx("said", text, ticks, now())
            break


@endpoint((3, "early"), (9, "late"))
async def messages_wait_while_the_route_sleeps(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await asyncio.sleep(5, "slept"))
    fx(await websocket.receive_text(), now())
    await asyncio.sleep(10, result=None)
    fx(await websocket.receive_text(), now())


@endpoint((1, "a"), (2, "b"), (30, "c"))
async def a_deadline_for_a_conversation(websocket: WebSocket):
    await websocket.accept()
    heard = []
    try:
        async with asyncio.timeout(10) as limit:
            while True:
                heard.append(await websocket.receive_text())
    except TimeoutError as error:
        fx("over", heard, now(), limit.expired(), type(error.__cause__).__name__)
    fx(await websocket.receive_text(), now())


@endpoint((4, "more"), (20, "x"))
async def a_deadline_that_is_moved(websocket: WebSocket):
    await websocket.accept()

    try:
        async with asyncio.timeout_at(clock() + 5) as limit:
            await websocket.receive_text()
            limit.reschedule(clock() + 7)
            fx("when", round(limit.when() - clock(), 1))
            await websocket.receive_text()
    except TimeoutError:
        fx("over", now())
    fx(await websocket.receive_text(), now())


@endpoint((4, "more"), (90, "x"))
async def a_deadline_that_is_taken_away(websocket: WebSocket):
    await websocket.accept()
    async with asyncio.timeout(5) as limit:
        await websocket.receive_text()
        limit.reschedule(None)
        fx(await websocket.receive_text(), now(), limit.when())


@endpoint((25, "x"))
async def deadlines_within_deadlines(websocket: WebSocket):
    await websocket.accept()
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    async with asyncio.timeout(6):
                        await websocket.receive_text()
                except TimeoutError:
                    fx("inner", now())
    except TimeoutError:
        fx("outer", now())
    fx(await websocket.receive_text(), now())


async def ask(websocket: WebSocket, question: str) -> str:
    await websocket.send_text(question)
    try:
        return await websocket.receive_text()
    except asyncio.CancelledError:
        fx("cancelled", question, now())
        raise
    finally:
        fx("asked", question)


@endpoint((2, "Ann"), (30, "late"))
async def a_limit_on_a_helper(websocket: WebSocket):
    await websocket.accept()
    name = await asyncio.wait_for(ask(websocket, "name?"), 5)
    try:
        fx(name + await asyncio.wait_for(ask(websocket, "age?"), 5))
    except TimeoutError as error:
        fx("no answer", now(), type(error.__cause__).__name__)
    fx(await websocket.receive_text(), now())


async def slowly(websocket: WebSocket, *texts: str) -> int:
    for text in texts:
        await asyncio.sleep(4)
        await websocket.send_text(text)
    return len(texts)


@endpoint()
async def a_limit_on_a_helper_that_sleeps(websocket: WebSocket):
    await websocket.accept()
    fx(await slowly(websocket, "a", "b"))
    try:
        await asyncio.wait_for(slowly(websocket, "c", "d", "e"), 10)
    except TimeoutError:
        fx("over", now())


@endpoint((3, 1001))
async def the_client_leaves_while_the_route_sleeps(websocket: WebSocket):
    await websocket.accept()
    try:
        await asyncio.sleep(5)
        fx("slept", now())
        await websocket.receive_text()
    except WebSocketDisconnect as error:
        fx("left", error.code, now())
        await asyncio.sleep(5)
        fx("cleaned up", now())


@endpoint((20, "x"))
async def a_sleep_with_a_deadline(websocket: WebSocket):
    await websocket.accept()
    try:
        async with asyncio.timeout(3):
            await asyncio.sleep(10)
    except TimeoutError:
        fx("over", now())
    async with asyncio.timeout(10):
        await asyncio.sleep(3)
    fx("not over", now())
    with anyio.move_on_after(2):
        await anyio.sleep(30)
    fx("moved on", now())


@endpoint((1, "a"), (20, "x"))
async def a_scope_of_anyio(websocket: WebSocket):
    await websocket.accept()
    with anyio.move_on_after(4) as scope:
        while True:
            fx(await websocket.receive_text())
    fx("moved on", scope.cancelled_caught, now())
    try:
        with anyio.fail_after(4):
            await websocket.receive_text()
    except TimeoutError:
        fx("failed", now())
    fx(await websocket.receive_text(), now())


@endpoint((1, "a"), (50, "b"))
async def no_limit_at_all(websocket: WebSocket):
    await websocket.accept()
    fx(await asyncio.wait_for(websocket.receive_text(), None))
    async with asyncio.timeout(None):
        fx(await asyncio.wait_for(fut_timeout(websocket), timeout=None), now())


async def fut_timeout(websocket: WebSocket) -> str:
    return await websocket.receive_text()


@endpoint((1, "a"))
async def no_time_at_all(websocket: WebSocket):
    await websocket.accept()
    for _ in range(2):
        try:
            await asyncio.wait_for(websocket.receive_text(), 0)
        except TimeoutError:
            fx("at once", now())
    fx(await websocket.receive_text())


@endpoint((1, "a"), (2, "b"))
async def short_timers_only(websocket: WebSocket):
    await websocket.accept()
    await asyncio.sleep(0.5)
    try:
        await asyncio.wait_for(websocket.receive_text(), 0.25)
    except TimeoutError:
        fx("short", now())
    fx(await websocket.receive_text(), now())
    await asyncio.sleep(0)
    await asyncio.sleep(-1)
    fx(await websocket.receive_text(), now())


@endpoint((2, "go"), (12, "x"))
async def sleeps_in_handlers_and_comprehensions(websocket: WebSocket):
    await websocket.accept()
    try:
        raise ValueError(await websocket.receive_text())
    except ValueError as error:
        await asyncio.sleep(2)
        fx(str(error), now())
    finally:
        await asyncio.sleep(3)
        fx("finally", now())
    fx([await asyncio.sleep(2, n) for n in range(2)], now())


@endpoint((5, "x"))
async def a_block_is_entered_again_without_its_deadline(websocket: WebSocket):
    await websocket.accept()
    try:
        async with asyncio.timeout(3), Slow():
            await websocket.receive_text()
    except TimeoutError:
        fx("over", now())


class Slow:
    async def __aenter__(self) -> None:
        await asyncio.sleep(0)

    async def __aexit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            fx("left by", kind.__name__)
