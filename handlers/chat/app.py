"""The chat: rooms, personal messages, who is there; announcements by HTTP; and the page.

Nothing here knows where it runs. Under uvicorn a connection is a coroutine that lives for as long as its
client stays. On Lambda the same coroutine hibernates between two messages, and ``number`` in `chat` still
counts.
"""

from pathlib import Path
from typing import Final

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from chat import lessons, whereabouts
from chat.messages import (
    Accepted,
    Announced,
    Delivered,
    IsTyping,
    Joined,
    Left,
    Name,
    People,
    Ping,
    Pong,
    Room,
    Said,
    Say,
    TellConnection,
    TellUser,
    Text,
    Told,
    Typing,
    Welcome,
    Who,
    Work,
)
from gatesocket import ConnectionManager
from gatesocket.asyncapi import add_asyncapi
from gatesocket.client import DIRECTORY
from gatesocket.exceptions import InvalidConnectionId
from gatesocket.history import History
from gatesocket.messages import envelope, messages

__all__ = ["app", "manager"]

PAGE: Final = Path(__file__).parent / "page"

app = FastAPI(title="Gatesocket's chat")
add_asyncapi(app)
manager = ConnectionManager(history=History(messages=100, seconds=300))

# Before the chat, because routes are tried in order: "/ws/{room}" would take "/ws/echo" for a room.
app.include_router(lessons.router)
app.include_router(whereabouts.router)


async def people(room: str) -> list[str]:
    """Return the names of the people in *room*."""
    return sorted([name async for name in manager.users(room)])


@app.websocket("/ws/{room}")
async def chat(websocket: WebSocket, room: Room, name: Name = "guest", after: str | None = None) -> None:
    """Join *room* as *name* and talk; `chat.messages` lists what can be said.

    Who comes back *after* a message within five minutes gets what was said since.

    A message that can't be understood is answered with an error, and the connection stays. Names are what
    people say they are: two with the same name are one person to the others.
    """
    newcomer = name not in await people(room)
    connection = await manager.connect(websocket, groups=[room], user=name, after=after)
    number = 0
    try:
        welcome = Welcome(room=room, name=name, connection=connection, people=await people(room))
        await manager.send_personal_message(envelope(welcome), websocket)
        if newcomer:
            await manager.broadcast(envelope(Joined(name=name)), group=room, exclude=[websocket])
        incoming = messages(websocket, Say | TellUser | TellConnection | Typing | Who | Work | Ping)
        async for message in incoming:
            match message:
                case Say(text=text):
                    number += 1
                    said = Said(name=name, text=text, number=number)
                    await manager.broadcast(envelope(said), group=room, keep=True)
                case TellUser() | TellConnection():
                    told = Told(name=name, connection=connection, text=message.text)
                    await incoming.reply(Delivered(sent=await deliver(message, told)))
                case Typing():
                    await manager.broadcast(envelope(IsTyping(name=name)), group=room, exclude=[websocket])
                case Work(below=below):
                    await incoming.reply(Accepted())
                    await lessons.count_primes.reply_to(connection=connection).enqueue(connection, incoming.id, below)
                case Who():
                    await incoming.reply(People(people=await people(room)))
                case Ping():
                    await incoming.reply(Pong())
    except WebSocketDisconnect:
        pass  # a send has found what the loop would have ended with: the client has left
    await manager.disconnect(websocket)
    if name not in await people(room):
        await manager.broadcast(envelope(Left(name=name)), group=room)


async def deliver(message: TellUser | TellConnection, told: Told) -> int:
    """Send *told* to whom *message* names, and return how many connections it reaches."""
    if isinstance(message, TellUser):
        delivery = await manager.send_to_user(message.user, envelope(told))
        return delivery.sent + delivery.queued
    try:
        return int(await manager.send_to(message.connection, envelope(told)))
    except InvalidConnectionId:  # the client made it up
        return 0


class Announcement(BaseModel):
    """What to announce, and where; everywhere if no room is named."""

    text: Text
    room: Room | None = None


@app.post("/announce")
async def announce(announcement: Announcement) -> dict[str, int]:
    """Broadcast a text from outside of any WebSocket, and return how many connections it reached.

    Whoever can reach the app can announce, as whoever can reach it can chat. Put a token before it in your
    own.
    """
    announced = envelope(Announced(text=announcement.text))
    if announcement.room:
        delivery = await manager.broadcast(announced, group=announcement.room, keep=True)
    else:
        delivery = await manager.broadcast(announced, keep=True)
    return {
        "sent": delivery.sent,
        "gone": delivery.gone,
        "queued": delivery.queued,
        "failed": delivery.failed,
    }


@app.get("/connections")
async def connections(room: Room | None = None) -> dict[str, int]:
    """Count the open connections, or those in one room."""
    return {"connections": await (manager.count(room) if room else manager.count())}


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the app runs; touches nothing else, so that it stays cheap to ask."""
    return {"status": "ok"}


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Serve the chat's page."""
    return FileResponse(PAGE / "index.html")


app.mount("/static", StaticFiles(directory=PAGE), name="static")
app.mount("/client", StaticFiles(directory=DIRECTORY), name="client")
