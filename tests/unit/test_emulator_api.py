import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator.api import Api, Route
from gatesocket.exceptions import ConfigurationError


def api(expression: str, *keys: str) -> Api:
    return Api("a1", "prod", "eu-west-1", "x.example", expression, {key: Route("f") for key in keys})


@pytest.mark.parametrize(
    ("expression", "message", "key"),
    [
        ("$request.body.action", {"action": "join"}, "join"),
        ("${request.body.action}", {"action": "join"}, "join"),
        ("$request.body.meta.kind", {"meta": {"kind": "join"}}, "join"),
        ("$request.body.steps[1].kind", {"steps": [0, {"kind": "join"}]}, "join"),
        ("${request.body.service}/${request.body.verb}", {"service": "chat", "verb": "join"}, "chat/join"),
        ("$request.body.action", {"action": 7}, "7"),
        ("$request.body.action", {"action": True}, "true"),
    ],
)
def test_a_message_chooses_its_route(expression: str, message: object, key: str) -> None:
    assert api(expression, key, "$default").route_key_for(json.dumps(message)) == key


@pytest.mark.parametrize(
    "message",
    [
        "not JSON",
        "",
        '"text"',
        "7",
        "[]",
        "null",
        "{}",
        '{"action":"unknown"}',
        '{"action":{}}',
        "[" * 100_000,
    ],
)
def test_a_message_that_chooses_no_route_goes_to_default(message: str) -> None:
    assert api("$request.body.action", "join", "$default").route_key_for(message) == "$default"


def test_without_default_such_a_message_has_no_route() -> None:
    assert api("$request.body.action", "join").route_key_for("{}") is None


@pytest.mark.parametrize("key", ["$connect", "$disconnect"])
def test_a_message_cannot_choose_what_only_the_gateway_may(key: str) -> None:
    """Else any client could feign another's handshake or end."""
    routes = api("$request.body.action", "$connect", "$disconnect", "$default")
    assert routes.route_key_for(json.dumps({"action": key})) == "$default"


@pytest.mark.parametrize(("expression", "key"), [(r"\$default", "$default"), ("everything", "everything")])
def test_a_constant_expression_sends_every_message_to_one_route(expression: str, key: str) -> None:
    assert api(expression, key).route_key_for('{"action":"join"}') == key
    assert api(expression, key).route_key_for("not JSON") == key


def test_a_constant_stands_beside_what_is_read() -> None:
    assert api(r"\$-$request.body.verb", "$-join").route_key_for('{"verb":"join"}') == "$-join"


@pytest.mark.parametrize("expression", ["$request.header.action", "$context.routeKey", "$default"])
def test_an_expression_that_cannot_be_evaluated_is_refused(expression: str) -> None:
    with pytest.raises(ConfigurationError, match=r"API a1: the route .* can't be evaluated.*\$request\.body"):
        api(expression, "$default")


@given(st.text())
def test_any_text_has_a_route_where_there_is_a_default(text: str) -> None:
    assert api("$request.body.a[0]", "$default", "x").route_key_for(text) in {"$default", "x"}
