"""Third pass: make a function that can start in its middle.

The linearised function gets a *resume point* ``.at``: 0 when it is called by somebody, the number of a point when it is
woken. Until the point is reached, every statement that doesn't lead to it is skipped::

    async def chat(ws: WebSocket, room):          async def chat(ws: WebSocket, room):
        seen = set()                                  .a = .gatesocket.begin("app:chat#3f2a…")
        while True:                                   .at = .a.at
            text = await ws.receive_text()            if .at:
            if text in seen:                              .s = .a.saved
                continue                                  if "room" in .s: room = .s["room"]
            seen.add(text)                                if "seen" in .s: seen = .s["seen"]
            await announce(room, text)                    if "ws" in .s: ws = .s["ws"]
                                                      try:
                                                          if not .at:
                                                              seen = set()
                                                          while .at == 1 if .at else True:
                                                              .p = 1
                                                              .at = 0
                                                              text = await ws.receive_text()
                                                              if text in seen:
                                                                  continue
                                                              seen.add(text)
                                                              await announce(room, text)
                                                      except .gatesocket.Hibernate:
                                                          if .a.ends: return None
                                                          raise

(``announce`` was looked into, and doesn't wait for the client: it is no point.) The rules, in full:

* a statement without a point that comes before one is guarded by ``if not .at``;
* the test of an ``if`` or ``while`` becomes "if waking, is the point in my body; else, the test";
* a ``for`` goes on with its iterator, and its first item is the one it had;
* a ``try`` is entered; for a point in a handler, the saved exception is raised again as its first statement;
* a ``with`` is entered again, through `gatesocket.hibernation.blocks`.

At the point the call is made again: a receive then gets the message that woke us, and a framework goes its way down
again. If what was awaited is itself a transformed function, it is continued directly (``.a.next()``) and its
arguments aren't needed any more.

Hibernation leaves the function by an exception of its own. In transformed code no handler sees it and no ``finally``
runs for it. When no run is active, as under uvicorn, ``.at`` is 0 and nothing else differs.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType
from typing import cast

from gatesocket.hibernation.codes import module_of
from gatesocket.hibernation.entry import RUNTIME
from gatesocket.hibernation.linearise import Body, linearise
from gatesocket.hibernation.liveness import liveness
from gatesocket.hibernation.points import environment_of
from gatesocket.hibernation.source import digest, locate
from gatesocket.hibernation.syntax import PointAwait, assign, children, load, placed, runtime_name
from gatesocket.hibernation.units import Live, Point, Unit

__all__ = ["transform"]


def transform(function: FunctionType) -> Unit:
    """Make a unit of *function*, which isn't changed.

    Raises:
        NoSource: its source can't be had.
    """
    source = locate(function)
    node, code = source.node, source.code
    environment = environment_of(function, node)
    body = linearise(node, environment, code.co_cellvars + code.co_freevars)
    # Which awaits are points, and so what numbers they have, depends on what the functions do that they call: after
    # such a one has changed, a number may mean another place in the same source.
    places = [f"{point.text}, timed" if point.timed else point.text for point in body.points]
    key = f"{module_of(function)}:{code.co_qualname}#{digest(source.digest, *places)}"
    points: dict[int, Point] = {}
    compiled = code
    if body.points and not body.refusals:
        live = _locals_only(liveness(body.statements), code)
        points = {
            point.number: Point(
                point.number,
                (point.lineno, point.end_lineno or 0, point.col_offset, point.end_col_offset or 0),
                point.text,
                live[point.number],
            )
            for point in body.points
        }
        changed = ast.AsyncFunctionDef(
            **{field: getattr(node, field) for field in node._fields if field != "body"},
            body=_assemble(key, body, live, code),
        )
        compiled = source.compile(ast.copy_location(changed, node))
    return Unit(
        key,
        code,
        compiled,
        points,
        body.entered,
        tuple(body.calls),
        tuple(body.refusals),
        tuple(body.maybes),
        environment.meanings.told(),
    )


def _locals_only(live: Mapping[int, Live], code: CodeType) -> dict[int, Live]:
    own = {*code.co_varnames, *code.co_cellvars}

    def local(names: frozenset[str]) -> frozenset[str]:
        return frozenset(name for name in names if name in own or (name[0] == "." and name != RUNTIME))

    return {number: Live(local(each.after), local(each.again)) for number, each in live.items()}


def _assemble(key: str, body: Body, live: Mapping[int, Live], code: CodeType) -> list[ast.stmt]:
    """Put the guarded body together with what comes before and after it."""
    head: list[ast.stmt] = []
    rest = list(body.statements)
    if isinstance(rest[0], ast.Expr) and isinstance(rest[0].value, ast.Constant):
        head.append(rest.pop(0))  # the docstring stays the first statement
    like = rest[0]
    # A function that is kept may need variables of this one that the analysis calls dead.
    wanted = frozenset(code.co_cellvars).union(*(point.again for point in live.values()))
    arguments: list[ast.expr] = [ast.Constant(key)]
    if shared := sorted({*code.co_cellvars, *code.co_freevars}):
        # The closure of this lambda is how the runtime gets at the variables that are shared with other functions.
        names = ast.Tuple([load(name) for name in shared], ast.Load())
        none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        arguments.append(ast.Lambda(none, names))
    entry: list[ast.stmt] = [
        assign(".a", ast.Call(runtime_name("begin", like), arguments, [])),
        assign(".at", _activation("at")),
    ]
    restore: list[ast.stmt] = [assign(".s", _activation("saved"))]
    for name in sorted(wanted):
        saved = ast.Compare(ast.Constant(name), [ast.In()], [load(".s")])
        value = ast.Subscript(load(".s"), ast.Constant(name), ast.Load())
        restore.append(ast.If(saved, [assign(name, value)], []))
    if wanted:
        entry.append(ast.If(load(".at"), restore, []))
    declarations = [node for node in rest if isinstance(node, ast.Global | ast.Nonlocal)]
    guarded = _Guard(body.entered).block([node for node in rest if node not in declarations])
    leave = ast.ExceptHandler(
        runtime_name("Hibernate", like),
        None,
        [ast.If(_activation("ends"), [ast.Return(ast.Constant(None))], []), ast.Raise()],
    )
    whole = ast.Try(guarded, [leave], [], [])
    return [*head, *declarations, *(placed(like, node) for node in (*entry, whole))]


def _activation(attribute: str) -> ast.expr:
    return ast.Attribute(load(".a"), attribute, ast.Load())


def _leaving() -> ast.expr:
    return _activation("left")


def _among(points: Iterable[int]) -> ast.expr:
    """Make the test whether the point that we wake at is one of *points*."""
    numbers = tuple(sorted(points))
    if len(numbers) == 1:
        return ast.Compare(load(".at"), [ast.Eq()], [ast.Constant(numbers[0])])
    return ast.Compare(load(".at"), [ast.In()], [ast.Tuple([ast.Constant(number) for number in numbers], ast.Load())])


def _cold() -> ast.expr:
    return ast.UnaryOp(ast.Not(), load(".at"))


class _Guard:
    def __init__(self, entered: Mapping[int, str]) -> None:
        self.entered = entered
        self._points: dict[ast.AST, frozenset[int]] = {}

    def points(self, *nodes: ast.AST) -> frozenset[int]:
        """The numbers of the points in *nodes*."""
        return frozenset().union(*map(self._points_in, nodes))

    def _points_in(self, node: ast.AST) -> frozenset[int]:
        # Kept for each node, because they are asked for on each level around it.
        found = self._points.get(node)
        if found is None:
            found = self.points(*children(node))
            if isinstance(node, PointAwait):
                found |= {node.number}
            self._points[node] = found
        return found

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Guard a block that is entered either cold or with the resume point inside of it."""
        containing = [index for index, node in enumerate(statements) if self.points(node)]
        if not containing:
            return statements
        result: list[ast.stmt] = []
        skipped: list[ast.stmt] = []
        for index, node in enumerate(statements):
            points = self.points(node)
            if index > containing[-1]:
                result.append(node)
            elif not points:
                skipped.append(node)
            else:
                if skipped:
                    result.append(placed(skipped[0], ast.If(_cold(), skipped, [])))
                    skipped = []
                guarded = self.statement(node, points)
                if index == containing[-1]:
                    result += guarded
                else:
                    result.append(placed(node, self.unless_elsewhere(points, guarded)))
        return result

    def unless_elsewhere(self, points: frozenset[int], body: list[ast.stmt]) -> ast.If:
        return ast.If(ast.BoolOp(ast.Or(), [_cold(), _among(points)]), body, [])

    def statement(self, node: ast.stmt, points: frozenset[int]) -> list[ast.stmt]:
        match node:
            case ast.Expr(PointAwait() as point):
                return self.point(node, point, ast.Expr)
            case ast.Assign(targets, PointAwait() as point):
                return self.point(node, point, lambda value: ast.Assign(targets, value))
            case ast.If(test, body, orelse):
                return [placed(node, ast.If(self.test(test, body), self.block(body), self.block(orelse)))]
            case ast.While(test, body, orelse):
                return [placed(node, ast.While(self.test(test, body), self.block(body), self.block(orelse)))]
            case ast.For():
                return [self.loop(node)]
            case ast.With() | ast.AsyncWith():
                return [self.with_block(node)]
            case ast.Try():
                return [self.try_block(node)]
        raise AssertionError(f"linearise left a point in a {type(node).__name__}")  # pragma: no cover

    def point(self, node: ast.stmt, point: PointAwait, statement: Callable[[ast.expr], ast.stmt]) -> list[ast.stmt]:
        here = [assign(".p", ast.Constant(point.number)), assign(".at", ast.Constant(0))]
        awaited = point.value
        after: list[ast.stmt] = []
        if point.call:
            if isinstance(awaited, ast.Call):
                awaited = ast.Call(_activation("call"), [awaited.func, *awaited.args], awaited.keywords)
            awaited = ast.IfExp(_activation("direct"), ast.Call(_activation("next"), [], []), awaited)
            # A framework between us and the receive may have ended as if nothing had happened.
            after.append(ast.If(_leaving(), [ast.Raise(runtime_name("Hibernate", point))], []))
        found = placed(point, ast.Await(awaited))
        return [placed(node, each) for each in (*here, statement(found), *after)]

    def test(self, test: ast.expr, body: list[ast.stmt]) -> ast.expr:
        points = self.points(*body)
        inside = _among(points) if points else ast.Constant(value=False)
        return placed(test, ast.IfExp(load(".at"), inside, test))

    def loop(self, node: ast.For) -> ast.stmt:
        points = self.points(*node.body)
        again: ast.expr = ast.Call(runtime_name("again", node.iter), [node.iter], [])
        if self.points(*node.orelse):
            # The loop has ended if the point is in its `else`.
            ended = ast.Tuple([], ast.Load())
            again = ast.IfExp(_among(points), again, ended) if points else ended
        iterator = placed(node.iter, ast.IfExp(_cold(), node.iter, again))
        return placed(node, ast.For(node.target, iterator, self.block(node.body), self.block(node.orelse)))

    def with_block(self, node: ast.With | ast.AsyncWith) -> ast.stmt:
        item = node.items[0]
        number = int(cast("ast.Name", item.optional_vars).id.removeprefix(".w"))
        manager = ast.Call(runtime_name("block", node), [load(".a"), ast.Constant(number), item.context_expr], [])
        body = list(node.body)
        first: list[ast.stmt] = []
        if number in self.entered:
            # What the block gave is taken from the block again, unless it was saved.
            target = body.pop(0)
            takes = ast.Call(_activation("takes"), [load(".at"), ast.Constant(self.entered[number])], [])
            first = [placed(target, ast.If(takes, [target], []))]
        items = [ast.withitem(placed(item.context_expr, manager), item.optional_vars)]
        return placed(node, type(node)(items, [*first, *self.block(body)]))

    def try_block(self, node: ast.Try) -> ast.stmt:
        body = self.block(node.body)
        elsewhere: list[ast.stmt] = []
        handlers = [_passing(node)]
        for handler in node.handlers:
            points = self.points(*handler.body)
            handled = self.block(handler.body)
            if points:
                # linearise has given the handler a name of ours.
                name = str(handler.name)
                elsewhere.append(ast.If(_among(points), [ast.Raise(load(name))], []))
                traced = ast.Call(_activation("traced"), [ast.Constant(name), load(name)], [])
                handled.insert(0, placed(handler, ast.If(load(".at"), [ast.Expr(traced)], [])))
            changed = ast.ExceptHandler(handler.type, handler.name, handled)
            handlers.append(ast.copy_location(changed, handler))
        if elsewhere or self.points(*node.orelse):
            points = self.points(*node.body)
            guard = self.unless_elsewhere(points, body) if points else ast.If(_cold(), body, [])
            body = [*elsewhere, guard]
        final: list[ast.stmt] = []
        if node.finalbody:
            staying = ast.UnaryOp(ast.Not(), _leaving())
            final = [placed(node.finalbody[0], ast.If(staying, node.finalbody, []))]
        return placed(node, ast.Try(body, handlers, self.block(node.orelse), final))


def _passing(node: ast.Try) -> ast.ExceptHandler:
    """The handler in front of the user's own: hibernation is not for them."""
    return ast.ExceptHandler(runtime_name("Hibernate", node), None, [ast.Raise()])
