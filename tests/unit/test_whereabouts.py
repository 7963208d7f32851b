"""Where the route of a connection waits, asked from outside of it in either life."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.testclient import TestClient

from gatesocket import ConnectionManager
from gatesocket.hibernation.snapshot import Frame, Snapshot
from gatesocket.testing import GatewayTestClient
from gatesocket.whereabouts import Place, Whereabouts, hibernation_point, places_of, whereabouts

app = FastAPI()
manager = ConnectionManager()
found: list[Whereabouts | None] = []


async def doubled(websocket: WebSocket, factor: int) -> int:
    number = int(await websocket.receive_text())  # waits here
    return number * factor


@app.websocket("/double")
async def doubling(websocket: WebSocket) -> None:
    connection = await manager.connect(websocket)
    greeting = f"you are {connection}"
    await websocket.send_text(greeting.removeprefix("you are "))
    with suppress(WebSocketDisconnect):
        while True:
            number = await doubled(websocket, factor=2)  # waits for the function
            found.append(await whereabouts(connection))
            await websocket.send_text(str(number))


@app.websocket("/ends")
async def ending(websocket: WebSocket) -> None:
    await websocket.send_text(await manager.connect(websocket))


@app.get("/{connection}")
async def look(connection: str) -> None:
    found.append(await whereabouts(connection))


@pytest.fixture(params=[TestClient, GatewayTestClient], ids=["in memory", "hibernating"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    found.clear()
    with request.param(app) as client:
        yield client


def line_with(text: str) -> int:
    with open(__file__, encoding="utf-8") as lines:  # noqa: PTH123
        return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_a_route_waits_where_its_functions_wait_outermost_first(client: TestClient) -> None:
    with client.websocket_connect("/double") as socket:
        client.get(f"/{socket.receive_text()}")
    (seen,) = found
    assert seen is not None
    assert [(place.file, place.line) for place in seen.places] == [
        (__file__, line_with("# waits for the function")),
        (__file__, line_with("# waits here")),
    ]
    outer, inner = seen.places
    assert outer.function.endswith("test_whereabouts:doubling")
    assert inner.names == ("factor", "websocket")
    assert str(inner) == f"{__file__}:{inner.line} (factor, websocket)"
    assert not seen.runs


def test_the_source_of_a_waiting_function_is_at_hand(client: TestClient) -> None:
    with client.websocket_connect("/double") as socket:
        client.get(f"/{socket.receive_text()}")
    (seen,) = found
    assert seen is not None
    outer, inner = seen.places
    first, lines = inner.source()
    assert first == line_with("async def doubled(")
    assert lines[0] == "async def doubled(websocket: WebSocket, factor: int) -> int:"
    assert lines[-1] == "    return number * factor"
    assert outer.source()[1][0] == '@app.websocket("/double")'


def test_what_is_stored_is_what_is_still_needed_and_in_memory_is_all_there_is(client: TestClient) -> None:
    with client.websocket_connect("/double") as socket:
        client.get(f"/{socket.receive_text()}")
    (seen,) = found
    assert seen is not None
    if isinstance(client, GatewayTestClient):
        assert seen.stored is not None
        assert seen.stored > 100
        assert seen.places[0].names == ("connection", "websocket")
    else:
        assert seen.stored is None
        assert seen.places[0].names == ("connection", "greeting", "websocket")


def test_a_route_that_is_looked_at_while_it_runs_is_said_to_run(client: TestClient) -> None:
    with client.websocket_connect("/double") as socket:
        connection = socket.receive_text()
        socket.send_text("4")
        assert socket.receive_text() == "8"
        client.get(f"/{connection}")
    running, waiting = found
    assert running is not None
    assert waiting is not None
    assert (running.runs, waiting.runs) == (True, False)
    if isinstance(client, GatewayTestClient):
        assert waiting.version > running.version


def test_there_is_nothing_to_tell_of_a_connection_that_is_not_there(client: TestClient) -> None:
    with client.websocket_connect("/double") as socket:
        connection = socket.receive_text()
    client.get("/never")
    with client.websocket_connect("/ends") as socket:
        ended = socket.receive_text()
        client.get(f"/{ended}")
    assert found[0] is None
    assert found[1] is None or found[1].places == ()
    assert connection != ended


def test_a_function_that_is_not_loaded_here_is_named_without_its_line() -> None:
    snapshot = Snapshot((Frame("elsewhere:chat#1a2b", 1, direct=True, locals={"room": "lobby", ".1": 5}),))
    (place,) = places_of(snapshot.dump())
    assert place == Place("elsewhere:chat", None, None, ("room",))
    assert str(place) == "elsewhere:chat (room)"
    with pytest.raises(OSError, match="elsewhere:chat isn't loaded in this process"):
        place.source()


def test_the_hibernation_point_of_a_function_that_is_not_loaded_here_has_no_line() -> None:
    snapshot = Snapshot((Frame("elsewhere:route#1", 1, direct=False, locals={}),))
    assert hibernation_point(snapshot.dump()) == "elsewhere:route"
