"""What a snapshot's values refer to but don't contain: the run that reads or writes them, and its process.

The scope of the new run, its ``receive`` and its ``send`` take the place of the old ones; what every process has of
its own accord is known by its name.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType
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
    modules: Iterable[str] = ()
    """The modules of the functions that wait: what is to be written may have a name in them."""
    imports: Collection[str] = ()
    """The names that the frame's function uses."""
    dependencies: int | None = None
    """How many dependencies the endpoint has, if it was called past FastAPI, which would know."""
    _index: Index | None = None

    @property
    def index(self) -> Index:
        """The names of what every process has: most snapshots hold nothing that has one, so that it is made late."""
        if self._index is None:
            members = {"state": self.state}
            app = self.scope.get("app")
            if app is not None:
                members["app.state"] = vars(app.state)["_state"]
            self._index = Index(self.modules, members)
        return self._index

    def name_of(self, value: Any) -> str | None:
        """The name of what every process has of its own accord; None for a value of this run."""
        cls = type(value)
        if cls is WebSocket or value is self.scope or issubclass(cls, WebSocket):
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
