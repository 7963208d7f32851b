"""A snapshot is data, whoever wrote it: damaged or planted, it is a `SnapshotError`, and nothing in it is executed."""

import functools
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import codec
from gatesocket.hibernation.codec import Unsaveable
from gatesocket.hibernation.snapshot import Snapshot
from support.hibernation import Connection, serving
from support.values import read, written

ROOMS: dict[str, Any] = {}
EXECUTED: list[str] = []


@pytest.fixture(autouse=True)
def nothing_executed() -> None:
    EXECUTED.clear()


def planted(connection: Connection, **changes: Any) -> bytes:
    """The connection's snapshot with some of its parts replaced."""
    assert connection.snapshot is not None
    return replace(Snapshot.load(connection.snapshot), **changes).dump()


async def waiting_helper() -> Connection:
    """A connection whose route waits in a helper."""
    connection = Connection(serving(in_a_helper))
    await connection.connect()
    return connection


def decorated(function: Callable[..., Any]) -> Any:
    async def wrapper(websocket: WebSocket) -> Any:
        return await function(websocket)

    return wrapper


@decorated
async def helper(websocket: WebSocket) -> str:
    return await websocket.receive_text()


async def planted_function(websocket: WebSocket) -> None:
    EXECUTED.append(await websocket.receive_text())


async def in_a_helper(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await helper(websocket))


async def test_a_planted_function_is_refused() -> None:
    connection = await waiting_helper()
    assert connection.snapshot is not None
    frames = Snapshot.load(connection.snapshot).frames
    assert frames[1].cells == f"{__name__}:helper"
    lie = (frames[0], replace(frames[1], cells=f"{__name__}:planted_function"), frames[2])
    connection.snapshot = planted(connection, frames=lie)
    with pytest.raises(SnapshotError, match="planted_function' has changed since the route hibernated"):
        await connection.say("a")
    assert EXECUTED == []


async def test_a_planted_context_variable_is_refused() -> None:
    connection = await waiting_helper()
    connection.snapshot = planted(connection, context=[(f"{__name__}:ROOMS", {})])
    with pytest.raises(SnapshotError, match="is no context variable"):
        await connection.say("a")


@pytest.mark.parametrize("point", [-1, 0, 99])
async def test_a_planted_point_is_refused(point: int) -> None:
    connection = await waiting_helper()
    assert connection.snapshot is not None
    first, *rest = Snapshot.load(connection.snapshot).frames
    connection.snapshot = planted(connection, frames=(replace(first, point=point), *rest))
    with pytest.raises(SnapshotError, match="has no point"):
        await connection.say("a")


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_a_frame_that_is_missing_is_noticed(kept: int) -> None:
    connection = await waiting_helper()
    assert connection.snapshot is not None
    frames = Snapshot.load(connection.snapshot).frames
    connection.snapshot = planted(connection, frames=frames[:kept] or frames[1:])
    with pytest.raises(SnapshotError):
        await connection.say("a")


@given(data=st.data())
@settings(max_examples=150, deadline=None)
async def test_a_damaged_snapshot_is_always_a_snapshot_error(data: st.DataObject) -> None:
    connection = await waiting_helper()
    assert connection.snapshot is not None
    snapshot = bytearray(connection.snapshot)
    if data.draw(st.booleans(), label="cut off"):
        del snapshot[data.draw(st.integers(0, len(snapshot) - 1)) :]
    else:
        position = data.draw(st.integers(0, len(snapshot) * 8 - 1), label="bit")
        snapshot[position // 8] ^= 1 << position % 8
    connection.snapshot = bytes(snapshot)
    with pytest.raises(SnapshotError):
        await connection.say("a")


KINDS = [*sorted(codec._BY_NAME), "ref", "name", "float", "nonsense"]
PLANTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.builds(lambda kind, value: {"$": kind, "v": value}, st.sampled_from(KINDS), inner)
    ),
    max_leaves=8,
)


@given(plant=PLANTS, name=st.sampled_from(["websocket", "function", "planted"]))
@settings(max_examples=300, deadline=None)
async def test_planted_values_are_data_or_a_snapshot_error(plant: Any, name: str) -> None:
    connection = await waiting_helper()
    assert connection.snapshot is not None
    *outer, last = Snapshot.load(connection.snapshot).frames
    lie = replace(last, locals=last.locals | {name: plant})
    connection.snapshot = planted(connection, frames=(*outer, lie))
    try:
        await connection.say("a")
    except (SnapshotError, AttributeError):
        return  # the route itself may find no socket in what is to be one
    assert connection.texts == ["a"]


async def in_a_handler(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        raise KeyError("a")
    except KeyError:
        await websocket.receive_text()
        raise


@pytest.mark.parametrize("line", [-1, "35", None])
async def test_a_planted_line_is_left_out_of_the_traceback(line: Any) -> None:
    connection = Connection(serving(in_a_handler))
    await connection.connect()
    assert connection.snapshot is not None
    (frame,) = Snapshot.load(connection.snapshot).frames
    (name,) = (name for name in frame.locals if name.endswith(".line"))
    connection.snapshot = planted(connection, frames=(replace(frame, locals=frame.locals | {name: line}),))
    with pytest.raises(KeyError) as raised:
        await connection.say("b")
    lines = [each.lineno for each in traceback.extract_tb(raised.value.__traceback__) if each.name == "in_a_handler"]
    assert lines == [in_a_handler.__code__.co_firstlineno + 2]  # that of the `try`


class Iterated(list[Any]):
    """Something of the app's that would notice."""

    def __iter__(self) -> Any:
        EXECUTED.append("__iter__")
        return iter(())

    def __reversed__(self) -> Any:
        EXECUTED.append("__reversed__")
        return iter(())


class Iterating:
    """The same, which is an iterator."""

    def __iter__(self) -> Any:
        EXECUTED.append("__iter__")
        return self

    def __next__(self) -> Any:
        EXECUTED.append("__next__")
        raise StopIteration


ITERATED, ITERATING = Iterated(), Iterating()


@pytest.mark.parametrize("kind", ["list", "set", "reversed-list", "reversed", "enumerate", "zip", "map", "filter"])
@pytest.mark.parametrize("over", [ITERATED, ITERATING])
def test_an_iterator_over_an_object_of_the_app_s_runs_nothing_of_it(kind: str, over: Any) -> None:
    function = [None] if kind in {"map", "filter"} else []
    data = {"$": f"iter-{kind}", "v": [[*function, {"$": "name", "v": f"{__name__}:{_name(over)}"}], None]}

    if isinstance(over, list) and kind in {"list", "set"}:
        assert list(read(data)) == []  # as a list, past its own `__iter__`
    else:
        with pytest.raises(SnapshotError, match=f"no .+ is over a {type(over).__name__}"):
            read(data)

    assert EXECUTED == []


def _name(value: object) -> str:
    return next(name for name, each in globals().items() if each is value)


@pytest.mark.parametrize("made", [enumerate, zip, functools.partial(map, str), functools.partial(filter, None)])
def test_an_iterator_over_an_iterator_of_the_app_s_is_not_saved(made: Callable[..., Any]) -> None:
    running = made(ITERATING)

    with pytest.raises(Unsaveable, match="over it would run what its class defines when the route wakes") as refused:
        written(running)
    assert refused.value.value is ITERATING
    assert refused.value.remedy == "Make a list of it, and run over that"


async def test_what_can_not_be_read_of_the_dependencies_is_named() -> None:
    connection = await waiting_helper()
    connection.snapshot = planted(connection, dependencies="many")
    with pytest.raises(SnapshotError, match="the snapshot is damaged: what it has kept can't be read"):
        await connection.say("a")


async def test_what_can_not_be_read_of_a_function_is_named() -> None:
    connection = await waiting_helper()
    assert connection.snapshot is not None
    frames = Snapshot.load(connection.snapshot).frames
    connection.snapshot = planted(connection, frames=(frames[0], replace(frames[1], cells=([[7, "n"]], [])), frames[2]))
    with pytest.raises(SnapshotError, match=r"the snapshot is damaged: where .*wrapper waits can't be read"):
        await connection.say("a")
