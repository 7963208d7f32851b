"""Lambda events, and what they mean."""

import contextlib
import copy
import json
from pathlib import Path
from typing import Any, cast

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
    DynamoDBStreamModel,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from gatesocket.events import Connect, Disconnect, Expired, Forwarded, Message, Origin, Unreadable, Wake, parse
from gatesocket.exceptions import UnexpectedEvent
from gatesocket.registry.base import Record
from gatesocket.registry.items import decode
from gatesocket.waker import wake_event
from support.lambda_events import forwarded, removal

EVENTS = Path(__file__).parent.parent / "events"


def load(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("connect", APIGatewayWebSocketConnectEventModel),
        ("message", APIGatewayWebSocketMessageEventModel),
        ("disconnect", APIGatewayWebSocketDisconnectEventModel),
    ],
)
def test_the_recorded_events_are_what_powertools_knows_them_to_be(name: str, model: type[BaseModel]) -> None:
    model.model_validate(load(name))


def test_a_connect_event_carries_the_handshake() -> None:
    event = load("connect")
    context = event["requestContext"]

    connect = parse(event)

    assert isinstance(connect, Connect)
    assert connect.connection_id == context["connectionId"]
    assert connect.connected_at == context["connectedAt"]
    assert connect.origin == Origin(context["apiId"], context["stage"], context["domainName"])
    assert connect.source_ip == context["identity"]["sourceIp"]
    assert ("Host", context["domainName"]) in connect.headers


def test_every_value_of_a_repeated_query_parameter_is_kept() -> None:
    event = load("connect")
    event["queryStringParameters"] = {"tag": "b"}
    event["multiValueQueryStringParameters"] = {"tag": ["a", "b"]}

    connect = parse(event)

    assert isinstance(connect, Connect)
    assert connect.query == (("tag", "a"), ("tag", "b"))


def test_an_event_without_multi_value_maps_is_read_from_the_single_ones() -> None:
    event = load("connect")
    del event["multiValueHeaders"]
    event.pop("queryStringParameters", None)
    event.pop("multiValueQueryStringParameters", None)
    event["headers"] = {"Host": "h"}

    connect = parse(event)

    assert isinstance(connect, Connect)
    assert (connect.headers, connect.query) == ((("Host", "h"),), ())


def test_an_authorizers_context_is_kept() -> None:
    event = load("connect")
    event["requestContext"]["authorizer"] = {"principalId": "user", "userId": "42"}

    connect = parse(event)

    assert isinstance(connect, Connect)
    assert connect.authorizer == {"principalId": "user", "userId": "42"}


def test_a_message_event_carries_its_text() -> None:
    event = load("message")

    message = parse(event)

    assert isinstance(message, Message)
    assert (message.text, message.message_id) == (event["body"], event["requestContext"]["messageId"])


def test_an_empty_text_frame_comes_without_a_body() -> None:
    event = load("message")
    del event["body"]

    message = parse(event)

    assert isinstance(message, Message)
    assert message.text == ""


def test_a_disconnect_event_carries_code_and_reason() -> None:
    event = load("disconnect")

    disconnect = parse(event)

    assert isinstance(disconnect, Disconnect)
    context = event["requestContext"]
    assert (disconnect.code, disconnect.reason) == (context["disconnectStatusCode"], context["disconnectReason"])


def test_a_disconnect_without_a_code_is_1005() -> None:
    event = load("disconnect")
    del event["requestContext"]["disconnectStatusCode"]
    event["requestContext"]["disconnectReason"] = None

    disconnect = parse(event)

    assert isinstance(disconnect, Disconnect)
    assert (disconnect.code, disconnect.reason) == (1005, "")


def test_an_event_from_before_2021_carries_nulls() -> None:
    event = load("connect")
    event["requestContext"] |= {"messageId": None, "disconnectStatusCode": None, "authorizer": None}
    event["requestContext"]["identity"] |= {"accountId": None, "userArn": None}

    connect = parse(event)

    assert isinstance(connect, Connect)
    assert connect.authorizer == {}


def test_a_batch_of_the_wake_queue_is_its_wakes() -> None:
    event = wake_event("TXzPWdnOjoECGjA=")

    assert parse(event) == (Wake("TXzPWdnOjoECGjA=", event["Records"][0]["messageId"]),)


RECORD = Record("ANN=", b"scope", 1, 2, b"snapshot", outbox=("é",), groups=frozenset({"lobby"}), live=True)


@pytest.mark.parametrize("text", ["hello", "", "\x00 \U0001f44b \"'&+%"])
def test_a_message_that_came_through_a_queue_is_as_the_client_sent_it(text: str) -> None:
    [item] = cast("tuple[Forwarded]", parse({"Records": [forwarded(text, message_id="m1")]}))

    assert (item.message.text, item.message.message_id, item.identifier) == (text, "m1", "sqs m1")
    assert item.event["body"] == text
    assert item.order == item.message.connection_id


def test_a_record_that_has_expired_is_found_in_the_stream_as_it_was() -> None:
    event = {"Records": [removal(RECORD)]}
    [item] = cast("tuple[Expired]", parse(event))

    assert (item.connection_id, item.identifier, item.order) == ("ANN=", "111", "")
    assert decode(dict(item.image)) == RECORD


def test_the_stream_of_these_tests_has_the_shape_of_dynamodbs() -> None:
    DynamoDBStreamModel.model_validate({"Records": [removal(RECORD)]})


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(removal(RECORD, userIdentity=None), id="deleted by ourselves"),
        pytest.param(
            removal(RECORD, userIdentity={"type": "Service", "principalId": "other"}), id="deleted by somebody else"
        ),
        pytest.param(removal(RECORD, eventName="MODIFY"), id="written"),
        pytest.param(
            removal(RECORD, dynamodb={"Keys": {"pk": {"S": "G#lobby#0"}, "sk": {"S": "ANN="}}}), id="a membership"
        ),
    ],
)
def test_other_changes_of_the_table_mean_nothing(record: dict[str, Any]) -> None:
    assert parse({"Records": [record]}) == ()


@pytest.mark.parametrize(
    "body",
    ["no json", "[]", "7", "{}", "[" * 100_000, '{"requestContext": {}, "body": "%"}'],
)
def test_a_message_of_a_queue_that_can_not_be_read_is_one_by_itself(body: str) -> None:
    garbage = {"messageId": "1", "body": body}
    wake = wake_event("ANN=")["Records"][0]

    [unreadable, readable] = parse({"Records": [garbage, wake]})  # type: ignore[misc]

    assert isinstance(unreadable, Unreadable)
    assert (unreadable.identifier, unreadable.order, unreadable.kept) == ("1", None, True)
    assert "expected an SQS record of the wake queue" in str(unreadable.error)
    assert body not in str(unreadable.error)
    assert readable == Wake("ANN=", wake["messageId"])


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(forwarded("hi", eventType="DISCONNECT"), id="no message"),
        pytest.param(forwarded("hi") | {"body": '{"requestContext": {}, "body": "%"}'}, id="not in base64"),
    ],
)
def test_a_message_of_a_fifo_queue_that_can_not_be_read_keeps_its_place(record: dict[str, Any]) -> None:
    [item] = cast("tuple[Unreadable]", parse({"Records": [record]}))

    assert (item.identifier, item.order, item.kept) == ("sqs m1", "TXzPWdnOjoECGjA=", True)
    assert "whose body is a MESSAGE event with its body in base64" in str(item.error)


def test_a_message_that_came_through_a_queue_without_order_is_none() -> None:
    record = forwarded("hi")
    del record["attributes"]["MessageGroupId"]

    [item] = cast("tuple[Unreadable]", parse({"Records": [record]}))

    assert "of a FIFO queue of messages" in str(item.error)


def test_a_change_that_can_not_be_read_is_not_to_come_again() -> None:
    change = removal(RECORD, dynamodb={"Keys": {"pk": {"S": "C#ANN="}}, "SequenceNumber": "110"})

    [item] = cast("tuple[Unreadable]", parse({"Records": [change]}))

    assert (item.identifier, item.kept) == ("110", False)
    assert "from the table's stream with its old image" in str(item.error)


def test_only_the_inbox_orders_wakes() -> None:
    [wake] = cast("tuple[Wake]", parse(wake_event("ANN=")))

    assert (wake.identifier, wake.order) == (wake.message_id, None)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "expected a Lambda event, which is a dict, but got NoneType"),
        ({"version": "2.0", "rawPath": "/"}, r"with the keys \['rawPath', 'version'\].*Mangum"),
        ({"requestContext": {"connectionId": "x"}}, r"has no 'apiId'"),
        ({"Records": None}, "expected a list of Records, but got NoneType"),
        # What has no id can't be reported by itself.
        ({"Records": [{"body": "no json"}]}, r"expected an SQS record of the wake queue.*with the keys \['body'\]"),
        ({"Records": [{"dynamodb": {}}]}, r"a record with the keys \['dynamodb'\]"),
        ({"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {}}]}, "from the table's stream with its old image"),
        ({"Records": ["text"]}, r"a record with the keys \[\]"),
    ],
)
def test_an_event_of_another_shape_is_refused_with_what_was_expected(event: Any, message: str) -> None:
    with pytest.raises(UnexpectedEvent, match=message):
        parse(event)


def test_an_event_type_that_nobody_knows_is_refused() -> None:
    event = load("message")
    event["requestContext"]["eventType"] = "RECONNECT"

    with pytest.raises(UnexpectedEvent, match="CONNECT, MESSAGE or DISCONNECT, but got 'RECONNECT'"):
        parse(event)


def test_an_event_with_something_else_in_a_place_is_refused() -> None:
    event = load("connect")
    event["requestContext"]["identity"] = None

    with pytest.raises(UnexpectedEvent, match="isn't of the shape that API Gateway sends: 'NoneType'"):
        parse(event)


def test_a_binary_body_is_refused_because_api_gateway_has_none() -> None:
    event = load("message")
    event["isBase64Encoded"] = True

    with pytest.raises(UnexpectedEvent, match="isBase64Encoded is true"):
        parse(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=2) | st.dictionaries(st.text(max_size=5), children, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(["connect", "message", "disconnect"]), st.data())
def test_no_damaged_event_raises_anything_but_unexpected_event(name: str, data: st.DataObject) -> None:
    event = copy.deepcopy(load(name))
    context = event["requestContext"]
    where = data.draw(st.sampled_from([event, context]))
    key = data.draw(st.sampled_from(sorted(where)))
    if data.draw(st.booleans()):
        del where[key]
    else:
        where[key] = data.draw(JSON)

    with contextlib.suppress(UnexpectedEvent):
        parse(event)
