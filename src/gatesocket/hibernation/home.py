"""What a snapshot's values refer to but don't contain: the run that reads or writes them, and its process.

The scope of the new run, its ``receive`` and its ``send`` take the place of the old ones; what every process has of
its own accord is known by its name.
"""

import contextvars
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CellType, FunctionType
from typing import Any

from starlette.websockets import WebSocket

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.names import Index, find, is_own, name_of

__all__ = ["Home"]

Message = MutableMapping[str, Any]

_CLASSES = frozenset(
    f"builtins:{cls.__name__}"
    for cls in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, object, set, str, tuple)
)


@dataclass(slots=True)
class Home:
    """What a snapshot's values refer to but don't contain."""

    scope: MutableMapping[str, Any]
    receive: Callable[[], Awaitable[Message]]
    send: Callable[[Message], Awaitable[None]]
    state: Mapping[str, Any]
    """The members of ``scope["state"]`` when the run began."""
    index: Index
    cells: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Writing: the variables of the frames that functions share, by the identity of their cells."""
    shared: set[tuple[int, str]] = field(default_factory=set)
    """Writing: those that a function was found to use."""
    frames: list[Mapping[str, CellType]] = field(default_factory=list)
    """Reading: the cells of the frames that are awake already."""
    tokens: dict[contextvars.ContextVar[Any], contextvars.Token[Any]] = field(default_factory=dict)
    """Reading: what setting the context variables again gave."""
    unfilled: dict[int, list[CellType]] = field(default_factory=dict)
    """Reading: the variables of functions that are made but not filled yet, by the identity of the function."""
    resources: dict[int, Any] = field(default_factory=dict)
    """Writing: what dependencies with ``yield`` gave, by identity."""
    offered: Any = None
    """Reading: what the framework has made anew in the place of the value that is read next."""
    imports: frozenset[str] = frozenset()
    """The names that the frame's function uses."""

    def name_of(self, value: Any) -> str | None:
        """The name of what every process has of its own accord; None for a value of this run."""
        cls = type(value)
        if issubclass(cls, WebSocket) or value is self.scope:
            return None
        if isinstance(value, type | FunctionType | BuiltinFunctionType) and isinstance(value.__module__, str):
            name = name_of(value)
            if name is not None and self.may_name(name):
                return name
            if cls is FunctionType and (found := self.index.functions().get(id(value))) is not None:
                return found[0]
        return self.index.get(value)

    def may_name(self, name: str) -> bool:
        """Whether a snapshot may refer to *name*: to what is the app's own, and to what the function itself names.

        Otherwise a planted snapshot could put ``os.system`` in the place of a function that is called with what the
        client sent.
        """
        module, _, path = name.partition(":")
        return is_own(module) or path.rpartition(".")[2] in self.imports or name in _CLASSES

    def named(self, name: Any) -> Any:
        """Find what `name_of` named."""
        place, _, rest = name.partition(":")
        if place == "state":
            return self.state[rest]
        if place == "app.state":
            return vars(self.scope["app"].state)["_state"][rest]
        if not self.may_name(name):
            raise SnapshotError(f"the snapshot is damaged: the route has no business with {name!r}")
        return find(name)

    def is_scope(self, value: dict[Any, Any]) -> bool:
        """Whether *value* is the scope of the connection, or a copy that a mount or a middleware has made of it."""
        return value is self.scope or (value.get("type") == "websocket" and value.get("asgi") is self.scope.get("asgi"))

    def take_scope(self) -> MutableMapping[str, Any]:
        """The scope of the new run, or the copy that was made of it again."""
        offered: MutableMapping[str, Any] | None = self.take_offer(dict)
        return self.scope if offered is None else offered

    def take_offer(self, cls: type) -> Any:
        """Take what was offered for the value being read, if it is a *cls*; None otherwise."""
        offered, self.offered = self.offered, None
        return offered if isinstance(offered, cls) else None
