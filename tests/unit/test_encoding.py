"""What can be sent, and what is refused before anybody gets it."""

from typing import Any

import pytest
from pydantic import BaseModel

from gatesocket.encoding import encode
from gatesocket.exceptions import ApplicationProtocolError, MessageTooLarge
from gatesocket.gateway.sockets import SocketGateway


class Point(BaseModel):
    x: int


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("as it is", "as it is"),
        ({"name": "Zoë", "list": [1, None]}, '{"name":"Zoë","list":[1,null]}'),
        ([1, 2], "[1,2]"),
        (Point(x=1), '{"x":1}'),
    ],
)
def test_a_message_is_sent_as_text_or_as_compact_json(message: Any, text: str) -> None:
    assert encode(message) == text


def test_bytes_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(ApplicationProtocolError, match="API Gateway has no binary messages"):
        encode(b"\x00")


def test_what_json_does_not_know_is_named() -> None:
    with pytest.raises(TypeError, match="but got dict: Object of type SocketGateway is not JSON serializable"):
        encode({"gateway": SocketGateway()})


class Opaque(BaseModel):
    model_config = {"arbitrary_types_allowed": True}

    gateway: SocketGateway


def test_a_model_that_holds_what_json_does_not_know_is_named() -> None:
    with pytest.raises(ValueError, match="but got Opaque: Unable to serialize unknown type"):
        encode(Opaque(gateway=SocketGateway()))


def cycle() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


def depth() -> list[Any]:
    made: list[Any] = []
    for _ in range(100_000):
        made = [made]
    return made


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        pytest.param({"x": float("nan")}, "expected what JSON can say, but got dict: Out of range", id="NaN"),
        pytest.param([float("inf")], "expected what JSON can say, but got list: Out of range", id="infinity"),
        pytest.param(cycle(), "expected what JSON can say, but got list: Circular reference", id="cycle"),
        pytest.param(depth(), "expected what JSON can say, but got list: maximum recursion depth", id="depth"),
        pytest.param("\ud800", "expected text that UTF-8 can carry, but got half a surrogate pair", id="surrogate"),
        pytest.param({"x": "\ud800"}, "expected text that UTF-8 can carry", id="surrogate in JSON"),
    ],
)
def test_what_would_break_the_clients_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode(message)


def test_a_message_has_at_most_as_many_bytes_as_api_gateway_carries() -> None:
    assert len(encode("é" * (64 * 1024))) == 64 * 1024
    with pytest.raises(MessageTooLarge, match="a message of 131074 bytes"):
        encode("é" * (64 * 1024 + 1))
