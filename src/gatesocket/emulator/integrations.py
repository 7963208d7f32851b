"""Reads off a template the integrations that put what clients send into a queue, without a function.

What API Gateway would need and isn't there is refused, and so is what isn't run here: either would be found by a
client's message, and as nothing but ``Internal server error``.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-integration.html
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from gatesocket.emulator.mapping import MappingTemplate
from gatesocket.emulator.reader import Reader
from gatesocket.emulator.resources import Forwarding
from gatesocket.exceptions import ConfigurationError

__all__ = ["forwarding"]

_QUEUE: Final = re.compile(r"arn:[\w-]+:apigateway:[\w-]+:sqs:path/\d+/(?P<name>[\w.-]+)")
_CONTENT_TYPE: Final = "integration.request.header.Content-Type"
_FORM: Final = "'application/x-www-form-urlencoded'"
"""In quotes, as every constant among request parameters."""


def forwarding(reader: Reader, integration: str) -> Forwarding | None:
    """Return what an integration puts into a queue of this template; None if it isn't one that does.

    Args:
        reader: the template.
        integration: the integration's logical id, or anything else.

    Raises:
        ConfigurationError: it lacks something that API Gateway needs, or has something that isn't run here.
    """
    resource = reader.resources.get(integration, {})
    if resource.get("Type") != "AWS::ApiGatewayV2::Integration":
        return None
    properties = reader.properties(integration)
    queue = _QUEUE.fullmatch(str(properties.get("IntegrationUri", "")))
    queues = (reader.name(logical_id, reader.resources[logical_id]) for logical_id in reader.of_type("AWS::SQS::Queue"))
    if properties.get("IntegrationType") != "AWS" or queue is None or queue["name"] not in queues:
        return None
    try:
        return Forwarding(queue["name"], _template(properties))
    except ConfigurationError as error:
        raise ConfigurationError(f"{reader.template.where(integration)}: {integration}: {error}") from error


def _template(properties: Mapping[str, Any]) -> MappingTemplate:
    if "CredentialsArn" not in properties:
        raise ConfigurationError("expected CredentialsArn, a role by which API Gateway may send to the queue; got none")
    parameters = properties.get("RequestParameters") or {}
    if properties.get("IntegrationMethod") != "POST" or parameters != {_CONTENT_TYPE: _FORM}:
        got = f"{properties.get('IntegrationMethod')} and {parameters}"
        raise ConfigurationError(
            f"expected the IntegrationMethod POST and the RequestParameters {{{_CONTENT_TYPE}: {_FORM}}}, by which SQS "
            f"takes a form; got {got}"
        )
    selection = str(properties.get("TemplateSelectionExpression", r"\$default"))
    if re.search(r"(?<!\\)\$", selection):
        raise ConfigurationError(
            f"its TemplateSelectionExpression {selection!r} reads the message, which isn't run on this machine; "
            r"name one template by a constant, such as \$default"
        )
    templates = properties.get("RequestTemplates") or {}
    chosen = selection.replace(r"\$", "$")
    if chosen not in templates:
        raise ConfigurationError(
            f"expected a template {chosen} in RequestTemplates; got {', '.join(templates) or 'none'}"
        )
    return MappingTemplate(templates[chosen])
