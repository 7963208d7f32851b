"""The way back: the functions of a snapshot, woken one after the other as the app comes to them again.

The framework calls the outermost, and whatever else it calls again. A function that awaited the next one itself gets
it from here, in the place of the call that it once made. Values are read when their function wakes, because the
framework may have made something anew that takes the place of what was saved: the socket, a copy of the scope.
"""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from types import CellType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import COMPOUND, Decoder, unreadable
from gatesocket.hibernation.dependencies import Answers
from gatesocket.hibernation.entry import Activation
from gatesocket.hibernation.functions import fill_cells, make_cells
from gatesocket.hibernation.snapshot import Frame, Snapshot
from gatesocket.hibernation.units import Unit, adopt, unit_named, unit_of

if TYPE_CHECKING:
    from gatesocket.hibernation.home import Home
    from gatesocket.hibernation.runtime import Run

__all__ = ["Waking"]


class Waking:
    """What is left to be woken of a snapshot.

    Raises:
        SnapshotError: a function in the snapshot isn't there any more, or reads differently now.
    """

    def __init__(self, snapshot: Snapshot, home: "Home") -> None:
        self.snapshot = snapshot
        self.asleep: list[Frame] = list(snapshot.frames)
        """The frames that are still to be woken, outermost first."""
        for frame in self.asleep:
            # Before anything runs: is it still there, and does it read as it did?
            if frame.point not in unit_named(frame.key).points:
                raise SnapshotError(f"the snapshot is damaged: {frame.name} has no point {frame.point}")
        if self.asleep[-1].direct:
            raise SnapshotError(f"the snapshot is damaged: nothing is left of what {self.asleep[-1].name} awaits")
        self._decoder = Decoder(home)
        self._answers: Answers | None = None

    def restore_surroundings(self) -> None:
        """Put the state and the context variables back, before the app is called."""
        snapshot, decoder = self.snapshot, self._decoder
        try:
            if snapshot.dependencies is not None:
                self._answers = Answers.load(snapshot.dependencies, decoder)
            if snapshot.state:
                state = decoder.home.scope.setdefault("state", {})
                for name, data in snapshot.state.items():
                    state[name] = decoder.decode(data)
            for place, data in snapshot.context:
                variable = decoder.home.named(place)
                if not isinstance(variable, ContextVar):
                    raise SnapshotError(f"the snapshot is damaged: {place!r} is no context variable")  # noqa: TRY301
                decoder.tokens[variable] = variable.set(decoder.decode(data))
        except SnapshotError:
            raise
        except Exception as error:
            raise unreadable("what it has kept", error) from error

    def wake(
        self, run: "Run", frame: FrameType, arguments: dict[str, Any], cells: Mapping[str, CellType]
    ) -> Activation:
        """Begin the call that *frame* is with what was saved of the next function, which it is a call of."""
        saved = self.asleep.pop(0)
        decoder = self._decoder
        number = len(decoder.frames)
        decoder.frames.append({name: cells[name] for name in frame.f_code.co_cellvars} if cells else {})
        decoder.home.imports = unit_of(frame.f_code).original.co_names
        values = saved.locals.copy()
        try:
            for name, data in saved.locals.items():
                if type(data) in COMPOUND:
                    decoder.offered = arguments.get(name)
                    values[name] = decoder.decode(data)
        except SnapshotError:
            raise
        except Exception as error:
            raise unreadable(f"where {saved.name} waits", error) from error
        decoder.offered = None
        activation = Activation(run, arguments, cells, at=saved.point, saved=values, direct=saved.direct)
        if self.snapshot.deadlines:
            due = self.snapshot.deadlines.items()
            activation.deadlines = {block: time for (frame, block), time in due if frame == number}
        if not self.asleep:
            activation.until = self.snapshot.until
        return activation

    def next_frame(self) -> Coroutine[Any, Any, Any]:
        """Start the next saved function again; what it was once called with doesn't matter any more."""
        frame = self.asleep[0]
        unit = unit_named(frame.key)
        try:
            function = self._function(unit, frame)
        except SnapshotError:
            raise
        except Exception as error:
            raise unreadable(f"where {unit.name} waits", error) from error
        positional = [None] * unit.code.co_argcount
        names = unit.code.co_varnames[unit.code.co_argcount :][: unit.code.co_kwonlyargcount]
        made: Coroutine[Any, Any, Any] = function(*positional, **dict.fromkeys(names))
        return made

    def _function(self, unit: Unit, frame: Frame) -> FunctionType:
        """The function of a frame that its caller awaits directly."""
        if isinstance(frame.cells, str):
            found = self._decoder.home.named(frame.cells)
            if not isinstance(found, FunctionType) or adopt(found) is not unit:
                raise SnapshotError(f"{frame.cells!r} has changed since the route hibernated")
            return found
        places, contents = frame.cells or ([], [])
        cells, new = make_cells(places, self._decoder)
        fill_cells(new, contents, self._decoder)
        module = sys.modules[frame.key.partition(":")[0]]
        return FunctionType(unit.code, vars(module), unit.code.co_name, None, cells)

    def answer(self, dependency: Callable[..., Any]) -> Callable[[], Awaitable[Any]] | None:
        """What takes the place of a FastAPI dependency while the route wakes; None if it is to be resolved."""
        if self._answers is None or not self.asleep:
            return None
        return self._answers.get(dependency, self._decoder.home.scope.get("route"))
