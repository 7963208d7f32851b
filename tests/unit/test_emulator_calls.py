"""Calls in other threads."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from gatesocket.emulator.calls import Outcome, _Call, in_thread, on_loop

WHO: ContextVar[str] = ContextVar("who")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Another thread's event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


async def test_a_coroutine_runs_on_its_own_loop_and_in_the_callers_context(loop: asyncio.AbstractEventLoop) -> None:
    async def who(greeting: str) -> tuple[str, bool]:
        return f"{greeting}, {WHO.get()}", asyncio.get_running_loop() is loop

    WHO.set("ann")
    assert await on_loop(loop, who, "hello", seconds=5) == Outcome(("hello, ann", True), None)


async def test_a_function_runs_in_a_thread_and_in_the_callers_context(threads: ThreadPoolExecutor) -> None:
    WHO.set("ann")
    outcome = await in_thread(threads, lambda: (WHO.get(), threading.current_thread()), seconds=5)
    assert outcome is not None
    name, thread = outcome.value
    assert name == "ann"
    assert thread is not threading.current_thread()


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), SystemExit(1), KeyboardInterrupt()])
async def test_what_is_raised_is_told_and_ends_neither_thread(
    loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        fail()

    outcome = await in_thread(threads, fail, seconds=5)
    assert outcome is not None
    assert outcome.error is error
    for _ in range(2):
        outcome = await on_loop(loop, fail_later, seconds=5)
        assert outcome is not None
        # Python itself makes a RuntimeError of a coroutine's StopIteration.
        assert outcome.error is error or isinstance(outcome.error, RuntimeError)


class Endless:
    """Waits until it is cancelled."""

    def __init__(self) -> None:
        self.entered, self.cancelled = threading.Event(), threading.Event()

    async def wait(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def test_a_coroutine_that_takes_too_long_is_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    endless = Endless()
    assert await on_loop(loop, endless.wait, seconds=0.05) is None
    assert await asyncio.to_thread(endless.cancelled.wait, 5)


async def test_a_coroutine_whose_caller_is_cancelled_is_cancelled_too(loop: asyncio.AbstractEventLoop) -> None:
    endless = Endless()
    calling = asyncio.create_task(on_loop(loop, endless.wait, seconds=5))
    assert await asyncio.to_thread(endless.entered.wait, 5)
    calling.cancel()
    assert await asyncio.to_thread(endless.cancelled.wait, 5)


async def test_a_coroutine_may_end_while_its_caller_is_cancelled(loop: asyncio.AbstractEventLoop) -> None:
    async def quick() -> None: ...

    calling = asyncio.create_task(on_loop(loop, quick, seconds=5))
    await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await on_loop(loop, quick, seconds=5) == Outcome(None, None)  # so that the first one has ended


async def test_a_thread_that_takes_too_long_runs_on_and_nobody_hears_of_it(threads: ThreadPoolExecutor) -> None:
    go_on = threading.Event()
    assert await in_thread(threads, go_on.wait, seconds=0) is None
    go_on.set()


def test_a_thread_may_outlive_the_loop_that_asked(threads: ThreadPoolExecutor) -> None:
    go_on = threading.Event()
    asyncio.run(in_thread(threads, go_on.wait, seconds=0))
    go_on.set()
    threads.submit(int).result(5)  # which waits until the first one has ended, without an error


async def test_a_coroutine_that_is_thrown_away_with_its_loop_is_no_outcome() -> None:
    call = _Call(5)
    running = call.watch(asyncio.Event().wait, ())
    running.send(None)
    running.close()
    assert call.end()
    assert not call.outcome.done()


def test_a_loop_that_is_closed_has_cancelled_what_ran_on_it() -> None:
    """As when a stack ends."""
    loop = asyncio.new_event_loop()

    async def call() -> Any:
        calling = asyncio.create_task(on_loop(loop, asyncio.sleep, 0, seconds=5))
        await asyncio.sleep(0)
        loop.close()
        calling.cancel()
        await asyncio.wait([calling])

    asyncio.run(call())
