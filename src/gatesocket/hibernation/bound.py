"""The kinds of what is tied to the run or to the process: the socket, the scope, states, loggers.

None of it is written as it is. The socket of the new run, its scope and its states take the place of the old ones; what
the process has by a name of its own is found by that.
"""

import contextvars
import logging
import sys
from types import ModuleType
from typing import Any

from starlette.datastructures import URL, Headers, QueryParams, State
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import Decoder, Encoder, Kind, Unsaveable, attributes, register
from gatesocket.hibernation.names import find, name_of

__all__ = ["SocketMessages"]

# The socket, and what belongs to it.

_REBUILT = frozenset({"scope", "_receive", "_send", "client_state", "application_state"})
_COMPUTED = _REBUILT | {"_base_url", "_cookies", "_headers", "_query_params", "_state", "_url"}
"""With what Starlette has computed of the scope, and can compute again."""
_STATES = {state.value: state for state in WebSocketState}


def _save_socket(value: WebSocket, encoder: Encoder) -> Any:
    # Not `.value`, which runs two functions of the `enum` module.
    data = [value.client_state._value_, value.application_state._value_]
    cls, members = type(value), vars(value)
    if cls is WebSocket and _COMPUTED.issuperset(members):
        return data
    members = {name: item for name, item in members.items() if name not in _COMPUTED}
    return [*data, attributes(encoder, members), None if cls is WebSocket else name_of(cls)]


def _make_socket(data: Any, decoder: Decoder) -> WebSocket:
    home = decoder.home
    socket: WebSocket | None = decoder.take_offer(WebSocket)
    if socket is None:
        cls = find(data[3]) if len(data) > 3 and data[3] is not None else WebSocket  # noqa: PLR2004
        if not (isinstance(cls, type) and issubclass(cls, WebSocket)):
            raise SnapshotError(f"the snapshot is damaged: {data[3]!r} is no WebSocket")
        socket = cls.__new__(cls)
        WebSocket.__init__(socket, home.scope, home.receive, home.send)
    socket.client_state = _STATES[data[0]]
    socket.application_state = _STATES[data[1]]
    return socket


def _fill_socket(value: WebSocket, data: Any, decoder: Decoder) -> None:
    if len(data) > 2:  # noqa: PLR2004
        vars(value).update({name: decoder.decode(item) for name, item in data[2].items() if name not in _REBUILT})


register(
    Kind("socket", _save_socket, _make_socket, _fill_socket, shared=True),
    WebSocket,
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
register(Kind("scope", lambda _value, _encoder: None, lambda _data, decoder: decoder.take_scope()))
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
    restored = decoder.tokens.pop(found, None)
    if restored is not None:
        found.reset(restored)  # as it was before the outermost token was made: perhaps not set at all
    for item in old:
        found.set(decoder.decode(item))
    return found.set(value)


register(Kind("token", _save_token, _make_token, shared=True), contextvars.Token)
