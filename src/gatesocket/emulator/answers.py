"""What a function answers to an invocation, and how API Gateway reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Answer", "Failed", "ProxyResponse", "Returned", "read"]

_FINAL_STATUSES = range(200, 600)
_SUBPROTOCOL = "sec-websocket-protocol"
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""What an HTTP header can say (RFC 9110, section 5.5)."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned *value*, as it was after JSON."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised, timed out, was throttled, or could not be invoked at all."""

    error_type: str
    message: str


Answer = Returned | Failed


@dataclass(frozen=True, slots=True)
class ProxyResponse:
    """The part of a Lambda proxy response that a WebSocket API honours; other headers are dropped."""

    status: int
    subprotocol: str | None
    """`Sec-WebSocket-Protocol`, exactly as answered."""
    body: str | None

    @property
    def succeeded(self) -> bool:
        """Whether the status says so: any of 200 to 299."""
        return self.status // 100 == 2  # noqa: PLR2004


def read(value: object) -> ProxyResponse | None:
    """Read what a function returned as a Lambda proxy response; None if it isn't one.

    A proxy response is a dict with an integer `statusCode` that HTTP can carry as a final status, and a text
    `body` if any; and a subprotocol, if any, that fits into a header (facts sheet, section 2).
    """
    if not isinstance(value, Mapping):
        return None
    status, body = value.get("statusCode"), value.get("body")
    if type(status) is not int or status not in _FINAL_STATUSES or not isinstance(body, str | None):
        return None
    subprotocol = _subprotocol(value)
    if subprotocol is not None and not _FIELD_VALUE.fullmatch(subprotocol):
        return None
    return ProxyResponse(status, subprotocol, body)


def _subprotocol(response: Mapping[str, Any]) -> str | None:
    # Where both forms name a header, the one with many values holds, as in REST APIs.
    for headers in (response.get("multiValueHeaders"), response.get("headers")):
        if isinstance(headers, Mapping):
            for name, value in headers.items():
                if str(name).lower() == _SUBPROTOCOL:
                    return ", ".join(value) if isinstance(value, list) else str(value)
    return None
