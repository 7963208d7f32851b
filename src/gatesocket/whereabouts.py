"""Where the route of a connection waits, in either life: for a developer who looks on.

In the cloud it is read from what is stored of the route; under a server that holds the socket, from the coroutine
itself, which waits in this process's memory. What is told of locals are their names, never their values.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import getsourcelines
from types import CodeType, CoroutineType, FrameType
from typing import Any

from gatesocket import backend
from gatesocket.connection import SCOPE_KEY, LocalConnection
from gatesocket.exceptions import SnapshotError
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.hibernation.codes import original
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.snapshot import Frame, Snapshot
from gatesocket.hibernation.units import unit_named

__all__ = ["Place", "Whereabouts", "hibernation_point", "places_of", "whereabouts"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one function of a waiting route is."""

    function: str
    """Module and qualified name."""
    file: str | None
    """None if the function isn't loaded in this process, so that its source isn't at hand."""
    line: int | None
    names: tuple[str, ...]
    """The locals that are kept."""
    code: CodeType | None = field(default=None, repr=False, compare=False)
    """What its source was compiled to; None where *file* is."""

    def source(self) -> tuple[int, list[str]]:
        """Return the number of the function's first line, and its lines.

        Raises:
            OSError: the source isn't at hand.
        """
        if self.code is None:
            raise OSError(f"{self.function} isn't loaded in this process")
        lines, first = getsourcelines(self.code)
        return first, [line.rstrip("\n") for line in lines]

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file else self.function
        return f"{where} ({', '.join(self.names)})"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a connection's route is now."""

    places: tuple[Place, ...]
    """The app's own functions, outermost first; empty if the route has ended, or hasn't come to its first receive."""
    stored: int | None
    """The bytes that are kept of it in between; None if it waits in the memory of this process."""
    runs: bool
    """Whether it runs at this moment, as far as is known: *places* are then where it waited last."""
    version: int
    """Goes up with every invocation that takes the connection up, and with every one that lays it down; 0 in memory."""


async def whereabouts(connection_id: str) -> Whereabouts | None:
    """Find out where the route of a connection waits; None if there is no such connection.

    It is read anew each time, in the cloud from the table, which costs what reading the record costs. Whoever may ask
    learns how the app is made: don't answer it to everybody.

    Raises:
        RegistryError: the registry refused or can't be reached.
        SnapshotError: what is stored of the route can't be read.
    """
    through = backend.current()
    if isinstance(through.gateway, SocketGateway):
        websocket = through.gateway.websocket(connection_id)
        connection = None if websocket is None else websocket.scope[SCOPE_KEY]
        return _in_memory(connection) if isinstance(connection, LocalConnection) else None
    now = through.clock()
    record = await through.registry.get(connection_id, now=now)
    if record is None:
        return None
    snapshot = record.snapshot or b""
    places = places_of(snapshot) if snapshot else ()
    return Whereabouts(places, len(snapshot), record.leased(now), record.version)


def places_of(snapshot: bytes) -> tuple[Place, ...]:
    """Return where the route in a snapshot waits, outermost function first.

    Raises:
        SnapshotError: it can't be read.
    """
    return tuple(map(_stored, Snapshot.load(snapshot).frames))


def hibernation_point(snapshot: bytes) -> str:
    """Return where the innermost function of the route in a snapshot waits, as ``module:function:line``.

    Without the line if that function isn't loaded here or reads differently now, which whoever wakes it will say.

    Raises:
        SnapshotError: it can't be read.
    """
    place = places_of(snapshot)[-1]
    return place.function if place.line is None else f"{place.function}:{place.line}"


def _stored(frame: Frame) -> Place:
    names = _names(frame.locals)
    # Not found where it isn't loaded, in another process, or has changed, which its handler will say.
    with suppress(SnapshotError):
        unit = unit_named(frame.key)
        return Place(frame.name, unit.file, unit.points[frame.point].line, names, unit.original)
    return Place(frame.name, None, None, names)


def _in_memory(connection: LocalConnection) -> Whereabouts:
    task = connection.task
    frames = () if task is None else _frames(task.get_coro())
    places = tuple(_suspended(frame) for frame in frames if origin(frame.f_code.co_filename) is Origin.OWN)
    return Whereabouts(places, None, runs=task is asyncio.current_task(), version=0)


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Iterate over the frames of a coroutine and of those that it awaits, outermost first."""
    while isinstance(coroutine, CoroutineType) and coroutine.cr_frame is not None:
        yield coroutine.cr_frame
        coroutine = coroutine.cr_await


def _suspended(frame: FrameType) -> Place:
    code = frame.f_code
    name = f"{frame.f_globals.get('__name__')}:{code.co_qualname}"
    return Place(name, code.co_filename, frame.f_lineno, _names(frame.f_locals), original(code))


def _names(members: Any) -> tuple[str, ...]:
    return tuple(sorted(name for name in members if not name.startswith(".")))
