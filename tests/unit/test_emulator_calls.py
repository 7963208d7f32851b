"""Calls in other threads."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from gatesocket.emulator.calls import Outcome, _Call, asked, in_thread, line_to, on_loop

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


async def test_another_loop_is_asked_by_a_plain_function_outside_of_the_callers_context(
    loop: asyncio.AbstractEventLoop,
) -> None:
    WHO.set("ann")

    def where(name: str) -> tuple[str, str, threading.Thread]:
        return name, WHO.get("nobody"), threading.current_thread()

    name, who, thread = await asked(loop, where, "bob")
    assert (name, who) == ("bob", "nobody")
    assert thread is not threading.current_thread()


async def test_the_running_loop_can_be_asked_too() -> None:
    assert await asked(asyncio.get_running_loop(), threading.current_thread) is threading.current_thread()


async def test_what_the_asked_function_raises_reaches_the_caller(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(ZeroDivisionError):
        await asked(loop, lambda: 1 // 0)
    assert await asked(loop, lambda: "still there") == "still there"


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped(loop: asyncio.AbstractEventLoop) -> None:
    go_on = threading.Event()
    asking = asyncio.create_task(asked(loop, go_on.wait))
    await asyncio.sleep(0)
    asking.cancel()
    go_on.set()
    assert await asked(loop, lambda: "next") == "next"
    assert asking.cancelled()


def test_an_answer_to_a_loop_that_is_closed_meanwhile_is_dropped(loop: asyncio.AbstractEventLoop) -> None:
    go_on = threading.Event()

    async def ask() -> None:
        asking = asyncio.create_task(asked(loop, go_on.wait))
        await asyncio.sleep(0)
        asking.cancel()

    asyncio.run(ask())
    go_on.set()
    assert asyncio.run(asked(loop, lambda: "still there")) == "still there"


async def test_a_loop_is_woken_once_for_all_that_another_gives_it_at_a_time(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes: list[object] = []
    wake = loop.call_soon_threadsafe

    def count(*arguments: Any, **options: Any) -> Any:
        wakes.append(arguments)
        return wake(*arguments, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    order = list[int]()
    for number in range(5):
        line_to(loop).put(order.append, number)
    assert await asked(loop, order.copy) == [0, 1, 2, 3, 4]
    assert len(wakes) == 1


async def test_a_thread_without_a_loop_wakes_at_once(loop: asyncio.AbstractEventLoop) -> None:
    called = threading.Event()
    await asyncio.to_thread(line_to(loop).put, called.set)
    assert await asyncio.to_thread(called.wait, 5)


async def test_what_is_given_to_a_loop_that_is_closed_before_it_looks_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    line_to(loop).put(print)
    loop.close()
    await asyncio.sleep(0)  # in which it would have been woken
    with pytest.raises(RuntimeError, match="closed"):
        line_to(loop).put(print)


async def test_what_is_given_to_a_loop_that_is_gone_before_it_looks_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    line_to(loop).put(print)
    loop.close()
    del loop
    gc.collect()
    await asyncio.sleep(0)


def test_a_line_to_a_closed_loop_says_so_each_time() -> None:
    loop = asyncio.new_event_loop()
    line = line_to(loop)
    loop.close()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="closed"):
            line.put(print)


def test_a_line_does_not_keep_its_loop_alive() -> None:
    loop = asyncio.new_event_loop()
    line = line_to(loop)
    loop.close()
    del loop
    gc.collect()
    with pytest.raises(RuntimeError, match="closed"):
        line.put(print)
