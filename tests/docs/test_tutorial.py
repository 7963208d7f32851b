"""The tutorial's last part: its template is run as it stands there, with what the pages before it have written."""

import asyncio
import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from gatesocket.commands import application
from gatesocket.emulator.dev import bind
from gatesocket.emulator.server import Application, Server
from gatesocket.emulator.stack import Stack
from gatesocket.emulator.template import load
from support.pages import Shown
from support.served_lives import InTheTest, Life, Uvicorn

PATIENCE = 30  # s: functions start cold on a busy machine


def test_nothing_of_the_tutorial_would_be_lost(show: Callable[..., Shown]) -> None:
    shown = show("docs/tutorial.md")

    report = CliRunner().invoke(application, ["check", "app:app", "--app-dir", str(shown.directory)])

    assert report.exit_code == 0, report.output
    assert "websocket.receive_json()" in report.output


@pytest.mark.parametrize("life", [Uvicorn(), InTheTest()], ids=lambda life: life.name)
def test_work_that_takes_long_is_accepted_and_done(life: Life, show: Callable[..., Shown]) -> None:
    app = show("docs/tutorial.md")["app"]

    with life.serve(app) as client, client.connect("/ws/work") as socket:
        socket.send("100")
        heard = {socket.receive(), socket.receive()}  # in either order

    assert heard == {"accepted", '{"below":100,"primes":25}'}


@pytest.mark.slow
def test_the_template_of_the_tutorial_runs_its_app(show: Callable[..., Shown]) -> None:
    shown = show("docs/tutorial.md")

    asyncio.run(_talk_to(shown))


async def _talk_to(shown: Shown) -> None:
    template = load(shown.directory / "template.yaml", region="us-east-1")
    with bind("127.0.0.1", 0) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        async with Stack(template, region="us-east-1", gateway_address=f"http://{address}", runtimes=1) as stack:
            server = Server(Application(stack, with_edge=True))
            serving = asyncio.create_task(server.serve([listening]))
            try:
                async with connect(f"ws://{address}/ws/rooms/lobby?name=ann", open_timeout=PATIENCE) as ann:
                    await ann.send("hello")
                    for expected in ("Welcome to lobby, ann", "ann: hello"):
                        assert await asyncio.wait_for(ann.recv(), PATIENCE) == expected
                async with connect(f"ws://{address}/ws/work", open_timeout=PATIENCE) as client:
                    await client.send("100")
                    heard = {await asyncio.wait_for(client.recv(), PATIENCE) for _ in range(2)}
                    assert "accepted" in heard
                    assert {"below": 100, "primes": 25} in [json.loads(each) for each in heard - {"accepted"}]
            finally:
                server.end()
                await serving
