"""A snapshot is data, whoever wrote it: damaged or planted, it is a `SnapshotError`, and nothing in it is executed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import codec
from gatesocket.hibernation.snapshot import Snapshot
from support.hibernation import Connection, serving
from support.values import read, written

ROOMS: dict[str, Any] = {}
EXECUTED: list[str] = []


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


class Iterated:
    """Something of the app's that would notice."""

    def __iter__(self) -> Any:
        EXECUTED.append("__iter__")
        return iter(())


ITERATED = Iterated()


@pytest.mark.parametrize("kind", ["iter-list", "iter-set"])
def test_an_iterator_over_an_object_of_the_app_s_runs_nothing_of_it(kind: str) -> None:
    with pytest.raises(SnapshotError, match="no iterator is over a Iterated"):
        read({"$": kind, "v": [[written(ITERATED)], None]})

    assert "__iter__" not in EXECUTED
