"""What the gateway model waits for: answers of functions, and deadlines."""

from dataclasses import dataclass

from gatesocket.emulator.api import Route
from gatesocket.emulator.events import Handshake

__all__ = ["Authorization", "Idle", "Invocation", "Pending"]


@dataclass(frozen=True, slots=True)
class Authorization:
    """The invocation of an authorizer, which `$connect` waits for."""

    id: str
    connection_id: str
    request: Handshake


@dataclass(frozen=True, slots=True)
class Invocation:
    """The invocation of a route's function."""

    id: str
    connection_id: str
    route_key: str
    route: Route


@dataclass(frozen=True, slots=True)
class Pending:
    """The deadline of an invocation, of either kind."""

    invocation_id: str


@dataclass(frozen=True, slots=True)
class Idle:
    """The deadline of a connection."""

    connection_id: str
