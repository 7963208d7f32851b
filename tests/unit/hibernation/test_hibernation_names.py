"""What every process has of its own accord, and the names that it is found by."""

import contextvars
import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from gatesocket.hibernation.names import Index, contents, find, is_own, name_of, name_of_variable, own_modules

LIMITS = {"ann": 3}
TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


def plain() -> str:
    return "plain"


@logged
def decorated() -> str:
    return "decorated"


class Base:
    inherited = ["x"]  # noqa: RUF012


class Room(Base):
    class Door:
        pass

    def announce(self) -> None: ...

    @staticmethod
    def rules() -> None: ...

    @classmethod
    def make(cls) -> None: ...

    @property
    def size(self) -> int:
        raise AssertionError("reading a name runs no property")


@pytest.fixture
def other() -> Iterator[ModuleType]:
    """A module of the app's own that isn't this one."""
    module = ModuleType("other_module")
    module.__file__ = __file__
    module.limit = ["theirs"]  # type: ignore[attr-defined]
    sys.modules["other_module"] = module
    yield module
    del sys.modules["other_module"]


# From a name to the thing.


def test_a_name_leads_through_modules_and_classes() -> None:
    assert find(f"{__name__}:LIMITS") is LIMITS
    assert find(f"{__name__}:Room.Door") is Room.Door
    assert find(f"{__name__}:Room.announce") is Room.announce
    assert find(f"{__name__}:Room.rules") is Room.rules
    assert find(f"{__name__}:Room.make") is vars(Room)["make"].__func__
    assert find(f"{__name__}:Room.inherited") is Base.inherited
    assert find(f"{__name__}:json.dumps") is json.dumps


def test_a_name_leads_to_the_function_under_a_decorator() -> None:
    found = find(f"{__name__}:decorated.<function>")

    assert found is not decorated
    assert found() == "decorated"


def test_reading_a_name_runs_no_property() -> None:
    assert isinstance(find(f"{__name__}:Room.size"), property)


def test_reading_a_name_imports_nothing() -> None:
    assert "antigravity" not in sys.modules
    with pytest.raises(LookupError, match="no module 'antigravity' is loaded"):
        find("antigravity:x")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "path",
    ["", "nothing", "Room.nothing", "LIMITS.ann", "plain.__globals__", "decorated.<other>", "decorated.function"],
)
def test_a_name_leads_nowhere_else(path: str) -> None:
    with pytest.raises(LookupError, match="has no"):
        find(f"{__name__}:{path}")


# From the thing to its name.


def test_a_class_and_a_function_know_their_name() -> None:
    def local() -> None: ...

    assert name_of(Room.announce) == f"{__name__}:Room.announce"
    assert name_of(local) is None
    assert name_of(decorated.__wrapped__) is None  # type: ignore[attr-defined]


def test_what_a_function_has_of_those_around_it_is_found_by_the_variables_name() -> None:
    if LIMITS:
        known = 1

    def local() -> Any:
        return known, later

    assert isinstance(local, FunctionType)
    assert dict(contents(local)) == {"known": 1}
    later = 2
    assert dict(contents(local)) == {"known": 1, "later": 2}


def test_an_index_knows_the_members_of_modules_and_of_the_states() -> None:
    pool, lobby = object(), object()
    index = Index([__name__], {"state": {"pool": pool}, "app.state": {"lobby": lobby}})

    assert index.get(LIMITS) == f"{__name__}:LIMITS"
    assert index.get(pool) == "state:pool"
    assert index.get(lobby) == "app.state:lobby"
    assert index.get({"ann": 3}) is None


def test_an_index_knows_the_apps_other_modules_that_these_import(
    other: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing = ModuleType("importing")
    importing.other = other  # type: ignore[attr-defined]
    importing.json = json  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "importing", importing)

    assert list(own_modules(["importing", "importing", "no.such"])) == ["importing", "other_module"]
    assert Index(["importing"], {}).get(other.limit) == "other_module:limit"
    assert Index([__name__], {}).get(other.limit) is None


def test_a_module_that_was_loaded_anew_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (["old"], ["new"]):
        module = ModuleType("reloaded")
        module.limit = limit  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "reloaded", module)

        assert Index(["reloaded"], {}).get(limit) == "reloaded:limit"


def test_a_module_that_is_imported_late_is_looked_at_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    importing, late = ModuleType("importing"), ModuleType("late")
    late.limit = ["late"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "importing", importing)
    monkeypatch.setitem(sys.modules, "late", late)
    assert Index(["importing"], {}).get(late.limit) is None

    importing.late = late  # type: ignore[attr-defined]

    assert Index(["importing"], {}).get(late.limit) == "late:limit"


def test_an_index_knows_functions_in_classes_and_under_decorators() -> None:
    functions = Index([__name__], {}).functions()
    hidden = decorated.__wrapped__  # type: ignore[attr-defined]

    assert functions[id(hidden)] == (f"{__name__}:decorated.<function>", hidden)
    assert functions[id(Room.announce)][0] == f"{__name__}:Room.announce"
    assert id(json.dumps) not in functions
    assert all(isinstance(function, FunctionType) for _, function in functions.values())


# Whose modules.


def test_the_standard_library_installed_packages_and_the_framework_are_not_the_apps(other: ModuleType) -> None:
    assert is_own(__name__)
    assert is_own("other_module")
    assert not any(
        map(is_own, ["json", "logging.config", "pydantic", "fastapi.routing", "gatesocket.manager", "no.such"])
    )


def test_a_module_without_a_file_is_the_apps(other: ModuleType) -> None:
    other.__file__ = None

    assert is_own("other_module")


def test_a_context_variable_of_the_apps_is_found_and_a_librarys_is_not() -> None:
    foreign: contextvars.ContextVar[int] = contextvars.ContextVar("foreign")

    assert name_of_variable(TENANT) == f"{__name__}:TENANT"
    assert name_of_variable(foreign) is None


def test_a_logger_is_no_module_member_of_ours() -> None:
    assert Index([__name__], {}).get(logging.getLogger("elsewhere")) is None
