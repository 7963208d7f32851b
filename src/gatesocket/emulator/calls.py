"""Calls in other threads, awaited on this thread's event loop, for so long at the most.

asyncio has `run_coroutine_threadsafe` and `run_in_executor` for it. Both make two futures and a lock for each call, and
tie them to each other with callbacks, and `asyncio.wait` adds a third future for the limit. As every message is such a
call, that would be a fifth of all that the emulator does for one; what is here takes half the time.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary, ref

__all__ = ["Line", "Outcome", "asked", "in_thread", "line_to", "on_loop"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    value: Any
    error: BaseException | None
    """What it raised, whatever that is: it must not end the thread that it was raised in, nor the one that waits."""


class Line:
    """Has one event loop call functions, in the order in which threads ask for it, in an empty context.

    Args:
        loop: which; it isn't kept alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)
        self._context = contextvars.Context()
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._woken = False
        """Whether the loop is going to look."""

    def put(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have ``function(*arguments)`` called soon; it may not raise.

        Raises:
            RuntimeError: the loop is closed.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise RuntimeError("the event loop is closed")
        self._calls.append((function, arguments))
        # Behind the line above: who finds the loop woken must have left its call before the loop begins to look.
        if self._woken:
            return
        self._woken = True
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:  # a thread without one
            self._wake()
        else:
            # When whatever else this loop has to do now is done, and may be put here as well.
            here.call_soon(self._wake)

    def _wake(self) -> None:
        loop = self._loop()
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._look, context=self._context)
        except RuntimeError:  # it was closed meanwhile, and nobody waits
            self._woken = False

    def _look(self) -> None:
        self._woken = False
        # No more than there are now, so that the loop gets to its sockets too.
        for _ in range(len(self._calls)):
            function, arguments = self._calls.popleft()
            function(*arguments)


_lines: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Line]] = WeakKeyDictionary()


def line_to(loop: asyncio.AbstractEventLoop) -> Line:
    """Return the line to an event loop, which all threads share."""
    return _lines.get(loop) or _lines.setdefault(loop, Line(loop))


async def asked(loop: asyncio.AbstractEventLoop, function: Callable[..., T], *arguments: Any) -> T:
    """Return ``function(*arguments)``, called on *loop*, which may be this one.

    Raises:
        Exception: what the function raises.
        RuntimeError: the loop is closed.
    """
    here = asyncio.get_running_loop()
    if here is loop:
        return function(*arguments)
    answer: asyncio.Future[T] = here.create_future()
    back = line_to(here)

    def call() -> None:
        settle: Callable[[Any], None] = answer.set_result
        said: Any
        try:
            said = function(*arguments)
        except Exception as error:  # it is the caller's
            settle, said = answer.set_exception, error
        with suppress(RuntimeError):  # a loop that is closed has nobody who waits
            back.put(_settle, answer, settle, said)

    line_to(loop).put(call)
    return await answer


async def on_loop(
    loop: asyncio.AbstractEventLoop, function: Callable[..., Awaitable[Any]], *arguments: Any, seconds: float
) -> Outcome | None:
    """Await ``function(*arguments)`` on another thread's *loop*, in this context.

    Returns:
        What came of it; None if nothing has within *seconds*. It is cancelled then, and if this call is.
    """
    call = _Call(seconds)
    tasks: list[asyncio.Task[None]] = []
    context = contextvars.copy_context()
    line = line_to(loop)

    def begin() -> None:
        tasks.append(loop.create_task(call.watch(function, arguments), context=context))

    def cancel() -> None:
        tasks[0].cancel()  # which is there: the loop was told to begin before

    line.put(begin)
    try:
        return await call.outcome
    finally:
        if call.end():
            # A loop that is closed has cancelled everything already.
            with suppress(RuntimeError):
                line.put(cancel)


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
        loop = asyncio.get_running_loop()
        self._line = line_to(loop)
        self.outcome: asyncio.Future[Outcome | None] = loop.create_future()
        self._limit = loop.call_later(seconds, self._take, None)
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
            self._line.put(self._take, outcome)

    def _take(self, outcome: Outcome | None) -> None:
        self._answered = outcome is not None
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def _settle(answer: asyncio.Future[Any], settle: Callable[[Any], None], said: object) -> None:
    if not answer.done():  # one that was cancelled is
        settle(said)
