"""The Lambda events that API Gateway makes, key by key as captured (facts sheet, section 1)."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NotRequired, TypedDict
from urllib.parse import quote

from gatesocket.emulator.api import CONNECT, DISCONNECT, Api
from gatesocket.events import Identity, RequestContext, WebSocketEvent

__all__ = [
    "AuthorizerEvent",
    "Handshake",
    "Request",
    "authorizer_event",
    "connect_event",
    "disconnect_event",
    "instant",
    "message_event",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HOP_BY_HOP: Final = frozenset({"connection", "upgrade"})


class AuthorizerEvent(TypedDict):
    """What a Lambda authorizer is invoked with (facts sheet, sections 1 and 9)."""

    type: Literal["REQUEST"]
    methodArn: str
    headers: dict[str, str]
    multiValueHeaders: dict[str, list[str]]
    queryStringParameters: NotRequired[dict[str, str]]
    multiValueQueryStringParameters: NotRequired[dict[str, list[str]]]
    stageVariables: dict[str, str]
    requestContext: RequestContext


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's request for a connection."""

    headers: tuple[tuple[str, str], ...]
    """As the client sent them, names in its spelling."""
    query: tuple[tuple[str, str], ...]
    """Decoded, in order, one pair per value."""
    source_ip: str
    scheme: Literal["http", "https"] = "https"
    """Of the address that the client used. API Gateway has no other than ``https``; this machine's has no TLS."""
    port: int = 443
    """Of that address."""

    @property
    def identity(self) -> Identity:
        """What events tell of the client: its User-Agent only if it sent one."""
        user_agent = self.header("User-Agent")
        if user_agent is None:
            return {"sourceIp": self.source_ip}
        return {"userAgent": user_agent, "sourceIp": self.source_ip}

    def with_encoded_query(self) -> "Handshake":
        """Return the same, with its query percent-encoded."""
        return replace(self, query=tuple((quote(name, safe=""), quote(value, safe="")) for name, value in self.query))

    def header(self, name: str) -> str | None:
        """Return the last value of a header, whatever its case; None if it wasn't sent."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class Request:
    """What the events of one connection share, and what this one has of its own."""

    api: Api
    connection_id: str
    connected_at: int
    """Milliseconds since the epoch."""
    identity: Identity
    request_id: str
    now: int
    """Milliseconds since the epoch."""
    authorizer: Mapping[str, str] | None = None
    """What the authorizer said of the client; None if there is none."""

    def context(self, route_key: str, kind: Literal["CONNECT", "MESSAGE", "DISCONNECT"]) -> RequestContext:
        """Make the `requestContext` that the three kinds of events have in common."""
        context: RequestContext = {
            "routeKey": route_key,
            "eventType": kind,
            "extendedRequestId": self.request_id,
            "requestTime": _clf(self.now // 1000),
            "messageDirection": "IN",
            "stage": self.api.stage,
            "connectedAt": self.connected_at,
            "requestTimeEpoch": self.now,
            "identity": self.identity.copy(),  # a handler in this process may change its event
            "requestId": self.request_id,
            "domainName": self.api.domain_name,
            "connectionId": self.connection_id,
            "apiId": self.api.api_id,
        }
        if self.authorizer is not None:
            context["authorizer"] = dict(self.authorizer)
        return context


def connect_event(request: Request, handshake: Handshake) -> WebSocketEvent:
    """Make the event of a handshake: with headers, and with the query only if there is one."""
    headers = _many(_integration_headers(request, handshake))
    event: WebSocketEvent = {
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "requestContext": request.context(CONNECT, "CONNECT"),
        "isBase64Encoded": False,
    }
    if handshake.query:
        query = _many(handshake.query)
        event["queryStringParameters"] = _last(query)
        event["multiValueQueryStringParameters"] = query
    return _with_stage_variables(event, request.api)


def authorizer_event(request: Request, handshake: Handshake) -> AuthorizerEvent:
    """Make the event of a handshake for its authorizer, which sees hop-by-hop headers too."""
    seen = {"Connection": "upgrade", "content-length": "0", "Upgrade": "websocket"}
    headers = _many([*seen.items(), *_integration_headers(request, handshake)])
    event: AuthorizerEvent = {
        "type": "REQUEST",
        "methodArn": request.api.connect_arn,
        "headers": _last(headers),
        "multiValueHeaders": headers,
        "stageVariables": dict(request.api.stage_variables),
        "requestContext": request.context(CONNECT, "CONNECT"),
    }
    if handshake.query:
        query = _many(handshake.query)
        event["queryStringParameters"] = _last(query)
        event["multiValueQueryStringParameters"] = query
    return event


def message_event(request: Request, route_key: str, message_id: str, body: str | None) -> WebSocketEvent:
    """Make the event of a message; without the key `body` if *body* is None."""
    context = request.context(route_key, "MESSAGE")
    context["messageId"] = message_id
    event: WebSocketEvent = {"requestContext": context, "isBase64Encoded": False}
    if body is not None:
        event["body"] = body
    return _with_stage_variables(event, request.api)


def disconnect_event(request: Request, code: int, reason: str) -> WebSocketEvent:
    """Make the event of a connection's end: with four headers, none of them the client's."""
    context = request.context(DISCONNECT, "DISCONNECT")
    context["disconnectStatusCode"] = code
    context["disconnectReason"] = reason
    headers = {"Host": request.api.domain_name, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""}
    event: WebSocketEvent = {
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "requestContext": context,
        "isBase64Encoded": False,
    }
    return _with_stage_variables(event, request.api)


def instant(ms: int) -> datetime:
    """Convert milliseconds since the epoch, without the rounding that floats bring."""
    return _EPOCH + timedelta(milliseconds=ms)


def _integration_headers(request: Request, handshake: Handshake) -> Iterable[tuple[str, str]]:
    """Yield the client's headers as functions get them: hop-by-hop ones gone, API Gateway's own added."""
    replaced = {"x-amzn-trace-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto"}
    if handshake.header("Host") is None:
        yield "Host", request.api.domain_name
    for name, value in handshake.headers:
        if name.lower() not in _HOP_BY_HOP | replaced:
            yield name, value
    before = handshake.header("X-Forwarded-For")
    yield "X-Amzn-Trace-Id", _trace_id(request)
    yield "X-Forwarded-For", f"{before}, {handshake.source_ip}" if before else handshake.source_ip
    yield "X-Forwarded-Port", str(handshake.port)
    yield "X-Forwarded-Proto", handshake.scheme


def _trace_id(request: Request) -> str:
    # Derived rather than drawn: the model has no source of randomness but the ids that it is given.
    return f"Root=1-{request.now // 1000:08x}-{hashlib.sha256(request.request_id.encode()).hexdigest()[:24]}"


def _many(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    many: dict[str, list[str]] = {}
    for name, value in pairs:
        many.setdefault(name, []).append(value)
    return many


def _last(many: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: values[-1] for name, values in many.items()}


def _with_stage_variables(event: WebSocketEvent, api: Api) -> WebSocketEvent:
    if api.stage_variables:
        event["stageVariables"] = dict(api.stage_variables)
    return event


@lru_cache(maxsize=1)
def _clf(seconds: int) -> str:
    """Format a time as the Common Log Format does, whatever the locale: `19/Feb/2024:07:11:42 +0000`."""
    at = instant(seconds * 1000)
    return f"{at:%d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"
