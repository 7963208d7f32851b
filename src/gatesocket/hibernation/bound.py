"""The kinds of what is tied to the run or to the process: the socket, the scope, functions, loggers.

None of it is written as it is. The socket of the new run, its scope, its ``receive`` and ``send`` take the place of the
old ones; a function is found in the code that the app has loaded, and only its variables are written.
"""

import contextvars
import functools
import inspect
import logging
import sys
import types
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from starlette.datastructures import URL, Headers, QueryParams, State
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import Decoder, Encoder, Kind, Unsaveable, attributes, register
from gatesocket.hibernation.names import Index, find, is_own, name_of
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.source import module_of, nested_codes, originals

__all__ = ["Home", "SocketMessages"]

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


# The socket, and what belongs to it.

_REBUILT = frozenset({"scope", "_receive", "_send", "client_state", "application_state"})


def _save_socket(value: WebSocket, encoder: Encoder) -> Any:
    members = {
        name: item
        for name, item in vars(value).items()
        # What Starlette caches of the scope, it can compute again.
        if name not in _REBUILT and name not in {"_base_url", "_cookies", "_headers", "_query_params", "_state", "_url"}
    }
    data = [value.client_state.value, value.application_state.value]
    cls = None if type(value) is WebSocket else name_of(type(value))
    return [*data, attributes(encoder, members), cls] if members or cls else data


def _make_socket(data: Any, decoder: Decoder) -> WebSocket:
    home = decoder.home
    socket: WebSocket | None = home.take_offer(WebSocket)
    if socket is None:
        cls = find(data[3]) if len(data) > 3 and data[3] is not None else WebSocket  # noqa: PLR2004
        if not (isinstance(cls, type) and issubclass(cls, WebSocket)):
            raise SnapshotError(f"the snapshot is damaged: {data[3]!r} is no WebSocket")
        socket = cls.__new__(cls)
        WebSocket.__init__(socket, home.scope, home.receive, home.send)
    socket.client_state = WebSocketState(data[0])
    socket.application_state = WebSocketState(data[1])
    return socket


def _fill_socket(value: WebSocket, data: Any, decoder: Decoder) -> None:
    if len(data) > 2:  # noqa: PLR2004
        vars(value).update({name: decoder.decode(item) for name, item in data[2].items() if name not in _REBUILT})


register(
    Kind("socket", _save_socket, _make_socket, _fill_socket, shared=True),
    look=lambda value: isinstance(value, WebSocket),
)


class SocketMessages:
    """What ``async for … in websocket.iter_text()`` runs over while a run is active.

    Starlette's own is an async generator, which can't be saved and has to be closed; it keeps nothing but the socket.
    """

    def __init__(self, socket: WebSocket, method: str) -> None:
        self.socket = socket
        self.method = method
        """The receive that gives the next item."""

    def __aiter__(self) -> "SocketMessages":
        return self

    async def __anext__(self) -> Any:
        try:
            return await getattr(self.socket, self.method)()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None


_METHODS = frozenset({"receive_bytes", "receive_json", "receive_text"})


def _make_messages(data: Any, decoder: Decoder) -> SocketMessages:
    socket, method = decoder.decode(data[0]), data[1]
    if method not in _METHODS or not isinstance(socket, WebSocket):
        raise SnapshotError(f"the snapshot is damaged: {method!r} gives no messages")
    return SocketMessages(socket, method)


register(
    Kind(
        "messages",
        lambda value, encoder: [encoder.encode(value.socket), value.method],
        _make_messages,
        shared=True,
    ),
    SocketMessages,
)


# Written by the encoder itself, which has to tell it from other dictionaries.
register(Kind("scope", lambda _value, _encoder: None, lambda _data, decoder: decoder.home.take_scope()))
register(
    Kind(
        "headers",
        lambda value, _: [[name.decode("latin-1"), item.decode("latin-1")] for name, item in value.raw],
        lambda data, _: Headers(raw=[(name.encode("latin-1"), item.encode("latin-1")) for name, item in data]),
    ),
    Headers,
)
register(
    Kind("query", lambda value, _: value.multi_items(), lambda data, _: QueryParams(list(map(tuple, data)))),
    QueryParams,
)


def _make_url(data: Any, _decoder: Decoder) -> URL:
    if type(data) is not str:
        raise SnapshotError(f"the snapshot is damaged: a URL is not written as {data!r}")
    return URL(data)


register(Kind("url", lambda value, _: str(value), _make_url), URL)


def _save_state(value: State, encoder: Encoder) -> Any:
    app = encoder.home.scope.get("app")
    if app is not None and value is getattr(app, "state", None):
        return "app"
    if value._state is encoder.home.scope.get("state"):  # noqa: SLF001
        return "scope"
    raise Unsaveable(value, "it is neither the app's state nor the socket's")


def _make_state(data: Any, decoder: Decoder) -> Any:
    scope = decoder.home.scope
    return scope["app"].state if data == "app" else State(scope.setdefault("state", {}))


register(Kind("state", _save_state, _make_state, shared=True), State)

# Functions. A function is a code object, which is looked up, and cells, which are written.


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for nested in nested_codes(code):
        yield from _codes(nested)


def _save_function(value: FunctionType, encoder: Encoder) -> Any:
    file = value.__code__.co_filename
    if origin(file) is Origin.FRAMEWORK:
        if "send" in value.__name__:
            return "send"
        if "receive" in value.__name__:
            return "receive"
        raise Unsaveable(value, "it belongs to the framework")
    code = originals.get(value.__code__, value.__code__)
    root = code.co_qualname.partition(".<locals>")[0]
    reference = (f"{module_of(value)}:{root}", code.co_qualname, _checksum(code))
    if _code_at(*reference) != code:
        raise Unsaveable(value, "the function around it isn't found by its name")
    return [
        [*reference, value.__name__, value.__qualname__],
        *save_cells(code.co_freevars, value.__closure__ or (), encoder),
        encoder.at(".__defaults__", value.__defaults__),
        encoder.at(".__kwdefaults__", value.__kwdefaults__),
    ]


def save_cells(names: Iterable[str], cells: Iterable[CellType], encoder: Encoder) -> tuple[list[Any], list[Any]]:
    """Write the variables of a function: which they are, then what the new ones hold.

    All of them are numbered before any content is written, because a function may be in a variable of its own.
    """
    places: list[Any] = []
    new: list[tuple[str, CellType]] = []
    for name, cell in zip(names, cells, strict=True):
        place = encoder.home.cells.get(id(cell))
        if place is not None:
            encoder.home.shared.add(place)
            places.append(list(place))
        elif (number := encoder.number_of(cell)) is not None:
            places.append(number)
        else:
            encoder.number(cell)
            places.append(None)
            new.append((name, cell))
    contents: list[list[Any]] = []
    for name, cell in new:
        try:
            content = cell.cell_contents
        except ValueError:  # a variable that isn't set
            contents.append([])
        else:
            contents.append([encoder.at(f" (its variable {name!r})", content)])
    return places, contents


def named_function(home: Home, code: CodeType, closure: tuple[CellType, ...]) -> str | None:
    """The name of the function that has just this code and these variables: one that a decorator has made."""
    for name, function in home.index.functions().values():
        if function.__code__ is code and function.__closure__ == closure:
            return name
    return None


def make_cells(places: list[Any], decoder: Decoder) -> tuple[tuple[CellType, ...], list[CellType]]:
    """Make the variables of a function; return them all, and those still to be filled."""
    cells: list[Any] = []
    new: list[CellType] = []
    for place in places:
        if place is None:
            cell = CellType()
            decoder.number(cell)
            new.append(cell)
        elif isinstance(place, list):
            frame, name = place
            cell = decoder.home.frames[frame][name]
        else:
            cell = decoder.referred(place)
        if not isinstance(cell, CellType):
            raise SnapshotError(f"the snapshot is damaged: {place!r} is no variable")
        cells.append(cell)
    return tuple(cells), new


def fill_cells(cells: Iterable[CellType], contents: Iterable[Any], decoder: Decoder) -> None:
    """Put what was written into the new variables."""
    for cell, content in zip(cells, contents, strict=True):
        for value in content:
            cell.cell_contents = decoder.decode(value)


def _checksum(code: CodeType) -> int:
    return zlib.crc32(code.co_code)


def _code_at(root: str, qualified: str, checksum: int) -> CodeType | None:
    try:
        found = find(root)
    except LookupError:
        return None
    if not isinstance(found, FunctionType) or not is_own(root.partition(":")[0]):
        return None
    for code in _codes(originals.get(found.__code__, found.__code__)):
        if code.co_qualname == qualified and _checksum(code) == checksum:
            return code
    return None


def _make_function(data: Any, decoder: Decoder) -> Any:
    if data == "send":
        return decoder.home.send
    if data == "receive":
        return decoder.home.receive
    (root, qualified, checksum, name, qualified_name), places, *_rest = data
    code = _code_at(root, qualified, checksum)
    if code is None:
        raise SnapshotError(f"the function {qualified_name!r} has changed since the route hibernated")
    cells, new = make_cells(places, decoder)
    made = FunctionType(code, vars(sys.modules[root.partition(":")[0]]), name, None, cells)
    made.__qualname__ = qualified_name
    decoder.home.unfilled[id(made)] = new
    return made


def _fill_function(value: Any, data: Any, decoder: Decoder) -> None:
    if isinstance(data, str):
        return
    _reference, _places, contents, defaults, keyword_defaults = data
    fill_cells(decoder.home.unfilled.pop(id(value)), contents, decoder)
    value.__defaults__ = decoder.decode(defaults)
    value.__kwdefaults__ = decoder.decode(keyword_defaults)


register(Kind("function", _save_function, _make_function, _fill_function, shared=True), FunctionType)


def _save_method(value: MethodType, encoder: Encoder) -> Any:
    owner, name = value.__self__, value.__func__.__name__
    if encoder.home.receive == value:
        return "receive"
    if encoder.home.send == value:
        return "send"
    if _method(owner, name) is not value.__func__:
        raise Unsaveable(value, f"{type(owner).__qualname__} has no such method")
    return [encoder.at(".__self__", owner), name]


def _method(owner: object, name: str) -> Any:
    found = inspect.getattr_static(owner if isinstance(owner, type) else type(owner), name, None)
    return found.__func__ if isinstance(found, classmethod) else found


def _make_method(data: Any, decoder: Decoder) -> Any:
    if data == "receive":
        return decoder.home.receive
    if data == "send":
        return decoder.home.send
    owner = decoder.decode(data[0])
    function = _method(owner, data[1])
    if not isinstance(function, FunctionType):
        raise SnapshotError(f"the snapshot is damaged: {data[1]!r} is no method of {type(owner).__qualname__}")
    return MethodType(function, owner)


register(Kind("method", _save_method, _make_method), MethodType)

_CONTAINERS = (list, dict, set, bytearray)


def _save_builtin(value: types.BuiltinMethodType, encoder: Encoder) -> Any:
    if type(value.__self__) not in _CONTAINERS:
        raise Unsaveable(value, "it is a built-in function", "Call it by its name instead of keeping it in a variable")
    return [encoder.at(".__self__", value.__self__), value.__name__]


def _make_builtin(data: Any, decoder: Decoder) -> Any:
    owner = decoder.decode(data[0])
    if type(owner) not in _CONTAINERS:
        raise SnapshotError(f"the snapshot is damaged: {data[1]!r} belongs to no container")
    return getattr(owner, data[1])


register(Kind("built-in", _save_builtin, _make_builtin), types.BuiltinMethodType)
register(
    Kind(
        "partial",
        lambda value, encoder: [
            encoder.at(".func", value.func),
            encoder.at(".args", value.args),
            encoder.at(".keywords", value.keywords),
        ],
        lambda data, decoder: _make_partial(*map(decoder.decode, data)),
    ),
    functools.partial,
)


def _make_partial(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    return functools.partial(function, *arguments, **keywords)


# What the process has by a name of its own.


def _make_module(data: Any, decoder: Decoder) -> ModuleType:
    # A planted snapshot can't bring in a module that the function doesn't name.
    if data not in sys.modules or data.partition(".")[0] not in decoder.home.imports:
        raise SnapshotError(f"the snapshot is damaged: the route doesn't import {data!r}")
    return sys.modules[data]


register(Kind("module", lambda value, _: value.__name__, _make_module), ModuleType)
for _logger in (logging.Logger, logging.RootLogger):
    register(Kind("logger", lambda value, _: value.name, lambda data, _: logging.getLogger(data)), _logger)
register(
    Kind(
        "adapter",
        lambda value, encoder: [value.logger.name, encoder.at(".extra", value.extra)],
        lambda data, decoder: logging.LoggerAdapter(logging.getLogger(data[0]), decoder.decode(data[1])),
        shared=True,
    ),
    logging.LoggerAdapter,
)


# A context variable's token: set again, so that the variable can be reset by it.


def _save_token(value: contextvars.Token[Any], encoder: Encoder) -> Any:
    old = [] if value.old_value is contextvars.Token.MISSING else [encoder.at(".old_value", value.old_value)]
    return [encoder.at(".var", value.var), encoder.encode(value.var.get()), old]


def _make_token(data: Any, decoder: Decoder) -> contextvars.Token[Any]:
    variable, current, old = data
    found = decoder.decode(variable)
    if not isinstance(found, contextvars.ContextVar):
        raise SnapshotError(f"the snapshot is damaged: {variable!r} is no context variable")
    value = decoder.decode(current)
    restored = decoder.home.tokens.pop(found, None)
    if restored is not None:
        found.reset(restored)  # as it was before the outermost token was made: perhaps not set at all
    for item in old:
        found.set(decoder.decode(item))
    return found.set(value)


register(Kind("token", _save_token, _make_token, shared=True), contextvars.Token)
