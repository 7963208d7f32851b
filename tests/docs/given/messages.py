from typing import Annotated

from fastapi import FastAPI, WebSocket
from pydantic import BaseModel, Field

from gatesocket import ConnectionManager
from gatesocket.messages import envelope, messages

app = FastAPI()
manager = ConnectionManager()
