"""A test client for WebSocket routes as the cloud serves them: Starlette's, with API Gateway and Lambda in between."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import Any, Literal, Self
from urllib.parse import parse_qsl

from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatesocket import hibernation
from gatesocket.backend import use
from gatesocket.conversation import BINARY_PREFIX, received
from gatesocket.emulator.gateway import Close, Handshake, Refuse
from gatesocket.emulator.in_process import InProcessGateway, NothingToReceive, Wire
from gatesocket.emulator.quirks import Quirks
from gatesocket.exceptions import ConfigurationError
from gatesocket.limits import INTEGRATION_SECONDS
from gatesocket.registry.base import Registry
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings

__all__ = ["GatewayTestClient", "GatewayTestSession", "NothingToReceive"]


class GatewayTestClient(TestClient):
    """Test an app's WebSocket routes as they are in the cloud, and its HTTP routes as ever.

    A drop-in for `starlette.testclient.TestClient`: a test keeps its lines, and every frame of a connection goes
    through an emulated API Gateway to the Lambda handler, where it wakes the hibernating route anew. HTTP requests go
    straight to the app; a `ConnectionManager` in it reaches the sockets of this client.

    What differs is what differs in the cloud: bytes close the connection with 1003, a message over 32 KB with 1009; the
    client sees every other close of the app as 1000; a handshake that is refused is a `WebSocketDenialResponse` with
    its status, and with the app's close code, which only a test can learn; headers of an accept are dropped. Besides,
    the lifespan begins with the first connection even if the client isn't used in a ``with`` statement, as in Lambda.
    And a route that sleeps, or receives with a timeout, waits for `advance` to let the time pass.

    Args:
        app: the ASGI app.
        base_url: where the app seems to be.
        raise_server_exceptions: whether errors of the app are raised in the test; otherwise the test sees what a
            client would.
        root_path: of HTTP requests; API Gateway knows nothing of the kind for WebSockets.
        backend: asyncio, on which Lambda's handlers run.
        backend_options: options of its event loop.
        cookies: sent with every request and handshake.
        headers: the same; ``user-agent`` is ``testclient`` unless they say otherwise.
        follow_redirects: of HTTP requests.
        client: the address that the app sees; of its port WebSocket routes learn nothing.
        registry: where connections are kept; None makes one in memory.
        settings: the deployment's settings; None reads the environment.
        function_timeout: seconds after which an invocation is given up.
        quirks: settles what is not known of API Gateway (docs/emulator.md); None takes the likeliest.

    Raises:
        CannotHibernate: a route can't hibernate; the message names each place and its remedy.
        ConfigurationError: *app* isn't an ASGI app.
    """

    __test__ = False

    def __init__(  # noqa: PLR0917  # Starlette's parameters in Starlette's order
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,  # noqa: FBT001, FBT002  # as Starlette has it
        root_path: str = "",
        backend: Literal["asyncio"] = "asyncio",
        backend_options: dict[str, Any] | None = None,
        cookies: Any = None,
        headers: dict[str, str] | None = None,
        follow_redirects: bool = True,  # noqa: FBT001, FBT002
        client: tuple[str, int] = ("testclient", 50000),
        *,
        registry: Registry | None = None,
        settings: Settings | None = None,
        function_timeout: float = INTEGRATION_SECONDS,
        quirks: Quirks | None = None,
    ) -> None:
        hibernation.prepare(app)
        self.registry: Registry = MemoryRegistry() if registry is None else registry
        """Where the connections of this client are kept."""
        self._settings = settings or Settings()
        self._function_timeout = function_timeout
        self._quirks = quirks
        self._raise_server_exceptions = raise_server_exceptions
        self._gateway: InProcessGateway | None = None
        self._holders = 0
        self._lock = RLock()
        self._stack = ExitStack()
        super().__init__(
            self._serve_http,
            base_url,
            raise_server_exceptions=raise_server_exceptions,
            root_path=root_path,
            backend=backend,
            backend_options=backend_options,
            cookies=cookies,
            headers=headers,
            follow_redirects=follow_redirects,
            client=client,
        )
        self.app = app

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(unwrapped())
            portal = stack.enter_context(self._portal_factory())
            portal.call(self.gateway.handler.startup)
            self.app_state.update(self.gateway.handler.state)
            stack.callback(self._transport.close)
            self.exit_stack = stack.pop_all()
        return self

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **kwargs: Any
    ) -> "GatewayTestSession":
        """Make a session; entering it opens the connection.

        Takes what `TestClient.websocket_connect` takes. The path of *url* reaches the app as the deployed edge would
        carry it there, in a query parameter.
        """
        # Starlette makes the request, with this client's cookies, headers and parameters, and the scope of it.
        plain = super().websocket_connect(url, subprotocols, **kwargs)
        return GatewayTestSession(self, plain.scope)

    def advance(self, seconds: float) -> None:
        """Let time pass for routes that sleep or receive with a timeout, and wake them when they are due.

        Time stands still otherwise: such a route waits until a test says so, and no test has to. What is shorter than
        `hibernation.TIMER_THRESHOLD` is waited for as ever.

        Raises:
            ConfigurationError: the client isn't entered and no session is open, so that nothing waits.
        """
        gateway = self.gateway
        with self._portal_factory() as portal:
            portal.call(gateway.advance, seconds)

    @property
    def gateway(self) -> InProcessGateway:
        """The emulated API Gateway, while the client is entered or a session is open.

        Raises:
            ConfigurationError: neither is.
        """
        if self._gateway is None:
            raise ConfigurationError(
                "this client has no gateway now: use it in a with statement, or open a session first"
            )
        return self._gateway

    @contextmanager
    def _portal_factory(self) -> Iterator[BlockingPortal]:
        """Lend the event loop that requests and sessions share for as long as any of them needs it.

        It can't be one for each, as in Starlette: a broadcast from one connection reaches another.
        """
        with self._lock:
            portal = self.portal or self._start()
            self._holders += 1
        try:
            yield portal
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._stack.close()

    def _start(self) -> BlockingPortal:
        with ExitStack() as stack:
            portal = self.portal = stack.enter_context(start_blocking_portal(**self.async_backend))
            stack.callback(setattr, self, "portal", None)
            gateway = self._gateway = portal.call(self._make_gateway)
            stack.callback(setattr, self, "_gateway", None)
            stack.callback(portal.call, gateway.aclose)
            self._stack = stack.pop_all()
        return portal

    async def _make_gateway(self) -> InProcessGateway:
        return InProcessGateway(
            self.app,
            registry=self.registry,
            settings=self._settings,
            domain_name=self.base_url.host,
            function_timeout=self._function_timeout,
            quirks=self._quirks,
        )

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        with use(self.gateway.backend):
            await self.app(scope, receive, send)


class GatewayTestSession(WebSocketTestSession):
    """A client's end of one connection; the ``with`` block is its life.

    As with Starlette's, leaving the block closes the connection with 1000, and an error of the app that nothing has
    raised yet is raised there, once its route has come to rest. Further, every ``receive`` takes a *timeout* in
    seconds. Without one it waits for what is running, and raises `NothingToReceive` as soon as nothing is: no test
    hangs on a message that isn't coming.
    """

    accepted_subprotocol: str | None  # type: ignore[assignment]  # Starlette's says None and means this
    extra_headers: list[tuple[bytes, bytes]]  # type: ignore[assignment]  # as above
    """None: API Gateway drops the headers of an accept, but for the subprotocol."""
    gateway: InProcessGateway
    """The emulated API Gateway behind the connection."""

    def __init__(self, client: GatewayTestClient, scope: Scope) -> None:
        super().__init__(client.app, scope, client._portal_factory)  # noqa: SLF001  # a part of the client
        self._client = client
        self._settings = client._settings  # noqa: SLF001
        self._wire = Wire("")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.portal = stack.enter_context(self.portal_factory())
            self.gateway = self._client.gateway
            self._wire, verdict = self.portal.call(
                self.gateway.connect, _handshake(self.scope, self._settings.path_parameter)
            )
            if isinstance(verdict, Refuse):
                self._raise_errors()
                raise denial_of(verdict, self._wire.said)
            self.accepted_subprotocol = verdict.subprotocol
            self.extra_headers = []
            self.exit_stack = stack.pop_all()
        return self

    def __exit__(self, *args: object) -> None:
        with self.exit_stack:
            self.close(1000)
            self.portal.call(self.gateway.rest, self._wire)
            self._raise_errors()

    @property
    def connection_id(self) -> str:
        """The connection's id, as the app's side knows it."""
        return self._wire.connection_id

    def send(self, message: Message) -> None:
        """Send an ASGI message, ``websocket.receive`` or ``websocket.disconnect``, as the client.

        It doesn't wait for what comes of it. After a close the message is lost.
        """
        if message["type"] == "websocket.disconnect":
            code = message.get("code", 1005)
            self.portal.call(self.gateway.leave, self._wire, code, message.get("reason") or "")
            return
        if message["type"] != "websocket.receive":
            raise AssertionError(f"expected websocket.receive or websocket.disconnect, but got {message}")
        data = message.get("bytes")
        if data is None:
            data = message["text"]
        elif self._settings.binary is not None:
            data = BINARY_PREFIX + b64encode(data).decode("ascii")
        self.portal.call(self.gateway.send, self._wire, data)

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message as ASGI has it, ``websocket.send`` or ``websocket.close``.

        Raises:
            NothingToReceive: no message is there and none can come, or none came in *timeout* seconds.
            Exception: the app's, if it has failed and `raise_server_exceptions` holds.
        """
        try:
            arrived = self.portal.call(self.gateway.receive, self._wire, timeout)
        except NothingToReceive:
            self._raise_errors()
            raise
        if isinstance(arrived, Close):
            self._raise_errors()
            return {"type": "websocket.close", "code": arrived.code, "reason": arrived.reason}
        return received(arrived, binary=self._settings.binary is not None) | {"type": "websocket.send"}

    def receive_text(self, timeout: float | None = None) -> str:
        """Return the next message, which is a text.

        Raises:
            WebSocketDisconnect: the connection is closed instead.
        """
        text: str = self._next("text", timeout)
        return text

    def receive_bytes(self, timeout: float | None = None) -> bytes:
        """Return the next message, which is bytes; see the setting `binary`.

        Raises:
            WebSocketDisconnect: the connection is closed instead.
        """
        data: bytes = self._next("bytes", timeout)
        return data

    def receive_json(self, mode: Literal["text", "binary"] = "text", timeout: float | None = None) -> Any:
        """Return what the next message says in JSON.

        Raises:
            WebSocketDisconnect: the connection is closed instead.
        """
        return json.loads(self._next("text" if mode == "text" else "bytes", timeout))

    def _next(self, kind: Literal["text", "bytes"], timeout: float | None) -> Any:
        message = self.receive(timeout)
        self._raise_on_close(message)
        if kind not in message:
            raise AssertionError(f"expected a message of {kind}, but got {message}")
        return message[kind]

    def _raise_errors(self) -> None:
        """Raise what went wrong in the app, once."""
        error = error_of(self._wire)
        if error is not None and self._client._raise_server_exceptions:  # noqa: SLF001
            raise error


def error_of(wire: Wire) -> BaseException | None:
    """Take what went wrong in a connection's app, so that it is raised once; None if nothing did."""
    errors, wire.errors = wire.errors, []
    if len(errors) > 1:
        return BaseExceptionGroup(f"connection {wire.connection_id} had {len(errors)} errors", errors)
    return errors[0] if errors else None


def _handshake(scope: Scope, path_parameter: str) -> Handshake:
    query = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True)
    return Handshake(
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
        query=((path_parameter, scope["path"]), *query),
        source_ip=scope["client"][0],
        scheme="https" if scope["scheme"] == "wss" else "http",
        port=scope["server"][1],
    )


def denial_of(refusal: Refuse, said: tuple[int, str] | None) -> WebSocketDenialResponse:
    """Make the exception that a refused handshake is to a test; *said* is the app's own close."""
    # Its base is the Response of whichever httpx Starlette has found.
    response: Any = WebSocketDenialResponse
    denial: WebSocketDenialResponse = response(
        status_code=refusal.status, headers=list(refusal.headers), content=refusal.body.encode()
    )
    # Without a close of the app, what a browser reports of a handshake that failed.
    denial.code, denial.reason = said or (1006, "")
    # As an exception, a response says nothing of itself.
    denial.add_note(f"the handshake was refused with {refusal.status} {refusal.why or refusal.body}".rstrip())
    if said is not None:
        denial.add_note(f"the app closed it with {denial.code} {denial.reason}".rstrip())
    return denial


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise an app's own error where its lifespan failed, as Starlette's client does."""
    try:
        yield
    except ConfigurationError as error:
        if isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise
