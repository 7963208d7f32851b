"""A run: what hibernation leaves behind, what it refuses, and what it lets through."""

import asyncio
import contextlib
import contextvars
import gc
import sys
import threading
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import pytest
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect

from gatesocket.exceptions import CannotHibernate, SnapshotError
from gatesocket.hibernation import prepare, run
from gatesocket.hibernation.codes import originals
from gatesocket.hibernation.entry import ACTIVE
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.runtime import GRACE
from gatesocket.hibernation.units import adopt
from support.hibernation import Connection, serving
from support.lives import scope

if TYPE_CHECKING:
    from types import FunctionType

ROOMS: dict[str, list[str]] = {}
who = contextvars.ContextVar("who", default="nobody")


async def refusal(app: Any, *texts: str) -> str:
    """Run *app* until it is refused, and return what is said."""
    connection = Connection(app)
    try:
        await connection.connect()
        for text in texts:
            await connection.say(text)
    except CannotHibernate as error:
        return str(error)
    pytest.fail("it was not refused")


async def test_several_messages_may_come_in_one_run() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("a", "b", "c")
    assert connection.texts == ["a", "b", "c"]


async def test_nothing_is_left_to_be_collected() -> None:
    ended = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async for text in websocket.iter_text():
                await websocket.send_text(text + await websocket.receive_text())
        finally:
            ended.append("finally")

    connection = Connection(serving(route))
    before = asyncio.all_tasks()
    await connection.connect()
    await connection.say("a")
    gc.collect()
    assert ended == []
    assert asyncio.all_tasks() == before
    with pytest.raises(WebSocketDisconnect):
        await connection.leave()
    assert ended == ["finally"]


async def test_connections_take_turns_in_one_event_loop() -> None:
    turn = asyncio.Event()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        count = 0
        while True:
            text = await websocket.receive_text()
            count += 1
            if text == "wait":
                await turn.wait()
            else:
                turn.set()
            await websocket.send_text(f"{text} {count}")

    app = serving(route)
    first, second = Connection(app), Connection(app)
    await first.connect()
    await second.connect()
    await second.say("before")
    turn.clear()
    waiting = asyncio.ensure_future(first.say("wait"))
    await asyncio.wait([waiting], timeout=0)
    await second.say("go")
    await waiting
    assert first.texts == ["wait 1"]
    assert second.texts == ["before 1", "go 2"]


async def test_the_app_s_errors_pass_unchanged_at_the_user_s_lines() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise ZeroDivisionError("by the app")

    connection = Connection(serving(route))
    await connection.connect()
    with pytest.raises(ZeroDivisionError, match="by the app") as caught:
        await connection.say("a")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.name, last.line) == ("route", 'raise ZeroDivisionError("by the app")')


async def test_cancelling_a_run_cancels_the_route() -> None:
    seen = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    connection = Connection(serving(route))
    await connection.connect()
    running = asyncio.ensure_future(connection.say("a"))
    await asyncio.wait([running], timeout=0)
    await asyncio.wait([running], timeout=0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert seen == ["cancelled"]


async def test_context_variables_stay_in_their_connection() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        who.set(await websocket.receive_text())
        while True:
            await websocket.receive_text()
            await websocket.send_text(who.get())

    app = serving(route)
    ann, bob = Connection(app), Connection(app)
    for connection, name in ((ann, "ann"), (bob, "bob")):
        await connection.connect()
        await connection.say(name)
    await ann.say("?")
    await bob.say("?")
    assert (ann.texts, bob.texts, who.get()) == (["ann"], ["bob"], "nobody")


async def test_the_scope_that_was_given_is_not_changed() -> None:
    async def route(websocket: WebSocket) -> None:
        websocket.state.user = "ann"
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text(f"{websocket.state.user} {websocket.state.pool}")

    connection = Connection(serving(route))
    connection.scope["state"] = {"pool": "the process's"}
    before = dict(connection.scope)
    await connection.connect()
    await connection.say("a")
    assert connection.texts == ["ann the process's"]
    assert connection.scope == before
    assert connection.scope["state"] == {"pool": "the process's"}


async def test_members_of_the_lifespan_s_state_are_saved_by_name() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        lock = websocket.state.lock
        await websocket.receive_text()
        await websocket.send_text(str(lock is websocket.state.lock))

    connection = Connection(serving(route))
    connection.scope["state"] = {"lock": threading.Lock()}
    await connection.connect()
    await connection.say("a")
    assert connection.texts == ["True"]


# With blocks.


class Resource:
    """A context manager of both kinds, which notes what becomes of it."""

    events: ClassVar[list[str]] = []

    def __init__(self, name: str, fails: bool = False) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.fails = fails

    def __enter__(self) -> Self:
        self.events.append(f"open {self.name}")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.events.append(f"close {self.name} {kind.__name__ if kind else None}")
        if self.fails:
            raise OSError("can't be closed")
        return kind is ValueError

    async def __aenter__(self) -> str:
        self.__enter__()
        return self.name

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        return self.__exit__(kind, *rest)


@pytest.fixture
def events() -> list[str]:
    Resource.events = []
    return Resource.events


async def test_an_open_with_is_left_at_hibernation_and_entered_again(events: list[str]) -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with Resource("a") as resource:
            while (text := await websocket.receive_text()) != "quit":
                await websocket.send_text(f"{resource.name} {text}")
        await websocket.receive_text()

    connection = Connection(serving(route))
    await connection.connect()
    assert events == ["open a", "close a None"]
    events.clear()
    await connection.say("x")
    assert connection.texts == ["a x"]
    assert events == ["open a", "close a None"]
    events.clear()
    await connection.say("quit")
    assert events == ["open a", "close a None"]
    events.clear()
    await connection.say("after")
    assert events == []


async def test_async_with_and_several_managers_in_one_statement(events: list[str]) -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with Resource("a") as name, Resource("b"):
            text = await websocket.receive_text()
            await websocket.send_text(f"{name} {text}")
            name = "rebound"  # noqa: PLW2901 - which is what is tested
            await websocket.receive_text()
            await websocket.send_text(name)

    connection = Connection(serving(route))
    await connection.connect()
    assert events == ["open a", "open b", "close b None", "close a None"]
    await connection.say("x")
    await connection.say("y")
    assert connection.texts == ["a x", "rebound"]


async def test_a_with_still_sees_and_swallows_the_route_s_errors(events: list[str]) -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with Resource("a"):
            raise ValueError(await websocket.receive_text())
        async with Resource("b"):
            raise ValueError(await websocket.receive_text())
        await websocket.send_text("swallowed")

    connection = Connection(serving(route))
    await connection.connect()
    events.clear()
    await connection.say("x")
    assert events == ["open a", "close a ValueError", "open b", "close b None"]
    await connection.say("y")
    assert connection.texts == ["swallowed"]


async def test_what_a_with_gave_to_several_names_is_saved(events: list[str]) -> None:
    @contextlib.contextmanager
    def pair() -> Iterator[tuple[int, list[int]]]:
        yield 1, [2]

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with pair() as (one, many):
            many.append(3)
            await websocket.receive_text()
            await websocket.send_text(f"{one} {many}")

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("x")
    assert connection.texts == ["1 [2, 3]"]


async def test_an_error_on_leaving_a_with_is_the_route_s_to_handle(events: list[str]) -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            with Resource("a", fails=True):
                await websocket.receive_text()
        except OSError as error:
            await websocket.send_text(f"handled: {error}")
        finally:
            events.append("finally")

    connection = Connection(serving(route))
    await connection.connect()
    assert connection.texts == ["handled: can't be closed"]
    assert events == ["open a", "close a None", "finally"]
    assert connection.snapshot is None


async def test_a_transformed_manager_cleans_up_as_always(events: list[str]) -> None:
    class Session:
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            try:
                await self.flush(None)
            finally:
                events.append("closed")

        async def flush(self, websocket: WebSocket | None) -> None:
            if websocket is not None:
                await websocket.receive_text()
            events.append("flushed")

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with Session() as session:
            await session.flush(websocket)

    connection = Connection(serving(route))
    await connection.connect()
    assert events == ["flushed", "closed"]
    await connection.say("a")
    assert events == ["flushed", "closed", "flushed", "flushed", "closed"]


# Dependencies with yield.


async def test_a_dependency_with_yield_is_closed_at_hibernation_and_opened_again_if_it_is_used() -> None:
    events = []

    class Session:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    async def ticket() -> str:
        events.append("ticket")
        return "t1"

    async def session(user: str = Depends(ticket)) -> AsyncIterator[Session]:
        events.append(f"open for {user}")
        yield Session()
        events.append("close")

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, db: Session = Depends(session)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text(type(db).__name__)
        await websocket.receive_text()
        await websocket.send_text("without")

    connection = Connection(app)
    await connection.connect()
    assert events == ["ticket", "open for t1", "close"]
    events.clear()
    await connection.say("a")
    assert events == ["open for t1", "close"], "the ticket isn't spent twice"
    events.clear()
    await connection.say("b")
    assert events == [], "nobody uses it any more"
    assert connection.texts == ["Session", "without"]


async def test_an_argument_that_can_t_be_saved_is_handed_down_again() -> None:
    def session() -> threading.Lock:
        return threading.Lock()

    async def inner(websocket: WebSocket, lock: Any) -> None:
        text = await websocket.receive_text()
        with lock:
            await websocket.send_text(text)

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, lock: Any = Depends(session)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.accept()
        while True:
            await inner(websocket, lock)

    connection = Connection(app)
    await connection.connect()
    await connection.say("a")
    await connection.say("b")
    assert connection.texts == ["a", "b"]


async def test_overrides_that_are_replaced_later_still_count() -> None:
    async def dependency() -> str:
        return "original"

    async def fake() -> str:
        return "fake"

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, value: str = Depends(dependency)) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text(value)

    connection = Connection(app)
    app.dependency_overrides = {dependency: fake}
    await connection.connect()
    del app.dependency_overrides[dependency]
    app.dependency_overrides[fake] = fake
    assert dict(app.dependency_overrides) == {fake: fake}
    assert len(app.dependency_overrides) == 1
    assert app.dependency_overrides
    app.dependency_overrides.clear()
    assert not app.dependency_overrides
    await connection.say("a")
    assert connection.texts == ["fake"]


async def test_a_route_whose_dependencies_have_changed_is_not_woken() -> None:
    def one() -> int:
        return 1

    def made(dependencies: list[Any]) -> FastAPI:
        app = FastAPI()

        @app.websocket("/", dependencies=dependencies)
        async def route(websocket: WebSocket, n: int = Depends(one)) -> None:
            await websocket.accept()
            await websocket.receive_text()

        return app

    connection = Connection(made([]))
    await connection.connect()
    connection.app = made([Depends(one)])
    connection.blueprint = prepare(connection.app)
    with pytest.raises(SnapshotError, match="had 1 dependencies when it hibernated, and has 2 now"):
        await connection.say("a")


# Refusals at run time.


async def test_a_local_that_can_t_be_saved_is_named_with_its_line() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        lock = threading.Lock()
        await websocket.receive_text()
        lock.acquire()

    message = await refusal(serving(route))
    line = route.__code__.co_firstlineno
    assert message.startswith(f"{__file__}:{line + 3}: ")
    assert f"'lock' (set at line {line + 2}) holds a _thread.lock, which can't be saved" in message
    assert "register a saver" in message


async def test_the_path_to_what_can_t_be_saved_is_named() -> None:
    class Game:
        def __init__(self) -> None:
            self.players = {"ann": [1, threading.Lock()]}

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        game = Game()
        await websocket.receive_text()
        await websocket.send_text(str(game))

    assert "Define the class at the top of its module" in await refusal(serving(route))


async def test_except_exception_does_not_swallow_a_refusal_but_finally_runs() -> None:
    events = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        lock = threading.Lock()
        try:
            await websocket.receive_text()
        except Exception:
            events.append("except")
        finally:
            events.append("finally")
        lock.acquire()

    assert "'lock'" in await refusal(serving(route))
    assert events == ["finally"]


async def test_a_refusal_that_is_swallowed_all_the_same_is_raised_in_the_end() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        lock = threading.Lock()
        with contextlib.suppress(BaseException):
            await websocket.receive_text()
        lock.acquire()

    assert "'lock'" in await refusal(serving(route))


async def test_a_task_that_waits_for_the_client_is_refused() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        tasks = [asyncio.ensure_future(make()) for make in (websocket.receive_text,)]
        await tasks[0]

    message = await refusal(serving(route))
    assert f"{__file__}:{route.__code__.co_firstlineno + 2}: a task that begins here waits for the client" in message


async def test_a_task_that_outlives_the_message_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatesocket.hibernation.runtime.GRACE", 0)
    tasks = []

    async def forever() -> None:
        await asyncio.Event().wait()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        tasks.append(asyncio.create_task(forever(), name="ticker"))
        await websocket.receive_text()

    message = await refusal(serving(route))
    assert f"{__file__}:{route.__code__.co_firstlineno + 2}: the task 'ticker' still runs" in message
    tasks[0].cancel()
    await asyncio.wait(tasks)


async def test_a_task_that_ends_in_time_is_waited_for() -> None:
    assert GRACE > 0
    saved = []

    async def save(text: str) -> None:
        await asyncio.sleep(0)
        saved.append(text)

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            task = asyncio.create_task(save(await websocket.receive_text()))
            assert not task.done()
            del task

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("a")
    assert saved == ["a"]


async def test_another_task_factory_goes_on_making_the_tasks() -> None:
    made = []
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> "asyncio.Task[Any]":
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    async def work() -> None:
        """Do nothing."""

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.create_task(work())
        await websocket.receive_text()

    loop.set_task_factory(factory)
    try:
        await Connection(serving(route)).connect()
    finally:
        loop.set_task_factory(before)
    assert len(made) == 1


async def test_a_receive_where_none_was_seen_is_refused() -> None:
    async def receiving(websocket: WebSocket) -> str:
        return await websocket.receive_text()

    class Waiter:
        def __init__(self, websocket: WebSocket) -> None:
            self.websocket = websocket

        def __await__(self) -> Generator[Any, Any, str]:
            return (yield from receiving(self.websocket).__await__())

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await Waiter(websocket)

    message = await refusal(serving(route))
    assert "__await__ can't hibernate here: it was not transformed" in message


async def test_a_receive_in_a_finally_that_nobody_could_see_is_refused() -> None:
    handlers: dict[str, Callable[[WebSocket], Awaitable[Any]]] = {}

    async def goodbye(websocket: WebSocket) -> None:
        await websocket.receive_text()

    handlers["goodbye"] = goodbye

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        finally:
            await handlers["goodbye"](websocket)

    assert "was not transformed" in await refusal(serving(route), "a")


async def test_a_point_that_was_passed_is_not_mistaken_for_the_place_of_the_receive() -> None:
    class Base:
        async def hello(self, websocket: WebSocket) -> None:
            """Say nothing."""

    base = Base()

    async def receiving(websocket: WebSocket) -> None:
        await websocket.receive_text()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await base.hello(websocket)

    app = serving(route)
    connection = Connection(app)
    base.hello = receiving  # type: ignore[method-assign]
    await connection.connect()
    with pytest.raises(CannotHibernate, match="its source doesn't show that this waits for the client"):
        await connection.say("a")


async def test_what_is_in_the_state_must_be_saveable() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.state.lock = threading.Lock()
        await websocket.receive_text()

    assert "'websocket.state.lock' holds a _thread.lock" in await refusal(serving(route))


async def test_what_is_in_a_context_variable_must_be_saveable() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        who.set(threading.Lock())  # type: ignore[arg-type]
        await websocket.receive_text()

    assert "'who (a context variable)' holds a _thread.lock" in await refusal(serving(route))


async def test_a_library_s_context_variable_is_left_to_the_library() -> None:
    library = contextvars.ContextVar[Any]("of a library")

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        library.set(threading.Lock())
        await websocket.receive_text()
        await websocket.send_text(str(library.get("unset")))

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("a")
    assert connection.texts == ["unset"]


# Waking.


async def test_other_code_is_not_woken() -> None:
    def made(changed: bool) -> Any:
        if changed:

            async def route(websocket: WebSocket) -> None:
                await websocket.accept()
                await websocket.receive_text()
                await websocket.send_text("new")
        else:

            async def route(websocket: WebSocket) -> None:
                await websocket.accept()
                await websocket.receive_text()

        return serving(route)

    connection = Connection(made(changed=False))
    await connection.connect()
    connection.app = made(changed=True)
    connection.blueprint = prepare(connection.app)
    with pytest.raises(SnapshotError, match=r"route waits, but the connection leads to .*route"):
        await connection.say("a")


async def test_the_same_code_wakes_wherever_it_stands() -> None:
    def made(other: bool) -> Any:
        if other:
            # Only the layout is different here.

            async def route(websocket: WebSocket) -> None:
                await websocket.accept()
                await websocket.send_text(
                    await websocket.receive_text(),
                )
        else:

            async def route(websocket: WebSocket) -> None:
                await websocket.accept()
                await websocket.send_text(await websocket.receive_text())

        return serving(route)

    connection = Connection(made(other=False))
    await connection.connect()
    connection.app = made(other=True)
    connection.blueprint = prepare(connection.app)
    await connection.say("a")
    assert connection.texts == ["a"]


async def test_a_trace_function_changes_nothing() -> None:
    lines = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        total = 0
        for n in range(3):
            total += n * int(await websocket.receive_text())
        await websocket.send_text(str(total))

    def trace(frame: Any, event: str, _argument: object) -> Any:
        if frame.f_code.co_name == "route" and event == "line":
            lines.append(frame.f_lineno - route.__code__.co_firstlineno)
            _ = frame.f_locals
        return trace

    connection = Connection(serving(route))
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        await connection.connect()
        for text in ("1", "10", "100"):
            await connection.say(text)
    finally:
        sys.settrace(before)
    assert connection.texts == ["210"]
    assert set(lines) == {1, 2, 3, 4, 5}


async def test_a_raw_app_may_be_run_without_any_framework() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})

    connection = Connection(app)
    await connection.connect()
    await connection.say("a")
    assert connection.texts == ["a"]
    assert connection.snapshot is None


async def test_a_disconnect_that_is_not_handled_is_the_app_s_error() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    connection = Connection(serving(route))
    await connection.connect()
    with pytest.raises(WebSocketDisconnect) as caught:
        await connection.leave(1000)
    assert caught.value.code == 1000


async def test_outside_of_a_run_the_route_is_as_it_was() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            with contextlib.nullcontext(text) as kept:
                await websocket.send_text(await websocket.receive_text() + kept)

    app = serving(route)
    prepare(app)
    prepare(app)
    queue: asyncio.Queue[Any] = asyncio.Queue()
    for text in "abcd":
        queue.put_nowait({"type": "websocket.receive", "text": text})
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"} if not sent else await queue.get()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:
            queue.put_nowait({"type": "websocket.disconnect", "code": 1000})

    await app(scope("/"), receive, send)
    assert [message.get("text") for message in sent] == [None, "ba", "dc"]


async def test_run_wants_the_blueprint_of_the_app() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    assert await run(app, scope("/"), lambda: None, Connection(app).send, blueprint=prepare(app)) is None


async def test_a_scope_may_come_without_a_state() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.state.user = "ann"
        await websocket.receive_text()
        await websocket.send_text(websocket.state.user)

    connection = Connection(serving(route))
    del connection.scope["state"]
    await connection.connect()
    await connection.say("a")
    assert connection.texts == ["ann"]


async def test_an_app_that_does_not_come_back_to_its_route_is_an_error() -> None:
    doors = ["open"]

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    inner = serving(route)

    async def nothing() -> None:
        """End at once."""

    connection = Connection(inner)
    connection.app = lambda *asgi: inner(*asgi) if doors else nothing()
    await connection.connect()
    doors.clear()
    with pytest.raises(SnapshotError, match="ended without coming back to where the route waits, in .*route"):
        await connection.say("a")


async def test_the_end_of_a_with_can_t_wait_for_the_client_while_the_block_is_left() -> None:
    class Farewell:
        def __init__(self, websocket: WebSocket) -> None:
            self.websocket = websocket

        async def __aenter__(self) -> None:
            """Do nothing."""

        async def __aexit__(self, *_: object) -> None:
            await self.websocket.receive_text()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with Farewell(websocket):
            await websocket.receive_text()

    message = await refusal(serving(route))
    line = Farewell.__aexit__.__code__.co_firstlineno + 1
    assert message.startswith(f"{__file__}:{line}: the end of a `with` waits for the client")


@pytest.mark.parametrize("calls", ["a function of the route", "receive"])
async def test_a_framework_that_goes_on_reaches_nobody(calls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    events = []

    async def first(websocket: WebSocket) -> None:
        events.append(await websocket.receive_text())

    async def second(websocket: WebSocket) -> None:
        events.append("second")
        await websocket.receive_text()

    async def framework(websocket: WebSocket) -> None:
        await first(websocket)
        if calls == "receive":
            await websocket.receive_text()
        await second(websocket)

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await framework(websocket)

    def origin_of(file: str) -> Origin:
        return Origin.FRAMEWORK if file == __file__ else origin(file)

    connection = Connection(serving(route))
    for function in (first, second):
        adopt(cast("FunctionType", function))
    framework.__code__ = originals[framework.__code__]
    monkeypatch.setattr("gatesocket.hibernation.stack.origin", origin_of)
    await connection.connect()
    assert events == []
    await connection.say("a", "b")
    assert events == ["a", "second"]


async def test_without_column_positions_the_line_tells_where_a_function_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatesocket.hibernation.stack._position", lambda *_: (1, None, None, None))

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("a")
    assert connection.texts == ["a"]


async def test_a_run_leaves_nothing_for_the_garbage_collector() -> None:
    runs: list[Callable[[], object]] = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            runs.append(weakref.ref(cast("object", ACTIVE.get())))
            await websocket.receive_text()

    connection = Connection(serving(route))
    gc.disable()
    try:
        await connection.connect()
        await connection.say("a")
        assert [each() for each in runs] == [None, None]
    finally:
        gc.enable()
