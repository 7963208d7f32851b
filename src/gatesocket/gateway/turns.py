"""Turns: several tasks want the same thing, and get it one after the other."""

import asyncio
from collections import deque

__all__ = ["Turns"]


class Turns:
    """A lock for each name, first come, first served; it keeps nothing of a name that nobody uses.

    Only the tasks of one event loop wait for one another.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[asyncio.AbstractEventLoop, str], deque[asyncio.Future[None]]] = {}
        """Who waits, for each name that somebody has."""

    async def begin(self, name: str) -> None:
        """Wait until nobody else has *name*; call `end` afterwards, unless this raises."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get((loop, name))
        if waiting is None:
            self._waiting[loop, name] = deque()
            return
        turn: asyncio.Future[None] = loop.create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came at the same moment
                self.end(name)
            raise

    def end(self, name: str) -> None:
        """Let the next one have *name*."""
        key = (asyncio.get_running_loop(), name)
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # one that was cancelled is
                turn.set_result(None)
                return
        del self._waiting[key]
