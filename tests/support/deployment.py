"""What CloudFormation would make of a template of this repository, or the words with which it would refuse."""

from pathlib import Path
from typing import Any

from gatesocket.emulator.constraints import broken_assertions, unfit_parameters
from gatesocket.emulator.intrinsics import Resolver
from gatesocket.emulator.template import load

__all__ = ["deploy"]

PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}


def deploy(path: Path, *, region: str = "us-east-1", **parameters: str) -> dict[str, Any]:
    """Return the resources of the template in *path* whose conditions hold, with every reference resolved.

    What a resource is called is its logical id, but for stages, whose names are given; an attribute of it is
    ``{logical id}.{attribute}``.

    Raises:
        ValueError: CloudFormation would refuse the parameters; its text is the template's own.
    """
    template = load(path, region=region, parameters=parameters)
    for refusal in unfit_parameters(template.body.get("Parameters", {}), template.parameters):
        raise ValueError(refusal)

    def attribute(logical_id: str, name: str | None) -> str:
        if name is not None:
            return f"{logical_id}.{name}"
        resource = template.body["Resources"].get(logical_id, {})
        if resource.get("Type") == "AWS::ApiGatewayV2::Stage":
            return str(resolver.resolve(resource["Properties"]["StageName"]))
        return logical_id

    resolver = Resolver(
        template.body,
        parameters={**PSEUDO_PARAMETERS, "AWS::Region": region, **template.parameters},
        attributes=attribute,
    )
    for rule in template.body.get("Rules", {}).values():
        for refusal in broken_assertions(rule, resolver):
            raise ValueError(refusal)
    return {
        logical_id: resolver.resolve(resource)
        for logical_id, resource in template.body["Resources"].items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }
