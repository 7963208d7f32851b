"""Which WebSocket routes can be opened by whoever knows their addresses."""

from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Cookie, FastAPI, Header, Query, WebSocket, WebSocketException
from fastapi import Path as InPath
from pydantic_core import core_schema
from starlette.applications import Starlette
from starlette.routing import Mount

from gatesocket.scaffold.addresses import Address, addresses_of, tried


class Colour(Enum):
    RED = "red"


def url_of(path: str, parameter: Any) -> str | None:
    """The address of a route with one parameter, ``value``, of some type."""
    app = FastAPI()

    @app.websocket(path)
    async def route(websocket: WebSocket, value: parameter) -> None: ...

    [address] = addresses_of(app)
    assert address.path == path.replace(":path", "")
    return address.url


@pytest.mark.parametrize(
    ("kind", "made_up"),
    [
        (str, "value"),
        (int, "1"),
        (float, "1"),
        (bool, "1"),
        (date, "2000-01-01"),
        (UUID, "00000000-0000-4000-8000-000000000000"),
        (Colour, "red"),
        (Literal["up", "down"], "up"),
        (Literal["only"], "only"),
        (Annotated[str, InPath(pattern="^[a-z]+$", examples=["lobby"])], "lobby"),
        (Annotated[str, InPath(max_length=3)], "1"),
        (Annotated[str, InPath(pattern="^[A-Z]{7}$")], None),
    ],
)
def test_a_parameter_of_the_path_is_made_up_by_its_type(kind: Any, made_up: str | None) -> None:
    assert url_of("/ws/{value}/x", kind) == (None if made_up is None else f"/ws/{made_up}/x")


def test_a_rest_of_a_path_is_a_parameter_too() -> None:
    assert url_of("/files/{value:path}", str) == "/files/value"


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (Annotated[str, Query(alias="as it is")], "/ws?as+it+is=as+it+is"),
        (Annotated[int, Query(ge=1)], "/ws?value=1"),
        (Annotated[str, Header()], None),
        (Annotated[str, Cookie()], None),
    ],
    ids=["text", "number", "header", "cookie"],
)
def test_what_a_query_must_have_is_made_up_and_what_else_is_wanted_is_not(kind: Any, url: str | None) -> None:
    assert url_of("/ws", kind) == url


def test_what_may_be_left_out_is() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def route(websocket: WebSocket, name: str = "guest", token: Annotated[str, Header()] = "") -> None: ...

    assert addresses_of(app) == (Address("/ws", "/ws"),)


def test_of_two_routes_with_one_path_the_first_is_served() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def first(websocket: WebSocket) -> None: ...

    @app.websocket("/ws")
    async def second(websocket: WebSocket, token: Annotated[str, Header()]) -> None: ...

    assert addresses_of(app) == (Address("/ws", "/ws"),)


class Odd:
    """A type whose values pydantic knows, and not how they are written."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(cls)


def test_a_type_that_cannot_be_described_is_not_made_up() -> None:
    assert url_of("/ws/{value}", Odd) is None


async def any_path(scope: Any, receive: Any, send: Any) -> None: ...


def test_a_raw_app_takes_every_path() -> None:
    assert addresses_of(any_path) == (Address("*", "/"),)
    assert addresses_of(Starlette(routes=[Mount("/under", any_path)])) == (Address("/under*", "/under/"),)


# What comes of them


def app_of(endpoint: Any) -> FastAPI:
    app = FastAPI()
    app.websocket("/ws")(endpoint)
    return app


def outcome(endpoint: Any) -> Address:
    app = app_of(endpoint)
    [address] = tried(app, addresses_of(app), Path(__file__).parent)
    return address


def test_a_route_that_answers_is_open() -> None:
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    assert outcome(echo) == Address("/ws", "/ws")


def test_a_route_that_lets_the_end_of_its_client_out_is_open() -> None:
    """FastAPI's tutorial has such."""

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(await websocket.receive_text())

    assert outcome(echo) == Address("/ws", "/ws")


def test_a_route_that_wants_to_know_more_refuses() -> None:
    async def guarded(websocket: WebSocket, token: str = "") -> None:
        raise WebSocketException(1008)

    assert outcome(guarded) == Address("/ws", "/ws", refusal=403)


def test_a_route_that_fails_says_where(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(websocket: WebSocket) -> None:
        raise ValueError("first line\nsecond line")

    line = broken.__code__.co_firstlineno + 1
    assert outcome(broken) == Address("/ws", "/ws", failure=f"{__file__}:{line}: ValueError: first line")
    assert caplog.records == []


def test_what_has_no_address_is_not_tried() -> None:
    async def route(websocket: WebSocket, token: Annotated[str, Header()]) -> None:
        raise AssertionError("tried")

    assert outcome(route) == Address("/ws", None)
