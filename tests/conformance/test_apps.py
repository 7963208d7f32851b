"""What connections share: the app, its HTTP routes, its lifespan, and one another."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager
from support.served_lives import Life


def make_chat() -> FastAPI:
    """The tutorial's chat, with rooms."""
    app = FastAPI()
    manager = ConnectionManager()

    @app.websocket("/ws/{room}/{name}")
    async def chat(websocket: WebSocket, room: str, name: str) -> None:
        await manager.connect(websocket, groups=[room], user=name)
        await manager.broadcast(f"{name} is here", group=room)
        try:
            while True:
                text = await websocket.receive_text()
                await manager.send_personal_message(f"you wrote: {text}", websocket)
                await manager.broadcast(f"{name}: {text}", group=room, exclude=[websocket])
        except WebSocketDisconnect:
            manager.disconnect(websocket)
            await manager.broadcast(f"{name} left", group=room)

    @app.post("/announce")
    async def announce(text: str, room: str | None = None) -> dict[str, int]:
        if room is None:
            delivery = await manager.broadcast(text)
        else:
            delivery = await manager.broadcast(text, group=room)
        return {"sent": delivery.sent, "gone": delivery.gone, "failed": delivery.failed}

    @app.post("/tell/{name}")
    async def tell(name: str, text: str) -> int:
        return (await manager.send_to_user(name, text)).sent

    @app.get("/connections")
    async def connections() -> int:
        return await manager.count()

    return app


def test_a_broadcast_reaches_everyone_in_the_room(life: Life) -> None:
    with life.serve(make_chat()) as client, client.connect("/ws/lobby/ann") as ann:
        assert ann.receive() == "ann is here"
        with client.connect("/ws/lobby/bob") as bob, client.connect("/ws/cellar/eve") as eve:
            assert [ann.receive(), bob.receive(), eve.receive()] == ["bob is here"] * 2 + ["eve is here"]
            ann.send("hello")
            assert ann.receive() == "you wrote: hello"
            assert bob.receive() == "ann: hello"
            eve.send("psst")
            assert eve.receive() == "you wrote: psst"
        assert ann.receive() == "bob left"


def test_an_http_route_sends_to_sockets(life: Life) -> None:
    with (
        life.serve(make_chat()) as client,
        client.connect("/ws/lobby/ann") as ann,
        client.connect("/ws/cellar/eve") as eve,
    ):
        assert [ann.receive(), eve.receive()] == ["ann is here", "eve is here"]
        response = client.request("POST", "/announce?text=fire")
        assert response.json() == {"sent": 2, "gone": 0, "failed": 0}
        assert [ann.receive(), eve.receive()] == ["fire", "fire"]
        response = client.request("POST", "/announce?text=lunch&room=lobby")
        assert response.json() == {"sent": 1, "gone": 0, "failed": 0}
        assert ann.receive() == "lunch"
        assert client.request("POST", "/tell/eve?text=secret").json() == 1
        assert eve.receive() == "secret"


def test_connections_are_counted_while_they_last(life: Life) -> None:
    with life.serve(make_chat()) as client, client.connect("/ws/lobby/ann") as ann:
        assert ann.receive() == "ann is here"
        with client.connect("/ws/lobby/bob") as bob:
            assert [ann.receive(), bob.receive()] == ["bob is here"] * 2
            assert client.request("GET", "/connections").json() == 2
        assert ann.receive() == "bob left"
        assert client.request("GET", "/connections").json() == 1


def test_the_lifespan_runs_once_and_its_state_reaches_every_route(life: Life) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        told.append("start")
        yield {"greeting": "hello"}
        told.append("stop")

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()
            await websocket.send_text(websocket.state.greeting)

    with life.serve(app) as client:
        for _ in range(2):
            with client.connect("/ws") as socket:
                socket.send("?")
                assert socket.receive() == "hello"
                socket.send("?")
                assert socket.receive() == "hello"
        assert told == ["start"]
    assert told == ["start", "stop"]


def test_http_routes_answer_as_ever(life: Life) -> None:
    app = FastAPI()

    @app.post("/items/{item}")
    async def create(item: int, body: dict[str, Any]) -> dict[str, Any]:
        return {"item": item, **body}

    with life.serve(app) as client:
        response = client.request("POST", "/items/7", json={"name": "sock"})
        assert (response.status_code, response.json()) == (200, {"item": 7, "name": "sock"})
        assert client.request("GET", "/nothing").status_code == 404
