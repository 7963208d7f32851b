"""The emulated API Gateway on a socket: one address for the WebSocket API, its Management API and the HTTP API.

=====================================  =================================================================
``/{stage}`` with an upgrade           the WebSocket API
``/{stage}/@connections/{id}``         the Management API; 403 without a signature, and under another stage
any other path below ``/{stage}``      426: there is nothing but the WebSocket API
any other path with an upgrade         the same WebSocket API, by way of the edge; 403 without one
any other path                         the HTTP API
=====================================  =================================================================
"""

import asyncio
import functools
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import Receive, Scope, Send

from gatesocket.emulator import edge
from gatesocket.emulator.connections import Client, Socket
from gatesocket.emulator.events import Handshake
from gatesocket.emulator.http import GatewayHttp
from gatesocket.emulator.http_api import FORBIDDEN, HttpRequest, HttpResponse, problem
from gatesocket.emulator.management import MANAGEMENT, Management
from gatesocket.emulator.quirks import Quirks
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.tls import EitherProtocol
from gatesocket.emulator.websocket import GatewaySocket
from gatesocket.limits import URL_CHARACTERS

__all__ = ["Application", "Server"]

MESSAGE_MEMORY: Final = 1024 * 1024
"""Bytes of the largest message that is read from a client at all; the gateway model refuses smaller ones already."""

SHUTDOWN_SECONDS: Final = 3
"""How long open requests and sockets may take when the server ends."""


class Application:
    """What stands in front of a stack: of its WebSockets, its Management API and, an ASGI application, its HTTP API.

    Args:
        stack: what serves; already started.
        with_edge: whether WebSockets on other paths than the stage's come in as through the deployed edge.
    """

    def __init__(self, stack: Stack, *, with_edge: bool) -> None:
        self._stack = stack
        self._with_edge = with_edge
        self.manage = Management(stack.api.stage, stack.connections.manage).answer
        """Answers a request to the Management API."""

    @property
    def quirks(self) -> Quirks:
        """What was settled of API Gateway's unknowns."""
        return self._stack.connections.quirks

    def admit(self, socket: Socket, path: str, query: str, handshake: Handshake) -> Client | None:
        """Let a client in that asks for a WebSocket, or refuse it; *path* and *query* are as it sent them."""
        stage = self._stack.api.stage
        if self._with_edge:
            path, query = edge.rewrite(path, query, stage=stage)
        # A slash at the end is allowed; anything behind it isn't (facts sheet, section 8).
        if path not in {f"/{stage}", f"/{stage}/"}:
            socket.refuse(FORBIDDEN.status, FORBIDDEN.body.decode(), FORBIDDEN.headers)
        elif len(path) + len("?") + len(query) > URL_CHARACTERS:
            refusal = problem(self.quirks.long_url_status, "URI Too Long")
            socket.refuse(refusal.status, refusal.body.decode(), refusal.headers)
        else:
            return self._stack.connections.open(socket, handshake, query)
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an HTTP request."""
        path, method = _raw_path(scope), scope["method"]
        stage = self._stack.api.stage
        body = await _body(receive)
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        query = scope["query_string"].decode("latin-1")
        if managed := MANAGEMENT.match(path):
            authorization = next((value for name, value in headers if name == "authorization"), None)
            response = self.manage(method, managed, query, authorization, body)
        elif path == f"/{stage}" or path.startswith(f"/{stage}/"):
            response = UPGRADE_REQUIRED
        else:
            client = scope.get("client")
            request = HttpRequest(
                method=method,
                raw_path=path,
                query=query,
                headers=headers,
                body=body,
                source_ip=client[0] if client else "127.0.0.1",
            )
            response = await self._stack.request(request, scope["path"])
        await _respond(send, response)


UPGRADE_REQUIRED: Final = problem(426, "Upgrade Required")


class Server(uvicorn.Server):
    """uvicorn as API Gateway; ``await server.serve([listening])`` serves until `end` or a signal.

    A signal only ends the server, and not at once the process: the stack behind it has to end first.

    Args:
        application: what serves.
        tls: for clients that want it, on the same port; None has them fail.
    """

    def __init__(self, application: Application, *, tls: ssl.SSLContext | None = None) -> None:
        http: Any = functools.partial(GatewayHttp, application.manage)
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # a client's own X-Forwarded-For doesn't make it another client
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            http=http if tls is None else functools.partial(EitherProtocol, tls, http),  # type: ignore[arg-type]
            ws=functools.partial(GatewaySocket, application.admit, quirks=application.quirks),  # type: ignore[arg-type]
            ws_max_size=MESSAGE_MEMORY,
        )
        super().__init__(config)

    def end(self) -> None:
        """End soon: clients are told, and requests that are under way are finished."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as calls of `end`; outside of the main thread leave them alone, as uvicorn does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.end)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self) -> None:
        # A second Ctrl+C is meant: nothing is waited for any more.
        self.force_exit = self.should_exit
        self.should_exit = True


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope["raw_path"]
    return raw.decode("latin-1")


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _respond(send: Send, response: HttpResponse) -> None:
    length = ("content-length", str(len(response.body)))
    given = [(name, value) for name, value in response.headers if name.lower() != "content-length"]
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [*given, length]]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
