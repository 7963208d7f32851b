"""Messages that go to the route, and what the route keeps between them."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import WebSocketRoute

from support.served_lives import Closed, Life


def test_text_is_echoed(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            await websocket.send_text(f"Message text was: {text}")

    with life.serve(app) as client, client.connect("/ws") as socket:
        for text in ("hello", "", "größe 🧦", "two\nlines"):
            socket.send(text)
            assert socket.receive() == f"Message text was: {text}"


def test_json_is_echoed(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            data = await websocket.receive_json()
            await websocket.send_json({"got": data})

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send('{"a": [1, null, "é"]}')
        assert socket.receive() == '{"got":{"a":[1,null,"é"]}}'


def test_iter_text_ends_with_the_connection(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def shout(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text.upper())

    with life.serve(app) as client, client.connect("/ws") as socket:
        for text in ("one", "two"):
            socket.send(text)
            assert socket.receive() == text.upper()


def test_iter_json_gives_one_value_a_message(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def add(websocket: WebSocket) -> None:
        await websocket.accept()
        total = 0
        async for number in websocket.iter_json():
            total += number
            await websocket.send_json(total)

    with life.serve(app) as client, client.connect("/ws") as socket:
        for number, total in ((1, "1"), (20, "21"), (300, "321")):
            socket.send(str(number))
            assert socket.receive() == total


def test_receive_gives_the_asgi_message(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def raw(websocket: WebSocket) -> None:
        await websocket.accept()
        message = await websocket.receive()
        await websocket.send_json([message["type"], message.get("text")])

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("hello")
        assert socket.receive() == '["websocket.receive","hello"]'


def test_several_receives_in_a_row_take_several_messages(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def introduce(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("first name?")
        first = await websocket.receive_text()
        await websocket.send_text("last name?")
        last = await websocket.receive_text()
        await websocket.send_text(f"welcome, {first} {last}")

    with life.serve(app) as client, client.connect("/ws") as socket:
        assert socket.receive() == "first name?"
        socket.send("Ada")
        assert socket.receive() == "last name?"
        socket.send("Lovelace")
        assert socket.receive() == "welcome, Ada Lovelace"


def test_messages_sent_at_once_arrive_in_order(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def count(websocket: WebSocket) -> None:
        await websocket.accept()
        seen: list[str] = []
        while len(seen) < 5:
            seen.append(await websocket.receive_text())
        await websocket.send_text("".join(seen))

    with life.serve(app) as client, client.connect("/ws") as socket:
        for letter in "abcde":
            socket.send(letter)
        assert socket.receive() == "abcde"


def test_locals_are_kept_from_message_to_message(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws/{who}")
    async def remember(websocket: WebSocket, who: str) -> None:
        await websocket.accept()
        count = 0
        history: list[str] = []
        by_length: dict[int, set[str]] = {}
        while True:
            text = await websocket.receive_text()
            count += 1
            history.append(text)
            by_length.setdefault(len(text), set()).add(text)
            await websocket.send_json([who, count, history, sorted(by_length[len(text)])])

    with life.serve(app) as client, client.connect("/ws/ann") as socket:
        socket.send("one")
        assert socket.receive() == '["ann",1,["one"],["one"]]'
        socket.send("two")
        assert socket.receive() == '["ann",2,["one","two"],["one","two"]]'


def test_two_connections_keep_their_locals_apart(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def count(websocket: WebSocket) -> None:
        await websocket.accept()
        number = 0
        while True:
            number += int(await websocket.receive_text())
            await websocket.send_text(str(number))

    with life.serve(app) as client, client.connect("/ws") as one, client.connect("/ws") as other:
        one.send("1")
        other.send("10")
        one.send("2")
        other.send("20")
        assert [one.receive(), one.receive()] == ["1", "3"]
        assert [other.receive(), other.receive()] == ["10", "30"]


def test_a_receive_may_stand_in_a_for_loop_and_under_an_if(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def quiz(websocket: WebSocket) -> None:
        await websocket.accept()
        right = 0
        for number, (question, answer) in enumerate([("1+1", "2"), ("2*3", "6")], start=1):
            await websocket.send_text(f"{number}: {question}")
            if await websocket.receive_text() == answer:
                right += 1
            else:
                await websocket.send_text("why?")
                reason = await websocket.receive_text()
                await websocket.send_text(f"because {reason}")
        await websocket.send_text(f"{right} right")

    with life.serve(app) as client, client.connect("/ws") as socket:
        assert socket.receive() == "1: 1+1"
        socket.send("3")
        assert socket.receive() == "why?"
        socket.send("I can't count")
        assert socket.receive() == "because I can't count"
        assert socket.receive() == "2: 2*3"
        socket.send("6")
        assert socket.receive() == "1 right"


def test_an_error_reply_doesn_t_end_the_conversation(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def strict(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            try:
                number = int(await websocket.receive_text())
            except ValueError:
                await websocket.send_json({"error": "not a number"})
                continue
            await websocket.send_json({"twice": number * 2})

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("seven")
        assert socket.receive() == '{"error":"not a number"}'
        socket.send("7")
        assert socket.receive() == '{"twice":14}'


def test_malformed_json_ends_a_route_that_does_not_expect_it(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def trusting(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json(await websocket.receive_json())

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("{")
        with pytest.raises(Closed):
            socket.receive()


def test_a_receive_may_stand_in_a_helper(life: Life) -> None:
    app = FastAPI()

    async def ask(websocket: WebSocket, question: str) -> str:
        await websocket.send_text(question)
        return await websocket.receive_text()

    @app.websocket("/ws")
    async def introduce(websocket: WebSocket) -> None:
        await websocket.accept()
        name = await ask(websocket, "name?")
        age = int(await ask(websocket, "age?"))
        await websocket.send_text(f"{name} is {age}")

    with life.serve(app) as client, client.connect("/ws") as socket:
        assert socket.receive() == "name?"
        socket.send("Ada")
        assert socket.receive() == "age?"
        socket.send("36")
        assert socket.receive() == "Ada is 36"


def test_dependencies_are_there_with_every_message(life: Life) -> None:
    app = FastAPI()

    async def language(lang: Annotated[str, Query()] = "en") -> str:
        return {"de": "hallo", "en": "hello"}[lang]

    @app.websocket("/ws")
    async def greet(websocket: WebSocket, greeting: Annotated[str, Depends(language)]) -> None:
        await websocket.accept()
        while True:
            name = await websocket.receive_text()
            await websocket.send_text(f"{greeting} {name}")

    with life.serve(app) as client, client.connect("/ws?lang=de") as socket:
        for name in ("Ann", "Bob"):
            socket.send(name)
            assert socket.receive() == f"hallo {name}"


def test_a_websocket_endpoint_class_is_a_route_too(life: Life) -> None:
    class Echo(WebSocketEndpoint):
        encoding = "text"

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text("welcome")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(f"got {data}")

    app = Starlette(routes=[WebSocketRoute("/ws", Echo)])
    with life.serve(app) as client, client.connect("/ws") as socket:
        assert socket.receive() == "welcome"
        for text in ("a", "b"):
            socket.send(text)
            assert socket.receive() == f"got {text}"


@pytest.mark.differs("test-client", "emulator", reason="API Gateway closes a connection that sends bytes with 1003")
def test_bytes_are_echoed(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_bytes(await websocket.receive_bytes())

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send(b"\x00\xff")
        assert socket.receive() == b"\x00\xff"


@pytest.mark.parametrize(
    "size",
    [
        32 * 1024,
        pytest.param(
            100_000,
            marks=pytest.mark.differs(
                "test-client",
                "emulator",
                reason="API Gateway closes a connection that sends a frame over 32 KB with 1009",
            ),
        ),
    ],
)
def test_a_large_message_reaches_the_route(life: Life, size: int) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def measure(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(len(await websocket.receive_text())))

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("x" * size)
        assert socket.receive() == str(size)


@pytest.mark.parametrize(
    "size",
    [
        128 * 1024,
        pytest.param(
            128 * 1024 + 1,
            marks=pytest.mark.differs(
                "test-client", "emulator", reason="API Gateway carries at most 128 KB to a client"
            ),
        ),
    ],
)
def test_a_large_message_reaches_the_client(life: Life, size: int) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text("x" * size)

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("go")
        assert socket.receive() == "x" * size
