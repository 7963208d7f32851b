"""What is known of an app before its first message, and what of it is refused."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket

from gatesocket.exceptions import CannotHibernate, ConfigurationError
from gatesocket.hibernation import PointPlan, prepare
from gatesocket.hibernation.units import is_transformed
from support.hibernation import serving
from support.lives import load


async def ask(websocket: WebSocket, question: str) -> str:
    await websocket.send_text(question)
    return (await websocket.receive_text()).strip()


async def ask_twice(websocket: WebSocket) -> str:
    first = await ask(websocket, "one?")
    return first + await ask(websocket, "two?")


def line(function: Any, offset: int) -> int:
    return int(function.__code__.co_firstlineno) + offset


def test_a_route_is_described_with_the_functions_that_it_awaits() -> None:
    async def route(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        unused = room
        while await ask_twice(websocket):
            await websocket.send_text(room)
        await websocket.send_text(unused)

    first = line(route, 0)
    blueprint = prepare(serving(route))

    (plan,) = blueprint.routes
    name = "test_a_route_is_described_with_the_functions_that_it_awaits.<locals>.route"
    assert (plan.path, plan.endpoint) == ("/", f"{__name__}:{name}")
    assert (plan.file, plan.line) == (__file__, first)
    assert plan.points == (
        PointPlan(__file__, first + 3, name, "ask_twice(websocket)", ("room", "unused", "websocket")),
        PointPlan(__file__, line(ask_twice, 1), "ask_twice", "ask(websocket, 'one?')", ("websocket",)),
        PointPlan(__file__, line(ask_twice, 2), "ask_twice", "ask(websocket, 'two?')", ("first", "websocket")),
        PointPlan(__file__, line(ask, 2), "ask", "websocket.receive_text()", ("websocket",)),
    )
    assert [unit.name for unit in plan.units] == [name, "ask_twice", "ask"]
    assert blueprint.endpoints == {plan.units[0].key}


def test_preparing_makes_the_functions_able_to_hibernate_in_place_and_once() -> None:
    async def route(websocket: WebSocket) -> None:
        await ask_twice(websocket)

    app, other = serving(route), serving(route)

    first = prepare(app)
    codes = [function.__code__ for function in (route, ask, ask_twice)]

    assert all(map(is_transformed, codes))
    assert prepare(app) == first
    assert prepare(other) == first
    assert [function.__code__ for function in (route, ask, ask_twice)] == codes


def test_a_dependency_that_surely_receives_is_part_of_the_route() -> None:
    async def token(websocket: WebSocket) -> str:
        return await ask(websocket, "token?")

    async def quiet() -> None: ...

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, token: str = Depends(token), nothing: None = Depends(quiet)) -> None: ...

    (plan,) = prepare(app).routes

    assert [unit.node.name for unit in plan.units] == ["route", "token", "ask"]


def test_every_finding_is_named_with_its_line_and_remedy() -> None:
    async def first(websocket: WebSocket) -> None:
        await second(websocket)
        try:
            await websocket.accept()
        finally:
            await websocket.receive_text()

    async def second(websocket: WebSocket) -> None:
        async with websocket.app.clock() as timeout, timeout(5):
            await websocket.receive_text()

    start = line(first, 0)
    with pytest.raises(CannotHibernate) as refused:
        prepare(serving(first))

    name = "test_every_finding_is_named_with_its_line_and_remedy.<locals>"
    assert str(refused.value) == (
        f"{__file__}:{start + 5}: {name}.first can't hibernate: the route can't wait for the client in a `finally`. "
        "Receive before it, and keep what came in a local variable\n"
        f"{__file__}:{start + 8}: {name}.second can't hibernate: `timeout` around a receive can only hibernate "
        "if it is asyncio's or anyio's. Import asyncio at the top of the module, and await `asyncio.wait_for(call(), "
        "seconds)` itself, or use `async with asyncio.timeout(seconds)`"
    )


def test_what_is_refused_only_if_the_route_comes_to_wait_there_is_noted() -> None:
    async def route(websocket: WebSocket) -> None:
        try:
            await websocket.receive_text()
        finally:
            await websocket.app.state.farewell(websocket)

    blueprint = prepare(serving(route))

    (note,) = blueprint.notes
    assert (note.file, note.line) == (__file__, line(route, 4))
    assert "can't wait for the client in a `finally`" in note.what
    assert blueprint.findings == ()


def test_an_endpoint_without_source_is_refused() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec(compile("async def route(websocket):\n    await websocket.receive_text()", "<made>", "exec"), namespace)

    with pytest.raises(CannotHibernate, match=r"<made>:1: route can't hibernate: the source file <made> can't be"):
        prepare(serving(namespace["route"]))


def test_middleware_without_source_is_left_as_it_is() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere", "app": serving(ask_twice)}
    exec("def made(app):\n    async def around(scope, receive, send):\n        await app(scope, receive, send)\n"
         "    return around", namespace)  # fmt: skip

    (plan,) = prepare(namespace["made"](namespace["app"])).routes

    assert plan.endpoint == f"{__name__}:ask_twice"


def test_the_frameworks_functions_are_left_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "helpers.py"
    file.write_text("async def help_out(websocket):\n    await websocket.receive()\n")
    helpers: Any = load(file)
    before = WebSocket.receive_text.__code__

    async def route(websocket: WebSocket) -> None:
        await WebSocket.receive_text(websocket)
        await helpers.help_out(websocket)

    (plan,) = prepare(serving(route)).routes

    assert WebSocket.receive_text.__code__ is before
    assert [unit.node.name for unit in plan.units] == ["route", "help_out"]


@pytest.mark.parametrize(
    "app",
    [None, "app:app", 5, FastAPI, lambda scope, receive, send: None, object()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_asgi_app_is_refused_with_what_one_is(app: Any) -> None:
    with pytest.raises(
        ConfigurationError, match="is not an ASGI app: it has to be an `async` callable that takes scope"
    ):
        prepare(app)
