"""The kinds of plain values: numbers, texts, times, containers and iterators of the standard library."""

import base64
import collections
import datetime as dt
import decimal
import fractions
import ipaddress
import itertools
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import Decoder, Encoder, Kind, Unsaveable, register

__all__: list[str] = []


def _text(name: str, cls: type, write: Callable[[Any], str], read: Callable[[str], Any]) -> None:
    """Register a class whose values are written as one text."""

    def make(data: Any, _decoder: Decoder) -> Any:
        if type(data) is not str:
            raise SnapshotError(f"the snapshot is damaged: a {name} is not written as {data!r}")
        return read(data)

    register(Kind(name, lambda value, _encoder: write(value), make), cls)


def _base64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode("ascii")


def _zone_key(value: zoneinfo.ZoneInfo) -> str:
    if value.key is None:
        raise Unsaveable(value, "it was read from a file and has no key")
    return value.key


_text("bytes", bytes, _base64, base64.b64decode)
_text("complex", complex, repr, complex)
_text("date", dt.date, dt.date.isoformat, dt.date.fromisoformat)
_text("decimal", decimal.Decimal, str, decimal.Decimal)
_text("fraction", fractions.Fraction, str, fractions.Fraction)
_text("int", int, hex, lambda text: int(text, 16))
_text("ip4", ipaddress.IPv4Address, str, ipaddress.IPv4Address)
_text("ip6", ipaddress.IPv6Address, str, ipaddress.IPv6Address)
_text("uuid", uuid.UUID, lambda value: value.hex, uuid.UUID)
_text("zone", zoneinfo.ZoneInfo, _zone_key, zoneinfo.ZoneInfo)
for _path in (pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath):
    _text(_path.__name__, _path, str, _path)

register(
    Kind("bytearray", lambda value, _: _base64(value), lambda data, _: bytearray(base64.b64decode(data)), shared=True),
    bytearray,
)


def _save_datetime(value: dt.datetime, encoder: Encoder) -> Any:
    return [value.replace(tzinfo=None).isoformat(), encoder.encode(value.tzinfo), value.fold]


def _make_datetime(data: Any, decoder: Decoder) -> dt.datetime:
    text, zone, fold = data
    return dt.datetime.fromisoformat(text).replace(tzinfo=decoder.decode(zone), fold=fold)


def _save_time(value: dt.time, encoder: Encoder) -> Any:
    return [value.replace(tzinfo=None).isoformat(), encoder.encode(value.tzinfo), value.fold]


def _make_time(data: Any, decoder: Decoder) -> dt.time:
    text, zone, fold = data
    return dt.time.fromisoformat(text).replace(tzinfo=decoder.decode(zone), fold=fold)


def _save_delta(value: dt.timedelta, _encoder: Encoder) -> Any:
    return [value.days, value.seconds, value.microseconds]


def _save_timezone(value: dt.timezone, _encoder: Encoder) -> Any:
    days_seconds_micros = _save_delta(value.utcoffset(None), _encoder)
    name = value.tzname(None)
    plain = dt.timezone(value.utcoffset(None)).tzname(None)
    return [days_seconds_micros, None if name == plain else name]


def _make_timezone(data: Any, _decoder: Decoder) -> dt.timezone:
    offset, name = data
    delta = dt.timedelta(*offset)
    if name is None:
        return dt.UTC if not delta else dt.timezone(delta)
    return dt.timezone(delta, name)


register(Kind("datetime", _save_datetime, _make_datetime), dt.datetime)
register(Kind("time", _save_time, _make_time), dt.time)
register(Kind("timedelta", _save_delta, lambda data, _: dt.timedelta(*data)), dt.timedelta)
register(Kind("timezone", _save_timezone, _make_timezone), dt.timezone)

# Containers. What can contain itself is filled after it was made.


def _items(value: Iterable[Any], encoder: Encoder) -> list[Any]:
    return [encoder.at(f"[{index}]", item) for index, item in enumerate(value)]


def _members(value: Iterable[Any], encoder: Encoder) -> list[Any]:
    return [encoder.at("{…}", item) for item in value]


def _pairs(value: Any, encoder: Encoder) -> list[Any]:
    return [[encoder.at("{key}", key), encoder.at(f"[{key!r}]", item)] for key, item in value.items()]


def _update(value: Any, data: Any, decoder: Decoder) -> None:
    for key, item in decoder.pairs(data):
        value[key] = item


def _extend(value: Any, data: Any, decoder: Decoder) -> None:
    for item in data:
        value.append(decoder.decode(item))


def _add(value: set[Any], data: Any, decoder: Decoder) -> None:
    for item in data:
        value.add(decoder.decode(item))


register(Kind("tuple", _items, lambda data, decoder: tuple(map(decoder.decode, data))), tuple)
register(Kind("frozenset", _members, lambda data, decoder: frozenset(map(decoder.decode, data))), frozenset)
register(Kind("set", _members, lambda _data, _decoder: set(), _add, shared=True), set)
register(Kind("dict", _pairs, lambda _data, _decoder: {}, _update, shared=True), dict)
register(
    Kind("OrderedDict", _pairs, lambda _data, _decoder: collections.OrderedDict(), _update, shared=True),
    collections.OrderedDict,
)
register(
    Kind("Counter", _pairs, lambda _data, _decoder: collections.Counter(), _update, shared=True), collections.Counter
)
register(
    Kind(
        "defaultdict",
        lambda value, encoder: [encoder.at(".default_factory", value.default_factory), _pairs(value, encoder)],
        lambda data, decoder: collections.defaultdict(decoder.decode(data[0])),
        lambda value, data, decoder: _update(value, data[1], decoder),
        shared=True,
    ),
    collections.defaultdict,
)
register(
    Kind(
        "deque",
        lambda value, encoder: [value.maxlen, _items(value, encoder)],
        lambda data, _decoder: collections.deque(maxlen=data[0]),
        lambda value, data, decoder: _extend(value, data[1], decoder),
        shared=True,
    ),
    collections.deque,
)
register(
    Kind(
        "namespace",
        lambda value, encoder: {name: encoder.at(f".{name}", item) for name, item in vars(value).items()},
        lambda _data, _decoder: types.SimpleNamespace(),
        lambda value, data, decoder: vars(value).update({name: decoder.decode(item) for name, item in data.items()}),
        shared=True,
    ),
    types.SimpleNamespace,
)
register(Kind("range", lambda value, _: [value.start, value.stop, value.step], lambda data, _: range(*data)), range)
register(
    Kind(
        "slice",
        lambda value, encoder: [encoder.encode(part) for part in (value.start, value.stop, value.step)],
        lambda data, decoder: slice(*map(decoder.decode, data)),
    ),
    slice,
)
register(Kind("...", lambda _value, _encoder: None, lambda _data, _decoder: ...), type(...))

_PATTERN_LENGTH = 10_000
"""Characters of a regular expression, so that a planted one can't keep the compiler busy for long."""


def _make_pattern(data: Any, decoder: Decoder) -> re.Pattern[Any]:
    pattern, flags = data
    text = decoder.decode(pattern)
    if len(text) > _PATTERN_LENGTH:
        raise SnapshotError(f"the snapshot is damaged: a regular expression has {len(text)} characters")
    return re.compile(text, flags & ~re.DEBUG)


register(
    Kind("pattern", lambda value, encoder: [encoder.encode(value.pattern), value.flags], _make_pattern), re.Pattern
)

# Iterators: where a `for` is. Each is written as what it runs over, and how far it is.

_OVER_SEQUENCES = {
    "list": type(iter([])),
    "tuple": type(iter(())),
    "str": type(iter("")),
    "str-ascii": type(iter("é")),
    "bytes": type(iter(b"")),
    "range": type(iter(range(0))),
    "range-long": type(iter(range(1 << 70))),
}
_OVER_COPIES: dict[str, type] = {
    "keys": type(iter({})),
    "values": type(iter({}.values())),
    "items": type(iter({}.items())),
    "set": type(iter(set())),
    "deque": type(iter(collections.deque())),
}
_REVERSED: dict[str, type] = {"reversed-list": type(reversed([])), "reversed": type(reversed(()))}
_OF_ITERATORS: dict[Any, slice] = {
    enumerate: slice(1),
    filter: slice(1, None),
    map: slice(1, None),
    zip: slice(None),
}
"""Those that run over others, and where in their arguments these are."""
_ITERATORS = {itertools.count, *_OVER_SEQUENCES.values(), *_OVER_COPIES.values(), *_REVERSED.values(), *_OF_ITERATORS}
_REVERSIBLE = {bytes, list, str, tuple}


def _save_iterator(value: Any, encoder: Encoder) -> Any:
    _made, arguments, *state = value.__reduce__()
    return [[encoder.at("(…)", argument) for argument in arguments], state[0] if state else None]


def _save_copy(value: Any, encoder: Encoder) -> Any:
    # Their own `__reduce__` writes what is still to come as a list; a deque's gives the deque and how far it is.
    _made, (over, *taken), *_state = value.__reduce__()
    return [[encoder.at("(…)", list(over)[sum(taken) :])], None]


def _iterator_kind(name: str, cls: type, make: Callable[..., Iterator[Any]], save: Any = _save_iterator) -> None:
    def read(data: Any, decoder: Decoder) -> Iterator[Any]:
        arguments, state = data
        made = make(*map(decoder.decode, arguments))
        if state is not None:
            made.__setstate__(state)  # type: ignore[attr-defined]
        return made

    register(Kind(f"iter-{name}", save, read, shared=True), cls)


def _over(sequence: Any) -> Iterator[Any]:
    # By the built-in's own method: `iter` would run the `__iter__` of whatever object a planted snapshot names.
    for base in (list, tuple, str, bytes, range):
        if issubclass(type(sequence), base):
            return iter(base.__iter__(sequence))
    raise TypeError(f"no iterator is over a {type(sequence).__name__}")


for _name, _cls in _OVER_SEQUENCES.items():
    _iterator_kind(_name, _cls, _over)
for _name, _cls in _OVER_COPIES.items():
    _iterator_kind(_name, _cls, _over, _save_copy)


def _checked_kind(
    name: str, cls: type, make: Callable[..., Iterator[Any]], over: slice, allowed: AbstractSet[type]
) -> None:
    # Made of anything else, it would run what a class of the app's defines: `__iter__`, `__reversed__`, `__next__`.
    def made(*arguments: Any) -> Iterator[Any]:
        for each in arguments[over]:
            if type(each) not in allowed:
                raise TypeError(f"no {name} is over a {type(each).__name__}")
        return make(*arguments)

    def save(value: Any, encoder: Encoder) -> Any:
        for each in value.__reduce__()[1][over]:
            if type(each) not in allowed:
                why = f"`{name}` over it would run what its class defines when the route wakes"
                raise Unsaveable(each, why, "Make a list of it, and run over that")
        return _save_iterator(value, encoder)

    _iterator_kind(name, cls, made, save)


for _name, _cls in _REVERSED.items():
    _checked_kind(_name, _cls, reversed, slice(None), _REVERSIBLE)
for _cls, _slice in _OF_ITERATORS.items():
    _checked_kind(_cls.__name__, _cls, _cls, _slice, _ITERATORS)


def _save_count(value: "itertools.count[Any]", encoder: Encoder) -> Any:
    # `count` lost its `__reduce__` in Python 3.14, and warns of it from 3.12 on; its repr is its state.
    numbers = repr(value).removeprefix("count(").removesuffix(")").split(", ")
    return [encoder.encode(float(number) if "." in number else int(number)) for number in numbers]


register(Kind("count", _save_count, lambda data, _decoder: itertools.count(*data), shared=True), itertools.count)
