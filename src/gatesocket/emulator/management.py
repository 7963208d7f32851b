"""What the `@connections` Management API answers (facts sheet, section 4)."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

from gatesocket.emulator.events import instant
from gatesocket.emulator.http_api import HttpResponse
from gatesocket.emulator.lifecycle import Connection

__all__ = ["MANAGEMENT", "Management", "ManagementResponse", "information", "refusal", "unsigned"]

MANAGEMENT: Final = re.compile(r"/(?:(?P<stage>[^/@]+)/)?@connections/(?P<id>.*)", re.DOTALL)
"""A path of the Management API, not decoded."""

_SIGNATURE: Final = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+),\s*SignedHeaders=[^,\s]+,\s*Signature=[0-9a-f]{64}"
)
_SERVICE: Final = "execute-api"
_SCOPE_PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class ManagementResponse:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Management:
    """The Management API of one stage."""

    stage: str
    manage: Callable[[str, str, bytes], ManagementResponse]
    """Serves a request's method, connection id and body."""

    def answer(
        self, method: str, path: re.Match[str], query: str, authorization: str | None, body: bytes
    ) -> HttpResponse:
        """Answer a request; *path*, one of `MANAGEMENT`, and *query* are as they came."""
        if path["stage"] != self.stage:
            answer = refusal(403, "ForbiddenException", "Forbidden")
        else:
            answer = unsigned(authorization, query) or self.manage(method, unquote(path["id"]), body)
        return HttpResponse(answer.status, tuple(answer.headers.items()), answer.body)


def refusal(status: int, error_type: str, message: str) -> ManagementResponse:
    """Make an error that AWS's SDKs recognise: they read its type from a header."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error_type}
    return ManagementResponse(status, headers, json.dumps({"message": message}).encode())


def unsigned(authorization: str | None, query: str) -> ManagementResponse | None:
    """Refuse a request that has no signature of AWS's shape; None if it has one.

    The signature itself isn't verified: this machine has no secret keys to do so.

    Args:
        authorization: the header `Authorization`; None if there is none.
        query: of the URL, in which a presigned request has its signature.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
    """
    parameters = dict(parse_qsl(query))
    if authorization is not None:
        found = _SIGNATURE.fullmatch(authorization)
        credential = found["credential"] if found else None
    elif "X-Amz-Signature" in parameters:
        credential = parameters.get("X-Amz-Credential")
    else:
        return refusal(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
    if credential is None or len(scope := credential.split("/")[-_SCOPE_PARTS:]) < _SCOPE_PARTS:
        return refusal(403, "IncompleteSignatureException", "The request has no complete Signature Version 4")
    if scope[3:] != [_SERVICE, "aws4_request"]:
        message = f"Credential should be scoped to correct service: '{_SERVICE}'."
        return refusal(403, "InvalidSignatureException", message)
    return None


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
