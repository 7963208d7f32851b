"""The kinds of functions: closures, methods, partials.

A function is a code object and cells. The code object is looked up in what the app has loaded; the cells are written,
and a variable that two functions share stays one variable.
"""

import functools
import inspect
import sys
import types
import zlib
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import Decoder, Encoder, Kind, Unsaveable, register
from gatesocket.hibernation.codes import module_of, nested_codes, original
from gatesocket.hibernation.home import Home
from gatesocket.hibernation.names import find, is_own
from gatesocket.hibernation.origin import Origin, origin

__all__ = ["fill_cells", "make_cells", "named_function", "save_cells"]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for nested in nested_codes(code):
        yield from _codes(nested)


def _save_function(value: FunctionType, encoder: Encoder) -> Any:
    file = value.__code__.co_filename
    if origin(file) is Origin.FRAMEWORK:
        if "send" in value.__name__:
            return "send"
        if "receive" in value.__name__:
            return "receive"
        raise Unsaveable(value, "it belongs to the framework")
    code = original(value.__code__)
    root = code.co_qualname.partition(".<locals>")[0]
    reference = (f"{module_of(value)}:{root}", code.co_qualname, _checksum(code))
    if _code_at(*reference) != code:
        raise Unsaveable(value, "the function around it isn't found by its name")
    return [
        [*reference, value.__name__, value.__qualname__],
        *save_cells(code.co_freevars, value.__closure__ or (), encoder),
        encoder.at(".__defaults__", value.__defaults__),
        encoder.at(".__kwdefaults__", value.__kwdefaults__),
    ]


def save_cells(names: Iterable[str], cells: Iterable[CellType], encoder: Encoder) -> tuple[list[Any], list[Any]]:
    """Write the variables of a function: which they are, then what the new ones hold.

    All of them are numbered before any content is written, because a function may be in a variable of its own.
    """
    places: list[Any] = []
    new: list[tuple[str, CellType]] = []
    for name, cell in zip(names, cells, strict=True):
        place = encoder.cells.get(id(cell))
        if place is not None:
            encoder.shared.add(place)
            places.append(list(place))
        elif (number := encoder.number_of(cell)) is not None:
            places.append(number)
        else:
            encoder.number(cell)
            places.append(None)
            new.append((name, cell))
    contents: list[list[Any]] = []
    for name, cell in new:
        try:
            content = cell.cell_contents
        except ValueError:  # a variable that isn't set
            contents.append([])
        else:
            contents.append([encoder.at(f" (its variable {name!r})", content)])
    return places, contents


def named_function(home: Home, code: CodeType, closure: tuple[CellType, ...]) -> str | None:
    """The name of the function that has just this code and these variables: one that a decorator has made."""
    for name, function in home.index.functions().values():
        if function.__code__ is code and function.__closure__ == closure:
            return name
    return None


def make_cells(places: list[Any], decoder: Decoder) -> tuple[tuple[CellType, ...], list[CellType]]:
    """Make the variables of a function; return them all, and those still to be filled."""
    cells: list[Any] = []
    new: list[CellType] = []
    for place in places:
        if place is None:
            cell = CellType()
            decoder.number(cell)
            new.append(cell)
        elif isinstance(place, list):
            frame, name = place
            cell = decoder.frames[frame][name]
        else:
            cell = decoder.referred(place)
        if not isinstance(cell, CellType):
            raise SnapshotError(f"the snapshot is damaged: {place!r} is no variable")
        cells.append(cell)
    return tuple(cells), new


def fill_cells(cells: Iterable[CellType], contents: Iterable[Any], decoder: Decoder) -> None:
    """Put what was written into the new variables."""
    for cell, content in zip(cells, contents, strict=True):
        for value in content:
            cell.cell_contents = decoder.decode(value)


def _checksum(code: CodeType) -> int:
    return zlib.crc32(code.co_code)


def _code_at(root: str, qualified: str, checksum: int) -> CodeType | None:
    try:
        found = find(root)
    except LookupError:
        return None
    if not isinstance(found, FunctionType) or not is_own(root.partition(":")[0]):
        return None
    for code in _codes(original(found.__code__)):
        if code.co_qualname == qualified and _checksum(code) == checksum:
            return code
    return None


def _make_function(data: Any, decoder: Decoder) -> Any:
    if data == "send":
        return decoder.home.send
    if data == "receive":
        return decoder.home.receive
    (root, qualified, checksum, name, qualified_name), places, *_rest = data
    code = _code_at(root, qualified, checksum)
    if code is None:
        raise SnapshotError(f"the function {qualified_name!r} has changed since the route hibernated")
    cells, new = make_cells(places, decoder)
    made = FunctionType(code, vars(sys.modules[root.partition(":")[0]]), name, None, cells)
    made.__qualname__ = qualified_name
    decoder.unfilled[id(made)] = new
    return made


def _fill_function(value: Any, data: Any, decoder: Decoder) -> None:
    if isinstance(data, str):
        return
    _reference, _places, contents, defaults, keyword_defaults = data
    fill_cells(decoder.unfilled.pop(id(value)), contents, decoder)
    value.__defaults__ = decoder.decode(defaults)
    value.__kwdefaults__ = decoder.decode(keyword_defaults)


register(Kind("function", _save_function, _make_function, _fill_function, shared=True), FunctionType)


def _save_method(value: MethodType, encoder: Encoder) -> Any:
    owner, name = value.__self__, value.__func__.__name__
    if encoder.home.receive == value:
        return "receive"
    if encoder.home.send == value:
        return "send"
    if _method(owner, name) is not value.__func__:
        raise Unsaveable(value, f"{type(owner).__qualname__} has no such method")
    return [encoder.at(".__self__", owner), name]


def _method(owner: object, name: str) -> Any:
    found = inspect.getattr_static(owner if isinstance(owner, type) else type(owner), name, None)
    return found.__func__ if isinstance(found, classmethod) else found


def _make_method(data: Any, decoder: Decoder) -> Any:
    if data == "receive":
        return decoder.home.receive
    if data == "send":
        return decoder.home.send
    owner = decoder.decode(data[0])
    function = _method(owner, data[1])
    if not isinstance(function, FunctionType):
        raise SnapshotError(f"the snapshot is damaged: {data[1]!r} is no method of {type(owner).__qualname__}")
    return MethodType(function, owner)


register(Kind("method", _save_method, _make_method), MethodType)

_CONTAINERS = (list, dict, set, bytearray)


def _save_builtin(value: types.BuiltinMethodType, encoder: Encoder) -> Any:
    if type(value.__self__) not in _CONTAINERS:
        raise Unsaveable(value, "it is a built-in function", "Call it by its name instead of keeping it in a variable")
    return [encoder.at(".__self__", value.__self__), value.__name__]


def _make_builtin(data: Any, decoder: Decoder) -> Any:
    owner = decoder.decode(data[0])
    if type(owner) not in _CONTAINERS:
        raise SnapshotError(f"the snapshot is damaged: {data[1]!r} belongs to no container")
    return getattr(owner, data[1])


register(Kind("built-in", _save_builtin, _make_builtin), types.BuiltinMethodType)
register(
    Kind(
        "partial",
        lambda value, encoder: [
            encoder.at(".func", value.func),
            encoder.at(".args", value.args),
            encoder.at(".keywords", value.keywords),
        ],
        lambda data, decoder: _make_partial(*map(decoder.decode, data)),
    ),
    functools.partial,
)


def _make_partial(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    return functools.partial(function, *arguments, **keywords)
