"""Dependencies: resolved once, whatever waits for the client."""

from typing import Annotated

from fastapi import BackgroundTasks, Cookie, Depends, Header, Query, WebSocket, WebSocketException
from pydantic import BaseModel
from support.lives import Endpoints, fx

endpoint = Endpoints()
app = endpoint.app


class User(BaseModel):
    name: str
    visits: int = 0


async def ticket(name: str = "ann"):
    fx("the ticket is spent")
    return User(name=name)


def sync_dependency():
    fx("sync")
    return {"sync": [1]}


@endpoint("a", "b")
async def saved(websocket: WebSocket, user: User = Depends(ticket), data: dict = Depends(sync_dependency)):
    await websocket.accept()
    while True:
        await websocket.receive_text()
        user.visits += 1
        data["sync"].append(user.visits)
        fx(user, data)


@endpoint("a", "b", path="|?name=bob")
async def annotated(
    websocket: WebSocket, user: Annotated[User, Depends(ticket)], q: Annotated[str | None, Query()] = None
):
    await websocket.accept()
    while True:
        fx(user, q, await websocket.receive_text())


@endpoint("a", "b")
async def not_used_afterwards(websocket: WebSocket, user: User = Depends(ticket)):
    await websocket.accept()
    fx(user)
    while True:
        fx(await websocket.receive_text())


async def checked():
    fx("checked")


@endpoint("a", "b", dependencies=[Depends(checked)])
async def of_the_route(websocket: WebSocket):
    await websocket.accept()
    while True:
        fx(await websocket.receive_text())


async def level(user: User = Depends(ticket)):
    fx("level of", user.name)
    return len(user.name)


async def rights(n: int = Depends(level), user: User = Depends(ticket)):
    fx("rights", n)
    return [user, n]


@endpoint("a", "b")
async def chain(websocket: WebSocket, user: User = Depends(ticket), granted: list = Depends(rights)):
    await websocket.accept()
    while True:
        fx(await websocket.receive_text(), granted, granted[0] is user)
        granted.append(1)


class Pages:
    def __init__(self, limit: int = 10, tags: list[str] = Query(default=[])):
        fx("pages")
        self.limit = limit
        self.tags = tags


@endpoint("a", "b", path="|?limit=3&tags=x&tags=y")
async def class_as_dependency(websocket: WebSocket, pages: Pages = Depends()):
    await websocket.accept()
    while True:
        await websocket.receive_text()
        pages.limit -= 1
        fx(pages.limit, pages.tags)


class Checker:
    def __init__(self, role):
        self.role = role

    async def __call__(self, user: User = Depends(ticket)):
        fx("check", self.role)
        return f"{self.role} {user.name}"


@endpoint("a", "b")
async def object_as_dependency(websocket: WebSocket, role: str = Depends(Checker("admin"))):
    await websocket.accept()
    while True:
        fx(role, await websocket.receive_text())


async def token(websocket: WebSocket, x_token: str = Header(), session: str | None = Cookie(default=None)):
    fx("token", session)
    if x_token != "secret":
        raise WebSocketException(1008)
    return websocket.headers["x-token"]


@endpoint("a", "b")
async def header(websocket: WebSocket, value: str = Depends(token)):
    await websocket.accept()
    while True:
        fx(value, await websocket.receive_text())


def refuse():
    raise WebSocketException(code=1008, reason="never")


@endpoint("a")
async def refused(websocket: WebSocket, user: User = Depends(ticket), _=Depends(refuse)):
    await websocket.accept()


async def first_message(websocket: WebSocket, user: User = Depends(ticket)):
    await websocket.accept()
    await websocket.send_text("your password?")
    password = await websocket.receive_text()
    if password != "secret":
        await websocket.close(1008)
        raise WebSocketException(1008)
    return f"{user.name} knows"


@endpoint("secret", "a", "b")
async def receives_itself(
    websocket: WebSocket, known: str = Depends(first_message), data: dict = Depends(sync_dependency)
):
    while True:
        fx(known, data, await websocket.receive_text())


@endpoint("a", "b")
async def background_tasks(websocket: WebSocket, tasks: BackgroundTasks):
    await websocket.accept()
    while True:
        fx(await websocket.receive_text())
        tasks.add_task(print)


async def no_cache():
    fx("made")
    return [1]


@endpoint("a", "b")
async def without_cache(
    websocket: WebSocket, one=Depends(no_cache, use_cache=False), two=Depends(no_cache, use_cache=False)
):
    await websocket.accept()
    while True:
        one.append(await websocket.receive_text())
        fx(one, two)


async def original():
    fx("original")
    return "original"


async def replacement():
    fx("replacement")
    return "replacement"


app.dependency_overrides[original] = replacement


@endpoint("a", "b")
async def overridden(websocket: WebSocket, value: str = Depends(original)):
    await websocket.accept()
    while True:
        fx(value, await websocket.receive_text())
