"""The app that the benchmarks serve: an echo that counts, and the same by HTTP."""

from fastapi import FastAPI, WebSocket

app = FastAPI()


@app.websocket("/ws/{room}")
async def echo(websocket: WebSocket, room: str, name: str = "guest") -> None:
    """Send back what comes, with its number."""
    await websocket.accept()
    number = 0
    while True:
        text = await websocket.receive_text()
        number += 1
        await websocket.send_text(f"{name} in {room}, {number}: {text}")


@app.get("/echo/{room}")
async def echo_once(room: str, text: str, name: str = "guest") -> str:
    """Send back *text*."""
    return f"{name} in {room}: {text}"
