"""What CloudFormation refuses before it makes anything: parameters that don't fit, and rules that don't hold.

A stack on this machine is refused the same parameters with the same words, so that nobody tries one here that can't be
deployed, or gets the default's behaviour for a value that was misspelt.

Sources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html,
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
"""

import re
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from gatesocket.emulator.intrinsics import Resolver

__all__ = ["broken_assertions", "unfit_parameters"]


def unfit_parameters(declared: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> Iterator[str]:
    """Say of each parameter whose value isn't allowed what was expected, in the template's own words.

    Args:
        declared: the template's ``Parameters``.
        values: the value of each.
    """
    for name, parameter in declared.items():
        value = str(values[name])
        if not _fits(parameter, value):
            got = "what isn't shown" if parameter.get("NoEcho") else repr(value)
            expected = parameter.get("ConstraintDescription") or _constraint(parameter)
            yield f"parameter {name}: got {got}, expected {expected}"


def broken_assertions(rule: Mapping[str, Any], resolver: Resolver) -> Iterator[str]:
    """Yield the words of each assertion of a rule that applies and doesn't hold.

    Args:
        rule: one of the template's ``Rules``.
        resolver: knows the parameters.

    Raises:
        ConfigurationError: the rule asks for something that isn't known on this machine.
    """
    if "RuleCondition" in rule and not resolver.resolve(rule["RuleCondition"]):
        return
    for assertion in rule["Assertions"]:
        if not resolver.resolve(assertion["Assert"]):
            yield assertion.get("AssertDescription", f"expected {assertion['Assert']}")


def _fits(parameter: Mapping[str, Any], value: str) -> bool:
    if parameter.get("Type") not in {"String", "Number"}:
        return True  # lists, and what only an account can tell
    if parameter.get("Type") == "Number" and not _is_between(parameter, value):
        return False
    if not int(parameter.get("MinLength", 0)) <= len(value) <= float(parameter.get("MaxLength", inf)):
        return False
    if value not in map(str, parameter.get("AllowedValues", [value])):
        return False
    return re.fullmatch(parameter.get("AllowedPattern", "(?s:.*)"), value) is not None


def _is_between(parameter: Mapping[str, Any], value: str) -> bool:
    try:
        return float(parameter.get("MinValue", -inf)) <= float(value) <= float(parameter.get("MaxValue", inf))
    except ValueError:
        return False


def _constraint(parameter: Mapping[str, Any]) -> str:
    """Say what is allowed where the template doesn't."""
    names = ("Type", "AllowedValues", "AllowedPattern", "MinValue", "MaxValue", "MinLength", "MaxLength")
    return ", ".join(f"{name} {parameter[name]}" for name in names if name in parameter)
