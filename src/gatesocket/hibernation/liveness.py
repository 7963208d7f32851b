"""Second pass: which locals are still needed at each point.

Only those are saved. A local that nothing reads any more would cost bytes, and often can't be saved at all: the
response of the last request, another client's socket, the loop variable of a ``for`` that has ended. ::

    async def chat(ws, room):
        greeting = render(room)          # not live below: read once
        await ws.send_text(greeting)
        seen = set()
        while True:
            text = await ws.receive_text()    # live here: ws, room, seen. Not text: it is about to be assigned
            seen.add(text)
            await announce(room, seen)

The analysis is the textbook's, backwards over the linearised syntax tree: what is live before a statement is what it
reads, and what is live after it and not assigned by it; loops are repeated until nothing changes. Any statement may
raise, so what a handler around it reads is live throughout the ``try``. Waking enters blocks again, so what entering
needs stays live inside of them: the context manager's expression, the type of a handler.
"""

import ast
from collections.abc import Iterable
from dataclasses import replace

from gatesocket.hibernation.syntax import PointAwait, children
from gatesocket.hibernation.units import Live
from gatesocket.values import frozen

__all__ = ["liveness"]

_Names = frozenset[str]
_NOTHING: _Names = frozenset()


@frozen
class _Exits:
    """What is live where control can go from inside of a block, other than to the next statement."""

    leave: _Names = _NOTHING
    """After a ``break``."""
    repeat: _Names = _NOTHING
    """After a ``continue``."""
    finish: _Names = _NOTHING
    """After a ``return``."""
    fail: _Names = _NOTHING
    """After an exception; and what entering the block again needs."""


def liveness(statements: list[ast.stmt]) -> dict[int, Live]:
    """Compute, for the number of each point in a linearised body, which names are live there."""
    analysis = _Liveness()
    analysis.block(statements, _NOTHING, _Exits())
    return analysis.points


class _Liveness:
    def __init__(self) -> None:
        self.points: dict[int, Live] = {}

    def block(self, statements: Iterable[ast.stmt], after: _Names, exits: _Exits) -> _Names:
        """Return what is live before *statements*, given what is live after them."""
        for statement in reversed(list(statements)):
            after = self.statement(statement, after, exits) | exits.fail
        return after

    def statement(self, node: ast.stmt, after: _Names, exits: _Exits) -> _Names:
        match node:
            case ast.If(test, body, orelse):
                return reads(test) | self.block(body, after, exits) | self.block(orelse, after, exits)
            case ast.While(test):
                return self._loop(reads(test), _NOTHING, node, after, exits)
            case ast.For(target, iterable) | ast.AsyncFor(target, iterable):
                # What a linearised loop runs over is an iterator, which the loop reads at each turn.
                return self._loop(reads(iterable) | reads(target), _assigned(target), node, after, exits)
            case ast.With(items, body) | ast.AsyncWith(items, body):
                return self._with(items, body, after, exits)
            case ast.Try() | ast.TryStar():
                return self._try(node, after, exits)
            case ast.Match(subject, cases):
                return self._match(subject, cases, after, exits)
            case ast.Return(value):
                return reads(value) | exits.finish
            case ast.Raise():
                return reads(node)
            case ast.Break():
                return exits.leave
            case ast.Continue():
                return exits.repeat
        return self._simple(node, after, exits)

    def _simple(self, node: ast.stmt, after: _Names, exits: _Exits) -> _Names:
        match node:
            case ast.Assign(targets):
                kept = after.difference(*map(_assigned, targets))
            case ast.AnnAssign(target, value=ast.expr()):
                kept = after - _assigned(target)
            case ast.Delete(targets):
                kept = after.difference(*map(_assigned, targets))
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                kept = after - {name}
            case ast.Import(names) | ast.ImportFrom(_, names):
                kept = after - {alias.asname or alias.name.split(".")[0] for alias in names}
            case _:
                kept = after
        read = reads(node)
        point = getattr(node, "value", None)
        if isinstance(point, PointAwait):
            known = self.points.get(point.number, Live(_NOTHING, _NOTHING))
            self.points[point.number] = Live(known.after | kept | exits.fail, known.again | kept | exits.fail | read)
        return kept | read

    def _loop(
        self, head: _Names, assigned: _Names, node: ast.While | ast.For | ast.AsyncFor, after: _Names, exits: _Exits
    ) -> _Names:
        held = _NOTHING if isinstance(node, ast.While) else reads(node.iter)
        otherwise = self.block(node.orelse, after, exits)
        live = head | otherwise
        while True:
            # Waking enters the loop by its head, even if the body would never have come back to it.
            inside = replace(exits, leave=after, repeat=live, fail=exits.fail | held)
            before = live | (self.block(node.body, live, inside) - assigned)
            if before == live:
                return live
            live = before

    def _with(self, items: list[ast.withitem], body: list[ast.stmt], after: _Names, exits: _Exits) -> _Names:
        read = _NOTHING.union(*map(reads, items))
        assigned = _NOTHING.union(*(_assigned(item.optional_vars) for item in items if item.optional_vars))
        # A context manager may swallow an exception: then the next statement is what follows the block.
        inside = replace(exits, fail=exits.fail | after | (read - assigned))
        return read | (self.block(body, after, inside) - assigned)

    def _try(self, node: ast.Try | ast.TryStar, after: _Names, exits: _Exits) -> _Names:
        anywhere = after | exits.leave | exits.repeat | exits.finish | exits.fail
        final = self.block(node.finalbody, anywhere, exits) if node.finalbody else _NOTHING
        types = _NOTHING.union(*(reads(handler.type) for handler in node.handlers))
        around = _Exits(exits.leave | final, exits.repeat | final, exits.finish | final, exits.fail | final | types)
        end = final if node.finalbody else after
        handled = _NOTHING
        for handler in node.handlers:
            name = frozenset({handler.name} if handler.name else ())
            # Waking raises the exception again to come back into its handler.
            again = name if handler.name and handler.name.startswith(".") else _NOTHING
            handled |= self.block(handler.body, end, replace(around, fail=around.fail | again)) - name
        otherwise = self.block(node.orelse, end, around)
        return types | self.block(node.body, otherwise, replace(around, fail=around.fail | handled))

    def _match(self, subject: ast.expr, cases: list[ast.match_case], after: _Names, exits: _Exits) -> _Names:
        live = after
        for case in cases:
            captured = frozenset(
                name
                for child in ast.walk(case.pattern)
                for name in (getattr(child, "name", None), getattr(child, "rest", None))
                if name
            )
            live |= (self.block(case.body, after, exits) | reads(case.guard)) - captured | reads(case.pattern)
        return live | reads(subject)


def _assigned(target: ast.expr) -> _Names:
    """The names that assigning to *target* is sure to set."""
    match target:
        case ast.Name(name):
            return frozenset({name})
        case ast.Tuple(elements) | ast.List(elements):
            return _NOTHING.union(*map(_assigned, elements))
        case ast.Starred(value):
            return _assigned(value)
    return _NOTHING


def reads(node: ast.AST | None) -> _Names:
    """The names of the function itself that *node* reads, now or when a function defined in it is called."""
    match node:
        case None:
            return _NOTHING
        case ast.Name(name, ast.Load() | ast.Del()):  # what isn't there can't be deleted
            return frozenset({name})
        case ast.AugAssign(ast.Name(name), _, value):
            return reads(value) | {name}
        case ast.Lambda(arguments, body):
            return reads(arguments) | (reads(body) - _parameters(arguments))
        case ast.FunctionDef(_, arguments, body) | ast.AsyncFunctionDef(_, arguments, body):
            inner = _NOTHING.union(*map(reads, body))
            # A name that it assigns is its own, unless it is declared `nonlocal`.
            shared = {name for child in ast.walk(node) if isinstance(child, ast.Nonlocal) for name in child.names}
            own = _parameters(arguments) | _NOTHING.union(*map(_stores, body))
            return reads(arguments).union(*map(reads, node.decorator_list)) | (inner - (own - shared)) | shared
        case (
            ast.ListComp(generators=generators)
            | ast.SetComp(generators=generators)
            | ast.GeneratorExp(generators=generators)
            | ast.DictComp(generators=generators)
        ):
            own = _NOTHING.union(*(_stores(generator.target) for generator in generators))
            inner = _NOTHING.union(*map(reads, children(node)))
            return (inner - own) | reads(generators[0].iter)
    return _NOTHING.union(*map(reads, children(node)))


def _parameters(arguments: ast.arguments) -> _Names:
    return frozenset(child.arg for child in ast.walk(arguments) if isinstance(child, ast.arg))


def _stores(node: ast.AST) -> _Names:
    return frozenset(
        child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
    )
