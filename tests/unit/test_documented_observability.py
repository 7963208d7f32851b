"""What the page on observability shows is run here as it stands there."""

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket

from gatesocket.observation import Observation
from gatesocket.observe.metrics import _UNITS
from gatesocket.observe.tracing import COUNTS, _known, _outcome
from support.lambda_events import connect

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text(encoding="utf-8")


class Statsd:
    def __init__(self) -> None:
        self.timings: list[str] = []

    def timing(self, name: str, milliseconds: float) -> None:
        self.timings.append(name)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the page's Python, and give what it defines."""
    monkeypatch.setenv("GATESOCKET_ENDPOINT", "https://abcd1234.execute-api.eu-west-1.amazonaws.com/prod")
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # Mangum makes one otherwise, and never closes it
    names: dict[str, Any] = {"app": FastAPI(), "statsd": Statsd()}

    @names["app"].websocket("/ws")
    async def chat(websocket: WebSocket) -> None:
        await websocket.close()

    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    yield names
    names["provider"].shutdown()
    names["websocket"]._loop.run(names["websocket"].shutdown())
    names["websocket"]._loop.close()
    asyncio.set_event_loop(None)
    loop.close()


def test_what_it_shows_observes(shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown["websocket"](connect("/ws"), None)["statusCode"] == 403
    written = capsys.readouterr().out
    assert json.loads(written.splitlines()[0])["Refused"] == 1
    assert '"name": "connect /ws"' in written

    shown["observe"](Observation("connect", "c", "r"))
    assert shown["statsd"].timings == ["chat.connect"]
    assert isinstance(shown["logger"].registered_handler.filters[0], shown["ConnectionFields"])
    assert all(callable(shown[name]) for name in ("http", "jobs", "fanout"))
    logging.getLogger("chat").handlers.clear()


def named_in(table: str) -> list[str]:
    """The names in a table's first column."""
    first = "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    return re.findall(r"`([\w.]+)`", first)


def test_it_names_every_metric_and_no_other() -> None:
    table = PAGE.partition("## Metrics")[2].partition("`Opened` less")[0]
    named = {
        name for row in re.findall(r"^\| (`[A-Z].*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(_UNITS)


def test_it_names_every_attribute_and_no_other() -> None:
    table = PAGE.partition("### What a span says")[2].partition("There is no span")[0]
    named = {f"gatesocket{name}" if name.startswith(".") else name for name in named_in(table)}
    told = Observation("connect", "c", "r", "m", status=200, route="/", woken_at="a", waits_at="b", waking=1, running=1)
    said = {*_known(told), *_outcome(told), "error.type"}
    told.event = "message"
    said |= {*_known(told)} | {f"gatesocket.{name}" for name in COUNTS}
    assert named == said
