"""What means something else when every message finds another process."""

import re
from typing import Any

import pytest
from starlette.websockets import WebSocket

from gatesocket.hibernation.notes import notes_on

ROOMS: dict[str, list[WebSocket]] = {}
SCORES: dict[str, int] = {}


class Manager:
    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []

    @property
    def everyone(self) -> list[WebSocket]:
        raise AssertionError("nothing of the app is run")

    async def connect(self, websocket: WebSocket) -> None:
        self.sockets.append(websocket)

    async def tell(self, websocket: WebSocket) -> None:
        self.everyone.append(websocket)


manager = Manager()
count = 0


def notes(function: Any) -> list[tuple[int, str]]:
    """What is noted, each with its line from the beginning of *function*."""
    first = function.__code__.co_firstlineno
    return sorted(
        (note.line - first, re.split("(?<=memory),|:|, which", note.what)[0]) for note in notes_on([function])
    )


KEPT = "keeps sockets in this process's memory"


def test_sockets_that_are_kept_in_the_process_are_noted() -> None:
    async def route(websocket: WebSocket, room: str) -> None:
        ROOMS.setdefault(room, []).append(websocket)
        ROOMS[room].append(websocket)
        manager.sockets.append(websocket)
        ROOMS[room] = websocket  # type: ignore[assignment]

    assert notes(route) == [
        (1, f"`ROOMS.setdefault(room, [])` {KEPT}"),
        (1, "the route changes `ROOMS`"),
        (2, f"`ROOMS[room]` {KEPT}"),
        (3, f"`manager.sockets` {KEPT}"),
        (4, f"`ROOMS` {KEPT}"),
    ]


def test_a_module_s_state_that_a_route_changes_is_noted() -> None:
    async def route(websocket: WebSocket, name: str) -> None:
        global count  # noqa: PLW0603
        count += 1
        SCORES[name] = 1
        SCORES[name] += 1
        SCORES.update(bob=1)
        SCORES.pop(name)
        del SCORES[name]

    assert notes(route) == [
        (1, "the route writes the module's 'count'"),
        *((line, "the route changes `SCORES`") for line in range(3, 8)),
    ]


def test_binary_messages_are_noted() -> None:
    async def route(websocket: WebSocket) -> None:
        await websocket.send_bytes(await websocket.receive_bytes())

    assert notes(route) == [
        (1, "`receive_bytes`"),
        (1, "`send_bytes`"),
    ]


def test_the_functions_that_a_route_calls_are_looked_at_once() -> None:
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket)
        await manager.connect(websocket)

    (note,) = notes_on([route])  # type: ignore[list-item]

    assert (note.file, note.line) == (__file__, Manager.connect.__code__.co_firstlineno + 1)
    assert note.remedy == "Use `gatesocket.ConnectionManager`, which keeps them in the registry"


def test_nothing_of_the_app_is_run_to_tell() -> None:
    async def route(websocket: WebSocket) -> None:
        await manager.tell(websocket)

    assert notes(route) == []


def test_an_object_of_an_untyped_name_is_taken_for_a_socket_by_its_name() -> None:
    async def route(ws, other) -> None:  # type: ignore[no-untyped-def]
        ROOMS["a"].append(ws)
        ROOMS["a"].append(other)

    assert notes(route) == [(1, f"`ROOMS['a']` {KEPT}"), (2, "the route changes `ROOMS['a']`")]


def test_local_collections_and_what_is_not_known_are_not_noted() -> None:
    async def route(websocket: WebSocket, anything: Any) -> None:
        seen: list[WebSocket] = []
        seen.append(websocket)
        anything.rooms.append(websocket)
        anything["x"] = websocket
        seen = [websocket]
        del seen

    assert notes(route) == []


@pytest.mark.parametrize("source", ["async def route(ws): ROOMS['a'] = ws", "route = None\nasync def route(ws): ..."])
def test_a_function_without_source_is_not_looked_at(source: str) -> None:
    namespace: dict[str, Any] = {"__name__": __name__, "ROOMS": ROOMS}
    exec(source, namespace)

    assert list(notes_on([namespace["route"]])) == []
