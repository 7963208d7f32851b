"""Where a snapshot's route waits, in words."""

import inspect
from typing import Any

from gatesocket.hibernation import place_of
from gatesocket.hibernation.snapshot import Frame, Snapshot
from support.hibernation import Connection, serving


async def inner(websocket: Any) -> str:
    text: str = await websocket.receive_text()
    return text


async def outer(websocket: Any) -> None:
    await websocket.accept()
    await inner(websocket)


async def test_it_is_the_innermost_function_with_the_line_of_its_await() -> None:
    connection = Connection(serving(outer))
    await connection.connect()
    assert connection.snapshot is not None
    line = inspect.getsourcelines(inner)[1] + 1
    assert place_of(connection.snapshot) == f"{__name__}:inner:{line}"


def test_a_function_that_is_not_loaded_here_has_no_line() -> None:
    assert place_of(Snapshot((Frame("elsewhere:route#1", 1, direct=False, locals={}),)).dump()) == "elsewhere:route"


def test_what_cannot_be_read_says_nothing() -> None:
    assert place_of(b"no snapshot") is None
