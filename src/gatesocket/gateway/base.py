"""What every gateway client promises."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from gatesocket.exceptions import InvalidConnectionId, MessageTooLarge
from gatesocket.limits import MESSAGE_BYTES

__all__ = ["ConnectionInfo", "GatewayClient", "check_connection_id", "wire_bytes"]

ID_CHARACTERS: Final = 128
"""Of a connection id at the most: what SQS takes for a group of messages. API Gateway's have 16."""

SENDABLE_ID: Final = re.compile(rf"[!-~]{{1,{ID_CHARACTERS}}}")

NO_SEGMENTS: Final = frozenset({".", ".."})
"""What would name another resource than a connection if it stood in a path (RFC 3986, section 5.2.4)."""


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What API Gateway says of a connection that is open."""

    connected_at: datetime
    last_active_at: datetime
    source_ip: str
    user_agent: str | None
    """None if the client sent no User-Agent header."""


class GatewayClient(Protocol):
    """Posts to connections and closes them, by connection id, from any process.

    Guarantees, the same for every implementation and tested by one contract suite:

    * A `post` that has returned was accepted by the gateway. It was not necessarily received: the network behind the
      gateway may still lose it, and nobody will be told.
    * Posts to one connection arrive in the order in which they were called for, also those that are under way at once.
    * Texts only: API Gateway has no binary frames (facts sheet, section 5).

    Every method raises `ConnectionGone` if the connection is closed, not yet open or never was,
    `InvalidConnectionId` if the id is malformed, `GatewayError` for every other refusal and for a gateway that can't
    be reached, and `ConfigurationError` if there are no credentials.
    """

    async def post(self, connection_id: str, text: str) -> None:
        """Send one text message.

        Raises:
            MessageTooLarge: it is over `limits.MESSAGE_BYTES` in UTF-8; the gateway was not asked.
        """
        ...

    async def close(self, connection_id: str) -> None:
        """End the connection; the client sees close code 1000, and no other can be chosen (facts sheet, section 4)."""
        ...

    async def info(self, connection_id: str) -> ConnectionInfo:
        """Ask the gateway about a connection."""
        ...

    async def aclose(self) -> None:
        """Let go of network connections and threads; the client can't be used afterwards."""
        ...


def check_connection_id(connection_id: str) -> None:
    """Make sure that *connection_id* can be asked for; which ids there are, only the gateway knows.

    Raises:
        InvalidConnectionId: it can't.
        TypeError: it isn't a text.
    """
    if not isinstance(connection_id, str):
        raise TypeError(
            f"expected a connection id, but got {type(connection_id).__name__}; of a socket, "
            "manager.connection_id(websocket) is one"
        )
    if not SENDABLE_ID.fullmatch(connection_id) or connection_id in NO_SEGMENTS:
        raise InvalidConnectionId(
            f"{connection_id[:40]!r} can't be a connection id: those have 1 to {ID_CHARACTERS} characters of ASCII and "
            "no spaces; API Gateway's look like 'TXzPWdnOjoECGjA='",
            connection_id=connection_id,
        )


def wire_bytes(text: str) -> bytes:
    """Return the UTF-8 of a message, if API Gateway carries that much.

    Raises:
        MessageTooLarge: it doesn't.
    """
    data = text.encode()
    if len(data) > MESSAGE_BYTES:
        raise MessageTooLarge(len(data), MESSAGE_BYTES)
    return data
