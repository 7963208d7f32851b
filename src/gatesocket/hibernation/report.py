"""What would not survive hibernation, and what is kept: the report of ``gatesocket check``.

::

    chat/app.py:59: background can't hibernate: a task can't wait for the client: only the route itself can hibernate.
    Receive in the route, and hand what came to the task

    /ws/{room}  chat.app:chat  (chat/app.py:41), a snapshot of about 240 bytes
      chat.app:52  waits for  websocket.receive_text(), at most 30 s
                   keeps      count: int, name: str, websocket: WebSocket
      chat.app:58  sleeps     5 s
                   keeps      count: int, websocket: WebSocket
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gatesocket.exceptions import Finding
from gatesocket.hibernation.blueprint import RoutePlan, blueprint_of
from gatesocket.hibernation.notes import notes_on
from gatesocket.hibernation.snapshot import Frame, Snapshot
from gatesocket.hibernation.syntax import inside
from gatesocket.hibernation.units import Unit
from gatesocket.values import frozen

__all__ = ["CheckedPoint", "CheckedRoute", "Report", "check"]


@frozen
class CheckedPoint:
    """One place where a route may hibernate."""

    file: str
    line: int
    function: str
    awaited: str
    """The source of what is awaited."""
    kept: Mapping[str, str]
    """The locals that are saved there, with their types; ``?`` where the source doesn't show it."""


@frozen
class CheckedRoute:
    """One route, and where it may hibernate."""

    path: str
    endpoint: str
    """Module and qualified name."""
    file: str
    line: int
    points: tuple[CheckedPoint, ...]
    estimated_bytes: int
    """The largest snapshot, if texts are short and collections empty."""


@frozen
class Report:
    """What hibernation means for an app."""

    routes: tuple[CheckedRoute, ...]
    findings: tuple[Finding, ...]
    """What is refused: the handler can't be made."""
    notes: tuple[Finding, ...]
    """What might be refused at run time, or means something else in the cloud."""

    def to_json(self) -> str:
        """Write the report as JSON: an object with ``routes``, ``findings`` and ``notes``."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        parts = ["\n".join(map(str, self.findings)), "\n".join(f"note: {note}" for note in self.notes)]
        parts += map(_described, self.routes)
        return "\n\n".join(filter(None, parts)) or "no WebSocket routes"


def check(app: Any) -> Report:
    """Say what of *app* can't hibernate, what might not, and what each route keeps.

    Raises:
        ConfigurationError: *app* is not an ASGI app.
    """
    blueprint = blueprint_of(app)
    routes = tuple(map(_checked, blueprint.routes))
    notes = {*blueprint.notes, *notes_on(plan.function for plan in blueprint.routes)}
    return Report(routes, blueprint.findings, tuple(sorted(notes, key=lambda note: (note.file, note.line, note.what))))


def _described(route: CheckedRoute) -> str:
    size = f", a snapshot of about {route.estimated_bytes} bytes" if route.points else ", never waits for the client"
    lines = [f"{route.path}  {route.endpoint}  ({route.file}:{route.line}){size}"]
    for point in route.points:
        kept = ", ".join(f"{name}: {kind}" for name, kind in point.kept.items())
        lines += [
            f"  {point.function}:{point.line}  {_wait(point.awaited)}",
            f"  {'':{len(point.function) + 1 + len(str(point.line))}}  keeps      {kept or 'nothing'}",
        ]
    return "\n".join(lines)


def _wait(awaited: str) -> str:
    """Say what is waited for; times are as they are written."""
    match ast.parse(awaited, mode="eval").body:
        case ast.Call(ast.Name("sleep") | ast.Attribute(_, "sleep"), [delay, *_]):
            return f"sleeps     {ast.unparse(delay)} s"
        case ast.Call(ast.Name("wait_for") | ast.Attribute(_, "wait_for"), [call, limit]) | ast.Call(
            ast.Name("wait_for") | ast.Attribute(_, "wait_for"), [call], [ast.keyword("timeout", limit)]
        ):
            return f"waits for  {ast.unparse(call)}, at most {ast.unparse(limit)} s"
    return f"waits for  {awaited}"


def _checked(plan: RoutePlan) -> CheckedRoute:
    points = []
    largest = 0
    for unit in plan.units:
        types = _types(unit)
        for point in unit.points.values():
            kept = {name: types.get(name, "?") for name in sorted(point.live.again) if name[0] != "."}
            points.append(CheckedPoint(unit.file, point.line, unit.name, point.awaited, kept))
            frame = Frame(unit.key, point.number, direct=False, locals={n: _sample(kept[n]) for n in kept})
            largest = max(largest, len(Snapshot((frame,)).dump()))
    return CheckedRoute(plan.path, plan.endpoint, plan.file, plan.line, tuple(points), largest)


def _types(unit: Unit) -> dict[str, str]:
    """The types of a function's locals, as far as annotations and assignments show them."""
    node = unit.node
    types: dict[str, str] = {}
    pairs: list[tuple[ast.expr, ast.expr]] = []
    for child in inside(*node.body):
        match child:
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                pairs += zip(targets, values, strict=False)  # one of them may be starred
            case ast.Assign([target], value) | ast.NamedExpr(target, value):
                pairs.append((target, value))
    for target, value in pairs:
        if isinstance(target, ast.Name) and (kind := _type(value)):
            types.setdefault(target.id, kind)
    for child in inside(*node.body):
        match child:
            case ast.AnnAssign(ast.Name(name), annotation):
                types[name] = ast.unparse(annotation)
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return types | {each.arg: ast.unparse(each.annotation) for each in arguments if each.annotation}


def _type(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(None):
            return "None"
        case ast.Constant(value):
            return type(value).__name__
        case ast.List() | ast.ListComp():
            return "list"
        case ast.Dict() | ast.DictComp():
            return "dict"
        case ast.Set() | ast.SetComp():
            return "set"
        case ast.Tuple():
            return "tuple"
        case ast.JoinedStr():
            return "str"
        case ast.Await(ast.Call(ast.Attribute(_, "receive_text"))):
            return "str"
        case ast.Await(ast.Call(ast.Attribute(_, "receive_bytes"))):
            return "bytes"
        case ast.Call(ast.Name(name) | ast.Attribute(_, name)) if name in _BUILT_IN or name[:1].isupper():
            return name
    return None


_BUILT_IN = frozenset({"bytes", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple"})
_SAMPLES: dict[str, Any] = {
    "WebSocket": {"$": "socket", "v": [1, 1]},
    "None": None,
    "bool": True,
    "dict": {},
    "float": 1.5,
    "int": 1000,
    "list": [],
    "set": {"$": "set", "v": []},
    "tuple": {"$": "tuple", "v": []},
}


def _sample(kind: str) -> Any:
    """A typical value of a type, encoded."""
    return _SAMPLES.get(kind.partition("[")[0], "sixteen letters.")
