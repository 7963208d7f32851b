"""The patterns by which an event source chooses what it passes on."""

import json
from typing import Any

import pytest

from gatesocket.emulator.patterns import check, matches
from gatesocket.exceptions import ConfigurationError

REMOVED = {"eventName": "REMOVE", "dynamodb": {"Keys": {"pk": {"S": "C#ann"}}}}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({}, True),
        ({"eventName": ["REMOVE"]}, True),
        ({"eventName": ["INSERT", "REMOVE"]}, True),
        ({"eventName": ["INSERT"]}, False),
        ({"eventName": []}, False),
        ({"missing": ["REMOVE"]}, False),
        ({"missing": [None]}, False),
        ({"eventName": ["REMOVE"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "C#"}]}}}}, True),
        ({"dynamodb": {"Keys": {"pk": {"S": [{"prefix": "G#"}]}}}}, False),
        ({"dynamodb": {"Keys": {"pk": {"S": [{"suffix": "ann"}]}}}}, True),
        ({"dynamodb": {"Keys": {"pk": {"S": [{"suffix": "bob"}]}}}}, False),
        ({"userIdentity": [{"exists": False}]}, True),
        ({"userIdentity": [{"exists": True}]}, False),
        ({"userIdentity": {"type": ["Service"]}}, False),
        ({"eventName": {"deeper": ["REMOVE"]}}, False),
    ],
)
def test_an_event_has_to_have_what_the_pattern_says(pattern: dict[str, Any], expected: bool) -> None:
    check(pattern)
    assert matches(pattern, REMOVED) is expected


@pytest.mark.parametrize(
    "pattern",
    [[], "REMOVE", {"a": "REMOVE"}, {"a": [{"numeric": [">", 5]}]}, {"a": {"b": [{"prefix": "x", "suffix": "y"}]}}],
)
def test_a_pattern_that_is_not_understood_is_refused(pattern: object) -> None:
    with pytest.raises(ConfigurationError, match="pattern"):
        check(pattern)


def test_the_refused_rule_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"\{'numeric': \['>', 5\]\} isn't known .* exists, prefix, suffix"):
        check(json.loads('{"a": [{"numeric": [">", 5]}]}'))
