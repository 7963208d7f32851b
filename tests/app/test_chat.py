"""The reference app, lesson by lesson, from a client's side, in both lives."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from chat.app import PAGE, app
from chat.lessons import count_primes
from chat.settings import Settings, settings
from gatesocket.backend import Backend, use
from gatesocket.client import DIRECTORY
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.testing import GatewayTestClient

TOKEN = settings.token.get_secret_value()


@pytest.fixture(params=[TestClient, GatewayTestClient], ids=["uvicorn's life", "the cloud's life"])
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with request.param(app) as client:
        yield client


def seen_code(client: TestClient, code: int) -> int:
    """The close code that a client sees of one that the app chose: API Gateway can only end with 1000."""
    return 1000 if isinstance(client, GatewayTestClient) else code


@contextmanager
def joined(client: TestClient, room: str, name: str) -> Iterator[WebSocketTestSession]:
    """A client in *room*, who has read its welcome."""
    with client.websocket_connect(f"/ws/{room}?name={name}") as socket:
        assert socket.receive_json()["type"] == "welcome"
        yield socket


def says(socket: WebSocketTestSession, type: str, id: str | None = None, **data: Any) -> None:  # noqa: A002
    socket.send_json({"type": type, "id": id, "data": data})


class TestLessons:
    def test_echo_sends_every_text_back(self, client: TestClient) -> None:
        with client.websocket_connect("/ws/echo") as socket:
            for text in ("hello", "", "ünïcödé \N{WAVING HAND SIGN}"):
                socket.send_text(text)
                assert socket.receive_text() == f"You said: {text}"

    def test_echo_json_counts_what_it_sends_back(self, client: TestClient) -> None:
        with client.websocket_connect("/ws/json") as socket:
            for number, value in enumerate(({"a": [1, None]}, "text", 3.5, None), start=1):
                socket.send_json(value)
                assert socket.receive_json() == {"number": number, "you_sent": value}

    def test_echo_json_answers_what_is_no_json_and_goes_on(self, client: TestClient) -> None:
        with client.websocket_connect("/ws/json") as socket:
            socket.send_text("{not json")
            assert socket.receive_json()["error"].startswith("that was not JSON: ")
            socket.send_json([])
            assert socket.receive_json() == {"number": 1, "you_sent": []}

    def test_the_right_token_in_the_query_opens(self, client: TestClient) -> None:
        with client.websocket_connect(f"/ws/token?token={TOKEN}") as socket:
            socket.send_text("hi")
            assert socket.receive_text() == "For your eyes only: hi"

    @pytest.mark.parametrize("query", ["", "?token=wrong", "?token=", "?token=%C3%BC"])
    def test_a_wrong_token_in_the_query_is_refused_before_the_socket_opens(
        self, client: TestClient, query: str
    ) -> None:
        with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(f"/ws/token{query}"):
            pass
        if isinstance(client, GatewayTestClient):
            assert isinstance(refused.value, WebSocketDenialResponse)
            assert refused.value.status_code == 403
        else:
            assert refused.value.code == 1008

    def test_a_wrong_token_is_refused_by_a_socket_that_was_accepted_first(self, client: TestClient) -> None:
        """In the cloud it never opens: nobody who isn't let in costs a connection."""
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            client.websocket_connect("/ws/secret?token=wrong") as socket,
        ):
            socket.receive_text()
        if isinstance(client, GatewayTestClient):
            assert isinstance(refused.value, WebSocketDenialResponse)
            assert refused.value.status_code == 403
        else:
            assert (refused.value.code, refused.value.reason) == (1008, "wrong token")

    def test_the_right_token_stays_open(self, client: TestClient) -> None:
        with client.websocket_connect(f"/ws/secret?token={TOKEN}") as socket:
            socket.send_text("hi")
            assert socket.receive_text() == "Between you and me: hi"

    def test_the_first_message_authenticates(self, client: TestClient) -> None:
        with client.websocket_connect("/ws/login") as socket:
            socket.send_json({"type": "auth", "token": TOKEN})
            assert socket.receive_json() == {"type": "authenticated", "data": {}}
            for text in ("one", "two"):
                socket.send_text(text)
                assert socket.receive_text() == f"You are known, and said: {text}"

    @pytest.mark.parametrize(
        "first",
        [
            "hello",
            json.dumps({"type": "auth", "token": "wrong"}),
            json.dumps({"type": "auth"}),
            json.dumps({"type": "say", "token": TOKEN}),
        ],
        ids=["not JSON", "wrong token", "no token", "not an auth message"],
    )
    def test_any_other_first_message_ends_the_connection(self, client: TestClient, first: str) -> None:
        with client.websocket_connect("/ws/login") as socket:
            socket.send_text(first)
            with pytest.raises(WebSocketDisconnect) as refused:
                socket.receive_text()
        assert refused.value.code == seen_code(client, 1008)

    def test_heavy_work_reports_its_progress_and_its_result(self, client: TestClient) -> None:
        with client.websocket_connect("/ws/work") as socket:
            says(socket, "work", "w1", below=1000)
            assert socket.receive_json() == {"type": "accepted", "id": "w1", "data": {}}
            for percent in (25, 50, 75, 100):
                assert socket.receive_json() == {"type": "progress", "id": "w1", "data": {"percent": percent}}
            assert socket.receive_json() == {"type": "done", "id": "w1", "data": {"below": 1000, "primes": 168}}

    def test_work_can_be_sent_while_other_work_runs(self, client: TestClient) -> None:
        """Each has its answers in order; which of the two comes first is open."""
        with client.websocket_connect("/ws/work") as socket:
            says(socket, "work", "first", below=10)
            says(socket, "work", "second", below=2)
            answers = [socket.receive_json() for _ in range(12)]
        for message_id, primes in (("first", 4), ("second", 0)):
            mine = [answer for answer in answers if answer["id"] == message_id]
            assert [answer["type"] for answer in mine] == ["accepted", *["progress"] * 4, "done"]
            assert [answer["data"]["percent"] for answer in mine[1:5]] == [25, 50, 75, 100]
            assert mine[5]["data"]["primes"] == primes

    async def test_work_for_a_client_that_has_left_is_given_up(self) -> None:
        """Nobody would see the rest of it."""
        gateway = FakeGateway()
        gateway.gone("TXzPWdnOjoECGjA=")
        with use(Backend(MemoryRegistry(), gateway)):
            assert await count_primes("TXzPWdnOjoECGjA=", "w1", 1000) is None

    @pytest.mark.parametrize("below", [1, 1_000_001, "many", None])
    def test_work_that_nobody_could_do_is_answered_with_an_error(self, client: TestClient, below: Any) -> None:
        with client.websocket_connect("/ws/work") as socket:
            says(socket, "work", "w1", below=below)
            answer = socket.receive_json()
        assert (answer["type"], answer["id"], answer["data"]["code"]) == ("error", "w1", "invalid")
        assert answer["data"]["detail"].startswith("data.below: ")


class TestChat:
    def test_everybody_in_the_room_hears_what_is_said_the_speaker_included(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann, joined(client, "lobby", "bob") as bob:
            assert ann.receive_json() == {"type": "joined", "data": {"name": "bob"}}
            for number, text in enumerate(("Hello", "Is this on?"), start=1):
                says(ann, "say", text=text)
                said = {"type": "said", "data": {"name": "ann", "text": text, "number": number}}
                heard = ann.receive_json()
                assert bob.receive_json() == heard
                assert heard.pop("cursor")
                assert heard == said

    def test_rooms_do_not_hear_each_other(self, client: TestClient) -> None:
        with joined(client, "one", "ann") as ann, joined(client, "two", "bob") as bob:
            says(ann, "say", text="in one")
            says(bob, "say", text="in two")
            assert ann.receive_json()["data"]["text"] == "in one"
            assert bob.receive_json()["data"]["text"] == "in two"

    def test_the_welcome_says_who_and_where_one_is_and_who_is_there(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann"), client.websocket_connect("/ws/lobby") as guest:
            welcome = guest.receive_json()
        assert welcome["type"] == "welcome"
        assert welcome["data"].pop("connection")
        assert welcome["data"] == {"room": "lobby", "name": "guest", "people": ["ann", "guest"]}

    def test_who_leaves_is_missed_by_the_others(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann:
            with joined(client, "lobby", "bob"):
                assert ann.receive_json() == {"type": "joined", "data": {"name": "bob"}}
            assert ann.receive_json() == {"type": "left", "data": {"name": "bob"}}
            says(ann, "who", "w")
            assert ann.receive_json() == {"type": "people", "id": "w", "data": {"people": ["ann"]}}

    def test_who_comes_back_hears_what_was_said_meanwhile_and_nothing_twice(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann:
            with client.websocket_connect("/ws/lobby?name=bob&after=") as bob:
                cursors = [bob.receive_json()["cursor"] for _ in ("everywhere", "in the lobby")]
                assert bob.receive_json()["type"] == "welcome"
                assert ann.receive_json()["type"] == "joined"
            assert ann.receive_json()["type"] == "left"
            says(ann, "say", text="Are you there?")
            assert ann.receive_json()["type"] == "said"
            client.post("/announce", json={"text": "closing time"})
            with client.websocket_connect(f"/ws/lobby?name=bob&after={','.join(cursors)}") as bob:
                told = [bob.receive_json() for _ in range(5)]
            assert [message["type"] for message in told] == ["history", "announced", "history", "said", "welcome"]
            assert told[3]["data"]["text"] == "Are you there?"

    def test_a_second_tab_of_a_person_comes_and_goes_unnoticed(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann, joined(client, "lobby", "bob"):
            assert ann.receive_json()["type"] == "joined"
            with joined(client, "lobby", "bob"):
                pass
            says(ann, "ping", "p")
            assert ann.receive_json() == {"type": "pong", "id": "p", "data": {}}

    def test_whoever_types_is_seen_typing_by_the_others_in_the_room(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann, joined(client, "lobby", "bob") as bob:
            assert ann.receive_json()["type"] == "joined"
            says(ann, "typing")
            assert bob.receive_json() == {"type": "is-typing", "data": {"name": "ann"}}
            says(ann, "ping")
            assert ann.receive_json()["type"] == "pong"

    def test_a_job_can_be_asked_for_in_the_middle_of_a_talk(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann, joined(client, "lobby", "bob") as bob:
            assert ann.receive_json()["type"] == "joined"
            says(ann, "work", "w1", below=1000)
            answers = [ann.receive_json() for _ in range(6)]
            assert [answer["id"] for answer in answers] == ["w1"] * 6
            assert [answer["type"] for answer in answers] == ["accepted", *["progress"] * 4, "done"]
            assert answers[-1]["data"] == {"below": 1000, "primes": 168}
            says(bob, "ping")
            assert bob.receive_json()["type"] == "pong"

    def test_a_personal_message_reaches_every_tab_of_one_person_and_nobody_else(self, client: TestClient) -> None:
        with (
            joined(client, "lobby", "ann") as ann,
            joined(client, "lobby", "bob") as bob,
            joined(client, "garden", "bob") as other_bob,
            joined(client, "garden", "cid") as cid,
        ):
            assert ann.receive_json()["type"] == "joined"
            assert other_bob.receive_json()["type"] == "joined"
            says(ann, "tell-user", "t", user="bob", text="psst")
            assert ann.receive_json() == {"type": "delivered", "id": "t", "data": {"sent": 2}}
            for tab in (bob, other_bob):
                told = tab.receive_json()
                assert told["type"] == "told"
                assert (told["data"]["name"], told["data"]["text"]) == ("ann", "psst")
            says(cid, "ping")
            assert cid.receive_json()["type"] == "pong"

    def test_a_personal_message_can_be_answered_to_the_connection_that_it_came_from(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann, joined(client, "lobby", "bob") as bob:
            assert ann.receive_json()["type"] == "joined"
            says(ann, "tell-user", user="bob", text="psst")
            assert ann.receive_json()["type"] == "delivered"
            connection = bob.receive_json()["data"]["connection"]
            says(bob, "tell-connection", "t", connection=connection, text="what?")
            assert bob.receive_json() == {"type": "delivered", "id": "t", "data": {"sent": 1}}
            assert ann.receive_json()["data"]["text"] == "what?"

    def test_a_personal_message_to_nobody_is_delivered_to_nobody(self, client: TestClient) -> None:
        with joined(client, "lobby", "ann") as ann:
            says(ann, "tell-user", "1", user="nobody", text="psst")
            assert ann.receive_json() == {"type": "delivered", "id": "1", "data": {"sent": 0}}
            says(ann, "tell-connection", "2", connection="TXzPWdnOjoECGjA=", text="psst")
            assert ann.receive_json() == {"type": "delivered", "id": "2", "data": {"sent": 0}}
            says(ann, "tell-connection", "3", connection="not/an id?", text="psst")
            assert ann.receive_json() == {"type": "delivered", "id": "3", "data": {"sent": 0}}

    @pytest.mark.parametrize(
        ("text", "answers", "code", "detail"),
        [
            ("{", None, "malformed", "Invalid JSON: EOF while parsing"),
            ('"hello"', None, "malformed", "Input should be an object"),
            ("[" * 10_000, None, "malformed", "Invalid JSON: recursion limit exceeded"),
            ('{"data": {}}', None, "malformed", "type: Field required"),
            ('{"type": "who", "id": 7}', None, "malformed", "id: Input should be a valid string"),
            ('{"type": "who", "to": "bob"}', None, "malformed", "to: Extra inputs are not permitted"),
            (
                '{"type": "shout", "id": "7"}',
                "7",
                "unknown-type",
                "no type 'shout'; there are ping, say, tell-connection, tell-user, typing, who, work",
            ),
            ('{"type": "say", "id": "7", "data": {}}', "7", "invalid", "data.text: Field required"),
            (
                '{"type": "say", "id": "7", "data": {"text": " "}}',
                "7",
                "invalid",
                "data.text: String should have at least 1 character",
            ),
            (
                '{"type": "tell-user", "id": "7", "data": {"text": 3}}',
                "7",
                "invalid",
                "data.user: Field required; data.text: Input should be a valid string",
            ),
        ],
    )
    def test_what_cannot_be_understood_is_answered_and_the_connection_stays(
        self, client: TestClient, text: str, answers: str | None, code: str, detail: str
    ) -> None:
        with joined(client, "lobby", "ann") as ann:
            ann.send_text(text)
            error = ann.receive_json()
            assert (error["type"], error.get("id"), error["data"]["code"]) == ("error", answers, code)
            assert error["data"]["detail"].startswith(detail)
            says(ann, "say", text="still here")
            assert ann.receive_json()["data"]["text"] == "still here"

    @pytest.mark.parametrize(
        "url",
        ["/ws/*?name=ann", "/ws/two%20words?name=ann", f"/ws/{'x' * 41}", "/ws/lobby?name=", "/ws/lobby?name=%20"],
        ids=["the group of everyone", "not a word", "too long", "no name", "a blank name"],
    )
    def test_a_room_or_name_that_cannot_be_is_refused_at_the_door(self, client: TestClient, url: str) -> None:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(url):
            pass


class TestHttp:
    def test_an_announcement_reaches_everybody_in_every_room(self, client: TestClient) -> None:
        with joined(client, "one", "ann") as ann, joined(client, "two", "bob") as bob:
            answer = client.post("/announce", json={"text": "closing time"})
            assert answer.json() == {"sent": 2, "gone": 0, "queued": 0, "failed": 0}
            announced = ann.receive_json()
            assert bob.receive_json() == announced
            assert announced.pop("cursor")
            assert announced == {"type": "announced", "data": {"text": "closing time"}}

    def test_an_announcement_to_one_room_stays_there(self, client: TestClient) -> None:
        with joined(client, "one", "ann") as ann, joined(client, "two", "bob") as bob:
            answer = client.post("/announce", json={"text": "only here", "room": "one"})
            assert answer.json()["sent"] == 1
            assert ann.receive_json()["data"]["text"] == "only here"
            says(bob, "ping")
            assert bob.receive_json()["type"] == "pong"

    @pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": "x" * 4001}, {"text": "x", "room": "*"}])
    def test_an_announcement_without_sense_is_refused(self, client: TestClient, body: dict[str, Any]) -> None:
        assert client.post("/announce", json=body).status_code == 422

    def test_connections_are_counted_everywhere_or_in_one_room(self, client: TestClient) -> None:
        with joined(client, "one", "ann"), joined(client, "two", "bob"), joined(client, "two", "cid"):
            assert client.get("/connections").json() == {"connections": 3}
            assert client.get("/connections?room=two").json() == {"connections": 2}
            assert client.get("/connections?room=empty").json() == {"connections": 0}

    def test_it_can_be_seen_where_the_route_of_a_connection_waits(self, client: TestClient) -> None:
        with client.websocket_connect("/ws/lobby?name=ann") as ann:
            connection = ann.receive_json()["data"]["connection"]
            seen = client.get(f"/connections/{connection}/whereabouts").json()
        (waiting,) = seen["waiting"]
        assert (waiting["file"], waiting["function"]) == ("chat/app.py", "chat")
        line = waiting["source"][waiting["line"] - waiting["first"]]
        assert line.strip() == "async for message in incoming:"
        assert {"connection", "incoming", "name", "number", "room", "websocket"} <= set(waiting["names"])
        if isinstance(client, GatewayTestClient):
            assert seen["hibernates"]
            assert 100 < seen["bytes"] < 1000
        else:
            assert (seen["hibernates"], seen["bytes"]) == (False, None)

    def test_it_cannot_be_seen_where_nobody_waits(self, client: TestClient) -> None:
        answer = client.get("/connections/TXzPWdnOjoECGjA=/whereabouts")
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such connection any more."})

    def test_a_deployment_shows_it_to_nobody(self, client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setenv("AWS_LAMBDA_FUNCTION_NAME", "chat-http")
            patched.setattr("chat.whereabouts.settings", Settings())
            answer = client.get("/connections/TXzPWdnOjoECGjA=/whereabouts")
        assert answer.status_code == 403
        assert "CHAT_SHOW_SOURCE=true" in answer.json()["detail"]

    def test_who_has_left_is_not_counted(self, client: TestClient) -> None:
        with joined(client, "one", "ann"):
            pass
        assert client.get("/connections").json() == {"connections": 0}

    def test_the_app_says_that_it_runs(self, client: TestClient) -> None:
        assert client.get("/health").json() == {"status": "ok"}

    @pytest.mark.parametrize(
        ("path", "media_type"),
        [
            ("/", "text/html"),
            ("/static/chat.css", "text/css"),
            ("/static/drawer.css", "text/css"),
            ("/static/chat.js", "text/javascript"),
            ("/static/drawer.js", "text/javascript"),
            ("/client/connection.js", "text/javascript"),
            ("/static/icon.svg", "image/svg+xml"),
        ],
    )
    def test_the_page_and_what_it_needs_is_served(self, client: TestClient, path: str, media_type: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(media_type)

    def test_the_page_names_no_other_host(self, client: TestClient) -> None:
        page = client.get("/").text
        assert "//" not in page.replace("wss://", "")
        for file in (*PAGE.glob("*.js"), *PAGE.glob("*.css"), DIRECTORY / "connection.js"):
            text = file.read_text(encoding="utf-8")
            assert "http://" not in text, file
            assert "https://" not in text, file

    def test_every_script_that_the_page_imports_is_served(self, client: TestClient) -> None:
        imported = {
            name for file in PAGE.glob("*.js") for name in re.findall(r'from "\./(.+?)"', file.read_text("utf-8"))
        }
        assert imported == {file.name for file in PAGE.glob("*.js")} - {"chat.js"}
        for name in imported:
            assert client.get(f"/static/{name}").headers["content-type"].startswith("text/javascript")
