"""The loop over messages: how it ends, what it keeps while the route hibernates, and what `check` says of it."""

import json
from collections.abc import AsyncIterator
from typing import Any, assert_type

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from starlette.testclient import TestClient

from gatesocket.backend import Backend, use
from gatesocket.exceptions import SnapshotError
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.hibernation import check, meanings
from gatesocket.messages import Messages, messages
from gatesocket.registry.memory import MemoryRegistry
from support.hibernation import Connection, serving
from support.passes import environment, parsed


class Say(BaseModel):
    text: str


class Ask(BaseModel):
    about: str


class Answer(BaseModel):
    text: str


SAY = '{"type": "say", "data": {"text": "hello"}}'


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    incoming = messages(websocket, Say | Ask, max_errors=1)
    asked: str | None = None
    async for message in incoming:
        assert_type(message, Say | Ask)
        match message:
            case Say(text=text):
                await incoming.reply(Answer(text=text), to=asked)
            case Ask():
                asked = incoming.id


async def test_the_id_and_the_errors_so_far_survive_hibernation() -> None:
    connection = Connection(serving(chat))
    await connection.connect()
    await connection.say('{"type": "ask", "id": "first", "ack": true, "data": {"about": "x"}}')
    await connection.say("{")
    await connection.say("{")

    assert connection.snapshot is None, "the loop and the route have ended"
    assert [json.loads(text)["type"] for text in connection.texts] == ["ack", "error"]
    assert connection.sent[-1] == {
        "type": "websocket.close",
        "code": 1008,
        "reason": "too many messages that can't be understood",
    }


async def test_a_good_message_forgives_the_bad_ones_before_it() -> None:
    connection = Connection(serving(chat))
    await connection.connect()
    for text in ("{", SAY, "{", SAY):
        await connection.say(text)

    assert [json.loads(text)["type"] for text in connection.texts] == ["error", "answer"] * 2


async def test_a_reply_may_answer_an_earlier_message() -> None:
    connection = Connection(serving(chat))
    await connection.connect()
    await connection.say(
        '{"type": "ask", "id": "first", "data": {"about": "x"}}', '{"type": "ask", "data": {"about": "y"}}'
    )
    await connection.say('{"type": "ask", "id": "third", "data": {"about": "x"}}', SAY)

    assert connection.texts == ['{"type":"answer","id":"third","data":{"text":"hello"}}']


def served(endpoint: Any) -> TestClient:
    """A client of *endpoint* in the local life."""
    app = FastAPI()
    app.websocket("/")(endpoint)
    return TestClient(app)


async def loop(websocket: WebSocket) -> None:
    await websocket.accept()
    async for _ in messages(websocket, Say):
        pass


def test_a_binary_message_closes_with_1003_as_on_api_gateway() -> None:
    with served(loop).websocket_connect("/") as session:
        session.send_bytes(b"{}")
        with pytest.raises(WebSocketDisconnect) as closed:
            session.receive_text()

    assert closed.value.code == 1003


def test_the_first_message_after_its_time_closes_with_1008() -> None:
    now = 1_000_000

    async def until_a_moment(websocket: WebSocket) -> None:
        await websocket.accept()
        with use(Backend(MemoryRegistry(), SocketGateway(), clock=lambda: now)):
            incoming = messages(websocket, Say, until=1000.5)
            async for message in incoming:
                await incoming.reply(message)

    with served(until_a_moment).websocket_connect("/") as session:
        session.send_text(SAY)
        assert session.receive_json() == {"type": "say", "data": {"text": "hello"}}
        now += 500
        session.send_text(SAY)
        with pytest.raises(WebSocketDisconnect) as closed:
            session.receive_text()

    assert (closed.value.code, closed.value.reason) == (1008, "expired")


def test_receive_tells_how_the_client_left() -> None:
    left: list[tuple[int, str | None]] = []

    async def once(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await messages(websocket, Say).receive()
        except WebSocketDisconnect as end:
            left.append((end.code, end.reason))

    with served(once).websocket_connect("/") as session:
        session.close(4000, "enough")

    assert left == [(4000, "enough")]


def test_a_socket_has_to_be_accepted_first() -> None:
    async def too_early(websocket: WebSocket) -> None:
        with pytest.raises(RuntimeError, match="accept"):
            await messages(websocket, Say).receive()
        await websocket.close()

    with pytest.raises(WebSocketDisconnect), served(too_early).websocket_connect("/"):
        pass


def test_check_shows_the_line_of_the_loop() -> None:
    start = chat.__code__.co_firstlineno
    report = check(serving(chat))

    assert report.findings == ()
    # The reply isn't among them: the source shows what `incoming` is.
    assert [(point.line - start, point.awaited) for point in report.routes[0].points] == [(4, "incoming")]
    # A loop over the call itself is sure to wait for the client: the source shows what the call returns.
    [point] = check(serving(loop)).routes[0].points
    assert point.awaited == "messages(websocket, Say)"


def test_what_a_local_may_be_besides_is_not_overlooked() -> None:
    async def either(websocket: WebSocket, other: AsyncIterator[Say]) -> None:
        await websocket.accept()
        incoming: Any = messages(websocket, Say)
        later = messages(websocket, Say)
        if websocket.query_params:
            later = other  # type: ignore[assignment]
        async for message in incoming:
            await incoming.reply(message)
        async for message in later:
            await later.reply(message)

    [route] = check(serving(either)).routes

    assert [point.awaited for point in route.points] == [
        "incoming",
        "incoming.reply(message)",
        "later",
        "later.reply(message)",
    ]


def test_an_app_without_such_loops_pays_nothing_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meanings, "_receives", set())
    node = parsed("incoming = messages(websocket, Say)")

    assert environment(node, messages=messages).types == {"ws": "WebSocket()"}
    monkeypatch.undo()
    assert environment(node, messages=messages).types == {"ws": "WebSocket()", "incoming": "messages(…)"}


def test_check_refuses_a_receive_where_a_route_can_t_be_left() -> None:
    async def at_the_end(websocket: WebSocket, incoming: Messages[Say]) -> None:
        try:
            await websocket.accept()
        finally:
            await incoming.receive()

    [finding] = check(serving(at_the_end)).findings

    assert finding.line == at_the_end.__code__.co_firstlineno + 4
    assert "in a `finally`" in finding.what


@pytest.mark.parametrize(
    ("planted", "why"),
    [
        ([None, (str,), 10, None, 0, None, False], "expected pydantic models"),
        ([None, (Say,), 10, None, 0, None, False], "None gives no messages"),
        ([None, 7, 10, None, 0, None, False], "must be an iterable"),
        ([None, (Say,)], "not enough values"),
    ],
)
def test_a_planted_snapshot_is_refused(planted: list[Any], why: str) -> None:
    with pytest.raises(SnapshotError, match=f"the snapshot is damaged: .*{why}"):
        Messages._load(planted)
