"""How functions come to be able to hibernate, and how a snapshot finds them again."""

import functools
import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from starlette.websockets import WebSocket

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import units
from gatesocket.hibernation.units import adopt, adopt_called, is_transformed, unit_named, unit_of
from support.hibernation import Connection, serving
from support.lives import load, scope


def function(value: Any) -> FunctionType:
    assert isinstance(value, FunctionType)
    return value


def around(wrapped: Any) -> Any:
    @functools.wraps(wrapped)
    async def wrapper(*arguments: Any) -> Any:
        return await wrapped(*arguments)

    return wrapper


async def quiet() -> None:
    """Wait for nobody."""


def made(answer: str = "") -> Any:
    async def route(websocket: WebSocket) -> str:
        return answer + await websocket.receive_text()

    return route


@around
async def decorated(websocket: WebSocket) -> str:
    return await websocket.receive_text()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing has been adopted yet."""
    for name in ("_by_code", "_by_key", "_running", "_seen"):
        monkeypatch.setattr(units, name, {})


def socket() -> WebSocket:
    async def nothing(*_: Any) -> Any: ...

    return WebSocket(scope("/"), nothing, nothing)


# Adoption.


def test_a_function_gets_other_code_in_place() -> None:
    route = function(made())
    before = route.__code__

    unit = adopt(route)

    assert route.__code__ is unit.code
    assert route.__code__ is not before
    assert is_transformed(route.__code__)
    assert not is_transformed(before)
    assert unit_of(route.__code__) is unit


def test_adopting_a_function_again_changes_nothing() -> None:
    route = function(made())
    unit = adopt(route)
    code = route.__code__

    assert adopt(route) is unit
    assert route.__code__ is code


def test_functions_of_the_same_code_are_one_unit() -> None:
    first, second = function(made("a")), function(made("b"))

    assert adopt(first) is adopt(second)
    assert first.__code__ is second.__code__


def test_a_function_that_never_waits_keeps_its_code() -> None:
    before = quiet.__code__

    unit = adopt(function(quiet))

    assert quiet.__code__ is before
    assert not unit.points
    assert not is_transformed(before)


@pytest.mark.parametrize("call", [5, len, WebSocket, lambda: None, socket])
def test_what_is_no_coroutine_function_is_not_adopted_when_it_is_called(call: Any) -> None:
    adopt_called(call, (socket(),))

    assert units._by_key == {}


def test_an_own_coroutine_function_is_adopted_when_it_is_called() -> None:
    route = function(made())

    adopt_called(functools.partial(route), ())
    code = route.__code__
    adopt_called(route, ())

    assert is_transformed(code)
    assert route.__code__ is code


def test_a_librarys_is_adopted_only_if_it_is_given_the_socket(tmp_path: Path) -> None:
    file = tmp_path / "site-packages" / "library.py"
    file.parent.mkdir()
    file.write_text("async def ask(ws, question=''):\n    return await ws.receive_text()\n")
    library: Any = load(file)

    adopt_called(library.ask, ("no socket",))
    assert not is_transformed(library.ask.__code__)

    adopt_called(library.ask, (socket(),))
    assert is_transformed(library.ask.__code__)


def test_one_without_source_is_left_as_it_is() -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec("async def ask(ws):\n    return await ws.receive_text()", namespace)

    for _ in range(2):  # the second time it isn't looked for again
        adopt_called(namespace["ask"], (socket(),))

    assert not is_transformed(namespace["ask"].__code__)


# What a snapshot names.


def test_a_function_is_found_by_its_key_in_a_process_that_has_not_adopted_it() -> None:
    for name in (made, decorated):
        key = adopt(_inner(name)).key
        units._by_key.clear()

        assert unit_named(key).key == key


def _inner(value: Any) -> FunctionType:
    return function(value.__wrapped__ if hasattr(value, "__wrapped__") else value())


def test_a_function_under_two_decorators_is_found() -> None:
    key = adopt(function(twice.__wrapped__.__wrapped__)).key
    units._by_key.clear()

    assert unit_named(key).points


@around
@around
async def twice(websocket: WebSocket) -> str:
    return await websocket.receive_text()


@pytest.mark.parametrize(
    "key",
    [
        f"{__name__}:missing#000000000000",
        f"{__name__}:made.<locals>.route#000000000000",
        f"{__name__}:made.<locals>.other#000000000000",
        f"{__name__}:WebSocket#000000000000",
        "no.such.module:f#000000000000",
        "os:system#",
        "",
    ],
)
def test_a_function_that_is_not_there_or_reads_differently_is_refused(key: str) -> None:
    with pytest.raises(SnapshotError, match="has changed since the route hibernated"):
        unit_named(key)


BEFORE = """
from starlette.websockets import WebSocket

async def route(websocket: WebSocket):
    await websocket.accept()
    name = await websocket.receive_text()
    await websocket.send_text(name)
"""


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Any]:
    """Deploy a module in the place of the last."""
    file = tmp_path / "deployed_module.py"

    def deploy(text: str) -> ModuleType:
        file.write_text(text)
        linecache.checkcache()
        return load(Path(file))

    yield deploy
    sys.modules.pop("deployed_module", None)


@pytest.fixture(autouse=True)
def compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from support import lives

    monkeypatch.setattr(lives, "_compiled", lives._compiled.__wrapped__)


async def test_a_connection_outlives_a_change_of_formatting(deployed: Any) -> None:
    connection = Connection(serving(deployed(BEFORE).route))
    await connection.connect()

    after = Connection(serving(deployed("# A comment.\n" + BEFORE.replace("text()", "text(\n    )")).route))
    after.snapshot = connection.snapshot
    await after.say("ann")

    assert after.texts == ["ann"]


async def test_a_connection_does_not_outlive_a_change_of_its_route(deployed: Any) -> None:
    connection = Connection(serving(deployed(BEFORE).route))
    await connection.connect()

    after = Connection(serving(deployed(BEFORE.replace("send_text(name)", "send_text(name.upper())")).route))
    after.snapshot = connection.snapshot
    with pytest.raises(SnapshotError, match="deployed_module:route"):
        await after.say("ann")

    assert after.texts == []
