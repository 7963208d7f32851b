"""The Python client against a server that authenticates by the first message of each connection."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, WebSocket

from gatesocket.client import Connection
from gatesocket.exceptions import ConnectionEnded
from gatesocket.first_message import FirstMessage
from support.emulated import Emulator
from support.served_lives import PATIENCE, Life, RealClient, Uvicorn


async def name_of(token: str) -> str | None:
    return token.removeprefix("token-of-") if token.startswith("token-of-") else None


app = FastAPI()


@app.websocket("/ws")
async def route(websocket: WebSocket, name: Annotated[str, Depends(FirstMessage(name_of))]) -> None:
    async for text in websocket.iter_text():
        if text == "leave":
            await websocket.close(1001)
        else:
            await websocket.send_json(f"{name}: {text}")


@pytest.mark.parametrize("life", [Uvicorn(), Emulator()], ids=lambda life: life.name)
def test_a_client_that_says_its_token_first_comes_back_until_the_token_is_worthless(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATESOCKET_CLOSE_MESSAGE", "true")  # API Gateway itself tells no code
    tokens = iter(["token-of-ann", "token-of-ann", "token-of-bob", "worthless"])

    def authenticate() -> object:
        return {"type": "authenticate", "data": {"token": next(tokens)}}

    async def talk(address: str) -> None:
        connection = Connection(f"ws://{address}/ws", first=authenticate, random=lambda: 0.0)
        async with asyncio.timeout(PATIENCE), connection:
            for name in ("ann", "ann", "bob"):
                assert (await connection.recv())["type"] == "authenticated"
                await connection.send("hello")
                assert await connection.recv() == f"{name}: hello"
                await connection.send("leave")
            with pytest.raises(ConnectionEnded, match="1008"):
                await connection.recv()

    with life.serve(app) as client:
        assert isinstance(client, RealClient)
        asyncio.run(talk(client.address))
