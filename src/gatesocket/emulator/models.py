"""The models that a route's messages have to fit, so that its function is never asked about others.

Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-request-validation.html and
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-apigatewayv2-model.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from gatesocket.emulator.selection import DEFAULT, check, select
from gatesocket.exceptions import ConfigurationError

if TYPE_CHECKING:
    from jsonschema import Draft4Validator

__all__ = ["Models"]


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one route."""

    expression: str
    """Gives the key of the model that a message has to fit: ``$request.body.kind``."""
    validators: "Mapping[str, Draft4Validator]"
    """By key."""

    @classmethod
    def of(cls, expression: str, schemas: Mapping[str, Any]) -> Self:
        """Make models of their JSON schemas (draft 4), by key.

        Raises:
            ConfigurationError: a schema isn't one, or refers to what isn't in it; or *expression* reads something else
                than the message's body.
        """
        # Only the emulator of templates comes here, and a test client doesn't have them.
        from jsonschema import Draft4Validator, SchemaError  # noqa: PLC0415
        from referencing import Registry  # noqa: PLC0415

        check(expression, "the model selection expression")
        for key, schema in schemas.items():
            try:
                Draft4Validator.check_schema(schema)
            except SchemaError as error:
                raise ConfigurationError(f"the model of {key} isn't a JSON schema: {error.message}") from error
            if elsewhere := next((reference for reference in _references(schema) if not reference.startswith("#")), ""):
                raise ConfigurationError(f"the model of {key} refers to {elsewhere}; write here what it says")
        # The registry is empty, so that nothing is looked for elsewhere.
        return cls(expression, {key: Draft4Validator(schemas[key], registry=Registry()) for key in schemas})

    def allow(self, text: str) -> bool:
        """Whether the message *text* fits its model, the one for `$default` where its own isn't there."""
        validator = self.validators.get(select(self.expression, text)) or self.validators.get(DEFAULT)
        try:
            return validator is not None and validator.is_valid(json.loads(text))
        except (ValueError, RecursionError):
            return False


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)
