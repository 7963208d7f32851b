"""Who is let in, and what the route knows of them."""

from typing import Annotated

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, Response, WebSocket, WebSocketException, status

from support.served_lives import Closed, Life, Refused


def test_path_query_header_and_cookie_are_known_with_every_message(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/items/{item}/ws")
    async def describe(
        websocket: WebSocket,
        item: int,
        x_colour: Annotated[str, Header()],
        session: Annotated[str, Cookie()],
        q: str | None = None,
    ) -> None:
        await websocket.accept()
        while True:
            await websocket.receive_text()
            await websocket.send_json([item, q, x_colour, session])
            await websocket.send_json([websocket.url.path, websocket.path_params, websocket.query_params["q"]])
            await websocket.send_json([websocket.headers["x-colour"], websocket.cookies])

    headers = {"X-Colour": "blue", "Cookie": "session=s1"}
    with life.serve(app) as client, client.connect("/items/7/ws?q=a%20b", headers=headers) as socket:
        for _ in range(2):
            socket.send("?")
            assert socket.receive() == '[7,"a b","blue","s1"]'
            assert socket.receive() == '["/items/7/ws",{"item":"7"},"a b"]'
            assert socket.receive() == '["blue",{"session":"s1"}]'


def test_a_path_keeps_its_characters(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/rooms/{room}")
    async def name(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        await websocket.send_text(room)

    with life.serve(app) as client, client.connect("/rooms/caf%C3%A9%20%26%20bar") as socket:
        assert socket.receive() == "café & bar"


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ("tag=a&tag=b%26c&x=", '[["tag","a"],["tag","b&c"],["x",""]]'),
        pytest.param(
            "tag=a&x=&tag=b",
            '[["tag","a"],["x",""],["tag","b"]]',
            marks=pytest.mark.differs(
                "test-client", "emulator", reason="an event has parameters by name: the values of one keep their order"
            ),
        ),
    ],
)
def test_a_query_keeps_its_repetitions_and_empty_values(life: Life, query: str, items: str) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def tags(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(websocket.query_params.multi_items())

    with life.serve(app) as client, client.connect(f"/ws?{query}") as socket:
        assert socket.receive() == items


def test_a_path_without_a_route_is_refused_with_403(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def never(websocket: WebSocket) -> None:
        raise AssertionError("nobody asked for this route")

    with life.serve(app) as client, pytest.raises(Refused) as refused, client.connect("/elsewhere"):
        pass
    assert refused.value.status == 403


def test_a_parameter_that_does_not_fit_is_refused_with_403(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws/{number}")
    async def never(websocket: WebSocket, number: int) -> None:
        raise AssertionError("the path is no number")

    with life.serve(app) as client, pytest.raises(Refused) as refused, client.connect("/ws/seven"):
        pass
    assert refused.value.status == 403


def test_a_close_with_1008_before_the_accept_is_403_on_the_wire(life: Life) -> None:
    """The close code has no place in an HTTP response, whatever serves the app."""
    app = FastAPI()

    @app.websocket("/ws")
    async def guarded(websocket: WebSocket, token: str | None = None) -> None:
        if token != "secret":
            await websocket.close(code=status.WS_1008_POLICY_VIOLATION)
            return
        await websocket.accept()
        await websocket.send_text("come in")

    with life.serve(app) as client:
        for url in ("/ws", "/ws?token=wrong"):
            with pytest.raises(Refused) as refused, client.connect(url):
                pass
            assert refused.value.status == 403
        with client.connect("/ws?token=secret") as socket:
            assert socket.receive() == "come in"


def test_a_dependency_that_raises_refuses_with_403(life: Life) -> None:
    app = FastAPI()

    async def user(token: str = "") -> str:
        if token != "secret":
            raise WebSocketException(code=status.WS_1008_POLICY_VIOLATION)
        return "ann"

    @app.websocket("/ws")
    async def guarded(websocket: WebSocket, name: Annotated[str, Depends(user)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"hello {name}")

    with life.serve(app) as client:
        with pytest.raises(Refused) as refused, client.connect("/ws?token=wrong"):
            pass
        assert refused.value.status == 403
        with client.connect("/ws?token=secret") as socket:
            assert socket.receive() == "hello ann"


@pytest.mark.differs(
    "test-client",
    "emulator",
    reason="a route that accepts and closes without a word refuses the handshake: no connection for the unauthorised",
)
def test_a_close_with_1008_after_the_accept_opens_the_connection_first(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def guarded(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION)

    with life.serve(app) as client, client.connect("/ws") as socket, pytest.raises(Closed) as closed:
        socket.receive()
    assert closed.value.code == 1008


def test_a_deployment_may_open_the_connection_first_as_well(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sees a connection that closes, though with no other code than 1000 of API Gateway."""
    monkeypatch.setenv("GATESOCKET_ACCEPT_THEN_CLOSE", "open")
    app = FastAPI()

    @app.websocket("/ws")
    async def guarded(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="chat")
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION)

    with life.serve(app) as client, client.connect("/ws", subprotocols=["chat"]) as socket:
        assert socket.subprotocol == "chat"
        with pytest.raises(Closed):
            socket.receive()


def test_either_way_nobody_unauthorised_is_served(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def guarded(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(code=status.WS_1008_POLICY_VIOLATION)

    with life.serve(app) as client, pytest.raises((Refused, Closed)), client.connect("/ws") as socket:
        socket.receive()


def test_a_first_message_may_carry_the_token(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def guarded(websocket: WebSocket) -> None:
        await websocket.accept()
        login = await websocket.receive_json()
        if login.get("token") != "secret":
            await websocket.close(code=status.WS_1008_POLICY_VIOLATION)
            return
        await websocket.send_text("come in")
        while True:
            await websocket.send_text(f"{login['user']}: {await websocket.receive_text()}")

    with life.serve(app) as client:
        with client.connect("/ws") as socket:
            socket.send('{"token": "wrong"}')
            with pytest.raises(Closed):
                socket.receive()
        with client.connect("/ws") as socket:
            socket.send('{"token": "secret", "user": "ann"}')
            assert socket.receive() == "come in"
            socket.send("hello")
            assert socket.receive() == "ann: hello"


def test_the_app_chooses_the_subprotocol(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def negotiate(websocket: WebSocket) -> None:
        assert websocket.scope["subprotocols"] == ["chat.v1", "chat.v2"]
        await websocket.accept(subprotocol="chat.v2")
        await websocket.send_text(await websocket.receive_text())

    with life.serve(app) as client, client.connect("/ws", subprotocols=["chat.v1", "chat.v2"]) as socket:
        assert socket.subprotocol == "chat.v2"
        socket.send("hello")
        assert socket.receive() == "hello"


def test_the_app_may_choose_no_subprotocol(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def indifferent(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")

    with life.serve(app) as client, client.connect("/ws") as socket:
        assert socket.subprotocol is None
        assert socket.receive() == "hello"


def test_a_denial_response_keeps_its_status_and_body(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def closed(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response("come back at nine", status_code=503))

    with life.serve(app) as client, pytest.raises(Refused) as refused, client.connect("/ws"):
        pass
    assert (refused.value.status, refused.value.body) == (503, "come back at nine")


def test_an_error_before_the_accept_is_500(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def broken(websocket: WebSocket) -> None:
        raise RuntimeError("a secret that no client may see")

    with life.serve(app) as client, pytest.raises(Refused) as refused, client.connect("/ws"):
        pass
    assert refused.value.status == 500
    assert "secret" not in refused.value.body
