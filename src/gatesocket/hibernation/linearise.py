"""First pass: bring every point into a statement of its own.

A route can be continued between two statements, not in the middle of an expression whose earlier operands are already
on the interpreter's stack. This pass rewrites what contains a point into statements in which each point stands alone,
as ``await call(...)`` or ``name = await call(...)``, with everything that was evaluated before it in locals::

    total += len(log(f"{next(ids)}: ")) + len(await ws.receive_text())

becomes, with temporaries whose dotted names can't clash with anyone's::

    .t1 = total                                   # a function shares it: `+=` reads it first
    .t2 = len(log(f"{next(ids)}: "))              # evaluated once, before the await, as it was
    .t3 = await ws.receive_text()                 # the point
    .t1 += .t2 + len(.t3)
    total = .t1

The result is ordinary Python that means the same; nothing here knows of hibernation. Statements with a point in them
take one of a few core forms:

* ``for`` runs over an explicit iterator (``.i1 = iter(xs)``), so that its position is an object that can be saved;
* ``async for`` becomes a loop around the await of the iterator's next step;
* a ``while`` whose test has a point becomes ``while True`` with the test inside;
* ``match`` chooses a number, and an ``if`` on the number holds the bodies;
* ``with`` has one context manager, an ``except`` with a point in it has a name for its exception;
* ``await asyncio.wait_for(call(), seconds)`` is ``await call()`` in a block with that limit.

What is merely a name or a dotted name needs no temporary as the function to be called, because looking it up does
nothing: it is looked up when the call is made. Only if it begins with a variable of the function's own that may be set
until then, that is read before.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any, cast

from gatesocket.hibernation.expressions import Expressions
from gatesocket.hibernation.points import ITERATORS, Environment
from gatesocket.hibernation.scan import scan
from gatesocket.hibernation.source import FunctionNode
from gatesocket.hibernation.syntax import PointAwait, assign, changed, load, placed, runtime_name, store
from gatesocket.hibernation.units import Refusal
from gatesocket.values import frozen

__all__ = ["Body", "linearise"]


@frozen
class Body:
    """The linearised body of a function."""

    statements: list[ast.stmt]
    points: list[PointAwait]
    calls: list[str]
    """The functions that are known to be called, and that may wait for the client: `Environment.called`."""
    refusals: list[Refusal]
    maybes: list[Refusal]
    """What is refused only if it turns out to wait for the client."""
    entered: dict[int, str]
    """The local that a ``with`` block gives its value to, by the number of the block."""


def linearise(node: FunctionNode, environment: Environment, cells: Iterable[str]) -> Body:
    """Linearise the body of *node*, whose variables *cells* are shared with other functions."""
    found = scan(node, environment)
    if found.refusals:
        return Body([], [], list(found.calls), found.refusals, found.maybes, {})
    work = _Statements(environment, found.waits, frozenset(cells))
    statements = work.block(node.body)
    return Body(statements, work.points, list(found.calls), [], found.maybes, work.entered)


class _Statements(Expressions):
    """The half of the first pass that looks at statements."""

    def block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        return [result for statement in statements for result in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        if not self.waiting(node):
            return [node]
        method: Callable[[Any], list[ast.stmt]] = getattr(self, f"_{type(node).__name__.lower()}_statement")
        return method(node)

    def _expr_statement(self, node: ast.Expr) -> list[ast.stmt]:
        if self.is_point(node.value):
            statements, point = self.point(node.value)
            return [*statements, changed(node, value=point)]
        statements, value = self.expression(node.value)
        return [*statements, changed(node, value=value)]

    def _assign_statement(self, node: ast.Assign) -> list[ast.stmt]:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            statements, value = self._value(node.value)
            return [*statements, changed(node, value=value)]
        statements, value = self.expression(node.value)
        if not self.waiting(*node.targets):
            return [*statements, changed(node, value=value)]
        pinned, value = self.pin(value)
        statements += pinned
        for target in node.targets:
            before, place = self.expression(target)
            statements += [*before, placed(node, ast.Assign([place], value))]
        return statements

    def _annassign_statement(self, node: ast.AnnAssign) -> list[ast.stmt]:
        # An annotation in a function is not evaluated, and a value is here, or nothing would wait.
        value = node.value or ast.Constant(None)
        return self._assign_statement(placed(node, ast.Assign([node.target], value)))

    def _value(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        return self.point(node) if self.is_point(node) else self.expression(node)

    def _augassign_statement(self, node: ast.AugAssign) -> list[ast.stmt]:
        target = node.target
        statements: list[ast.stmt] = []
        if isinstance(target, ast.Attribute):
            statements, base = self.operands([target.value], last=True)
            place: ast.expr = changed(target, value=base[0])
        elif isinstance(target, ast.Subscript):
            statements, parts = self.operands([target.value, target.slice], last=True)
            place = changed(target, value=parts[0], slice=parts[1])
        elif self._keeps(load(target.id), [node.value]):
            statements, value = self.expression(node.value)
            return [*statements, changed(node, value=value)]
        else:
            place = target
        # The old value is read before the right side is evaluated.
        name = self.temporary()
        statements.append(placed(node, assign(name, changed(place, ctx=ast.Load()))))
        before, value = self.expression(node.value)
        return [
            *statements,
            *before,
            placed(node, ast.AugAssign(store(name), node.op, value)),
            placed(node, ast.Assign([place], load(name))),
        ]

    def _return_statement(self, node: ast.Return) -> list[ast.stmt]:
        statements, value = self.expression(cast("ast.expr", node.value))
        return [*statements, changed(node, value=value)]

    def _raise_statement(self, node: ast.Raise) -> list[ast.stmt]:
        statements, (error, cause) = self.operands([node.exc, node.cause])
        return [*statements, changed(node, exc=error, cause=cause)]

    def _assert_statement(self, node: ast.Assert) -> list[ast.stmt]:
        # As the language reference spells `assert` out; the compiler drops it under -O.
        error: ast.expr = runtime_name("AssertionError", node)
        failing: list[ast.stmt] = []
        if node.msg is not None:
            failing, message = self.expression(node.msg)
            error = ast.Call(error, [message], [])
        failing.append(ast.Raise(error, None))
        before, test = self.expression(node.test)
        check = ast.If(ast.UnaryOp(ast.Not(), test), failing, [])
        return [placed(node, ast.If(load("__debug__"), [*before, placed(node, check)], []))]

    def _delete_statement(self, node: ast.Delete) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for target in node.targets:
            before, place = self.expression(target)
            statements += [*before, placed(node, ast.Delete([place]))]
        return statements

    def _if_statement(self, node: ast.If) -> list[ast.stmt]:
        before, test = self.expression(node.test)
        return [*before, changed(node, test=test, body=self.block(node.body), orelse=self.block(node.orelse))]

    def _while_statement(self, node: ast.While) -> list[ast.stmt]:
        if not self.waiting(node.test):
            return [changed(node, body=self.block(node.body), orelse=self.block(node.orelse))]
        before, test = self.expression(node.test)
        leave: list[ast.stmt] = [ast.Break()]
        after: list[ast.stmt] = []
        if node.orelse:
            ended, reset = self._flag(node)
            before = [*reset, *before]
            leave = [assign(ended, ast.Constant(value=True)), ast.Break()]
            after = [placed(node, ast.If(load(ended), self.block(node.orelse), []))]
        stop = placed(node.test, ast.If(ast.UnaryOp(ast.Not(), test), leave, []))
        loop = placed(node, ast.While(ast.Constant(value=True), [*before, stop, *self.block(node.body)], []))
        return [loop, *after]

    def _flag(self, node: ast.stmt) -> tuple[str, list[ast.stmt]]:
        name = self.temporary("e")
        return name, [placed(node, assign(name, ast.Constant(value=False)))]

    def _for_statement(self, node: ast.For) -> list[ast.stmt]:
        before, iterable = self.expression(node.iter)
        if not self.waiting(*node.body, *node.orelse, node.target):
            return [*before, changed(node, iter=iterable)]
        iterator, item = self.temporary("i"), self.temporary("v")
        made = assign(iterator, ast.Call(runtime_name("iter", node.iter), [iterable], []))
        taken = placed(node.target, ast.Assign([node.target], load(item)))
        loop = changed(
            node,
            target=placed(node.target, store(item)),
            iter=placed(node.iter, load(iterator)),
            body=[*self.statement(taken), *self.block(node.body)],
            orelse=self.block(node.orelse),
        )
        return [*before, placed(node.iter, made), loop]

    def _asyncfor_statement(self, node: ast.AsyncFor) -> list[ast.stmt]:
        before, iterable = self.expression(node.iter)
        iterator, item = self.temporary("i"), self.temporary("v")
        made = assign(iterator, ast.Call(runtime_name("aiter", node.iter), [iterable], []))
        step = ast.Call(runtime_name("step", node.iter), [load(iterator)], [])
        following = placed(node.iter, ast.Call(step, [], []))
        awaited = (
            self.numbered(node.iter, following, call=not _iterates_socket(node.iter))
            if node in self.waits
            else ast.Await(following)
        )
        leave: list[ast.stmt] = [ast.Break()]
        start: list[ast.stmt] = []
        after: list[ast.stmt] = []
        if node.orelse:
            ended, start = self._flag(node)
            leave = [assign(ended, ast.Constant(value=True)), ast.Break()]
            after = [placed(node, ast.If(load(ended), self.block(node.orelse), []))]
        stop = ast.ExceptHandler(runtime_name("StopAsyncIteration", node), None, leave)
        attempt = ast.Try([placed(node.iter, assign(item, awaited))], [stop], [], [])
        taken = placed(node.target, ast.Assign([node.target], load(item)))
        body = [placed(node, attempt), *self.statement(taken), *self.block(node.body)]
        loop = placed(node, ast.While(ast.Constant(value=True), body, []))
        return [*before, *start, placed(node.iter, made), loop, *after]

    def _with_statement(self, node: ast.With | ast.AsyncWith) -> list[ast.stmt]:
        first, *rest = node.items
        before, manager = self.expression(first.context_expr)
        inner: list[ast.stmt] = node.body if not rest else [changed(node, items=rest)]
        if not self.waiting(*inner, first.optional_vars):
            item = changed(first, context_expr=manager)
            return [*before, changed(node, items=[item], body=inner)]
        number = self.count = self.count + 1
        name = f".w{number}"
        body: list[ast.stmt] = []
        if first.optional_vars is not None:
            taken = placed(first.optional_vars, ast.Assign([first.optional_vars], load(name)))
            body = self.statement(taken)
            if isinstance(first.optional_vars, ast.Name):
                self.entered[number] = first.optional_vars.id
        item = ast.withitem(manager, placed(first.context_expr, store(name)))
        return [*before, changed(node, items=[item], body=[*body, *self.block(inner)])]

    _asyncwith_statement = _with_statement

    def _try_statement(self, node: ast.Try) -> list[ast.stmt]:
        return [
            changed(
                node,
                body=self.block(node.body),
                handlers=[self._handler(handler) for handler in node.handlers],
                orelse=self.block(node.orelse),
            )
        ]

    def _handler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        if not self.waiting(*node.body):
            return node
        name = self.temporary("x")
        body = self.block(node.body)
        if node.name is not None:
            # As the language reference spells `except … as` out.
            clear = [assign(node.name, ast.Constant(None)), ast.Delete([ast.Name(node.name, ast.Del())])]
            body = [
                placed(node, assign(node.name, load(name))),
                placed(node, ast.Try(body, [], [], [placed(node, step) for step in clear])),
            ]
        return changed(node, name=name, type=node.type or runtime_name("BaseException", node), body=body)

    def _match_statement(self, node: ast.Match) -> list[ast.stmt]:
        before, subject = self.expression(node.subject)
        if not self.waiting(*(case for case in node.cases)):
            return [*before, changed(node, subject=subject)]
        chosen = self.temporary("c")
        cases: list[ast.match_case] = []
        bodies: list[ast.stmt] = []
        for number, case in reversed(list(enumerate(node.cases, start=1))):
            pick = placed(case.body[0], assign(chosen, ast.Constant(number)))
            cases.insert(0, changed(case, body=[pick]))
            test = ast.Compare(load(chosen), [ast.Eq()], [ast.Constant(number)])
            bodies = [placed(case.body[0], ast.If(test, self.block(case.body), bodies))]
        start = placed(node, assign(chosen, ast.Constant(0)))
        return [*before, start, changed(node, subject=subject, cases=cases), *bodies]


def _iterates_socket(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ITERATORS
