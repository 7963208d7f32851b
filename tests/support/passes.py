"""The passes of the compiler, on a function that is given as text."""

import ast
import textwrap
from typing import Any

from starlette.websockets import WebSocket

from gatesocket.hibernation.linearise import Body, linearise
from gatesocket.hibernation.meanings import Meanings
from gatesocket.hibernation.points import Environment
from gatesocket.hibernation.syntax import PointAwait

__all__ = ["environment", "linearised", "lines", "parsed", "shown"]


def lines(text: str) -> str:
    """*text* without the indentation that it has in a test."""
    return textwrap.dedent(text).strip("\n")


def parsed(body: str, parameters: str = "ws: WebSocket") -> ast.AsyncFunctionDef:
    """The ``def`` of a function with this body."""
    text = f"async def f({parameters}):\n" + textwrap.indent(lines(body), "    ")
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.AsyncFunctionDef)
    return node


def environment(node: ast.AsyncFunctionDef, **known: Any) -> Environment:
    """What the names mean in *node*: `WebSocket`, and what is *known*."""
    return Environment(Meanings({"WebSocket": WebSocket, **known}), frozenset(), {}).nested(node)


def linearised(body: str, *cells: str, **known: Any) -> Body:
    """What the first pass makes of a function with this body, whose variables *cells* are shared."""
    node = parsed(body)
    return linearise(node, environment(node, **known), cells)


def shown(statements: list[ast.stmt]) -> str:
    """The statements as text; dotted names are written as they are."""
    plain: Any = _Plain().visit(ast.Module(statements, []))
    return ast.unparse(ast.fix_missing_locations(plain))


class _Plain(ast.NodeTransformer):
    """Writes a point as the await that it is."""

    def visit_PointAwait(self, node: PointAwait) -> ast.Await:
        return ast.copy_location(ast.Await(self.visit(node.value)), node)
