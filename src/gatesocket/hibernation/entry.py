"""What transformed functions call; they reach this module by the global name ``.gatesocket``.

All of it is inert while no run is active: a route under uvicorn or under Starlette's test client goes through
`begin` once, and through one attribute per point that leads to other code.
"""

import builtins
import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextvars import ContextVar
from types import AsyncGeneratorType, CellType, CodeType, TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.websockets import WebSocket

from gatesocket.hibernation.blocks import Block, Hibernate
from gatesocket.hibernation.bound import SocketMessages
from gatesocket.hibernation.timers import SLEEPS, limit

if TYPE_CHECKING:
    from types import FrameType

    from gatesocket.hibernation.runtime import Run

__all__ = [
    "ACTIVE",
    "RUNTIME",
    "Activation",
    "AssertionError",
    "BaseException",
    "Hibernate",
    "StopAsyncIteration",
    "again",
    "aiter",
    "begin",
    "block",
    "iter",
    "limit",
    "set",
    "step",
]

# Transformed code means the built-in ones, whatever the user's module calls by these names.
AssertionError = builtins.AssertionError  # noqa: A001
BaseException = builtins.BaseException  # noqa: A001
StopAsyncIteration = builtins.StopAsyncIteration  # noqa: A001
iter = builtins.iter  # noqa: A001
set = builtins.set  # noqa: A001

RUNTIME: Final = ".gatesocket"
"""The global that transformed code reaches this module by."""

ACTIVE: ContextVar["Run | None"] = ContextVar("gatesocket_hibernation_run", default=None)
"""The run that the current task serves."""


class Activation:
    """One call of a transformed function."""

    __slots__ = ("arguments", "at", "blocks", "cells", "deadlines", "direct", "ends", "left", "run", "saved", "until")

    def __init__(
        self,
        run: "Run",
        arguments: dict[str, Any],
        cells: Mapping[str, CellType],
        *,
        at: int = 0,
        saved: Mapping[str, Any] | None = None,
        direct: bool = False,
    ) -> None:
        self.run = run
        self.arguments = arguments
        """What it was called with."""
        self.cells = cells
        """The variables that it shares with other functions."""
        self.at = at
        """The point to wake at; 0 if it was called by somebody."""
        self.saved = saved or {}
        """The locals to wake with."""
        self.direct = direct
        """Whether the next frame is to be woken in the place of the first call."""
        self.left = False
        """Whether it was saved, and is being left."""
        self.ends = False
        """Whether it is left as if it had returned: its caller is a framework, which expects nothing of it."""
        self.blocks: list[Block] = []
        self.deadlines: dict[int, int | None] = {}
        """When the blocks run out that are still to be entered again, by their numbers: as `Snapshot.deadlines`."""
        self.until: int | None = None
        """When the sleep ends that it wakes in, in milliseconds since the epoch."""

    def call(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        """Call what a point awaits, which may turn out to lead to the receive, or to be a sleep."""
        if any(function is sleep for sleep in SLEEPS):
            until, self.until = self.until, None
            return self.run.sleep(*arguments, until=until, **keywords)
        self.run.expect(function, arguments)
        return function(*arguments, **keywords)

    def next(self) -> Coroutine[Any, Any, Any]:
        """Wake the next frame, in the place of the call that it once came from."""
        self.direct = False
        return self.run.next_frame()

    def takes(self, at: int, name: str) -> bool:
        """Whether *name* gets what entering a ``with`` gave: always, unless it was saved with another value."""
        return not at or name not in self.saved

    def traced(self, name: str, error: BaseException) -> None:
        """Have the traceback of a handler's exception begin where it came from, not where waking has raised it."""
        frame = sys._getframe(1)  # noqa: SLF001 - the handler's
        line: Any = self.saved.get(f"{name}.line")
        starts = [start for start, _end, at in frame.f_code.co_lines() if type(line) is int and at == line]
        if starts:
            error.__traceback__ = TracebackType(None, frame, starts[0], line)


class _Inert:
    """The activation of a function while no run is active."""

    __slots__ = ()
    at = 0
    direct = False
    left = False
    ends = False
    saved: Mapping[str, Any] = {}

    def call(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    def takes(self, _at: int, _name: str) -> bool:
        return True


_INERT = _Inert()


def begin(key: str, shared: Callable[[], Any] | None = None) -> Activation | _Inert:
    """Begin a call of the function *key*; the closure of *shared* holds its shared variables."""
    run = ACTIVE.get()
    if run is None:
        return _INERT
    cells = {} if shared is None else dict(zip(shared.__code__.co_freevars, shared.__closure__ or (), strict=True))
    return run.begin(key, cells)


def block(activation: Activation | _Inert, number: int, manager: Any) -> Any:
    """Wrap the context manager of a ``with`` that has a point in it."""
    return Block(activation, number, manager) if isinstance(activation, Activation) else manager


def step(iterator: AsyncIterator[Any], /) -> Callable[[], Awaitable[Any]]:
    """What makes the next item of an ``async for``."""
    return iterator.__anext__


def again(iterator: Iterator[Any], /) -> Iterator[Any]:
    """Go on with the iterator of a ``for``; its body begins with the item it had, which is among the locals."""
    yield None
    yield from iterator


_ITEMS: dict[CodeType, str] = {
    WebSocket.iter_bytes.__code__: "receive_bytes",
    WebSocket.iter_json.__code__: "receive_json",
    WebSocket.iter_text.__code__: "receive_text",
}


def aiter(iterable: AsyncIterable[Any], /) -> Any:  # noqa: A001
    """Begin an ``async for``; the socket's own iterators are replaced by one that can be saved."""
    if isinstance(iterable, AsyncGeneratorType) and ACTIVE.get() is not None:
        method = _ITEMS.get(iterable.ag_code)
        if method is not None:
            frame = cast("FrameType", iterable.ag_frame)  # it hasn't been started, so it can't have ended
            return SocketMessages(frame.f_locals["self"], method)
    return builtins.aiter(iterable)
