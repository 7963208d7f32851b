import logging

from fastapi import FastAPI, WebSocket

from gatesocket import ConnectionManager, GatewayError

app = FastAPI()
manager = ConnectionManager()
logger = logging.getLogger("app")
