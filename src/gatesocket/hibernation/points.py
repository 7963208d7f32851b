"""Which awaits of a function may wait for the client: its *points*.

A route can only hibernate where it waits for the client, and it only waits for the client in a few of its awaits. This
module tells them apart without running anything, by looking up what is called: names in the function's globals and
closure, methods in the class of an annotated parameter, of ``self`` or of a module-level object::

    async def chat(websocket: WebSocket, room: str):
        await websocket.accept()                    # NEVER   a send
        user = await load(room)                     # NEVER   own code that, looked into, doesn't wait for the client
        await greet(websocket)                      # SURELY  own code that receives
        while True:
            text = await websocket.receive_text()   # SURELY  a receive
            await commands[text](websocket)         # MAYBE   can't be told; the runtime looks when it is called
            await asyncio.sleep(5)                  # TIME    not for the client, but long enough to hibernate

What is only *maybe* a point is transformed as if it were one, which costs little; what was wrongly thought never to
wait is found when it does, and refused with its line. Neither mistake can make a route misbehave silently.
"""

import ast
import asyncio
import builtins
import enum
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar, get_origin

from starlette.endpoints import WebSocketEndpoint
from starlette.websockets import WebSocket

from gatesocket.hibernation.bindings import assigned, defined, set_once
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.source import FunctionNode, NoSource, locate, module_of, originals
from gatesocket.hibernation.syntax import inside
from gatesocket.hibernation.timers import SLEEPS
from gatesocket.values import frozen

__all__ = [
    "ITERATORS",
    "RECEIVES",
    "SPAWNERS",
    "Environment",
    "Known",
    "Wait",
    "environment_of",
    "receives",
    "unwrap",
    "wait_of_function",
]

RECEIVES = frozenset({"receive", "receive_bytes", "receive_json", "receive_text"})
ITERATORS = frozenset({"iter_bytes", "iter_json", "iter_text"})
SENDS = frozenset({"accept", "close", "send", "send_bytes", "send_denial_response", "send_json", "send_text"})
SPAWNERS = frozenset({"create_task", "ensure_future", "gather", "run_coroutine_threadsafe", "start_soon", "wait"})


class Wait(enum.IntEnum):
    """How sure it is that something waits for the client."""

    NEVER = 0
    TIME = 1
    """It never does, but it sleeps: it can hibernate, and needn't."""
    MAYBE = 2
    SURELY = 3


@frozen
class Known:
    """What an expression is known to be: *value* itself, or some instance of *value* if *instance*."""

    value: Any
    instance: bool = False

    def attribute(self, name: str) -> "Known | None":
        """Look an attribute up without running a property or a ``__getattr__``."""
        value = self.value
        if isinstance(value, ModuleType):
            return Known(vars(value)[name]) if name in vars(value) else None
        if isinstance(value, FunctionType):
            return None
        try:
            found = inspect.getattr_static(value, name)
        except AttributeError:
            return None
        if isinstance(found, staticmethod | classmethod):
            return Known(found.__func__)
        return None if isinstance(found, property) else Known(found)


@frozen
class Environment:
    """What names mean inside of one function, as far as that can be told without running it."""

    globals: Mapping[str, Any]
    closure: Mapping[str, Any]
    """The contents of the free variables that are set."""
    locals: frozenset[str]
    types: Mapping[str, type]
    """The classes of the locals whose annotations name one."""
    functions: Mapping[str, FunctionNode] = field(default_factory=dict)
    """The functions defined in the function itself, or in one around it."""

    def known(self, node: ast.expr) -> Known | None:
        """Tell what *node* is; None if that can't be told."""
        match node:
            case ast.Name(name) if name in self.types:
                return Known(self.types[name], instance=True)
            case ast.Name(name) if name in self.locals:
                return None
            case ast.Name(name):
                for names in (self.closure, self.globals, vars(builtins)):
                    if name in names:
                        return Known(names[name])
                return None
            case ast.Attribute(value, name):
                base = self.known(value)
                return base.attribute(name) if base else None
            case ast.Call(func):
                called = self.known(func)
                made = _made_by(called.value) if called and not called.instance else None
                return Known(made, instance=True) if made else None
        return None

    def nested(self, node: FunctionNode) -> "Environment":
        """The environment inside of a function that is defined in this one."""
        own = assigned(node)
        inner = Environment(
            self.globals,
            self.closure,
            self.locals | own,
            {name: cls for name, cls in self.types.items() if name not in own} | self._annotated(node),
            {name: function for name, function in self.functions.items() if name not in own} | defined(node),
        )
        iterators = inner._iterators(node)
        return replace(inner, types={**inner.types, **iterators}) if iterators else inner

    def _iterators(self, node: FunctionNode) -> dict[str, type]:
        """The classes of the locals that hold an iterator over the client's messages, and never anything else."""
        if not _receives:  # of an app that doesn't use them
            return {}
        found = {name: self._iterator(call) for name, call in set_once(node).items()}
        return {name: cls for name, cls in found.items() if cls is not None}

    def _iterator(self, call: ast.Call) -> type | None:
        """The class of the iterator over the client's messages that *call* makes; None if it makes none."""
        known = self.known(call.func)
        cls = None if known is None else _returned_by(known.value)
        return cls if cls is not None and _gives_messages(cls) else None

    def _annotated(self, node: FunctionNode) -> dict[str, type]:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        found = {argument.arg: self._annotation(argument.annotation) for argument in arguments}
        return {name: cls for name, cls in found.items() if cls is not None}

    def _annotation(self, node: ast.expr | None) -> type | None:
        match node:
            case ast.Constant(str(text)):
                try:
                    return self._annotation(ast.parse(text, mode="eval").body)
                except SyntaxError:
                    return None
            case ast.Subscript(ast.Name("Annotated") | ast.Attribute(_, "Annotated"), ast.Tuple([first, *_])):
                return self._annotation(first)
            case ast.Subscript(generic):
                return self._annotation(generic)
            case ast.Name() | ast.Attribute():
                known = self.known(node)
                if known and isinstance(known.value, type) and _tells(known.value):
                    return known.value
        return None

    def wait(self, node: ast.Await | ast.AsyncFor | ast.comprehension) -> Wait:
        """How sure it is that *node* itself, not what is nested in it, waits for the client."""
        if isinstance(node, ast.Await):
            return self._wait_of_call(node.value) if isinstance(node.value, ast.Call) else Wait.MAYBE
        iterable = node.iter
        if not isinstance(iterable, ast.Call):
            known = self.known(iterable)
            return Wait.SURELY if known and known.instance and _gives_messages(known.value) else Wait.MAYBE
        if isinstance(iterable.func, ast.Attribute) and iterable.func.attr in ITERATORS:
            return Wait.SURELY
        if self._iterator(iterable):
            return Wait.SURELY
        return Wait.NEVER if self.known(iterable.func) else Wait.MAYBE

    def _wait_of_call(self, call: ast.Call) -> Wait:
        function = call.func
        if isinstance(function, ast.Name):
            if function.id == "receive" and "receive" in self.locals:
                return Wait.SURELY
            if function.id in self.functions:
                node = self.functions[function.id]
                others = {name: other for name, other in self.functions.items() if other is not node}  # it may recurse
                return wait_of_body(node, replace(self, functions=others).nested(node))
        if (limited := self.limited(call)) is not None:
            return self._wait_of_call(limited[0])
        known = self.known(function)
        if known is not None:
            if known.instance or not callable(known.value) or self._is_app(call):
                return Wait.MAYBE
            return max(self._wait_of_callable(known.value, call), self._wait_of_overrides(function))
        if isinstance(function, ast.Attribute):
            if function.attr in RECEIVES:
                return Wait.SURELY
            if function.attr in SENDS:
                return Wait.NEVER
        return Wait.MAYBE

    def limited(self, call: ast.Call) -> tuple[ast.Call, ast.expr] | None:
        """The call that `asyncio.wait_for` limits the time of, and the limit; None if *call* is another one."""
        known = self.known(call.func)
        if known is None or known.value is not asyncio.wait_for:
            return None
        match call:
            case ast.Call(args=[ast.Call() as inner, timeout], keywords=[]) if not isinstance(timeout, ast.Starred):
                return inner, timeout
            case ast.Call(args=[ast.Call() as inner], keywords=[ast.keyword("timeout", timeout)]):
                return inner, timeout
        return None

    def _wait_of_overrides(self, function: ast.expr) -> Wait:
        """MAYBE if *function* is a method that the object's own class may have replaced."""
        if not isinstance(function, ast.Attribute):
            return Wait.NEVER
        base = self.known(function.value)
        if base is None or not base.instance:
            return Wait.NEVER
        overridden = any(function.attr in vars(cls) for cls in _subclasses(base.value))
        # Starlette's endpoint class is there to be derived from, by classes that may be loaded later.
        return Wait.MAYBE if overridden or base.value is WebSocketEndpoint else Wait.NEVER

    def is_receive(self, call: ast.expr) -> bool:
        """Whether *call* is sure to be the socket's own receive, and not a method of that name of the app's."""
        callee = self.callee(call)
        return (
            isinstance(call, ast.Call)
            and callee is not None
            and vars(WebSocket).get(callee.__name__) is callee
            and self._wait_of_overrides(call.func) is Wait.NEVER
        )

    def callee(self, call: ast.expr) -> FunctionType | None:
        """The function that a call is known to run; None if that can't be told, or it is no function."""
        known = self.known(call.func) if isinstance(call, ast.Call) else None
        return None if known is None or known.instance else unwrap(known.value)

    def _wait_of_callable(self, value: Any, call: ast.Call) -> Wait:
        function = unwrap(value)
        if function is None:
            return Wait.NEVER
        if function in SLEEPS:
            return Wait.TIME
        name = function.__name__
        if vars(WebSocket).get(name) is function:
            return Wait.SURELY if name in RECEIVES else Wait.NEVER
        if function in _receives:
            return Wait.SURELY
        match origin(function.__code__.co_filename):
            case Origin.OWN:
                return wait_of_function(function)
            case Origin.LIBRARY if any(map(self._is_socket, call.args)):
                return wait_of_function(function)
        return Wait.NEVER

    def _is_app(self, call: ast.Call) -> bool:
        """Whether what is called gets the server's ``receive``, as an ASGI app does."""
        return "receive" in self.locals and any(isinstance(n, ast.Name) and n.id == "receive" for n in call.args)

    def _is_socket(self, node: ast.expr) -> bool:
        known = self.known(node)
        return known is not None and known.instance and issubclass(known.value, WebSocket)


def environment_of(function: FunctionType, node: FunctionNode) -> Environment:
    """Look from inside of *function*, whose ``def`` is *node*."""
    closure = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            closure[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    outside = Environment(function.__globals__, closure, frozenset(), {})
    inner = outside.nested(node)
    owner = _owner(function)
    if owner is not None and node.args.args:
        return Environment(
            inner.globals, closure, inner.locals, {**inner.types, node.args.args[0].arg: owner}, inner.functions
        )
    return inner


def _owner(function: FunctionType) -> type | None:
    """The class that *function* is a method of; None if it is none or isn't found by its name."""
    names = function.__qualname__.split(".")[:-1]
    found: Any = function.__globals__
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else vars(found).get(name)
        if not isinstance(found, type):
            return None
    return found if isinstance(found, type) and vars(found).get(function.__name__) is function else None


def _tells(cls: type) -> bool:
    """Whether an annotation with *cls* tells whose methods are called: ``Any`` and a protocol don't."""
    return cls is not Any and not getattr(cls, "_is_protocol", False)


def _subclasses(cls: type) -> Iterator[type]:
    found: list[type] = cls.__subclasses__()
    for derived in found:
        yield derived
        yield from _subclasses(derived)


def unwrap(value: object) -> FunctionType | None:
    """The Python function that calling *value* runs; None for a class, a built-in and what is no callable."""
    while True:
        if isinstance(value, FunctionType):
            return value
        if isinstance(value, functools.partial):
            value = value.func
        elif isinstance(value, MethodType):
            value = value.__func__
        elif isinstance(value, type) or not callable(value):
            return None
        else:
            found = inspect.getattr_static(type(value), "__call__")
            return found if isinstance(found, FunctionType) else None


_Receive = TypeVar("_Receive", bound=Callable[..., Any])
_receives: set[Any] = set()


def receives(function: _Receive) -> _Receive:
    """Mark a coroutine method of Gatesocket's own as one that waits for the client.

    It isn't transformed but called again when the route wakes, as Starlette's own receives are: nothing that it has to
    know of before may be in a local variable.
    """
    _receives.add(function)
    return function


def _made_by(value: Any) -> type | None:
    """The class of what calling *value* makes; None if that can't be told.

    What a function says that it returns is relied on where it is the framework's, `gatesocket.jobs` among it.
    """
    if isinstance(value, type):
        return value
    if not isinstance(value, FunctionType) or value.__code__.co_flags & inspect.CO_COROUTINE:
        return None
    if origin(value.__code__.co_filename) is not Origin.FRAMEWORK:
        return None
    made = _returned_by(value)
    return made if made and _tells(made) else None


def _returned_by(value: Any) -> type | None:
    """The class of what calling *value* returns, by what it says of itself."""
    returned = value if isinstance(value, type) else getattr(value, "__annotations__", {}).get("return")
    cls = get_origin(returned) or returned
    return cls if isinstance(cls, type) else None


def _gives_messages(cls: type) -> bool:
    return vars(cls).get("__anext__") in _receives


_known_waits: dict[tuple[str, CodeType], Wait] = {}
"""By module as well: code objects of different files are equal if they read the same."""


def wait_of_function(function: FunctionType) -> Wait:
    """How sure it is that a call of *function* waits for the client somewhere inside."""
    code = originals.get(function.__code__, function.__code__)
    key = (module_of(function), code)
    if key not in _known_waits:
        if not code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            return Wait.MAYBE  # what it returns is what is awaited
        _known_waits[key] = Wait.MAYBE  # of a recursive call, until we know better
        try:
            node = locate(function).node
        except NoSource:
            return Wait.MAYBE
        _known_waits[key] = wait_of_body(node, environment_of(function, node))
    return _known_waits[key]


def wait_of_body(node: FunctionNode, environment: Environment) -> Wait:
    """How sure it is that one of the awaits in *node* waits for the client."""
    waits = (
        environment.wait(child)
        for child in inside(*node.body)
        if isinstance(child, ast.Await | ast.AsyncFor) or (isinstance(child, ast.comprehension) and child.is_async)
    )
    return max(waits, default=Wait.NEVER)
