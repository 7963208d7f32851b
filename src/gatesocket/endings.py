"""How connections end from this side: closed, forgotten, and said why in the log."""

import logging
from collections.abc import Callable

from gatesocket import observation
from gatesocket.exceptions import ConnectionGone, GatewayError
from gatesocket.gateway.base import GatewayClient
from gatesocket.registry.base import Record, Registry
from gatesocket.run import Run

__all__ = ["Endings"]

logger = logging.getLogger("gatesocket")


class Endings:
    """Ends connections.

    Args:
        registry: where they are kept.
        gateway: what closes those that no invocation runs.
        on_error: is told of every error that ends one.
    """

    def __init__(self, registry: Registry, gateway: GatewayClient, on_error: Callable[[Exception], None]) -> None:
        self._registry = registry
        self._gateway = gateway
        self._on_error = on_error

    async def end(self, run: Run, code: int, *, holder: str | None) -> None:
        """Close a connection, which a client sees the code of with `close_message`, and forget it."""
        try:
            await run.close(code)
        except GatewayError:
            # Forgotten all the same: its route must not end twice. If it is still there, its next message closes it.
            logger.exception("connection %s could not be closed", run.connection_id)
        if await self._registry.delete(run.connection_id, holder=holder):
            observation.count("ended")

    async def abandon(self, run: Run, code: int, error: Exception, *, holder: str | None) -> None:
        """Close a connection whose route can't be woken any more."""
        logger.error("connection %s can't go on and is closed with %d: %s", run.connection_id, code, error)
        await self.end(run, code, holder=holder)
        self._on_error(error)

    async def give_up(self, run: Run, record: Record) -> None:
        """Drop what earlier holders have died of, and let the route see its end."""
        logger.error(
            "connection %s: %d invocations in a row have died of it; it is closed, and these messages are dropped: %s",
            run.connection_id,
            record.attempts - 1,
            ", ".join(entry.id for entry in run.rest if entry.kind == "message") or "none",
        )
        try:
            await run.give_up(1011)
        except GatewayError:
            logger.exception("connection %s could not be closed", run.connection_id)

    async def close(self, connection_id: str) -> None:
        """Close a connection that this invocation doesn't run."""
        try:
            await self._gateway.close(connection_id)
        except ConnectionGone:
            logger.debug("connection %s had left before it was closed", connection_id)
        except GatewayError:
            logger.exception("connection %s could not be closed", connection_id)
