from fastapi import WebSocket

from gatesocket import ConnectionManager

manager = ConnectionManager()


async def receive():
    return {"type": "websocket.connect"}


async def send(message):
    pass


websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
await manager.connect(websocket)
