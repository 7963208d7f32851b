"""The fixtures, in test files as a user writes them."""

import pytest

# Each run of pytester forgets the modules that it was the first to import: the next one would have them twice.
import gatesocket.testing  # noqa: F401

pytest_plugins = ["pytester"]

APP = """
import pytest
from contextlib import asynccontextmanager
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from gatesocket import ConnectionManager

manager = ConnectionManager()
told = []

@asynccontextmanager
async def lifespan(app):
    told.append("start")
    yield
    told.append("stop")

app = FastAPI(lifespan=lifespan)

@app.websocket("/ws/{name}")
async def chat(websocket: WebSocket, name: str):
    await manager.connect(websocket, user=name)
    try:
        while True:
            await manager.broadcast(f"{name}: {await websocket.receive_text()}")
    except WebSocketDisconnect:
        manager.disconnect(websocket)
"""


def test_gateway_client_makes_clients_whose_lifespan_is_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        APP
        + """
def test_chat(gateway_client):
    client = gateway_client(app)
    assert told == ["start"]
    with client.websocket_connect("/ws/ann") as ann:
        ann.send_text("hi")
        assert ann.receive_text() == "ann: hi"

def test_the_lifespan_has_ended_with_its_test():
    assert told == ["start", "stop"]

def test_options_are_the_client_s(gateway_client):
    assert str(gateway_client(app, base_url="http://chat.example").base_url) == "http://chat.example"
"""
    )
    pytester.runpytest().assert_outcomes(passed=3)


def test_the_clients_of_a_test_share_its_registry(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        APP
        + """
def test_it_knows_who_is_there(gateway_client, gatesocket_registry):
    client = gateway_client(app)
    with client.websocket_connect("/ws/ann") as ann:
        record = client.portal.call(lambda: gatesocket_registry.get(ann.connection_id, now=0))
        assert record.user == "ann"
        assert client.portal.call(lambda: gatesocket_registry.count("*", now=0)) == 1

def test_and_is_empty_in_the_next(gateway_client, gatesocket_registry):
    client = gateway_client(app)
    assert client.portal.call(lambda: gatesocket_registry.count("*", now=0)) == 0
"""
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_the_clock_is_that_of_all_clients_of_a_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import asyncio
from fastapi import FastAPI, WebSocket

app = FastAPI()

@app.websocket("/remind")
async def remind(websocket: WebSocket):
    await websocket.accept()
    await asyncio.sleep(3600)
    await websocket.send_text("an hour has passed")

def test_it(gateway_client, gatesocket_clock):
    with (
        gateway_client(app).websocket_connect("/remind") as ann,
        gateway_client(app).websocket_connect("/remind") as bob,
    ):
        gatesocket_clock.advance(3600)
        assert [ann.receive_text(), bob.receive_text()] == ["an hour has passed"] * 2
"""
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_fake_gateway_remembers_what_was_sent(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
import asyncio

def test_it(fake_gateway):
    fake_gateway.open("TXzPWdnOjoECGjA=")
    asyncio.run(fake_gateway.post("TXzPWdnOjoECGjA=", "hello"))
    assert fake_gateway.sent["TXzPWdnOjoECGjA="] == ["hello"]
"""
    )
    pytester.runpytest().assert_outcomes(passed=1)
