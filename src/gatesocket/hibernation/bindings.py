"""What a function's own names are bound to, as far as its text tells."""

import ast
import functools
from collections import Counter

from gatesocket.hibernation.source import FunctionNode
from gatesocket.hibernation.syntax import inside

__all__ = ["assigned", "assignments", "defined", "set_once"]


@functools.lru_cache(maxsize=1024)
def assigned(node: FunctionNode) -> frozenset[str]:
    """The names that are local to *node*."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    names = {argument.arg for argument in arguments if argument}
    elsewhere: set[str] = set()
    for child in inside(*node.body):
        match child:
            case ast.Name(name, ast.Store() | ast.Del()):
                names.add(name)
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names.add(name)
            case ast.ExceptHandler(_, str(name)) | ast.MatchAs(_, str(name)) | ast.MatchStar(str(name)):
                names.add(name)
            case ast.MatchMapping(rest=str(name)):
                names.add(name)
            case ast.alias(name, asname):
                names.add(asname or name.split(".")[0])
            case ast.Global(more) | ast.Nonlocal(more):
                elsewhere.update(more)
    return frozenset(names - elsewhere)


@functools.lru_cache(maxsize=1024)
def set_once(node: FunctionNode) -> dict[str, ast.Call]:
    """The locals of *node* that are set in one place only, to what a call returns."""
    calls: dict[str, ast.Call] = {}
    places: Counter[str] = Counter()
    for child in inside(*node.body):
        match child:
            case ast.Assign([ast.Name(name)], ast.Call() as call):
                calls[name] = call
            case ast.Name(name, ast.Store()):
                places[name] += 1
    return {name: call for name, call in calls.items() if places[name] == 1}


@functools.lru_cache(maxsize=1024)
def defined(node: FunctionNode) -> dict[str, FunctionNode]:
    """The functions defined in *node*, undecorated and once only: a call of the name is a call of that function."""
    found: dict[str, FunctionNode] = {}
    again: set[str] = set()
    for child in inside(*node.body):
        match child:
            case ast.AsyncFunctionDef(name) if name not in found and not child.decorator_list:
                found[name] = child
            case ast.AsyncFunctionDef(name) | ast.FunctionDef(name) | ast.Name(name, ast.Store()):
                again.add(name)
    return {name: function for name, function in found.items() if name not in again}


def assignments(node: ast.AST) -> dict[str, tuple[int, ...]]:
    """The lines where each name in *node* is set."""
    lines: dict[str, list[int]] = {}
    for child in ast.walk(node):
        match child:
            case ast.Name(name, ast.Store()) | ast.arg(name):
                lines.setdefault(name, []).append(child.lineno)
    return {name: tuple(sorted(found)) for name, found in lines.items()}
