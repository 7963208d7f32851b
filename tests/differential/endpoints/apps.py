"""Everything around an endpoint: routers, mounts, middleware, classes, raw ASGI."""

import contextvars
import functools

from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, Router, WebSocketRoute
from support.lives import Endpoints, fx

endpoint = Endpoints()
inner = endpoint.app

who = contextvars.ContextVar("who", default="nobody")
plain = contextvars.ContextVar("plain")


class Outer:
    """Middleware of the app's own, around everything."""

    def __init__(self, app, name):
        self.app = app
        self.name = name

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket" or "middleware" not in scope["path"]:
            await self.app(scope, receive, send)
            return
        fx("begin", self.name)
        token = who.set(self.name)
        plain.set([1])
        scope["state"]["by"] = self.name
        sent = 0

        async def counted(message):
            nonlocal sent
            sent += 1
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            who.reset(token)
            fx("end", self.name, sent, who.get())


inner.add_middleware(Outer, name="first")
inner.add_middleware(Outer, name="second")


@endpoint("a", "b")
async def middleware_around_a_route(websocket: WebSocket):
    await websocket.accept()
    while True:
        plain.get().append(await websocket.receive_text())
        fx(who.get(), plain.get(), websocket.state.by)
        await websocket.send_text("sent through the middleware")


@endpoint("a", "x")
async def middleware_and_an_error(websocket: WebSocket):
    await websocket.accept()
    while True:
        if await websocket.receive_text() == "x":
            raise ValueError(who.get())


@endpoint("a", "b", path="/{room}/{number:int}|/lobby/7?limit=3&tag=x&tag=y")
async def parameters(websocket: WebSocket, room: str, number: int, limit: int = 1, missing: str | None = None):
    await websocket.accept()
    while True:
        text = await websocket.receive_text()
        fx(text, room, number, limit, missing, websocket.query_params.getlist("tag"), websocket.path_params)
        limit += 1


@endpoint("a", "x")
async def refused_parameters(websocket: WebSocket, needed: int):
    await websocket.accept()


router = APIRouter(prefix="/api")


@router.websocket("/{name}/included")
async def included(websocket: WebSocket, name: str):
    await websocket.accept(subprotocol="chat")
    while True:
        fx(name, await websocket.receive_text())


deeper = APIRouter(prefix="/deeper")
deeper.include_router(router, prefix="/v1")
inner.include_router(router)
inner.include_router(deeper)
endpoint.client("included", "a", "b", path="/api/ann/included")
endpoint.client("included_twice", "a", "b", path="/deeper/v1/api/ann/included")


async def mounted(websocket: WebSocket):
    await websocket.accept()
    fx(await websocket.receive_text(), websocket.url.path)
    fx(await websocket.receive_text(), websocket.scope["root_path"])


sub = FastAPI()
sub.websocket("/mounted")(mounted)
inner.mount("/sub", sub)
endpoint.client("mounted", "a", "b", path="/sub/mounted")


async def starlette_route(websocket):
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(f"{websocket.path_params['n']}: {await websocket.receive_text()}")
    except WebSocketDisconnect as error:
        fx(error.code)


inner.mount(
    "/starlette",
    Starlette(
        routes=[
            WebSocketRoute("/{n:int}", starlette_route),
            Mount("/deep", Router([WebSocketRoute("/{n}", starlette_route)])),
        ]
    ),
)
endpoint.client("starlette_route", "a", "b", path="/starlette/5")
endpoint.client("starlette_deep_route", "a", "b", path="/starlette/deep/x")


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket):
        await websocket.accept()
        self.count = 0
        self.last = []

    async def on_receive(self, websocket, data):
        self.count += 1
        self.last.append(data)
        await websocket.send_text(f"{self.count} {self.last}")

    async def on_disconnect(self, websocket, close_code):
        fx("disconnect", close_code, self.count)


class Asking(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket):
        await websocket.accept()
        fx("name", await websocket.receive_text())

    async def on_receive(self, websocket, data):
        fx(data, await self.ask(websocket, "why?"))

    async def ask(self, websocket, question):
        await websocket.send_text(question)
        return await websocket.receive_text()


inner.router.routes.append(WebSocketRoute("/class_based", Echo))
endpoint.client("class_based", "a", "b", "c", 1000)
inner.router.routes.append(WebSocketRoute("/class_based_asking", Asking))
endpoint.client("class_based_asking", "ann", '{"a": 1}', "because", "[2]", "so")
endpoint.client("class_based_bad_json", "ann", "{bad", path="/class_based_asking")
inner.router.routes.append(
    WebSocketRoute(
        "/route_with_middleware", functools.partial(mounted), middleware=[Middleware(Outer, name="of the route")]
    )
)
endpoint.client("route_with_middleware", "a", "b")


class Handler:
    """A bound method as an endpoint."""

    def __init__(self, prefix):
        self.prefix = prefix

    async def serve(self, websocket: WebSocket):
        await websocket.accept()
        while True:
            fx(self.prefix, await websocket.receive_text())


handler = Handler("> ")
inner.add_api_websocket_route("/bound_method", handler.serve)
endpoint.client("bound_method", "a", "b")


class Callable:
    async def __call__(self, websocket: WebSocket):
        await websocket.accept()
        fx("called", await websocket.receive_text(), await websocket.receive_text())


inner.add_api_websocket_route("/callable_object", Callable())
endpoint.client("callable_object", "a", "b")


def made_endpoint(path, answer):
    async def generic(websocket: WebSocket):
        await websocket.accept()
        while True:
            fx(answer, await websocket.receive_text())

    inner.websocket(path)(generic)


made_endpoint("/made_1", "one")
made_endpoint("/made_2", "two")
endpoint.client("made_1", "a", "b")
endpoint.client("made_2", "a", "b")


async def same_name(websocket: WebSocket):
    await websocket.accept()
    fx("first", await websocket.receive_text())


inner.websocket("/same_name_1")(same_name)


async def same_name(websocket: WebSocket):
    await websocket.accept()
    fx("second", await websocket.receive_text(), await websocket.receive_text())


inner.websocket("/same_name_2")(same_name)
endpoint.client("same_name_1", "a")
endpoint.client("same_name_2", "a", "b")


async def raw(scope, receive, send):
    """ASGI without any framework."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    count = 0
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            fx("left", message["code"], count)
            break
        count += 1
        await send({"type": "websocket.send", "text": f"{scope['path']} {count} {message['text']}"})


inner.mount("/raw", raw)
endpoint.client("raw", "a", "b", path="/raw/x")


async def raw_with_a_socket(scope, receive, send):
    websocket = WebSocket(scope, receive=receive, send=send)
    await websocket.accept()
    websocket.note = "kept"
    async for text in websocket.iter_text():
        await websocket.send_text(text + websocket.note)
    fx(websocket.client_state.name, websocket.application_state.name)


inner.mount("/raw_with_a_socket", raw_with_a_socket)
endpoint.client("raw_with_a_socket", "a", "b", path="/raw_with_a_socket/")


class RawClass:
    def __init__(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send

    def __await__(self):
        return self.run().__await__()

    async def run(self):
        await self.receive()
        await self.send({"type": "websocket.accept"})
        fx((await self.receive())["text"])
        fx((await self.receive())["text"])


inner.router.routes.append(WebSocketRoute("/raw_class", RawClass))
endpoint.client("raw_class", "a", "b")


async def raw_helper(receive):
    return (await receive()).get("text")


async def raw_with_a_helper(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (text := await raw_helper(receive)) is not None:
        fx(text)


inner.mount("/raw_with_a_helper", raw_with_a_helper)
endpoint.client("raw_with_a_helper", "a", "b", path="/raw_with_a_helper/")


def tagged(app, tag):
    """Middleware as a function."""

    async def middleware(scope, receive, send):
        async def tagging(message):
            if message["type"] == "websocket.send":
                message = {**message, "text": f"{tag}{message['text']}"}
            await send(message)

        fx("in", tag)
        await app(scope, receive, tagging)
        fx("out", tag)

    return middleware


inner.mount("/tagged", tagged(tagged(raw, "1"), "2"))
endpoint.client("function_middleware", "a", "b", path="/tagged/")


async def denied(websocket: WebSocket):
    from starlette.responses import JSONResponse

    await websocket.send_denial_response(JSONResponse({"detail": "no"}, 401))


inner.websocket("/denied")(denied)
endpoint.client("denied")


class Known(Exception):
    pass


@inner.exception_handler(Known)
async def on_known(websocket, error):
    await websocket.send_json({"known": str(error)})
    await websocket.close(4000)


@endpoint("a", "x")
async def handled_by_the_app(websocket: WebSocket):
    await websocket.accept()
    while True:
        if await websocket.receive_text() == "x":
            raise Known("sorry")


@endpoint("a", "b", "c")
async def closed_by_the_route(websocket: WebSocket):
    await websocket.accept()
    await websocket.receive_text()
    await websocket.close(4001, "enough")
    try:
        await websocket.send_text("too late")
    except RuntimeError as error:
        fx(str(error))
    fx(websocket.application_state.name, await websocket.receive())


inner.router.routes.append(Route("/http", lambda request: None))
app = inner
