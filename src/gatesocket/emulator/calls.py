"""Calls in other threads, awaited on this thread's event loop, for so long at the most.

asyncio has `run_coroutine_threadsafe` and `run_in_executor` for it. Both make two futures and a lock for each call, and
tie them to each other with callbacks, and `asyncio.wait` adds a third future for the limit. As every message is such a
call, that would be a fifth of all that the emulator does for one; what is here takes half the time.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["Outcome", "in_thread", "on_loop"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    value: Any
    error: BaseException | None
    """What it raised, whatever that is: it must not end the thread that it was raised in, nor the one that waits."""


async def on_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Awaitable[Any]], *arguments: Any, seconds: float
) -> Outcome | None:
    """Await ``function(*arguments)`` on another thread's *loop*, in this context.

    Returns:
        What came of it; None if nothing has within *seconds*. It is cancelled then, and if this call is.
    """
    call = _Call(seconds)
    tasks: list[asyncio.Task[None]] = []

    def begin() -> None:
        tasks.append(loop.create_task(call.watch(function, arguments)))

    def cancel() -> None:
        tasks[0].cancel()  # which is there: the loop was told to begin before

    loop.call_soon_threadsafe(begin)
    try:
        return await call.outcome
    finally:
        if call.end():
            # A loop that is closed has cancelled everything already.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(cancel)


async def in_thread(
    threads: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any, seconds: float
) -> Outcome | None:
    """Call ``function(*arguments)`` in one of *threads*, in this context.

    Returns:
        What came of it; None if nothing has within *seconds*. A thread can't be stopped: it runs on, and nobody hears
        what comes of it.
    """
    call = _Call(seconds)
    threads.submit(call.run, contextvars.copy_context(), function, arguments)
    try:
        return await call.outcome
    finally:
        call.end()


class _Call:
    """Where another thread puts what came of a call."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.outcome: asyncio.Future[Outcome | None] = self._loop.create_future()
        self._limit = self._loop.call_later(seconds, self._take, None)
        self._answered = False

    async def watch(self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        """Await a function on its own loop."""
        try:
            outcome = Outcome(await function(*arguments), None)
        except GeneratorExit:
            raise  # the loop is closed, and nobody waits
        except BaseException as error:  # a function may end itself, and nothing else
            outcome = Outcome(None, error)
        self._put(outcome)

    def run(self, context: contextvars.Context, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Call a function in a thread of its own."""
        try:
            outcome = Outcome(context.run(function, *arguments), None)
        except BaseException as error:
            outcome = Outcome(None, error)
        self._put(outcome)

    def end(self) -> bool:
        """Stop waiting; return whether the call still runs."""
        self._limit.cancel()
        return not self._answered

    def _put(self, outcome: Outcome) -> None:
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take, outcome)

    def _take(self, outcome: Outcome | None) -> None:
        self._answered = outcome is not None
        if not self.outcome.done():
            self.outcome.set_result(outcome)
