"""A connection whose route hibernates after every message."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from gatesocket.hibernation import prepare
from support.lives import one_run, scope

__all__ = ["Connection", "serving"]


def serving(endpoint: Callable[..., Any]) -> Starlette:
    """An app with *endpoint* at ``/``."""
    return Starlette(routes=[WebSocketRoute("/", endpoint)])


class Connection:
    """Runs an app for one message after the other, from the snapshot that the last run left."""

    def __init__(self, app: Any, path: str = "/") -> None:
        self.app = app
        self.scope = scope(path)
        self.blueprint = prepare(app)
        self.snapshot: bytes | None = None
        self.sent: list[dict[str, Any]] = []

    @property
    def texts(self) -> list[str]:
        """The texts that the route has sent."""
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    async def connect(self) -> None:
        """Open the connection."""
        await self.run({"type": "websocket.connect"})

    async def say(self, *texts: str) -> None:
        """Send texts, all of them in one run."""
        await self.run(*({"type": "websocket.receive", "text": text} for text in texts))

    async def leave(self, code: int = 1001) -> None:
        """Close the connection."""
        await self.run({"type": "websocket.disconnect", "code": code, "reason": ""})

    async def run(self, *messages: dict[str, Any]) -> None:
        """Run the app until it has taken *messages*."""
        hibernated = await one_run(self.app, self.scope, messages, self.send, self.blueprint, self.snapshot)
        self.snapshot = hibernated.snapshot if hibernated else None

    async def send(self, message: Any) -> None:
        """What the app sends with."""
        self.sent.append(dict(message))
