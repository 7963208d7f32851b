"""What is saved of the waiting functions, and how it is said that something can't be."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket

from gatesocket.exceptions import CannotHibernate, Finding
from gatesocket.hibernation.snapshot import Snapshot
from support.hibernation import Connection, serving

ADVICE = (
    "Take it as a parameter (Depends), keep it at module level or on app.state, make it after the receive, or register "
    "a saver for its class"
)


def locals_of(connection: Connection) -> list[dict[str, Any]]:
    """What the snapshot holds of each waiting function."""
    assert connection.snapshot is not None
    return [frame.locals for frame in Snapshot.load(connection.snapshot).frames]


async def refused(app: Any, *texts: str) -> Finding:
    """What is said when *app* can't hibernate after the last of *texts*."""
    connection = Connection(app)
    with pytest.raises(CannotHibernate) as caught:
        await connection.run({"type": "websocket.connect"}, *({"type": "websocket.receive", "text": t} for t in texts))
    (finding,) = caught.value.findings
    return finding


async def ask(websocket: WebSocket, question: str) -> str:
    answer = await websocket.receive_text()
    return f"{question} {answer}"


async def test_only_what_is_needed_afterwards_is_saved() -> None:
    async def route(websocket: WebSocket) -> None:
        lock = threading.Lock()
        read, needed = 1, [2]
        with lock:
            await websocket.accept(headers=[(b"x", str(read).encode())])
        await ask(websocket, "what?")
        await websocket.send_text(str(needed))

    connection = Connection(serving(route))
    await connection.connect()

    outer, inner = locals_of(connection)
    assert set(outer) == {"needed", "websocket"}
    assert set(inner) == {"question", "websocket"}
    assert inner["websocket"] == {"$": "ref", "v": 0}


async def test_the_socket_comes_before_what_holds_it_so_that_waking_takes_the_frameworks_for_it() -> None:
    async def route(websocket: WebSocket, room: str = "lobby") -> None:
        await websocket.accept()
        by_room = {room: websocket}
        await websocket.receive_text()
        await by_room[room].send_text("a")

    app = FastAPI()
    app.websocket("/")(route)
    connection = Connection(app)
    await connection.connect()

    (saved,) = locals_of(connection)
    assert list(saved) == ["websocket", "by_room", "room"]
    assert saved["by_room"] == {"lobby": {"$": "ref", "v": 0}}


async def test_a_local_that_can_not_be_saved_is_named_with_its_type_and_where_it_was_set() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        first = [threading.Lock()]
        users = {"ann": first}
        await websocket.receive_text()
        await websocket.send_text(str(users))
        users = {}

    start = route.__code__.co_firstlineno
    finding = await refused(serving(route))

    name = "test_a_local_that_can_not_be_saved_is_named_with_its_type_and_where_it_was_set.<locals>.route"
    assert (finding.file, finding.line) == (__file__, start + 4)
    assert finding.what == (
        f"{name} can't hibernate here: \"users['ann'][0]\" (set at line {start + 3}) holds a _thread.lock, which can't "
        "be saved: _thread.lock belongs to the standard library, which keeps more than shows"
    )
    assert finding.remedy == ADVICE


async def test_a_local_of_an_awaited_function_is_named_with_that_function() -> None:
    async def waiting(websocket: WebSocket, *, event: Any) -> None:
        await websocket.receive_text()
        event.set()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        event = threading.Event()
        await waiting(websocket, event=event)
        event.clear()

    finding = await refused(serving(route))

    assert "route can't hibernate here: 'event'" in finding.what
    assert "holds a threading.Event" in finding.what
    assert "(set at line" in finding.what


async def test_an_article_fits_its_noun_and_a_remedy_may_be_better_than_the_usual() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        event = asyncio.Event()
        await websocket.receive_text()
        event.set()

    async def other(websocket: WebSocket) -> None:
        await websocket.accept()
        shout = "hi".upper
        await websocket.receive_text()
        await websocket.send_text(shout())

    assert "holds an asyncio.locks.Event, which" in (await refused(serving(route))).what
    assert (await refused(serving(other))).remedy.startswith("Call it by its name")


async def test_a_value_that_is_nested_too_deeply_is_refused_and_not_an_error_of_the_routes() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        nested: list[Any] = []
        for _ in range(5000):
            nested = [nested]
        try:
            await websocket.receive_text()
        except Exception:
            nested = []
        await websocket.send_text(str(len(nested)))

    finding = await refused(serving(route))

    assert "'nested' (set at line" in finding.what
    assert finding.what.endswith("holds a list, which can't be saved: it is nested too deeply")
    assert finding.remedy == "Keep it in a flatter form"


@pytest.mark.parametrize(
    "number", [float("inf"), float("nan"), 1e300, -(10**400), 10**5000], ids=("inf", "nan", "1e300", "-1e400", "1e5000")
)
async def test_numbers_that_json_does_not_know_come_back_as_they_were(number: float) -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        kept = number
        await websocket.receive_text()
        await websocket.send_text(f"{type(kept).__name__} {kept:x}" if type(kept) is int else repr(kept))

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("a")

    assert connection.texts == [f"int {number:x}" if type(number) is int else repr(number)]


async def test_what_a_with_gave_is_given_again_if_it_can_not_be_saved() -> None:
    @contextmanager
    def locked(events: list[str]) -> Iterator[Any]:
        events.append("enter")
        yield threading.Lock()

    events: list[str] = []

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with locked(events) as lock:
            await websocket.receive_text()
            await websocket.send_text(str(lock.acquire(blocking=False)))

    connection = Connection(serving(route))
    await connection.connect()
    (saved,) = locals_of(connection)
    assert "lock" not in saved
    await connection.say("go")

    assert connection.texts == ["True"]
    assert events == ["enter", "enter"]


async def test_an_argument_that_can_not_be_saved_is_resolved_again() -> None:
    resolved: list[str] = []

    def lock() -> Any:
        resolved.append("lock")
        return threading.Lock()

    def user() -> str:
        resolved.append("user")
        return "ann"

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, lock: Any = Depends(lock), user: str = Depends(user)) -> None:  # noqa: B008
        await websocket.accept()
        await websocket.receive_text()
        with lock:
            await websocket.send_text(user)

    connection = Connection(app)
    await connection.connect()
    await connection.say("go")

    assert connection.texts == ["ann"]
    assert resolved == ["lock", "user", "lock"]


async def test_what_is_in_the_state_is_named_as_that() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        websocket.state.lock = threading.Lock()
        await websocket.receive_text()

    finding = await refused(serving(route))

    assert "route can't hibernate here: 'websocket.state.lock' holds a _thread.lock" in finding.what


VARIABLE: contextvars.ContextVar[Any] = contextvars.ContextVar("variable")


async def test_what_is_in_a_context_variable_is_named_as_that() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        VARIABLE.set(threading.Lock())
        await websocket.receive_text()

    finding = await refused(serving(route))

    assert "'variable (a context variable)' holds a _thread.lock" in finding.what


async def test_a_context_variable_that_was_set_before_the_app_is_the_servers() -> None:
    VARIABLE.set(threading.Lock())

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    connection = Connection(serving(route))
    await connection.connect()

    assert connection.snapshot is not None
    assert Snapshot.load(connection.snapshot).context == []
