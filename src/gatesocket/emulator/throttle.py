"""How much API Gateway serves in a second, and what it turns away.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
"""

from dataclasses import dataclass

from gatesocket.limits import CONNECTIONS_PER_SECOND, REQUESTS_BURST, REQUESTS_PER_SECOND

__all__ = ["Quotas", "RateLimit", "Throttle"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What one route serves."""

    rate: float
    """Requests a second, in the long run."""
    burst: int
    """Requests at once."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one account is served in one region; AWS raises these on request."""

    connections: RateLimit = RateLimit(CONNECTIONS_PER_SECOND, CONNECTIONS_PER_SECOND)
    """New connections."""
    requests: RateLimit = RateLimit(REQUESTS_PER_SECOND, REQUESTS_BURST)
    """Messages of clients and calls of the Management API together."""


class Throttle:
    """A token bucket that is full at first.

    It counts in thousandths of a token, so that a millisecond brings *rate* of them.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._level = limit.burst * 1000.0
        self._filled_at: int | None = None

    def admits(self, now: int) -> bool:
        """Take one token at *now*, milliseconds on any clock; False if there is none."""
        passed = 0 if self._filled_at is None else max(0, now - self._filled_at)
        self._level = min(self._limit.burst * 1000.0, self._level + passed * self._limit.rate)
        self._filled_at = now
        if self._level < 1000:  # noqa: PLR2004  # a whole token
            return False
        self._level -= 1000
        return True
