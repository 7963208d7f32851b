from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager

app = FastAPI()
manager = ConnectionManager()
