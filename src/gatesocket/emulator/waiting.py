"""Finds out where routes hibernate, from what their handler has stored in the connections table."""

import asyncio
import logging
from typing import Any

from gatesocket.clock import Clock, milliseconds
from gatesocket.emulator.activity import Waits, Watch
from gatesocket.events import Wake, parse
from gatesocket.exceptions import GatesocketError, UnexpectedEvent
from gatesocket.registry.base import Registry
from gatesocket.whereabouts import places_of

__all__ = ["Waiting", "connections_of"]

logger = logging.getLogger("gatesocket.emulator")


class Waiting:
    """Tells a watch where the connections of an invocation wait after it.

    Args:
        registry: where the handlers keep connections; it is closed by whoever made it.
        watch: is told.
        clock: milliseconds since the epoch.
    """

    def __init__(self, registry: Registry, *, watch: Watch, clock: Clock = milliseconds) -> None:
        self._registry = registry
        self._watch = watch
        self._clock = clock
        self._looks: set[asyncio.Task[None]] = set()

    def look(self, event: Any) -> None:
        """Look at the connections that a handler was invoked for with *event*, and hold nobody up meanwhile."""
        for connection_id in connections_of(event):
            look = asyncio.create_task(self._look(connection_id))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    async def aclose(self) -> None:
        """Wait for the looks that are under way."""
        await asyncio.gather(*self._looks)

    async def _look(self, connection_id: str) -> None:
        try:
            record = await self._registry.get(connection_id, now=self._clock())
            if record is not None and record.snapshot is not None:
                self._watch(Waits(connection_id, places_of(record.snapshot)))
        except GatesocketError as error:
            logger.warning("it can't be told where connection %s waits: %s", connection_id, error)


def connections_of(event: Any) -> list[str]:
    """Return the connections that an event is about; none if it isn't one for a WebSocket handler."""
    try:
        parsed = parse(event)
    except UnexpectedEvent:
        return []
    if isinstance(parsed, tuple):
        return list(dict.fromkeys(item.connection_id for item in parsed if isinstance(item, Wake)))
    return [parsed.connection_id]
