"""What the gateway model wants done; a shell performs effects in the order in which it got them."""

from dataclasses import dataclass

from gatesocket.emulator.events import AuthorizerEvent
from gatesocket.events import WebSocketEvent

__all__ = ["Accept", "Close", "Effect", "Invoke", "Refuse", "SendText"]


@dataclass(frozen=True, slots=True)
class Invoke:
    """Invoke *function* with *event* at once, beside all that runs, and tell `Gateway.answered`."""

    invocation_id: str
    """Also the event's request id."""
    function: str
    event: WebSocketEvent | AuthorizerEvent
    connection_id: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer the handshake with 101, and with *subprotocol* unless it is None."""

    connection_id: str
    subprotocol: str | None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer the handshake with *status*; the connection never was."""

    connection_id: str
    status: int
    body: str
    why: str = ""
    """What the client isn't told, for the log; empty where the function's own answer says it."""
    headers: tuple[tuple[str, str], ...] = ()
    """The function's own, where a quirk says that they reach the client."""


@dataclass(frozen=True, slots=True)
class SendText:
    """Send one text message to the client."""

    connection_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """Send the client a close frame, after what was sent before, and end the connection."""

    connection_id: str
    code: int
    reason: str
    why: str = ""
    """What the client isn't told, for the log; empty where somebody wanted it so."""


Effect = Invoke | Accept | Refuse | SendText | Close
