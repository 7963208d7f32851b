"""JSON schemas as AsyncAPI has them: draft 7, with the definitions that are shared in one place."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gatesocket.exceptions import ConfigurationError

__all__ = ["Mode", "schemas_of"]

Mode = Literal["validation", "serialization"]
"""Whether a schema is of what is read, or of what is written: a default needn't be in the one, and is in the other."""

_REFERENCE: Final = "#/components/schemas/{model}"


def schemas_of(
    wanted: Iterable[tuple[Hashable, Mode, Any]],
) -> tuple[Mapping[tuple[Hashable, Mode], JsonSchemaValue], dict[str, Any]]:
    """Return the schema of each type that is *wanted*, by its key and mode, and the definitions that they refer to.

    Raises:
        ConfigurationError: pydantic doesn't know a type, or JSON can't say it.
    """
    inputs = [(key, mode, _adapter(annotation)) for key, mode, annotation in wanted]
    if not inputs:
        return {}, {}
    try:
        schemas, shared = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE, schema_generator=_Draft7)
    except PydanticInvalidForJsonSchema as error:
        raise ConfigurationError(
            f"a type in an AsyncAPI document has no JSON schema: {error.message.partition(chr(10))[0]}. Describe what "
            "is sent by pydantic models of texts, numbers, lists and dicts"
        ) from error
    return schemas, shared.get("$defs", {})


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"{annotation!r} can't be in an AsyncAPI document: {error.message.partition(chr(10))[0]}. Describe it by a "
            "pydantic model"
        ) from error


class _Draft7(GenerateJsonSchema):
    """pydantic writes draft 2020-12; AsyncAPI 3.0's own format is a superset of draft 7."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Name the discriminator: AsyncAPI takes a text where OpenAPI takes an object."""
        made = super().tagged_union_schema(schema)
        discriminator = made.pop("discriminator", None)
        return made if discriminator is None else made | {"discriminator": discriminator["propertyName"]}

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """Say ``items`` and ``additionalItems`` for what draft 2020-12 calls ``prefixItems`` and ``items``."""
        made = super().tuple_schema(schema)
        if "prefixItems" not in made:
            return made
        rest = {"additionalItems": made.pop("items")} if "items" in made else {}
        return made | {"items": made.pop("prefixItems")} | rest
