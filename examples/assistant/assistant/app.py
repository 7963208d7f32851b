"""The assistant: one route that remembers a conversation, and the page.

An answer is said piece by piece. Between two pieces the route waits for the client, for a moment: that is how a client
can stop an answer. Under uvicorn the moment is a pause. On Lambda it is a pause, too, up to a second of them in each
invocation; then the route hibernates, whatever the client has sent meanwhile is received, and a message on a queue
brings the route back to go on with the answer. So no function is held for the length of an answer, and an answer goes
on although its process ends. The page evens the gaps out.
"""

import asyncio
from pathlib import Path
from typing import Final

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from gatesocket.client import DIRECTORY
from gatesocket.messages import Messages, envelope, messages

from assistant.messages import Answered, Ask, Busy, Forget, Forgotten, Ping, Pong, Said, Stop, Welcome
from assistant.model import TEXT, MarkovChain, Model, Turn
from assistant.settings import Settings

__all__ = ["app"]

PAGE: Final = Path(__file__).parent / "page"
MODEL: Model = MarkovChain(TEXT)

app = FastAPI(title="Assistant")
settings = Settings()

Message = Ask | Stop | Forget | Ping


@app.websocket("/ws/assistant")
async def assistant(websocket: WebSocket) -> None:
    """Answer questions, each with the conversation so far in mind."""
    await websocket.accept()
    history: list[Turn] = []  # kept while the route hibernates: what a conversation is
    try:
        await websocket.send_text(envelope(Welcome(model=MODEL.name)))
        incoming = messages(websocket, Ask | Stop | Forget | Ping)
        async for message in incoming:
            match message:
                case Ask(text=text):
                    history = remembered([*history, Turn("user", text)])
                    said = await answer(incoming, history)
                    history = remembered([*history, Turn("assistant", said)])
                case Forget():
                    history = []
                    await incoming.reply(Forgotten())
                case Ping():
                    await incoming.reply(Pong())
                case Stop():
                    pass  # the answer was over before the client could know
    except WebSocketDisconnect:
        pass  # a reply has found what the loop would have ended with: the client has left


async def answer(incoming: Messages[Message], history: list[Turn]) -> str:
    """Say the answer to *history*, until its end or until the client wants no more; return what was said."""
    question, said, stopped = incoming.id, "", False
    while not stopped and (piece := await MODEL.more(history, said)) is not None:
        said += piece
        await incoming.reply(Said(text=piece), to=question)
        stopped = await interrupted(incoming)
    await incoming.reply(Answered(stopped=stopped), to=question)
    return said


async def interrupted(incoming: Messages[Message]) -> bool:
    """Give the client a moment to say something; return whether that is to stop."""
    try:
        message = await asyncio.wait_for(incoming.receive(), settings.pause)
    except TimeoutError:
        return False
    match message:
        case Stop():
            return True
        case Ping():
            await incoming.reply(Pong())
        case Ask() | Forget():
            await incoming.reply(Busy())
    return False


def remembered(history: list[Turn]) -> list[Turn]:
    """Return the latest turns of *history* that a connection's record has room for, beginning with a question."""
    size, first = 0, len(history)
    while first and (size := size + len(history[first - 1].text.encode())) <= settings.memory:
        first -= 1
    while first < len(history) - 1 and history[first].by != "user":
        first += 1
    return history[first:]


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Serve the page."""
    return FileResponse(PAGE / "index.html")


app.mount("/static", StaticFiles(directory=PAGE), name="static")
app.mount("/client", StaticFiles(directory=DIRECTORY), name="client")
