"""The reference app as its template deploys it: its functions in processes of their own, its table and its queue."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect

from gatesocket.emulator.dev import bind
from gatesocket.emulator.runtimes import RuntimeFunction
from gatesocket.emulator.server import Application, Server
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.template import load

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
RUNTIMES = 2
PATIENCE = 30  # s: a cold start on a busy machine


async def hear(client: ClientConnection, kind: str) -> Any:
    """Return the data of the next message, which must be of *kind*."""
    message = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
    assert message["type"] == kind, message
    return message["data"]


async def say(client: ClientConnection, text: str) -> None:
    await client.send(json.dumps({"type": "say", "data": {"text": text}}))


async def end_all_processes(stack: Stack) -> None:
    """End every process of the function once all of them are idle."""
    function = stack._functions["WebSocketFunction"]
    assert isinstance(function, RuntimeFunction)
    for _ in range(RUNTIMES):
        await function._turns.acquire()
    await function.aclose()
    for _ in range(RUNTIMES):
        function._turns.release()


async def test_a_chat_goes_on_although_every_process_ends_between_two_messages() -> None:
    template = load(TEMPLATE, region="us-east-1")
    with bind("127.0.0.1", 0) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        async with Stack(template, region="us-east-1", gateway_address=f"http://{address}", runtimes=RUNTIMES) as stack:
            server = Server(Application(stack, with_edge=True))
            serving = asyncio.create_task(server.serve([listening]))
            try:
                await chat(address, stack)
            finally:
                server.end()
                await serving


async def chat(address: str, stack: Stack) -> None:
    async with connect(f"ws://{address}/ws/lobby?name=ann", open_timeout=PATIENCE) as ann:
        assert (await hear(ann, "welcome"))["people"] == ["ann"]
        async with connect(f"ws://{address}/prod?__path=/ws/lobby&name=bob", open_timeout=PATIENCE) as bob:
            assert (await hear(bob, "welcome"))["people"] == ["ann", "bob"]
            assert await hear(ann, "joined") == {"name": "bob"}
            for number, text in enumerate(["one", "two"], start=1):
                await end_all_processes(stack)
                await say(ann, text)
                for client in (ann, bob):
                    assert await hear(client, "said") == {"name": "ann", "text": text, "number": number}
            async with httpx2.AsyncClient(timeout=PATIENCE) as http:
                assert (await http.get(f"http://{address}/connections")).json() == {"connections": 2}
                await http.post(f"http://{address}/announce", json={"text": "closing time"})
            for client in (ann, bob):
                assert await hear(client, "announced") == {"text": "closing time"}
        assert await hear(ann, "left") == {"name": "bob"}
