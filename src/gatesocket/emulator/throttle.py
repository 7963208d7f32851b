"""How much API Gateway serves in a second, and what it turns away.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gatesocket.limits import CONNECTIONS_PER_SECOND, REQUESTS_BURST, REQUESTS_PER_SECOND

__all__ = ["Admission", "Quotas", "RateLimit", "Throttle"]


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


class Admission:
    """What one stage serves: what the account allows, and of each route what that allows.

    A request that is turned away by one limit has taken nothing from those behind it: the account's comes first.

    Args:
        quotas: those of the account; None for no limit.
        routes: the limits of routes that have one, by route key.
    """

    def __init__(self, quotas: Quotas | None, routes: Mapping[str, RateLimit]) -> None:
        self._connections = Throttle(quotas.connections) if quotas else None
        self._requests = Throttle(quotas.requests) if quotas else None
        self._routes = {key: Throttle(limit) for key, limit in routes.items()}

    def of_connection(self, now: int, route_key: str) -> bool:
        """Whether a new connection is served at *now*, in milliseconds; *route_key* is what its handshake invokes."""
        return _admitted(now, self._connections, self._routes.get(route_key))

    def of_request(self, now: int, route_key: str | None = None) -> bool:
        """Whether a message or a call of the Management API is served at *now*; None invokes no route."""
        return _admitted(now, self._requests, None if route_key is None else self._routes.get(route_key))


def _admitted(now: int, *throttles: Throttle | None) -> bool:
    """Whether all of *throttles* let a request pass; None is one that lets all pass."""
    return all(throttle is None or throttle.admits(now) for throttle in throttles)
