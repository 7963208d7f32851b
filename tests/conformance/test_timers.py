"""Timers: those that a route waits for in every life, and those that a message is sooner than."""

import asyncio

from fastapi import FastAPI, WebSocket

from support.served_lives import Life


def test_a_short_timer_is_waited_for(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def poll(websocket: WebSocket) -> None:
        await websocket.accept()
        asked = await websocket.receive_text()
        await asyncio.sleep(0.01)
        try:
            await asyncio.wait_for(websocket.receive_text(), timeout=0.01)
        except TimeoutError:
            await websocket.send_text(f"nothing after {asked}")
        await websocket.send_text(await websocket.receive_text())

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("hello")
        assert socket.receive() == "nothing after hello"
        socket.send("still there")
        assert socket.receive() == "still there"


def test_a_message_in_time_is_received(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def beat(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await asyncio.wait_for(websocket.receive_text(), timeout=60))
        async with asyncio.timeout(60) as limit:
            await websocket.send_text(await websocket.receive_text())
        await websocket.send_text(str(limit.expired()))

    with life.serve(app) as client, client.connect("/ws") as socket:
        for text in ("one", "two"):
            socket.send(text)
            assert socket.receive() == text
        assert socket.receive() == "False"
