"""The assistant from a client's side: as one coroutine under uvicorn, and woken for every message as in the cloud."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from gatesocket.testing import GatewayTestClient
from starlette.testclient import TestClient, WebSocketTestSession

from assistant import app as assistant
from assistant.app import remembered
from assistant.model import TEXT, MarkovChain, Turn
from assistant.settings import Settings


class Repeater:
    """A model that says back what it was told, turn by turn."""

    name = "a repeater"

    async def more(self, history: Sequence[Turn], so_far: str) -> str | None:
        rest = "".join(f"[{turn.by}: {turn.text}]" for turn in history).removeprefix(so_far)
        return rest[:10] or None


@pytest.fixture(params=[TestClient, GatewayTestClient], ids=["uvicorn's life", "the cloud's life"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(assistant, "settings", QUICK)
    monkeypatch.setattr(assistant, "MODEL", Repeater())
    with request.param(assistant.app) as client:
        yield client


QUICK, PATIENT = Settings(pause=0.001), Settings(pause=2)
"""Patient is long enough to hibernate after each piece."""


def says(socket: WebSocketTestSession, kind: str, id: str | None = None, **data: Any) -> None:  # noqa: A002
    socket.send_json({"type": kind, "id": id, "data": data})


def answer(socket: WebSocketTestSession, id: str) -> tuple[str, bool]:  # noqa: A002
    """Return the rest of the answer to the question *id*, and whether it was stopped."""
    said = ""
    while True:
        message = socket.receive_json()
        assert message["id"] == id
        if message["type"] == "answered":
            return said, message["data"]["stopped"]
        assert message["type"] == "said"
        said += message["data"]["text"]


def test_a_client_is_told_who_answers(client: TestClient) -> None:
    with client.websocket_connect("/ws/assistant") as socket:
        assert socket.receive_json() == {"type": "welcome", "data": {"model": "a repeater"}}


def test_an_answer_comes_in_pieces_with_the_conversation_in_mind(client: TestClient) -> None:
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text="one")
        assert answer(socket, "1") == ("[user: one]", False)
        says(socket, "ask", "2", text="two")
        assert answer(socket, "2") == ("[user: one][assistant: [user: one]][user: two]", False)


def test_what_is_forgotten_is_not_in_mind_any_more(client: TestClient) -> None:
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text="one")
        answer(socket, "1")
        says(socket, "forget", "2")
        assert socket.receive_json() == {"type": "forgotten", "id": "2", "data": {}}
        says(socket, "ask", "3", text="two")
        assert answer(socket, "3") == ("[user: two]", False)


def test_an_answer_is_stopped_and_only_what_was_said_is_remembered(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant, "settings", PATIENT)
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text="a long question")
        assert socket.receive_json() == {"type": "said", "id": "1", "data": {"text": "[user: a l"}}
        says(socket, "stop")
        assert answer(socket, "1") == ("", True)
        monkeypatch.setattr(assistant, "settings", QUICK)
        says(socket, "ask", "2", text="go on")
        assert answer(socket, "2") == ("[user: a long question][assistant: [user: a l][user: go on]", False)


def test_while_an_answer_is_under_way_nothing_else_is_begun(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant, "settings", PATIENT)
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text="a question that has a long answer")
        assert socket.receive_json()["type"] == "said"
        for kind, data, reply in [("ask", {"text": "and?"}, "busy"), ("forget", {}, "busy"), ("ping", {}, "pong")]:
            says(socket, kind, kind, **data)
            assert socket.receive_json() == {"type": reply, "id": kind, "data": {}}
            assert socket.receive_json()["id"] == "1"
        says(socket, "stop")
        assert answer(socket, "1") == ("", True)


@pytest.mark.parametrize("kind", ["stop", "ping"])
def test_between_answers_there_is_nothing_to_stop(client: TestClient, kind: str) -> None:
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, kind, "1")
        says(socket, "ping", "2")
        replies = [socket.receive_json()] if kind == "stop" else [socket.receive_json() for _ in range(2)]
        assert replies[-1] == {"type": "pong", "id": "2", "data": {}}


def test_an_answer_goes_on_although_nothing_runs_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant, "settings", PATIENT)
    monkeypatch.setattr(assistant, "MODEL", Repeater())
    with GatewayTestClient(assistant.app) as client, client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text="a question")
        assert socket.receive_json()["data"]["text"] == "[user: a q"
        client.advance(2)
        assert socket.receive_json()["data"]["text"] == "uestion]"
        client.advance(2)
        assert socket.receive_json()["type"] == "answered"


def test_a_client_that_leaves_in_the_middle_ends_the_route(client: TestClient) -> None:
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text="anybody there?")
        assert socket.receive_json()["type"] == "said"


@pytest.mark.parametrize("text", ["", "  ", "x" * 4001, None])
def test_what_is_no_question_is_answered_with_an_error(client: TestClient, text: str | None) -> None:
    with client.websocket_connect("/ws/assistant") as socket:
        socket.receive_json()
        says(socket, "ask", "1", text=text)
        error = socket.receive_json()
        assert (error["type"], error["id"], error["data"]["code"]) == ("error", "1", "invalid")


class TestMemory:
    def turns(self, *sizes: int) -> list[Turn]:
        return [Turn("assistant" if number % 2 else "user", "x" * size) for number, size in enumerate(sizes)]

    def test_what_there_is_room_for_is_remembered(self) -> None:
        history = self.turns(1000, 2000, 3000)
        assert remembered(history) == history

    def test_of_a_long_conversation_the_latest_is_remembered_from_a_question_on(self) -> None:
        history = self.turns(30_000, 30_000, 20_000, 30_000)
        assert remembered(history) == history[2:]

    def test_a_question_is_remembered_in_any_case(self) -> None:
        history = self.turns(60_000, 30_000, 10_000)
        assert remembered(history) == history[2:]

    def test_of_an_answer_that_there_is_no_room_for_nothing_is(self) -> None:
        assert remembered(self.turns(10, 70_000)) == []


class TestMarkovChain:
    def said(self, *questions: str) -> str:
        async def say() -> str:
            model, history, said = MarkovChain(TEXT), [Turn("user", text) for text in questions], ""
            while (piece := await model.more(history, said)) is not None:
                said += piece
            return said

        return asyncio.run(say())

    def test_it_says_the_same_to_the_same_and_something_else_to_others(self) -> None:
        assert self.said("What is a lease?") == self.said("What is a lease?")
        assert self.said("What is a lease?") != self.said("What is a lease now?")

    def test_it_ends_with_a_sentence_or_in_the_end(self) -> None:
        for question in ("Hello", "Timers?", "Who are you?"):
            said = self.said(question)
            assert 60 <= len(said.split()) <= 120
            assert said.endswith(".") or len(said.split()) == 120

    def test_it_begins_with_what_it_was_asked_about_if_it_has_read_of_it(self) -> None:
        assert self.said("What do timers do?").startswith("Timers ")

    def test_it_says_only_what_it_has_read(self) -> None:
        assert set(self.said("Tell me everything").split()) <= set(TEXT.split())

    def test_it_says_what_it_is(self) -> None:
        assert "no language model" in MarkovChain.name


def test_the_page_finds_all_that_it_needs() -> None:
    with TestClient(assistant.app) as client:
        assert "<title>Assistant</title>" in client.get("/").text
        for path in ("/static/assistant.js", "/static/assistant.css", "/client/connection.js"):
            assert client.get(path).status_code == 200
