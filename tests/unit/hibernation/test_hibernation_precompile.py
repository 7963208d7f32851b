"""What a build keeps of the passes' work."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatesocket.exceptions import CannotHibernate
from gatesocket.hibernation import cache
from gatesocket.hibernation.precompile import precompile
from support.ahead import alone, forget, written
from support.lives import load

APP = """
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
import kept_helpers

async def by_name(ws):
    await ws.receive_text()

async def many(ws):
    while True:
        yield await ws.receive_text()

async def route(ws: WebSocket):
    await ws.accept()
    await kept_helpers.ask(ws)
    await COMMANDS[await ws.receive_text()](ws)

COMMANDS = {"by_name": by_name}
app = Starlette(routes=[WebSocketRoute("/", route)])
"""
HELPERS = """
async def ask(ws):
    return await ws.receive_text()

async def nobody(number):
    return number

def plain():
    return 1
"""
REFUSED = """
    try:
        pass
    finally:
        await ws.receive_text()
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    alone(monkeypatch)
    forget(monkeypatch)
    (tmp_path / "kept_helpers.py").write_text(HELPERS)
    (tmp_path / "kept_app.py").write_text(APP)
    yield tmp_path
    for name in ("kept_app", "kept_helpers"):
        sys.modules.pop(name, None)


def app_in(directory: Path) -> Any:
    load(directory / "kept_helpers.py")
    return load(directory / "kept_app.py").app


def names_in(directory: Path, module: str) -> dict[str, bool]:
    """The functions that are kept, and whether they can be adopted from it."""
    entries = cache._load(str(directory / f"{module}.py")).values()
    return {entry.code.co_name: entry.unit is not None for entry in entries}


def test_each_module_that_takes_part_has_a_file(directory: Path) -> None:
    found = precompile(app_in(directory), directory)

    assert {path.name.partition(".")[0]: number for path, number in found.items()} == {"kept_app": 3, "kept_helpers": 2}
    assert set(found) == set(directory.rglob("*.gatesocket"))


def test_what_a_route_may_come_to_call_is_kept_with_it(directory: Path) -> None:
    precompile(app_in(directory), directory)

    assert names_in(directory, "kept_app") == {"by_name": True, "many": False, "route": True}
    assert names_in(directory, "kept_helpers") == {"ask": True, "nobody": True}


def test_the_same_is_written_each_time(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precompile(app_in(directory), directory)
    first = written(directory)
    precompile(app_in(directory), directory)
    assert written(directory) == first

    # By a process that has other objects, and did other things before.
    forget(monkeypatch)
    load(directory / "kept_helpers.py")
    load(directory / "kept_app.py")
    precompile(app_in(directory), directory)
    assert written(directory) == first


def test_what_an_earlier_build_has_left_is_removed(directory: Path) -> None:
    (directory / "__pycache__").mkdir()
    left = directory / "__pycache__/removed.cpython-310.gatesocket"
    left.touch()

    precompile(app_in(directory), directory)
    assert not left.exists()


def test_nothing_is_written_elsewhere(directory: Path) -> None:
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()

    assert precompile(app_in(directory), elsewhere) == {}
    assert written(directory) == {}


def test_nothing_is_written_of_an_app_that_is_refused(directory: Path) -> None:
    with (directory / "kept_app.py").open("a") as file:
        file.write(f"\nasync def refused(ws: WebSocket):{REFUSED}\n")
        file.write("app.router.routes.append(WebSocketRoute('/refused', refused))\n")

    with pytest.raises(CannotHibernate, match="refused can't hibernate"):
        precompile(app_in(directory), directory)
    assert written(directory) == {}


def test_a_function_that_is_refused_and_no_route_calls_is_left_out(directory: Path) -> None:
    with (directory / "kept_helpers.py").open("a") as file:
        file.write(f"\nfrom starlette.websockets import WebSocket\n\nasync def refused(ws: WebSocket):{REFUSED}\n")

    precompile(app_in(directory), directory)
    assert names_in(directory, "kept_helpers") == {"ask": True, "nobody": True, "refused": False}


def test_a_function_that_lies_in_no_file_is_left_out(directory: Path) -> None:
    with (directory / "kept_helpers.py").open("a") as file:
        file.write('\nexec("async def made(ws): await ws.receive_text()")\n')

    precompile(app_in(directory), directory)
    assert names_in(directory, "kept_helpers") == {"ask": True, "nobody": True}
