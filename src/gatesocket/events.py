"""What Lambda hands us, and what it means.

AWS's own shapes are TypedDicts and stay at this edge; the rest of the library sees the frozen `Connect`, `Message`,
`Disconnect` and `Wake` that `parse` makes of them. The shapes are those of section 1 of the facts sheet: captured
events, not the synthetic fixtures of the AWS SDKs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from gatesocket.exceptions import UnexpectedEvent

__all__ = ["Connect", "Disconnect", "Event", "Message", "Origin", "Wake", "WebSocketEvent", "parse"]


class Identity(TypedDict):
    """Who the client is; events from before 2021 carry more keys, most of them null."""

    sourceIp: str
    userAgent: NotRequired[str | None]


class RequestContext(TypedDict):
    """What API Gateway says of one event."""

    routeKey: str
    eventType: Literal["CONNECT", "MESSAGE", "DISCONNECT"]
    extendedRequestId: str
    requestId: str
    requestTime: str
    requestTimeEpoch: int
    messageDirection: Literal["IN"]
    stage: str
    connectedAt: int
    identity: Identity
    domainName: str
    connectionId: str
    apiId: str
    authorizer: NotRequired[dict[str, Any]]
    messageId: NotRequired[str | None]
    disconnectStatusCode: NotRequired[int | None]
    disconnectReason: NotRequired[str | None]


class WebSocketEvent(TypedDict):
    """A CONNECT, MESSAGE or DISCONNECT event of an API Gateway WebSocket API with a Lambda proxy integration."""

    requestContext: RequestContext
    isBase64Encoded: bool
    headers: NotRequired[dict[str, str]]
    multiValueHeaders: NotRequired[dict[str, list[str]]]
    queryStringParameters: NotRequired[dict[str, str]]
    multiValueQueryStringParameters: NotRequired[dict[str, list[str]]]
    stageVariables: NotRequired[dict[str, str]]
    body: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Origin:
    """The API and stage that an event came from: what is needed to post back."""

    api_id: str
    stage: str
    domain_name: str


@dataclass(frozen=True, slots=True)
class Connect:
    """A client asks for a connection; the handshake waits for the answer."""

    connection_id: str
    request_id: str
    origin: Origin
    connected_at: int
    """Milliseconds since the epoch."""
    source_ip: str
    headers: tuple[tuple[str, str], ...]
    """In the event's order, names as the client spelt them, one pair per value."""
    query: tuple[tuple[str, str], ...]
    """Decoded, one pair per value."""
    authorizer: Mapping[str, Any] = field(default_factory=dict)
    """What a Lambda authorizer said of the client; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Message:
    """A client sent a message."""

    connection_id: str
    request_id: str
    origin: Origin
    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A connection has ended."""

    connection_id: str
    request_id: str
    origin: Origin
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Somebody asked that a connection be looked after: its outbox delivered, its timer fired."""

    connection_id: str
    message_id: str
    """SQS's id of the message, by which a failure is reported."""


Event = Connect | Message | Disconnect
NO_STATUS: Final = 1005
"""What stands for the code of a close without one (RFC 6455, section 7.1.5)."""


def parse(event: Mapping[str, Any]) -> Event | tuple[Wake, ...]:
    """Turn a Lambda event into what it means.

    Raises:
        UnexpectedEvent: it is neither an event of a WebSocket API nor a batch from the wake queue; the message says
            what is missing, and never quotes values, which may be secret.
    """
    if not isinstance(event, Mapping):
        raise UnexpectedEvent(f"expected a Lambda event, which is a dict, but got {type(event).__name__}")
    if "Records" in event:
        return tuple(_parse_wake(record) for record in event["Records"])
    context = event.get("requestContext")
    if not isinstance(context, Mapping) or "connectionId" not in context:
        raise UnexpectedEvent(
            "expected an event of an API Gateway WebSocket API, with requestContext.connectionId, or a batch of the "
            f"wake queue, with Records, but got an event with the keys {sorted(event)}. "
            "HTTP events belong to Mangum's handler"
        )
    try:
        return _parse_web_socket(cast("WebSocketEvent", event))
    except KeyError as error:
        raise UnexpectedEvent(
            f"the WebSocket event has no {error}; its requestContext has the keys {sorted(context)}"
        ) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise UnexpectedEvent(f"the WebSocket event isn't of the shape that API Gateway sends: {error}") from error


def _parse_web_socket(event: WebSocketEvent) -> Event:
    context = event["requestContext"]
    origin = Origin(context["apiId"], context["stage"], context["domainName"])
    match context["eventType"]:
        case "CONNECT":
            return Connect(
                connection_id=context["connectionId"],
                request_id=context["requestId"],
                origin=origin,
                connected_at=context["connectedAt"],
                source_ip=context["identity"]["sourceIp"],
                headers=_pairs(event.get("multiValueHeaders"), event.get("headers")),
                query=_pairs(event.get("multiValueQueryStringParameters"), event.get("queryStringParameters")),
                authorizer=context.get("authorizer") or {},
            )
        case "MESSAGE":
            if event.get("isBase64Encoded"):
                raise UnexpectedEvent(
                    "expected the text of a message, but isBase64Encoded is true: API Gateway closes a binary frame "
                    "with 1003 and never passes one on (facts sheet, section 5)"
                )
            return Message(
                connection_id=context["connectionId"],
                request_id=context["requestId"],
                origin=origin,
                message_id=context.get("messageId") or context["requestId"],
                # An empty text frame comes without a body: https://github.com/Kludex/mangum/pull/118
                text=event.get("body") or "",
            )
        case "DISCONNECT":
            return Disconnect(
                connection_id=context["connectionId"],
                request_id=context["requestId"],
                origin=origin,
                code=context.get("disconnectStatusCode") or NO_STATUS,
                reason=context.get("disconnectReason") or "",
            )
        case kind:  # pyright: ignore[reportUnnecessaryComparison]
            raise UnexpectedEvent(f"expected the eventType CONNECT, MESSAGE or DISCONNECT, but got {kind!r}")


def _pairs(many: Mapping[str, list[str]] | None, one: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if many:
        return tuple((name, value) for name, values in many.items() for value in values)
    return tuple((one or {}).items())


def _parse_wake(record: Mapping[str, Any]) -> Wake:
    try:
        return Wake(json.loads(record["body"])["connection_id"], record["messageId"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedEvent(
            'expected an SQS record of the wake queue, whose body is {"connection_id": …}, '
            f"but got a record with the keys {sorted(record)}"
        ) from error
