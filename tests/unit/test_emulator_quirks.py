"""Quirks of API Gateway, given as texts."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from gatesocket.emulator.gateway import (
    Answer,
    Api,
    Close,
    Effect,
    Gateway,
    Handshake,
    Invoke,
    Quotas,
    RateLimit,
    Refuse,
    Returned,
    Route,
    SendText,
)
from gatesocket.emulator.ids import random_id
from gatesocket.emulator.quirks import Quirks, settle
from gatesocket.exceptions import ConfigurationError

API = Api("a1", "prod", "eu-west-1", "x.example", r"\$default", {"$connect": Route("f")})
CLIENT = Handshake((), (), "192.0.2.1")


def test_what_is_not_given_has_its_default() -> None:
    assert settle({}) == Quirks()
    given = {"ping_keeps_alive": "true", "connect_timeout_status": "408", "oversize_reason": "too big"}
    assert settle(given) == Quirks(ping_keeps_alive=True, connect_timeout_status=408, oversize_reason="too big")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ping_keep_alive": "true"}, "API Gateway has no quirk 'ping_keep_alive'; did you mean ping_keeps_alive?"),
        ({"x": "true"}, "API Gateway has no quirk 'x'; there are malformed_connect_status, connect_timeout_status, "),
        ({"lifetime_code": "soon"}, "the quirk lifetime_code can't be 'soon': Input should be a valid integer"),
    ],
)
def test_a_quirk_that_is_none_is_named(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settle(given)
    assert str(refused.value).startswith(message)


def answered(answer: Answer, quirks: Quirks) -> Effect:
    """What comes of the answer to `$connect`."""
    gateway = Gateway(API, new_id=random_id, quirks=quirks)
    _, (connect,) = gateway.handshake(CLIENT, now=0)
    assert isinstance(connect, Invoke)
    (effect,) = gateway.answered(connect.invocation_id, answer, now=0)
    return effect


def opened(quirks: Quirks, quotas: Quotas | None = None) -> tuple[Gateway, str]:
    gateway = Gateway(replace(API, routes={"$disconnect": Route("f")}), new_id=random_id, quirks=quirks, quotas=quotas)
    return gateway, gateway.handshake(CLIENT, now=0)[0]


def status_of_what_is_no_response(quirks: Quirks) -> object:
    effect = answered(Returned("ok"), quirks)
    assert isinstance(effect, Refuse)
    return effect.status


def status_after_29_s(quirks: Quirks) -> object:
    gateway = Gateway(API, new_id=random_id, quirks=quirks)
    gateway.handshake(CLIENT, now=0)
    (effect,) = gateway.tick(now=29_000)
    assert isinstance(effect, Refuse)
    return effect.status


def frame_of_a_throttled_message(quirks: Quirks) -> object:
    gateway, connection_id = opened(quirks, Quotas(requests=RateLimit(1, 0)))
    (effect,) = gateway.frame(connection_id, "x", now=0)
    assert isinstance(effect, SendText)
    return json.loads(effect.text)["message"]


def reason_of_a_close(data: str | bytes) -> Callable[[Quirks], object]:
    def reason(quirks: Quirks) -> object:
        gateway, connection_id = opened(quirks)
        close, disconnect = gateway.frame(connection_id, data, now=0)
        assert isinstance(close, Close)
        assert isinstance(disconnect, Invoke)
        assert disconnect.event["requestContext"]["disconnectReason"] == close.reason
        return close.reason

    return reason


def reason_of_a_broken_connection(quirks: Quirks) -> object:
    gateway, connection_id = opened(quirks)
    (disconnect,) = gateway.left(connection_id, None, "", now=0)
    assert isinstance(disconnect, Invoke)
    return disconnect.event["requestContext"]["disconnectReason"]


def reason_after_delete(quirks: Quirks) -> object:
    gateway, connection_id = opened(quirks)
    _, (close, _) = gateway.manage("DELETE", connection_id, b"", now=0)
    assert isinstance(close, Close)
    return close.reason


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("malformed_connect_status", 500, status_of_what_is_no_response),
        ("connect_timeout_status", 408, status_after_29_s),
        ("throttled_message", "Slow down", frame_of_a_throttled_message),
        ("binary_reason", "no bytes", reason_of_a_close(b"x")),
        ("oversize_reason", "too long", reason_of_a_close("x" * 40_000)),
        ("dropped_reason", "gone", reason_of_a_broken_connection),
        ("deleted_reason", "bye", reason_after_delete),
    ],
)
def test_a_quirk_says_what_is_seen(name: str, value: Any, seen: Callable[[Quirks], object]) -> None:
    assert seen(Quirks()) == getattr(Quirks(), name)
    assert seen(replace(Quirks(), **{name: value})) == value


def test_the_documentation_lists_every_quirk_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`|empty) \|", text.partition("## Quirks")[2], re.MULTILINE)
    assert settle(dict(rows)) == Quirks()
    assert [name for name, _ in rows] == [field.name for field in fields(Quirks)]
