"""The event loop's side of a run: its own context, and the tasks that it spawns."""

import asyncio
import json
from contextvars import ContextVar, copy_context
from types import SimpleNamespace
from typing import Any

import pytest

from gatesocket.hibernation.entry import ACTIVE
from gatesocket.hibernation.tasks import IN_CONTEXT, InContext, Spawned, own_place, watch_tasks

NAME: ContextVar[str] = ContextVar("name", default="outside")


async def test_a_coroutine_runs_in_its_context_and_in_the_task_that_awaits_it() -> None:
    seen: list[Any] = []

    async def app() -> None:
        NAME.set("inside")
        await asyncio.sleep(0)
        seen.append((NAME.get(), asyncio.current_task()))

    context = copy_context()
    await InContext(app(), context)

    assert seen == [("inside", asyncio.current_task())]
    assert (NAME.get(), context[NAME]) == ("outside", "inside")


async def test_errors_pass_in_both_directions() -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app() -> None:
        with pytest.raises(LookupError, match="from the loop"):
            await future
        raise ValueError("from the app")

    asyncio.get_running_loop().call_soon(future.set_exception, LookupError("from the loop"))
    with pytest.raises(ValueError, match="from the app"):
        await InContext(app(), copy_context())


async def test_a_cancellation_reaches_the_coroutine() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def app() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def life() -> None:
        await InContext(app(), copy_context())

    task = asyncio.create_task(life())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended.is_set()


# Tasks.


class _Run:
    """As much of a run as the watcher knows."""

    def __init__(self) -> None:
        self.tasks: list[Spawned] = []

    def spawned(self, task: Spawned) -> None:
        self.tasks.append(task)

    async def watching(self, *coroutines: Any) -> list[Spawned]:
        """What is noted of the tasks that a loop creates while this is the active run."""
        watch_tasks(asyncio.get_running_loop())
        context = copy_context()
        context.run(ACTIVE.set, self)  # type: ignore[arg-type]

        async def app() -> None:
            await asyncio.gather(*(asyncio.create_task(each) for each in coroutines))

        await InContext(app(), context)
        return self.tasks


async def test_a_run_is_told_of_its_tasks_and_of_their_place_and_of_no_others() -> None:
    async def own() -> None: ...

    found = await _Run().watching(own(), asyncio.sleep(0))
    await asyncio.create_task(own())

    assert [task.is_own for task in found] == [True, False]
    assert {task.file for task in found} == {__file__}
    assert len({task.line for task in found}) == 1


async def test_a_loop_is_watched_once() -> None:
    loop = asyncio.get_running_loop()
    watch_tasks(loop)
    factory = loop.get_task_factory()

    watch_tasks(loop)

    assert loop.get_task_factory() is factory


def test_an_earlier_task_factory_goes_on_making_the_tasks() -> None:
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine.__name__)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def own() -> str:
        return "done"

    async def main() -> list[bool]:
        asyncio.get_running_loop().set_task_factory(factory)
        return [task.is_own for task in await _Run().watching(own())]

    assert asyncio.run(main()) == [True]
    assert made[0] == "own"  # the loop has some of its own at its end


def frames(*files: Any) -> Any:
    """A stack of frames in *files*, the innermost first, each at line 1, 2 and so on."""
    outer = None
    for line, file in reversed(list(enumerate(files, start=1))):
        code = file if file is IN_CONTEXT else SimpleNamespace(co_filename=file)
        outer = SimpleNamespace(f_code=code, f_lineno=line, f_back=outer)
    return outer


@pytest.mark.parametrize(
    ("stack", "place"),
    [
        ((asyncio.__file__, "/srv/app.py", "/srv/main.py"), ("/srv/app.py", 2)),
        (("/srv/app.py",), ("/srv/app.py", 1)),
        ((asyncio.__file__, json.__file__), (asyncio.__file__, 1)),
        ((asyncio.__file__, IN_CONTEXT, "/srv/server.py"), (asyncio.__file__, 1)),
    ],
)
def test_the_place_of_something_is_the_apps_innermost_line(stack: Any, place: tuple[str, int]) -> None:
    assert own_place(frames(*stack)) == place
