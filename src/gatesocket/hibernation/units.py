"""The functions that can hibernate, and how they come to be so.

A function is *adopted* once: its code is replaced by the transformed one, in place, so that routers, decorators,
closures and partials that hold the function need not know. The endpoints are adopted when the handler is made, with the
functions they are known to call; what a route only turns out to call is adopted on its first call.
"""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import cache, entry
from gatesocket.hibernation.codes import NoSource, module_of, original, originals
from gatesocket.hibernation.meanings import Meanings, unwrap
from gatesocket.hibernation.names import contents, find
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.values import frozen

if TYPE_CHECKING:
    from gatesocket.hibernation.source import FunctionNode

__all__ = [
    "Live",
    "Point",
    "Refusal",
    "Unit",
    "adopt",
    "adopt_called",
    "adopted",
    "is_transformed",
    "kept",
    "unit_named",
    "unit_of",
]


@frozen
class Live:
    """The locals that are needed to go on from a point."""

    after: frozenset[str]
    """If what is awaited there goes on by itself."""
    again: frozenset[str]
    """If the call has to be made again, with the same operands."""


@frozen
class Point:
    """A place where a function can be left and continued."""

    number: int
    position: tuple[int, int, int, int]
    """Line, last line, column and last column of the await: what `CodeType.co_positions` says of its instructions."""
    awaited: str
    """The source of what is awaited."""
    live: Live

    @property
    def line(self) -> int:
        """The line in the user's file."""
        return self.position[0]


@frozen
class Refusal:
    """A construct that a route can't be continued in."""

    line: int
    what: str
    remedy: str


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """A function that can hibernate."""

    key: str
    """Module, qualified name, and a hash of its source and of its points: what a snapshot knows the function by."""
    original: CodeType
    """The code that the function ran before anything was changed."""
    code: CodeType
    """What runs instead; the same as `original` if there is no point in it."""
    points: Mapping[int, Point]
    entered: Mapping[int, str]
    """The local that each ``with`` with a point in it gives its value to."""
    calls: tuple[str, ...]
    """The functions that it is known to call, and that may wait for the client: paths, as `Meanings.function` takes
    them."""
    refusals: tuple[Refusal, ...]
    maybes: tuple[Refusal, ...]
    facts: cache.Facts
    """What was asked about names to find all of this out, with the answers."""

    @property
    def module(self) -> str:
        """The module that the function's globals are of."""
        return self.key.partition(":")[0]

    @property
    def name(self) -> str:
        """The function's qualified name."""
        return self.original.co_qualname

    @property
    def file(self) -> str:
        """The file of its source."""
        return self.original.co_filename

    @property
    def node(self) -> "FunctionNode":
        """Its ``def``, which is looked up when there is something to report.

        Raises:
            NoSource: its source can't be had any more.
        """
        from gatesocket.hibernation.source import locate_code  # noqa: PLC0415 (a cold start does without)

        return locate_code(self.original, self.module).node

    @property
    def assigned(self) -> Mapping[str, tuple[int, ...]]:
        """The lines where each local is set; empty if its source can't be had any more."""
        from gatesocket.hibernation.bindings import assignments  # noqa: PLC0415 (as above)

        with suppress(NoSource):
            return assignments(self.node)
        return {}


_by_code: dict[tuple[str, str, CodeType], Unit] = {}
"""By module, file and code, before and after: codes of different files are equal if they read the same."""
_by_key: dict[str, Unit] = {}
_running: dict[int, Unit] = {}
"""By the identity of the transformed code."""
_seen: dict[int, CodeType] = {}
"""Codes that need no second look, by identity: hashing a code object takes longer than a call."""


def adopt(function: FunctionType) -> Unit:
    """Make *function* able to hibernate, in place; a function that never waits for the client stays as it is.

    Raises:
        NoSource: its source can't be had.
    """
    code = function.__code__
    module = module_of(function)
    known = (module, code.co_filename, code)
    unit = _by_code.get(known)
    if unit is None:
        unit = _from_cache(function) or _transformed(function)
        _by_code[known] = _by_code[module, code.co_filename, unit.code] = unit
        if unit.points:
            originals[unit.code] = unit.original
            _running[id(unit.code)] = unit
    _by_key[unit.key] = unit
    if unit.points:
        function.__globals__[entry.RUNTIME] = entry
        function.__code__ = unit.code
    _seen[id(function.__code__)] = function.__code__
    return unit


def _transformed(function: FunctionType) -> Unit:
    from gatesocket.hibernation.transform import transform  # noqa: PLC0415 (only if nothing is kept of it)

    return transform(function)


def adopted() -> Iterable[Unit]:
    """Iterate over the units of this process."""
    return dict.fromkeys(_by_code.values())


def kept(unit: Unit) -> tuple[Any, ...]:
    """Write what `cache.Entry.unit` holds of a unit in which nothing is refused."""
    return (
        unit.key.partition("#")[2],
        cache.moved(unit.code, "") if unit.points else None,
        tuple(
            (point.number, point.position, point.awaited, *map(_written, (point.live.after, point.live.again)))
            for point in unit.points.values()
        ),
        tuple(unit.entered.items()),
        unit.calls,
        tuple((refusal.line, refusal.what, refusal.remedy) for refusal in unit.maybes),
        unit.facts,
    )


def _written(names: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _from_cache(function: FunctionType) -> Unit | None:
    """Make the unit of *function* of what is kept of it; None if nothing is, or if it isn't true here."""
    module, own = module_of(function), original(function.__code__)
    found = cache.find(module, own)
    if found is None or found.unit is None:
        return None
    digest, code, points, entered, calls, maybes, facts = found.unit
    if not cache.holds(own, Meanings.of(function).untrue(facts)):
        return None
    return Unit(
        f"{module}:{own.co_qualname}#{digest}",
        own,
        cache.moved(code, own.co_filename) if points else own,
        {
            number: Point(number, position, awaited, Live(frozenset(after), frozenset(again)))
            for number, position, awaited, after, again in points
        },
        dict(entered),
        calls,
        (),
        tuple(Refusal(*maybe) for maybe in maybes),
        facts,
    )


def adopt_called(called: Any, arguments: tuple[Any, ...]) -> None:
    """Adopt what is about to be called from a route, if it may lead to a receive."""
    function = unwrap(called)
    if function is None or id(function.__code__) in _seen:
        return
    if not function.__code__.co_flags & inspect.CO_COROUTINE:
        return
    place = origin(function.__code__.co_filename)
    passed = any(isinstance(argument, WebSocket) for argument in arguments)
    if place is Origin.OWN or (place is Origin.LIBRARY and passed):
        try:
            adopt(function)
        except NoSource:
            # It is refused if it turns out to lead to a receive, which most don't.
            _seen[id(function.__code__)] = function.__code__


def is_transformed(code: CodeType) -> bool:
    """Whether *code* is a transformed function's."""
    return id(code) in _running


def unit_of(code: CodeType) -> Unit:
    """The unit whose transformed code *code* is."""
    return _running[id(code)]


def unit_named(key: str) -> Unit:
    """Find the unit that a snapshot names.

    Raises:
        SnapshotError: there is no such function any more, or it reads differently now.
    """
    if key not in _by_key:
        name, _, _digest = key.partition("#")
        module, _, qualified = name.partition(":")
        root = qualified.partition(".<locals>")[0]
        try:
            found = unwrap(find(f"{module}:{root}"))
        except LookupError:
            found = None
        for candidate in _within(found, qualified) if found else ():
            with suppress(NoSource):
                adopt(candidate)
    if key not in _by_key:
        raise SnapshotError(f"{key.partition('#')[0]} has changed since the route hibernated")
    return _by_key[key]


def _within(function: FunctionType, qualified: str) -> list[FunctionType]:
    """The functions called *qualified*: *function* itself, under its decorators, or defined in it."""
    decorated = [function]
    for each in decorated:
        inner = [content for _, content in contents(each) if isinstance(content, FunctionType)]
        decorated += [content for content in inner if content not in decorated]
    found = [each for each in decorated if each.__code__.co_qualname == qualified]
    waiting = [] if found else [original(function.__code__)]
    while waiting:
        code = waiting.pop()
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_qualname == qualified:
            empty = tuple(CellType() for _ in code.co_freevars)
            found.append(FunctionType(code, function.__globals__, code.co_name, None, empty))
    return found
