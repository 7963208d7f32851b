"""The conversation between an app and one connection: a state machine without I/O.

The app speaks ASGI (https://asgi.readthedocs.io/en/stable/specs/www.html#websocket), and API Gateway understands an
HTTP status, a post and a close. What each ASGI message means depends on how far the connection has come; the whole of
it is the table `TRANSITIONS`. A message that the table doesn't name at that point raises and changes nothing.

Two states are the platform's doing. A connection that was accepted is not yet `OPEN`: nothing can be posted before
the ``$connect`` invocation has returned (facts sheet, section 4), so that sends are *held back* in the outbox. And a
close that comes before anything was sent doesn't open the connection at all: the handshake is refused, as a client
that isn't let in should see it.
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Any, Final

from gatesocket.exceptions import ApplicationProtocolError, ConnectionGone
from gatesocket.values import frozen

__all__ = [
    "BINARY_PREFIX",
    "TRANSITIONS",
    "Close",
    "Conversation",
    "Effect",
    "HoldBack",
    "Post",
    "State",
    "advance",
    "received",
]


class State(Enum):
    """How far a connection has come, as its app has seen it."""

    CONNECTING = auto()
    """The handshake waits for the app's answer."""
    DENYING = auto()
    """The app is sending an HTTP response instead of accepting."""
    REFUSED = auto()
    """The handshake is answered: no connection."""
    ACCEPTED = auto()
    """The app has accepted; the client doesn't know yet."""
    OPEN = auto()
    """The socket is live."""
    CLOSED = auto()
    """The app has closed the connection."""
    GONE = auto()
    """The client has left."""


@frozen
class Post:
    """Send a text to the client now."""

    text: str


@frozen
class HoldBack:
    """Keep a text for when the socket is live."""

    text: str


@frozen
class Close:
    """End the connection, once everything that was sent before is delivered."""


Effect = Post | HoldBack | Close | None


@frozen
class Conversation:
    """One connection's conversation so far; `advance` makes the next one."""

    connection_id: str
    state: State = State.CONNECTING
    status: int = 200
    """The HTTP status that answers the handshake."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of that answer, in its order."""
    body: bytes = b""
    """The body of a denial response."""
    held_back: int = 0
    """How many texts wait in the outbox."""
    code: int = 1005
    """The close code that the app's next receive reports once the connection has ended."""
    reason: str = ""
    binary: bool = False
    """Whether bytes are sent in the agreed base64 form; otherwise they are an error."""
    opens: bool = False
    """Whether a connection that is accepted and then closed is opened first; otherwise its handshake is refused."""

    @property
    def ended(self) -> bool:
        """Whether no more messages can come from the client."""
        return self.state in {State.REFUSED, State.CLOSED, State.GONE}


BINARY_PREFIX: Final = "data:;base64,"
"""What bytes begin with when they are sent as text: a data URL without a media type (RFC 2397)."""


def advance(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    """Apply one ASGI message that the app has sent.

    Returns the conversation after it, and what is to be done.

    Raises:
        ApplicationProtocolError: the message doesn't fit the state of the connection, or carries bytes although API
            Gateway has no binary messages.
        ConnectionGone: the client has left.
    """
    kind = message.get("type")
    if conversation.state is State.GONE:
        raise ConnectionGone(conversation.connection_id)
    transition = TRANSITIONS[conversation.state].get(str(kind))
    if transition is None:
        expected = ", ".join(repr(name) for name in TRANSITIONS[conversation.state]) or "nothing more"
        raise ApplicationProtocolError(
            f"expected {expected} from an app whose connection is {conversation.state.name}, but got {kind!r}"
        )
    return transition(conversation, message)


def received(text: str, *, binary: bool) -> dict[str, Any]:
    """Make the ASGI message of a text that came from the client.

    With *binary*, a text in the agreed base64 form is received as bytes.
    """
    if binary and text.startswith(BINARY_PREFIX):
        try:
            return {"type": "websocket.receive", "bytes": b64decode(text[len(BINARY_PREFIX) :], validate=True)}
        except binascii.Error:
            # Somebody's text that only begins like one of ours.
            pass
    return {"type": "websocket.receive", "text": text}


def _accept(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    # Other headers are left out: API Gateway passes only this one on (facts sheet, section 2).
    subprotocol = message.get("subprotocol")
    headers = (("Sec-WebSocket-Protocol", subprotocol),) if subprotocol else ()
    return replace(conversation, state=State.ACCEPTED, headers=headers), None


def _refuse(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    # 403, as the ASGI specification asks of a close before the accept.
    return replace(conversation, state=State.REFUSED, status=403, headers=(), code=1006), None


def _begin_denial(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ()))
    return replace(conversation, state=State.DENYING, status=message["status"], headers=headers), None


def _go_on_denying(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    body = conversation.body + message.get("body", b"")
    if message.get("more_body"):
        return replace(conversation, body=body), None
    return replace(conversation, state=State.REFUSED, body=body, code=1006), None


def _hold_back(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    return replace(conversation, held_back=conversation.held_back + 1), HoldBack(_text(conversation, message))


def _post(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    return conversation, Post(_text(conversation, message))


def _close_unopened(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    if not conversation.held_back and not conversation.opens:
        return _refuse(conversation, message)
    return _close(conversation, message)


def _close(conversation: Conversation, message: Mapping[str, Any]) -> tuple[Conversation, Effect]:
    code, reason = message.get("code", 1000), message.get("reason") or ""
    return replace(conversation, state=State.CLOSED, code=code, reason=reason), Close()


TRANSITIONS: Final = {
    State.CONNECTING: {
        "websocket.accept": _accept,
        "websocket.close": _refuse,
        "websocket.http.response.start": _begin_denial,
    },
    State.DENYING: {"websocket.http.response.body": _go_on_denying},
    State.REFUSED: {},
    State.ACCEPTED: {"websocket.send": _hold_back, "websocket.close": _close_unopened},
    State.OPEN: {"websocket.send": _post, "websocket.close": _close},
    State.CLOSED: {},
    State.GONE: {},
}
"""What each ASGI message does in each state; what isn't named is refused."""


def _text(conversation: Conversation, message: Mapping[str, Any]) -> str:
    data = message.get("bytes")
    if data is None:
        text: str = message["text"]
        return text
    if conversation.binary:
        return BINARY_PREFIX + b64encode(data).decode("ascii")
    raise ApplicationProtocolError(
        "bytes can't be sent: API Gateway has no binary messages. Send text, or make the handler with "
        f'binary="base64", which sends bytes as text that begins with {BINARY_PREFIX!r}'
    )
