"""The short way back to a FastAPI endpoint.

Before FastAPI calls an endpoint it resolves its dependencies and parses its parameters. When a route wakes, it would do
all of that again for every message, to be told that the endpoint has its arguments already. So a woken route that needs
none of it is called past it: with its socket, and without the rest, which comes from the snapshot. Middleware and
routing come before, as ever; exceptions that the app handles are handled by Starlette, as FastAPI has it done.
"""

from functools import partial
from types import FunctionType
from typing import Any

from starlette.routing import websocket_session
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gatesocket.hibernation.entry import ACTIVE

__all__ = ["Reentry"]


class Reentry:
    """What a FastAPI route calls: FastAPI's own app, or the endpoint itself if that is woken and needs nothing more.

    Args:
        app: FastAPI's.
        endpoint: the function that FastAPI calls with what it has resolved.
        key: the endpoint's `Unit.key`.
        sockets: the parameters that get the socket.
        dependencies: how many dependencies the endpoint has.
    """

    def __init__(
        self,
        app: ASGIApp,
        endpoint: FunctionType,
        key: str,
        sockets: tuple[str, ...],
        dependencies: int,
    ) -> None:
        self.app = app
        self._endpoint = endpoint
        self._key = key
        self._sockets = sockets
        self._dependencies = dependencies
        code = endpoint.__code__
        self._arguments: dict[str, Any] = dict.fromkeys(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        run = ACTIVE.get()
        # FastAPI's own telemetry, where it is on, wants to see the endpoint called.
        if run is None or scope.get("fastapi.telemetry") or not run.reenter(self._key, self._dependencies):
            await self.app(scope, receive, send)
            return
        websocket = WebSocket(scope, receive, send)
        try:
            await self._endpoint(**self._arguments | dict.fromkeys(self._sockets, websocket))
        except Exception as error:
            # Only now, because it is three coroutines more for each message.
            await websocket_session(partial(_fail, websocket, error))(scope, receive, send)


async def _fail(websocket: WebSocket, error: Exception, session: WebSocket) -> None:
    """Have Starlette handle *error* with *session*, which becomes what *websocket* is."""
    vars(session).update(vars(websocket))
    raise error
