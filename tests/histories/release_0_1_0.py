"""Endpoints whose snapshots release 0.1.0 has written; never edited after the release."""

import dataclasses
import datetime as dt
import enum
from collections import defaultdict, deque

from fastapi import Depends, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute
from support.lives import Endpoints, fx

endpoint = Endpoints()
app = endpoint.app


class Colour(enum.Enum):
    RED = "r"


class User(BaseModel):
    name: str
    tags: list[str] = []


@dataclasses.dataclass
class Score:
    points: int = 0


async def user(name: str = "ann"):
    return User(name=name)


async def ask(websocket, question):
    await websocket.send_text(question)
    return await websocket.receive_text()


@endpoint("a", "b", "c")
async def chat(websocket: WebSocket, member: User = Depends(user)):
    await websocket.accept()
    count = 0
    try:
        while True:
            text = await websocket.receive_text()
            count += 1
            member.tags.append(text)
            await websocket.send_text(f"{member.name} #{count}: {member.tags}")
    except WebSocketDisconnect as error:
        fx("left", error.code)
    finally:
        fx("total", count)


@endpoint("a", "b", "c")
async def values(websocket: WebSocket):
    await websocket.accept()
    kept = [None, 1.5, "é", b"\x00", (1, 2), {1, 2}, dt.date(2026, 11, 23), Colour.RED, Score(3), deque([1], maxlen=2)]
    kept.append(kept)
    groups = defaultdict(list, {"x": [kept[8]]})
    while True:
        text = await websocket.receive_text()
        groups[text].append(len(groups))
        groups["x"][0].points += 1
        fx(kept[:-1], kept[-1] is kept, dict(groups))


@endpoint("a", "b", "c", "d")
async def loops_and_helpers(websocket: WebSocket):
    await websocket.accept()
    prefix = "> "

    def note(text):
        fx(prefix + text)

    for n, letter in enumerate("xyz"):
        try:
            note(f"{n}{letter}{await ask(websocket, 'what?')}")
            raise ValueError(n)
        except ValueError as error:
            note(f"{error} {await websocket.receive_text()}")


class Counting(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket):
        await websocket.accept()
        self.count = 0

    async def on_receive(self, websocket, data):
        self.count += 1
        await websocket.send_text(f"{self.count}{data}")


app.router.routes.append(WebSocketRoute("/class_based", Counting))
endpoint.client("class_based", "a", "b", "c", 1000)
