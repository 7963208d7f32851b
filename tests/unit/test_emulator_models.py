"""The models that messages have to fit."""

import json

import pytest

from gatesocket.emulator.gateway import Api, Gateway, Handshake, Invoke, Route, SendText
from gatesocket.emulator.models import Models
from gatesocket.exceptions import ConfigurationError

SAY = {"type": "object", "properties": {"text": {"$ref": "#/definitions/line"}}, "required": ["text"]}
SAY |= {"definitions": {"line": {"type": "string"}}}
MODELS = Models.of("$request.body.kind", {"say": SAY, "leave": {"type": "object"}})


@pytest.mark.parametrize(
    ("message", "allowed"),
    [
        ({"kind": "say", "text": "hello"}, True),
        ({"kind": "say", "text": 7}, False),
        ({"kind": "say"}, False),
        ({"kind": "leave"}, True),
        ({"kind": "shout", "text": "hello"}, False),
        ({}, False),
    ],
)
def test_a_message_has_to_fit_the_model_that_it_selects(message: object, allowed: bool) -> None:
    assert MODELS.allow(json.dumps(message)) == allowed


def test_a_message_that_selects_none_has_to_fit_the_default_one() -> None:
    models = Models.of("$request.body.kind", {"$default": SAY})
    assert models.allow('{"text": "hello"}')
    assert not models.allow("{}")
    assert not models.allow("no json")


@pytest.mark.parametrize("text", ["no json", "[" * 100_000])
def test_what_is_no_json_fits_no_model(text: str) -> None:
    assert not Models.of(r"\$default", {"$default": {}}).allow(text)


@pytest.mark.parametrize(
    ("expression", "schema", "message"),
    [
        ("$context.stage", {}, "the model selection expression '$context.stage' can't be evaluated: "),
        (r"\$default", {"type": "text"}, "the model of say isn't a JSON schema: 'text' is not valid under any of "),
        (
            r"\$default",
            {"items": [{"$ref": "https://apigateway.amazonaws.com/restapis/a/models/B"}]},
            "the model of say refers to https://apigateway.amazonaws.com/restapis/a/models/B; write here what it says",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(expression: str, schema: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Models.of(expression, {"say": schema})
    assert str(refused.value).startswith(message)


def test_a_message_that_does_not_fit_is_a_frame_and_no_function_sees_it() -> None:
    ids = (f"{number:015d}=" for number in range(100))
    api = Api("a1", "prod", "eu-west-1", "x.example", r"\$default", {"$default": Route("f", models=MODELS)})
    gateway = Gateway(api, new_id=ids.__next__)
    connection_id, _ = gateway.handshake(Handshake((), (), "192.0.2.1"), now=0)
    (frame,) = gateway.frame(connection_id, '{"kind": "say"}', now=0)
    assert frame == SendText(
        connection_id,
        '{"message" : "Bad request body", "connectionId": "000000000000000=", "messageId": "000000000000002="}',
    )
    (invoke,) = gateway.frame(connection_id, '{"kind": "say", "text": "hello"}', now=0)
    assert isinstance(invoke, Invoke)
