"""Which parameters CloudFormation would refuse, and with which words."""

from typing import Any

import pytest

from gatesocket.emulator.constraints import broken_assertions, unfit_parameters
from gatesocket.emulator.intrinsics import Resolver
from gatesocket.exceptions import ConfigurationError

TEXT = {"Type": "String", "AllowedPattern": "[a-z]+", "MinLength": 2, "MaxLength": "4"}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ({"Type": "String"}, "any\nthing"),
        (TEXT, "abc"),
        ({"Type": "String", "AllowedValues": ["off", "fifo"]}, "fifo"),
        ({"Type": "Number", "AllowedValues": [1, 2]}, 2),
        ({"Type": "Number", "MinValue": 0, "MaxValue": "10"}, "10"),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "a,b"),
    ],
)
def test_what_is_allowed_is_taken(parameter: dict[str, Any], value: Any) -> None:
    assert list(unfit_parameters({"P": parameter}, {"P": value})) == []


@pytest.mark.parametrize(
    ("parameter", "value", "says"),
    [
        (TEXT, "a", "got 'a', expected Type String, AllowedPattern [a-z]+, MinLength 2, MaxLength 4"),
        (TEXT, "abcde", "got 'abcde'"),
        (TEXT, "ab1", "got 'ab1'"),
        (TEXT | {"ConstraintDescription": "a few letters."}, "1", "parameter P: got '1', expected a few letters."),
        (TEXT | {"NoEcho": True}, "secret!", "got what isn't shown, expected"),
        (
            {"Type": "String", "AllowedValues": ["off", "fifo"]},
            "on",
            "got 'on', expected Type String, AllowedValues ['off', 'fifo']",
        ),
        ({"Type": "Number"}, "many", "got 'many'"),
        ({"Type": "Number", "MinValue": 0}, -1, "got '-1'"),
        ({"Type": "Number", "MaxValue": 9}, 10, "got '10'"),
    ],
)
def test_what_is_not_allowed_is_told_in_the_templates_words(parameter: dict[str, Any], value: Any, says: str) -> None:
    [refusal] = unfit_parameters({"P": parameter}, {"P": value})
    assert says in refusal


def broken(rule: dict[str, Any]) -> list[str]:
    return list(broken_assertions(rule, Resolver({}, parameters={"A": "x"}, attributes=lambda *_: None)))


HOLDS = {"Fn::Equals": [{"Ref": "A"}, "x"]}
FAILS = {"Fn::Equals": [{"Ref": "A"}, "y"]}


def test_a_rule_is_broken_by_each_assertion_that_does_not_hold() -> None:
    words = {"Assert": FAILS, "AssertDescription": "A has to be y."}
    assert broken({"Assertions": [{"Assert": HOLDS}, words]}) == ["A has to be y."]
    assert broken({"Assertions": [{"Assert": FAILS}]}) == [f"expected {FAILS}"]


def test_a_rule_whose_condition_is_not_met_does_not_apply() -> None:
    assert broken({"RuleCondition": FAILS, "Assertions": [{"Assert": FAILS}]}) == []
    assert broken({"RuleCondition": HOLDS, "Assertions": [{"Assert": FAILS}]}) != []


def test_a_rule_about_an_account_can_not_be_checked() -> None:
    with pytest.raises(ConfigurationError, match="Fn::RefAll isn't supported on this machine"):
        broken({"Assertions": [{"Assert": {"Fn::RefAll": "AWS::EC2::VPC::Id"}}]})
