"""What Lambda hands us, and what it means.

AWS's own shapes are TypedDicts and stay at this edge; the rest of the library sees the frozen `Connect`, `Message` and
`Disconnect` that `parse` makes of them, or a batch of `Wake`, `Forwarded`, `Expired` or `Unreadable`. The shapes are
those of section 1 of the facts sheet: captured events, not the synthetic fixtures of the AWS SDKs.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from gatesocket.exceptions import UnexpectedEvent
from gatesocket.values import frozen

__all__ = [
    "Connect",
    "Disconnect",
    "Event",
    "Expired",
    "Forwarded",
    "Item",
    "Message",
    "Origin",
    "Unreadable",
    "Wake",
    "WebSocketEvent",
    "parse",
]


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


@frozen
class Origin:
    """The API and stage that an event came from: what is needed to post back."""

    api_id: str
    stage: str
    domain_name: str


@frozen
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


@frozen
class Message:
    """A client sent a message."""

    connection_id: str
    request_id: str
    origin: Origin
    message_id: str
    text: str


@frozen
class Disconnect:
    """A connection has ended."""

    connection_id: str
    request_id: str
    origin: Origin
    code: int
    reason: str


@frozen
class Wake:
    """Somebody asked that a connection be looked after: its outbox delivered, its timer fired."""

    connection_id: str
    message_id: str
    """SQS's id of the message, by which a failure is reported."""
    due: int | None = None
    """The `Record.due` that it is for, in milliseconds since the epoch; None if it is for no timer."""

    @property
    def identifier(self) -> str:
        """By what a failure is reported."""
        return self.message_id

    @property
    def order(self) -> str | None:
        """What must be served in order with it: nothing."""
        return None


@frozen
class Forwarded:
    """A client's message that came through an SQS FIFO queue, which keeps each connection's in order.

    API Gateway puts it there without a function, if the integration's request template writes a MESSAGE event as the
    body: of its ``requestContext`` at least ``eventType``, ``connectionId``, ``requestId``, ``messageId``, ``apiId``,
    ``stage`` and ``domainName``, each ``$context``'s of the same name; and the client's text in base64, which SQS
    carries whatever it holds, and which may be empty::

        {"requestContext": {"eventType": "MESSAGE", "connectionId": "TXzPWdnOjoECGjA=", "messageId": "TXzPXdchqRcCJCA=",
          "requestId": "TXzPXEc6KRcFiJQ=", "apiId": "abcd1234", "stage": "prod", "domainName": "abcd1234.execute-…",
          "routeKey": "$default", "requestTimeEpoch": 1708326703000, "connectedAt": 1708326702789},
         "body": "aGVsbG8=", "isBase64Encoded": true}

    The group of the SQS message is the connection id; its deduplication id is the ``messageId`` (facts sheet, section
    6).
    """

    message: Message
    event: Mapping[str, Any]
    """The MESSAGE event, its body as the client sent it."""
    identifier: str
    """SQS's id of the message, by which a failure is reported."""
    order: str
    """The group of the SQS message: what must be served in order with it."""


@frozen
class Expired:
    """DynamoDB has deleted a connection's record because its time to live was over."""

    connection_id: str
    image: Mapping[str, Any]
    """The record as it was, as boto3 would have read it."""
    identifier: str
    """The place in the table's stream, from which Lambda reads again after a failure."""

    @property
    def order(self) -> str | None:
        """What must be served in order with it: whatever else is in the stream's batch."""
        return ""


@frozen
class Unreadable:
    """One of a batch that is nothing of what it should be, so that the others are served all the same."""

    error: UnexpectedEvent
    identifier: str
    """By what a failure is reported."""
    order: str | None
    """What must be served in order with it; None for nothing."""
    kept: bool
    """Whether it is put aside once it has failed often enough, as SQS does; a stream loses with it what is behind."""


Event = Connect | Message | Disconnect
Item = Wake | Forwarded | Expired | Unreadable
"""One of a batch, with what a batch is about: by what a failure is reported, and what has to wait for a failed one."""

NO_STATUS: Final = 1005
"""What stands for the code of a close without one (RFC 6455, section 7.1.5)."""


def parse(event: Mapping[str, Any]) -> Event | tuple[Item, ...]:
    """Turn a Lambda event into what it means.

    Of a batch of the table's stream only the records that have expired are returned: what was written, what
    Gatesocket itself has deleted, and memberships mean nothing here. One of a batch that can't be read is `Unreadable`.

    Raises:
        UnexpectedEvent: it is neither an event of a WebSocket API nor a batch from the wake queue, from a FIFO queue of
            messages or from the table's stream, or one of the batch can't even be reported; the message says what is
            missing, and never quotes values, which may be secret.
    """
    if not isinstance(event, Mapping):
        raise UnexpectedEvent(f"expected a Lambda event, which is a dict, but got {type(event).__name__}")
    if "Records" in event:
        if not isinstance(event["Records"], list):
            raise UnexpectedEvent(f"expected a list of Records, but got {type(event['Records']).__name__}")
        items = (_parse_record(record) for record in event["Records"])
        return tuple(item for item in items if item is not None)
    context = event.get("requestContext")
    if not isinstance(context, Mapping) or "connectionId" not in context:
        raise UnexpectedEvent(
            "expected an event of an API Gateway WebSocket API, with requestContext.connectionId, or a batch of a "
            f"queue or of the table's stream, with Records, but got an event with the keys {sorted(event)}. "
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


def _parse_record(record: Any) -> Item | None:
    from_stream = isinstance(record, Mapping) and record.get("eventSource") == "aws:dynamodb"
    try:
        return _parse_change(record) if from_stream else _parse_message(record)
    except (AttributeError, KeyError, RecursionError, TypeError, UnexpectedEvent, ValueError) as error:
        unexpected = UnexpectedEvent(
            'expected an SQS record of the wake queue, whose body is {"connection_id": …}, or of a FIFO queue of '
            "messages, whose body is a MESSAGE event with its body in base64, or a change from the table's stream with "
            f"its old image, but got a record with the keys {_keys(record)}"
        )
        unexpected.__cause__ = error
    try:
        if from_stream:
            return Unreadable(unexpected, record["dynamodb"]["SequenceNumber"], "", kept=False)
        return Unreadable(unexpected, record["messageId"], _group(record), kept=True)
    except (AttributeError, KeyError, TypeError):
        raise unexpected from unexpected.__cause__


def _parse_message(record: Mapping[str, Any]) -> Wake | Forwarded:
    body = json.loads(record["body"])
    if "requestContext" in body:
        return _parse_forwarded(record, body)
    due = body.get("due")
    return Wake(body["connection_id"], record["messageId"], None if due is None else int(due))


def _group(record: Mapping[str, Any]) -> str | None:
    """Return the message group of an SQS record; None if it has none, as on a standard queue."""
    group: str | None = record.get("attributes", {}).get("MessageGroupId")
    return group


def _keys(record: object) -> list[str]:
    return sorted(record) if isinstance(record, Mapping) else []


def _parse_forwarded(record: Mapping[str, Any], event: Mapping[str, Any]) -> Forwarded:
    text = b64decode(event["body"], validate=True).decode()
    event = {**event, "body": text, "isBase64Encoded": False}
    message = _parse_web_socket(cast("WebSocketEvent", event))
    if not isinstance(message, Message):
        raise TypeError(f"expected a MESSAGE event, but got {type(message).__name__}")
    return Forwarded(message, event, record["messageId"], record["attributes"]["MessageGroupId"])


TIME_TO_LIVE: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
"""Who deletes what has expired.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
"""


def _parse_change(record: Mapping[str, Any]) -> Expired | None:
    if record["eventName"] != "REMOVE" or record.get("userIdentity") != TIME_TO_LIVE:
        return None
    change = record["dynamodb"]
    partition = change["Keys"]["pk"]["S"]
    if not partition.startswith("C#"):
        return None
    image = {name: _plain(value) for name, value in change["OldImage"].items()}
    return Expired(partition.removeprefix("C#"), image, change["SequenceNumber"])


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attribute as boto3 has it: in an event bytes are base64."""
    [(kind, content)] = value.items()
    match kind:
        case "B":
            return {kind: b64decode(content, validate=True)}
        case "L":
            return {kind: [_plain(item) for item in content]}
        case "M":
            return {kind: {name: _plain(item) for name, item in content.items()}}
        case _:
            return {kind: content}
