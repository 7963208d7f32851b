"""What a function answers to an invocation, and how API Gateway reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Answer", "Failed", "ProxyResponse", "Returned", "read"]

_FINAL_STATUSES = range(200, 600)
_SUBPROTOCOL = "sec-websocket-protocol"
_OWN: Final = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        _SUBPROTOCOL,
    }
)
"""Headers of a handshake's answer that are the server's, whatever a function says of them."""

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""How an HTTP header can be called (RFC 9110, section 5.1)."""

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
    """The part of a Lambda proxy response that a WebSocket API honours, or may honour."""

    status: int
    subprotocol: str | None
    """`Sec-WebSocket-Protocol`, exactly as answered."""
    body: str | None
    headers: tuple[tuple[str, str], ...] = ()
    """The others, as answered. They are dropped, unless a quirk has a refusal carry them."""

    @property
    def fits_http(self) -> bool:
        """Whether `headers` can be sent as they are."""
        return all(_FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value) for name, value in self.headers)

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
    headers = _headers(value)
    subprotocol = next((", ".join(values) for name, values in headers if name.lower() == _SUBPROTOCOL), None)
    if subprotocol is not None and not _FIELD_VALUE.fullmatch(subprotocol):
        return None
    others = tuple((name, each) for name, values in headers if name.lower() not in _OWN for each in values)
    return ProxyResponse(status, subprotocol, body, others)


def _headers(response: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Return each header with its values."""
    found: list[tuple[str, list[str]]] = []
    known: set[str] = set()
    # Where both forms name a header, the one with many values holds, as in REST APIs.
    for form in (response.get("multiValueHeaders"), response.get("headers")):
        headers = form if isinstance(form, Mapping) else {}
        new = {str(name): value for name, value in headers.items() if str(name).lower() not in known}
        known |= {name.lower() for name in new}
        found += [
            (name, [str(v) for v in value] if isinstance(value, list) else [str(value)]) for name, value in new.items()
        ]
    return found
