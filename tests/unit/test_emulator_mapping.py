"""Request templates: what of VTL is rendered, and what is refused."""

import base64
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator.api import Api
from gatesocket.emulator.events import Request, message_event
from gatesocket.emulator.mapping import MappingTemplate
from gatesocket.events import WebSocketEvent
from gatesocket.exceptions import ConfigurationError

API = Api("a1", "prod", "us-east-1", "host", r"\$default", {}, stage_variables={"colour": "red"})
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def event(body: str | None) -> WebSocketEvent:
    request = Request(
        api=API,
        connection_id="TXzPWdnOjoECGjA=",
        connected_at=1708326702789,
        identity={"sourceIp": "192.0.2.1"},
        request_id="TXzPXEc6KRcFiJQ=",
        now=1708326703000,
        authorizer={"principalId": "ann"},
    )
    return message_event(request, "$default", "TXzPXd+hqR/CJCA=", body)


def rendered(template: str, body: str | None = "") -> str:
    return MappingTemplate(template).render(event(body))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Action=SendMessage", "Action=SendMessage"),
        ("", ""),
        ("$context.connectionId", "TXzPWdnOjoECGjA="),
        ("$context.routeKey, $context.messageId.", "$default, TXzPXd+hqR/CJCA=."),
        ('"at":$context.requestTimeEpoch}', '"at":1708326703000}'),
        ("$context.identity.sourceIp", "192.0.2.1"),
        ("$context.authorizer.principalId", "ann"),
        ("$stageVariables.colour", "red"),
        ("$util.urlEncode($context.messageId)", "TXzPXd%2BhqR%2FCJCA%3D"),
        ("$util.urlEncode($util.base64Encode($context.stage))", "cHJvZA%3D%3D"),
    ],
)
def test_text_stays_and_references_are_replaced(template: str, text: str) -> None:
    assert rendered(template) == text


@pytest.mark.parametrize("absent", ["$context.identity.userAgent", "$context.authorizer.a.b", "$stageVariables.size"])
def test_what_the_event_does_not_have_is_empty(absent: str) -> None:
    assert rendered(f"<{absent}>") == "<>"


def test_money_and_numbers_of_things_are_text() -> None:
    assert rendered("$ 5 #1 $5 #") == "$ 5 #1 $5 #"


@given(body=TEXTS)
def test_a_message_arrives_as_it_was_written_by_way_of_an_encoded_form(body: str) -> None:
    form = rendered("plain=$util.urlEncode($input.body)&safe=$util.urlEncode($util.base64Encode($input.body))", body)
    fields = dict(parse_qsl(form, keep_blank_values=True, strict_parsing=True))
    assert (fields["plain"], base64.b64decode(fields["safe"]).decode()) == (body, body)


def test_a_form_is_encoded_as_java_does() -> None:
    """A space is a plus, and a tilde is no exception: java.net.URLEncoder."""
    assert rendered("$util.urlEncode($input.body)", "a b~*-_.ü") == "a+b%7E*-_.%C3%BC"


def test_an_empty_message_has_an_empty_body() -> None:
    assert rendered("<$input.body>", None) == "<>"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("$input.json('$')", '{"room": "lobby", "n": [1, null], "a": {"b-c": true}}'),
        ("$input.json('$.room')", '"lobby"'),
        ("$input.path('$.room')", "lobby"),
        ("$input.path( '$.a.b-c' )", "true"),
        ("<$input.path('$.n.room')>", "<>"),
    ],
)
def test_a_message_is_read_as_json_where_a_template_asks_for_it(template: str, text: str) -> None:
    assert rendered(template, '{"room":"lobby","n":[1,null],"a":{"b-c":true}}') == text


def test_a_message_that_is_no_json_can_not_be_read_as_json() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        rendered("$input.json('$')", "hello")


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("#set($x = 1)$x", "#set"),
        ("a #if($context.stage == 'prod') b #end", "#if"),
        ("#{else}", "#{else}"),
        ("text ## comment", "##"),
        ("#* comment *#", "#*"),
        ("#[[ $context ]]#", "#[["),
        ("$context", "$context"),
        ("$context.error.message", "$context.error.message"),
        ("${context.stage}", "${context.stage"),
        ("$!context.stage", "$!context.stage"),
        (r"\$context.stage", r"\$"),
        ("$input.params('token')", "$input.params"),
        ("$input.json('$[0]')", "$input.json"),
        ("$util.escapeJavaScript($input.body)", "$util.escapeJavaScript"),
        ("$util.urlEncode('text')", "$util.urlEncode"),
        ("$util.urlEncode($input.body, 1)", "$util.urlEncode"),
        ("$util.urlEncode($foo)", "$foo"),
        ("$foo.bar", "$foo.bar"),
    ],
)
def test_what_is_not_rendered_here_is_refused_by_name(template: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match="of VTL only") as refused:
        MappingTemplate(template)
    assert f"its request template has {named!r}, which isn't run" in str(refused.value)


def test_every_variable_of_a_message_can_be_named() -> None:
    context = cast("dict[str, Any]", event("")["requestContext"])
    for name in context.keys() - {"messageDirection"}:  # which no documentation of templates knows
        assert rendered(f"$context.{name}")
