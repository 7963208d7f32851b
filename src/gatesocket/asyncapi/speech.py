"""What a route and its client say to each other, as far as its source tells, or as it was declared.

Nothing is called. Names are looked up from inside of the endpoint, as hibernation does it, and followed into the app's
own functions::

    async def chat(websocket: WebSocket):
        text = await websocket.receive_text()               # receives str
        await websocket.send_json(Said(text=text))          # sends Said
        await manager.broadcast(f"somebody said {text}")    # sends str
        await manager.broadcast(news.get())                 # sends Any: what it is can't be told
        await render.reply_to(user=name).enqueue(text)      # sends what the job sends, and what it returns

What a route says is told by Python types. ``Envelope[Say]`` is what `gatesocket.messages` makes of a model. Four types
stand for what has no model: ``str`` is a text, ``bytes`` are bytes, `pydantic.JsonValue` is any JSON and ``Any`` is
anything.
"""

import ast
import inspect
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Final

from pydantic import BaseModel, JsonValue
from starlette.websockets import WebSocket

from gatesocket.asyncapi.declaration import DECLARED
from gatesocket.envelopes import Ack, Envelope, Error, envelope, kinds_in
from gatesocket.hibernation.codes import NoSource
from gatesocket.hibernation.meanings import Known, unwrap
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.points import Environment, environment_of
from gatesocket.hibernation.source import locate
from gatesocket.hibernation.syntax import inside
from gatesocket.jobs import Enqueuer, Job
from gatesocket.manager import ConnectionManager
from gatesocket.messages import Messages, messages

__all__ = ["Speech", "speech_of"]

_RECEIVED: Final[dict[str, Any]] = {
    "iter_bytes": bytes,
    "iter_json": JsonValue,
    "iter_text": str,
    "receive_bytes": bytes,
    "receive_json": JsonValue,
    "receive_text": str,
}
"""What comes of a socket's methods."""

_SENT: Final[dict[str, Any]] = {"send_bytes": bytes, "send_json": JsonValue, "send_text": str}
"""What goes through a socket's methods, unless the source tells more of it."""

_MANAGED: Final = {
    vars(ConnectionManager)[name]: position
    for name, position in (("broadcast", 0), ("send_personal_message", 0), ("send_to", 1), ("send_to_user", 1))
}
"""A manager's methods that send, and which argument is the message."""

_ENQUEUES: Final = (vars(Job)["enqueue"], vars(Enqueuer)["enqueue"])

_DUMPS: Final = frozenset({"model_dump", "model_dump_json"})


@dataclass(frozen=True, slots=True)
class Speech:
    """What goes over a route's connections, as types; each once, in the order of the source."""

    received: tuple[Any, ...] = ()
    """What clients send."""
    sent: tuple[Any, ...] = ()
    """What they get."""


def speech_of(endpoint: Any, functions: Sequence[FunctionType]) -> Speech:
    """Tell what goes over the connections of a route.

    Args:
        endpoint: what the route was made with: a function, or a class like Starlette's `WebSocketEndpoint`.
        functions: the Python functions that it runs, dependencies included; its own comes first.
    """
    listening = _Listening()
    for function in functions:
        listening.follow(function)
    received, sent = tuple(listening.received), tuple(listening.sent | listening.answers)
    encoding = getattr(endpoint, "encoding", None)
    if encoding is not None:
        # Starlette's class receives by itself, as its attribute says.
        received = (_RECEIVED[f"receive_{encoding}"],)
    receives, sends = getattr(endpoint, DECLARED, getattr(functions[0], DECLARED, (None, None)))
    return Speech(
        received if receives is None else tuple(kinds_in(receives)), sent if sends is None else tuple(kinds_in(sends))
    )


@dataclass(slots=True)
class _Listening:
    """Reads functions, and the app's own functions that they call."""

    received: dict[Any, None] = field(default_factory=dict)
    sent: dict[Any, None] = field(default_factory=dict)
    answers: dict[Any, None] = field(default_factory=dict)
    """What is sent by `Messages` itself."""
    _seen: set[FunctionType] = field(default_factory=set)

    def follow(self, function: FunctionType) -> None:
        if function in self._seen or origin(function.__code__.co_filename) is not Origin.OWN:
            return
        self._seen.add(function)
        try:
            node = locate(function).node
        except NoSource:
            return
        names = _Names(environment_of(function, node), _assigned(node))
        calls = [inner for statement in node.body for inner in ast.walk(statement) if isinstance(inner, ast.Call)]
        for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
            self._call(call, names)

    def _call(self, call: ast.Call, names: "_Names") -> None:
        known, callee = names.known(call.func), names.callee(call)
        if callee is messages:
            self.received |= dict.fromkeys(map(_enveloped, names.kinds(_argument(call, 1, "kinds"))))
            self.answers |= {Envelope[Ack]: None, Envelope[Error]: None}
        elif callee is vars(Messages)["reply"]:
            self.sent[names.enveloped(_argument(call, 0, "answer"))] = None
        elif callee in _ENQUEUES and isinstance(call.func, ast.Attribute):
            self._enqueued(call.func.value, names)
        elif callee in _MANAGED:
            self.sent[names.kind(_argument(call, _MANAGED[callee], "message"), Any)] = None
        elif isinstance(call.func, ast.Attribute) and (known is None or vars(WebSocket).get(call.func.attr) is callee):
            # A socket's method, or one of such a name of something that has no annotation.
            method = call.func.attr
            if method in _RECEIVED:
                self.received[_RECEIVED[method]] = None
            elif method in _SENT:
                self.sent[names.kind(_argument(call, 0, "data"), _SENT[method])] = None
        elif callee is not None:
            self.follow(callee)

    def _enqueued(self, enqueuer: ast.expr, names: "_Names") -> None:
        """Read a job: what it sends by itself, and what it returns where ``job.reply_to(…)`` has that sent."""
        match enqueuer:
            case ast.Call(ast.Attribute(node, "reply_to")):
                replies = True
            case node:
                replies = False
        known = names.known(node)
        if known is None or not isinstance(known.value, Job):
            return
        function = inspect.unwrap(known.value)
        self.follow(function)
        if replies:
            self.sent |= dict.fromkeys(_results(function))


@dataclass(frozen=True, slots=True)
class _Names:
    """What expressions are in one function; its locals, too, that are assigned in one place only."""

    environment: Environment
    assigned: dict[str, ast.expr]

    def known(self, node: ast.expr) -> Known | None:
        match node:
            case ast.Attribute(ast.Name(name), attribute) if name in self.assigned:
                value = self.assigned[name]
                if self.callee(value) is messages:
                    return Known(Messages, instance=True).attribute(attribute)
        return self.environment.known(node)

    def callee(self, call: ast.expr) -> FunctionType | None:
        known = self.known(call.func) if isinstance(call, ast.Call) else None
        return None if known is None or known.instance else unwrap(known.value)

    def kinds(self, node: ast.expr | None) -> Iterator[type[BaseModel]]:
        """Iterate over the models in ``Join | Say``; what can't be told is left out."""
        match node:
            case ast.BinOp(left, ast.BitOr(), right):
                yield from self.kinds(left)
                yield from self.kinds(right)
            case _:
                known = None if node is None else self.environment.known(node)
                found = kinds_in(known.value) if known is not None and not known.instance else ()
                yield from (kind for kind in found if _is_model(kind))

    def enveloped(self, node: ast.expr | None) -> Any:
        """Tell what a model is in its envelope."""
        kind = self.kind(node, Any)
        return _enveloped(kind if _is_model(kind) else BaseModel)

    def kind(self, node: ast.expr | None, otherwise: Any) -> Any:
        """Tell of what type an expression is that is sent."""
        match node:
            case ast.Name(name) if name in self.assigned:
                rest = {key: value for key, value in self.assigned.items() if key != name}
                return _Names(self.environment, rest).kind(self.assigned[name], otherwise)
            case ast.Constant(str()) | ast.JoinedStr():
                return str
            case ast.Dict() | ast.List():
                return JsonValue
            case ast.Call(ast.Attribute(model, method)) if method in _DUMPS:
                return self.kind(model, otherwise)
            case ast.Await(ast.Call() as call) | (ast.Call() as call):
                callee = self.callee(call)
                if callee is envelope:
                    return self.enveloped(_argument(call, 0, "data"))
                if (returned := _returned(callee)) is not None:
                    return returned
        known = None if node is None else self.environment.known(node)
        return known.value if known is not None and known.instance and _is_model(known.value) else otherwise


def _argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    named = (keyword.value for keyword in call.keywords if keyword.arg == name)
    return call.args[position] if position < len(call.args) else next(named, None)


def _enveloped(kind: Any) -> Any:
    return Envelope[kind]


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _returned(function: FunctionType | None) -> type[BaseModel] | None:
    """The model that a function says it returns."""
    if function is None:
        return None
    try:
        returned = typing.get_type_hints(function).get("return")
    except (NameError, TypeError):  # an annotation for type checkers only
        return None
    return returned if _is_model(returned) else None


def _results(function: FunctionType) -> Iterator[Any]:
    """Iterate over what a job returns and has sent: all but None."""
    try:
        node = locate(function).node
    except NoSource:
        return
    names = _Names(environment_of(function, node), _assigned(node))
    for statement in inside(*node.body):
        match statement:
            case ast.Return(ast.Constant(None) | None):
                continue
            case ast.Return(value):
                yield names.kind(value, Any)


def _assigned(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr]:
    """What those locals are that are assigned in one place only."""
    found: dict[str, ast.expr] = {}
    stores = [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)]
    for inner in ast.walk(node):
        match inner:
            case ast.Assign([ast.Name(name)], value) if stores.count(name) == 1:
                found[name] = value
    return found
