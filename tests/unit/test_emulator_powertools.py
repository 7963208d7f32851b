"""Every event that the emulator makes is one that AWS's Powertools reads, by its models and by its data classes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import (
    APIGatewayProxyEventV2,
    APIGatewayWebSocketEvent,
    DynamoDBStreamEvent,
    SQSEvent,
)
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import APIGatewayAuthorizerRequestEvent
from aws_lambda_powertools.utilities.data_classes.common import DictWrapper
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayProxyEventV2Model,
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
    DynamoDBStreamModel,
    SqsModel,
)
from pydantic import BaseModel

from gatesocket.emulator import http_api, queues, streams
from gatesocket.emulator.gateway import Api, Authorizer, Effect, Gateway, Handshake, Invoke, Returned, Route
from gatesocket.emulator.http_api import HttpRequest, HttpRoute, Match
from gatesocket.emulator.quirks import Quirks

NOW = 1_708_326_702_789
BROWSER = Handshake(
    (("Host", "x.example"), ("User-Agent", "Mozilla/5.0"), ("Cookie", "a=1"), ("Sec-WebSocket-Protocol", "chat")),
    (("token", "abc"), ("tag", "a"), ("tag", "b")),
    "192.0.2.1",
)
BARE = Handshake((), (), "2001:db8::1")
ALLOW = {
    "principalId": "ann",
    "policyDocument": {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]},
    "context": {"admin": True},
}


def websocket_events(client: Handshake, quirks: Quirks) -> Iterator[tuple[str, Any]]:
    """The life of one connection, event by event."""
    routes = {key: Route("f") for key in ("$default", "$disconnect")}
    routes["$connect"] = Route("f", authorizer=Authorizer("decides"))
    api = Api("a1", "prod", "eu-west-1", "x.example", "$request.body.action", routes, stage_variables={"colour": "red"})
    numbers = count()
    gateway = Gateway(api, new_id=lambda: f"{next(numbers):015d}=", quirks=quirks)

    def only(effects: list[Effect]) -> Invoke:
        (effect,) = effects
        assert isinstance(effect, Invoke)
        return effect

    connection_id, effects = gateway.handshake(client, now=NOW)
    asked = only(effects)
    yield "authorizer", asked.event
    connect = only(gateway.answered(asked.invocation_id, Returned(ALLOW), now=NOW))
    yield "connect", connect.event
    gateway.answered(connect.invocation_id, Returned({"statusCode": 200}), now=NOW)
    for text in ("hello", ""):
        yield "message", only(gateway.frame(connection_id, text, now=NOW)).event
    yield "disconnect", only(gateway.left(connection_id, None, "", now=NOW)).event


WEBSOCKET_MODELS: dict[str, type[BaseModel]] = {
    "connect": APIGatewayWebSocketConnectEventModel,
    "message": APIGatewayWebSocketMessageEventModel,
    "disconnect": APIGatewayWebSocketDisconnectEventModel,
}


@pytest.mark.parametrize("client", [BROWSER, BARE], ids=["browser", "bare"])
@pytest.mark.parametrize("quirks", [Quirks(), Quirks(empty_message_has_body=True)], ids=["default", "empty body"])
def test_websocket_events(client: Handshake, quirks: Quirks) -> None:
    events = list(websocket_events(client, quirks))
    assert [kind for kind, _ in events] == ["authorizer", "connect", "message", "message", "disconnect"]
    for kind, event in events[1:]:
        WEBSOCKET_MODELS[kind].model_validate(event)
        wrapped = APIGatewayWebSocketEvent(event)
        read_all(wrapped.request_context)
        assert wrapped.request_context.event_type == kind.upper()
        assert wrapped.request_context.identity.source_ip == client.source_ip
        assert wrapped.is_base64_encoded is False
        assert wrapped["requestContext"]["authorizer"] == {"admin": "true", "principalId": "ann"}


@pytest.mark.parametrize("client", [BROWSER, BARE], ids=["browser", "bare"])
def test_authorizer_events(client: Handshake) -> None:
    """Powertools' model is the REST API's, whose events have a path and a method; the data class reads ours."""
    _, event = next(websocket_events(client, Quirks()))
    wrapped = APIGatewayAuthorizerRequestEvent(event)
    assert wrapped.get_type == "REQUEST"
    arn = wrapped.parsed_arn
    assert (arn.region, arn.api_id, arn.stage, arn.http_method) == ("eu-west-1", "a1", "prod", "$connect")
    assert wrapped.headers["upgrade"] == "websocket"
    assert wrapped.stage_variables == {"colour": "red"}


@pytest.mark.parametrize("body", [b"", b'{"a": 1}', b"\x00\xff"], ids=["none", "text", "binary"])
def test_http_events(body: bytes) -> None:
    request = HttpRequest("POST", "/users/7", "a=1&a=2", (("Cookie", "a=1; b=2"), ("X", "y")), body, "192.0.2.1")
    matched = Match(HttpRoute("POST", "/users/{id}", "f"), {"id": "7"})
    event = http_api.event(matched, request, request_id="r", now=NOW, domain_name="x.example")
    APIGatewayProxyEventV2Model.model_validate(event)
    wrapped = APIGatewayProxyEventV2(event)
    assert (wrapped.http_method, wrapped.path, wrapped.path_parameters) == ("POST", "/users/7", {"id": "7"})
    assert wrapped.cookies == ["a=1", "b=2"]


def test_queue_events() -> None:
    message: Any = {
        "MessageId": "m1",
        "ReceiptHandle": "handle",
        "Body": "hello",
        "MD5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "Attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1708326702789",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1708326702790",
        },
        "MessageAttributes": {"kind": {"StringValue": "x", "DataType": "String"}},
    }
    event = queues.to_event([message], queue="jobs", region="eu-west-1")
    SqsModel.model_validate(event)
    (record,) = SQSEvent(event).records
    attribute = record.message_attributes["kind"]
    assert attribute is not None
    assert (record.body, attribute.string_value) == ("hello", "x")
    assert record.queue_url == "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"


@pytest.mark.parametrize("expired", [True, False])
def test_stream_events(expired: bool) -> None:
    change: Any = {
        "eventID": "1",
        "eventName": "REMOVE",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime(2026, 1, 2, tzinfo=UTC),
            "Keys": {"pk": {"S": "C#1"}},
            "OldImage": {"pk": {"S": "C#1"}, "scope": {"B": b"\x00\x01"}, "lease": {"N": "7"}},
            "SequenceNumber": "1",
            "SizeBytes": 10,
            "StreamViewType": "OLD_IMAGE",
        },
    }
    arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/connections/stream/2026-01-02T00:00:00.000"
    event = {"Records": [streams.to_record(change, arn=arn, expired=expired)]}
    DynamoDBStreamModel.model_validate(event)
    (record,) = DynamoDBStreamEvent(event).records
    assert record.dynamodb is not None
    assert record.dynamodb.old_image["pk"] == "C#1"
    assert (record.user_identity or {}).get("principalId") == ("dynamodb.amazonaws.com" if expired else None)


def read_all(wrapped: DictWrapper) -> None:
    """Read every property that a data class has: one that the event has no key for raises."""
    for name in vars(type(wrapped)):
        if not name.startswith("_"):
            getattr(wrapped, name)
