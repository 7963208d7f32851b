"""Lambda events for a handler, made of the recorded ones in tests/events."""

import json
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parent.parent / "events"
CONNECTION = "TXzPWdnOjoECGjA="


def _load(name: str, connection_id: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    event["requestContext"]["connectionId"] = connection_id
    return event


def connect(
    path: str | None = None,
    *,
    connection_id: str = CONNECTION,
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Make the event of a handshake; without headers those of a browser that offers a subprotocol."""
    event = _load("connect", connection_id)
    parameters = {"__path": path} if path is not None else {}
    parameters |= query or {}
    for name in ("queryStringParameters", "multiValueQueryStringParameters"):
        event.pop(name, None)
    if parameters:
        event["queryStringParameters"] = parameters
        event["multiValueQueryStringParameters"] = {name: [value] for name, value in parameters.items()}
    if headers is not None:
        event["headers"] = headers
        event["multiValueHeaders"] = {name: [value] for name, value in headers.items()}
    return event


def message(text: str, *, connection_id: str = CONNECTION, message_id: str | None = None) -> dict[str, Any]:
    """Make the event of a message."""
    event = _load("message", connection_id)
    event["body"] = text
    if message_id is not None:
        event["requestContext"]["messageId"] = message_id
    return event


def disconnect(code: int = 1001, reason: str = "", *, connection_id: str = CONNECTION) -> dict[str, Any]:
    """Make the event of a connection's end."""
    event = _load("disconnect", connection_id)
    event["requestContext"] |= {"disconnectStatusCode": code, "disconnectReason": reason}
    return event
