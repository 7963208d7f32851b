"""The table of template.yaml, made in whatever speaks DynamoDB: the template is the only truth about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["create_table", "table_properties"]

TEMPLATE = Path(__file__).parents[2] / "template.yaml"

DESCRIBED_AT_MOST = 1000  # times: each is a round trip, so that this is some seconds


class _TemplateLoader(yaml.SafeLoader):
    """Reads a CloudFormation template; of ``!Ref x`` and its like it keeps the argument."""


def _argument(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_TemplateLoader.add_multi_constructor("!", _argument)


def table_properties() -> dict[str, Any]:
    """Return the properties of the template's ``ConnectionsTable``."""
    with TEMPLATE.open(encoding="utf-8") as template:
        resources = yaml.load(template, _TemplateLoader)["Resources"]  # a SafeLoader, with tags
    properties: dict[str, Any] = resources["ConnectionsTable"]["Properties"]
    return properties


def create_table(client: "DynamoDBClient", name: str) -> None:
    """Make the template's table and return when it can be used.

    Without its time to live, stream and encryption: no stand-in for DynamoDB has them all, and the registry never
    relies on them.
    """
    properties = table_properties()
    client.create_table(
        TableName=name,
        AttributeDefinitions=properties["AttributeDefinitions"],
        KeySchema=properties["KeySchema"],
        BillingMode=properties["BillingMode"],
    )
    for _ in range(DESCRIBED_AT_MOST):
        if client.describe_table(TableName=name)["Table"].get("TableStatus") == "ACTIVE":
            return
    raise TimeoutError(f"table {name!r} was not active after {DESCRIBED_AT_MOST} looks")
