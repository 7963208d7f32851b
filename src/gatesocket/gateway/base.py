"""What every gateway client promises."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gatesocket.exceptions import MessageTooLarge
from gatesocket.limits import MESSAGE_BYTES

__all__ = ["ConnectionInfo", "GatewayClient", "wire_bytes"]


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


def wire_bytes(text: str) -> bytes:
    """Return the UTF-8 of a message, if API Gateway carries that much.

    Raises:
        MessageTooLarge: it doesn't.
    """
    data = text.encode()
    if len(data) > MESSAGE_BYTES:
        raise MessageTooLarge(len(data), MESSAGE_BYTES)
    return data
