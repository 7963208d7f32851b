"""A registry, a gateway and a client of AWS that answer alike every time, in this process and at once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.types import ASGIApp

from gatesocket import WebSocketHandler
from gatesocket.clock import milliseconds
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.base import Changes, Entry, Lease, Record, Taken
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from sample_events import CONNECTION, Context, connect, message

__all__ = ["CannedClient", "CannedGateway", "CannedRegistry", "record_of"]


class CannedRegistry(MemoryRegistry):
    """Gives every message the same record, and forgets what is released."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken:
        """Return the record with *entry* in its inbox."""
        return Taken(replace(self._record, inbox=(entry,), lease=lease, attempts=1))

    async def release(self, record: Record, changes: Changes, *, seen: int, now: int) -> tuple[Entry, ...]:
        """Let nothing more have come."""
        return ()


class CannedGateway(FakeGateway):
    """Counts what is posted."""

    def __init__(self) -> None:
        super().__init__()
        self.posts = 0

    async def post(self, connection_id: str, text: str) -> None:
        """Take the text."""
        self.posts += 1


class CannedClient:
    """Answers AWS's services as `canned_aws` does, without a network.

    Args:
        item: what it gives to whoever asks for an item.
        seconds: how long it sleeps before each answer; None doesn't wait at all.
    """

    def __init__(self, item: Mapping[str, Any], *, seconds: float | None = None) -> None:
        self._updated = {"Attributes": item}
        self._seconds = seconds

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item to whoever asks for it, and else nothing."""
        if self._seconds is not None:
            await asyncio.sleep(self._seconds)
        return self._updated if parameters.get("ReturnValues") == "ALL_NEW" else {}

    async def aclose(self) -> None:
        """Do nothing."""


def record_of(app: ASGIApp, path: str, text: str) -> Record:
    """Return what an invocation finds of a connection to *path*, whose second message it serves: *text*."""
    registry = MemoryRegistry()
    handler = WebSocketHandler(app, registry=registry, gateway=CannedGateway(), settings=Settings(table=None))
    now = milliseconds()

    async def talk() -> Record | None:
        await handler.invoke(connect(path, now=now), Context())
        await handler.invoke(message(text, now=now), Context())
        await handler.shutdown()
        return await registry.get(CONNECTION, now=now)

    record = asyncio.run(talk())
    if record is None:
        raise RuntimeError(f"the app has refused a connection to {path!r}, or has ended it")
    lease = Lease("benchmark", now + 30_000)
    return replace(record, inbox=(Entry("message", "PJpDXchdqRcCJCA=", text),), lease=lease, attempts=1)
