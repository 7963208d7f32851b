"""Objects that every process has of its own accord are saved by name.

A module's functions, classes and objects, the members of ``app.state`` and of the lifespan's state are there before
any message comes, in the process that writes a snapshot and in the one that reads it. Saving them by value would cost
bytes and break their identity. ::

    chat.app:manager                  the object that module `chat.app` calls `manager`
    chat.app:Room.announce            the function in the class
    chat.app:load.<function>          what the variable `function` of the function `load` holds: under a decorator, the
                                      function that it decorates

Reading a name never imports a module and never runs a property: it looks into the dictionaries of modules and classes
that the app has loaded, and nowhere else.
"""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import FunctionType, ModuleType
from typing import Any

from gatesocket.hibernation.origin import Origin, origin

__all__ = ["Index", "find", "is_own", "name_of", "own_modules"]


def find(name: str) -> Any:
    """Look ``module:attribute.attribute`` up.

    Raises:
        LookupError: there is no such module loaded, or no such thing in it.
    """
    module_name, _, path = name.partition(":")
    found: Any = sys.modules.get(module_name)
    if found is None:
        raise LookupError(f"no module {module_name!r} is loaded")
    for part in path.split("."):
        if isinstance(found, ModuleType):
            members: Mapping[str, Any] = vars(found)
        elif isinstance(found, type):
            members = {part: inspect.getattr_static(found, part)} if _has(found, part) else {}
        elif part.startswith("<") and isinstance(found, FunctionType):
            members = {f"<{variable}>": content for variable, content in contents(found)}
        else:
            members = {}
        if part not in members:
            raise LookupError(f"{module_name!r} has no {path!r}")
        found = members[part]
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
    return found


def _has(cls: type, name: str) -> bool:
    return any(name in vars(base) for base in cls.__mro__)


def name_of(value: Any) -> str | None:
    """The name that a class or function has itself; None if it isn't found by that."""
    name = f"{value.__module__}:{value.__qualname__}"
    try:
        return name if find(name) is value else None
    except LookupError:
        return None


def contents(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Iterate over the variables that a function has of the functions around it, and what they hold."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue


class Index:
    """Names of objects by identity, for the modules that matter to one snapshot."""

    def __init__(self, modules: Iterable[str], members: Mapping[str, Mapping[str, Any]]) -> None:
        self._modules = tuple(modules)
        self._members = dict(members)
        self._names: dict[int, tuple[str, str]] | None = None
        self._functions: dict[int, tuple[str, FunctionType]] | None = None

    def get(self, value: object) -> str | None:
        """The name of *value*; None if it has none."""
        if self._names is None:
            modules = {name: vars(module) for name, module in own_modules(self._modules).items()}
            self._names = {
                id(member): (place, name)
                for place, members in (self._members | modules).items()
                for name, member in members.items()
            }
        found = self._names.get(id(value))
        return found and ":".join(found)

    def functions(self) -> dict[int, tuple[str, FunctionType]]:
        """The functions of the modules by identity, with their names: in classes and under decorators, too."""
        if self._functions is None:
            found: dict[int, tuple[str, FunctionType]] = {}
            waiting = [
                (f"{place}:{name}", value)
                for place, module in own_modules(self._modules).items()
                for name, value in vars(module).items()
            ]
            while waiting:
                name, value = waiting.pop()
                if isinstance(value, FunctionType) and id(value) not in found:
                    found[id(value)] = (name, value)
                    waiting += [(f"{name}.<{variable}>", content) for variable, content in contents(value)]
                elif isinstance(value, type) and is_own(value.__module__):
                    waiting += [(f"{name}.{member}", each) for member, each in vars(value).items()]
            self._functions = found
        return self._functions


def own_modules(names: Iterable[str]) -> dict[str, ModuleType]:
    """The modules *names*, and the app's other modules that these have imported."""
    found: dict[str, ModuleType] = {}
    for name in names:
        module = sys.modules.get(name)
        if module is not None:
            # Looked at anew each time: a function may import a module late, and a module may be loaded again.
            found[name] = module
            imported = {value.__name__: value for value in vars(module).values() if isinstance(value, ModuleType)}
            found |= {other: each for other, each in imported.items() if is_own(other)}
    return found


def is_own(name: str) -> bool:
    """Whether the module called *name* is the app's own."""
    module = sys.modules.get(name)
    if module is None or name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return False
    file = getattr(module, "__file__", None)
    return file is None or origin(file) is Origin.OWN


def name_of_variable(variable: ContextVar[Any]) -> str | None:
    """Find a context variable in the app's own modules; None if it belongs to a library, which sets it by itself."""
    for module_name, module in list(sys.modules.items()):
        if is_own(module_name):
            for name, value in vars(module).items():
                if value is variable:
                    return f"{module_name}:{name}"
    return None
