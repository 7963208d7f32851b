"""The examples: as ``gatesocket init`` would write them today, and run by the local stack as it runs any template."""

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect

from gatesocket.scaffold.addresses import addresses_of, tried
from gatesocket.scaffold.needs import needs_of
from gatesocket.scaffold.project import locate
from support.stack import deployed

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("assistant", "dashboard")
PATIENCE = 30  # s: a cold start on a busy machine


def test_all_of_them_are_held_to_this() -> None:
    assert tuple(sorted(path.parent.name for path in EXAMPLES.glob("*/template.yaml"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_what_init_writes_today(name: str) -> None:
    """After a change of what it writes: ``gatesocket init NAME.app:app --force`` in the example's directory."""
    module = importlib.import_module(f"{name}.app")
    project = locate(f"{name}.app:app", module, EXAMPLES / name, None)
    assert project.root == EXAMPLES / name
    addresses = tried(module.app, addresses_of(module.app), project.root)
    files = project.files(needs_of(module.app, module, project.root), addresses)
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, path
    assert EXAMPLES / name / "pytest.ini" in files


async def hear(client: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(client.recv(), PATIENCE))


async def say(client: ClientConnection, kind: str, **data: Any) -> None:
    await client.send(json.dumps({"type": kind, "id": kind, "data": data}))


async def test_the_local_stack_runs_what_init_writes() -> None:
    async with (
        deployed(EXAMPLES / "dashboard/template.yaml") as (_, address),
        connect(f"ws://{address}/ws/live", open_timeout=PATIENCE, proxy=None) as client,
    ):
        assert (await hear(client))["type"] == "welcome"
        await say(client, "subscribe", series="oven")
        assert await hear(client) == {"type": "subscribed", "id": "subscribe", "data": {"series": "oven", "points": []}}
        async with httpx2.AsyncClient(timeout=PATIENCE) as http:
            assert "<title>Live dashboard</title>" in (await http.get(f"http://{address}/")).text


@pytest.mark.slow
async def test_the_dashboard_measures_and_ticks_in_processes_of_its_own() -> None:
    async with (
        deployed(EXAMPLES / "dashboard/template.yaml", runtimes=1) as (_, address),
        connect(f"ws://{address}/ws/live", open_timeout=PATIENCE, proxy=None) as client,
    ):
        assert (await hear(client))["type"] == "welcome"
        await say(client, "subscribe", series="oven")
        assert (await hear(client))["type"] == "subscribed"
        async with httpx2.AsyncClient(timeout=PATIENCE) as http:
            sent = await http.post(f"http://{address}/measurements", json={"series": "oven", "value": 180})
        assert sent.json() == {"sent": 1, "queued": 0, "failed": 0}
        measured = await hear(client)
        assert (measured["type"], measured["data"]["value"]) == ("measured", 180)

        await say(client, "subscribe", series="load")
        subscribed = await hear(client)
        latest = subscribed["data"]["points"][-1]["at"]
        for _ in range(2):
            measured = await hear(client)
            assert (measured["type"], measured["data"]["series"]) == ("measured", "load")
            assert measured["data"]["at"] > latest
            latest = measured["data"]["at"]


@pytest.mark.slow
async def test_the_assistant_answers_in_processes_of_its_own_and_is_stopped() -> None:
    async with (
        deployed(EXAMPLES / "assistant/template.yaml", runtimes=1) as (_, address),
        connect(f"ws://{address}/ws/assistant", open_timeout=PATIENCE, proxy=None) as client,
    ):
        assert (await hear(client))["type"] == "welcome"
        await say(client, "ask", text="What do timers do?")
        said = ""
        while (message := await hear(client))["type"] == "said":
            said += message["data"]["text"]
        assert (message["type"], message["data"]) == ("answered", {"stopped": False})
        assert said.startswith("Timers ")
        assert len(said.split()) >= 60
        await say(client, "ask", text="And then?")
        assert (await hear(client))["type"] == "said"
        await say(client, "stop")
        pieces = 1
        while (message := await hear(client))["type"] == "said":
            pieces += 1
        assert (message["type"], message["data"]) == ("answered", {"stopped": True})
        assert pieces < 60
