"""A function's parameters, and how arguments for them travel as JSON.

Whoever writes arguments and whoever reads them have the same function, in different processes. So its annotations say
all that is to be known of the JSON, and pydantic does the rest.
"""

import inspect
import json
from collections.abc import Mapping
from types import FunctionType
from typing import Any, NoReturn, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PydanticUserError, ValidationError, create_model
from pydantic_core import PydanticSerializationError

from gatesocket.exceptions import ConfigurationError, Finding, InvalidArguments

__all__ = ["Parameters", "place", "refuse"]

_WIRE = ConfigDict(extra="forbid", ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")


class Parameters:
    """The parameters of one function.

    Args:
        function: a function each of whose parameters has an annotation that pydantic understands.
        name: what errors call it.

    Raises:
        ConfigurationError: a parameter has no such annotation, or takes any number of arguments; the message names the
            place and the remedy.
    """

    def __init__(self, function: FunctionType, name: str) -> None:
        self._name = name
        self._signature = _signature(function)
        # Fields of our own naming: a parameter may be called "json" or "_x", and a model's field not.
        self._fields = {f"p{number}": name for number, name in enumerate(self._signature.parameters)}
        self._model = self._make_model(function)

    def to_json(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, JsonValue]:
        """Return arguments as JSON, by the names of their parameters; only those that are given.

        Raises:
            InvalidArguments: they don't fit, or would arrive as something else.
        """
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(f"{self._name}: {error}") from None
        try:
            sent = self._model.model_validate(bound.arguments)
        except ValidationError as error:
            raise self._invalid(error) from None
        try:
            # `round_trip`, so that what a type reads is what it has written; `include`, so that defaults stay the
            # function's own.
            text = sent.model_dump_json(include=sent.model_fields_set, by_alias=True, round_trip=True, warnings="error")
        except PydanticSerializationError as error:
            raise InvalidArguments(f"{self._name}: an argument can't be written as JSON: {error}") from error
        self._compare(sent, self._read(text))
        return cast("dict[str, JsonValue]", json.loads(text))

    def from_json(self, arguments: Mapping[str, JsonValue]) -> inspect.BoundArguments:
        """Return the arguments that `to_json` has written.

        Raises:
            InvalidArguments: they don't fit.
        """
        read = self._read(json.dumps(arguments))
        given = {name: getattr(read, field) for field, name in self._fields.items() if field in read.model_fields_set}
        return inspect.BoundArguments(self._signature, given)

    def _read(self, text: str) -> BaseModel:
        try:
            return self._model.model_validate_json(text)
        except ValidationError as error:
            raise self._invalid(error) from None

    def _compare(self, sent: BaseModel, arrived: BaseModel) -> None:
        """Refuse what JSON changes: pydantic writes a secret as asterisks, and a subclass as its base."""
        for field in sent.model_fields_set:
            before, after = getattr(sent, field), getattr(arrived, field)
            if before != after:
                raise InvalidArguments(
                    f"{self._name}: {self._fields[field]}: expected what JSON can carry, but this value of type "
                    f"{type(before).__name__} would arrive as another one, of type {type(after).__name__}"
                )

    def _invalid(self, error: ValidationError) -> InvalidArguments:
        """Say which parameters don't fit, what they expect and of what type they got; values may be secret."""
        problems = []
        for problem in error.errors(include_url=False):
            got = "" if problem["type"] == "missing" else f", but got a value of type {type(problem['input']).__name__}"
            problems.append(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}{got}")
        return InvalidArguments(f"{self._name}: {'; '.join(problems)}")

    def _make_model(self, function: FunctionType) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for field, name in self._fields.items():
            parameter = self._signature.parameters[name]
            # That there is a default matters here, not which: the function has it.
            info = Field(alias=name) if parameter.default is parameter.empty else Field(None, alias=name)
            fields[field] = (parameter.annotation, info)
        try:
            return create_model(self._name, __config__=_WIRE, **fields)
        except PydanticUserError as error:
            refuse(
                function,
                f"a parameter has a type that pydantic doesn't know: {error.message.partition('. ')[0]}",
                "Take numbers, texts, lists, dicts or pydantic models, and make the rest of them inside",
            )


def _signature(function: FunctionType) -> inspect.Signature:
    """Return a function's signature, with its annotations looked up."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        refuse(function, f"an annotation can't be looked up: {error}", "Import or define the type before the function")
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            refuse(function, f"it takes any number of arguments, {parameter}", "Take a list or a dict")
        if parameter.name not in hints:
            refuse(function, f"the parameter {parameter.name} has no annotation", "Say its type: JSON is read by it")
        parameters.append(parameter.replace(annotation=hints[parameter.name]))
    return inspect.Signature(parameters)


def place(function: FunctionType) -> tuple[str, int]:
    """Return the file and the line where a function is defined, below its decorators."""
    code = inspect.unwrap(function).__code__
    return code.co_filename, code.co_firstlineno


def refuse(function: FunctionType, what: str, remedy: str) -> NoReturn:
    """Raise a `ConfigurationError` about a function."""
    raise ConfigurationError(str(Finding(*place(function), f"{function.__name__}: {what}", remedy)))
