"""The lives of an app, each behind the same few calls, so that one exchange can be held with all of them.

A life serves an app; what a test then sees is what any client would see: texts, close codes, statuses of handshakes.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import uvicorn
from starlette.testclient import WebSocketDenialResponse
from starlette.types import ASGIApp
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gatesocket.testing import GatewayTestClient, GatewayTestSession

PATIENCE = 10
"""Seconds after which a test fails rather than waits on."""


@dataclass
class Refused(Exception):
    """The handshake was answered with a status instead of a connection."""

    status: int
    body: str

    def __str__(self) -> str:
        return f"the handshake was refused with {self.status} {self.body!r}"


@dataclass
class Closed(Exception):
    """The server has closed the connection."""

    code: int
    reason: str

    def __str__(self) -> str:
        return f"the connection was closed with {self.code} {self.reason!r}"


class Socket(Protocol):
    """A client's end of one connection."""

    @property
    def subprotocol(self) -> str | None: ...

    def send(self, message: str | bytes) -> None: ...

    def receive(self) -> str | bytes:
        """Return the next message; raise `Closed` if there is none to come."""
        ...

    def close(self, code: int = 1000, reason: str = "") -> None: ...


class Client(Protocol):
    """Whoever talks to a served app."""

    def connect(
        self, url: str, *, subprotocols: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Socket]:
        """Open a connection; raise `Refused` if it isn't let in."""
        ...

    def request(self, method: str, url: str, *, json: Any = None) -> httpx2.Response: ...


class Life(Protocol):
    """A way of serving an app."""

    name: str

    def serve(self, app: ASGIApp) -> AbstractContextManager[Client]: ...


class Uvicorn:
    """The local life: real sockets, and one coroutine for each connection."""

    name = "uvicorn"

    @contextmanager
    def serve(self, app: ASGIApp) -> Iterator[Client]:
        server = _Server(uvicorn.Config(app, port=0, ws="websockets-sansio", log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            if not server.ready.wait(PATIENCE):
                raise TimeoutError("uvicorn did not start")
            yield RealClient(f"127.0.0.1:{server.port}")
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


class RealClient:
    """A client over real sockets, of whatever listens at *address*."""

    def __init__(self, address: str) -> None:
        self.address = address

    @contextmanager
    def connect(
        self, url: str, *, subprotocols: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> Iterator[Socket]:
        try:
            connection = connect(
                f"ws://{self.address}{url}",
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                additional_headers=headers,
                open_timeout=PATIENCE,
                close_timeout=PATIENCE,
                proxy=None,
            )
        except InvalidStatus as error:
            body = (error.response.body or b"").decode()
            raise Refused(error.response.status_code, body) from error
        with connection:
            yield RealSocket(connection)

    def request(self, method: str, url: str, *, json: Any = None) -> httpx2.Response:
        with httpx2.Client(base_url=f"http://{self.address}", trust_env=False, timeout=PATIENCE) as client:
            return client.request(method, url, json=json)


class RealSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    def send(self, message: str | bytes) -> None:
        self._connection.send(message)

    def receive(self) -> str | bytes:
        try:
            return self._connection.recv(timeout=PATIENCE)
        except ConnectionClosed as closed:
            frame = closed.rcvd
            raise (Closed(frame.code, frame.reason) if frame else Closed(1006, "")) from closed

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._connection.close(code, reason)


class InTheTest:
    """The cloud life without a socket: `GatewayTestClient`."""

    name = "test-client"

    @contextmanager
    def serve(self, app: ASGIApp) -> Iterator[Client]:
        # Errors of the app are seen as a client sees them.
        with GatewayTestClient(app, raise_server_exceptions=False) as client:
            yield TestClientClient(client)


class TestClientClient:
    __test__ = False

    def __init__(self, client: GatewayTestClient) -> None:
        self._client = client

    @contextmanager
    def connect(
        self, url: str, *, subprotocols: Sequence[str] = (), headers: Mapping[str, str] | None = None
    ) -> Iterator[Socket]:
        offered = list(subprotocols) or None
        with ExitStack() as stack:
            try:
                session = stack.enter_context(
                    self._client.websocket_connect(url, subprotocols=offered, headers=dict(headers or {}))
                )
            except WebSocketDenialResponse as refusal:
                raise Refused(refusal.status_code, refusal.text) from refusal
            yield TestClientSocket(session)

    def request(self, method: str, url: str, *, json: Any = None) -> httpx2.Response:
        response: httpx2.Response = self._client.request(method, url, json=json)
        return response


class TestClientSocket:
    __test__ = False

    def __init__(self, session: GatewayTestSession) -> None:
        self._session = session

    @property
    def subprotocol(self) -> str | None:
        return self._session.accepted_subprotocol

    def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._session.send_text(message)
        else:
            self._session.send_bytes(message)

    def receive(self) -> str | bytes:
        try:
            return self._session.receive_text()
        except WebSocketDisconnect as closed:
            raise Closed(closed.code, closed.reason) from closed

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._session.close(code, reason)
