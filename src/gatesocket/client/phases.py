"""What a client's connection can be doing, and how patient it is about it."""

from dataclasses import dataclass
from enum import Enum, auto

from gatesocket.limits import CONNECTION_SECONDS

__all__ = ["Phase", "Policy", "Role"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient a connection is; `gatesocket.client.Connection` says what each means. Times are in seconds."""

    first_delay: float = 0.5
    longest_delay: float = 30
    stable_after: float = 5
    ping: str | None = None
    silence: float = 4 * 60
    answer_within: float = 10
    hand_over_after: float | None = CONNECTION_SECONDS - 10 * 60
    hand_over_spread: float = 5 * 60
    overlap: float = 5
    unsent: int = 100
    let_in_by_message: bool = False
    """Whether a message tells that the server has let a socket in; otherwise it is let in when it is open."""


class Phase(Enum):
    """How far a connection has come."""

    NEW = auto()
    """Nothing was opened yet."""
    CONNECTING = auto()
    """The link is being opened."""
    WAITING = auto()
    """The link was lost or couldn't be opened; the next attempt has a time."""
    OPEN = auto()
    """There is a link, and nothing else."""
    RENEWING = auto()
    """There is a link, and an heir that isn't let in yet."""
    OVERLAPPING = auto()
    """There is a link, and a retiring one."""
    REFUSED = auto()
    """The server doesn't want this client."""
    CLOSED = auto()
    """The client has left."""


class Role(Enum):
    """What a socket is to its connection."""

    LINK = auto()
    HEIR = auto()
    RETIRING = auto()
