"""`check`: what is refused, what is worth knowing, and what each route keeps; `prepare` refuses the same."""

import asyncio
import functools
import json
from collections import deque
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import Host, WebSocketRoute

from gatesocket.exceptions import CannotHibernate, ConfigurationError
from gatesocket.hibernation import check, prepare
from support.hibernation import serving

ROOMS: dict[str, list[Any]] = {}
RECENT: list[str] = []
COUNT = 0


class Manager:
    """The tutorial's."""

    def __init__(self) -> None:
        self.active_connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.active_connections.append(websocket)

    async def broadcast(self, text: str) -> None:
        for connection in self.active_connections:
            await connection.send_text(text)


manager = Manager()


def refusals(endpoint: Any) -> list[tuple[int, str]]:
    """The findings for one endpoint: lines counted from its ``def``, and what is said."""
    report = check(serving(endpoint))
    assert all(finding.file == __file__ and finding.remedy for finding in report.findings)
    start = endpoint.__code__.co_firstlineno
    return [(finding.line - start, finding.what.partition(": ")[2]) for finding in report.findings]


def notes(endpoint: Any) -> list[tuple[int, str]]:
    """The notes on one endpoint, as `refusals`."""
    report = check(serving(endpoint))
    assert report.findings == ()
    start = endpoint.__code__.co_firstlineno
    return [(note.line - start if note.line > start else 0, note.what) for note in report.notes]


def test_a_task_that_waits_for_the_client_is_refused() -> None:
    async def route(websocket: WebSocket) -> None:
        async def reader() -> None:
            await websocket.receive_text()

        tasks = [asyncio.create_task(reader())]
        await asyncio.gather(*tasks, websocket.receive_text())
        await asyncio.wait([websocket.receive_text()])  # type: ignore[type-var]

    what = "a task can't wait for the client: only the route itself can hibernate"
    assert refusals(route) == [(4, what), (5, what), (6, what)]


def test_a_receive_against_an_unknown_clock_and_in_a_task_group_is_refused() -> None:
    async def route(websocket: WebSocket, clock: Any) -> None:
        await clock.wait_for(websocket.receive_text(), 5)
        async with clock.timeout(5):
            await websocket.receive_text()
        async with asyncio.TaskGroup():
            async for _ in websocket.iter_text():
                break
        async with asyncio.timeout(5):
            await websocket.send_text("in time")

    assert refusals(route) == [
        (1, "`wait_for` around a receive can only hibernate if it is asyncio's, and awaited where it is called"),
        (2, "`timeout` around a receive can only hibernate if it is asyncio's or anyio's"),
        (4, "a task group can't stay open while the route hibernates"),
    ]


def test_a_receive_where_a_route_can_t_be_continued_is_refused() -> None:
    async def route(websocket: WebSocket) -> None:
        try:
            await websocket.accept()
        finally:
            await websocket.receive_text()
        try:
            await websocket.receive_text()
        except* ValueError:
            pass
        _ = (await websocket.receive_text() for _ in range(2))
        _ = (text async for text in websocket.iter_text())
        match "x":
            case "x" if await websocket.receive_text():
                pass

    assert [(line, what.removeprefix("the route can't wait for the client ")) for line, what in refusals(route)] == [
        (4, "in a `finally`"),
        (6, "in a `try` with `except*`"),
        (9, "in a generator expression"),
        (10, "in a generator expression"),
        (12, "in the guard of a `case`"),
    ]


def test_a_receive_in_a_default_or_in_the_bases_of_a_class_is_refused() -> None:
    async def route(websocket: WebSocket) -> None:
        def inner(text: str = await websocket.receive_text()) -> str:
            return text

        class Local(dict if await websocket.receive_text() else list):  # type: ignore[misc]
            text = inner()

        await websocket.send_text(str(Local))

    assert [line for line, _ in refusals(route)] == [1, 4]


def test_a_lambda_in_a_comprehension_that_receives_is_refused() -> None:
    async def route(websocket: WebSocket) -> None:
        texts = [sorted(await websocket.receive_text(), key=lambda letter: letter == first) for first in "ab"]
        await websocket.send_text(str(texts))

    assert refusals(route) == [
        (1, "the route can't wait for the client in a comprehension with a lambda or a generator in it")
    ]


def test_an_async_generator_on_the_way_is_refused() -> None:
    async def texts(websocket: WebSocket) -> Any:
        while True:
            yield await websocket.receive_text()

    async def route(websocket: WebSocket) -> None:
        source = texts(websocket)
        async for text in source:
            await websocket.send_text(text)

    async def others() -> Any:
        for n in range(2):
            yield await asyncio.sleep(0, n)

    async def harmless(websocket: WebSocket) -> None:
        async for n in others():
            await websocket.send_json(n)
        await websocket.receive_text()

    assert "an async generator can't hibernate half-way" in str(check(serving(route)))
    assert check(serving(harmless)).findings == ()


def test_timers_are_shown_where_the_route_waits_for_them() -> None:
    async def route(websocket: WebSocket, pause: float) -> None:
        await asyncio.wait_for(websocket.receive_text(), 30)
        await asyncio.wait_for(websocket.receive_text(), timeout=pause)
        await asyncio.sleep(5)

    report = check(serving(route))
    assert [point.awaited for point in report.routes[0].points] == [
        "asyncio.wait_for(websocket.receive_text(), 30)",
        "asyncio.wait_for(websocket.receive_text(), timeout=pause)",
        "asyncio.sleep(5)",
    ]
    shown = [line.partition("  ")[2].strip() for line in str(report).splitlines() if "<locals>.route:" in line]
    assert [line.split("  ", 1)[1] for line in shown] == [
        "waits for  websocket.receive_text(), at most 30 s",
        "waits for  websocket.receive_text(), at most pause s",
        "sleeps     5 s",
    ]


def test_prepare_raises_every_finding() -> None:
    async def route(websocket: WebSocket) -> None:
        asyncio.create_task(websocket.receive_text())  # noqa: RUF006
        asyncio.ensure_future(websocket.receive_text())  # noqa: RUF006

    with pytest.raises(CannotHibernate) as caught:
        prepare(serving(route))
    assert len(caught.value.findings) == 2
    assert str(caught.value).count(f"{__file__}:") == 2


def test_a_function_without_source_is_refused() -> None:
    members: dict[str, Any] = {}
    exec(compile("async def route(websocket):\n    await websocket.receive_text()\n", "<made>", "exec"), members)
    report = check(serving(members["route"]))
    assert "the source file <made> can't be read" in str(report)


def test_middleware_without_source_is_no_finding_of_its_own() -> None:
    members: dict[str, Any] = {}
    exec(
        "class Middleware:\n"
        "    def __init__(self, app): self.app = app\n"
        "    async def __call__(self, scope, receive, send): await self.app(scope, receive, send)\n",
        members,
    )

    async def route(websocket: WebSocket) -> None:
        await websocket.receive_text()

    assert check(members["Middleware"](serving(route))).findings == ()


@pytest.mark.parametrize(
    "app", [None, "chat.app:app", lambda scope: None, FastAPI, 7], ids=["None", "text", "lambda", "class", "7"]
)
def test_what_is_no_asgi_app_is_refused(app: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not an ASGI app"):
        prepare(app)


def test_sockets_kept_in_the_process_are_noted() -> None:
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket)
        ROOMS["lobby"] = [websocket]
        ROOMS.setdefault("lobby", []).append(websocket)
        ROOMS["lobby"].append({"not": websocket})
        mine = []
        mine.append(websocket)
        while True:
            await manager.broadcast(await websocket.receive_text())

    found = notes(route)
    sockets = [line for line, what in found if "keeps sockets in this process's memory" in what]
    assert sockets == [0, 3], "the manager's list and the room's"
    assert (2, "the route changes `ROOMS`, which is kept in this process's memory: each process has its own") in found


def test_state_of_a_module_that_a_route_writes_is_noted() -> None:
    async def route(websocket: WebSocket) -> None:
        global COUNT  # noqa: PLW0603 - which is what is noted
        COUNT += 1
        RECENT.append(await websocket.receive_text())
        ROOMS["lobby"] = []
        ROOMS["lobby"] += [1]
        del ROOMS["lobby"]
        local: deque[str] = deque()
        local.append("x")
        lines = {"a": 1}
        lines["a"] = 2

    assert [(line, what.partition(",")[0]) for line, what in notes(route)] == [
        (1, "the route writes the module's 'COUNT': each process has its own"),
        (3, "the route changes `RECENT`"),
        (4, "the route changes `ROOMS`"),
        (5, "the route changes `ROOMS`"),
        (6, "the route changes `ROOMS`"),
    ]


def test_binary_messages_are_noted() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.send_bytes(await websocket.receive_bytes())

    assert [what for _, what in notes(route)] == [
        "`receive_bytes`: API Gateway has no binary messages",
        "`send_bytes`: API Gateway has no binary messages",
    ]


def test_what_may_turn_out_to_wait_in_a_finally_is_noted() -> None:
    async def route(websocket: WebSocket, session: Any = None) -> None:
        try:
            await websocket.receive_text()
        finally:
            await session.close()
            await session.leave(websocket)

    assert [line for line, _ in notes(route)] == [5]


def test_what_is_kept_is_listed_with_its_type() -> None:
    async def route(websocket: WebSocket, name: "str", limit: Annotated[int, "x"] = 3, *, other=None) -> None:  # type: ignore[no-untyped-def]
        count, text, flag, nothing = 0, "", True, None
        names: list = []  # type: ignore[type-arg]
        table = {"a": 1}
        seen = {1}
        pair = (1, 2)
        greeting = f"hello {name}"
        first = await websocket.receive_text()
        data = await websocket.receive_bytes()
        user = Manager()
        number = int("7")
        tags: set[str] = set()
        unknown = manager.active_connections
        while answer := await websocket.receive_json():
            kept = (count, text, flag, nothing, names, table, seen, pair, greeting, first, data, user, number, tags)
            await websocket.send_json((kept, unknown, answer, limit, other))

    (plan,) = check(serving(route)).routes
    assert plan.path == "/"
    assert plan.endpoint == f"{__name__}:{route.__qualname__}"
    assert plan.points[-1].kept == {
        "websocket": "WebSocket",
        "limit": "Annotated[int, 'x']",
        "other": "?",
        "count": "int",
        "text": "str",
        "flag": "bool",
        "nothing": "None",
        "names": "list",
        "table": "dict",
        "seen": "set",
        "pair": "tuple",
        "greeting": "str",
        "first": "str",
        "data": "bytes",
        "user": "Manager",
        "number": "int",
        "tags": "set[str]",
        "unknown": "?",
    }
    assert 300 < plan.estimated_bytes < 700


def test_the_report_reads_well_as_text_and_as_json() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        count = 0
        name = None
        ready = True
        while True:
            text = await websocket.receive_text()
            count += 1
            await websocket.send_text(f"{name} {ready} {text} {count}")

    async def silent(websocket: WebSocket) -> None:
        await websocket.close()

    report = check(serving(route))
    line = route.__code__.co_firstlineno
    assert f"/  {__name__}:{route.__qualname__}  ({__file__}:{line}), a snapshot of about " in str(report)
    assert "waits for  websocket.receive_text()\n" in str(report)
    assert "keeps      count: int, name: None, ready: bool, websocket: WebSocket" in str(report)
    data = json.loads(report.to_json())
    assert data["routes"][0]["points"][0]["line"] == line + 6
    assert data["findings"] == data["notes"] == []
    assert "never waits for the client" in str(check(serving(silent)))
    assert str(check(FastAPI())) == "no WebSocket routes"


# What is found in an app.


async def found(websocket: WebSocket) -> None:
    await websocket.receive_text()


class Endpoint(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_text(data)


class Raw:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        """Do nothing."""


def test_routes_are_found_wherever_they_are() -> None:
    inner = FastAPI()
    inner.websocket("/in")(found)
    app = FastAPI()
    app.mount("/sub", inner)
    app.router.routes.append(Host("ws.example.org", inner))
    app.router.routes.append(WebSocketRoute("/partial", functools.partial(found)))
    app.router.routes.append(WebSocketRoute("/class", Endpoint))
    app.router.routes.append(WebSocketRoute("/raw", Raw))
    app.router.routes.append(WebSocketRoute("/builtin", print))
    paths = [route.path for route in prepare(app).routes]
    assert paths == ["/sub/in", "/partial", "/class"]


def test_a_raw_app_takes_every_path() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    (route,) = prepare(app).routes
    assert (route.path, [point.awaited for point in route.points]) == ("*", ["receive()"])


def test_functions_around_an_app_are_found_in_objects_and_closures() -> None:
    app = serving(found)
    unset: Any

    class Wrapper:
        def __init__(self) -> None:
            self.inner = app
            self.itself = self

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.inner(scope, receive, send)

    wrapper = Wrapper()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "other":
            await unset(scope, receive, send)
        await wrapper(scope, receive, send)

    assert [route.path for route in prepare(middleware).routes] == ["/"]
    unset = None


def test_a_dependency_that_receives_is_part_of_the_route() -> None:
    async def first(websocket: WebSocket) -> str:
        return await websocket.receive_text()

    async def quiet() -> str:
        return ""

    async def second(text: str = Depends(first), other: str = Depends(quiet)) -> str:
        return text + other

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, text: str = Depends(second)) -> None:
        await websocket.accept()

    (plan,) = prepare(app).routes
    assert [point.function.rpartition(".")[2] for point in plan.points] == ["first"]
