"""The test client for async tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from starlette.testclient import WebSocketDenialResponse

from gatesocket import ConnectionManager
from gatesocket.async_testing import AsyncGatewayClient, NothingToReceive
from gatesocket.backend import use
from gatesocket.emulator.quirks import Quirks
from gatesocket.exceptions import ConfigurationError
from gatesocket.settings import Settings


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.websocket("/count/{room}")
    async def count(websocket: WebSocket, room: str, name: str = "guest") -> None:
        await websocket.accept(subprotocol="chat" if websocket.scope["subprotocols"] else None)
        number = 0
        async for text in websocket.iter_text():
            number += 1
            await websocket.send_text(f"{room} {name} #{number}: {text}")

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                break
            await websocket.send({**message, "type": "websocket.send"})

    @app.websocket("/headers")
    async def headers(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.headers["x-tenant"], str(websocket.url)])
        await websocket.close()

    @app.websocket("/refuse")
    async def refuse(websocket: WebSocket) -> None:
        await websocket.close(4001, "not you")

    @app.websocket("/fail")
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        raise LookupError("a bug of the app")

    @app.websocket("/sleep")
    async def sleep(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(3600)
        await websocket.send_text("good morning")

    return app


async def test_every_message_wakes_the_route(app: FastAPI) -> None:
    async with (
        AsyncGatewayClient(app) as client,
        client.websocket_connect("/count/a%20room?name=ann", ["chat", "other"]) as ann,
        client.websocket_connect("/count/b") as bob,
    ):
        assert (ann.accepted_subprotocol, bob.accepted_subprotocol) == ("chat", None)
        await ann.send_text("hello")
        await bob.send_text("hi")
        await ann.send_text("again")
        assert [await ann.receive_text(), await ann.receive_text()] == ["a room ann #1: hello", "a room ann #2: again"]
        assert await bob.receive_text(timeout=5) == "b guest #1: hi"


async def test_headers_are_the_clients_and_the_handshakes(app: FastAPI) -> None:
    async with (
        AsyncGatewayClient(app, headers={"X-Tenant": "1"}) as client,
        client.websocket_connect("/headers", headers={"X-Tenant": "2"}) as socket,
    ):
        assert await socket.receive_json() == ["2", "ws://testserver/headers"]
        with pytest.raises(WebSocketDisconnect) as closed:
            await socket.receive_text()
    assert closed.value.code == 1000


async def test_a_manager_of_the_test_reaches_the_sockets(app: FastAPI) -> None:
    manager = ConnectionManager()
    async with AsyncGatewayClient(app) as client, client.websocket_connect("/echo") as socket:
        with use(client.gateway.backend):
            await manager.send_to(socket.connection_id, "from outside")
        assert await socket.receive_text() == "from outside"


async def test_a_refused_handshake_is_a_denial(app: FastAPI) -> None:
    async with AsyncGatewayClient(app) as client:
        with pytest.raises(WebSocketDenialResponse) as refused:
            async with client.websocket_connect("/refuse"):
                pass
    assert (refused.value.status_code, refused.value.code) == (403, 4001)


async def test_a_quirk_of_api_gateway_can_be_settled_otherwise(app: FastAPI) -> None:
    @app.websocket("/authenticate")
    async def authenticate(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response(status_code=401, headers={"WWW-Authenticate": "Bearer"}))

    async with AsyncGatewayClient(app, quirks=Quirks(refusal_carries_headers=True)) as client:
        with pytest.raises(WebSocketDenialResponse) as refused:
            async with client.websocket_connect("/authenticate"):
                pass
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


async def test_json_and_in_the_agreed_form_bytes(app: FastAPI) -> None:
    async with (
        AsyncGatewayClient(app, settings=Settings(binary="base64")) as client,
        client.websocket_connect("/echo") as socket,
    ):
        await socket.send_json({"é": [1, 2]})
        assert await socket.receive_json() == {"é": [1, 2]}
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_bytes() == b"\x00\xff"
        await socket.send_text("no bytes")
        with pytest.raises(AssertionError, match="expected a message of bytes"):
            await socket.receive_bytes()


async def test_bytes_without_one_close_the_connection(app: FastAPI) -> None:
    async with AsyncGatewayClient(app) as client, client.websocket_connect("/echo") as socket:
        await socket.send_bytes(b"\x00")
        assert await socket.receive() == {"type": "websocket.close", "code": 1003, "reason": ""}


async def test_an_error_of_the_app_is_raised_where_the_test_meets_it(app: FastAPI) -> None:
    async with AsyncGatewayClient(app) as client:
        with pytest.raises(LookupError, match="a bug of the app"):
            async with client.websocket_connect("/fail") as socket:
                await socket.send_text("go")
        async with client.websocket_connect("/fail") as socket:
            await socket.send_text("go")
            with pytest.raises(LookupError, match="a bug of the app"):
                await socket.receive_text()


async def fail_after(step: Awaitable[None]) -> None:
    await step
    raise KeyError("the test's")


async def test_a_tests_own_error_is_not_hidden_by_the_apps(app: FastAPI) -> None:
    async with AsyncGatewayClient(app) as client:
        with pytest.raises(KeyError, match="the test's"):
            async with client.websocket_connect("/fail") as socket:
                await fail_after(socket.send_text("go"))


async def test_errors_of_the_app_may_be_what_a_client_sees_of_them(app: FastAPI) -> None:
    async with (
        AsyncGatewayClient(app, raise_server_exceptions=False) as client,
        client.websocket_connect("/fail") as socket,
    ):
        await socket.send_text("go")
        assert (await socket.receive())["type"] == "websocket.close"


async def test_no_test_hangs_on_a_message_that_is_not_coming(app: FastAPI) -> None:
    async with AsyncGatewayClient(app) as client, client.websocket_connect("/echo") as socket:
        with pytest.raises(NothingToReceive, match="its route waits at .*test_async_testing.py"):
            await socket.receive_text()


async def test_time_passes_when_the_test_says_so(app: FastAPI) -> None:
    async with AsyncGatewayClient(app) as client, client.websocket_connect("/sleep") as socket:
        await client.advance(3600)
        assert await socket.receive_text() == "good morning"


async def test_the_lifespan_is_the_clients_and_its_errors_are_the_apps() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        said.append("begins")
        yield
        said.append("ends")
        raise ValueError("no clean-up")

    said: list[str] = []
    with pytest.raises(ValueError, match="no clean-up"):
        async with AsyncGatewayClient(FastAPI(lifespan=lifespan)):
            assert said == ["begins"]
    assert said == ["begins", "ends"]


def test_what_is_no_app_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="is not an ASGI app"):
        AsyncGatewayClient(object())  # type: ignore[arg-type]
