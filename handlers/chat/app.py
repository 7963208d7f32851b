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

from chat import lessons
from chat.messages import (
    BadMessageError,
    Data,
    Event,
    Name,
    Ping,
    Reply,
    Room,
    Say,
    TellConnection,
    TellUser,
    Text,
    Who,
    read,
)
from gatesocket import ConnectionManager
from gatesocket.asyncapi import add_asyncapi
from gatesocket.client import DIRECTORY
from gatesocket.exceptions import InvalidConnectionId

__all__ = ["app", "manager"]

PAGE: Final = Path(__file__).parent / "page"

app = FastAPI(title="Gatesocket's chat")
add_asyncapi(app)
manager = ConnectionManager()

# Before the chat, because routes are tried in order: "/ws/{room}" would take "/ws/echo" for a room.
app.include_router(lessons.router)


async def people(room: str) -> list[str]:
    """Return the names of the people in *room*."""
    return sorted([name async for name in manager.users(room)])


@app.websocket("/ws/{room}")
async def chat(websocket: WebSocket, room: Room, name: Name = "guest") -> None:
    """Join *room* as *name* and talk; `chat.messages` lists what can be said.

    A message that can't be understood is answered with an error, and the connection stays. Names are what
    people say they are: two with the same name are one person to the others.
    """
    newcomer = name not in await people(room)
    connection = await manager.connect(websocket, groups=[room], user=name)
    number = 0
    try:
        welcome = {"room": room, "name": name, "connection": connection, "people": await people(room)}
        await manager.send_personal_message(Event(type="welcome", data=welcome), websocket)
        if newcomer:
            await manager.broadcast(Event(type="joined", data={"name": name}), group=room, exclude=[websocket])
        while True:
            text = await websocket.receive_text()
            try:
                message_id, message = read(text, Say, TellUser, TellConnection, Who, Ping)
            except BadMessageError as error:
                await manager.send_personal_message(error.reply, websocket)
                continue

            if isinstance(message, Say):
                number += 1
                said = Event(type="said", data={"name": name, "text": message.text, "number": number})
                await manager.broadcast(said, group=room)
            else:
                sender = {"name": name, "connection": connection}
                reply = await answer(message, message_id, room, sender)
                await manager.send_personal_message(reply, websocket)
    except WebSocketDisconnect:
        await manager.disconnect(websocket)
        if name not in await people(room):
            await manager.broadcast(Event(type="left", data={"name": name}), group=room)


async def answer(message: Data, message_id: str | None, room: str, sender: dict[str, str]) -> Reply:
    """Do what *message* asks for, and return what to tell its sender."""
    match message:
        case TellUser():
            told = Event(type="told", data={**sender, "text": message.text})
            delivery = await manager.send_to_user(message.user, told)
            return Reply(type="delivered", id=message_id, data={"sent": delivery.sent + delivery.queued})
        case TellConnection():
            told = Event(type="told", data={**sender, "text": message.text})
            try:
                there = await manager.send_to(message.connection, told)
            except InvalidConnectionId:  # the client made it up
                there = False
            return Reply(type="delivered", id=message_id, data={"sent": int(there)})
        case Who():
            return Reply(type="people", id=message_id, data={"people": await people(room)})
        case _:  # a ping, the one that is left
            return Reply(type="pong", id=message_id)


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
    event = Event(type="announced", data={"text": announcement.text})
    if announcement.room:
        delivery = await manager.broadcast(event, group=announcement.room)
    else:
        delivery = await manager.broadcast(event)
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
