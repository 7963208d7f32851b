"""The event loop's side of a run: its own context, and the tasks that it spawns."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import CodeType
from typing import Any

from gatesocket.hibernation.entry import ACTIVE
from gatesocket.hibernation.origin import Origin, origin

__all__ = ["InContext", "Spawned", "watch_tasks"]


class InContext:
    """Await a coroutine in the current task, but in a context of its own.

    A task would do the same, at the price of a turn of the event loop, and with the stack cut in two.
    """

    __slots__ = ("_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, None], context: Context) -> None:
        self._coroutine = coroutine
        self._context = context

    def __await__(self) -> Generator[Any, Any, None]:
        run, coroutine = self._context.run, self._coroutine
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        while True:
            try:
                waited_for = run(step, value)
            except StopIteration:
                return
            try:
                value = yield waited_for
                step = coroutine.send
            except BaseException as error:
                step, value = coroutine.throw, error


IN_CONTEXT: CodeType = InContext.__await__.__code__
"""Where the stack of an app ends."""


class Spawned:
    """A task that a route has spawned, and where."""

    __slots__ = ("file", "line", "task")

    def __init__(self, task: "asyncio.Task[Any]", file: str, line: int) -> None:
        self.task = task
        self.file = file
        self.line = line


class _Watcher:
    """A task factory that tells each run of the tasks that are created in it."""

    def __init__(self, earlier: Callable[..., Any] | None) -> None:
        self._earlier = earlier

    def __call__(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        task: Any = (
            asyncio.Task(coroutine, loop=loop, **options)
            if self._earlier is None
            else self._earlier(loop, coroutine, **options)
        )
        run = ACTIVE.get()
        code = getattr(coroutine, "cr_code", None)
        # A library's own tasks, of a connection pool, may go on: they are of the process, not of the route.
        if run is not None and code is not None and origin(code.co_filename) is Origin.OWN:
            frame = sys._getframe(1)  # noqa: SLF001
            while frame.f_back is not None and origin(frame.f_code.co_filename) is not Origin.OWN:
                frame = frame.f_back
            run.spawned(Spawned(task, frame.f_code.co_filename, frame.f_lineno))
        return task


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have the runs of *loop* told of their tasks; its own task factory goes on making them."""
    earlier = loop.get_task_factory()
    if not isinstance(earlier, _Watcher):
        loop.set_task_factory(_Watcher(earlier))
