"""When what a build has kept of a function is used, and when it isn't."""

import linecache
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatesocket.hibernation import cache, prepare, units
from gatesocket.hibernation.meanings import Wait, wait_of_function
from gatesocket.hibernation.precompile import precompile
from gatesocket.hibernation.units import unit_named
from support.ahead import alone, flipped, forget, parts, transformed
from support.hibernation import Connection
from support.lives import load, load_source

SOURCE = """
from typing import Annotated
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

async def greet(ws: WebSocket, name: str) -> None:
    await ws.send_text(f"hello {name}")

async def route(ws: WebSocket):
    await ws.accept()
    name = await ws.receive_text()
    await greet(ws, name)
    name += await ws.receive_text()
    await ws.send_text(name)

app = Starlette(routes=[WebSocketRoute("/", route)])
"""


class Build:
    """A module with an app, of which a build has kept the transforms; each image of it is a new process's."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = file
        self.monkeypatch = monkeypatch

    def make(self, source: str = SOURCE) -> dict[Path, int]:
        """Write the module, and keep what becomes of it."""
        self.file.write_text(source)
        return precompile(self.image().app, self.file.parent)

    def image(self) -> Any:
        """Make a new process that has imported the module."""
        forget(self.monkeypatch)
        return load_anew(self.file)

    @property
    def kept(self) -> Path:
        """The file beside the byte code."""
        return cache.file_of(str(self.file))


def load_anew(file: Path) -> Any:
    from support import lives

    lives._compiled.cache_clear()
    linecache.checkcache()
    return load(file)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    alone(monkeypatch)
    made = Build(tmp_path / "deployed_app.py", monkeypatch)
    made.make()
    monkeypatch.setattr(logging.getLogger("gatesocket"), "level", logging.DEBUG)
    yield made
    sys.modules.pop("deployed_app", None)


@pytest.fixture
def fresh(build: Build, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions that go through the passes."""
    return transformed(monkeypatch)


def test_what_is_kept_lies_beside_the_byte_code(build: Build) -> None:
    name = f"deployed_app.cpython-3{sys.version_info.minor}.gatesocket"
    assert build.kept == build.file.parent / "__pycache__" / name
    assert build.kept.is_file()


async def test_a_route_is_taken_from_the_cache(build: Build, fresh: list[str]) -> None:
    connection = Connection(build.image().app)
    await connection.connect()
    await connection.say("ann")
    connection.app = build.image().app
    connection.blueprint = prepare(connection.app)
    await connection.say("!")

    assert connection.texts == ["hello ann", "ann!"]
    assert fresh == []


def test_its_code_is_where_its_source_is(build: Build, fresh: list[str]) -> None:
    elsewhere = build.file.parent / "elsewhere"
    elsewhere.mkdir()
    for path in (build.file, build.kept):
        target = elsewhere / path.relative_to(build.file.parent)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    build.file = elsewhere / build.file.name
    [plan] = prepare(build.image().app).routes

    assert fresh == []
    assert parts(plan.units[0])["files"] == {str(build.file)}
    assert [(point.file, point.line) for point in plan.points] == [(str(build.file), 12), (str(build.file), 14)]


def test_a_unit_of_the_cache_finds_its_source_when_it_is_asked_for(build: Build, fresh: list[str]) -> None:
    [plan] = prepare(build.image().app).routes
    unit = plan.units[0]

    assert unit.node.name == "route"
    assert unit.assigned == {"ws": (10,), "name": (12, 14)}
    build.file.write_text("nothing is left = 1")
    linecache.checkcache()
    assert unit.assigned == {}
    assert fresh == []


def test_a_snapshots_function_is_found_in_the_cache(build: Build, fresh: list[str]) -> None:
    [plan] = prepare(build.image().app).routes
    build.image()

    assert unit_named(plan.units[0].key).key == plan.units[0].key
    assert fresh == []


# What can't be used any more.


def refused(build: Build, caplog: pytest.LogCaptureFixture, image: Any = None) -> str:
    """Prepare the app, and return what is said of the cache."""
    caplog.clear()
    caplog.set_level(logging.DEBUG, "gatesocket")
    prepare((image or build.image()).app)
    return "\n".join(record.getMessage() for record in caplog.records if record.name == "gatesocket")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n\nasync def route", "\n\n\nasync def route"),
        ("name += await", "name  = await"),
        ("async def route(ws: WebSocket)", "async def route(ws: Annotated)"),
        ("# the end", "# an end"),
    ],
    ids=["moved", "edited", "annotated otherwise", "commented otherwise"],
)
def test_an_edited_module_is_read_again(
    build: Build, fresh: list[str], caplog: pytest.LogCaptureFixture, old: str, new: str
) -> None:
    build.make(SOURCE + "# the end\n")
    fresh.clear()
    build.file.write_text((SOURCE + "# the end\n").replace(old, new))
    assert "deployed_app.py was edited since" in refused(build, caplog)
    assert "route" in fresh


def test_byte_code_that_is_older_than_its_source_is_not_taken_for_it(
    build: Build, fresh: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    image = build.image()
    namespace: dict[str, Any] = {}
    exec(compile("\n" * 9 + "async def route(ws):\n    await ws.receive_bytes()\n", build.file, "exec"), namespace)

    assert cache.find("deployed_app", image.route.__code__) is not None
    assert cache.find("deployed_app", namespace["route"].__code__) is None
    assert "route of" in caplog.text
    assert "other code runs" in caplog.text


def test_a_module_of_another_name_is_another_module(build: Build, fresh: list[str]) -> None:
    assert cache.find("another_app", build.image().route.__code__) is None
    assert fresh == []


async def asks(ws: Any, name: str) -> None:
    await ws.send_text(f"{name}?")
    await ws.receive_text()


def test_a_name_that_means_something_else_is_noticed(
    build: Build, fresh: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    image = build.image()
    image.greet = asks

    said = refused(build, caplog, image)

    assert "route of" in said
    assert "another answer is true of wait(greet, WebSocket())" in said
    assert "route" in fresh
    points = unit_named(next(key for key in units._by_key if ":route#" in key)).points
    assert [point.awaited for point in points.values()] == ["ws.receive_text()", "greet(ws, name)", "ws.receive_text()"]


def test_a_helper_that_means_something_else_is_noticed(build: Build, fresh: list[str]) -> None:
    build.make(SOURCE.replace("    await ws.send_text(f", "    await tell(ws, f").replace("async def greet", HELPER))
    fresh.clear()
    image = build.image()
    image.tell = asks

    assert wait_of_function(image.greet) is Wait.SURELY
    assert [name for name in fresh if name != "asks"] == ["greet"]


HELPER = """
async def tell(ws: WebSocket, text: str) -> None:
    await ws.send_text(text)

async def greet"""


@pytest.mark.parametrize("spoilt", ["version", "python", "optimised"])
def test_what_another_version_has_written_is_left(
    build: Build, fresh: list[str], caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    data = build.kept.read_bytes()
    line, _, rest = data.partition(b"\n")
    words = line.split(b" ")
    words[{"version": 1, "python": 2, "optimised": 4}[spoilt]] = b"9"
    build.kept.write_bytes(b" ".join(words) + b"\n" + rest)

    assert "was written for another version" in refused(build, caplog)
    assert fresh == ["route", "greet"]


@pytest.mark.parametrize("spoilt", ["foreign", "empty", "without an end", "half", "head only", "bit", "digest", "text"])
def test_a_damaged_file_is_told_of_once_and_left(
    build: Build, fresh: list[str], caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    data = build.kept.read_bytes()
    head = data.index(b"\n") + 1
    build.kept.write_bytes(
        {
            "foreign": b"#!/bin/sh\n",
            "empty": b"",
            "without an end": data[: head - 1],
            "half": data[: len(data) // 2],
            "head only": data[:head],
            "bit": flipped(data, len(data) - 100),
            "digest": flipped(data, head),
            "text": data + b"more",
        }[spoilt]
    )

    assert refused(build, caplog).count("is damaged, or was written by something else") == 1
    assert [record.levelname for record in caplog.records if "damaged" in record.getMessage()] == ["WARNING"]
    assert fresh == ["route", "greet"]


def test_any_bit_of_it_may_be_another(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    data = build.kept.read_bytes()
    code = build.image().route.__code__
    for place in range(0, len(data), 97):
        forget(monkeypatch)
        build.kept.write_bytes(flipped(data, place))
        assert cache.find("deployed_app", code) is None


def test_nothing_is_kept_of_what_lies_in_no_file(fresh: list[str]) -> None:
    assert cache.find("generated", load_source(SOURCE).route.__code__) is None
    assert fresh == []


def test_a_python_without_byte_code_has_no_cache(
    build: Build, fresh: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(source: str) -> str:
        raise NotImplementedError

    monkeypatch.setattr(cache, "cache_from_source", none)
    assert cache.find("deployed_app", build.image().route.__code__) is None
    assert fresh == []


# A cold start.

HANDLER = """
import sys
from deployed_app import app
from gatesocket import WebSocketHandler
WebSocketHandler(app)
print([name for name in sys.argv[1:] if f"gatesocket.hibernation.{name}" in sys.modules])
"""
PASSES = (
    "bindings",
    "expressions",
    "linearise",
    "liveness",
    "notes",
    "points",
    "report",
    "scan",
    "source",
    "transform",
)


def test_a_handler_that_finds_its_routes_imports_none_of_the_passes(build: Build) -> None:
    # In processes of their own: in this one, other tests have derived classes from the socket's.
    printed = []
    for arguments in (["-m", "gatesocket", "compile", "deployed_app:app"], ["-c", HANDLER, *PASSES]):
        command = [sys.executable, "-B", *arguments]
        done = subprocess.run(command, cwd=build.file.parent, capture_output=True, text=True, check=True, timeout=30)
        printed.append(done.stdout)
    assert printed == [f"{build.kept}: 2 functions\n", "[]\n"]
