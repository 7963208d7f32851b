"""From an app to what a client has to know of each WebSocket route: its address, its parameters, what is said."""

import inspect
import re
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from types import FunctionType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.routing import WebSocketRoute

from gatesocket.asyncapi.speech import Speech, speech_of
from gatesocket.hibernation.discover import discover

__all__ = ["Channel", "Parameter", "channels"]

Place = Literal["path", "query", "header", "cookie"]

_PLACES: Final[tuple[Place, ...]] = ("path", "query", "header", "cookie")
_CONVERTED: Final = re.compile(r"{(\w+)(?::\w+)?}")
_CONVERTORS: Final = {"int": int, "float": float}
"""What Starlette's converters take, other than a text."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a handshake."""

    name: str
    place: Place
    annotation: Any
    """Its type, with what pydantic and FastAPI know besides."""
    required: bool
    description: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One WebSocket route."""

    id: str
    """The endpoint's name, with a number where several have the same."""
    address: str
    """Its path, with ``{parameters}``."""
    function: FunctionType
    description: str
    """The endpoint's docstring, up to a form feed, as FastAPI has it."""
    parameters: tuple[Parameter, ...]
    schemes: tuple[Any, ...]
    """FastAPI's security dependencies."""
    speech: Speech


def channels(app: Any) -> tuple[Channel, ...]:
    """Find the WebSocket routes of *app*, in the order in which they are tried.

    Raw ASGI functions are left out: nothing says what they do with a path.
    """
    taken: dict[str, int] = {}
    return tuple(
        _channel(found.path, found.route, (found.endpoint, *found.others), taken)
        for found in discover(app).routes
        if found.route is not None
    )


def _channel(path: str, route: WebSocketRoute, functions: tuple[FunctionType, ...], taken: dict[str, int]) -> Channel:
    name = route.name or functions[0].__name__
    taken[name] = taken.get(name, 0) + 1
    endpoint = route.endpoint
    dependants = list(_flat(getattr(route, "dependant", None)))
    parameters = {(each.place, each.name): each for dependant in dependants for each in _parameters(dependant)}
    for parameter in _in_path(path):
        parameters.setdefault(("path", parameter.name), parameter)
    schemes = {each.scheme_name: each for each in _calls(dependants) if hasattr(each, "scheme_name")}
    return Channel(
        id=re.sub(r"[^\w.-]", "-", name) + (f"-{taken[name]}" if taken[name] > 1 else ""),
        address=_CONVERTED.sub(r"{\1}", path),
        function=functions[0],
        description=(inspect.getdoc(endpoint) or "").partition("\f")[0].strip(),
        parameters=tuple(parameters.values()),
        schemes=tuple(schemes.values()),
        speech=speech_of(endpoint, functions),
    )


def _flat(dependant: Any) -> Iterator[Any]:
    """Iterate over what FastAPI knows of an endpoint, and of everything that it depends on."""
    if dependant is not None:
        yield dependant
        for inner in dependant.dependencies:
            yield from _flat(inner)


def _calls(dependants: list[Any]) -> Iterator[Any]:
    return (dependant.call for dependant in dependants)


def _parameters(dependant: Any) -> Iterator[Parameter]:
    for place in _PLACES:
        for field in getattr(dependant, f"{place}_params"):
            yield from _fields(place, field.alias, field.field_info)


def _fields(place: Place, name: str, info: FieldInfo) -> Iterator[Parameter]:
    """Make a parameter of a field, or one of each field of a model: FastAPI reads a model from several parameters."""
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
        for inner, of_model in info.annotation.model_fields.items():
            # FastAPI respells a header's name, and not one that is spelled out.
            respelled = inner.replace("_", "-") if place == "header" else inner
            yield from _fields(place, of_model.alias or respelled, of_model)
    elif getattr(info, "include_in_schema", True):
        # By its name: pydantic warns of an alias outside of a model.
        unnamed = copy(info)
        unnamed.alias = unnamed.validation_alias = unnamed.serialization_alias = None
        annotation: Any = Annotated[info.annotation, unnamed]
        yield Parameter(name, place, annotation, info.is_required(), (info.description or "").strip())


def _in_path(path: str) -> Iterator[Parameter]:
    """Make the parameters that only the path tells of: those of Starlette's routes, and of mounts."""
    for placeholder in _CONVERTED.finditer(path):
        convertor = placeholder[0].strip("{}").partition(":")[2]
        yield Parameter(placeholder[1], "path", _CONVERTORS.get(convertor, str), required=True)
