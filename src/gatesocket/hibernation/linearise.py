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
* ``with`` has one context manager, an ``except`` with a point in it has a name for its exception.

What is merely a name, a dotted name or a constant needs no temporary as the function to be called, because looking it
up does nothing: it is looked up when the call is made.
"""

import ast
import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from gatesocket.hibernation.points import ITERATORS, Environment, inside
from gatesocket.hibernation.scan import Refusal, scan
from gatesocket.hibernation.source import FunctionNode

__all__ = ["RUNTIME", "Body", "PointAwait", "linearise", "runtime_name"]

_Node = TypeVar("_Node", bound=ast.AST)
_Loop = ast.For | ast.AsyncFor
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp

RUNTIME = ".gatesocket"
"""The global that transformed code reaches the runtime by."""


class PointAwait(ast.Await):
    """An await that the route can hibernate in."""

    number: int
    """From 1, in the order of the source."""
    call: bool
    """Whether what is awaited may be a coroutine of the user's, not just the socket's receive."""
    text: str
    """The source of what is awaited."""


@dataclass(frozen=True, slots=True)
class Body:
    """The linearised body of a function."""

    statements: list[ast.stmt]
    points: list[PointAwait]
    calls: list[ast.Call]
    """The calls of functions that are known, and that may wait for the client."""
    refusals: list[Refusal]
    maybes: list[Refusal]
    """What is refused only if it turns out to wait for the client."""
    entered: dict[int, str]
    """The local that a ``with`` block gives its value to, by the number of the block."""


def linearise(node: FunctionNode, environment: Environment, cells: Iterable[str]) -> Body:
    """Linearise the body of *node*, whose variables *cells* are shared with other functions."""
    found = scan(node, environment)
    if found.refusals:
        return Body([], [], found.calls, found.refusals, found.maybes, {})
    work = _Lineariser(environment, found.waits, frozenset(cells))
    statements = work.block(node.body)
    return Body(statements, work.points, found.calls, [], found.maybes, work.entered)


def runtime_name(name: str, like: ast.AST) -> ast.expr:
    """Make the expression for something that the runtime provides."""
    return _at(like, ast.Attribute(ast.Name(RUNTIME, ast.Load()), name, ast.Load()))


def _at(like: ast.AST, node: _Node) -> _Node:
    """Give *node* the place of *like* in the source, so that tracebacks point at the user's line."""
    return ast.fix_missing_locations(ast.copy_location(node, like))


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def _changed(node: _Node, **fields: Any) -> _Node:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


_OPERANDS: dict[type[ast.expr], tuple[str, ...]] = {
    ast.Attribute: ("value",),
    ast.Await: ("value",),
    ast.BinOp: ("left", "right"),
    ast.FormattedValue: ("value", "format_spec"),
    ast.JoinedStr: ("values",),
    ast.List: ("elts",),
    ast.Set: ("elts",),
    ast.Slice: ("lower", "upper", "step"),
    ast.Starred: ("value",),
    ast.Subscript: ("value", "slice"),
    ast.Tuple: ("elts",),
    ast.UnaryOp: ("operand",),
}
"""The fields that hold the operands, in the order of their evaluation; other expressions have a method of their own."""


class _Lineariser:
    def __init__(self, environment: Environment, waits: Iterable[ast.AST], cells: frozenset[str]) -> None:
        self.environment = environment
        self.waits = set(waits)
        self.cells = cells
        self.count = 0
        self.points: list[PointAwait] = []
        self.entered: dict[int, str] = {}

    def waiting(self, *nodes: ast.AST | None) -> bool:
        """Whether there is a point in *nodes*."""
        return any(child in self.waits for child in inside(*filter(None, nodes)))

    # Temporaries and points.

    def temporary(self, kind: str = "t") -> str:
        self.count += 1
        return f".{kind}{self.count}"

    def pin(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """Evaluate *node* now, and keep the value in a temporary."""
        if isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.startswith(".")):
            return [], node
        name = self.temporary()
        if isinstance(node, ast.Starred):
            spread = ast.List([node], ast.Load())
            return [_at(node, ast.Assign([_store(name)], spread))], _at(node, ast.Starred(_load(name), ast.Load()))
        if isinstance(node, ast.FormattedValue):
            # An f-string formats each value before it evaluates the next.
            formatted = ast.FormattedValue(_load(name), -1, None)
            return [_at(node, ast.Assign([_store(name)], ast.JoinedStr([node])))], _at(node, formatted)
        if isinstance(node, ast.Slice):
            statements, parts = self.operands([node.lower, node.upper, node.step], last=True)
            lower, upper, step = parts
            return statements, _changed(node, lower=lower, upper=upper, step=step)
        return [_at(node, ast.Assign([_store(name)], node))], _at(node, _load(name))

    def point(self, node: ast.Await) -> tuple[list[ast.stmt], PointAwait]:
        """Make the operands of an await ready, so that waking can make the call again without evaluating them again."""
        statements: list[ast.stmt] = []
        awaited = node.value
        call = True
        if isinstance(awaited, ast.Call):
            statements, awaited = self.call(awaited, again=True)
            call = not self.environment.is_receive(node.value)
        elif self.waiting(awaited):
            statements, awaited = self.expression(awaited)
        return statements, self.numbered(node, awaited, call=call)

    def numbered(self, like: ast.expr, awaited: ast.expr, *, call: bool) -> PointAwait:
        point = _at(like, PointAwait(awaited))
        point.call = call
        point.text = ast.unparse(like.value if isinstance(like, ast.Await) else like)
        self.points.append(point)
        point.number = len(self.points)
        return point

    # Expressions: the statements to run first, and an expression without a point.

    def expression(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        if not self.waiting(node):
            return [], node
        if isinstance(node, ast.Await) and node in self.waits:
            statements, point = self.point(node)
            name = self.temporary()
            return [*statements, _at(node, ast.Assign([_store(name)], point))], _at(node, _load(name))
        if type(node) in _OPERANDS:
            return self._plain(node)
        special: Callable[[Any], tuple[list[ast.stmt], ast.expr]] = getattr(self, f"_{type(node).__name__.lower()}")
        return special(node)

    def operands(
        self, nodes: Sequence[ast.expr | None], *, last: bool = False
    ) -> tuple[list[ast.stmt], list[ast.expr | None]]:
        """Linearise expressions that are evaluated one after the other.

        What comes before a later point is pinned; with *last*, everything that isn't trivial is.
        """
        statements: list[ast.stmt] = []
        results: list[ast.expr | None] = []
        for position, node in enumerate(nodes):
            if node is None:
                results.append(None)
                continue
            before, result = self.expression(node)
            statements += before
            rest = [other for other in nodes[position + 1 :] if other is not None]
            if (self.waiting(*rest) and not self._keeps(result, rest)) or (last and not _trivial(result)):
                before, result = self.pin(result)
                statements += before
            results.append(result)
        return statements, results

    def _keeps(self, node: ast.expr, rest: Sequence[ast.expr]) -> bool:
        """Whether *node* is sure to have the same value after *rest* was evaluated as before."""
        if isinstance(node, ast.Constant):
            return True
        if not isinstance(node, ast.Name) or node.id not in self.environment.locals or node.id in self.cells:
            return False
        return not any(isinstance(child, ast.NamedExpr) and child.target.id == node.id for child in inside(*rest))

    def _plain(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        fields = _OPERANDS[type(node)]
        flat: list[ast.expr | None] = []
        for field in fields:
            value = getattr(node, field)
            flat += value if isinstance(value, list) else [value]
        statements, results = self.operands(flat)
        changes: dict[str, Any] = {}
        for field in fields:
            value = getattr(node, field)
            size = len(value) if isinstance(value, list) else 1
            part, results = results[:size], results[size:]
            changes[field] = part if isinstance(value, list) else part[0]
        return statements, _changed(node, **changes)

    def _call(self, node: ast.Call) -> tuple[list[ast.stmt], ast.expr]:
        return self.call(node, again=False)

    def call(self, node: ast.Call, *, again: bool) -> tuple[list[ast.stmt], ast.Call]:
        """Linearise a call; with *again*, so that it can be made a second time without evaluating its operands."""
        values: list[ast.expr | None] = [*node.args]
        for keyword in node.keywords:
            # `**kw()` is unpacked when it is evaluated.
            spread = ast.Dict([None], [keyword.value]) if keyword.arg is None else keyword.value
            values.append(_at(keyword.value, spread))
        function = node.func
        before: list[ast.stmt] = []
        if not _dotted(function):
            if isinstance(function, ast.Attribute):
                before, base = self.expression(function.value)
                if again or self.waiting(*values):
                    more, base = self.pin(base)
                    before += more
                function = _changed(function, value=base)
            else:
                before, function = self.expression(function)
                if again or self.waiting(*values):
                    more, function = self.pin(function)
                    before += more
        statements, results = self.operands(values, last=again)
        arguments = results[: len(node.args)]
        keywords = [
            _changed(keyword, value=value)
            for keyword, value in zip(node.keywords, results[len(node.args) :], strict=True)
        ]
        return before + statements, _changed(node, func=function, args=arguments, keywords=keywords)

    def _dict(self, node: ast.Dict) -> tuple[list[ast.stmt], ast.expr]:
        flat: list[ast.expr | None] = []
        for key, value in zip(node.keys, node.values, strict=True):
            flat += [key, value if key is not None else _at(value, ast.Dict([None], [value]))]
        statements, results = self.operands(flat)
        return statements, _changed(node, keys=results[::2], values=results[1::2])

    def _namedexpr(self, node: ast.NamedExpr) -> tuple[list[ast.stmt], ast.expr]:
        before, value = self.expression(node.value)
        pinned, value = self.pin(value)
        return [*before, *pinned, _at(node, ast.Assign([node.target], value))], value

    def _boolop(self, node: ast.BoolOp) -> tuple[list[ast.stmt], ast.expr]:
        name = self.temporary()
        first, *rest = node.values
        before, value = self.expression(first)
        statements = [*before, _at(first, ast.Assign([_store(name)], value))]
        test: ast.expr = _load(name)
        if isinstance(node.op, ast.Or):
            test = ast.UnaryOp(ast.Not(), test)
        others = rest[0] if len(rest) == 1 else _changed(node, values=rest)
        before, value = self.expression(others)
        body = [*before, _at(others, ast.Assign([_store(name)], value))]
        return [*statements, _at(node, ast.If(test, body, []))], _at(node, _load(name))

    def _ifexp(self, node: ast.IfExp) -> tuple[list[ast.stmt], ast.expr]:
        name = self.temporary()
        before, test = self.expression(node.test)
        branches = []
        for branch in (node.body, node.orelse):
            statements, value = self.expression(branch)
            branches.append([*statements, _at(branch, ast.Assign([_store(name)], value))])
        return [*before, _at(node, ast.If(test, branches[0], branches[1]))], _at(node, _load(name))

    def _compare(self, node: ast.Compare) -> tuple[list[ast.stmt], ast.expr]:
        if len(node.ops) == 1:
            statements, (left, right) = self.operands([node.left, node.comparators[0]])
            return statements, _changed(node, left=left, comparators=[right])
        # a < b < c: b is evaluated once, and c only if a < b.
        name = self.temporary()
        statements, (left, right) = self.operands([node.left, node.comparators[0]])
        pinned, right = self.pin(cast("ast.expr", right))
        first = _changed(node, left=left, ops=node.ops[:1], comparators=[right])
        before, value = self.expression(_changed(node, left=right, ops=node.ops[1:], comparators=node.comparators[1:]))
        more = [*before, _at(node, ast.Assign([_store(name)], value))]
        statements += [
            *pinned,
            _at(node, ast.Assign([_store(name)], first)),
            _at(node, ast.If(_load(name), more, [])),
        ]
        return statements, _at(node, _load(name))

    def _generatorexp(self, node: ast.GeneratorExp | _Comprehension) -> tuple[list[ast.stmt], ast.expr]:
        # Only the first iterable is evaluated here and now; a point elsewhere in a generator was refused.
        first, *rest = node.generators
        before, iterable = self.expression(first.iter)
        return before, _changed(node, generators=[_changed(first, iter=iterable), *rest])

    def _listcomp(self, node: ast.ListComp) -> tuple[list[ast.stmt], ast.expr]:
        return self._comprehension(node, ast.List([], ast.Load()), "append", [node.elt])

    def _setcomp(self, node: ast.SetComp) -> tuple[list[ast.stmt], ast.expr]:
        return self._comprehension(node, _at(node, ast.Call(runtime_name("set", node), [], [])), "add", [node.elt])

    def _dictcomp(self, node: ast.DictComp) -> tuple[list[ast.stmt], ast.expr]:
        return self._comprehension(node, ast.Dict([], []), "__setitem__", [node.key, node.value])

    def _comprehension(
        self, node: _Comprehension, empty: ast.expr, method: str, elements: list[ast.expr]
    ) -> tuple[list[ast.stmt], ast.expr]:
        """Write a comprehension as the loops that it stands for, its variables renamed to temporaries."""
        first, *rest = node.generators
        if first not in self.waits and not self.waiting(*elements, *first.ifs, *rest):
            return self._generatorexp(node)
        result = self.temporary()
        targets = {
            child.id: self.temporary("v")
            for generator in node.generators
            for child in ast.walk(generator.target)
            if isinstance(child, ast.Name)
        }
        renamed = _Renamed(targets, self.waits)
        call = ast.Call(
            ast.Attribute(_load(result), method, ast.Load()), [renamed.visit(element) for element in elements], []
        )
        body: list[ast.stmt] = [_at(node, ast.Expr(call))]
        for position, generator in reversed(list(enumerate(node.generators))):
            for test in reversed(generator.ifs):
                body = [_at(test, ast.If(renamed.visit(test), body, []))]
            # The first iterable is evaluated outside: a variable of the same name is another one there.
            iterable = renamed.visit(generator.iter) if position else generator.iter
            target = renamed.visit(generator.target)
            loop: _Loop = (ast.AsyncFor if generator.is_async else ast.For)(target, iterable, body, [])
            if generator in self.waits:
                self.waits.add(loop)
            body = [_at(generator.iter, loop)]
        return (
            [_at(node, ast.Assign([_store(result)], empty)), *self.block(body)],
            _at(node, _load(result)),
        )

    # Statements.

    def block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        return [result for statement in statements for result in self.statement(statement)]

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        if not self.waiting(node):
            return [node]
        method: Callable[[Any], list[ast.stmt]] = getattr(self, f"_{type(node).__name__.lower()}_statement")
        return method(node)

    def _expr_statement(self, node: ast.Expr) -> list[ast.stmt]:
        if node.value in self.waits and isinstance(node.value, ast.Await):
            statements, point = self.point(node.value)
            return [*statements, _changed(node, value=point)]
        statements, value = self.expression(node.value)
        return [*statements, _changed(node, value=value)]

    def _assign_statement(self, node: ast.Assign) -> list[ast.stmt]:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            statements, value = self._value(node.value)
            return [*statements, _changed(node, value=value)]
        statements, value = self.expression(node.value)
        if not self.waiting(*node.targets):
            return [*statements, _changed(node, value=value)]
        pinned, value = self.pin(value)
        statements += pinned
        for target in node.targets:
            before, place = self.expression(target)
            statements += [*before, _at(node, ast.Assign([place], value))]
        return statements

    def _annassign_statement(self, node: ast.AnnAssign) -> list[ast.stmt]:
        # An annotation in a function is not evaluated, and a value is here, or nothing would wait.
        value = node.value or ast.Constant(None)
        return self._assign_statement(_at(node, ast.Assign([node.target], value)))

    def _value(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        if isinstance(node, ast.Await) and node in self.waits:
            return self.point(node)
        return self.expression(node)

    def _augassign_statement(self, node: ast.AugAssign) -> list[ast.stmt]:
        target = node.target
        statements: list[ast.stmt] = []
        if isinstance(target, ast.Attribute):
            statements, base = self.operands([target.value], last=True)
            place: ast.expr = _changed(target, value=base[0])
        elif isinstance(target, ast.Subscript):
            statements, parts = self.operands([target.value, target.slice], last=True)
            place = _changed(target, value=parts[0], slice=parts[1])
        elif self._keeps(_load(target.id), [node.value]):
            statements, value = self.expression(node.value)
            return [*statements, _changed(node, value=value)]
        else:
            place = target
        # The old value is read before the right side is evaluated.
        name = self.temporary()
        statements.append(_at(node, ast.Assign([_store(name)], _changed(place, ctx=ast.Load()))))
        before, value = self.expression(node.value)
        return [
            *statements,
            *before,
            _at(node, ast.AugAssign(_store(name), node.op, value)),
            _at(node, ast.Assign([place], _load(name))),
        ]

    def _return_statement(self, node: ast.Return) -> list[ast.stmt]:
        statements, value = self.expression(cast("ast.expr", node.value))
        return [*statements, _changed(node, value=value)]

    def _raise_statement(self, node: ast.Raise) -> list[ast.stmt]:
        statements, (error, cause) = self.operands([node.exc, node.cause])
        return [*statements, _changed(node, exc=error, cause=cause)]

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
        return [_at(node, ast.If(_load("__debug__"), [*before, _at(node, check)], []))]

    def _delete_statement(self, node: ast.Delete) -> list[ast.stmt]:
        statements: list[ast.stmt] = []
        for target in node.targets:
            before, place = self.expression(target)
            statements += [*before, _at(node, ast.Delete([place]))]
        return statements

    def _if_statement(self, node: ast.If) -> list[ast.stmt]:
        before, test = self.expression(node.test)
        return [*before, _changed(node, test=test, body=self.block(node.body), orelse=self.block(node.orelse))]

    def _while_statement(self, node: ast.While) -> list[ast.stmt]:
        if not self.waiting(node.test):
            return [_changed(node, body=self.block(node.body), orelse=self.block(node.orelse))]
        before, test = self.expression(node.test)
        leave: list[ast.stmt] = [ast.Break()]
        after: list[ast.stmt] = []
        if node.orelse:
            ended, reset = self._flag(node)
            before = [*reset, *before]
            leave = [ast.Assign([_store(ended)], ast.Constant(value=True)), ast.Break()]
            after = [_at(node, ast.If(_load(ended), self.block(node.orelse), []))]
        stop = _at(node.test, ast.If(ast.UnaryOp(ast.Not(), test), leave, []))
        loop = _at(node, ast.While(ast.Constant(value=True), [*before, stop, *self.block(node.body)], []))
        return [loop, *after]

    def _flag(self, node: ast.stmt) -> tuple[str, list[ast.stmt]]:
        name = self.temporary("e")
        return name, [_at(node, ast.Assign([_store(name)], ast.Constant(value=False)))]

    def _for_statement(self, node: ast.For) -> list[ast.stmt]:
        before, iterable = self.expression(node.iter)
        if not self.waiting(*node.body, *node.orelse, node.target):
            return [*before, _changed(node, iter=iterable)]
        iterator, item = self.temporary("i"), self.temporary("v")
        made = ast.Assign([_store(iterator)], ast.Call(runtime_name("iter", node.iter), [iterable], []))
        taken = _at(node.target, ast.Assign([node.target], _load(item)))
        loop = _changed(
            node,
            target=_at(node.target, _store(item)),
            iter=_at(node.iter, _load(iterator)),
            body=[*self.statement(taken), *self.block(node.body)],
            orelse=self.block(node.orelse),
        )
        return [*before, _at(node.iter, made), loop]

    def _asyncfor_statement(self, node: ast.AsyncFor) -> list[ast.stmt]:
        before, iterable = self.expression(node.iter)
        iterator, item = self.temporary("i"), self.temporary("v")
        made = ast.Assign([_store(iterator)], ast.Call(runtime_name("aiter", node.iter), [iterable], []))
        step = ast.Call(runtime_name("step", node.iter), [_load(iterator)], [])
        following = _at(node.iter, ast.Call(step, [], []))
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
            leave = [ast.Assign([_store(ended)], ast.Constant(value=True)), ast.Break()]
            after = [_at(node, ast.If(_load(ended), self.block(node.orelse), []))]
        stop = ast.ExceptHandler(runtime_name("StopAsyncIteration", node), None, leave)
        attempt = ast.Try([_at(node.iter, ast.Assign([_store(item)], awaited))], [stop], [], [])
        taken = _at(node.target, ast.Assign([node.target], _load(item)))
        body = [_at(node, attempt), *self.statement(taken), *self.block(node.body)]
        loop = _at(node, ast.While(ast.Constant(value=True), body, []))
        return [*before, *start, _at(node.iter, made), loop, *after]

    def _with_statement(self, node: ast.With | ast.AsyncWith) -> list[ast.stmt]:
        first, *rest = node.items
        before, manager = self.expression(first.context_expr)
        inner: list[ast.stmt] = node.body if not rest else [_changed(node, items=rest)]
        if not self.waiting(*inner, first.optional_vars):
            item = _changed(first, context_expr=manager)
            return [*before, _changed(node, items=[item], body=inner)]
        number = self.count = self.count + 1
        name = f".w{number}"
        body: list[ast.stmt] = []
        if first.optional_vars is not None:
            taken = _at(first.optional_vars, ast.Assign([first.optional_vars], _load(name)))
            body = self.statement(taken)
            if isinstance(first.optional_vars, ast.Name):
                self.entered[number] = first.optional_vars.id
        item = ast.withitem(manager, _at(first.context_expr, _store(name)))
        return [*before, _changed(node, items=[item], body=[*body, *self.block(inner)])]

    _asyncwith_statement = _with_statement

    def _try_statement(self, node: ast.Try) -> list[ast.stmt]:
        return [
            _changed(
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
            clear = [ast.Assign([_store(node.name)], ast.Constant(None)), ast.Delete([ast.Name(node.name, ast.Del())])]
            body = [
                _at(node, ast.Assign([_store(node.name)], _load(name))),
                _at(node, ast.Try(body, [], [], [_at(node, step) for step in clear])),
            ]
        return _changed(node, name=name, type=node.type or runtime_name("BaseException", node), body=body)

    def _match_statement(self, node: ast.Match) -> list[ast.stmt]:
        before, subject = self.expression(node.subject)
        if not self.waiting(*(case for case in node.cases)):
            return [*before, _changed(node, subject=subject)]
        chosen = self.temporary("c")
        cases: list[ast.match_case] = []
        bodies: list[ast.stmt] = []
        for number, case in reversed(list(enumerate(node.cases, start=1))):
            pick = _at(case.body[0], ast.Assign([_store(chosen)], ast.Constant(number)))
            cases.insert(0, _changed(case, body=[pick]))
            test = ast.Compare(_load(chosen), [ast.Eq()], [ast.Constant(number)])
            bodies = [_at(case.body[0], ast.If(test, self.block(case.body), bodies))]
        start = _at(node, ast.Assign([_store(chosen)], ast.Constant(0)))
        return [*before, start, _changed(node, subject=subject, cases=cases), *bodies]


class _Renamed(ast.NodeTransformer):
    """A copy of an expression with some variables renamed; what waits in it is noted for the copies as well."""

    def __init__(self, names: dict[str, str], waits: set[ast.AST]) -> None:
        self.names = names
        self.waits = waits

    def visit(self, node: ast.AST) -> Any:
        copied = self.generic_visit(copy.copy(node))
        if node in self.waits:
            self.waits.add(copied)
        if isinstance(copied, ast.Name):
            copied.id = self.names.get(copied.id, copied.id)
        return copied

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, field, [self.visit(item) if isinstance(item, ast.AST) else item for item in value])
            elif isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
        return node


def _dotted(node: ast.expr) -> bool:
    """Whether *node* is a name or a dotted name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _trivial(node: ast.expr) -> bool:
    """Whether evaluating *node* again on waking does nothing and gives the same."""
    return isinstance(node, ast.Constant) or _dotted(node)


def _iterates_socket(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ITERATORS
