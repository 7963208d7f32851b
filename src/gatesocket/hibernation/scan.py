"""Where a function waits for the client, and where it can't.

A point is refused where a route can't be left and continued: in a ``finally``, under ``except*``, in a generator
expression, in a task, against a clock that isn't asyncio's or anyio's. What is *surely* a point there is a refusal;
what is *maybe* one only becomes a note, and is refused if it turns out to be one at run time. A sleep is never refused:
where it can't hibernate, it sleeps.
"""

import ast
from collections.abc import Sequence
from dataclasses import field

from gatesocket.hibernation.meanings import Wait
from gatesocket.hibernation.points import SPAWNERS, Environment, wait_of_body
from gatesocket.hibernation.source import FunctionNode
from gatesocket.hibernation.syntax import children, inside
from gatesocket.hibernation.units import Refusal
from gatesocket.values import frozen

__all__ = ["Scan", "scan"]

_TIMEOUTS = frozenset({"timeout", "timeout_at", "fail_after", "move_on_after"})
_TASK_GROUPS = frozenset({"TaskGroup", "create_task_group"})
_TIMEOUT = (
    "Import asyncio at the top of the module, and await `asyncio.wait_for(call(), seconds)` itself, or use "
    "`async with asyncio.timeout(seconds)`"
)
_Waiting = ast.Await | ast.AsyncFor | ast.comprehension


@frozen
class Scan:
    """What was found in a function."""

    waits: set[ast.AST] = field(default_factory=set)
    """The awaits, ``async for`` and comprehensions that are points."""
    refusals: list[Refusal] = field(default_factory=list)
    maybes: list[Refusal] = field(default_factory=list)
    """What is refused only if it turns out to wait for the client."""
    calls: dict[str, None] = field(default_factory=dict)
    """The functions that are known to be called, and that may wait for the client: `Environment.called`, in the order
    of the source."""


def scan(node: FunctionNode, environment: Environment) -> Scan:
    """Look through the body of *node*, but not into the functions that are defined in it."""
    scanner = _Scanner(environment)
    if any(isinstance(child, ast.Yield) for child in inside(*node.body)):
        if wait_of_body(node, environment) is Wait.SURELY:
            what = "an async generator can't hibernate half-way"
            scanner.refuse(node, what, "Receive in a plain `async def`, and return what came")
        return scanner.found
    scanner.visit_all(node.body)
    return scanner.found


class _Scanner:
    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.found = Scan()
        self._awaited: set[ast.Call] = set()

    def visit_all(self, nodes: Sequence[ast.AST], barred: str | None = None) -> None:
        for node in nodes:
            self.visit(node, barred)

    def visit(self, node: ast.AST, barred: str | None) -> None:
        """Note what waits in *node*; *barred* says why it can't wait here, if it can't."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                reason = barred or "in the decorators or defaults of a nested function"
                self.visit_all([*node.decorator_list, node.args], reason)
            case ast.Lambda():
                pass
            case ast.ClassDef():
                reason = barred or "in the decorators or bases of a class"
                self.visit_all([*node.decorator_list, *node.bases, *node.keywords], reason)
            case ast.TryStar():
                self.visit_all(children(node), barred or "in a `try` with `except*`")
            case ast.Try(body, handlers, orelse, finalbody):
                self.visit_all([*body, *handlers, *orelse], barred)
                self.visit_all(finalbody, barred or "in a `finally`")
            case ast.match_case(_, guard, body):
                self.visit_all([guard] if guard else [], barred or "in the guard of a `case`")
                self.visit_all(body, barred)
            case ast.GeneratorExp(generators=[first, *_]):
                self.visit_comprehension(node, first, barred, barred or "in a generator expression")
            case (
                ast.ListComp(generators=[first, *_])
                | ast.SetComp(generators=[first, *_])
                | ast.DictComp(generators=[first, *_])
            ):
                # They are written as loops, whose variables aren't a comprehension's own any more.
                sharing = any(isinstance(child, ast.Lambda | ast.GeneratorExp) for child in ast.walk(node))
                inner = barred or ("in a comprehension with a lambda or a generator in it" if sharing else None)
                self.visit_comprehension(node, first, barred, inner)
            case _:
                self.look_at(node)
                self.note(node, barred)
                self.visit_all(children(node), barred)

    def visit_comprehension(
        self, node: ast.expr, first: ast.comprehension, barred: str | None, barred_inside: str | None
    ) -> None:
        """Visit what is evaluated for each item; only the first iterable is evaluated once, and before."""
        self.visit(first.iter, barred)
        self.note(first, barred_inside)
        others = [child for child in children(node) if child is not first]
        self.visit_all([*others, *first.ifs], barred_inside)

    def note(self, node: ast.AST, barred: str | None) -> None:
        """Note *node* itself, if it waits."""
        if not isinstance(node, _Waiting) or (isinstance(node, ast.comprehension) and not node.is_async):
            return
        wait = self.environment.wait(node)
        if wait is Wait.NEVER:
            return
        if barred is None:
            self.found.waits.add(node)
            return
        if wait is Wait.TIME:
            return  # it sleeps in the process
        place = node.iter if isinstance(node, ast.comprehension) else node
        what = f"the route can't wait for the client {barred}"
        refusal = Refusal(place.lineno, what, "Receive before it, and keep what came in a local variable")
        (self.found.refusals if wait is Wait.SURELY else self.found.maybes).append(refusal)

    def look_at(self, node: ast.AST) -> None:
        """Refuse what waits for the client otherwise than in the route itself."""
        match node:
            case ast.Await(ast.Call() as call):
                self._awaited.add(call)
            case ast.Call():
                self.look_at_call(node)
            case ast.With(items, body) | ast.AsyncWith(items, body):
                for item in items:
                    if isinstance(item.context_expr, ast.Call) and self.receives_in(body):
                        self.look_at_block(item.context_expr)

    def look_at_call(self, call: ast.Call) -> None:
        called = self.environment.called(call)
        if called is not None and self.environment.wait(ast.Await(call)) is not Wait.NEVER:
            self.found.calls[called] = None
        arguments = [
            argument
            for outer in call.args
            for argument in (outer.elts if isinstance(outer, ast.List | ast.Tuple | ast.Set) else [outer])
        ]
        waiting = [argument for argument in arguments if isinstance(argument, ast.Call) and self.receives(argument)]
        if not waiting:
            return
        name = _called(call)
        if name == "wait_for" and not (call in self._awaited and self.environment.limited(call)):
            what = "`wait_for` around a receive can only hibernate if it is asyncio's, and awaited where it is called"
            self.refuse(call, what, _TIMEOUT)
        elif name in SPAWNERS:
            what = "a task can't wait for the client: only the route itself can hibernate"
            self.refuse(waiting[0], what, "Receive in the route, and hand what came to the task")

    def look_at_block(self, call: ast.Call) -> None:
        name = _called(call)
        if name in _TIMEOUTS and not self.environment.makes_deadline(call):
            self.refuse(call, f"`{name}` around a receive can only hibernate if it is asyncio's or anyio's", _TIMEOUT)
        elif name in _TASK_GROUPS:
            what = "a task group can't stay open while the route hibernates"
            self.refuse(call, what, "Close it before the receive, and open it again after")

    def receives(self, call: ast.Call) -> bool:
        return self.environment.wait(ast.Await(call)) is Wait.SURELY

    def receives_in(self, body: Sequence[ast.stmt]) -> bool:
        return any(
            isinstance(child, ast.Await | ast.AsyncFor) and self.environment.wait(child) is Wait.SURELY
            for child in inside(*body)
        )

    def refuse(self, node: ast.expr | ast.stmt, what: str, remedy: str) -> None:
        self.found.refusals.append(Refusal(node.lineno, what, remedy))


def _called(call: ast.Call) -> str:
    """The last part of the name of what is called; empty if it has none."""
    match call.func:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
    return ""
