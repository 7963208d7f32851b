"""What transformed functions call, while a run is active and while none is."""

import asyncio
import builtins
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.testclient import TestClient

from gatesocket.hibernation import entry, prepare
from gatesocket.hibernation.blocks import Block
from gatesocket.hibernation.bound import SocketMessages
from gatesocket.hibernation.entry import ACTIVE, Activation, again, begin, block
from support.hibernation import Connection, serving
from support.lives import scope


async def ask(websocket: WebSocket, question: str) -> str:
    await websocket.send_text(question)
    return await websocket.receive_text()


class Door(AbstractContextManager[str]):
    def __init__(self) -> None:
        self.events: list[str] = []

    def __enter__(self) -> str:
        self.events.append("open")
        return "hall"

    def __exit__(self, *_: object) -> None:
        self.events.append("closed")


def test_a_prepared_route_is_the_same_under_starlettes_test_client() -> None:
    app = FastAPI()
    door = Door()
    seen: list[str] = []

    @app.websocket("/{n}")
    async def route(websocket: WebSocket, n: int) -> None:
        await websocket.accept()
        try:
            with door as place:
                for number in range(n):
                    answer = await ask(websocket, "more?")
                    seen.append(f"{place} {number} {answer}")
                async for text in websocket.iter_text():
                    seen.append(text.upper())  # noqa: PERF401 - an iteration is meant
        except WebSocketDisconnect:
            raise AssertionError("`iter_text` ends at a disconnect") from None
        finally:
            seen.append("end")

    for _ in range(2):
        prepare(app)
    with TestClient(app).websocket_connect("/1") as client:
        assert client.receive_text() == "more?"
        client.send_text("a")
        client.send_text("b")
        client.close()

    assert seen == ["hall 0 a", "B", "end"]
    assert door.events == ["open", "closed"]


def test_without_a_run_nothing_is_made_and_nothing_wrapped() -> None:
    def generator() -> AsyncIterator[int]:
        async def numbers() -> AsyncIterator[int]:
            yield 1

        return numbers()

    door, numbers = Door(), generator()
    inert = begin("app:f#1", lambda: door)

    assert begin("app:g#2") is inert
    assert (inert.at, inert.direct, inert.left, inert.ends, dict(inert.saved)) == (0, False, False, False, {})
    assert inert.takes(0, "name")
    assert inert.call(max, 1, 2, key=abs) == 2
    assert block(inert, 1, door) is door
    assert entry.aiter(numbers) is numbers


class _Run:
    """As much of a run as an activation knows."""

    def __init__(self) -> None:
        self.expected: list[Any] = []

    def begin(self, key: str, cells: Any) -> Any:
        return key, {name: cell.cell_contents for name, cell in cells.items()}

    def expect(self, function: Any, arguments: tuple[Any, ...]) -> None:
        self.expected.append((function, arguments))

    def next_frame(self) -> str:
        return "the next frame"

    def sleep(self, delay: float, result: Any = None, *, until: int | None) -> tuple[float, Any, int | None]:
        return delay, result, until


@pytest.fixture
def activation() -> Activation:
    return Activation(_Run(), {}, {}, at=1, saved={"file": "kept"}, direct=True)  # type: ignore[arg-type]


def test_a_call_is_told_to_the_run_before_it_is_made(activation: Activation) -> None:
    assert activation.call(max, 1, 2, key=abs) == 2
    assert activation.run.expected == [(max, (1, 2))]  # type: ignore[attr-defined]


@pytest.mark.parametrize("sleep", [asyncio.sleep, anyio.sleep])
def test_a_sleep_is_the_run_s_to_spend_and_goes_on_once(sleep: Any, activation: Activation) -> None:
    activation.until = 60_000
    assert activation.call(sleep, 5) == (5, None, 60_000)
    assert activation.call(sleep, delay=5) == (5, None, None)
    assert activation.run.expected == []  # type: ignore[attr-defined]


def test_the_next_frame_is_woken_once(activation: Activation) -> None:
    assert activation.next() == "the next frame"  # type: ignore[comparison-overlap]
    assert not activation.direct


def test_what_a_with_gave_is_taken_unless_another_value_was_saved(activation: Activation) -> None:
    assert activation.takes(0, "file")
    assert activation.takes(1, "other")
    assert not activation.takes(1, "file")


def test_a_with_is_wrapped_in_a_run(activation: Activation) -> None:
    wrapped = block(activation, 3, nullcontext())

    assert isinstance(wrapped, Block)
    assert wrapped.number == 3


def test_the_closure_of_a_lambda_shows_the_shared_variables() -> None:
    token = ACTIVE.set(_Run())  # type: ignore[arg-type]
    try:
        x, y = 1, 2
        found: list[Any] = [begin("app:f#1", lambda: (x, y)), begin("app:f#1")]
        assert found == [("app:f#1", {"x": 1, "y": 2}), ("app:f#1", {})]
    finally:
        ACTIVE.reset(token)


def test_a_loop_goes_on_behind_the_item_that_it_has() -> None:
    iterator = iter([1, 2, 3])
    next(iterator)

    assert list(again(iterator)) == [None, 2, 3]


async def test_only_the_sockets_own_iterators_are_replaced() -> None:
    async def receive() -> Any: ...

    async def numbers() -> AsyncIterator[int]:
        yield 1

    websocket = WebSocket(scope("/"), receive, receive)  # type: ignore[arg-type]
    token = ACTIVE.set(_Run())  # type: ignore[arg-type]
    try:
        found = entry.aiter(websocket.iter_json())
        assert isinstance(found, SocketMessages)
        assert (found.socket, found.method) == (websocket, "receive_json")
        assert [number async for number in entry.aiter(numbers())] == [1]
        messages = SocketMessages(websocket, "receive_text")
        assert entry.aiter(messages) is messages
    finally:
        ACTIVE.reset(token)


def test_the_built_in_names_are_meant_whatever_the_module_calls_so() -> None:
    for name in ("AssertionError", "BaseException", "StopAsyncIteration", "iter", "set"):
        assert getattr(entry, name) is getattr(builtins, name)


async def test_two_runs_in_one_event_loop_do_not_know_of_one_another() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        name = await websocket.receive_text()
        await asyncio.sleep(0)
        while True:
            text = await websocket.receive_text()
            await asyncio.sleep(0)
            await websocket.send_text(f"{name}: {text}")

    app = serving(route)
    ann, bob = Connection(app), Connection(app)

    for text in ("name", "1", "2"):
        if text == "name":
            await asyncio.gather(ann.connect(), bob.connect())
            await asyncio.gather(ann.say("ann"), bob.say("bob"))
        else:
            await asyncio.gather(ann.say(text), bob.say(text))

    assert (ann.texts, bob.texts) == (["ann: 1", "ann: 2"], ["bob: 1", "bob: 2"])
    assert ACTIVE.get() is None


PROGRAM = """
import asyncio
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from support.hibernation import Connection

async def route(websocket: WebSocket):
    "The docstring goes away under -OO."
    await websocket.accept()
    n = 0
    while n < 2:
        assert await websocket.receive_text(), "evaluated only with assertions"
        n += 1
        await websocket.send_text(f"{n} {__debug__} {route.__doc__ is None}")
        if not __debug__:
            await websocket.receive_text()

async def main():
    connection = Connection(Starlette(routes=[WebSocketRoute("/", route)]))
    await connection.connect()
    for text in "abcd":
        if connection.snapshot:
            await connection.say(text)
    print(connection.texts)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "['1 True False', '2 True False']"),
        (["-O"], "['1 False False', '2 False False']"),
        (["-OO"], "['1 False True', '2 False True']"),
        (["-X", "no_debug_ranges"], "['1 True False', '2 True False']"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_route_hibernates_whatever_python_is_told_to_leave_out(
    tmp_path: Path, options: list[str], expected: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    tests = Path(__file__).parents[2]

    done = subprocess.run(
        [sys.executable, *options, program],
        env={"PYTHONPATH": str(tests), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert (done.stdout.strip(), done.stderr) == (expected, "")
