from fastapi import FastAPI, WebSocket

from gatesocket import ConnectionManager

app = FastAPI()
manager = ConnectionManager()
