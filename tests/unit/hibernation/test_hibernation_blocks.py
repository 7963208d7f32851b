"""``with`` blocks that say themselves how they are left when the route hibernates."""

from fastapi import WebSocket

from support.hibernation import Connection, serving

EVENTS: list[str] = []


class Timer:
    """Measures what is within it, and not how long a client pauses."""

    def __enter__(self) -> None:
        EVENTS.append("start")

    def __exit__(self, *error: object) -> None:
        EVENTS.append("report")

    def __hibernate__(self) -> None:
        EVENTS.append("pause")


class Transaction:
    """Takes back what isn't finished when the client pauses."""

    async def __aenter__(self) -> None:
        EVENTS.append("begin")

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        EVENTS.append("roll back" if kind else "commit")

    async def __hibernate__(self) -> None:
        EVENTS.append("take back")


async def test_a_manager_may_say_how_it_is_left_when_the_route_hibernates() -> None:
    EVENTS.clear()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        with Timer():
            await websocket.receive_text()
        await websocket.receive_text()

    connection = Connection(serving(route))
    await connection.connect()
    assert EVENTS == ["start", "pause"]

    await connection.say("go on")
    assert EVENTS == ["start", "pause", "start", "report"]


async def test_an_async_manager_may_say_so_too() -> None:
    EVENTS.clear()

    async def route(websocket: WebSocket) -> None:
        await websocket.accept()
        async with Transaction():
            await websocket.receive_text()
        await websocket.receive_text()

    connection = Connection(serving(route))
    await connection.connect()
    assert EVENTS == ["begin", "take back"]

    await connection.say("go on")
    assert EVENTS == ["begin", "take back", "begin", "commit"]
