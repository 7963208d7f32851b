"""From a function object to the syntax tree that it was compiled from, and back.

The transform works on syntax trees, and what runs is a code object: this module is the bridge. `locate` finds the
``def`` of a function in its file, `Source.compile` compiles a changed ``def`` so that the result fits where the old
code object was.

A function can't be compiled alone: whether a name is local, free or global, how ``__private`` is mangled and what
``super()`` means depend on what is around it. So a *pruned* module is compiled, which keeps only the way down to the
function::

    import json                              import json
    LIMIT = compute()
    class Chat:                              class Chat:
        def other(self): ...
        def routes(self, prefix):      ->        def routes():
            app = FastAPI()                          prefix = None    # stays a free variable of the endpoint
            @app.websocket(prefix)                   @app.websocket(prefix)
            async def endpoint(ws): ...              async def endpoint(ws): ...
            return app

Imports stay because CPython compiles ``json.loads(x)`` differently when ``json`` is an imported name. The pruned module
is only compiled, never executed.
"""

import __future__

import ast
import hashlib
import linecache
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

from gatesocket.hibernation.codes import NoSource, nested_codes, original
from gatesocket.hibernation.syntax import children
from gatesocket.values import frozen

__all__ = ["FunctionNode", "Source", "digest", "locate", "locate_code"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_FUTURE_FLAGS = 0
for _feature in __future__.all_feature_names:
    _FUTURE_FLAGS |= getattr(__future__, _feature).compiler_flag


def digest(*texts: str) -> str:
    """Return a short hash of *texts*."""
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


@frozen
class Source:
    """The ``def`` of a function, and the way down to it from its module."""

    file: str
    node: FunctionNode
    code: CodeType
    """The code object that the function ran before anything was changed."""
    path: tuple[ast.ClassDef | FunctionNode, ...]
    """The classes and functions around it, outermost first."""
    imports: tuple[ast.Import | ast.ImportFrom, ...]

    @property
    def digest(self) -> str:
        """A hash of the syntax tree: formatting, comments and line numbers don't change it."""
        text = ast.dump(self.node.args) + "".join(map(ast.dump, self.node.body))
        return digest(text)

    def compile(self, node: FunctionNode) -> CodeType:
        """Compile *node* in the place of the function's own ``def``, and return its code object."""
        body: list[ast.stmt] = [node]
        for level in reversed(self.path):
            parameters = _type_parameters(level)
            shell: ast.stmt
            if isinstance(level, ast.ClassDef):
                shell = ast.ClassDef(level.name, [], [], body, [], **parameters)
            else:
                shell = ast.FunctionDef(
                    level.name, _no_arguments(), self._bound_around() + body, [], None, None, **parameters
                )
            body = [ast.fix_missing_locations(ast.copy_location(shell, level))]
        module = ast.Module(body=[*self.imports, *body], type_ignores=[])
        flags = self.code.co_flags & _FUTURE_FLAGS
        compiled = compile(module, self.file, "exec", flags=flags, dont_inherit=True)
        for code in _all_codes(compiled):
            if code.co_name == self.code.co_name and code.co_firstlineno == self.code.co_firstlineno:
                return code
        raise AssertionError(f"{self.code.co_qualname} is not in what was compiled for it")  # pragma: no cover

    def _bound_around(self) -> list[ast.stmt]:
        """Bind the free variables in the enclosing function, so that the compiler sees them as free again."""
        names = [name for name in self.code.co_freevars if name != "__class__"]
        targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
        return [ast.Assign(targets, ast.Constant(None))] if targets else []


def _type_parameters(level: ast.AST) -> dict[str, Any]:
    # A field that exists since Python 3.12, and that 3.13 wants to be given.
    return {"type_params": level.type_params} if hasattr(level, "type_params") else {}


def _no_arguments() -> ast.arguments:
    return ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


def locate(function: FunctionType) -> Source:
    """Find the ``def`` that *function* was compiled from.

    Raises:
        NoSource: there is no source (a lambda, a function made by ``exec``), or compiling it again doesn't give what
            runs: the file was edited since, or an import hook has rewritten it.
    """
    return _locate(original(function.__code__), function.__globals__)


def locate_code(code: CodeType, module: str) -> Source:
    """Find the ``def`` that *code*, of the module called *module*, was compiled from.

    Raises:
        NoSource: as `locate` does.
    """
    return _locate(code, vars(sys.modules[module]) if module in sys.modules else {})


def _locate(code: CodeType, names: dict[str, Any]) -> Source:
    lines = linecache.getlines(code.co_filename, names)
    if not lines:
        raise NoSource(f"the source file {code.co_filename} can't be read")
    try:
        definitions, imports = _definitions("".join(lines))
    except SyntaxError as error:
        raise NoSource(f"the source file {code.co_filename} has been edited and no longer compiles") from error
    for node, path in definitions.get((code.co_name, code.co_firstlineno), ()):
        source = Source(code.co_filename, node, code, path, imports)
        # pytest rewrites `assert` in test modules; the tree without its rewriting is as good.
        if "@pytest_ar" in names or source.compile(node) == code:
            return source
        raise NoSource(f"the source file {code.co_filename} is not what runs: it was edited, or rewritten at import")
    raise NoSource(f"no `def {code.co_name}` begins at line {code.co_firstlineno} of {code.co_filename}")


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    for nested in nested_codes(code):
        yield nested
        yield from _all_codes(nested)


_Definition = tuple[FunctionNode, tuple[ast.ClassDef | FunctionNode, ...]]


@lru_cache(maxsize=64)
def _definitions(
    text: str,
) -> tuple[dict[tuple[str, int], list[_Definition]], tuple[ast.Import | ast.ImportFrom, ...]]:
    """Index every ``def`` of a module by name and first line, and collect the module's own imports."""
    found: dict[tuple[str, int], list[_Definition]] = {}
    imports: list[ast.Import | ast.ImportFrom] = []

    def visit(node: ast.AST, path: tuple[ast.ClassDef | FunctionNode, ...]) -> None:
        for child in children(node):
            if isinstance(child, ast.expr):
                continue
            if isinstance(child, FunctionNode):
                # co_firstlineno is the first decorator's, if there is one.
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                found.setdefault((child.name, first), []).append((child, path))
            elif isinstance(child, ast.Import | ast.ImportFrom) and not path:
                imports.append(child)
            inner = (*path, child) if isinstance(child, FunctionNode | ast.ClassDef) else path
            visit(child, inner)

    visit(ast.parse(text), ())
    return found, tuple(imports)
