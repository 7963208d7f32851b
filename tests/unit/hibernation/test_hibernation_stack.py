"""From the receive up to the run: what stands on the way, and what it does when the route is left."""

import threading
from typing import Any

import pytest
import starlette.routing
from fastapi import Depends, FastAPI, WebSocket

from gatesocket.exceptions import CannotHibernate
from gatesocket.hibernation.snapshot import Snapshot
from support.hibernation import Connection, serving


def waiting(connection: Connection) -> list[tuple[str, int, bool]]:
    """The functions that wait, outermost first: their names, points, and whether each awaits the next itself."""
    assert connection.snapshot is not None
    frames = Snapshot.load(connection.snapshot).frames
    return [(frame.key.partition("#")[0].rpartition(".")[2], frame.point, frame.direct) for frame in frames]


def framework(text: str) -> Any:
    """The function that *text* defines around an ``app``, as if Starlette had it."""
    body = f"def around(app):\n{text}\n    return middle\n"
    namespace: dict[str, Any] = {"__name__": "starlette.made"}
    exec(compile(body, starlette.routing.__file__, "exec"), namespace)
    return namespace["around"]


async def read(websocket: WebSocket) -> str:
    return await websocket.receive_text()


async def ask(websocket: WebSocket) -> str:
    await websocket.send_text("?")
    return await read(websocket)


async def test_the_functions_on_the_way_are_found_outermost_first() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text(await ask(websocket))

    connection = Connection(serving(route))
    await connection.connect()
    assert waiting(connection) == [("route", 1, False)]
    await connection.say("a")

    assert [name.rpartition(":")[2] for name, _, _ in waiting(connection)] == ["route", "ask", "read"]
    assert [direct for _, _, direct in waiting(connection)] == [True, True, False]
    await connection.say("b")
    assert connection.texts == ["?", "b"]


async def test_a_fastapi_route_without_dependencies_is_led_back_to_its_endpoint() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, name: str = "guest") -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(f"{name}: {await websocket.receive_text()}")

    connection = Connection(app)
    await connection.connect()
    await connection.say("a")
    assert waiting(connection) == [("route", 1, False)]
    await connection.say("b")
    assert connection.texts == ["guest: a", "guest: b"]


async def test_a_function_that_was_not_transformed_on_the_way_is_named_with_its_line() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("async def helper(websocket):\n\n    return await websocket.receive_text()", namespace)

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        await namespace["helper"](websocket)

    connection = Connection(serving(route))
    with pytest.raises(CannotHibernate) as refused:
        await connection.connect()

    assert str(refused.value) == (
        "<string>:3: helper can't hibernate here: it was not transformed. "
        "Await it directly from the route, or receive in the route itself"
    )


async def test_a_dependency_that_was_not_transformed_is_named_as_well() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere", "WebSocket": WebSocket}
    body = "await websocket.accept()\n    return await websocket.receive_text()"
    exec(f"async def ticket(websocket: WebSocket):\n    {body}", namespace)
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, ticket: str = Depends(namespace["ticket"])) -> None: ...

    connection = Connection(app)
    with pytest.raises(CannotHibernate, match="<string>:3: ticket can't hibernate here: it was not transformed"):
        await connection.connect()


async def test_what_swallows_everything_can_neither_receive_nor_begin_anything_while_the_route_is_left() -> None:
    async def route(scope: Any, receive: Any, send: Any) -> None:
        events.append("begins")
        await receive()
        await receive()
        events.append("never")

    swallowing = framework("""
    async def middle(scope, receive, send):
        await app(scope, receive, send)
        try:
            await app(scope, receive, send)
        except BaseException as error:
            send.append(type(error).__name__)
        await receive()
    """)
    events: list[str] = []
    caught: list[str] = []
    app = swallowing(route)

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, caught)

    connection = Connection(served)
    await connection.connect()

    assert events == ["begins"]
    assert caught == ["Hibernate"]
    assert [name.rpartition(":")[2] for name, _, _ in waiting(connection)] == ["served", "route"]


async def test_a_function_of_the_apps_own_may_run_before_the_route_is_woken() -> None:
    opened: list[str] = []

    async def prepare_session(callback: Any) -> None:
        await callback()

    async def session() -> Any:
        async def callback() -> None:
            opened.append("session")

        await prepare_session(callback)
        return threading.Lock()

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, lock: Any = Depends(session)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.accept()
        text = await websocket.receive_text()
        with lock:
            await websocket.send_text(text)

    connection = Connection(app)
    await connection.connect()
    await connection.say("hello")

    assert connection.texts == ["hello"]
    assert opened == ["session", "session"]


async def route_of_inner(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


inner = serving(route_of_inner)


async def test_an_app_of_the_frameworks_may_be_called_by_a_function_of_the_apps_own() -> None:
    async def outer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await inner(scope, receive, send)

    connection = Connection(outer)
    await connection.connect()
    await connection.say("a")
    await connection.say("b")

    assert connection.texts == ["a", "b"]
