"""From an app to the functions that a connection may run through; nothing of the app is called."""

import functools
from collections.abc import Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from gatesocket.hibernation.discover import discover

App = Callable[..., Any]


async def chat(websocket: WebSocket) -> None:
    raise AssertionError("nothing is called")


async def ticket() -> str:
    raise AssertionError("nothing is called")


async def user(ticket: str = Depends(ticket)) -> str:
    raise AssertionError("nothing is called")


def plain() -> None:
    raise AssertionError("nothing is called")


class Chat(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: Any) -> None: ...

    def helper(self) -> None: ...


class Bare:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any: ...

    async def serve(self) -> None: ...


class Around:
    """Middleware of the app's own."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def paths(app: Any) -> list[str]:
    return [route.path for route in discover(app).routes]


def test_the_websocket_routes_of_an_app_are_found_with_their_paths() -> None:
    app = FastAPI()
    app.websocket("/a")(chat)
    app.get("/b")(plain)
    app.mount("/sub", Starlette(routes=[WebSocketRoute("/c", chat), Route("/d", plain)]))
    app.mount("/deeper", Router([Mount("/e", routes=[WebSocketRoute("/f", chat)])]))
    app.router.routes.append(Host("example.org", Router([WebSocketRoute("/g", chat)])))
    router = APIRouter(prefix="/r")
    router.websocket("/h")(chat)
    app.include_router(router, prefix="/v1")

    assert sorted(paths(app)) == ["/a", "/deeper/e/f", "/g", "/sub/c", "/v1/r/h"]


def test_an_app_that_is_mounted_twice_is_looked_at_once() -> None:
    inner = Starlette(routes=[WebSocketRoute("/x", chat)])

    assert paths(Starlette(routes=[Mount("/a", inner), Mount("/b", inner)])) == ["/a/x"]


def test_a_route_that_is_in_two_routers_is_looked_at_once() -> None:
    route = WebSocketRoute("/x", chat)

    assert paths(Router([route, Mount("/a", routes=[route])])) == ["/x"]


def test_an_endpoint_is_found_under_what_is_around_it() -> None:
    (found,) = discover(Router([WebSocketRoute("/", functools.partial(chat))])).routes

    assert found.endpoint is chat


def test_a_class_is_its_dispatch_and_its_own_coroutines() -> None:
    (found,) = discover(Router([WebSocketRoute("/", Chat)])).routes

    assert found.endpoint is WebSocketEndpoint.dispatch
    assert found.others == (Chat.on_receive,)


def test_a_class_of_nobodys_is_its_own_coroutines() -> None:
    (found,) = discover(Router([WebSocketRoute("/", Bare)])).routes

    assert (found.endpoint, found.others) == (Bare.serve, ())


def test_what_has_no_python_code_is_no_endpoint() -> None:
    class Empty:
        def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert paths(Router([WebSocketRoute("/a", Empty), WebSocketRoute("/b", print)])) == []


def test_the_dependencies_of_a_route_are_found_however_deep() -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, user: str = Depends(user), other: None = Depends(plain)) -> None: ...

    (found,) = discover(app).routes

    assert found.others == (user, ticket)
    assert found.endpoint is route


def test_fastapi_apps_have_a_say_in_dependencies() -> None:
    inner, outer = FastAPI(), FastAPI()
    outer.mount("/sub", inner)

    assert discover(outer).providers == [outer, inner]


# Middleware, and other code around.


def test_middleware_of_the_apps_own_is_found_and_the_frameworks_is_not() -> None:
    async def dispatch(*_: Any) -> Any: ...

    app = Starlette(
        routes=[WebSocketRoute("/", chat, middleware=[Middleware(GZipMiddleware), Middleware(Around)])],
        middleware=[
            Middleware(Around),
            Middleware(GZipMiddleware),
            Middleware(BaseHTTPMiddleware, dispatch=dispatch),
            Middleware(functools.partial(Around)),
        ],
    )

    assert discover(app).around == [Around.__call__, Around.__call__]


def test_an_app_that_has_served_already_is_no_different() -> None:
    app = Starlette(routes=[WebSocketRoute("/", chat), Route("/", HTTPEndpoint)], middleware=[Middleware(Around)])
    TestClient(app).get("/")

    found = discover(app)

    assert [route.endpoint for route in found.routes] == [chat]
    assert set(found.around) == {Around.__call__}


def test_middleware_of_a_router_is_found() -> None:
    found = discover(Router([WebSocketRoute("/", chat)], middleware=[Middleware(Around)]))

    assert Around.__call__ in found.around
    assert [route.endpoint for route in found.routes] == [chat]


def test_an_object_or_a_function_around_an_app_is_looked_through() -> None:
    app = Router([WebSocketRoute("/x", chat)])
    unset: Any

    async def logged(scope: Any, receive: Any, send: Any) -> None:
        if scope is None:
            unset()
        await app(scope, receive, send)

    wrapped: Any = logged
    found = discover(Around(Around(wrapped)))

    assert [route.path for route in found.routes] == ["/x"]
    assert found.around == [Around.__call__, Around.__call__, wrapped]
    unset = None


named = Router([WebSocketRoute("/named", chat)])


class Proxy:
    """What seems to have everything, as a client that connects when it is first used."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("nothing is called")


proxy = Proxy()
views: Any = ModuleType("views")
views.routes = [WebSocketRoute("/elsewhere", chat)]


def test_an_app_that_is_only_named_is_looked_through_and_what_looks_like_one_is_not() -> None:
    async def served(scope: Any, receive: Any, send: Any) -> None:
        await named(scope, receive, send)
        await proxy.answer(views.routes)

    class Served:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await named(scope, receive, send)

    assert paths(served) == ["/named"]
    assert paths(Served()) == ["/named"]


def test_a_raw_asgi_function_is_a_route_for_every_path() -> None:
    async def raw(scope: Any, receive: Any, send: Any) -> None: ...

    (found,) = discover(Starlette(routes=[Mount("/raw", raw)])).routes

    assert (found.path, found.endpoint) == ("/raw*", raw)


@pytest.mark.parametrize("app", [5, print, plain, functools.partial(print)])
def test_in_what_is_no_app_there_is_nothing(app: Any) -> None:
    found = discover(app)

    assert (found.routes, found.around) == ([], [])


def test_a_lifespan_is_no_route() -> None:
    @asynccontextmanager
    async def lifespan(app: Any) -> Any:
        yield

    assert paths(Starlette(lifespan=lifespan)) == []
