import asyncio
import time
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket
from pydantic import BaseModel

from gatesocket import ConnectionManager
from gatesocket.auth import AllowedOrigins, Authenticate, InCookie, InHeader, InQuery, InSubprotocol
from gatesocket.tickets import Tickets
from gatesocket.tokens import Claims, JWTs

app = FastAPI()
manager = ConnectionManager()
ISSUER = "https://issuer.example"


class Database:
    async def user_with(self, token):
        return User(name="ann") if token == "right" else None


database = Database()
