import sys
from types import SimpleNamespace

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager

app = FastAPI()
manager = ConnectionManager()

# The app of a reader, as the entry point imports it.
sys.modules["app"] = SimpleNamespace(app=app)
