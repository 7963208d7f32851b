"""Clients that lose their connection and come back: they get what they missed, once and in order, in every life."""

import json
from typing import Any

from fastapi import FastAPI, WebSocket

from gatesocket import ConnectionManager
from gatesocket.history import History
from support.served_lives import Life, Socket

manager = ConnectionManager(history=History(messages=3, seconds=60))
app = FastAPI()


@app.websocket("/ws/{room}")
async def talk(websocket: WebSocket, room: str, name: str, after: str | None = None) -> None:
    await manager.connect(websocket, groups=[room], user=name, after=after)
    await manager.send_personal_message({"type": "welcome"}, websocket)
    async for text in websocket.iter_text():
        await manager.broadcast({"type": "said", "text": text}, group=room, keep=True)


def heard(socket: Socket) -> Any:
    return json.loads(socket.receive())


def begun(socket: Socket) -> tuple[list[str], list[bool], list[str]]:
    """Read up to the welcome: the cursors and whether they are complete, and what was missed."""
    told = []
    while (message := heard(socket))["type"] != "welcome":
        told.append(message)
    markers = [message for message in told if message["type"] == "history"]
    return (
        [marker["cursor"] for marker in markers],
        [marker["complete"] for marker in markers],
        [message["text"] for message in told if message["type"] == "said"],
    )


def test_a_client_that_comes_back_gets_what_it_missed_once_and_in_order(life: Life) -> None:
    with life.serve(app) as client, client.connect("/ws/lobby?name=ann") as ann:
        assert heard(ann)["type"] == "welcome"
        with client.connect("/ws/lobby?name=bob&after=") as bob:
            (everyone, _), complete, missed = begun(bob)
            assert (complete, missed) == ([True, True], [])
            ann.send("before")
            seen = heard(bob)["cursor"]
            assert heard(ann)["cursor"] == seen
        for text in ("one", "two", "three"):
            ann.send(text)
            assert heard(ann)["text"] == text

        with client.connect(f"/ws/lobby?name=bob&after={everyone},{seen}") as bob:
            cursors, complete, missed = begun(bob)
            assert (cursors[1], complete, missed) == (seen, [True, True], ["one", "two", "three"])
            ann.send("four")
            assert heard(bob) == heard(ann)


def test_a_client_that_has_missed_more_than_is_kept_is_told_so_and_gets_the_newest(life: Life) -> None:
    with life.serve(app) as client, client.connect("/ws/attic?name=ann") as ann:
        assert heard(ann)["type"] == "welcome"
        with client.connect("/ws/attic?name=bob&after=") as bob:
            cursors, _, _ = begun(bob)
        for text in ("one", "two", "three", "four"):
            ann.send(text)
            assert heard(ann)["text"] == text

        with client.connect(f"/ws/attic?name=bob&after={','.join(cursors)}") as bob:
            assert begun(bob)[1:] == ([True, False], ["two", "three", "four"])


def test_a_cursor_that_is_none_is_told_to_be_none(life: Life) -> None:
    with life.serve(app) as client, client.connect("/ws/cellar?name=bob&after=made-up") as bob:
        assert begun(bob)[1:] == ([False, False], [])
