"""The short way back to a FastAPI endpoint.

Before FastAPI calls an endpoint it resolves its dependencies and parses its parameters. When a route wakes, it would do
all of that again for every message, to be told that the endpoint has its arguments already. So a woken route that needs
none of it is called past it: with its socket, and without the rest, which comes from the snapshot. Middleware and
routing come before, as ever; exceptions that the app handles are handled by Starlette, as FastAPI has it done.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from types import FunctionType
from typing import Any

from starlette.routing import websocket_session
from starlette.websockets import WebSocket

from gatesocket.hibernation.entry import ACTIVE

__all__ = ["REENTRY", "Reentry"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Reentry:
    """What a FastAPI route calls: FastAPI's own app, or the endpoint itself if that is woken and needs nothing more.

    Args:
        app: FastAPI's.
        endpoint: the function that FastAPI calls with what it has resolved.
        dependant: FastAPI's description of the endpoint's dependencies.
        key: the endpoint's `Unit.key`.
        count: how many dependencies it has.
    """

    def __init__(
        self, app: Callable[..., Awaitable[None]], endpoint: FunctionType, dependant: Any, key: str, count: int
    ) -> None:
        self.app = app
        self._endpoint = endpoint
        self._dependant = dependant
        self._key = key
        self._count = count
        self._again = websocket_session(self._reenter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        run = ACTIVE.get()
        # FastAPI's own telemetry, where it is on, wants to see the endpoint called.
        short = run is not None and run.reenters(self._key, self._count) and scope.get("fastapi.telemetry") is None
        await (self._again if short else self.app)(scope, receive, send)

    async def _reenter(self, websocket: WebSocket) -> None:
        dependant = self._dependant  # `dependencies.solved_in` reads it here
        code = self._endpoint.__code__
        arguments: dict[str, Any] = dict.fromkeys(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        for name in (dependant.websocket_param_name, dependant.http_connection_param_name):
            if name is not None:
                arguments[name] = websocket
        await self._endpoint(**arguments)


REENTRY = Reentry._reenter.__code__  # noqa: SLF001 - its own
"""Where an endpoint is called that FastAPI has resolved nothing for."""
