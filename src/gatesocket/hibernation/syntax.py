"""Looking into syntax trees and making them: the vocabulary that the passes share."""

import ast
import copy
from collections.abc import Iterator
from typing import Any, TypeVar

from gatesocket.hibernation.entry import RUNTIME

__all__ = [
    "PointAwait",
    "assign",
    "changed",
    "children",
    "inside",
    "load",
    "placed",
    "runtime_name",
    "store",
]

_Node = TypeVar("_Node", bound=ast.AST)


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


_OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

_BARE = frozenset({"arg", "attr", "ctx", "id", "kind", "op", "ops", "type_comment"})
"""Fields with a name, or with a node that says nothing but what it is: half of all nodes are an ``ast.Load()``."""


_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}
"""The other fields of each class that was met."""


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly in *node*, without operators and contexts; `ast.iter_child_nodes` takes twice as long."""
    cls = type(node)
    fields = _FIELDS.get(cls)
    if fields is None:
        fields = _FIELDS[cls] = tuple(name for name in cls._fields if name not in _BARE)
    found: list[ast.AST] = []
    for name in fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def inside(*nodes: ast.AST) -> Iterator[ast.AST]:
    """Iterate over *nodes* and what they contain, but not over the bodies of functions and classes in them."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _OWN_SCOPE):
            continue
        waiting += children(node)


def placed(like: ast.AST, node: _Node) -> _Node:
    """Give *node* the place of *like* in the source, so that tracebacks point at the user's line."""
    ast.copy_location(node, like)
    waiting: list[ast.AST] = [node]
    while waiting:
        # What has a place already has given one to all that is in it.
        inner = [child for child in children(waiting.pop()) if not hasattr(child, "lineno")]
        waiting += [ast.copy_location(child, like) for child in inner]
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
