"""The reference app in trouble: whatever the platform may do to it, nobody misses a line or hears one twice."""

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from gatesocket.emulator.chaos import Fault
from support.servers import Server

LINES = 12
PATIENCE = 30  # s: for one message, on a busy machine


async def hear(client: ClientConnection, heard: list[Any], *, until: Any) -> None:
    """Collect what is said, up to and including *until*."""
    async with asyncio.timeout(PATIENCE):
        while until not in heard:
            message = json.loads(await client.recv())
            if message["type"] == "said":
                heard.append((message["data"]["name"], message["data"]["text"]))


async def talk(client: ClientConnection, name: str, heard: list[Any]) -> None:
    """Say one line after the other, each when the one before was heard."""
    for number in range(LINES):
        await client.send(json.dumps({"type": "say", "data": {"text": f"line {number}"}}))
        await hear(client, heard, until=(name, f"line {number}"))


@pytest.mark.parametrize("seed", ["1", pytest.param("2", marks=pytest.mark.slow)])
async def test_a_chat_survives_what_the_platform_may_do(seed: str) -> None:
    server = Server("gateway", "--chaos", "--seed", seed)
    await asyncio.to_thread(server.start)
    try:
        await chat(server.url.replace("http", "ws"))
    finally:
        await asyncio.to_thread(server.stop)
    output = "".join(server.output)
    assert f"With trouble: --chaos --seed {seed}." in output
    # Not all kinds come in so short a chat; those that may come with every message do.
    for faults in ([Fault.OVERTAKEN], [Fault.THROTTLED, Fault.BROKEN]):
        assert any(f"chaos: {fault}: " in output for fault in faults), output
    assert "Traceback" not in output


async def chat(url: str) -> None:
    names = ("ann", "bob")
    heard: dict[str, list[Any]] = {name: [] for name in names}
    # One after the other, so that both are there from the first line on.
    async with (
        connect(f"{url}/ws/lobby?name=ann", open_timeout=PATIENCE) as ann,
        connect(f"{url}/ws/lobby?name=bob", open_timeout=PATIENCE) as bob,
    ):
        clients = {"ann": ann, "bob": bob}
        await asyncio.gather(*(talk(clients[name], name, heard[name]) for name in names))
        for name in names:
            for other in names:
                await hear(clients[name], heard[name], until=(other, f"line {LINES - 1}"))
    for name in names:
        for other in names:
            lines = [text for who, text in heard[name] if who == other]
            assert lines == [f"line {number}" for number in range(LINES)], f"what {name} heard of {other}"
