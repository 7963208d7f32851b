"""Sample events."""

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)

from gatesocket.emulator.events import Handshake
from gatesocket.emulator.samples import SAMPLE_CONNECTION, SampleConnection
from gatesocket.exceptions import ConfigurationError

HANDSHAKE = Handshake((("Cookie", "a=b"),), (("name", "ann"),), "192.0.2.1")
NOW = 1_708_326_702_000


def test_samples_are_what_aws_powertools_takes_for_api_gateways() -> None:
    sample = SampleConnection(HANDSHAKE, now=NOW)
    APIGatewayWebSocketConnectEventModel.model_validate(sample.connect)
    APIGatewayWebSocketMessageEventModel.model_validate(sample.message("hello"))
    APIGatewayWebSocketDisconnectEventModel.model_validate(sample.disconnect())


def test_the_three_are_of_one_connection() -> None:
    sample = SampleConnection(HANDSHAKE, now=NOW)
    events = [sample.connect, sample.message("hello"), sample.disconnect(1001, "bye")]
    assert {event["requestContext"]["connectionId"] for event in events} == {SAMPLE_CONNECTION}
    assert {event["requestContext"]["connectedAt"] for event in events} == {NOW}
    assert events[0]["headers"]["Cookie"] == "a=b"
    assert events[0]["queryStringParameters"] == {"name": "ann"}
    assert events[1]["body"] == "hello"
    assert events[2]["requestContext"]["disconnectStatusCode"] == 1001
    assert events[2]["requestContext"]["disconnectReason"] == "bye"


def test_a_message_goes_to_the_route_that_is_asked_for() -> None:
    sample = SampleConnection(HANDSHAKE, route_key="say", stage="dev", connection_id="AAAAAAAAAAAAAAA=", now=NOW)
    context = sample.message("{}")["requestContext"]
    assert (context["routeKey"], context["stage"]) == ("say", "dev")
    assert context["connectionId"] == "AAAAAAAAAAAAAAA="


def test_an_id_that_aws_would_not_give_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="as in TXzPWdnOjoECGjA=; got 'abc'"):
        SampleConnection(HANDSHAKE, connection_id="abc", now=NOW)


def test_a_message_that_api_gateway_would_not_take_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="32 KB at the most, and this message has 40000 bytes"):
        SampleConnection(HANDSHAKE, now=NOW).message("x" * 40_000)
