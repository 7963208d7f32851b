"""Tasks that run one at a time, from one point to the next, in an order that a test chooses.

Nothing else decides what happens when: no clock, no sleeping, no scheduling of the event loop. A process that is killed
is a task that is never resumed, so that none of its ``except`` and ``finally`` runs.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Points", "Scheduler"]


class Scheduler:
    """Runs tasks between their points."""

    def __init__(self) -> None:
        self._parked: dict[asyncio.Task[Any], asyncio.Future[None]] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._moved = asyncio.Event()
        self._over = False

    @property
    def parked(self) -> list[asyncio.Task[Any]]:
        """The tasks that can be resumed, in the order in which they came to their points."""
        return list(self._parked)

    async def point(self) -> None:
        """Wait here until the test chooses to go on with this task."""
        task = asyncio.current_task()
        if self._over or task is None:
            return
        resumed = asyncio.get_running_loop().create_future()
        self._parked[task] = resumed
        self._moved.set()
        await resumed

    async def start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task, and run it to its first point or to its end."""
        self._moved.clear()
        task = asyncio.ensure_future(coroutine)
        self._tasks.append(task)
        task.add_done_callback(lambda _: self._moved.set())
        await self._moved.wait()
        return task

    async def resume(self, task: asyncio.Task[Any]) -> None:
        """Run a task to its next point or to its end."""
        self._moved.clear()
        self._parked.pop(task).set_result(None)
        await self._moved.wait()

    def kill(self, task: asyncio.Task[Any]) -> None:
        """Never resume a task."""
        self._parked.pop(task, None)

    async def close(self) -> None:
        """Clear away the tasks that were killed; what they do on their way out is of no interest any more."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Points:
    """Anything with coroutine methods, with a point before and after each call: there a process can die."""

    def __init__(self, target: Any, scheduler: Scheduler, seen: Callable[[str, tuple[Any, ...], Any], None]) -> None:
        self._target = target
        self._scheduler = scheduler
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **options: Any) -> Any:
            await self._scheduler.point()
            result = await method(*args, **options)
            # Noted with the deed: whether the caller lives to see the answer is another matter.
            self._seen(name, args, result)
            await self._scheduler.point()
            return result

        return call
