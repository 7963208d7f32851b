"""What is saved of the waiting functions, and how it is said that something can't be."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextvars import Context, ContextVar, copy_context
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocket

from gatesocket.exceptions import CannotHibernate, Finding
from gatesocket.hibernation.codec import NUMBERS, ORDINARY, PLAIN, Encoder, Unsaveable
from gatesocket.hibernation.entry import ACTIVE
from gatesocket.hibernation.functions import named_function, save_cells
from gatesocket.hibernation.home import Home
from gatesocket.hibernation.names import name_of_variable
from gatesocket.hibernation.snapshot import Frame, Snapshot
from gatesocket.values import frozen

if TYPE_CHECKING:
    from gatesocket.hibernation.stack import Live

__all__ = ["save"]

_ADVICE = (
    "Take it as a parameter (Depends), keep it at module level or on app.state, make it after the receive, or register "
    "a saver for its class"
)


def save(live: list["Live"], home: Home, outside: Context) -> Snapshot:
    """Write down where the functions *live* wait, outermost first.

    Args:
        live: the transformed functions on the stack.
        home: what the values refer to but don't contain.
        outside: the context variables before the app was called.

    Raises:
        CannotHibernate: something that is still needed can't be saved.
    """
    plan = _UNKNOWING
    home.modules = (each.unit.module for each in live)  # which are asked for once, and mostly never
    while True:
        attempt = _Attempt(live, home, outside, plan)
        snapshot = attempt.snapshot()
        better = plan.after(attempt)
        if better is None:
            return snapshot
        plan = better


@frozen
class _Plan:
    """What only comes out while the values are written, and has to be known before."""

    needed: AbstractSet[tuple[int, str]] = frozenset()
    """Variables that a function which is kept reads: they are live after all. By the number of the frame."""
    resolved: AbstractSet[str] = frozenset()
    """The endpoint's arguments that can't be saved: their dependencies are resolved again."""
    called: AbstractSet[int] = frozenset()
    """Frames whose arguments can't be saved: they are called again by the frame before them."""

    def after(self, attempt: "_Attempt") -> "_Plan | None":
        """The plan with what has come out in *attempt*; None if it was known."""
        needed, resolved, called = attempt.encoder.shared, attempt.resolved, attempt.called
        if needed <= self.needed and resolved <= self.resolved and called <= self.called:
            return None
        return _Plan(self.needed | needed, self.resolved | resolved, self.called | called)


_UNKNOWING = _Plan()


class _Attempt:
    def __init__(self, live: list["Live"], home: Home, outside: Context, plan: _Plan) -> None:
        self.live = live
        self.home = home
        self.outside = outside
        self.plan = plan
        self.resolved: set[str] = set()
        self.called: set[int] = set()
        self.encoder = Encoder(home)
        for number, each in enumerate(live):
            if each.activation.cells:
                own = each.unit.code.co_cellvars
                shared = each.activation.cells.items()
                self.encoder.cells |= {id(cell): (number, name) for name, cell in shared if name in own}
            if each.solved is not None and each.solved.values:
                self.encoder.resources |= each.solved.resources()

    def snapshot(self) -> Snapshot:
        dependencies: Any = self.home.dependencies
        for each in self.live:
            if each.solved is not None:
                dependencies = each.solved.save(self.encoder, self.plan.resolved)
        state = self.state()
        context = self.context()
        frames = tuple([self.frame(number, each) for number, each in enumerate(self.live)])
        return Snapshot(frames, state, context, dependencies)

    def frame(self, number: int, live: "Live") -> Frame:
        unit, point = live.unit, live.point
        self.home.imports = unit.original.co_names
        cells: tuple[list[Any], list[Any]] | str | None = None
        free = unit.code.co_freevars
        entered = live.entered or number in self.plan.called
        direct = live.direct and number + 1 not in self.plan.called
        if free and not entered:
            closure = tuple(live.activation.cells[name] for name in free)
            cells = named_function(self.home, unit.code, closure)
            if cells is None:
                if not all(id(cell) in self.encoder.cells for cell in closure):
                    # It shares variables with functions that aren't saved, and that its caller knows where to find.
                    self.called.add(number)
                cells = save_cells(free, closure, self.encoder)
        names = point.live.after if direct else point.live.again
        if self.plan.needed:
            names |= {name for frame, name in self.plan.needed if frame == number}
        sockets = []
        if entered:  # the framework goes on with its socket: behind a dependency, in a handler of exceptions
            for name, value in live.activation.arguments.items():
                if isinstance(value, WebSocket) and live.members.get(name) is value:
                    sockets.append(name)
            if not names.issuperset(sockets):
                names = names.union(sockets)
        saved = self.locals(number, live, names, sockets, entered=entered)
        return Frame(unit.key, point.number, direct, saved, cells)

    def locals(
        self, number: int, live: "Live", names: frozenset[str], sockets: list[str], *, entered: bool
    ) -> dict[str, Any]:
        members = live.members
        ordered = _in_order(names)
        try:
            saved = dict(zip(ordered, map(members.__getitem__, ordered), strict=True))
        except KeyError:  # some of them aren't set
            saved = {name: members[name] for name in ordered if name in members}
        if sockets:  # before what holds them: read in this order, they are those that the framework goes on with
            saved = dict.fromkeys(sockets) | saved
        for name, value in [*saved.items()]:
            cls = type(value)
            if cls in PLAIN or (cls in NUMBERS and -ORDINARY < value < ORDINARY):
                continue
            if live.activation.blocks and _is_own_manager(live, name, value):
                del saved[name]
                continue
            mark = self.encoder.mark
            try:
                saved[name] = self.encoder.whole(value)
            except Unsaveable as error:
                del saved[name]
                self.encoder.forget(mark)
                if live.activation.arguments.get(name, live) is value and (entered or number):
                    (self.resolved.add(name) if entered else self.called.add(number))
                elif not _is_given(live, name, value):
                    raise CannotHibernate(_finding(live, name, error)) from error
        if ordered and ordered[0][0] == ".":  # our own names come first
            saved |= _lines(saved, members)
        return saved

    def state(self) -> dict[str, Any]:
        """What the app has put into ``scope["state"]``."""
        before: Mapping[str, Any] = self.home.state
        saved = {}
        for name, value in self.home.scope.get("state", {}).items():
            if name not in before or before[name] is not value:
                saved[name] = self.surrounding(f"websocket.state.{name}", value)
        return saved

    def context(self) -> list[tuple[str, Any]]:
        """What the app has put into context variables of its own."""
        saved = []
        for variable, value in copy_context().items():
            if variable is ACTIVE or (variable in self.outside and self.outside[variable] is value):
                continue
            place = self.home.index.get(variable) or name_of_variable(variable)
            if place is not None:  # else it is a library's, which sets it again
                saved.append((place, self.surrounding(_title(variable), value)))
        return saved

    def surrounding(self, name: str, value: Any) -> Any:
        try:
            return self.encoder.whole(value)
        except Unsaveable as error:
            raise CannotHibernate(_finding(self.live[-1], name, error)) from error


def _lines(saved: Iterable[str], members: Mapping[str, Any]) -> dict[str, int]:
    """Where the exceptions came from whose handlers wait, for `Activation.traced`."""
    handled = {name: members[name] for name in saved if name[0] == "." and isinstance(members[name], BaseException)}
    return {f"{name}.line": error.__traceback__.tb_lineno for name, error in handled.items() if error.__traceback__}


@lru_cache(maxsize=1024)
def _in_order(names: frozenset[str]) -> list[str]:
    return sorted(names)


def _title(variable: ContextVar[Any]) -> str:
    return f"{variable.name} (a context variable)"


def _is_own_manager(live: "Live", name: str, value: object) -> bool:
    """Whether *value* is the context manager of an open ``with`` itself, as of most resources: it is entered again."""
    return any(block.manager is value for block in _blocks_giving(live, name, value))


def _is_given(live: "Live", name: str, value: object) -> bool:
    """Whether *value* came of entering a ``with``, which is entered again."""
    return any(True for _ in _blocks_giving(live, name, value))


def _blocks_giving(live: "Live", name: str, value: object) -> Iterable[Any]:
    given = live.unit.entered
    return (block for block in live.activation.blocks if block.value is value and given.get(block.number) == name)


def _finding(live: "Live", name: str, error: Unsaveable) -> Finding:
    """Say which local can't be saved, what it holds, where it was set, and what to do."""
    unit, point = live.unit, live.point
    lines = unit.assigned.get(name, ())
    line = max((line for line in lines if line <= point.line), default=min(lines, default=0))
    kind = type(error.value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    article = "an" if (module or kind.__qualname__)[0].lower() in "aeiou" else "a"
    return Finding(
        unit.file,
        point.line,
        f"{unit.name} can't hibernate here: {name + error.path!r}"
        + (f" (set at line {line})" if line else "")
        + f" holds {article} {module}{kind.__qualname__}, which can't be saved: {error.why}",
        error.remedy or _ADVICE,
    )
