import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayWebSocketConnectEventModel,
    APIGatewayWebSocketDisconnectEventModel,
    APIGatewayWebSocketMessageEventModel,
)
from pydantic import BaseModel

from gatesocket.emulator.gateway import Api, Authorizer, Gateway, Handshake, Invoke, Quirks, Returned, Route

EVENTS = Path(__file__).parent.parent / "events"
MODELS: dict[str, type[BaseModel]] = {
    "connect": APIGatewayWebSocketConnectEventModel,
    "message": APIGatewayWebSocketMessageEventModel,
    "disconnect": APIGatewayWebSocketDisconnectEventModel,
}
API = Api(
    api_id="abcd1234",
    stage="prod",
    region="us-east-1",
    domain_name="abcd1234.execute-api.us-east-1.amazonaws.com",
    selection_expression="$request.body.action",
    routes={key: Route("f") for key in ("$connect", "$default", "$disconnect")},
)
CONNECTED_AT = 1708326702789


def recorded(kind: str) -> Any:
    return json.loads((EVENTS / f"{kind}.json").read_text())


def ids_of_the_recorded_events() -> Iterator[str]:
    yield recorded("connect")["requestContext"]["connectionId"]
    yield recorded("connect")["requestContext"]["requestId"]
    yield recorded("message")["requestContext"]["requestId"]
    yield recorded("message")["requestContext"]["messageId"]
    yield recorded("disconnect")["requestContext"]["requestId"]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The events of the connection that the recorded ones tell of."""
    headers = recorded("connect")["headers"]
    added = ("X-Amzn-Trace-Id", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
    sent = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
    sent += [(name, value) for name, value in headers.items() if name not in added]
    query = (("token", "abc"), ("path", "one"), ("path", "two"), ("path", "three"))
    gateway = Gateway(API, new_id=ids_of_the_recorded_events().__next__)
    connection_id, (connect,) = gateway.handshake(Handshake(tuple(sent), query, "192.0.2.1"), now=CONNECTED_AT)
    assert isinstance(connect, Invoke)
    gateway.answered(connect.invocation_id, Returned({"statusCode": 200}), now=CONNECTED_AT + 30)
    (message,) = gateway.frame(connection_id, "hello", now=1708326705684)
    (disconnect,) = gateway.left(connection_id, 1005, "", now=1708326708941)
    assert isinstance(message, Invoke)
    assert isinstance(disconnect, Invoke)
    return {"connect": connect.event, "message": message.event, "disconnect": disconnect.event}


@pytest.mark.parametrize("kind", MODELS)
def test_events_are_those_that_aws_sends(kind: str, made: dict[str, Any]) -> None:
    """Key by key and value by value; the trace id alone is drawn anew for every request."""
    expected = recorded(kind)
    for headers in ("headers", "multiValueHeaders"):
        if "X-Amzn-Trace-Id" in expected.get(headers, {}):
            expected[headers]["X-Amzn-Trace-Id"] = made[kind][headers]["X-Amzn-Trace-Id"]
    assert made[kind] == expected


@pytest.mark.parametrize("kind", MODELS)
def test_powertools_reads_the_events(kind: str, made: dict[str, Any]) -> None:
    for event in (made[kind], recorded(kind)):
        context: Any = MODELS[kind].model_validate(event).model_dump()["request_context"]
        assert context["connection_id"] == "TXzPWdnOjoECGjA="


def connect_event(*headers: tuple[str, str], query: tuple[tuple[str, str], ...] = (), api: Api = API) -> Any:
    gateway = Gateway(api, new_id=ids_of_the_recorded_events().__next__)
    _, (effect,) = gateway.handshake(Handshake(headers, query, "192.0.2.1"), now=CONNECTED_AT)
    assert isinstance(effect, Invoke)
    return effect.event


def test_a_trace_id_has_the_time_and_96_bits() -> None:
    root, version, seconds, rest = connect_event()["headers"]["X-Amzn-Trace-Id"].replace("=", "-").split("-")
    assert (root, version, int(seconds, 16)) == ("Root", "1", CONNECTED_AT // 1000)
    assert len(bytes.fromhex(rest)) == 12


def test_an_authorizer_sees_what_a_function_does_not() -> None:
    route = Route("f", authorizer=Authorizer("decides"))
    event: Any = connect_event(
        ("Connection", "Upgrade"), ("Upgrade", "websocket"), api=replace(API, routes={"$connect": route})
    )
    assert {"Connection": "upgrade", "Upgrade": "websocket", "content-length": "0"}.items() <= event["headers"].items()
    assert not {"Connection", "Upgrade", "content-length"} & connect_event(("Connection", "Upgrade"))["headers"].keys()


def test_without_a_query_the_event_has_no_query_keys() -> None:
    assert not {"queryStringParameters", "multiValueQueryStringParameters"} & connect_event().keys()


def test_the_query_is_decoded_or_as_the_quirk_says_not() -> None:
    asked = Handshake((), (("a b", "c&d"),), "192.0.2.1")
    for quirks, query in ((Quirks(), {"a b": "c&d"}), (Quirks(query_is_decoded=False), {"a%20b": "c%26d"})):
        gateway = Gateway(API, new_id=ids_of_the_recorded_events().__next__, quirks=quirks)
        _, (effect,) = gateway.handshake(asked, now=CONNECTED_AT)
        assert isinstance(effect, Invoke)
        event: Any = effect.event
        assert event["queryStringParameters"] == query


def test_a_header_sent_twice_keeps_its_last_value_and_all_its_values() -> None:
    event = connect_event(("Cookie", "a=1"), ("Cookie", "b=2"))
    assert event["headers"]["Cookie"] == "b=2"
    assert event["multiValueHeaders"]["Cookie"] == ["a=1", "b=2"]


def test_a_client_without_a_host_header_gets_the_domain_name() -> None:
    assert connect_event()["headers"]["Host"] == API.domain_name


def test_a_proxy_s_forwarded_addresses_come_before_the_client_s() -> None:
    event = connect_event(("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "http"))
    assert event["headers"]["X-Forwarded-For"] == "198.51.100.7, 192.0.2.1"
    assert event["headers"]["X-Forwarded-Proto"] == "https"


def test_identity_names_a_user_agent_only_if_one_was_sent() -> None:
    assert connect_event()["requestContext"]["identity"] == {"sourceIp": "192.0.2.1"}
    assert connect_event(("user-agent", "wscat"))["requestContext"]["identity"]["userAgent"] == "wscat"


def test_stage_variables_are_there_if_the_stage_has_any() -> None:
    api = Api("a", "s", "r", "d", "$request.body.action", API.routes, stage_variables={"table": "t"})
    assert connect_event(api=api)["stageVariables"] == {"table": "t"}
    assert "stageVariables" not in connect_event()


def test_a_function_that_changes_its_event_changes_no_other() -> None:
    gateway = Gateway(API, new_id=ids_of_the_recorded_events().__next__)
    connection_id, (connect,) = gateway.handshake(Handshake((), (), "192.0.2.1"), now=CONNECTED_AT)
    assert isinstance(connect, Invoke)
    connect.event["requestContext"]["identity"]["sourceIp"] = "changed"
    gateway.answered(connect.invocation_id, Returned({"statusCode": 200}), now=CONNECTED_AT)
    (message,) = gateway.frame(connection_id, "hello", now=CONNECTED_AT)
    assert isinstance(message, Invoke)
    assert message.event["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"
