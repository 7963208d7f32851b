"""Lambda events for a handler, made of the recorded ones in tests/events."""

import base64
import json
from pathlib import Path
from typing import Any

from gatesocket.registry.base import Record
from gatesocket.registry.items import encode

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


def forwarded(text: str, *, connection_id: str = CONNECTION, message_id: str = "m1", **context: Any) -> dict[str, Any]:
    """Make the SQS record by which API Gateway passes a message on through a FIFO queue."""
    event = message(text, connection_id=connection_id, message_id=message_id)
    event["requestContext"] |= context
    event |= {"body": base64.b64encode(text.encode()).decode(), "isBase64Encoded": True}
    return {
        "messageId": f"sqs {message_id}",
        "eventSource": "aws:sqs",
        "attributes": {"MessageGroupId": connection_id},
        "body": json.dumps(event),
    }


def removal(record: Record, *, sequence_number: str = "111", **changes: Any) -> dict[str, Any]:
    """Make the change in the table's stream that tells of a record whose time to live was over."""
    image = {name: _in_json(value) for name, value in encode(record).items()}
    return {
        "eventID": f"e{sequence_number}",
        "eventName": "REMOVE",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/connections/stream/2026-01-01T00:00:00.000",
        "awsRegion": "eu-west-1",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {
            "ApproximateCreationDateTime": 1708326703,
            "Keys": {"pk": image["pk"], "sk": image["sk"]},
            "OldImage": image,
            "SequenceNumber": sequence_number,
            "SizeBytes": 100,
            "StreamViewType": "OLD_IMAGE",
        },
    } | changes


def _in_json(attribute: Any) -> Any:
    """Return an attribute as Lambda's events have it: bytes are base64."""
    return {"B": base64.b64encode(attribute["B"]).decode()} if "B" in attribute else attribute
