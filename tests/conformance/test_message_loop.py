"""The loop over pydantic models: what it gives, answers and refuses is the same in every life."""

import asyncio
import json
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel

from gatesocket import ConnectionManager
from gatesocket.messages import envelope, messages
from support.served_lives import Closed, Life, Socket

manager = ConnectionManager()


class Say(BaseModel):
    text: str


class AddUp(BaseModel):
    numbers: list[int]


class Leave(BaseModel):
    type: ClassVar[str] = "bye"


class Said(BaseModel):
    text: str
    number: int


class Sum(BaseModel):
    total: int


app = FastAPI()


@app.websocket("/chat")
async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    number = 0
    incoming = messages(websocket, Say | AddUp | Leave, max_errors=2)
    async for message in incoming:
        match message:
            case Say(text=text):
                number += 1
                await incoming.reply(Said(text=text, number=number))
            case AddUp(numbers=numbers):
                await incoming.reply(Sum(total=sum(numbers)))
            case Leave():
                break
    else:
        return
    await websocket.send_text(f"{number} said")
    await websocket.close()


@app.websocket("/room")
async def room(websocket: WebSocket) -> None:
    """The loop's iterator has no name, and everybody hears what one says."""
    await manager.connect(websocket, groups=["room"])
    async for message in messages(websocket, Say):
        await manager.broadcast(envelope(Said(text=message.text, number=0)), group="room")


@app.websocket("/hurry")
async def hurry(websocket: WebSocket) -> None:
    """One message against a clock."""
    await websocket.accept()
    incoming = messages(websocket, Say)
    first = await asyncio.wait_for(incoming.receive(), timeout=60)
    second = await incoming.receive()
    await websocket.send_text(first.text + second.text)


def say(socket: Socket, **message: Any) -> None:
    socket.send(json.dumps(message))


def heard(socket: Socket) -> Any:
    return json.loads(socket.receive())


def test_messages_are_instances_of_their_models_and_replies_have_their_ids(life: Life) -> None:
    with life.serve(app) as client, client.connect("/chat") as socket:
        say(socket, type="say", id="a", data={"text": "hello"})
        assert heard(socket) == {"type": "said", "id": "a", "data": {"text": "hello", "number": 1}}
        say(socket, type="add-up", id="b", data={"numbers": [1, 2, 39]})
        assert heard(socket) == {"type": "sum", "id": "b", "data": {"total": 42}}
        say(socket, type="say", data={"text": "again"})
        assert heard(socket) == {"type": "said", "data": {"text": "again", "number": 2}}
        say(socket, type="bye")
        assert socket.receive() == "2 said"


def test_what_is_wrong_with_a_message_is_answered_and_the_connection_stays(life: Life) -> None:
    with life.serve(app) as client, client.connect("/chat") as socket:
        socket.send("{")
        malformed = heard(socket)
        assert malformed["type"] == "error"
        assert malformed["data"]["code"] == "malformed"
        assert "id" not in malformed
        say(socket, type="shout", id="1", data={})
        assert heard(socket) == {
            "type": "error",
            "id": "1",
            "data": {"code": "unknown-type", "detail": "no type 'shout'; there are add-up, bye, say", "errors": []},
        }
        say(socket, type="say", id="2", data={"text": "hello"})
        assert heard(socket)["id"] == "2"
        say(socket, type="say", id="3", data={})
        assert heard(socket) == {
            "type": "error",
            "id": "3",
            "data": {
                "code": "invalid",
                "detail": "data.text: Field required",
                "errors": [{"type": "missing", "loc": ["data", "text"], "msg": "Field required"}],
            },
        }


def test_too_many_bad_messages_in_a_row_close_the_connection(life: Life) -> None:
    with life.serve(app) as client, client.connect("/chat") as socket:
        for number in range(2):
            say(socket, type="shout", id=str(number))
            assert heard(socket)["data"]["code"] == "unknown-type"
        socket.send("{")
        with pytest.raises(Closed) as closed:
            socket.receive()
        # API Gateway tells no codes of the app's.
        assert closed.value.code == (1008 if life.name == "uvicorn" else 1000)


def test_an_acknowledgement_comes_when_the_message_has_been_handled(life: Life) -> None:
    with life.serve(app) as client, client.connect("/chat") as socket:
        say(socket, type="say", id="a", ack=True, data={"text": "hello"})
        assert heard(socket)["type"] == "said"
        assert heard(socket) == {"type": "ack", "id": "a", "data": {}}
        say(socket, type="say", id="b", data={"text": "no need"})
        assert heard(socket)["id"] == "b"
        say(socket, type="bye")
        assert socket.receive() == "2 said"


def test_the_loop_ends_when_the_client_leaves_and_an_envelope_can_be_broadcast(life: Life) -> None:
    with life.serve(app) as client, client.connect("/room") as ann, client.connect("/room") as bob:
        say(bob, type="say", data={"text": "hello"})
        assert heard(ann) == heard(bob) == {"type": "said", "data": {"text": "hello", "number": 0}}


def test_one_message_can_be_received_against_a_clock(life: Life) -> None:
    with life.serve(app) as client, client.connect("/hurry") as socket:
        say(socket, type="say", data={"text": "in "})
        say(socket, type="say", data={"text": "time"})
        assert socket.receive() == "in time"
