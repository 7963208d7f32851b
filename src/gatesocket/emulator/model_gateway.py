"""The gateway client of tests: what posts to the connections of an emulated API Gateway in the same process."""

import json
from datetime import datetime
from typing import Protocol

from gatesocket.emulator.management import ManagementResponse
from gatesocket.exceptions import ConnectionGone, InvalidConnectionId
from gatesocket.gateway.base import ConnectionInfo, wire_bytes

__all__ = ["ModelGateway"]


class _Manage(Protocol):
    def __call__(self, method: str, connection_id: str, body: bytes = b"", /) -> ManagementResponse: ...


class ModelGateway:
    """A gateway client that asks the gateway model itself, where `ManagementAPI` asks over HTTP.

    Args:
        manage: serves one request to `@connections`.
    """

    def __init__(self, manage: _Manage) -> None:
        self._manage = manage

    async def post(self, connection_id: str, text: str) -> None:
        """See `GatewayClient.post`."""
        _checked(self._manage("POST", connection_id, wire_bytes(text)), connection_id)

    async def close(self, connection_id: str) -> None:
        """See `GatewayClient.close`."""
        _checked(self._manage("DELETE", connection_id), connection_id)

    async def info(self, connection_id: str) -> ConnectionInfo:
        """See `GatewayClient.info`."""
        facts = json.loads(_checked(self._manage("GET", connection_id), connection_id))
        return ConnectionInfo(
            connected_at=datetime.fromisoformat(facts["connectedAt"]),
            last_active_at=datetime.fromisoformat(facts["lastActiveAt"]),
            source_ip=facts["identity"]["sourceIp"],
            user_agent=facts["identity"].get("userAgent"),
        )

    async def aclose(self) -> None:
        """See `GatewayClient.aclose`; there is nothing to let go of."""


def _checked(response: ManagementResponse, connection_id: str) -> bytes:
    """Return the body of an answer, or raise the error that it is."""
    match response.status:
        case 200 | 204:
            return response.body
        case 410:
            raise ConnectionGone(connection_id)
        case status:
            message = json.loads(response.body)["message"]
            # The model refuses nothing else that this client asks for: its sizes are checked before, its text is UTF-8.
            raise InvalidConnectionId(message, connection_id=connection_id, status=status)
