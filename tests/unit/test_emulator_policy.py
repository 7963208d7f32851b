"""What an authorizer's policy allows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.emulator.policy import allows

ACTION = "execute-api:Invoke"
ARN = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/$connect"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": ACTION, "Resource": ARN} | elements


@pytest.mark.parametrize(
    ("elements", "allowed"),
    [
        ({}, True),
        ({"Resource": "*"}, True),
        ({"Resource": ["arn:aws:other", "arn:aws:execute-api:*:*:a1b2c?/prod/$connect"]}, True),
        ({"Resource": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/*"}, True),
        ({"Resource": "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3/prod/$default"}, False),
        ({"Resource": ARN.upper()}, False),
        ({"Resource": "[a-z]*"}, False),
        ({"Action": "EXECUTE-API:invoke"}, True),
        ({"Action": ["execute-api:*"]}, True),
        ({"Action": "execute-api:ManageConnections"}, False),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}, False),
    ],
)
def test_a_statement_allows_what_it_names(elements: dict[str, Any], allowed: bool) -> None:
    """``*`` and ``?`` stand for anything; case counts in resources only; a condition can't be known to hold."""
    assert allows(policy(statement(**elements)), action=ACTION, resource=ARN) is allowed


def test_what_nothing_allows_is_denied() -> None:
    assert not allows(policy(), action=ACTION, resource=ARN)


@pytest.mark.parametrize("elements", [{}, {"Resource": "*"}, {"Condition": {"Bool": {}}}])
def test_a_denial_wins_wherever_it_stands(elements: dict[str, Any]) -> None:
    denial = statement("Deny", **elements)
    assert not allows(policy(denial, statement()), action=ACTION, resource=ARN)
    assert not allows(policy(statement(), denial), action=ACTION, resource=ARN)


def test_a_statement_may_name_what_it_is_not_about() -> None:
    everything_else = {"Effect": "Allow", "NotAction": "s3:*", "NotResource": "arn:aws:s3:::*"}
    assert allows(policy(everything_else), action=ACTION, resource=ARN)
    assert not allows(policy(everything_else | {"NotAction": "execute-api:*"}), action=ACTION, resource=ARN)


def test_one_statement_needs_no_list() -> None:
    assert allows({"Statement": statement()}, action=ACTION, resource=ARN)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "expected a policy document, got NoneType"),
        ({}, "expected each Statement of the policy to have the Effect Allow or Deny"),
        (policy(statement("allow")), "to have the Effect Allow or Deny"),
        (policy({"Effect": "Allow", "Resource": "*"}), "to have Action or NotAction"),
        (policy({"Effect": "Allow", "Action": "*"}), "to have Resource or NotResource"),
        (policy(statement(Resource=[1])), "expected Resource of the policy to be a text or a list of texts"),
    ],
)
def test_what_is_no_policy_says_why(document: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        allows(document, action=ACTION, resource=ARN)


@given(st.text())
def test_a_pattern_without_wildcards_means_itself(resource: str) -> None:
    if not {"*", "?"} & set(resource):
        assert allows(policy(statement(Resource=resource)), action=ACTION, resource=resource)
        assert not allows(policy(statement(Resource=resource)), action=ACTION, resource=f"{resource}x")
