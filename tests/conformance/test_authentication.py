"""Who is let in, and who isn't: the same in every life."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from pydantic import BaseModel

from gatesocket import ConnectionManager
from gatesocket.auth import AllowedOrigins, Authenticate, InCookie, InHeader, InQuery, InSubprotocol
from gatesocket.first_message import FirstMessage
from gatesocket.tickets import Tickets
from support.served_lives import Closed, Life, Refused, Socket

manager = ConnectionManager()


class User(BaseModel):
    name: str


def user_of(token: str) -> User | None:
    return User(name=token.removeprefix("token-of-")) if token.startswith("token-of-") else None


tickets = Tickets(User)
authenticate = Authenticate(user_of, InHeader(), InCookie("session"), InSubprotocol(), InQuery())
CurrentUser = Annotated[User, Depends(authenticate)]
Guest = Annotated[User, Depends(Authenticate(tickets.spend, InQuery("ticket")))]
Late = Annotated[User, Depends(FirstMessage(user_of, within=60))]

app = FastAPI()


async def greet(websocket: WebSocket, user: User) -> None:
    async for text in websocket.iter_text():
        await websocket.send_text(f"{user.name}: {text}")


@app.websocket("/ws")
async def chat(websocket: WebSocket, user: CurrentUser) -> None:
    await manager.connect(websocket, user=user.name)
    await greet(websocket, user)


@app.websocket("/origin", dependencies=[Depends(AllowedOrigins("https://chat.example"))])
async def same_origin(websocket: WebSocket) -> None:
    await websocket.accept()
    await greet(websocket, User(name="somebody"))


@app.post("/tickets/{name}")
async def ticket(name: str) -> str:
    return await tickets.issue(User(name=name))


@app.get("/me")
async def me(user: CurrentUser) -> User:
    return user


@app.websocket("/guests")
async def guests(websocket: WebSocket, user: Guest) -> None:
    await websocket.accept()
    await greet(websocket, user)


@app.websocket("/late")
async def late(websocket: WebSocket, user: Late) -> None:
    await manager.connect(websocket, user=user.name)
    await greet(websocket, user)


@app.websocket("/until")
async def until(websocket: WebSocket, user: CurrentUser) -> None:
    """The connection ends when the token does, whether or not anybody says something."""
    await websocket.accept()
    try:
        async with asyncio.timeout(60):
            await greet(websocket, user)
    except TimeoutError:
        await websocket.close(1008, "expired")


def exchange(socket: Socket, name: str) -> None:
    for text in ("hello", "again"):
        socket.send(text)
        assert socket.receive() == f"{name}: {text}"


@pytest.mark.parametrize(
    ("url", "headers", "subprotocols"),
    [
        ("/ws", {"authorization": "Bearer token-of-ann"}, []),
        ("/ws", {"cookie": "theme=dark; session=token-of-ann"}, []),
        ("/ws", {}, ["bearer", "token-of-ann"]),
        ("/ws?token=token-of-ann&lang=en", {}, []),
    ],
    ids=["header", "cookie", "subprotocol", "query"],
)
def test_a_token_lets_its_owner_in(
    life: Life, url: str, headers: Mapping[str, str], subprotocols: Sequence[str]
) -> None:
    with (
        life.serve(app) as client,
        client.connect(url, headers=headers, subprotocols=subprotocols) as socket,
    ):
        # A manager answers with the subprotocol that isn't the token.
        assert socket.subprotocol == ("bearer" if subprotocols else None)
        exchange(socket, "ann")


@pytest.mark.parametrize(
    ("url", "headers", "subprotocols"),
    [
        ("/ws", {}, []),
        ("/ws?token=", {}, []),
        ("/ws?token=wrong", {}, []),
        ("/ws?token=token-of-ann", {"authorization": "Bearer wrong"}, []),
        ("/ws", {"authorization": "Basic token-of-ann"}, []),
        ("/ws", {}, ["bearer"]),
        ("/ws", {}, ["token-of-ann", "bearer"]),
    ],
)
def test_without_a_valid_token_the_handshake_is_refused(
    life: Life, url: str, headers: Mapping[str, str], subprotocols: Sequence[str]
) -> None:
    with (
        life.serve(app) as client,
        pytest.raises(Refused) as refused,
        client.connect(url, headers=headers, subprotocols=subprotocols),
    ):
        pass

    assert refused.value.status == 403


def test_a_page_of_another_origin_is_refused(life: Life) -> None:
    with life.serve(app) as client:
        with client.connect("/origin", headers={"origin": "https://chat.example"}) as socket:
            exchange(socket, "somebody")
        with client.connect("/origin") as socket:
            exchange(socket, "somebody")
        for origin in ("https://evil.example", "null", "https://chat.example.evil.example"):
            with pytest.raises(Refused), client.connect("/origin", headers={"origin": origin}):
                pass


def test_a_ticket_opens_one_connection(life: Life) -> None:
    with life.serve(app) as client:
        one = client.request("POST", "/tickets/ann").json()
        with client.connect(f"/guests?ticket={one}") as socket:
            exchange(socket, "ann")
            with pytest.raises(Refused), client.connect(f"/guests?ticket={one}"):
                pass
            exchange(socket, "ann")


def test_the_token_may_come_in_the_first_message(life: Life) -> None:
    with life.serve(app) as client, client.connect("/late") as socket:
        socket.send(json.dumps({"type": "authenticate", "id": "1", "data": {"token": "token-of-ann"}}))
        assert json.loads(socket.receive()) == {"type": "authenticated", "id": "1", "data": {}}
        exchange(socket, "ann")


@pytest.mark.parametrize(
    "first",
    [
        "hello",
        {"type": "say", "data": {"text": "hello"}},
        {"type": "authenticate", "data": {}},
        {"type": "authenticate", "data": {"token": "wrong"}},
    ],
)
def test_any_other_first_message_closes_the_connection(life: Life, first: Any) -> None:
    with life.serve(app) as client, client.connect("/late") as socket:
        socket.send(json.dumps(first))
        with pytest.raises(Closed) as closed:
            socket.receive()

    # API Gateway tells no codes of the app's.
    assert closed.value.code == (1008 if life.name == "uvicorn" else 1000)


def test_a_deadline_around_a_route_leaves_its_messages_alone(life: Life) -> None:
    with life.serve(app) as client, client.connect("/until?token=token-of-ann") as socket:
        exchange(socket, "ann")


def test_an_http_route_asks_for_the_same_token(life: Life) -> None:
    with life.serve(app) as client:
        assert client.request("GET", "/me?token=token-of-ann").json() == {"name": "ann"}
        refused = client.request("GET", "/me")

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
