"""From an app to the functions that a WebSocket connection may run through.

Routers, mounts, included routers and middleware are looked into as they lie in memory; nothing is called. What is found
are the endpoints of WebSocket routes with their dependencies, and whatever of the app's own code is around them: ASGI
middleware, raw ASGI functions.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from starlette.endpoints import WebSocketEndpoint
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute

from gatesocket.hibernation.meanings import unwrap
from gatesocket.hibernation.origin import Origin, origin

__all__ = ["Found", "FoundRoute", "discover"]


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """A WebSocket route, or a raw ASGI app."""

    path: str
    """``*`` for what takes every path."""
    endpoint: FunctionType
    others: tuple[FunctionType, ...]
    """The coroutines beside it: its dependencies, the methods of a class."""
    route: WebSocketRoute | None = field(default=None, compare=False)
    """The route itself; None for a raw ASGI app."""


@dataclass(slots=True)
class Found:
    """What is in an app."""

    routes: list[FoundRoute] = field(default_factory=list)
    around: list[FunctionType] = field(default_factory=list)
    """Middleware of the app's own."""
    providers: list[Any] = field(default_factory=list)
    """FastAPI apps."""


def discover(app: Any) -> Found:
    """Find the WebSocket routes of *app*, and its own code around them."""
    walk = _Walk()
    walk.app(app, "")
    return walk.found


class _Walk:
    def __init__(self) -> None:
        self.found = Found()
        self._seen: set[int] = set()
        self._kept: list[Any] = []  # what FastAPI makes for the occasion would give its id to another

    def app(self, app: Any, prefix: str) -> None:
        if id(app) in self._seen:
            return
        self._seen.add(id(app))
        if hasattr(app, "dependency_overrides"):
            self.found.providers.append(app)
        for middleware in getattr(app, "user_middleware", ()):
            self._middleware(middleware)
        # A router's own middleware, and an app's once it has served its first request.
        for inner in (getattr(app, "router", None), getattr(app, "middleware_stack", None)):
            if inner is not None:
                self.app(inner, prefix)
        routes = getattr(app, "routes", None)
        if routes is not None:
            self._routes(routes, prefix)
            return
        function = unwrap(app)
        if function is None:
            return
        if inspect.iscoroutinefunction(function) and _is_own(function):
            inner_apps = list(_apps_in(app))
            if inner_apps:
                self.found.around.append(function)
            else:
                self.found.routes.append(FoundRoute(f"{prefix}*", function, ()))
        for inner in _apps_in(app):
            self.app(inner, prefix)

    def _middleware(self, middleware: Any) -> None:
        cls = middleware.cls
        function = inspect.getattr_static(cls, "__call__", None) if isinstance(cls, type) else None
        if isinstance(function, FunctionType) and _is_own(function) and inspect.iscoroutinefunction(function):
            self.found.around.append(function)

    def _routes(self, routes: Iterable[BaseRoute], prefix: str) -> None:
        for route in routes:
            if id(route) in self._seen:
                continue
            self._seen.add(id(route))
            self._kept.append(route)
            contexts = getattr(route, "effective_route_contexts", None)
            if contexts is not None:  # what FastAPI keeps of an included router
                self._routes([context.starlette_route or context.original_route for context in contexts()], prefix)
            elif isinstance(route, WebSocketRoute):
                self._route(route, prefix)
            elif isinstance(route, Mount):
                self.app(route.app, prefix + route.path)
            elif isinstance(route, Host):
                self.app(route.app, prefix)

    def _route(self, route: WebSocketRoute, prefix: str) -> None:
        endpoint: Any = route.endpoint
        path = prefix + route.path
        if isinstance(endpoint, type):
            methods = tuple(_coroutine_methods(endpoint))
            dispatch = unwrap(getattr(endpoint, "dispatch", None))
            functions = (dispatch, *methods) if dispatch and issubclass(endpoint, WebSocketEndpoint) else methods
            if functions:
                self.found.routes.append(FoundRoute(path, functions[0], functions[1:], route))
        elif (function := unwrap(endpoint)) is not None:
            dependencies = tuple(_dependencies(getattr(route, "dependant", None)))
            self.found.routes.append(FoundRoute(path, function, dependencies, route))
        # Middleware of this one route.
        if route.app is not endpoint:
            for inner in _chain(route.app):
                called = unwrap(inner)
                if called is not None and _is_own(called) and inspect.iscoroutinefunction(called):
                    self.found.around.append(called)


def _coroutine_methods(cls: type) -> Iterator[FunctionType]:
    for base in cls.__mro__:
        for member in vars(base).values():
            if isinstance(member, FunctionType) and inspect.iscoroutinefunction(member) and _is_own(member):
                yield member


def _dependencies(dependant: Any) -> Iterator[FunctionType]:
    for inner in getattr(dependant, "dependencies", ()):
        function = unwrap(inner.call)
        if function is not None and inspect.iscoroutinefunction(function) and _is_own(function):
            yield function
        yield from _dependencies(inner)


def _chain(app: Any) -> Iterator[Any]:
    """Iterate over a middleware and what it wraps, for as long as that is an instance of some class."""
    while app is not None and not isinstance(app, FunctionType):
        yield app
        app = getattr(app, "app", None)


def _apps_in(app: Any) -> Iterator[Callable[..., Any]]:
    """Iterate over what a middleware holds, or names, that looks like an ASGI app."""
    values = list(_contents(app) if isinstance(app, FunctionType) else getattr(app, "__dict__", {}).values())
    function = unwrap(app)
    if function is not None and _is_own(function):
        values += [function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__]
    for value in values:
        if not isinstance(value, type) and _takes_asgi(value):
            yield value


def _contents(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not set yet
            continue


def _takes_asgi(value: Any) -> bool:
    if callable(value) and inspect.getattr_static(value, "routes", None) is not None:
        return True
    function = unwrap(value)
    if function is None or not inspect.iscoroutinefunction(function):
        return False
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    return names[-3:] == ("scope", "receive", "send")


def _is_own(function: FunctionType) -> bool:
    return origin(function.__code__.co_filename) is not Origin.FRAMEWORK
