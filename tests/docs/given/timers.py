import asyncio

from fastapi import FastAPI, WebSocket

from gatesocket.testing import GatewayTestClient

app = FastAPI()
