"""A woken FastAPI endpoint is called past FastAPI, unless something has to be resolved again."""

import functools
import threading
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from pydantic import AfterValidator
from starlette.requests import HTTPConnection

from support.hibernation import Connection

parsed: list[str] = []


def noted(name: str) -> str:
    parsed.append(name)
    return name


Noted = Annotated[str, AfterValidator(noted)]


@pytest.fixture
def parses() -> list[str]:
    """How often FastAPI has parsed a parameter of a route."""
    parsed.clear()
    return parsed


async def talk(app: Any) -> list[str]:
    """Say two things to the route at ``/``, and return what it answered."""
    connection = Connection(app, "/?name=ann")
    await connection.connect()
    for text in ("one", "two"):
        await connection.say(text)
    return connection.texts


async def test_a_woken_endpoint_is_called_without_its_parameters_being_parsed_again(parses: list[str]) -> None:
    app = FastAPI()

    @app.websocket("/")
    async def route(connection: HTTPConnection, websocket: WebSocket, name: Noted, *, size: int = 3) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{name} {size} {text} {connection is websocket}")

    assert await talk(app) == ["ann 3 one True", "ann 3 two True"]
    assert parses == ["ann"]


async def test_it_is_called_by_fastapi_if_a_dependency_is_resolved_again(parses: list[str]) -> None:
    async def lock() -> Any:
        return threading.Lock()

    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket, name: Noted, lock: Any = Depends(lock)) -> None:  # noqa: B008 - FastAPI's form
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            with lock:
                await websocket.send_text(f"{name}: {text}")

    assert await talk(app) == ["ann: one", "ann: two"]
    assert parses == ["ann"] * 3


async def test_it_is_called_by_fastapi_if_that_calls_it_through_something_of_the_apps(parses: list[str]) -> None:
    def polite(endpoint: Any) -> Any:
        @functools.wraps(endpoint)
        def called(name: str, **rest: Any) -> Any:
            return endpoint(name=name.title(), **rest)

        return called

    app = FastAPI()

    @app.websocket("/")
    @polite
    async def route(websocket: WebSocket, name: Noted) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{name}: {text}")

    assert await talk(app) == ["Ann: one", "Ann: two"]
    assert parses == ["ann"] * 3


async def test_it_is_called_by_fastapi_if_that_measures_what_it_calls(parses: list[str]) -> None:
    class Measured:
        """As FastAPI's own telemetry does it."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope["fastapi.telemetry"] = object()
            await self.app(scope, receive, send)

    app = FastAPI()
    app.add_middleware(Measured)

    @app.websocket("/")
    async def route(websocket: WebSocket, name: Noted) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"{name}: {text}")

    assert await talk(app) == ["ann: one", "ann: two"]
    assert parses == ["ann"] * 3


async def test_what_it_raises_is_handled_as_the_app_says(parses: list[str]) -> None:
    app = FastAPI()

    @app.exception_handler(LookupError)
    async def handle(websocket: WebSocket, error: LookupError) -> None:
        await websocket.send_text(f"handled: {error.args[0]}")

    @app.websocket("/")
    async def route(websocket: WebSocket, name: Noted) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise LookupError(await websocket.receive_text())

    assert await talk(app) == ["handled: two"]
    assert parses == ["ann"]
