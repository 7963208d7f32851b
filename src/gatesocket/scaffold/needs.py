"""What an app uses, so that its stack has that and no more.

It is read, not asked: from the imports of the app's own modules, and from the routes as they lie in memory.
"""

import ast
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from starlette.routing import BaseRoute, WebSocketRoute

from gatesocket.hibernation.origin import Origin, origin

__all__ = ["Needs", "needs_of"]

_MANAGERS: Final = {"gatesocket", "gatesocket.ConnectionManager", "gatesocket.manager"}
_AT_HAND: Final = sys.stdlib_module_names | {
    *("fastapi", "gatesocket", "mangum"),  # asked for in any case
    *("pydantic", "pydantic_settings", "starlette"),  # brought by Gatesocket
    *("boto3", "botocore"),  # in Lambda's runtime
}
"""What can be imported without being asked for."""

_DOCUMENTS: Final = ("openapi_url", "docs_url", "redoc_url", "swagger_ui_oauth2_redirect_url")
"""Attributes of a FastAPI app: the paths of routes that it adds by itself."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What an app uses."""

    http: bool
    """It has HTTP routes of its own."""
    jobs: bool
    """It hands work to background jobs."""
    broadcasts: bool
    """It sends to connections other than the one whose message it serves."""
    fastapi: bool
    """It is made with FastAPI, and not with Starlette alone."""
    tokens: bool
    """It checks JWTs."""
    distributions: tuple[str, ...]
    """What it imports besides FastAPI and Gatesocket, by the names of its distributions."""


def needs_of(app: Any, module: ModuleType, root: Path) -> Needs:
    """Find out what *app* uses, which *module* holds; its own modules are those that are imported from *root*."""
    imported = set(_imports(module, root))
    return Needs(
        http=_serves_http(app),
        jobs="gatesocket.jobs" in imported,
        broadcasts=not imported.isdisjoint(_MANAGERS),
        fastapi="fastapi" in imported,
        tokens="gatesocket.tokens" in imported,
        distributions=_distributions(imported, root),
    )


def _imports(module: ModuleType, root: Path) -> Iterator[str]:
    """Iterate over the names that a module, and each of the app's own modules that it imports, imports."""
    waiting, seen = [module.__name__], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        yield name
        package = name.rpartition(".")[0]
        # A module is imported after its package. Of Gatesocket's own that says nothing.
        if package not in {"", "gatesocket"}:
            waiting.append(package)
        if (file := _own_file(name, root)) is not None:
            waiting += _names(ast.parse(file.read_bytes()), sys.modules[name].__package__ or "")


def _names(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from (each.name for each in names)
            case ast.ImportFrom(name, names, level):
                source = resolve_name("." * level + (name or ""), package) if level else str(name)
                # Of a package, what is imported may be a module or a name in it.
                yield from (f"{source}.{each.name}" for each in names)


def _own_file(name: str, root: Path) -> Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or origin(file) is not Origin.OWN or not Path(file).resolve().is_relative_to(root):
        return None
    return Path(file)


def _distributions(imported: Iterable[str], root: Path) -> tuple[str, ...]:
    foreign = [top for top in {name.partition(".")[0] for name in imported} - _AT_HAND if _own_file(top, root) is None]
    if not foreign:
        return ()  # the search below takes a tenth of a second
    providers = importlib.metadata.packages_distributions()
    found = {provider for top in foreign for provider in providers.get(top, ())}
    return tuple(sorted(provider.lower().replace("_", "-") for provider in found))


def _serves_http(app: Any) -> bool:
    routes = getattr(app, "routes", None)
    if routes is None:  # a raw ASGI app, which may serve anything
        return True
    documents = {getattr(app, name, None) for name in _DOCUMENTS}
    return any(_is_http(route, documents) for route in routes)


def _is_http(route: BaseRoute, documents: set[str | None]) -> bool:
    if isinstance(route, WebSocketRoute):
        return False
    contexts = getattr(route, "effective_route_contexts", None)
    if contexts is not None:  # what FastAPI keeps of an included router
        inner = [context.starlette_route or context.original_route for context in contexts()]
        return any(_is_http(each, documents) for each in inner)
    mounted = getattr(route, "app", None) if hasattr(route, "routes") else None
    return _serves_http(mounted) if mounted is not None else getattr(route, "path", None) not in documents
