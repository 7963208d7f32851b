"""What an IAM policy allows, as far as an authorizer's policy says it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["allows", "expression"]


def allows(policy: object, *, action: str, resource: str) -> bool:
    """Whether *policy* lets *action* be done to *resource*: a statement allows it, and none denies it.

    Conditions aren't evaluated: a statement with one denies as if it held, and allows as if it didn't.

    Raises:
        ValueError: *policy* isn't a policy document; the message says why.
    """
    if not isinstance(policy, Mapping):
        raise ValueError(f"expected a policy document, got {type(policy).__name__}")  # noqa: TRY004  # one kind of error
    statements = policy.get("Statement")
    allowed = denied = False
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, Mapping) or statement.get("Effect") not in {"Allow", "Deny"}:
            raise ValueError("expected each Statement of the policy to have the Effect Allow or Deny")
        if not (_names(statement, "Action", action) and _names(statement, "Resource", resource)):
            continue
        if statement["Effect"] == "Deny":
            denied = True
        elif not statement.get("Condition"):
            allowed = True
    return allowed and not denied


def _names(statement: Mapping[str, Any], element: str, value: str) -> bool:
    """Whether an element, or its opposite with "Not" before it, means *value*."""
    if element in statement:
        return _matches(statement, element, value)
    if f"Not{element}" in statement:
        return not _matches(statement, f"Not{element}", value)
    raise ValueError(f"expected each Statement of the policy to have {element} or Not{element}")


def _matches(statement: Mapping[str, Any], element: str, value: str) -> bool:
    given = statement[element]
    patterns = given if isinstance(given, list) else [given]
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError(f"expected {element} of the policy to be a text or a list of texts")
    # Actions are compared without regard to case, resources with it.
    flags = re.DOTALL if element.endswith("Resource") else re.DOTALL | re.IGNORECASE
    return any(re.fullmatch(expression(pattern), value, flags) for pattern in patterns)


def expression(pattern: str) -> str:
    """Write a pattern of IAM, in which only ``*`` and ``?`` mean more than themselves, as a regular expression."""
    return "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
