"""FastAPI's dependencies, which are resolved once and not again for every message.

FastAPI resolves the dependencies of a route before it calls the endpoint; on waking it would do so again. A one-time
ticket would be spent twice. So:

* what a dependency returned is saved with the endpoint's locals, and the dependency isn't called again;
* what can't be saved (a database session), and what a dependency with ``yield`` gave, is closed at hibernation as
  at the end of the route; on waking it is resolved again, if the endpoint still needs it. What *it* depends on comes
  from the snapshot, as far as that can be saved.

FastAPI asks its app's ``dependency_overrides`` for each dependency. `Overrides` takes the place of that dictionary,
answers for the connection that is being woken, and hands everything else on: overrides of a test's keep working.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType
from typing import Any

from gatesocket.exceptions import CannotHibernate, Finding, SnapshotError
from gatesocket.hibernation.codec import Decoder, Encoder, Unsaveable
from gatesocket.hibernation.entry import ACTIVE
from gatesocket.hibernation.meanings import Wait, unwrap, wait_of_function
from gatesocket.hibernation.reentry import Reentry

__all__ = ["Answers", "Overrides", "Solved", "install_overrides", "shorten", "solved_in", "solves"]

_Call = Callable[..., Any]
_ATOMS = (str, bytes, int, float, type(None))


@dataclass(slots=True)
class Solved:
    """What FastAPI has resolved for an endpoint, or is about to."""

    dependant: Any
    """FastAPI's description of the endpoint's dependencies."""
    values: Mapping[_Call, Any]
    """What each dependency gave, by the function that the route names."""
    complete: bool
    """Whether the endpoint was called; else a dependency itself waits for the client."""

    def resources(self) -> dict[int, Any]:
        """What dependencies with ``yield`` gave, by identity: closed when the route hibernates."""
        return {
            id(value): value
            for call, value in self.values.items()
            if not isinstance(value, _ATOMS) and _yields(_overridden(call))
        }

    def save(self, encoder: Encoder, again: AbstractSet[str]) -> Any:
        """Write what waking needs to answer; *again* are the arguments of the endpoint that are resolved again.

        It is the number of dependencies if none of the arguments is, and else a list of that number, what of the
        dependencies is saved, and which of them aren't needed.

        Raises:
            CannotHibernate: one of those waits for the client itself, and would take the next message for its answer.
        """
        flat = list(_flatten(self.dependant))
        if self.complete and not again:
            return len(flat)
        needed = [number for number, (_, top) in enumerate(flat) if not self.complete or top.name in again]
        saved: dict[str, Any] = {}
        for number in needed:
            call = flat[number][0].call
            if call in self.values:
                mark = encoder.mark
                try:
                    saved[str(number)] = encoder.whole(self.values[call])
                except Unsaveable as error:
                    encoder.forget(mark)  # it is resolved again as well
                    _refuse_to_wait_again(call, error)
        return [len(flat), saved, [] if not self.complete else [n for n in range(len(flat)) if n not in needed]]


@dataclass(slots=True)
class Answers:
    """What is answered for the dependencies of the route that is being woken."""

    count: int = 0
    saved: dict[int, Any] = field(default_factory=dict)
    unneeded: Iterable[int] = ()
    _answers: dict[_Call, Callable[[], Awaitable[Any]]] | None = None

    @classmethod
    def load(cls, data: Any, decoder: Decoder) -> "Answers":
        """Read what `Solved.save` wrote."""
        if type(data) is int:
            return cls(data, unneeded=range(data))
        count, saved, unneeded = data
        return cls(count, {int(number): decoder.decode(value) for number, value in saved.items()}, unneeded)

    def get(self, call: _Call, route: Any) -> Callable[[], Awaitable[Any]] | None:
        """What takes the place of the dependency *call* of *route*; None if it is to be resolved."""
        if self._answers is None:
            flat = list(_flatten(getattr(route, "dependant", None)))
            if len(flat) != self.count:
                raise SnapshotError(
                    f"the route had {self.count} dependencies when it hibernated, and has {len(flat)} now"
                )
            self._answers = {flat[number][0].call: _answer(None) for number in self.unneeded}
            self._answers |= {flat[number][0].call: _answer(value) for number, value in self.saved.items()}
        return self._answers.get(call)


class Overrides(MutableMapping[_Call, _Call]):
    """The ``dependency_overrides`` of an app, with the answers of the run that asks."""

    def __init__(self, inner: MutableMapping[_Call, _Call]) -> None:
        self._inner = inner

    def __bool__(self) -> bool:
        return ACTIVE.get() is not None or bool(self._inner)

    def __getitem__(self, call: _Call) -> _Call:
        run = ACTIVE.get()
        answer = None if run is None else run.answer(call)
        return self._inner[call] if answer is None else answer

    def __setitem__(self, call: _Call, override: _Call) -> None:
        self._inner[call] = override

    def __delitem__(self, call: _Call) -> None:
        del self._inner[call]

    def __iter__(self) -> Iterator[_Call]:
        return iter(self._inner)

    def __len__(self) -> int:
        return len(self._inner)


def install_overrides(app: Any) -> None:
    """Have FastAPI ask the active run; again if the app's dictionary was replaced since."""
    overrides = getattr(app, "dependency_overrides", None)
    if overrides is not None and not isinstance(overrides, Overrides):
        app.dependency_overrides = Overrides(overrides)


def shorten(route: Any, endpoint: FunctionType, key: str) -> None:
    """Have a FastAPI route call *endpoint*, whose `Unit.key` is *key*, past FastAPI when it wakes: see `reentry`."""
    dependant = getattr(route, "dependant", None)
    # Anything else in the place of FastAPI's function was put there by the app, and may count on being called.
    if dependant is not None and dependant.call is endpoint and isinstance(route.app, FunctionType):
        sockets = (dependant.websocket_param_name, dependant.http_connection_param_name)
        names = tuple(name for name in sockets if name is not None)
        route.app = Reentry(route.app, endpoint, key, names, len(list(_flatten(dependant))))


def solves(code: CodeType) -> bool:
    """Whether *code* is where FastAPI resolves dependencies, or calls the endpoint with what they gave."""
    return code.co_name == "solve_dependencies" or (code.co_name == "app" and "solved_result" in code.co_varnames)


def solved_in(frame: FrameType) -> Solved | None:
    """What FastAPI has resolved so far in *frame*, whose code `solves`; None if it has yet to begin."""
    members = frame.f_locals
    if frame.f_code.co_name == "solve_dependencies":
        return Solved(members["dependant"], _by_call(members["dependency_cache"]), complete=False)
    if "solved_result" in members:
        return Solved(members["dependant"], _by_call(members["solved_result"].dependency_cache), complete=True)
    return None


def _by_call(cache: Mapping[Any, Any]) -> dict[_Call, Any]:
    return {key[0]: value for key, value in cache.items()} if cache else {}


def _flatten(dependant: Any, top: Any = None) -> Iterator[tuple[Any, Any]]:
    """Iterate over all dependencies, each with the one directly at the endpoint that it is for."""
    for inner in getattr(dependant, "dependencies", ()):
        yield inner, top or inner
        yield from _flatten(inner, top or inner)


def _overridden(call: _Call) -> _Call:
    run = ACTIVE.get()
    app = None if run is None else run.scope.get("app")
    overrides: MutableMapping[_Call, _Call] = getattr(app, "dependency_overrides", {})
    return overrides.get(call, call)


def _yields(call: _Call) -> bool:
    function = unwrap(call)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _refuse_to_wait_again(call: _Call, error: Unsaveable) -> None:
    function = unwrap(call)
    if function is not None and wait_of_function(function) is Wait.SURELY:
        code = function.__code__
        kind = f"{type(error.value).__module__}.{type(error.value).__qualname__}"
        what = (
            f"{code.co_qualname} waits for the client, but what it gives holds a {kind}, "
            f"which can't be saved ({error.why}): the dependency would have to wait for the client again"
        )
        remedy = "Return what came from the client, and make the rest in a dependency on this one"
        raise CannotHibernate(Finding(code.co_filename, code.co_firstlineno, what, remedy))


def _answer(value: Any) -> Callable[[], Awaitable[Any]]:
    async def saved() -> Any:
        return value

    return saved
