from collections.abc import Mapping
from typing import Any

import pytest

from gatesocket.emulator.intrinsics import Resolver
from gatesocket.exceptions import ConfigurationError

ATTRIBUTES = {
    ("Table", None): "connections",
    ("Table", "Arn"): "arn:table",
    ("Nested", "Outputs.Url"): "https://nested",
}
TEMPLATE: dict[str, Any] = {
    "Mappings": {"Size": {"prod": {"memory": 512}}},
    "Conditions": {
        "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
        "IsOne": {"Fn::Equals": [{"Ref": "One"}, "1"]},
        "IsDev": {"Fn::Not": [{"Condition": "IsProd"}]},
        "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "IsDev"}]},
        "Either": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "IsDev"}]},
    },
}


def resolver(template: Mapping[str, Any] = TEMPLATE) -> Resolver:
    return Resolver(
        template,
        parameters={"Stage": "prod", "One": 1, "AWS::Region": "eu-west-1"},
        attributes=lambda logical_id, attribute: ATTRIBUTES.get((logical_id, attribute)),
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        (3, 3),
        (["a", {"Ref": "Stage"}], ["a", "prod"]),
        ({"Deep": {"Deeper": [{"Ref": "Table"}]}}, {"Deep": {"Deeper": ["connections"]}}),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "arn:table"),
        ({"Fn::GetAtt": "Table.Arn"}, "arn:table"),
        ({"Fn::GetAtt": ["Nested", "Outputs.Url"]}, "https://nested"),
        ({"Fn::GetAtt": "Nested.Outputs.Url"}, "https://nested"),
        ({"Fn::Sub": "${Table}/${Table.Arn}@${AWS::Region}"}, "connections/arn:table@eu-west-1"),
        ({"Fn::Sub": ["${x}-${Stage}", {"x": {"Ref": "Table"}}]}, "connections-prod"),
        ({"Fn::Sub": "${!literal} ${ Stage }"}, "${literal} prod"),
        ({"Fn::Join": ["/", ["a", {"Ref": "Stage"}, 1]]}, "a/prod/1"),
        ({"Fn::Select": ["1", {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::FindInMap": ["Size", {"Ref": "Stage"}, "memory"]}, 512),
        ({"Fn::Base64": "hi"}, "aGk="),
        ({"Fn::If": ["IsProd", {"Ref": "Table"}, "no"]}, "connections"),
        ({"Fn::If": ["IsDev", "no", {"Ref": "Stage"}]}, "prod"),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_a_value_is_resolved_at_any_depth(value: object, expected: object) -> None:
    assert resolver().resolve(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b": {"Ref": "AWS::NoValue"}}, {"a": 1}),
        ([1, {"Ref": "AWS::NoValue"}], [1]),
        ({"a": {"Fn::If": ["IsProd", {"Ref": "AWS::NoValue"}, 1]}}, {}),
        ({"Ref": "AWS::NoValue"}, None),
    ],
)
def test_no_value_removes_what_holds_it(value: object, expected: object) -> None:
    assert resolver().resolve(value) == expected


@pytest.mark.parametrize(
    ("name", "holds"), [("IsProd", True), ("IsOne", True), ("IsDev", False), ("Both", False), ("Either", True)]
)
def test_a_condition_is_evaluated(name: str, *, holds: bool) -> None:
    assert resolver().condition(name) is holds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Ref": "Nobody"}, "Ref names 'Nobody', which is neither a parameter nor a resource"),
        ({"Fn::GetAtt": ["Table", "Colour"]}, "Table.Colour has no value on this machine"),
        ({"Fn::Sub": "${Nobody}"}, "Ref names 'Nobody'"),
        ({"Fn::ImportValue": "x"}, "Fn::ImportValue isn't supported on this machine; write the value out"),
        ({"Fn::If": ["Sometimes", 1, 2]}, "there is no condition 'Sometimes'; the template has Both, Either, IsDev"),
        ({"Fn::Select": ["7", ["a"]]}, "Fn::Select can't be applied to ['7', ['a']]: list index out of range"),
        ({"Fn::Join": "abc"}, "Fn::Join can't be applied to 'abc'"),
        ({"Fn::FindInMap": ["Size", "dev", "memory"]}, "Fn::FindInMap can't be applied"),
    ],
)
def test_what_cannot_be_resolved_says_why(value: object, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolver().resolve(value)
    assert message in str(raised.value)


def test_a_template_without_conditions_says_that_it_has_none() -> None:
    with pytest.raises(ConfigurationError, match="the template has none"):
        resolver({}).condition("IsProd")
