"""Authentication of a handshake: what is refused, what is asked, and that nothing keeps or logs a token."""

import asyncio
import json
import logging
import zlib
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from gatesocket import ConnectionManager, scope
from gatesocket.auth import AllowedOrigins, Authenticate, InHeader, InQuery, InSubprotocol, authorizer_context
from gatesocket.exceptions import ConfigurationError
from gatesocket.first_message import FirstMessage
from gatesocket.registry.base import Record
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.testing import GatewayTestClient

SECRET = "correct-horse-battery-staple"
KEY = "the-key-that-verifies"
manager = ConnectionManager()


class Keyring:
    """Verifies, and holds a key."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def verify(self, token: str) -> str | None:
        return "ann" if token == SECRET else None


def served(*places: Any) -> FastAPI:
    """An app that greets whoever brings the secret in one of *places*, and tells the others of it first."""
    app = FastAPI()

    @app.websocket("/ws")
    async def greet(
        websocket: WebSocket, user: Annotated[str, Depends(Authenticate(Keyring(KEY).verify, *places))]
    ) -> None:
        await manager.connect(websocket, user=user)
        await manager.broadcast("somebody came")
        async for text in websocket.iter_text():
            await websocket.send_text(f"{user}: {text}")

    return app


def all_of(record: Record) -> str:
    """Everything that a record keeps, as readable text."""
    snapshot = record.snapshot or b""
    body = zlib.decompress(snapshot[7:]) if snapshot[2:3] == b"z" else snapshot
    return f"{scope.load(record.scope)} {body!r} {record}"


def records(client: GatewayTestClient) -> list[Record]:
    assert isinstance(client.registry, MemoryRegistry)
    return list(client.registry._records.values())


def test_a_place_has_to_be_named() -> None:
    with pytest.raises(ValueError, match="expected where to look for a token"):
        Authenticate(Keyring(KEY).verify)


@pytest.mark.parametrize(
    ("place", "options"),
    [
        (InQuery(), {"url": f"/ws?token={SECRET}"}),
        (InHeader(), {"url": "/ws", "headers": {"authorization": f"Bearer {SECRET}"}}),
        (InSubprotocol(), {"url": "/ws", "subprotocols": ["bearer", SECRET]}),
    ],
)
def test_once_checked_a_token_is_neither_stored_nor_logged(
    place: Any, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with GatewayTestClient(served(place)) as client, client.websocket_connect(**options) as session:
        assert session.receive_text() == "somebody came"
        for text in ("hello", "again"):
            session.send_text(text)
            assert session.receive_text() == f"ann: {text}"
            [record] = records(client)
            assert "ann" in all_of(record)
            assert SECRET not in all_of(record)
            assert KEY not in all_of(record)

    assert SECRET not in caplog.text


def test_a_wrong_token_is_not_logged_either(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = GatewayTestClient(served(InQuery()))
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect(f"/ws?token=not-{SECRET}"):
        pass

    assert SECRET not in caplog.text


def test_a_route_that_requires_the_parameter_still_wakes() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(
        websocket: WebSocket,
        token: str,
        user: Annotated[str, Depends(Authenticate(Keyring(KEY).verify, InQuery()))],
    ) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{user}: {text}")

    with GatewayTestClient(app).websocket_connect(f"/ws?token={SECRET}") as session:
        session.send_text("hello")
        assert session.receive_text() == "ann: hello"


def test_a_token_that_is_asked_for_too_late_is_an_error_that_says_so() -> None:
    """Somebody who can't be kept would be looked up again on waking, by a token that is no longer there."""
    app = FastAPI()

    async def unkept(token: str) -> Any:
        return asyncio.get_running_loop()

    @app.websocket("/ws")
    async def late(websocket: WebSocket, loop: Annotated[Any, Depends(Authenticate(unkept, InQuery()))]) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text(str(loop))

    with GatewayTestClient(app).websocket_connect("/ws?token=x") as session:
        session.send_text("hello")
        with pytest.raises(ConfigurationError, match="have it return what can be kept while the route hibernates"):
            session.receive_text()


def test_a_token_in_the_handshake_has_to_be_checked_before_the_first_message() -> None:
    app = FastAPI()
    first = FirstMessage(Keyring(KEY).verify)
    second = Authenticate(Keyring(KEY).verify, InQuery())

    @app.websocket("/ws")
    async def both(websocket: WebSocket, a: Annotated[str, Depends(first)], b: Annotated[str, Depends(second)]) -> None:
        raise AssertionError("it doesn't come to this")

    with GatewayTestClient(app).websocket_connect(f"/ws?token={SECRET}") as session:
        session.send_text(json.dumps({"type": "authenticate", "data": {"token": SECRET}}))
        assert json.loads(session.receive_text())["type"] == "authenticated"
        with pytest.raises(ConfigurationError, match="Put that dependency first"):
            session.receive_text()


def test_an_error_of_what_verifies_is_not_taken_for_a_refusal() -> None:
    async def broken(token: str) -> str | None:
        raise OSError("the key server is down")

    app = FastAPI()

    @app.websocket("/ws")
    async def route(websocket: WebSocket, user: Annotated[str, Depends(Authenticate(broken, InQuery()))]) -> None:
        raise AssertionError("nobody is let in")

    with pytest.raises(OSError, match="key server"), TestClient(app).websocket_connect("/ws?token=x"):
        pass


@pytest.mark.parametrize(
    "origin",
    ["chat.example", "https://chat.example/", "https://Chat.example", "https://chat.example/page", "null", "*"],
)
def test_an_origin_is_written_as_browsers_write_it(origin: str) -> None:
    with pytest.raises(ValueError, match="expected an origin such as https://chat.example"):
        AllowedOrigins(origin)


def test_an_origin_can_be_required() -> None:
    app = FastAPI()
    check = AllowedOrigins("https://chat.example", "http://localhost:8000", required=True)

    @app.get("/", dependencies=[Depends(check)])
    async def page() -> str:
        return "hello"

    client = TestClient(app)

    assert client.get("/", headers={"origin": "http://localhost:8000"}).status_code == 200
    refused = client.get("/")
    assert (refused.status_code, "www-authenticate" in refused.headers) == (403, False)


@pytest.mark.parametrize("event", [None, {}, {"requestContext": {}}, {"requestContext": {"authorizer": {}}}])
def test_without_a_gateway_authorizer_nobody_is_let_in(event: Any) -> None:
    connection = HTTPConnection({"type": "websocket"} | ({} if event is None else {"aws.event": event}))

    with pytest.raises(Exception, match="no authorizer"):
        authorizer_context(connection)


def test_what_the_gateway_authorizer_said_is_given() -> None:
    said = {"principalId": "ann", "level": "7"}
    connection = HTTPConnection({"type": "websocket", "aws.event": {"requestContext": {"authorizer": said}}})

    assert authorizer_context(connection) == said


def test_whoever_says_nothing_in_time_is_closed_without_a_process_that_waits() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def greet(
        websocket: WebSocket, user: Annotated[str, Depends(FirstMessage(Keyring(KEY).verify, within=30))]
    ) -> None:
        raise AssertionError("nobody is let in")

    with GatewayTestClient(app) as client, client.websocket_connect("/ws") as session:
        [record] = records(client)
        assert KEY not in all_of(record), "what verifies is taken from the app again"
        client.advance(30)
        with pytest.raises(WebSocketDisconnect):
            session.receive_text()
        assert records(client) == []


def test_a_token_in_the_first_message_is_neither_stored_nor_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = FastAPI()

    @app.websocket("/ws")
    async def greet(websocket: WebSocket, user: Annotated[str, Depends(FirstMessage(Keyring(KEY).verify))]) -> None:
        async for text in websocket.iter_text():
            await websocket.send_text(f"{user}: {text}")

    with GatewayTestClient(app) as client, client.websocket_connect("/ws") as session:
        session.send_text(json.dumps({"type": "authenticate", "data": {"token": SECRET}}))
        assert json.loads(session.receive_text())["type"] == "authenticated"
        session.send_text("hello")
        assert session.receive_text() == "ann: hello"
        [record] = records(client)
        assert SECRET not in all_of(record)
        assert KEY not in all_of(record)

    assert SECRET not in caplog.text


def test_a_first_message_is_not_among_the_things_that_are_saved() -> None:
    with pytest.raises(TypeError, match="it belongs to the app"):
        FirstMessage(Keyring(KEY).verify).__reduce__()


def test_a_second_accept_is_left_to_starlette() -> None:
    """A manager accepts what isn't accepted; asked for a subprotocol, it says that it is too late for one."""
    app = FastAPI()

    @app.websocket("/ws")
    async def twice(websocket: WebSocket) -> None:
        await websocket.accept()
        await manager.connect(websocket)
        with pytest.raises(RuntimeError):
            await manager.connect(websocket, subprotocol="chat")
        await websocket.send_text("connected")

    with TestClient(app).websocket_connect("/ws", subprotocols=["chat"]) as session:
        assert session.receive_text() == "connected"
