"""The reference app's template."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]

from gatesocket.emulator.template import Template, load
from gatesocket.registry.base import Record
from gatesocket.registry.items import group_membership, key_of
from support.lambda_events import removal

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def template() -> Template:
    return load(ROOT / "template.yaml", region="us-east-1")


def findings(text: str) -> list[str]:
    # Linted where every resource type is known; a rule of Amazon's schemas, not a choice of where to deploy.
    return [str(match) for match in cfnlint.lint(text, regions=["us-east-1"])]


def test_it_passes_cfn_lint() -> None:
    assert findings((ROOT / "template.yaml").read_text(encoding="utf-8")) == []


def test_what_it_is_translated_to_passes_cfn_lint(template: Template) -> None:
    """Some mistakes, such as a runtime that doesn't exist, are found only there."""
    assert findings(json.dumps(template.body)) == []


def statements(template: Template) -> Iterator[dict[str, Any]]:
    for resource in template.body["Resources"].values():
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            yield from resource["Properties"]["PolicyDocument"]["Statement"]


def test_every_permission_names_its_actions_and_its_resource(template: Template) -> None:
    granted = list(statements(template))
    assert granted
    for statement in granted:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not any("*" in action for action in actions)
        assert statement["Resource"] != "*"


def test_functions_get_their_permissions_only_from_the_template(template: Template) -> None:
    roles = [r["Properties"] for r in template.body["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    allowed = {
        "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",  # write its own log
        "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole",  # poll its event source
    }
    for role in roles:
        managed = [arn for arn in role["ManagedPolicyArns"] if isinstance(arn, str)]
        assert set(managed) <= allowed
        assert "Policies" not in role


def test_the_stream_brings_only_records_that_have_expired(template: Template) -> None:
    """The filter is Lambda's; it lets through what `gatesocket.events` takes for an expired connection, and no more."""
    mapping = template.body["Resources"]["ExpiredConnections"]["Properties"]
    [pattern] = mapping["FilterCriteria"]["Filters"]
    change = removal(Record("TXzPWdnOjoECGjA=", b"", 1, 2))
    membership = group_membership("TXzPWdnOjoECGjA=", "lobby", None, 2, shards=1)

    assert matches(json.loads(pattern["Pattern"]), change)
    assert not matches(json.loads(pattern["Pattern"]), change | {"eventName": "MODIFY"})
    assert not matches(json.loads(pattern["Pattern"]), {key: change[key] for key in change if key != "userIdentity"})
    assert not matches(json.loads(pattern["Pattern"]), change | {"dynamodb": {"Keys": key_of(membership)}})


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether Lambda's event filter lets *event* through; of its rules those for text and prefixes.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html#filtering-syntax
    """
    for key, rule in pattern.items():
        value = event.get(key)
        if isinstance(rule, dict):
            if not isinstance(value, dict) or not matches(rule, value):
                return False
        elif not any(
            value == choice if isinstance(choice, str) else str(value).startswith(choice["prefix"]) for choice in rule
        ):
            return False
    return True


def test_the_handlers_of_the_template_exist(template: Template) -> None:
    for logical_id, directory in template.code.items():
        handler = template.body["Resources"][logical_id]["Properties"]["Handler"]
        module, _, attribute = handler.rpartition(".")
        source = (directory / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        assert f"\n{attribute} = " in source
