"""The wakes that connections need: what is asked of a waker, and for when."""

from gatesocket.clock import Clock
from gatesocket.exceptions import ConfigurationError
from gatesocket.invocation import LEASE_MARGIN
from gatesocket.limits import WAKE_DELAY_SECONDS
from gatesocket.registry.base import Busy
from gatesocket.waker import Waker

__all__ = ["Wakes"]


class Wakes:
    """Asks a waker to come back to connections.

    Args:
        waker: brings an invocation to a connection; None makes it an error to need one.
        clock: the time, in milliseconds since the epoch.
    """

    def __init__(self, waker: Waker | None, clock: Clock) -> None:
        self._waker = waker
        self._clock = clock

    @property
    def possible(self) -> bool:
        """Whether there is anybody to ask."""
        return self._waker is not None

    async def ask(self, connection_id: str, due: int | None = None) -> None:
        """Ask for a wake: now, or when it is *due*; as far as SQS can wait, from where another one goes on.

        Raises:
            ConfigurationError: there is no waker.
            RegistryError: the waker couldn't take it.
        """
        if self._waker is None:
            raise ConfigurationError(
                "the route waits for a time, or sent a message before its first receive, which can be delivered only "
                "once the handshake is over, and there is no wake queue to bring anybody who does it. Set "
                "GATESOCKET_WAKE_QUEUE, as template.yaml does"
            )
        seconds = 0 if due is None else max(0, due - self._clock()) / 1000
        await self._waker.wake(connection_id, delay=min(seconds, WAKE_DELAY_SECONDS), due=due)

    async def look_again(self, connection_id: str, held: Busy, due: int | None = None) -> None:
        """Have somebody look whether the holder has done what it was left, if nothing else would.

        Raises:
            RegistryError: the waker couldn't take it.
        """
        if held.look_again is not None and self._waker is not None:
            # By the margin later than that lease is over here: the holder's host has a clock of its own.
            delay = min((held.look_again + LEASE_MARGIN) / 1000, WAKE_DELAY_SECONDS)
            await self._waker.wake(connection_id, delay=delay, due=due)
