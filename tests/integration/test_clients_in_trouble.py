"""Both clients against the reference app, with an API Gateway that makes trouble on purpose, and with uvicorn.

The clients take over from themselves every half second here, as they do before API Gateway's two hours are over.
tests/browser/test_client_in_trouble.py has the browser's.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from gatesocket.client import Connection, State
from support.served_lives import PATIENCE
from support.servers import Server

LINES = 12
HAND_OVER = 0.5  # s
SCRIPT = Path(__file__).parents[1] / "javascript" / "two_chatters.js"

LIVES = {
    "gateway with chaos": ("gateway", "--chaos", "--seed", "1"),
    "uvicorn": ("uvicorn",),
}


@pytest.fixture(scope="module", params=["gateway with chaos", pytest.param("uvicorn", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with Server(*LIVES[request.param]) as server:
        yield server.url.replace("http", "ws")


def key(message: Any) -> str | None:
    return json.dumps(message["data"]) if message["type"] == "said" else None


def chatter(url: str, room: str, name: str, states: list[State]) -> Connection:
    return Connection(
        f"{url}/ws/{room}?name={name}",
        ping={"type": "ping"},
        silence=0.5,
        hand_over_after=HAND_OVER,
        hand_over_spread=0,
        overlap=0.3,
        ready=lambda message: message["type"] == "welcome",
        key=key,
        on_state=states.append,
        connect=partial(connect, open_timeout=3 * PATIENCE, proxy=None),
    )


async def hear(connection: Connection, kind: str, until: Any = None) -> list[Any]:
    """Receive until the message of that kind, or that very one; return the texts that were said on the way."""
    said = []
    async with asyncio.timeout(3 * PATIENCE):
        async for message in connection:
            if message["type"] == "said":
                said.append(message["data"]["text"])
            if message["type"] == kind and (until is None or said[-1] == until):
                return said
    raise AssertionError("the connection has ended")


async def test_every_line_is_received_once_and_in_order_through_several_sockets(url: str) -> None:
    states: list[State] = []
    lines = [f"line {number:02}" for number in range(LINES)]
    heard: list[list[str]] = [[], []]
    async with chatter(url, "python", "ann", states) as ann, chatter(url, "python", "bob", states) as bob:
        for connection in (ann, bob):
            await hear(connection, "welcome")
        for number, line in enumerate(lines):
            await (ann, bob)[number % 2].send({"type": "say", "data": {"text": line}})
            for connection, texts in zip((ann, bob), heard, strict=True):
                texts.extend(await hear(connection, "said", line))
            await asyncio.sleep(4 * HAND_OVER / LINES)  # so that there are hand-overs, which is what takes time here
    assert heard == [lines, lines]
    assert [state.name for state in states].count("open") == 2  # nobody has noticed any
    sockets = [connection._machine._dialled for connection in (ann, bob)]
    assert min(sockets) > 1, sockets


def test_the_same_in_node(url: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node isn't installed to run what browsers run")
    command = (node, "--no-warnings", "--experimental-websocket")
    if subprocess.run((*command, "-e", "WebSocket"), capture_output=True, timeout=30, check=False).returncode:
        pytest.skip("this node has no WebSocket; the one of version 20.10 is the first")
    arguments = (*command, SCRIPT, url, str(LINES))
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    lines = [f"line {number:02}" for number in range(LINES)]
    assert told["heard"] == [lines, lines]
    assert told["opened"] == 2
    assert min(told["sockets"]) > 1
