"""Where a connection stands, from its handshake to its end.

::

                    accepted                 left, closed
    CONNECTING ───────────────────▶ OPEN ───────────────────▶ (gone, $disconnect invoked)
        │ │
        │ └── refused ──▶ (gone)
        │ left                        accepted
        └──────────▶ ABANDONED ───────────────────▶ (gone, $disconnect invoked)
                          └── refused ──▶ (gone)

Nothing is kept of a connection that is gone: its id is answered with 410 like one that never was (section 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gatesocket.events import Identity
from gatesocket.limits import CONNECTION_SECONDS, IDLE_SECONDS

__all__ = ["TRANSITIONS", "Connection", "State", "Trigger"]


class State(Enum):
    """Where a connection stands."""

    CONNECTING = auto()
    """`$connect`, or its authorizer before it, hasn't answered yet."""
    ABANDONED = auto()
    """The client left while one of them was running."""
    OPEN = auto()
    GONE = auto()


class Trigger(Enum):
    """What moves a connection from one state to another."""

    ACCEPTED = auto()
    """`$connect` answered 2xx, or there is no such route."""
    REFUSED = auto()
    """`$connect` answered anything else, or not in time; the authorizer denied; or too many clients came at once."""
    LEFT = auto()
    """The client closed the connection, or it broke."""
    CLOSED = auto()
    """API Gateway closed the connection."""


TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = {
    (State.CONNECTING, Trigger.ACCEPTED): State.OPEN,
    (State.CONNECTING, Trigger.REFUSED): State.GONE,
    (State.CONNECTING, Trigger.LEFT): State.ABANDONED,
    (State.ABANDONED, Trigger.ACCEPTED): State.GONE,
    (State.ABANDONED, Trigger.REFUSED): State.GONE,
    (State.ABANDONED, Trigger.LEFT): State.ABANDONED,
    (State.OPEN, Trigger.LEFT): State.GONE,
    (State.OPEN, Trigger.CLOSED): State.GONE,
}


@dataclass(slots=True)
class Connection:
    """One connection; times are milliseconds since the epoch."""

    id: str
    identity: Identity
    connected_at: int
    last_active_at: int
    state: State = State.CONNECTING
    authorizer: Mapping[str, str] | None = None
    """What the authorizer said of the client; every event repeats it."""

    @property
    def expires_at(self) -> int:
        """When the connection ends whatever happens."""
        return self.connected_at + CONNECTION_SECONDS * 1000

    @property
    def deadline(self) -> int:
        """When the connection ends if nothing more happens."""
        return min(self.last_active_at + IDLE_SECONDS * 1000, self.expires_at)

    def move(self, trigger: Trigger) -> State:
        """Take the transition; return the new state."""
        self.state = TRANSITIONS[self.state, trigger]
        return self.state
