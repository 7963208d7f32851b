"""What a route may do under uvicorn, and what means something else when every message finds another process.

Sockets kept in a list of the process, state of a module that a route writes, binary messages: none of it is refused,
because the route itself can hibernate; all of it is worth knowing before it is deployed.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from starlette.websockets import WebSocket

from gatesocket.exceptions import Finding
from gatesocket.hibernation.codes import NoSource
from gatesocket.hibernation.meanings import Known
from gatesocket.hibernation.names import own_modules
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.points import Environment, environment_of
from gatesocket.hibernation.source import locate
from gatesocket.hibernation.syntax import inside

__all__ = ["notes_on"]

_ADDING = frozenset({"add", "append", "appendleft", "extend", "insert", "setdefault", "update"})
_CHANGING = _ADDING | {"clear", "discard", "pop", "popitem", "popleft", "remove"}
_BINARY = frozenset({"iter_bytes", "receive_bytes", "send_bytes"})
_SOCKET_NAMES = frozenset({"conn", "connection", "socket", "websocket", "ws"})
_MUTABLE = (list, dict, set)


def notes_on(endpoints: Iterable[FunctionType]) -> Iterator[Finding]:
    """Look through *endpoints* and the app's functions that they are known to call."""
    seen: set[int] = set()
    waiting = list(endpoints)
    while waiting:
        function = waiting.pop()
        if id(function) in seen or origin(function.__code__.co_filename) is not Origin.OWN:
            continue
        seen.add(id(function))
        try:
            node = locate(function).node
        except NoSource:
            continue  # a finding already, if it matters
        environment = environment_of(function, node)
        for child in inside(*node.body):
            if isinstance(child, ast.Call) and (callee := environment.callee(child)) is not None:
                waiting.append(callee)
            yield from _Look(function, environment).at(child)


class _Look:
    def __init__(self, function: FunctionType, environment: Environment) -> None:
        self.function = function
        self.environment = environment

    def at(self, node: ast.AST) -> Iterator[Finding]:
        match node:
            case ast.Call(ast.Attribute(_, name)) if name in _BINARY:
                yield self.note(
                    node,
                    f"`{name}`: API Gateway has no binary messages",
                    "Send and receive text, or JSON with base64 in it",
                )
            case ast.Call(ast.Attribute(kept, method), arguments, keywords) if method in _CHANGING:
                values = [*arguments, *(keyword.value for keyword in keywords)]
                yield from self.changed(node, kept, values if method in _ADDING else [])
            case ast.Assign(targets, value):
                for target in targets:
                    if isinstance(target, ast.Subscript):
                        yield from self.changed(node, target.value, [value, target.slice])
            case ast.AugAssign(ast.Subscript(kept)) | ast.Delete([ast.Subscript(kept)]):
                yield from self.changed(node, kept, [])
            case ast.Global(names):
                yield self.note(
                    node,
                    f"the route writes the module's {', '.join(map(repr, names))}: each process has its own",
                    "Keep it in a database, or in a local variable of the route",
                )

    def changed(self, node: ast.expr | ast.stmt, kept: ast.expr, values: list[ast.expr]) -> Iterator[Finding]:
        """Note that the collection *kept* gets *values*, if it belongs to the process."""
        if not self.is_of_the_process(kept):
            return
        name = ast.unparse(kept)
        if any(self.is_socket(value) for value in values):
            yield self.note(
                node,
                f"`{name}` keeps sockets in this process's memory, where other connections' messages won't find them",
                "Use `gatesocket.ConnectionManager`, which keeps them in the registry",
            )
        else:
            yield self.note(
                node,
                f"the route changes `{name}`, which is kept in this process's memory: each process has its own",
                "Keep it in a database, or in a local variable of the route",
            )

    def is_of_the_process(self, node: ast.expr) -> bool:
        """Whether *node* is a module's collection, or one in an object that a module has."""
        match node:
            case ast.Subscript(inner):  # rooms["lobby"]
                return self.is_of_the_process(inner)
            case ast.Call(ast.Attribute(inner, "setdefault" | "get")):
                return self.is_of_the_process(inner)
            case ast.Attribute(owner, name):
                known = self.environment.known(owner)
                return known is not None and any(
                    isinstance(inspect.getattr_static(each, name, None), _MUTABLE) for each in self.objects(known)
                )
        known = self.environment.known(node)
        return known is not None and not known.instance and isinstance(known.value, _MUTABLE)

    def objects(self, known: Known) -> list[Any]:
        """The objects that *known* may be: itself, or those of its class that modules have."""
        if not known.instance:
            return [known.value]
        modules = own_modules([self.function.__module__]).values()
        return [value for module in modules for value in vars(module).values() if isinstance(value, known.value)]

    def is_socket(self, node: ast.expr) -> bool:
        known = self.environment.known(node)
        if known is not None:
            return known.instance and issubclass(known.value, WebSocket)
        return isinstance(node, ast.Name) and node.id in _SOCKET_NAMES

    def note(self, node: ast.expr | ast.stmt, what: str, remedy: str) -> Finding:
        return Finding(self.function.__code__.co_filename, node.lineno, what, remedy)
