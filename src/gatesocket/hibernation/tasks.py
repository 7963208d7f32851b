"""The event loop's side of a run: its own context, and the tasks that it spawns."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import CodeType, FrameType
from typing import Any

from gatesocket.hibernation.entry import ACTIVE
from gatesocket.hibernation.origin import Origin, origin

__all__ = ["IN_CONTEXT", "InContext", "Spawned", "own_place", "watch_tasks"]


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

    __slots__ = ("file", "is_own", "line", "task")

    def __init__(self, task: "asyncio.Task[Any]", file: str, line: int, *, is_own: bool) -> None:
        self.task = task
        self.file = file
        self.line = line
        self.is_own = is_own
        """Whether it runs a coroutine of the app's. A library's may go on: a connection pool's is the process's."""


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
        if run is not None:
            code = getattr(coroutine, "cr_code", None)
            is_own = code is not None and origin(code.co_filename) is Origin.OWN
            run.spawned(Spawned(task, *own_place(sys._getframe(1)), is_own=is_own))  # noqa: SLF001
        return task


def own_place(frame: FrameType) -> tuple[str, int]:
    """The file and line of the app's own code that has led to *frame*; its own, if none has."""
    place = (frame.f_code.co_filename, frame.f_lineno)
    outer: FrameType | None = frame
    while outer is not None and outer.f_code is not IN_CONTEXT:
        if origin(outer.f_code.co_filename) is Origin.OWN:
            return outer.f_code.co_filename, outer.f_lineno
        outer = outer.f_back
    return place


def watch_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have the runs of *loop* told of their tasks; its own task factory goes on making them."""
    earlier = loop.get_task_factory()
    if not isinstance(earlier, _Watcher):
        loop.set_task_factory(_Watcher(earlier))
