"""The kinds of objects of classes: enums, dataclasses, models, exceptions, and plain objects by their attributes."""

import dataclasses
import enum
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import Decoder, Encoder, Kind, Unsaveable, attributes, register
from gatesocket.hibernation.names import find, name_of
from gatesocket.hibernation.origin import Origin, origin

__all__ = ["register_saver"]

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Saver:
    save: Callable[[Any], Any]
    load: Callable[[Any], Any]


_savers: dict[type, _Saver] = {}


def register_saver(cls: type[T], save: Callable[[T], Any], load: Callable[[Any], T]) -> None:
    """Say how objects of *cls* are kept while a route hibernates.

    Call it at module level, where the class is imported::

        register_saver(httpx.URL, save=str, load=httpx.URL)

    Args:
        cls: the class; subclasses are not meant.
        save: turns an object into values that can be saved.
        load: makes an object of what *save* gave. It is called with data from the registry's table: treat it as such.
    """
    _savers[cls] = _Saver(save, load)


def _class_named(name: Any) -> type:
    found = find(name)
    if not isinstance(found, type):
        raise SnapshotError(f"the snapshot is damaged: {name!r} is no class")
    return found


def _name_of_class(value: object) -> str:
    cls = type(value)
    name = name_of(cls)
    if name is None:
        raise Unsaveable(
            value,
            f"its class {cls.__qualname__} isn't found by that name in module {cls.__module__}",
            "Define the class at the top of its module",
        )
    return name


# What an app has registered a saver for.


def _load_saved(data: Any, decoder: Decoder) -> Any:
    name, state = data
    saver = _savers.get(_class_named(name))
    if saver is None:
        raise SnapshotError(f"the snapshot can't be read: no saver is registered for {name!r}")
    return saver.load(decoder.decode(state))


register(
    Kind(
        "saved",
        lambda value, encoder: [_name_of_class(value), encoder.encode(_savers[type(value)].save(value))],
        _load_saved,
        shared=True,
    ),
    look=lambda value: type(value) in _savers,
)

# Enums, by the name of the member; combinations of flags by value.


def _load_member(data: Any, decoder: Decoder) -> enum.Enum:
    name, member, value = data
    cls = _class_named(name)
    if not issubclass(cls, enum.Enum):
        raise SnapshotError(f"the snapshot is damaged: {name!r} is no enum")
    if member is not None:
        return cls.__members__[member]
    if not issubclass(cls, enum.Flag):
        raise SnapshotError(f"the snapshot is damaged: {name!r} has no combinations")
    return cls(decoder.decode(value))


def _save_member(value: enum.Enum, encoder: Encoder) -> Any:
    named = value.name in type(value).__members__
    return [_name_of_class(value), value.name if named else None, None if named else encoder.encode(value.value)]


register(Kind("enum", _save_member, _load_member), look=lambda value: isinstance(value, enum.Enum))

# Named tuples.


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and any("_fields" in vars(base) for base in cls.__mro__)


def _load_named_tuple(data: Any, decoder: Decoder) -> Any:
    name, items = data
    cls = _class_named(name)
    if not _is_named_tuple(cls):
        raise SnapshotError(f"the snapshot is damaged: {name!r} is no named tuple")
    return tuple.__new__(cls, map(decoder.decode, items))


register(
    Kind(
        "namedtuple",
        lambda value, encoder: [
            _name_of_class(value),
            [encoder.at(f".{field}", item) for field, item in zip(value._fields, value, strict=True)],
        ],
        _load_named_tuple,
    ),
    look=lambda value: _is_named_tuple(type(value)),
)

# Exceptions: their class, arguments, attributes and cause. The traceback stays where it was made.


def _built_in_base(cls: type) -> Any:
    return next(base for base in cls.__mro__ if base.__module__ == "builtins")


def _make_exception(data: Any, decoder: Decoder) -> BaseException:
    name, arguments, *_rest = data
    cls = _class_named(name)
    if not issubclass(cls, BaseException):
        raise SnapshotError(f"the snapshot is damaged: {name!r} is no exception")
    base = _built_in_base(cls)
    values = tuple(decoder.decode(argument) for argument in arguments)
    made: BaseException = base.__new__(cls, *values)
    base.__init__(made, *values)
    return made


def _fill_exception(value: BaseException, data: Any, decoder: Decoder) -> None:
    _name, _arguments, members, cause, suppressed = data
    _set_members(value, members, decoder)
    value.__cause__ = decoder.decode(cause)
    value.__suppress_context__ = bool(suppressed)


register(
    Kind(
        "exception",
        lambda value, encoder: [
            _name_of_class(value),
            [encoder.at(f".args[{index}]", item) for index, item in enumerate(value.args)],
            attributes(encoder, _members_of(value)),
            encoder.at(".__cause__", value.__cause__),
            value.__suppress_context__,
        ],
        _make_exception,
        _fill_exception,
        shared=True,
    ),
    look=lambda value: isinstance(value, BaseException),
)

# Pydantic models, past their validators: the values were valid when they were saved.


def _make_model(data: Any, _decoder: Decoder) -> BaseModel:
    cls = _class_named(data[0])
    if not issubclass(cls, BaseModel):
        raise SnapshotError(f"the snapshot is damaged: {data[0]!r} is no model")
    made: BaseModel = object.__new__(cls)
    return made


def _fill_model(value: BaseModel, data: Any, decoder: Decoder) -> None:
    _name, members, fields_set, extra, private = data
    object.__setattr__(value, "__dict__", decoder.decode(members))
    object.__setattr__(value, "__pydantic_fields_set__", set(fields_set))
    object.__setattr__(value, "__pydantic_extra__", decoder.decode(extra))
    object.__setattr__(value, "__pydantic_private__", decoder.decode(private))


def _save_model(value: BaseModel, encoder: Encoder) -> Any:
    return [
        _name_of_class(value),
        encoder.encode(vars(value)),
        sorted(value.model_fields_set),
        encoder.encode(value.__pydantic_extra__),
        encoder.encode(value.__pydantic_private__),
    ]


register(
    Kind("model", _save_model, _make_model, _fill_model, shared=True), look=lambda value: isinstance(value, BaseModel)
)

# Everything else that is only attributes.

_TELLING = ("__del__", "__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__getnewargs__")


def _why_not_attributes(cls: type) -> str | None:
    """Why objects of *cls* are more than their attributes; None if they aren't."""
    for base in cls.__mro__:
        if base is object:
            continue
        if not base.__flags__ & 1 << 9:  # Py_TPFLAGS_HEAPTYPE: made by a `class` statement
            return f"it is based on the built-in {base.__name__}"
        if base.__module__.partition(".")[0] in sys.stdlib_module_names and base.__module__ not in _HARMLESS:
            return f"{base.__module__}.{base.__qualname__} belongs to the standard library, which keeps more than shows"
        if dataclasses.is_dataclass(base):
            continue
        for name in _TELLING:
            if name in vars(base):
                return f"its class defines {name}"
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file and origin(file) is Origin.FRAMEWORK and not cls.__module__.startswith("starlette.endpoints"):
        return "it belongs to the framework"
    return None


_HARMLESS = frozenset({"abc", "contextlib", "typing"})


def _members_of(value: object) -> dict[str, Any]:
    """The attributes of *value*, those in slots included."""
    members = dict(getattr(value, "__dict__", ()))
    for name in _slots(type(value)):
        if hasattr(value, name):
            members[name] = getattr(value, name)
    return members


def _slots(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            if name not in {"__dict__", "__weakref__"}:
                hidden = name.startswith("__") and not name.endswith("__")
                yield f"_{base.__name__.lstrip('_')}{name}" if hidden else name


def _save_object(value: object, encoder: Encoder) -> Any:
    why = _why_not_attributes(type(value))
    if why is not None:
        raise Unsaveable(value, why)
    return [_name_of_class(value), attributes(encoder, _members_of(value))]


def _make_object(data: Any, decoder: Decoder) -> object:
    cls = _class_named(data[0])
    why = _why_not_attributes(cls)
    if why is not None:
        raise SnapshotError(f"the snapshot is damaged: a {data[0]!r} can't have been saved ({why})")
    return object.__new__(cls)


def _set_members(value: object, members: Mapping[str, Any], decoder: Decoder) -> None:
    slots = set(_slots(type(value)))
    for name, member in members.items():
        if name in slots:
            # The slot's own descriptor; a class attribute of the same name can't be in its way.
            object.__setattr__(value, name, decoder.decode(member))
        else:
            value.__dict__[name] = decoder.decode(member)


register(
    Kind(
        "object",
        _save_object,
        _make_object,
        lambda value, data, decoder: _set_members(value, data[1], decoder),
        shared=True,
    ),
    look=lambda value: not isinstance(value, type) and not inspect.isroutine(value) and not inspect.ismodule(value),
)
