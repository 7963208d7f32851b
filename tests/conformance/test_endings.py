"""How connections end, and what the route gets to do about it."""

from queue import SimpleQueue

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException

from support.served_lives import PATIENCE, Closed, Life

CODE_LOST = "the Management API can only end a connection: the client sees 1000 whatever the app's code is"


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "tab closed"), (4001, "my own")])
def test_the_route_sees_the_client_s_code_and_reason(life: Life, code: int, reason: str) -> None:
    app = FastAPI()
    endings: SimpleQueue[tuple[int, str]] = SimpleQueue()

    @app.websocket("/ws")
    async def watch(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect as left:
            endings.put((left.code, left.reason))

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.close(code, reason)
        assert endings.get(timeout=PATIENCE) == (code, reason)


def test_except_and_finally_run_once_in_order_and_only_at_the_end(life: Life) -> None:
    app = FastAPI()
    told: SimpleQueue[str] = SimpleQueue()

    @app.websocket("/ws")
    async def careful(websocket: WebSocket) -> None:
        await websocket.accept()
        told.put("accepted")
        try:
            try:
                while True:
                    told.put(await websocket.receive_text())
                    await websocket.send_text("noted")
            finally:
                told.put("inner finally")
        except WebSocketDisconnect:
            told.put("except")
        finally:
            told.put("outer finally")
        told.put("after")

    with life.serve(app) as client, client.connect("/ws") as socket:
        for text in ("one", "two"):
            socket.send(text)
            assert socket.receive() == "noted"
        socket.close()
        seen = [told.get(timeout=PATIENCE) for _ in range(7)]
    assert seen == ["accepted", "one", "two", "inner finally", "except", "outer finally", "after"]
    assert told.empty()


def test_after_a_disconnect_receive_says_so_too(life: Life) -> None:
    app = FastAPI()
    types: SimpleQueue[str] = SimpleQueue()

    @app.websocket("/ws")
    async def raw(websocket: WebSocket) -> None:
        await websocket.accept()
        types.put((await websocket.receive())["type"])

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.close()
        assert types.get(timeout=PATIENCE) == "websocket.disconnect"


def test_a_route_that_returns_ends_its_connection(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def brief(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("bye")
        assert socket.receive() == "bye"
        with pytest.raises(Closed):
            socket.receive()


def test_a_close_comes_after_what_was_sent_before(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def goodbye(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        await websocket.send_text("one")
        await websocket.send_text("two")
        await websocket.close()

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("go")
        assert [socket.receive(), socket.receive()] == ["one", "two"]
        with pytest.raises(Closed) as closed:
            socket.receive()
    assert closed.value.code == 1000


@pytest.mark.differs("test-client", "emulator", reason=CODE_LOST)
@pytest.mark.parametrize("ending", ["close", "exception"])
def test_the_client_sees_the_app_s_close_code(life: Life, ending: str) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def goodbye(websocket: WebSocket) -> None:
        await websocket.accept()
        if await websocket.receive_text() == "close":
            await websocket.close(4000, "enough")
        raise WebSocketException(4000, "enough")

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send(ending)
        with pytest.raises(Closed) as closed:
            socket.receive()
    assert closed.value.code == 4000


def test_an_exception_in_the_route_ends_the_connection_after_its_finally(life: Life) -> None:
    app = FastAPI()
    told: SimpleQueue[str] = SimpleQueue()

    @app.websocket("/ws")
    async def broken(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(str(1 / int(await websocket.receive_text())))
        finally:
            told.put("finally")

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("2")
        assert socket.receive() == "0.5"
        assert told.empty()
        socket.send("0")
        with pytest.raises(Closed):
            socket.receive()
        assert told.get(timeout=PATIENCE) == "finally"


def test_one_route_s_error_is_no_matter_to_another_connection(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def fragile(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text(str(1 / int(await websocket.receive_text())))

    with life.serve(app) as client, client.connect("/ws") as one, client.connect("/ws") as other:
        one.send("0")
        with pytest.raises(Closed):
            one.receive()
        other.send("4")
        assert other.receive() == "0.25"


@pytest.mark.parametrize("sends", ["before its first receive", "in answer to a message"])
def test_sends_arrive_in_order(life: Life, sends: str) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def list_all(websocket: WebSocket) -> None:
        await websocket.accept()
        if sends == "in answer to a message":
            await websocket.receive_text()
        for number in range(10):
            await websocket.send_text(str(number))
        await websocket.send_text(f"then {await websocket.receive_text()}")

    with life.serve(app) as client, client.connect("/ws") as socket:
        if sends == "in answer to a message":
            socket.send("go")
        assert [socket.receive() for _ in range(10)] == [str(number) for number in range(10)]
        socket.send("more")
        assert socket.receive() == "then more"


def test_a_message_that_comes_at_once_does_not_overtake_what_the_route_sent_first(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("welcome")
        await websocket.send_text("please wait")
        await websocket.send_text(f"you said {await websocket.receive_text()}")

    with life.serve(app) as client, client.connect("/ws") as socket:
        socket.send("hi")
        assert [socket.receive() for _ in range(3)] == ["welcome", "please wait", "you said hi"]


def test_a_route_may_send_and_end_without_a_receive(life: Life) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def bulletin(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("the news")
        await websocket.close()

    with life.serve(app) as client, client.connect("/ws") as socket:
        assert socket.receive() == "the news"
        with pytest.raises(Closed):
            socket.receive()
