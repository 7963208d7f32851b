"""Expressions with a point in them: what has to run first, and what is left.

Every method here turns an expression into statements that come before it, and an expression without a point that has
its value afterwards. Operands keep their order: as soon as a later one waits, what was evaluated before it is *pinned*,
kept in a temporary. What runs only sometimes, the right side of ``and``, a branch of ``a if b else c``, becomes an
``if``; a comprehension becomes the loops that it stands for.
"""

import ast
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeGuard, cast

from gatesocket.hibernation.meanings import Wait
from gatesocket.hibernation.points import Environment
from gatesocket.hibernation.syntax import PointAwait, assign, changed, inside, load, placed, runtime_name, store

__all__ = ["Expressions"]

_Loop = ast.For | ast.AsyncFor
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp

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


class Expressions(ABC):
    """The half of the first pass that looks into expressions; the other half gives it `block`."""

    def __init__(self, environment: Environment, waits: Iterable[ast.AST], cells: frozenset[str]) -> None:
        self.environment = environment
        self.waits = set(waits)
        self.cells = cells
        self.count = 0
        self.points: list[PointAwait] = []
        self.entered: dict[int, str] = {}

    def waiting(self, *nodes: ast.AST | None) -> bool:
        """Whether there is a point in *nodes*."""
        return not self.waits.isdisjoint(inside(*filter(None, nodes)))

    # Temporaries and points.

    def temporary(self, kind: str = "t") -> str:
        """Make a name that nobody can have chosen."""
        self.count += 1
        return f".{kind}{self.count}"

    def pin(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """Evaluate *node* now, and keep the value in a temporary."""
        if isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.startswith(".")):
            return [], node
        name = self.temporary()
        if isinstance(node, ast.Starred):
            spread = ast.List([node], ast.Load())
            return [placed(node, assign(name, spread))], placed(node, ast.Starred(load(name), ast.Load()))
        if isinstance(node, ast.FormattedValue):
            # An f-string formats each value before it evaluates the next.
            formatted = ast.FormattedValue(load(name), -1, None)
            return [placed(node, assign(name, ast.JoinedStr([node])))], placed(node, formatted)
        if isinstance(node, ast.Slice):
            statements, parts = self.operands([node.lower, node.upper, node.step], last=True)
            lower, upper, step = parts
            return statements, changed(node, lower=lower, upper=upper, step=step)
        return [placed(node, assign(name, node))], placed(node, load(name))

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
        """Make the point at *like*, with the next number."""
        point = placed(like, PointAwait(awaited))
        point.call = call
        point.text = ast.unparse(like.value if isinstance(like, ast.Await) else like)
        point.timed = isinstance(like, ast.Await) and (
            self.limited(like) is not None or self.environment.wait(like) is Wait.TIME
        )
        self.points.append(point)
        point.number = len(self.points)
        return point

    def is_point(self, node: ast.expr) -> TypeGuard[ast.Await]:
        """Whether *node* is an await that becomes a point as it stands."""
        return isinstance(node, ast.Await) and node in self.waits and self.limited(node) is None

    def limited(self, node: ast.expr) -> tuple[ast.Call, ast.expr] | None:
        """What *node* awaits, and its limit, if it awaits that through `asyncio.wait_for`; None otherwise."""
        if isinstance(node, ast.Await) and node in self.waits and isinstance(node.value, ast.Call):
            return self.environment.limited(node.value)
        return None

    def _wait_for(self, node: ast.expr, call: ast.Call, limit: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """Await *call* in a block with a deadline, so that the deadline is kept as any block's is."""
        before, awaited = self.call(call, again=True)
        statements, arguments = self.operands([limit], last=True)
        point = self.numbered(node, awaited, call=not self.environment.is_receive(call))
        name, block = self.temporary(), self.temporary("w")
        manager = ast.Call(runtime_name("limit", node), cast("list[ast.expr]", arguments), [])
        within = ast.AsyncWith([ast.withitem(manager, store(block))], [assign(name, point)])
        return [*before, *statements, placed(node, within)], placed(node, load(name))

    # By the kind of the expression.

    def expression(self, node: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """Linearise an expression: the statements to run first, and what has its value after them."""
        if not self.waiting(node):
            return [], node
        if self.is_point(node):
            statements, point = self.point(node)
            name = self.temporary()
            return [*statements, placed(node, assign(name, point))], placed(node, load(name))
        if (limited := self.limited(node)) is not None:
            return self._wait_for(node, *limited)
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

    def _may_become_another(self, function: ast.expr, rest: Sequence[ast.expr | None]) -> bool:
        """Whether the variable that *function* begins with may be set while *rest* is evaluated."""
        name = next(child for child in ast.walk(function) if isinstance(child, ast.Name))
        values = [value for value in rest if value is not None]
        return name.id in self.environment.locals and self.waiting(*values) and not self._keeps(name, values)

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
        return statements, changed(node, **changes)

    def _call(self, node: ast.Call) -> tuple[list[ast.stmt], ast.expr]:
        return self.call(node, again=False)

    def call(self, node: ast.Call, *, again: bool) -> tuple[list[ast.stmt], ast.Call]:
        """Linearise a call; with *again*, so that it can be made a second time without evaluating its operands."""
        values: list[ast.expr | None] = [*node.args]
        for keyword in node.keywords:
            # `**kw()` is unpacked when it is evaluated.
            spread = ast.Dict([None], [keyword.value]) if keyword.arg is None else keyword.value
            values.append(placed(keyword.value, spread))
        function = node.func
        before: list[ast.stmt] = []
        if not _dotted(function) or self._may_become_another(function, values):
            if isinstance(function, ast.Attribute):
                before, base = self.expression(function.value)
                if again or self.waiting(*values):
                    more, base = self.pin(base)
                    before += more
                function = changed(function, value=base)
            else:
                before, function = self.expression(function)
                if again or self.waiting(*values):
                    more, function = self.pin(function)
                    before += more
        statements, results = self.operands(values, last=again)
        arguments = results[: len(node.args)]
        keywords = [
            changed(keyword, value=value)
            for keyword, value in zip(node.keywords, results[len(node.args) :], strict=True)
        ]
        return before + statements, changed(node, func=function, args=arguments, keywords=keywords)

    def _dict(self, node: ast.Dict) -> tuple[list[ast.stmt], ast.expr]:
        flat: list[ast.expr | None] = []
        for key, value in zip(node.keys, node.values, strict=True):
            flat += [key, value if key is not None else placed(value, ast.Dict([None], [value]))]
        statements, results = self.operands(flat)
        return statements, changed(node, keys=results[::2], values=results[1::2])

    def _namedexpr(self, node: ast.NamedExpr) -> tuple[list[ast.stmt], ast.expr]:
        before, value = self.expression(node.value)
        pinned, value = self.pin(value)
        return [*before, *pinned, placed(node, ast.Assign([node.target], value))], value

    def _boolop(self, node: ast.BoolOp) -> tuple[list[ast.stmt], ast.expr]:
        name = self.temporary()
        first, *rest = node.values
        before, value = self.expression(first)
        statements = [*before, placed(first, assign(name, value))]
        test: ast.expr = load(name)
        if isinstance(node.op, ast.Or):
            test = ast.UnaryOp(ast.Not(), test)
        others = rest[0] if len(rest) == 1 else changed(node, values=rest)
        before, value = self.expression(others)
        body = [*before, placed(others, assign(name, value))]
        return [*statements, placed(node, ast.If(test, body, []))], placed(node, load(name))

    def _ifexp(self, node: ast.IfExp) -> tuple[list[ast.stmt], ast.expr]:
        name = self.temporary()
        before, test = self.expression(node.test)
        branches = []
        for branch in (node.body, node.orelse):
            statements, value = self.expression(branch)
            branches.append([*statements, placed(branch, assign(name, value))])
        return [*before, placed(node, ast.If(test, branches[0], branches[1]))], placed(node, load(name))

    def _compare(self, node: ast.Compare) -> tuple[list[ast.stmt], ast.expr]:
        if len(node.ops) == 1:
            statements, (left, right) = self.operands([node.left, node.comparators[0]])
            return statements, changed(node, left=left, comparators=[right])
        # a < b < c: b is evaluated once, and c only if a < b.
        name = self.temporary()
        statements, (left, right) = self.operands([node.left, node.comparators[0]])
        pinned, right = self.pin(cast("ast.expr", right))
        first = changed(node, left=left, ops=node.ops[:1], comparators=[right])
        before, value = self.expression(changed(node, left=right, ops=node.ops[1:], comparators=node.comparators[1:]))
        more = [*before, placed(node, assign(name, value))]
        statements += [
            *pinned,
            placed(node, assign(name, first)),
            placed(node, ast.If(load(name), more, [])),
        ]
        return statements, placed(node, load(name))

    def _generatorexp(self, node: ast.GeneratorExp | _Comprehension) -> tuple[list[ast.stmt], ast.expr]:
        # Only the first iterable is evaluated here and now; a point elsewhere in a generator was refused.
        first, *rest = node.generators
        before, iterable = self.expression(first.iter)
        return before, changed(node, generators=[changed(first, iter=iterable), *rest])

    def _listcomp(self, node: ast.ListComp) -> tuple[list[ast.stmt], ast.expr]:
        return self._comprehension(node, ast.List([], ast.Load()), "append", [node.elt])

    def _setcomp(self, node: ast.SetComp) -> tuple[list[ast.stmt], ast.expr]:
        return self._comprehension(node, placed(node, ast.Call(runtime_name("set", node), [], [])), "add", [node.elt])

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
            ast.Attribute(load(result), method, ast.Load()), [renamed.visit(element) for element in elements], []
        )
        body: list[ast.stmt] = [placed(node, ast.Expr(call))]
        for position, generator in reversed(list(enumerate(node.generators))):
            for test in reversed(generator.ifs):
                body = [placed(test, ast.If(renamed.visit(test), body, []))]
            # The first iterable is evaluated outside: a variable of the same name is another one there.
            iterable = renamed.visit(generator.iter) if position else generator.iter
            target = renamed.visit(generator.target)
            loop: _Loop = (ast.AsyncFor if generator.is_async else ast.For)(target, iterable, body, [])
            if generator in self.waits:
                self.waits.add(loop)
            body = [placed(generator.iter, loop)]
        return (
            [placed(node, assign(result, empty)), *self.block(body)],
            placed(node, load(result)),
        )

    @abstractmethod
    def block(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        """Linearise statements."""


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
