"""Reads resources off a template: their properties, names and attributes, and what refers to them."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from gatesocket.emulator.intrinsics import Resolver
from gatesocket.emulator.resources import ACCOUNT, Addresses, Note
from gatesocket.emulator.template import Template
from gatesocket.exceptions import ConfigurationError

__all__ = ["Reader", "api_id"]

_NAMES: Final = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::SQS::Queue": "QueueName",
}
"""The property in which a template names a resource of each type; otherwise its name is its logical id."""


class Reader:
    """What a template says of its resources, with every reference resolved to what it is on this machine.

    Args:
        template: the template.
        region: the AWS region that it all pretends to be in.
        addresses: where things are.

    Raises:
        ConfigurationError: a condition can't be evaluated; and so from every method for a reference.
    """

    def __init__(self, template: Template, *, region: str, addresses: Addresses) -> None:
        self.template = template
        self.region = region
        self.addresses = addresses
        self.notes: list[Note] = []
        """What can't be run here."""
        self.reading = ""
        """The logical id of the resource whose properties were looked at last; for errors."""
        pseudo = {
            "AWS::AccountId": ACCOUNT,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/local/1",
            "AWS::StackName": "local",
            "AWS::URLSuffix": "amazonaws.com",
        }
        self.resolver = Resolver(
            template.body, parameters={**pseudo, **template.parameters}, attributes=self._attribute
        )
        self.resources: dict[str, Mapping[str, Any]] = {
            logical_id: resource
            for logical_id, resource in template.body["Resources"].items()
            if "Condition" not in resource or self.resolver.condition(resource["Condition"])
        }

    def _attribute(self, logical_id: str, attribute: str | None) -> str | None:
        """Say what ``Ref`` (*attribute* is None) or ``GetAtt`` of a resource is on this machine."""
        resource = self.template.body["Resources"].get(logical_id)
        if resource is None:
            return None
        name = self.name(logical_id, resource)
        attributes: dict[str | None, str]
        match resource["Type"]:
            case "AWS::Lambda::Function":
                attributes = {None: name, "Arn": self.arn("lambda", f"function:{name}")}
            case "AWS::DynamoDB::Table":
                arn = self.arn("dynamodb", f"table/{name}")
                attributes = {None: name, "Arn": arn, "StreamArn": f"{arn}/stream/local"}
            case "AWS::SQS::Queue":
                url = f"{self.addresses.aws}/{ACCOUNT}/{name}"
                attributes = {None: url, "Arn": self.arn("sqs", name), "QueueName": name, "QueueUrl": url}
            case "AWS::ApiGatewayV2::Api":
                identifier = api_id(logical_id)
                attributes = {None: identifier, "ApiId": identifier, "ApiEndpoint": f"https://{self.host(identifier)}"}
            case "AWS::ApiGatewayV2::Stage":
                attributes = {None: self.resolver.resolve(resource["Properties"]["StageName"])}
            case "AWS::IAM::Role":
                attributes = {None: name, "Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}
            case _:
                attributes = {None: name}
        return attributes.get(attribute)

    def name(self, logical_id: str, resource: Mapping[str, Any]) -> str:
        """Return the name that a resource has in AWS, where templates mostly leave it out."""
        properties = resource.get("Properties") or {}
        given = properties.get(_NAMES.get(resource["Type"], ""))
        if given is not None:
            return str(self.resolver.resolve(given))
        return f"{logical_id}.fifo" if properties.get("FifoQueue") else logical_id

    def of_type(self, kind: str) -> list[str]:
        """Return the logical ids of the resources of one type, in the template's order."""
        return [logical_id for logical_id, resource in self.resources.items() if resource["Type"] == kind]

    def properties(self, logical_id: str) -> dict[str, Any]:
        """Return a resource's properties."""
        self.reading = logical_id
        try:
            properties = self.resolver.resolve(self.resources[logical_id].get("Properties") or {})
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.template.where(logical_id)}: {logical_id}: {error}") from error
        return dict(properties)

    def arn(self, service: str, name: str) -> str:
        """Make an ARN of this machine's account and region."""
        return f"arn:aws:{service}:{self.region}:{ACCOUNT}:{name}"

    def host(self, identifier: str) -> str:
        """Return the host that AWS would give to an API."""
        return f"{identifier}.execute-api.{self.region}.amazonaws.com"

    def note(self, logical_id: str, what: str) -> None:
        """Take note of what can't be run."""
        self.notes.append(Note(logical_id, what))

    def function_of(self, uri: str) -> str | None:
        """Return the logical id of the function that an ARN, or an integration's URI with one in it, names."""
        name = uri.partition(":function:")[2].removesuffix("/invocations").partition(":")[0]
        for logical_id in self.of_type("AWS::Lambda::Function"):
            if name == self.name(logical_id, self.resources[logical_id]):
                return logical_id
        return None


def api_id(logical_id: str) -> str:
    """Make an API's id, of AWS's shape and the same at every start."""
    return hashlib.sha256(logical_id.encode()).hexdigest()[:10]
