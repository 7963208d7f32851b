"""The run: an app from its waking to its next hibernation.

Transformed functions meet the run when they start (`Run.begin`) and at a point whose call may lead into another of
them (`Run.expect`, `Run.next_frame`). The rest happens at the receive, when it finds that there is no message:

1. *walk* the stack, from the receive up to the run. Each frame is framework code, or a transformed function at one of
   its points, or a reason to refuse;
2. *save* the live locals of the transformed frames, outermost first;
3. *leave* by `Hibernate`. ``with`` blocks are left for real; nothing else of the user's runs.

Waking is the same in reverse: the app is called with the stored scope, and each transformed function that starts is
handed its saved locals until all have been woken; the innermost makes its receive again, which has the message now.

Which run is active is a context variable, so that connections share a process and an event loop without knowing of one
another. The app runs in a context of its own, and what it sets there is saved too.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from itertools import islice
from types import CellType, FrameType, FunctionType
from typing import Any, NoReturn

from gatesocket.exceptions import CannotHibernate, Finding, SnapshotError
from gatesocket.hibernation import instances, kinds  # noqa: F401 - they register their kinds
from gatesocket.hibernation.blocks import Hibernate
from gatesocket.hibernation.blueprint import Blueprint
from gatesocket.hibernation.bound import Home, fill_cells, make_cells, named_function, save_cells
from gatesocket.hibernation.codec import Decoder, Encoder, Unsaveable
from gatesocket.hibernation.entry import ACTIVE, Activation
from gatesocket.hibernation.names import Index, name_of_variable
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.snapshot import Frame, Snapshot
from gatesocket.hibernation.tasks import IN_CONTEXT, InContext, Spawned, watch_tasks
from gatesocket.hibernation.transform import Point, Unit
from gatesocket.hibernation.units import adopt, adopt_called, unit_named, unit_of

__all__ = ["Run", "run"]

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_GRACE = 1.0
"""Seconds that a task of the route's has to end, before the route is refused to hibernate."""


class Refused(BaseException):
    """Carries `CannotHibernate` out of a route whose ``except Exception`` is not meant for it."""


async def run(
    app: App,
    scope: Scope,
    next_message: Callable[[], Message | None],
    send: Send,
    *,
    blueprint: Blueprint,
    snapshot: bytes | None = None,
) -> bytes | None:
    """Run *app* until it ends or waits for a message that isn't there yet.

    Args:
        app: the ASGI app.
        scope: the ASGI scope of the connection, the same for each of its runs. It isn't changed.
        next_message: gives the next ASGI message; None if there is none now and the route has to hibernate. The first
            message of a connection is ``websocket.connect``.
        send: what the app sends with.
        blueprint: what `prepare` returned for *app*.
        snapshot: what the last run of this connection returned; None for its first run.

    Returns:
        The snapshot to wake the app with; None if the app has ended.

    Raises:
        SnapshotError: *snapshot* is damaged, or was written by other code than what would wake.
        CannotHibernate: the route holds something that can't be saved.
        Exception: whatever the app raised, unchanged.
    """
    return await Run(scope, next_message, send, snapshot).drive(app)


@dataclass(slots=True)
class _Live:
    """A transformed function on the stack."""

    frame: FrameType
    unit: Unit
    point: Point
    activation: Activation
    direct: bool
    """Whether it awaits the next transformed function itself."""
    entered: bool
    """Whether a framework has called it."""


class Run:
    """One run of the app for one connection."""

    def __init__(
        self,
        scope: Scope,
        next_message: Callable[[], Message | None],
        send: Send,
        snapshot: bytes | None,
    ) -> None:
        self.state: Mapping[str, Any] = dict(scope.get("state", {}))
        self.scope = dict(scope)
        if "state" in scope:
            self.scope["state"] = dict(self.state)
        self.send = send
        self.result: bytes | None = None
        """The snapshot that this run ends with."""
        self._next_message = next_message
        self._given = Snapshot.load(snapshot) if snapshot is not None else None
        self._asleep: list[Frame] = list(self._given.frames) if self._given else []
        self._decoder = Decoder(self._home(frame.key for frame in self._asleep))
        self._refusal: CannotHibernate | None = None
        self._left: list[Activation] = []
        self._task: asyncio.Task[Any] | None = None
        self._outside: Context = copy_context()
        self._giving_back = 0
        self._spawned: list[Spawned] = []

    async def drive(self, app: App) -> bytes | None:
        """Call the app, and bring its end into the form that `run` promises."""
        self._task = asyncio.current_task()
        watch_tasks(asyncio.get_running_loop())
        context = copy_context()
        context.run(ACTIVE.set, self)
        if self._given is not None:
            context.run(self._restore_surroundings, self._given)
        try:
            await InContext(self._call(app), context)
        except Hibernate:
            pass
        except Refused:
            pass
        if self._refusal is not None:
            raise self._refusal
        if self._asleep:
            name = self._asleep[0].key.partition("#")[0]
            raise SnapshotError(f"the app ended without coming back to where the route waits, in {name}")
        return self.result

    async def _call(self, app: App) -> None:
        await app(self.scope, self.receive, self.send)

    # What the app meets.

    async def receive(self) -> Message:
        """The app's ``receive``."""
        if asyncio.current_task() is not self._task:
            self._refuse(self._in_a_task())
        if self._left:
            raise Hibernate
        message = self._next_message()
        if message is None:
            await self._await_tasks()
            message = self._next_message()
        if message is not None:
            return message
        live = self._walk(sys._getframe())  # noqa: SLF001
        self.result = self._save(live).dump()
        self._left = [each.activation for each in live]
        for each in live:
            each.activation.left = True
            each.activation.ends = each.entered
        raise Hibernate

    def begin(self, key: str, cells: Mapping[str, CellType]) -> Activation:
        """Begin a call of a transformed function: a new one, or the next that was saved."""
        if self._left and not self._giving_back:
            raise Hibernate
        frame = sys._getframe(2)  # noqa: SLF001 - transformed code, through entry.begin
        arguments = dict(frame.f_locals)
        if not self._asleep or self._asleep[0].key != key:
            return Activation(self, arguments, cells)
        saved = self._asleep.pop(0)
        home = self._decoder.home
        own = {name: cell for name, cell in cells.items() if name in frame.f_code.co_cellvars}
        home.frames.append(own)
        home.imports = frozenset(unit_of(frame.f_code).source.code.co_names)
        values = {}
        with self._decoder.reading(f"where {key.partition('#')[0]} waits"):
            for name, data in saved.locals.items():
                home.offered = arguments.get(name)
                values[name] = self._decoder.decode(data)
                home.offered = None
        return Activation(self, arguments, cells, at=saved.point, saved=values, direct=saved.direct)

    def expect(self, function: Any, arguments: tuple[Any, ...]) -> None:
        """Look at what a point is about to call."""
        adopt_called(function, arguments)

    def next_frame(self) -> Coroutine[Any, Any, Any]:
        """Start the next saved function again; what it was once called with doesn't matter any more."""
        frame = self._asleep[0]
        unit = unit_named(frame.key)
        with self._decoder.reading(f"where {unit.name} waits"):
            function = self._function(unit, frame)
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

    @contextmanager
    def giving_back(self) -> Iterator[None]:
        """Around the end of a ``with`` that hibernation leaves: if it fails, the route goes on, to handle that."""
        self._giving_back += 1
        try:
            yield
        except BaseException:
            for activation in self._left:
                activation.left = activation.ends = False
            self._left = []
            self.result = None
            raise
        finally:
            self._giving_back -= 1

    # Hibernation.

    def _walk(self, frame: FrameType | None) -> list[_Live]:
        """Find the transformed functions between the receive and the run, outermost first."""
        found: list[_Live] = []
        findings: list[Finding] = []
        inner: FrameType | None = None
        while frame is not None and frame.f_code is not IN_CONTEXT:
            code = frame.f_code
            if ".a" in code.co_varnames:
                live = self._live(frame, direct=bool(found) and found[-1].frame is inner)
                if isinstance(live, Finding):
                    findings.append(live)
                else:
                    found.append(live)
            elif origin(code.co_filename) is not Origin.FRAMEWORK:
                findings.append(
                    Finding(
                        code.co_filename,
                        frame.f_lineno,
                        f"{code.co_qualname} can't hibernate here: it was not transformed",
                        "Await it directly from the route, or receive in the route itself",
                    )
                )
            if found and found[-1].frame is inner:
                found[-1].entered = ".a" not in code.co_varnames and code.co_name != "solve_dependencies"
            inner, frame = frame, frame.f_back
        if findings:
            self._refuse(*findings)
        return found[::-1]

    def _live(self, frame: FrameType, *, direct: bool) -> _Live | Finding:
        code, members = frame.f_code, frame.f_locals
        activation: Activation = members[".a"]
        unit = unit_of(code)
        point = unit.points.get(members.get(".p", 0))
        if point is None or not _is_at(frame, point):
            return Finding(
                code.co_filename,
                frame.f_lineno,
                f"{code.co_qualname} can't hibernate here: its source doesn't show that this waits for the client",
                "Receive in a plain `await` in the body of the function",
            )
        return _Live(frame, unit, point, activation, direct, entered=False)

    def _save(self, live: list[_Live]) -> Snapshot:
        forced: set[tuple[int, str]] = set()
        while True:
            home = self._home(each.unit.key for each in live)
            for number, each in enumerate(live):
                for name, cell in each.activation.cells.items():
                    if name in each.unit.code.co_cellvars:
                        home.cells[id(cell)] = (number, name)
            encoder = Encoder(home)
            state, context = self._save_surroundings(encoder, live[-1])
            frames = tuple(self._save_frame(encoder, number, each, forced) for number, each in enumerate(live))
            if home.shared <= forced:
                return Snapshot(frames, state, context)
            # A function was saved that reads variables of these frames: they are live after all.
            forced |= home.shared

    def _save_frame(self, encoder: Encoder, number: int, live: _Live, forced: set[tuple[int, str]]) -> Frame:
        unit, point = live.unit, live.point
        names = point.live.after if live.direct else point.live.again
        names = names | {name for frame, name in forced if frame == number}
        members = live.frame.f_locals
        encoder.home.imports = frozenset(unit.source.code.co_names)
        cells = None
        free = unit.code.co_freevars
        if free and not live.entered:
            closure = tuple(live.activation.cells[name] for name in free)
            cells = named_function(encoder.home, unit.code, closure) or save_cells(free, closure, encoder)
        saved = {}
        for name in sorted(names):
            if name in members and name not in free:
                value = members[name]
                if self._is_given(live, name, value):
                    continue
                mark = encoder.mark
                try:
                    saved[name] = encoder.encode(value)
                except Unsaveable as error:
                    encoder.forget(mark)
                    if not self._comes_again(live, name, value):
                        self._refuse(_finding(live, name, error))
        return Frame(unit.key, point.number, live.direct, saved, cells)

    def _is_given(self, live: _Live, name: str, value: object) -> bool:
        """Whether *value* is the context manager of an open ``with``, which waking enters again."""
        return any(
            block.manager is value and block.value is value and live.unit.entered.get(block.number) == name
            for block in live.activation.blocks
        )

    def _comes_again(self, live: _Live, name: str, value: object) -> bool:
        """Whether waking makes the value of a local anew: an argument of a framework's, what a ``with`` gave."""
        if live.entered and live.activation.arguments.get(name) is value:
            return True
        return any(
            block.value is value and live.unit.entered.get(block.number) == name for block in live.activation.blocks
        )

    def _home(self, keys: Iterable[str]) -> Home:
        modules = dict.fromkeys(key.partition(":")[0] for key in keys)
        members: dict[str, Mapping[str, Any]] = {"state": self.state}
        app = self.scope.get("app")
        if app is not None:
            members["app.state"] = vars(app.state)["_state"]
        return Home(self.scope, self.receive, self.send, self.state, Index(modules, members))

    def _save_surroundings(self, encoder: Encoder, live: _Live) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
        """Save what the route has put into ``scope["state"]`` and into context variables."""
        state: dict[str, Any] = {}
        context: list[tuple[str, Any]] = []
        for name, value in self.scope.get("state", {}).items():
            if name not in self.state or self.state[name] is not value:
                try:
                    state[name] = encoder.encode(value)
                except Unsaveable as error:
                    self._refuse(_finding(live, f"websocket.state.{name}", error))
        for variable, value in copy_context().items():
            if variable is ACTIVE or (variable in self._outside and self._outside[variable] is value):
                continue
            place = encoder.home.name_of(variable) or name_of_variable(variable)
            if place is not None:
                try:
                    context.append((place, encoder.encode(value)))
                except Unsaveable as error:
                    self._refuse(_finding(live, f"{variable.name} (a context variable)", error))
        return state, context

    def _restore_surroundings(self, snapshot: Snapshot) -> None:
        """Put the state and the context variables back, before the app is called."""
        with self._decoder.reading("its state"):
            if snapshot.state:
                state = self.scope.setdefault("state", {})
                for name, data in snapshot.state.items():
                    state[name] = self._decoder.decode(data)
            for place, data in snapshot.context:
                variable = self._decoder.home.named(place)
                if not isinstance(variable, ContextVar):
                    raise SnapshotError(f"the snapshot is damaged: {place!r} is no context variable")
                variable.set(self._decoder.decode(data))

    # Tasks, and refusals.

    def spawned(self, task: Spawned) -> None:
        """Note a task that the route has created."""
        self._spawned.append(task)

    async def _await_tasks(self) -> None:
        """Let the tasks end that the route has started and not waited for."""
        running = [spawned.task for spawned in self._spawned if not spawned.task.done()]
        if running:
            await asyncio.wait(running, timeout=_GRACE)
        self._spawned = [spawned for spawned in self._spawned if not spawned.task.done()]
        if self._spawned:
            self._refuse(
                *(
                    Finding(
                        spawned.file,
                        spawned.line,
                        f"the task {spawned.task.get_name()!r} still runs {_GRACE:g} s after the route began to wait "
                        "for the client: it can't live longer than the frame that started it",
                        "Await it before the receive, or hand the work to a job",
                    )
                    for spawned in self._spawned
                )
            )

    def _in_a_task(self) -> Finding:
        task = asyncio.current_task()
        for spawned in self._spawned:
            if spawned.task is task:
                return Finding(
                    spawned.file,
                    spawned.line,
                    f"the task {spawned.task.get_name()!r} waits for the client: only the route itself can hibernate",
                    "Receive in the route, and hand what came to the task",
                )
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
        while frame is not None and origin(frame.f_code.co_filename) is not Origin.OWN:
            frame = frame.f_back
        file, line = (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)
        return Finding(
            file,
            line,
            "a task waits for the client: only the route itself can hibernate",
            "Receive in the route, and hand what came to the task",
        )

    def _refuse(self, *findings: Finding) -> NoReturn:
        # Not an Exception inside of the route: its `except Exception` has nothing to say to it.
        self._refusal = CannotHibernate(*sorted(findings, key=lambda finding: (finding.file, finding.line)))
        raise Refused


def _is_at(frame: FrameType, point: Point) -> bool:
    """Whether *frame* is in the await of *point*, and not in another one that comes after it."""
    positions = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    if None in positions:  # Python was told not to keep them (-X no_debug_ranges)
        return point.position[0] <= frame.f_lineno <= point.position[1]
    return positions == point.position


def _finding(live: _Live, name: str, error: Unsaveable) -> Finding:
    """Say which local can't be saved, what it holds, and what to do."""
    unit, point = live.unit, live.point
    lines = unit.assigned.get(name, ())
    line = max((line for line in lines if line < point.line), default=min(lines, default=0))
    kind = type(error.value)
    what = f"a {kind.__module__}.{kind.__qualname__}".replace("a builtins.", "a ")
    place = f"{name}{error.path}" if error.path else name
    return Finding(
        unit.source.file,
        point.line,
        f"{unit.name} can't hibernate here: {place!r}"
        + (f" (set at line {line})" if line else "")
        + f" holds {what}, which can't be saved: {error.why}",
        error.remedy or _ADVICE,
    )


_ADVICE = (
    "Take it as a parameter (Depends), keep it at module level or on app.state, make it after the receive, or register "
    "a saver for its class"
)
