"""What is known of an app's routes before the first message: where they wait, and what they keep."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

from starlette.routing import compile_path

from gatesocket.collector import paused
from gatesocket.exceptions import CannotHibernate, ConfigurationError, Finding
from gatesocket.hibernation.codes import NoSource
from gatesocket.hibernation.dependencies import install_overrides, shorten
from gatesocket.hibernation.discover import FoundRoute, discover
from gatesocket.hibernation.meanings import Meanings, Wait, unwrap, wait_of_function
from gatesocket.hibernation.origin import Origin, origin
from gatesocket.hibernation.units import Refusal, Unit, adopt
from gatesocket.values import frozen

__all__ = ["Blueprint", "PointPlan", "RoutePlan", "blueprint_of", "prepare"]


@frozen
class PointPlan:
    """One place where a route may hibernate."""

    file: str
    line: int
    function: str
    awaited: str
    """The source of what is awaited."""
    kept: tuple[str, ...]
    """The locals of the function that are needed afterwards."""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What hibernation means for one route."""

    path: str
    endpoint: str
    """Module and qualified name."""
    file: str
    line: int
    points: tuple[PointPlan, ...]
    """Where it may hibernate, in its endpoint and in the functions that this is known to await."""
    function: FunctionType
    units: tuple[Unit, ...]
    """The endpoint, and the functions that it is known to await and that may wait for the client."""


@frozen
class Blueprint:
    """An app that is ready to hibernate."""

    routes: tuple[RoutePlan, ...]
    endpoints: frozenset[str] = frozenset()
    """The `Unit.key` of each endpoint."""
    providers: tuple[Any, ...] = ()
    """The FastAPI apps whose ``dependency_overrides`` have a say."""
    findings: tuple[Finding, ...] = ()
    """What is refused; empty after `prepare`."""
    notes: tuple[Finding, ...] = ()
    """What is refused only if the route comes to wait there."""

    def route_of(self, path: str) -> str | None:
        """Return the path of the route that *path* leads to, such as ``/ws/{room}``; None if it leads to none."""
        return next((route.path for route in self.routes if _pattern(route.path).match(path)), None)


def prepare(app: Any) -> Blueprint:
    """Make every WebSocket route of *app* able to hibernate, and return what is known of them.

    Endpoints, the functions that they await on the way to a receive, and middleware of the app's own get other code, in
    place (see `transform`). Preparing an app again, or another that shares functions with it, is harmless; so is
    serving it by uvicorn afterwards.

    Raises:
        ConfigurationError: *app* is not an ASGI app.
        CannotHibernate: a route can't hibernate; every reason that the source shows is named.
    """
    blueprint = blueprint_of(app)
    if blueprint.findings:
        raise CannotHibernate(*blueprint.findings)
    return blueprint


def blueprint_of(app: Any) -> Blueprint:
    """Do what `prepare` does, with the findings in the result."""
    if not _is_asgi(app):
        raise ConfigurationError(
            f"{app!r} is not an ASGI app: it has to be an `async` callable that takes scope, receive and send. Give "
            "the FastAPI or Starlette object itself, or an ASGI function"
        )
    found = discover(app)
    adoption = _Adoption()
    with paused():
        for function in found.around:
            adoption.adopt(function, needed=False)
        for provider in found.providers:
            install_overrides(provider)
        routes = tuple(adoption.route(route) for route in found.routes)
    return Blueprint(
        routes,
        frozenset(adoption.endpoints),
        tuple(found.providers),
        tuple(sorted(adoption.findings, key=_place)),
        tuple(sorted(adoption.notes, key=_place)),
    )


@lru_cache(maxsize=1024)
def _pattern(path: str) -> re.Pattern[str]:
    return compile_path(path)[0]


def _is_own(function: FunctionType) -> bool:
    return origin(function.__code__.co_filename) is not Origin.FRAMEWORK


def _is_asgi(app: Any) -> bool:
    function = unwrap(app)
    return function is not None and inspect.iscoroutinefunction(function)


def _place(finding: Finding) -> tuple[str, int]:
    return finding.file, finding.line


class _Adoption:
    """Adopts functions, and those that they are known to call."""

    def __init__(self) -> None:
        self.findings: dict[Finding, None] = {}
        self.notes: dict[Finding, None] = {}
        self.endpoints: set[str] = set()

    def route(self, found: FoundRoute) -> RoutePlan:
        units = self.adopt(found.endpoint, needed=True)
        self.endpoints |= {unit.key for unit in units[:1]}
        if units:
            shorten(found.route, found.endpoint, units[0].key)
        for other in found.others:
            if wait_of_function(other) is Wait.SURELY:
                units += self.adopt(other, needed=True)
        points = [
            PointPlan(unit.file, point.line, unit.name, point.awaited, _kept(point.live.again))
            for unit in units
            for point in unit.points.values()
        ]
        code = found.endpoint.__code__
        name = f"{found.endpoint.__module__}:{found.endpoint.__qualname__}"
        place = (code.co_filename, code.co_firstlineno)
        return RoutePlan(found.path, name, *place, tuple(points), found.endpoint, tuple(units))

    def adopt(self, function: FunctionType, *, needed: bool) -> list[Unit]:
        units: dict[str, Unit] = {}
        waiting = [function]
        while waiting:
            following = waiting.pop(0)
            try:
                unit = adopt(following)
            except NoSource as error:
                if needed:
                    self._add(
                        self.findings, following, [Refusal(following.__code__.co_firstlineno, str(error), _SOURCE)]
                    )
                continue
            if unit.key in units:
                continue
            units[unit.key] = unit
            self._add(self.findings, following, unit.refusals)
            self._add(self.notes, following, unit.maybes)
            # Not kept in the unit: functions of one code may call different ones, by their closures.
            callees = map(Meanings.of(following).function, unit.calls)
            waiting += [callee for callee in callees if callee is not None and _is_own(callee)]
        return list(units.values())

    def _add(self, to: dict[Finding, None], function: FunctionType, refusals: Iterable[Refusal]) -> None:
        for refusal in refusals:
            what = f"{function.__qualname__} can't hibernate: {refusal.what}"
            to[Finding(function.__code__.co_filename, refusal.line, what, refusal.remedy)] = None


_SOURCE = "Deploy the .py files as they are, and define the function with `def` in one of them"


def _kept(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not name.startswith(".")))
