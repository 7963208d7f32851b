from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager
from gatesocket.jobs import job
from support.pages import silent_socket

app = FastAPI()
manager = ConnectionManager()

websocket = silent_socket()
connection_id = await manager.connect(websocket)
