"""Third pass: a function that can start in its middle."""

import ast
import inspect
import re
import sys
import textwrap
import traceback
from contextlib import suppress
from types import FunctionType
from typing import Any

import pytest
from starlette.websockets import WebSocket

from gatesocket.hibernation import meanings, prepare
from gatesocket.hibernation import transform as module
from gatesocket.hibernation.source import FunctionNode, Source
from gatesocket.hibernation.transform import transform
from support.hibernation import Connection, serving
from support.lives import load_source


async def ask(ws: WebSocket, question: str) -> str:
    """Ask something.

    The answer is stripped.
    """
    await ws.send_text(question)
    answer = await ws.receive_text()
    return answer.strip()


async def say(ws: WebSocket) -> None:
    await ws.send_text("hello")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[FunctionNode]:
    """The definitions that are compiled in the place of the user's."""
    found: list[FunctionNode] = []
    compile_in_place = Source.compile

    def spy(self: Source, node: FunctionNode) -> Any:
        found.append(node)
        return compile_in_place(self, node)

    monkeypatch.setattr(Source, "compile", spy)
    return found


def normal(text: str) -> str:
    """Source with dotted names, in a form that doesn't depend on its layout."""
    named = re.sub(r"(?<![\w\])])\.(?=[a-z])", "DOT_", textwrap.dedent(text))
    return ast.unparse(ast.parse(re.sub(r"#[0-9a-f]+…?", "#…", named)))


def columns(text: str) -> tuple[str, str]:
    """The left and the right side of an example."""
    rows = text.splitlines()
    width = rows[0].index("async def", rows[0].index("async def") + 1)
    return "\n".join(row[:width].rstrip() for row in rows), "\n".join(row[width:] for row in rows)


def test_the_example_of_the_module_is_true(written: list[FunctionNode], monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests' classes, whose `receive_text` isn't the socket's own, are not there.
    monkeypatch.setattr(meanings, "_subclasses", lambda cls: iter(()))
    assert module.__doc__ is not None
    before, after = columns(module.__doc__.split("::\n\n")[1].split("\n\n(")[0])

    app = load_source(f"{AROUND}\n{textwrap.dedent(before)}\n")
    transform(app.chat)
    found = ast.unparse(written[-1]).replace("generated:", "app:")

    assert normal(found) == normal(after)


AROUND = """
from starlette.websockets import WebSocket

async def announce(room, text): ...
"""


def as_function(value: Any) -> FunctionType:
    assert isinstance(value, FunctionType)
    return value


def test_a_function_without_a_point_keeps_its_code() -> None:
    unit = transform(as_function(say))

    assert unit.code is say.__code__
    assert unit.points == {}


def test_a_function_that_is_refused_keeps_its_code() -> None:
    async def route(ws: WebSocket) -> None:
        try:
            await ws.receive_text()
        finally:
            await ws.receive_text()

    unit = transform(as_function(route))

    assert unit.code is route.__code__
    assert [refusal.line for refusal in unit.refusals] == [route.__code__.co_firstlineno + 4]


def test_what_is_known_of_a_unit() -> None:
    async def route(ws: WebSocket, n: int) -> None:
        with suppress(ValueError) as nothing:
            n = 1
            n += len(await ask(ws, str(n)))
        n = nothing  # type: ignore[assignment]

    unit = transform(as_function(route))
    first = route.__code__.co_firstlineno

    assert unit.key.startswith(f"{__name__}:test_what_is_known_of_a_unit.<locals>.route#")
    assert unit.name == "test_what_is_known_of_a_unit.<locals>.route"
    assert unit.assigned == {"ws": (first,), "n": (first, first + 2, first + 3, first + 4), "nothing": (first + 1,)}
    assert list(unit.entered.values()) == ["nothing"]
    (point,) = unit.points.values()
    assert (point.line, point.awaited) == (first + 3, "ask(ws, str(n))")
    assert unit.calls == ("ask",)


def test_the_new_code_has_the_place_name_and_variables_of_the_old() -> None:
    outer = 1

    async def route(ws: WebSocket, /, a: int, *rest: int, b: int = 2, **more: int) -> int:
        inner = [outer]

        def shared() -> list[int]:
            return inner

        await ws.receive_text()
        return len(shared())

    old, new = route.__code__, transform(as_function(route)).code

    assert new is not old
    assert (new.co_filename, new.co_firstlineno, new.co_name) == (old.co_filename, old.co_firstlineno, old.co_name)
    assert (new.co_qualname, new.co_flags) == (old.co_qualname, old.co_flags)
    assert new.co_freevars == old.co_freevars
    assert new.co_cellvars == old.co_cellvars
    assert new.co_varnames[:5] == old.co_varnames[:5]


# What a user sees of it.


def test_inspect_shows_the_users_source_and_signature() -> None:
    async def route(websocket: WebSocket, room: str = "lobby") -> None:
        """Serve a room."""
        await websocket.receive_text()

    source, signature = inspect.getsource(route), inspect.signature(route)
    prepare(serving(route))

    assert route.__doc__ == "Serve a room."
    assert inspect.getsource(route) == source
    assert inspect.signature(route) == signature
    assert inspect.iscoroutinefunction(route)


def test_the_docstring_stays_the_first_statement(written: list[FunctionNode]) -> None:
    transform(as_function(ask))

    assert ast.get_docstring(written[-1]) == "Ask something.\n\nThe answer is stripped."


async def test_a_traceback_points_at_the_users_lines_before_and_after_waking() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        numbers = {"one": 1}
        for _ in range(2):
            key = await websocket.receive_text()
            await websocket.send_text(
                str(
                    numbers[key],
                ),
            )

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("one")
    with pytest.raises(KeyError, match="two") as caught:
        await connection.say("two")

    frames = [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.name == "route"]
    assert [(frame.filename, frame.line) for frame in frames] == [(__file__, "numbers[key],")]
    assert connection.texts == ["1"]


async def test_a_trace_function_sees_the_users_lines_in_their_order() -> None:
    """As a debugger's or a coverage tool's does."""

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        total = 0
        while total < 3:
            text = await websocket.receive_text()
            if text == "skip":
                continue
            total += len(text)
        await websocket.send_text(str(total))

    first = route.__code__.co_firstlineno
    connection = Connection(serving(route))
    seen: list[int] = []

    def tracer(frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_name != "route" or frame.f_code.co_filename != __file__:
            return None
        if event == "line" and seen[-1:] != [frame.f_lineno - first]:
            seen.append(frame.f_lineno - first)
        return tracer

    earlier = sys.gettrace()
    sys.settrace(tracer)
    try:
        await connection.connect()
        await connection.say("skip")
        await connection.say("abc")
    finally:
        sys.settrace(earlier)

    assert connection.texts == ["3"]
    assert set(seen) == set(range(1, 9))
    assert [line for line in seen if line in {6, 7, 8}] == [6, 7, 8]


async def test_what_is_deleted_after_a_receive_is_still_there() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        name = "ann"
        await websocket.receive_text()
        del name
        await websocket.send_text("deleted")

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("go")

    assert connection.texts == ["deleted"]


async def test_globals_and_nonlocals_are_declared_before_anything_else() -> None:
    count = 0

    async def route(websocket: WebSocket) -> None:
        """Count."""
        nonlocal count
        global greeting  # noqa: PLW0603
        await websocket.accept()
        greeting = "hello"
        while True:
            count += len(await websocket.receive_text())

    connection = Connection(serving(route))
    await connection.connect()
    await connection.say("ab")
    await connection.say("c")

    assert count == 3
    assert greeting == "hello"


greeting = ""


@pytest.mark.parametrize(
    "after", ["await ws.receive_text()", "await asyncio.sleep(10)"], ids=["receives now", "sleeps now"]
)
def test_a_function_whose_helper_has_come_to_wait_is_another_one(after: str) -> None:
    """It reads as ever, but its points may have other numbers, so that a snapshot of before must not wake it."""

    def key(of_helper: str) -> str:
        source = f"""
            import asyncio
            from starlette.websockets import WebSocket

            async def helper(ws):
                {of_helper}

            async def route(ws: WebSocket):
                await ws.accept()
                await helper(ws)
                await ws.receive_text()
            """
        loaded = load_source(textwrap.dedent(source))
        return transform(loaded.route).key.partition("#")[2]

    before = "await ws.send_text('hello')"
    assert key(before) != key(after)
    assert key(before) == key("await ws.send_text('goodbye')")
