"""The form of a message, without any I/O: its type, its id, its data, and what is wrong with one that has another form.

::

    {"type": "say", "id": "7", "data": {"text": "hello"}}                          from a client
    {"type": "said", "id": "7", "data": {"text": "hello", "number": 1}}            what answers it
    {"type": "error", "id": "8", "data": {"code": "invalid", "detail": "…", "errors": […]}}

A pydantic model stands for the data of one type; its name, or its class variable ``type``, says which.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Final, Generic, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import from_json

from gatesocket.encoding import encode

__all__ = [
    "Ack",
    "BadMessage",
    "Envelope",
    "Error",
    "ErrorDetail",
    "Kinds",
    "envelope",
    "kinds_in",
    "kinds_of",
    "type_name",
]

M = TypeVar("M", bound=BaseModel)

LONGEST_NAME: Final = 64
"""Characters of an id or a type; either comes back to the client, and is kept while the route waits."""

ERRORS_SHOWN: Final = 20
"""Entries of `Error.errors`: whoever sends a list of a thousand wrong items learns enough from these."""

ERRORS_TOLD: Final = 3
"""Entries of `Error.errors` that its detail puts into words."""

LONGEST_TEXT: Final = 200
"""Characters of what a client wrote that come back in one place of an error."""


class Ack(BaseModel):
    """Tells a client which asked for it (``"ack": true``) that its message has been handled."""


class ErrorDetail(BaseModel):
    """One thing that is wrong with a message, as pydantic names it; what the client sent isn't repeated."""

    type: str
    loc: list[str | int]
    msg: str


class Error(BaseModel):
    """Tells a client what is wrong with its message. A route may reply with codes of its own."""

    code: str
    """``malformed``: no JSON, or no envelope. ``unknown-type``: not one of those the route takes. ``invalid``: its data
    don't fit its type."""
    detail: str
    """What is wrong, in words for a person."""
    errors: list[ErrorDetail] = []


_Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME)]


class Envelope(BaseModel, Generic[M]):
    """The form of every message; ``Envelope[Say]`` is that of one type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: _Name
    id: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)] | None = None
    """Chosen by the client; what answers its message repeats it."""
    ack: bool = False
    """Whether the client wants an `Ack` when the message has been handled."""
    data: M = Field(default_factory=dict, validate_default=True)
    """May be left out if no field of it is required."""

    @model_validator(mode="after")
    def _ack_needs_id(self) -> Self:
        if self.ack and self.id is None:
            raise ValueError("an acknowledgement can only be asked for a message with an id")
        return self


class _Anything(BaseModel):
    """Data that are looked at when their type is known."""


def type_name(kind: type[BaseModel]) -> str:
    """Return the type that messages of *kind* have on the wire.

    It is the class variable ``type`` (``type: ClassVar[str] = "say"``), or else the name of the class in kebab case:
    ``TellUser`` is ``tell-user``.

    Raises:
        TypeError: *kind* is no pydantic model, has a field ``type``, or has a name that is too long.
    """
    if not _is_model(kind):
        raise TypeError(f"expected pydantic models, as in messages(websocket, Join | Say), but got {kind!r}")
    if "type" in kind.model_fields:
        raise TypeError(
            f"{kind.__name__}.type is a field, but a message's type stands beside its data. Leave it out, or write "
            f"`type: ClassVar[str] = …` if it isn't to be {_kebab(kind.__name__)!r}"
        )
    name = getattr(kind, "type", None)
    if name is None:
        name = _kebab(kind.__name__)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise TypeError(f"{kind.__name__}.type has to be a text of 1 to {LONGEST_NAME} characters, but is {name!r}")
    return name


def _is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def envelope(data: BaseModel, *, id: str | None = None) -> str:  # noqa: A002 - its name on the wire
    """Put a message into its envelope: the text to broadcast, or to send to another connection.

    Args:
        data: the message.
        id: of the message that it answers; None for what nobody has asked for.

    Raises:
        MessageTooLarge: it is over 128 KB.
        TypeError: its class can't be a message's; see `type_name`.
        ValueError: it holds what JSON can't say.
    """
    wrapped: dict[str, Any] = {"type": type_name(type(data))}
    if id is not None:
        wrapped["id"] = id
    return encode({**wrapped, "data": data.model_dump(mode="json")})


class BadMessage(ValueError):
    """A text that isn't one of the expected messages."""

    def __init__(self, error: Error, answers: str | None) -> None:
        super().__init__(error.detail)
        self.error = error
        self.answers = answers
        """The id of the message, as far as it has one."""


class Kinds(Generic[M]):
    """The models that a route takes, by their types: reads texts, and nothing else."""

    def __init__(self, *kinds: type[M]) -> None:
        self.by_type: dict[str, type[M]] = {}
        for kind in kinds:
            other = self.by_type.setdefault(type_name(kind), kind)
            if other is not kind:
                raise TypeError(f"{other.__qualname__} and {kind.__qualname__} are both {type_name(kind)!r}")

    def read(self, text: str) -> Envelope[M]:
        """Return the message that *text* is.

        Raises:
            BadMessage: it is none of them; the error says why.
        """
        try:
            kind = self.by_type.get(name := Envelope[_Anything].model_validate_json(text).type)
        except ValidationError as error:
            raise BadMessage(_error("malformed", error), _id_in(text)) from None
        if kind is None:
            expected = ", ".join(sorted(self.by_type))
            raise BadMessage(Error(code="unknown-type", detail=f"no type {name!r}; there are {expected}"), _id_in(text))
        try:
            return Envelope[kind].model_validate_json(text)  # type: ignore[valid-type]
        except ValidationError as error:
            raise BadMessage(_error("invalid", error), _id_in(text)) from None


def kinds_in(form: Any) -> Iterator[Any]:
    """Iterate over the models in ``Join | Say``, in one model, or in an alias of either.

    What is no model is among them: `type_name` refuses it.
    """
    if hasattr(form, "__value__"):  # type Command = Join | Say
        yield from kinds_in(form.__value__)
    elif get_origin(form) is Annotated:
        yield from kinds_in(get_args(form)[0])
    elif isinstance(form, UnionType) or get_origin(form) is Union:
        for part in get_args(form):
            yield from kinds_in(part)
    else:
        yield form


@lru_cache(maxsize=256)
def kinds_of(*kinds: type[M]) -> Kinds[M]:
    """Return the `Kinds` of some models, made once."""
    return Kinds(*kinds)


def _id_in(text: str) -> str | None:
    """The id of a message that can't be understood, if there is one to answer to."""
    try:
        value = from_json(text)
    except ValueError:
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= LONGEST_NAME else None


def _error(code: str, error: ValidationError) -> Error:
    found = [
        ErrorDetail(
            type=each["type"],
            # A part may be a key that the client has made up.
            loc=[part if isinstance(part, int) else part[:LONGEST_NAME] for part in each["loc"]],
            msg=each["msg"][:LONGEST_TEXT],
        )
        for each in error.errors(include_url=False, include_context=False, include_input=False)[:ERRORS_SHOWN]
    ]
    return Error(code=code, detail="; ".join(map(_in_words, found[:ERRORS_TOLD])), errors=found)


def _in_words(problem: ErrorDetail) -> str:
    where = ".".join(map(str, problem.loc))
    return f"{where}: {problem.msg}" if where else problem.msg
