"""The test client for async tests: an emulated API Gateway in front of an app, on the test's own event loop."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from starlette.types import ASGIApp, Message
from starlette.websockets import WebSocketDisconnect

from gatesocket import hibernation
from gatesocket.conversation import BINARY_PREFIX, received
from gatesocket.emulator.gateway import Close, Handshake, Refuse
from gatesocket.emulator.in_process import InProcessGateway, NothingToReceive, Wire
from gatesocket.emulator.quirks import Quirks
from gatesocket.limits import INTEGRATION_SECONDS
from gatesocket.registry.base import Registry
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.testing import denial_of, error_of, unwrapped

__all__ = ["AsyncGatewayClient", "AsyncGatewaySession", "NothingToReceive"]

_HOST: Final = "testserver"


class AsyncGatewayClient:
    """Test an app's WebSocket routes as they are in the cloud, from a coroutine.

    What `gatesocket.testing.GatewayTestClient` is to plain tests, without threads: the route runs on the event loop of
    the test, which can hold a lock or an event of its own against it. The app's lifespan is the ``async with`` block.
    A `ConnectionManager` of the test reaches the sockets under ``with gatesocket.backend.use(client.gateway.backend)``.

    Args:
        app: the ASGI app.
        headers: sent with every handshake.
        raise_server_exceptions: whether errors of the app are raised in the test.
        registry: where connections are kept; None makes one in memory.
        settings: the deployment's settings; None reads the environment.
        function_timeout: seconds after which an invocation is given up.
        quirks: settles what is not known of API Gateway (docs/emulator.md); None takes the likeliest.

    Raises:
        CannotHibernate: a route can't hibernate; the message names each place and its remedy.
        ConfigurationError: *app* isn't an ASGI app.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Mapping[str, str] | None = None,
        raise_server_exceptions: bool = True,
        registry: Registry | None = None,
        settings: Settings | None = None,
        function_timeout: float = INTEGRATION_SECONDS,
        quirks: Quirks | None = None,
    ) -> None:
        hibernation.prepare(app)
        self.registry: Registry = MemoryRegistry() if registry is None else registry
        """Where the connections of this client are kept."""
        self.settings: Final = settings or Settings()
        self.raise_server_exceptions: Final = raise_server_exceptions
        self.gateway: InProcessGateway
        """The emulated API Gateway, while the client is entered."""
        self._app = app
        self._headers = dict(headers or {})
        self._function_timeout = function_timeout
        self._quirks = quirks
        self._exit: AsyncExitStack

    async def __aenter__(self) -> Self:
        """Begin the app's lifespan."""
        async with AsyncExitStack() as stack:
            self.gateway = InProcessGateway(
                self._app,
                registry=self.registry,
                settings=self.settings,
                domain_name=_HOST,
                function_timeout=self._function_timeout,
                quirks=self._quirks,
            )
            stack.push_async_callback(self.gateway.aclose)
            with unwrapped():
                await self.gateway.handler.startup()
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs, and the app's lifespan."""
        with unwrapped():
            await self._exit.aclose()

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] = (), *, headers: Mapping[str, str] | None = None
    ) -> "AsyncGatewaySession":
        """Make a session; entering it opens the connection to the path and the query of *url*."""
        parts = urlsplit(url)
        sent = {"Host": _HOST, "User-Agent": "testclient", "Sec-WebSocket-Version": "13"}
        if subprotocols:
            sent["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
        sent |= self._headers | dict(headers or {})
        path = (self.settings.path_parameter, unquote(parts.path))
        query = (path, *parse_qsl(parts.query, keep_blank_values=True))
        return AsyncGatewaySession(self, Handshake(tuple(sent.items()), query, "testclient", scheme="http", port=80))

    async def advance(self, seconds: float) -> None:
        """Let time pass for routes that sleep or receive with a timeout, and wake them when they are due."""
        await self.gateway.advance(seconds)


class AsyncGatewaySession:
    """A client's end of one connection; the ``async with`` block is its life.

    Leaving the block closes the connection with 1000, and raises an error of the app that nothing has raised yet, once
    its route has come to rest.
    """

    def __init__(self, client: AsyncGatewayClient, handshake: Handshake) -> None:
        self._client = client
        self._handshake = handshake
        self._binary = client.settings.binary is not None
        self._wire = Wire("")
        self.accepted_subprotocol: str | None = None
        """What the app chose; None if nothing."""

    async def __aenter__(self) -> Self:
        """Open the connection.

        Raises:
            WebSocketDenialResponse: the handshake was refused.
        """
        self._wire, verdict = await self._client.gateway.connect(self._handshake)
        if isinstance(verdict, Refuse):
            self._raise_error()
            raise denial_of(verdict, self._wire.said)
        self.accepted_subprotocol = verdict.subprotocol
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection, and wait for its route to rest."""
        await self.close(1000)
        await self._client.gateway.rest(self._wire)
        if error is None:
            self._raise_error()

    @property
    def connection_id(self) -> str:
        """The connection's id, as the app's side knows it."""
        return self._wire.connection_id

    async def send_text(self, text: str) -> None:
        """Send a text, and don't wait for what comes of it; after a close it is lost."""
        await self._client.gateway.send(self._wire, text)

    async def send_json(self, value: Any) -> None:
        """Send JSON as a text, spelt as Starlette's client spells it."""
        await self.send_text(json.dumps(value, separators=(",", ":"), ensure_ascii=False))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes, which API Gateway closes with 1003 unless the setting `binary` agrees on a form for them."""
        sent = BINARY_PREFIX + b64encode(data).decode("ascii") if self._binary else data
        await self._client.gateway.send(self._wire, sent)

    async def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close the connection with *code*, or break it if that is None."""
        await self._client.gateway.leave(self._wire, code, reason)

    async def receive(self, timeout: float | None = None) -> Message:  # noqa: ASYNC109  # as the plain client has it
        """Return the next message as ASGI has it, ``websocket.send`` or ``websocket.close``.

        Without a *timeout*, in seconds, it waits for what is running, and for nothing else.

        Raises:
            NothingToReceive: no message is there and none can come, or none came in time.
            Exception: the app's, if it has failed and `raise_server_exceptions` holds.
        """
        try:
            arrived = await self._client.gateway.receive(self._wire, timeout)
        except NothingToReceive:
            self._raise_error()
            raise
        if isinstance(arrived, Close):
            self._raise_error()
            return {"type": "websocket.close", "code": arrived.code, "reason": arrived.reason}
        return received(arrived, binary=self._binary) | {"type": "websocket.send"}

    async def receive_text(self, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Return the next message, which is a text.

        Raises:
            WebSocketDisconnect: the connection is closed instead.
        """
        text: str = await self._next("text", timeout)
        return text

    async def receive_json(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109
        """Return what the next message, which is a text, says in JSON.

        Raises:
            WebSocketDisconnect: the connection is closed instead.
        """
        return json.loads(await self.receive_text(timeout))

    async def receive_bytes(self, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return the next message, which is bytes; see the setting `binary`.

        Raises:
            WebSocketDisconnect: the connection is closed instead.
        """
        data: bytes = await self._next("bytes", timeout)
        return data

    async def _next(self, kind: Literal["text", "bytes"], timeout: float | None) -> Any:  # noqa: ASYNC109
        message = await self.receive(timeout)
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(message["code"], message["reason"])
        if kind not in message:
            raise AssertionError(f"expected a message of {kind}, but got {message}")
        return message[kind]

    def _raise_error(self) -> None:
        error = error_of(self._wire)
        if error is not None and self._client.raise_server_exceptions:
            raise error
