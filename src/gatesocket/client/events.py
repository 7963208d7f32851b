"""What happens to a client's connection, and what is done about it: the words of `gatesocket.client.machine`.

Sockets have numbers, in the order in which they are opened.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Literal

__all__ = [
    "ABNORMAL",
    "Abandon",
    "Deliver",
    "Dial",
    "Effect",
    "Event",
    "Farewell",
    "HangUp",
    "Heard",
    "Left",
    "Lost",
    "Opened",
    "Said",
    "Started",
    "State",
    "Tell",
    "Timer",
    "Unwritten",
    "Write",
    "Written",
]

ABNORMAL: Final = 1006
"""The code of a socket that ended without a close frame (RFC 6455, section 7.4.1)."""


@dataclass(frozen=True, slots=True)
class State:
    """What a connection is doing, as whoever uses it sees it; a hand-over isn't seen.

    It is ``new`` until it is begun. After ``waiting`` comes the next attempt; ``refused`` and ``closed`` are for good.
    """

    name: Literal["new", "connecting", "open", "waiting", "refused", "closed"]
    delay: float | None = None
    """Seconds until the next attempt; None if none is waited for."""
    code: int | None = None
    """The close code that ended the last socket, 1006 if there was no close frame; None while there is a socket."""
    reason: str = ""
    """The reason of that close, or what went wrong."""
    status: int | None = None
    """The HTTP status that the handshake was answered with instead of a connection; None if it wasn't."""


class Timer(Enum):
    """What a connection waits for. That its time has come is an event, too."""

    RETRY = auto()
    """The next attempt."""
    STABLE = auto()
    """The link has held for long enough; its loss counts as the first again."""
    SILENCE = auto()
    """Nothing has come for long."""
    ANSWER = auto()
    """A ping wasn't answered."""
    HAND_OVER = auto()
    """The link is old."""
    OVERLAP = auto()
    """What was on its way to the retiring socket should have come."""


@dataclass(frozen=True, slots=True)
class Started:
    """Somebody wants to be connected."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake of a socket is over: it is open."""

    link: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A socket has brought a message."""

    link: int
    message: Any
    lets_in: bool = False
    """Whether it shows that the server has let this socket in."""
    key: str | None = None
    """What tells it from any other; None for a message that isn't to be compared."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """A socket has brought the message that tells of its close."""

    link: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """What was to be written to a socket has left this process."""

    link: int


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Nothing of what was to be written to a socket was: it was found closed. That it is lost is yet to be told."""

    link: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A socket has ended, or couldn't be opened."""

    link: int
    code: int = ABNORMAL
    reason: str = ""
    status: int | None = None
    """The HTTP status of a refused handshake."""


@dataclass(frozen=True, slots=True)
class Said:
    """The client has something to send."""

    frame: str


@dataclass(frozen=True, slots=True)
class Left:
    """The client leaves for good."""

    code: int = 1000
    reason: str = ""


Event = Started | Opened | Heard | Farewell | Written | Unwritten | Lost | Said | Left | Timer


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a socket; from now on *link* is its number."""

    link: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write to a socket, and say when that has left this process."""

    link: int
    frame: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close a socket, or stop opening it; nothing that it brings counts any more."""

    link: int
    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Drop a socket that seems to be dead: a close handshake over a dead network takes minutes."""

    link: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give a message to the client."""

    message: Any


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the client what its connection is doing now."""

    state: State


Effect = Dial | Write | HangUp | Abandon | Deliver | Tell
