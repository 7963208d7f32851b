"""Making syntax trees: the vocabulary that the passes share."""

import ast
import copy
from typing import Any, TypeVar

__all__ = ["RUNTIME", "PointAwait", "assign", "changed", "load", "placed", "runtime_name", "store"]

_Node = TypeVar("_Node", bound=ast.AST)

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
    timed: bool
    """Whether it is one for its timer only."""


def placed(like: ast.AST, node: _Node) -> _Node:
    """Give *node* the place of *like* in the source, so that tracebacks point at the user's line."""
    ast.copy_location(node, like)
    waiting: list[ast.AST] = [node]
    while waiting:
        # What has a place already has given one to all that is in it.
        children = [child for child in ast.iter_child_nodes(waiting.pop()) if not hasattr(child, "lineno")]
        waiting += [ast.copy_location(child, like) for child in children]
    return node


def changed(node: _Node, **fields: Any) -> _Node:
    """Copy *node* with other *fields*: the user's own tree stays as it is."""
    made = copy.copy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def load(name: str) -> ast.Name:
    """Read a variable."""
    return ast.Name(name, ast.Load())


def store(name: str) -> ast.Name:
    """Make the target that sets a variable."""
    return ast.Name(name, ast.Store())


def assign(name: str, value: ast.expr) -> ast.Assign:
    """Set a variable."""
    return ast.Assign([store(name)], value)


def runtime_name(name: str, like: ast.AST) -> ast.expr:
    """Make the expression for something that the runtime provides."""
    return placed(like, ast.Attribute(load(RUNTIME), name, ast.Load()))
