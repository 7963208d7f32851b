"""Which awaits of a function may wait for the client: its *points*.

A route can only hibernate where it waits for the client, and it only waits for the client in a few of its awaits. This
module tells them apart without running anything, by what is called: names in the function's globals and closure,
methods in the class of an annotated parameter, of ``self`` or of a module-level object::

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

Here is only what the text says. What a name in it means is a question to `meanings`, and a pass learns no more of it
than the answer.
"""

import ast
from collections.abc import Mapping
from dataclasses import field, replace
from types import FunctionType

from gatesocket.hibernation.bindings import assigned, defined, set_once
from gatesocket.hibernation.cache import Facts
from gatesocket.hibernation.meanings import MADE, OWNER, RECEIVES, RETURNED, Known, Meanings, Wait
from gatesocket.hibernation.source import FunctionNode, locate
from gatesocket.hibernation.syntax import inside
from gatesocket.values import frozen

__all__ = ["ITERATORS", "SPAWNERS", "Environment", "environment_of", "wait_by_source", "wait_of_body"]

ITERATORS = frozenset({"iter_bytes", "iter_json", "iter_text"})
SENDS = frozenset({"accept", "close", "send", "send_bytes", "send_denial_response", "send_json", "send_text"})
SPAWNERS = frozenset({"create_task", "ensure_future", "gather", "run_coroutine_threadsafe", "start_soon", "wait"})


@frozen
class Environment:
    """What the text of one function says about its names."""

    meanings: Meanings
    locals: frozenset[str]
    types: Mapping[str, str]
    """The locals that are known to be an instance of some class, with the path of such an instance."""
    functions: Mapping[str, FunctionNode] = field(default_factory=dict)
    """The functions defined in the function itself, or in one around it."""

    def path(self, node: ast.expr) -> str | None:
        """The path to ask `meanings` for *node* by; None if it isn't about names of the module's or of a closure."""
        match node:
            case ast.Name(name) if name in self.types:
                return self.types[name]
            case ast.Name(name):
                return None if name in self.locals else name
            case ast.Attribute(value, name):
                base = self.path(value)
                return base and f"{base}.{name}"
            case ast.Call(func):
                base = self.path(func)
                return base and base + MADE
        return None

    def known(self, node: ast.expr) -> Known | None:
        """Tell what *node* is; None if that can't be told."""
        path = self.path(node)
        return None if path is None else self.meanings.find(path)

    def nested(self, node: FunctionNode) -> "Environment":
        """The environment inside of a function that is defined in this one."""
        own = assigned(node)
        inner = Environment(
            self.meanings,
            self.locals | own,
            {name: path for name, path in self.types.items() if name not in own} | self._annotated(node),
            {name: function for name, function in self.functions.items() if name not in own} | defined(node),
        )
        iterators = inner._iterators(node)
        return replace(inner, types={**inner.types, **iterators}) if iterators else inner

    def _iterators(self, node: FunctionNode) -> dict[str, str]:
        """The locals that hold an iterator over the client's messages, and never anything else."""
        if not self.meanings.any_gives_messages():  # of an app that doesn't use them
            return {}
        found = {name: self._iterator(call) for name, call in set_once(node).items()}
        return {name: path for name, path in found.items() if path is not None}

    def _iterator(self, call: ast.Call) -> str | None:
        """The path of the iterator over the client's messages that *call* makes; None if it makes none."""
        path = self.path(call.func)
        return path + RETURNED if path is not None and self.meanings.gives_messages(path + RETURNED) else None

    def _annotated(self, node: FunctionNode) -> dict[str, str]:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        found = {argument.arg: self._annotation(argument.annotation) for argument in arguments}
        return {name: path for name, path in found.items() if path is not None}

    def _annotation(self, node: ast.expr | None) -> str | None:
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
                path = self.path(node)
                return path + MADE if path is not None and self.meanings.is_class(path) else None
        return None

    def wait(self, node: ast.Await | ast.AsyncFor | ast.comprehension) -> Wait:
        """How sure it is that *node* itself, not what is nested in it, waits for the client."""
        if isinstance(node, ast.Await):
            return self._wait_of_call(node.value) if isinstance(node.value, ast.Call) else Wait.MAYBE
        iterable = node.iter
        if not isinstance(iterable, ast.Call):
            path = self.path(iterable)
            return Wait.SURELY if path is not None and self.meanings.gives_messages(path) else Wait.MAYBE
        if isinstance(iterable.func, ast.Attribute) and iterable.func.attr in ITERATORS:
            return Wait.SURELY
        if self._iterator(iterable):
            return Wait.SURELY
        path = self.path(iterable.func)
        return Wait.NEVER if path is not None and self.meanings.is_known(path) else Wait.MAYBE

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
        path = self.path(function)
        if path is not None and (wait := self.meanings.wait(path, *self._instances(call.args))) is not None:
            return Wait.MAYBE if self._is_app(call) else wait
        if isinstance(function, ast.Attribute):
            if function.attr in RECEIVES:
                return Wait.SURELY
            if function.attr in SENDS:
                return Wait.NEVER
        return Wait.MAYBE

    def _instances(self, arguments: list[ast.expr]) -> list[str]:
        """The paths of those of *arguments* that may be instances of a known class."""
        paths = dict.fromkeys(map(self.path, arguments))
        return [path for path in paths if path is not None and path.endswith((MADE, RETURNED))]

    def _is_app(self, call: ast.Call) -> bool:
        """Whether what is called gets the server's ``receive``, as an ASGI app does."""
        return "receive" in self.locals and any(isinstance(n, ast.Name) and n.id == "receive" for n in call.args)

    def limited(self, call: ast.Call) -> tuple[ast.Call, ast.expr] | None:
        """The call that `asyncio.wait_for` limits the time of, and the limit; None if *call* is another one."""
        path = self.path(call.func)
        if path is None or not self.meanings.is_wait_for(path):
            return None
        match call:
            case ast.Call(args=[ast.Call() as inner, timeout], keywords=[]) if not isinstance(timeout, ast.Starred):
                return inner, timeout
            case ast.Call(args=[ast.Call() as inner], keywords=[ast.keyword("timeout", timeout)]):
                return inner, timeout
        return None

    def is_receive(self, call: ast.expr) -> bool:
        """Whether *call* is sure to be the socket's own receive, and not a method of that name of the app's."""
        path = self.path(call.func) if isinstance(call, ast.Call) else None
        return path is not None and self.meanings.is_receive(path)

    def makes_deadline(self, call: ast.Call) -> bool:
        """Whether *call* makes a block with a deadline that can be kept."""
        path = self.path(call.func)
        return path is not None and self.meanings.makes_deadline(path)

    def called(self, call: ast.Call) -> str | None:
        """The path of the function that *call* is known to run; None if that can't be told, or it is no function."""
        path = self.path(call.func)
        return path if path is not None and self.meanings.is_function(path) else None

    def callee(self, call: ast.Call) -> FunctionType | None:
        """The function that *call* is known to run; None if that can't be told, or it is no function."""
        path = self.path(call.func)
        return None if path is None else self.meanings.function(path)


def environment_of(function: FunctionType, node: FunctionNode) -> Environment:
    """Look from inside of *function*, whose ``def`` is *node*."""
    return environment_in(Meanings.of(function), node)


def environment_in(meanings: Meanings, node: FunctionNode) -> Environment:
    """Look from inside of the function whose ``def`` is *node*, and in which names have *meanings*."""
    inner = Environment(meanings, frozenset(), {}).nested(node)
    if node.args.args and meanings.is_known(OWNER):
        return replace(inner, types={**inner.types, node.args.args[0].arg: OWNER + MADE})
    return inner


def wait_by_source(function: FunctionType) -> tuple[Wait, Facts]:
    """How sure it is that a call of *function* waits for the client somewhere inside, and what that follows from.

    Raises:
        NoSource: its source can't be had.
    """
    node = locate(function).node
    environment = environment_of(function, node)
    wait = wait_of_body(node, environment)
    return wait, environment.meanings.told()


def wait_of_body(node: FunctionNode, environment: Environment) -> Wait:
    """How sure it is that one of the awaits in *node* waits for the client."""
    waits = (
        environment.wait(child)
        for child in inside(*node.body)
        if isinstance(child, ast.Await | ast.AsyncFor) or (isinstance(child, ast.comprehension) and child.is_async)
    )
    return max(waits, default=Wait.NEVER)
