"""A handler with its registry, gateway and wake queue in memory, and a clock that only the test moves."""

import itertools
from typing import Any

from gatesocket import WebSocketHandler, backend
from gatesocket.gateway.fake import FakeGateway
from gatesocket.observation import Observer, Tracer
from gatesocket.registry.base import Record, Registry
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from gatesocket.waker import MemoryWaker
from support.lambda_events import CONNECTION

__all__ = ["MADE", "NOW", "Cloud", "Context", "end_all"]

MADE: list[WebSocketHandler] = []
"""The handlers of the running test: `end_all` ends their apps' lifespans."""

NOW = 1_708_326_703_000
"""A second after the recorded handshake, in milliseconds."""


class Context:
    """What Lambda passes beside the event."""

    numbers = itertools.count()

    def __init__(self) -> None:
        self.aws_request_id = f"request-{next(self.numbers)}"

    def get_remaining_time_in_millis(self) -> int:
        return 10_000


class Cloud:
    """A handler in a Lambda function of its own, and what is around it."""

    def __init__(
        self,
        app: Any,
        *,
        registry: Registry | None = None,
        gateway: FakeGateway | None = None,
        waker: bool = True,
        observer: Observer | None = None,
        tracing: Tracer | None = None,
        **settings: Any,
    ) -> None:
        self.registry = registry or MemoryRegistry()
        self.gateway = gateway or FakeGateway()
        self.gateway.connecting(CONNECTION)
        self.wakes: list[dict[str, Any]] = []
        self.delays: list[float] = []
        """Seconds that each wake so far was asked to wait."""
        self.errors: list[Exception] = []
        self.now = NOW
        self.waker = MemoryWaker(self._on_wake) if waker else None
        self.handler = WebSocketHandler(
            app,
            registry=self.registry,
            gateway=self.gateway,
            waker=self.waker,
            settings=Settings(**settings),
            clock=lambda: self.now,
            on_error=self.errors.append,
            observer=observer,
            tracing=tracing,
        )
        MADE.append(self.handler)

    async def _on_wake(self, event: dict[str, Any], delay: float) -> None:
        self.wakes.append(event)
        self.delays.append(delay)

    async def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        answer = await self.handler.invoke(event, Context())
        if event.get("requestContext", {}).get("eventType") == "CONNECT" and answer["statusCode"] == 200:
            self.gateway.open(event["requestContext"]["connectionId"])
        return answer

    async def wake(self) -> dict[str, Any]:
        return await self(self.wakes.pop(0))

    async def record(self) -> Record | None:
        return await self.registry.get(CONNECTION, now=self.now)

    @property
    def backend(self) -> backend.Backend:
        """What another process of the same deployment reaches connections through."""
        return backend.Backend(self.registry, self.gateway, self.waker, clock=lambda: self.now)

    @property
    def sent(self) -> list[str]:
        return self.gateway.sent[CONNECTION]


async def end_all() -> None:
    """End the lifespans of the apps that the running test has started."""
    while MADE:
        await MADE.pop().shutdown()
