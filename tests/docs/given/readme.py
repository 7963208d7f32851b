from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from gatesocket import ConnectionManager
from gatesocket.jobs import job

app = FastAPI()
manager = ConnectionManager()


async def receive():
    return {"type": "websocket.connect"}


async def send(message):
    pass


websocket = WebSocket({"type": "websocket", "headers": []}, receive, send)
connection_id = await manager.connect(websocket)
