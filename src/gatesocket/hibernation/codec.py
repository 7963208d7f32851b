"""Values to typed JSON, and back.

What JSON knows stays as it is; everything else is an object whose key ``$`` names its kind::

    {"seen": {"$": "set", "v": ["a"]}, "at": {"$": "datetime", "v": ["2026-11-23T12:00:00", null, 0]}, "n": 3}

*Identity*: objects that can change are numbered in the order in which they are met, and met again they are written as
``{"$": "ref", "v": number}``. The numbers aren't stored: reading meets the objects in the same order.

*Safety*: a snapshot is data, whoever wrote it. Reading never imports, and never calls what a class defines: no
constructor, no ``__setstate__``, no ``__reduce__`` (only ``__hash__`` and ``__eq__``, if an instance is a key or in a
set). Objects are made bare and get their attributes; only classes that the app has loaded can be named, and of those
only what saving would have accepted. The exception is what an app asks for with `register_saver`.

What the kinds are stands in `kinds` (plain values), `instances` (objects of classes), `functions` and `bound` (the
socket, and whatever else is tied to the run or the process); this module is the machine that they hang in, and `home`
what they refer to.
"""

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from gatesocket.exceptions import SnapshotError
from gatesocket.values import frozen

if TYPE_CHECKING:
    from contextvars import ContextVar, Token
    from types import CellType

    from gatesocket.hibernation.home import Home

__all__ = [
    "COMPOUND",
    "NUMBERS",
    "ORDINARY",
    "PLAIN",
    "Decoder",
    "Encoder",
    "Kind",
    "Unsaveable",
    "kind_of",
    "register",
    "unreadable",
]


class Unsaveable(Exception):
    """A value can't be saved."""

    def __init__(self, value: object, why: str, remedy: str = "") -> None:
        super().__init__(value, why)
        self.value = value
        self.why = why
        self.remedy = remedy
        """What to do about it, if there is something better than the usual advice."""
        self.path = ""
        """Where in the local variable the value is: ``.users['ann']``."""


@frozen
class Kind:
    """How values of some classes are written and read."""

    name: str
    save: Callable[[Any, "Encoder"], Any]
    """Turn a value into JSON; may raise `Unsaveable`."""
    make: Callable[[Any, "Decoder"], Any]
    """Make the value of what `save` wrote, or an empty one for `fill`."""
    fill: Callable[[Any, Any, "Decoder"], None] | None = None
    """Put the contents in; after *make*, so that an object can contain itself."""
    shared: bool = False
    """Whether it matters that two references are to the same object."""


PLAIN = frozenset({bool, str, type(None)})
"""Classes whose values JSON knows."""
NUMBERS = frozenset({float, int})
"""Classes whose values JSON knows between `-ORDINARY` and `ORDINARY`."""
ORDINARY = 1e300
"""A number that Python and JSON agree on: no infinity, no NaN, not more digits than Python reads."""
COMPOUND = frozenset({dict, list})
"""Classes of the JSON whose values have to be decoded: all others are as they were."""
_LONGEST_INT = 8192
"""Bits of an int that is written in decimal: Python refuses to read one of more than 4300 digits."""

_BY_NAME: dict[str, Kind] = {}
_BY_TYPE: dict[type, Kind] = {}
_BY_LOOK: list[tuple[Callable[[Any], bool], Kind]] = []


def register(kind: Kind, *types: type, look: Callable[[Any], bool] | None = None) -> Kind:
    """Add a kind for exactly the classes *types*, or for the values that *look* picks out."""
    _BY_NAME[kind.name] = kind
    for cls in types:
        _BY_TYPE[cls] = kind
    if look is not None:
        _BY_LOOK.append((look, kind))
    return kind


def kind_of(value: object) -> Kind:
    """Find the kind of *value*; raises `Unsaveable` if there is none."""
    kind = _BY_TYPE.get(type(value))
    if kind is not None:
        return kind
    for look, kind in _BY_LOOK:
        if look(value):
            return kind
    raise Unsaveable(value, "no way is known to save it")


class Encoder:
    """Writes the values of one snapshot."""

    def __init__(self, home: "Home") -> None:
        self.home = home
        """What the process has of its own accord, and what belongs to the run."""
        self.cells: dict[int, tuple[int, str]] = {}
        """The variables of the frames that functions share, by the identity of their cells."""
        self.shared: set[tuple[int, str]] = set()
        """Those that a function was found to use."""
        self.resources: dict[int, Any] = {}
        """What dependencies with ``yield`` gave, by identity."""
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # an object that goes away would give its id to another
        self._open: set[int] = set()

    def whole(self, value: Any) -> Any:
        """Return the JSON for all that a variable holds; raises `Unsaveable`."""
        try:
            return self.encode(value)
        except RecursionError:
            raise Unsaveable(value, "it is nested too deeply", "Keep it in a flatter form") from None

    def encode(self, value: Any) -> Any:
        """Return the JSON for *value*; raises `Unsaveable`."""
        cls = type(value)
        if cls in PLAIN or (cls is int and value.bit_length() <= _LONGEST_INT):
            return value
        if cls is float:
            return value if math.isfinite(value) else {"$": "float", "v": repr(value)}
        number = self._numbers.get(id(value))
        if number is not None:
            return {"$": "ref", "v": number}
        name = self.home.name_of(value)
        if name is not None:
            return {"$": "name", "v": name}
        if id(value) in self.resources:
            raise Unsaveable(
                value, "it comes from a dependency with `yield`, which is closed when the route hibernates"
            )
        if cls is list:
            self.number(value)
            return [self.at(f"[{index}]", item) for index, item in enumerate(value)]
        if cls is dict:
            if self.home.is_scope(value):
                return {"$": "scope", "v": None}
            if "$" not in value and all(type(key) is str for key in value):
                self.number(value)
                return {key: self.at(f"[{key!r}]", item) for key, item in value.items()}
        kind = kind_of(value)
        if kind.shared:
            self.number(value)
            return {"$": kind.name, "v": kind.save(value, self)}
        if id(value) in self._open:
            raise Unsaveable(value, "it contains itself")
        self._open.add(id(value))
        try:
            return {"$": kind.name, "v": kind.save(value, self)}
        finally:
            self._open.discard(id(value))

    def number(self, value: object) -> None:
        """Give *value* the next number, which a reader gives it as well."""
        self._numbers[id(value)] = len(self._kept)
        self._kept.append(value)

    def number_of(self, value: object) -> int | None:
        """The number that *value* was given; None if it wasn't met yet."""
        return self._numbers.get(id(value))

    @property
    def mark(self) -> int:
        """How far we are, for `forget`."""
        return len(self._kept)

    def forget(self, mark: int) -> None:
        """Take back what was numbered since *mark*: its JSON isn't used."""
        for value in self._kept[mark:]:
            del self._numbers[id(value)]
        del self._kept[mark:]

    def at(self, step: str, value: Any) -> Any:
        """Encode a part of a value; *step* says which part, for the error message."""
        try:
            return self.encode(value)
        except Unsaveable as error:
            error.path = step + error.path
            raise


_PENDING = object()


class Decoder:
    """Reads the values of one snapshot, in the order in which they were written.

    Wrong data may raise anything: who reads makes a `SnapshotError` of it, by `unreadable`.
    """

    def __init__(self, home: "Home") -> None:
        self.home = home
        self.frames: list[Mapping[str, CellType]] = []
        """The variables that functions share, of the frames that are awake already."""
        self.tokens: dict[ContextVar[Any], Token[Any]] = {}
        """What setting the context variables again gave."""
        self.unfilled: dict[int, list[CellType]] = {}
        """The variables of functions that are made but not filled yet, by the identity of the function."""
        self.offered: Any = None
        """What the framework has made anew in the place of the value that is read next."""
        self._objects: list[Any] = []

    def decode(self, data: Any) -> Any:
        """Return the value that `Encoder.encode` wrote as *data*."""
        if isinstance(data, list):
            items: list[Any] = []
            self._objects.append(items)
            items.extend(map(self.decode, data))
            return items
        if not isinstance(data, dict):
            return data
        if "$" not in data:
            members: dict[str, Any] = {}
            self._objects.append(members)
            for key, value in data.items():
                members[key] = self.decode(value)
            return members
        name, content = data["$"], data["v"]
        if name == "ref":
            return self.referred(content)
        if name == "name":
            return self.home.named(content)
        if name == "float":
            return float(content)
        kind = _BY_NAME.get(name)
        if kind is None:
            raise SnapshotError(f"the snapshot is damaged: {name!r} is no kind of value")
        if not kind.shared:
            return kind.make(content, self)
        number = len(self._objects)
        self._objects.append(_PENDING)
        made = self._objects[number] = kind.make(content, self)
        if kind.fill is not None:
            kind.fill(made, content, self)
        return made

    def number(self, value: object) -> None:
        """Give *value* the next number, as `Encoder.number` did."""
        self._objects.append(value)

    def referred(self, number: Any) -> Any:
        """Return the object that was given *number*."""
        if type(number) is not int or not 0 <= number < len(self._objects) or self._objects[number] is _PENDING:
            raise SnapshotError(f"the snapshot is damaged: there is no object {number!r} to refer to")
        return self._objects[number]

    def take_offer(self, cls: type) -> Any:
        """Take what was offered for the value being read, if it is a *cls*; None otherwise."""
        offered, self.offered = self.offered, None
        return offered if isinstance(offered, cls) else None

    def take_scope(self) -> MutableMapping[str, Any]:
        """The scope of the new run, or the copy that was made of it again."""
        offered: MutableMapping[str, Any] | None = self.take_offer(dict)
        return self.home.scope if offered is None else offered

    def pairs(self, data: Any) -> Iterator[tuple[Any, Any]]:
        """Decode a list of pairs."""
        for key, value in data:
            yield self.decode(key), self.decode(value)


def unreadable(what: str, error: Exception) -> SnapshotError:
    """Whatever goes wrong while a value is read is the snapshot's fault: say that *what* can't be read."""
    return SnapshotError(f"the snapshot is damaged: {what} can't be read ({error})")


def attributes(encoder: Encoder, members: Mapping[str, Any]) -> dict[str, Any]:
    """Encode the attributes of an object."""
    return {name: encoder.at(f".{name}", value) for name, value in members.items()}
