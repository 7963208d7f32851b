"""The functions that can hibernate, and how they come to be so.

A function is *adopted* once: its code is replaced by the transformed one, in place, so that routers, decorators,
closures and partials that hold the function need not know. The endpoints are adopted when the handler is made, with the
functions they are known to call; what a route only turns out to call is adopted on its first call.
"""

import inspect
from contextlib import suppress
from types import CellType, CodeType, FunctionType
from typing import Any

from starlette.websockets import WebSocket

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import entry
from gatesocket.hibernation.names import contents, find
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.points import unwrap
from gatesocket.hibernation.source import NoSource, module_of, originals
from gatesocket.hibernation.syntax import RUNTIME
from gatesocket.hibernation.transform import Unit, transform

__all__ = ["adopt", "adopt_called", "is_transformed", "unit_named", "unit_of"]

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
        unit = transform(function)
        _by_code[known] = _by_code[module, code.co_filename, unit.code] = unit
        if unit.points:
            originals[unit.code] = code
            _running[id(unit.code)] = unit
    _by_key[unit.key] = unit
    if unit.points:
        function.__globals__[RUNTIME] = entry
        function.__code__ = unit.code
    _seen[id(function.__code__)] = function.__code__
    return unit


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
    waiting = [] if found else [originals.get(function.__code__, function.__code__)]
    while waiting:
        code = waiting.pop()
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        if code.co_qualname == qualified:
            empty = tuple(CellType() for _ in code.co_freevars)
            found.append(FunctionType(code, function.__globals__, code.co_name, None, empty))
    return found
