"""One call of the Lambda function, and the time that it has."""

from collections.abc import Mapping
from typing import Any, Final

from gatesocket.registry.base import Lease
from gatesocket.values import frozen

__all__ = ["HAND_OVER_MARGIN", "LEASE_MARGIN", "Invocation"]

LEASE_MARGIN: Final = 1_000
"""Milliseconds by which a lease outlives its holder's time limit, for clocks that differ between two Lambda hosts."""

HAND_OVER_MARGIN: Final = 2_000
"""Milliseconds before its time limit in which an invocation begins no further message: a wake goes on with the rest."""


@frozen
class Invocation:
    """What one call of the Lambda function brings besides its event."""

    id: str
    """The request id: the holder of the leases that it takes."""
    deadline: int
    """Milliseconds since the epoch by which Lambda ends it."""
    scope: Mapping[str, Any]
    """What every scope gets: ``aws.event``, ``aws.context`` and the lifespan's ``state``."""

    @property
    def lease(self) -> Lease:
        """What it takes a connection with."""
        return Lease(self.id, self.deadline + LEASE_MARGIN)

    def has_time(self, now: int) -> bool:
        """Whether it begins another message at *now*, in milliseconds since the epoch."""
        return now < self.deadline - HAND_OVER_MARGIN
