"""What the `@connections` Management API answers (facts sheet, section 4)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from gatesocket.emulator.events import instant
from gatesocket.emulator.lifecycle import Connection

__all__ = ["ManagementResponse", "information", "refusal"]


@dataclass(frozen=True, slots=True)
class ManagementResponse:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def refusal(status: int, error_type: str, message: str) -> ManagementResponse:
    """Make an error that AWS's SDKs recognise: they read its type from a header."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error_type}
    return ManagementResponse(status, headers, json.dumps({"message": message}).encode())


def information(connection: Connection) -> ManagementResponse:
    """Make the answer to GET."""
    facts = {
        "connectedAt": _iso(connection.connected_at),
        "identity": connection.identity,
        "lastActiveAt": _iso(connection.last_active_at),
    }
    return ManagementResponse(200, {"Content-Type": "application/json"}, json.dumps(facts).encode())


def _iso(ms: int) -> str:
    return instant(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
