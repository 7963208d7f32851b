"""What the README shows is run here as it stands there."""

import asyncio
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager
from gatesocket.testing import GatewayTestClient

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def block(containing: str) -> str:
    """Return the one Python block of the README that contains a text."""
    [found] = [text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if containing in text]
    return str(found)


def test_the_chat_counts_as_the_test_beside_it_says(tmp_path: Path) -> None:
    # In a file, because a route hibernates by its source.
    route = tmp_path / "route.py"
    route.write_text(block("hibernates here, wakes here"), encoding="utf-8")
    names: dict[str, Any] = {
        "app": FastAPI(),
        "manager": ConnectionManager(),
        "WebSocket": WebSocket,
        "WebSocketDisconnect": WebSocketDisconnect,
        "__name__": "route",
    }
    exec(compile(route.read_text(encoding="utf-8"), str(route), "exec"), names)
    exec(block("GatewayTestClient"), names)

    names["test_the_chat_counts"]()


def test_the_entry_points_are_those_of_the_reference_app() -> None:
    shown = block("# handlers/chat/entry.py")
    deployed = (Path(__file__).parents[2] / "handlers" / "chat" / "entry.py").read_text(encoding="utf-8")

    for line in shown.splitlines()[1:]:
        assert line.split("  #")[0] in deployed


def test_every_command_is_one_that_make_and_the_command_line_know() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")

    for target in re.findall(r"`?make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_timers_of_the_documentation_tick_and_beat(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "timers.md").read_text(encoding="utf-8")
    routes, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = tmp_path / "timers.py"
    module.write_text(routes, encoding="utf-8")
    names: dict[str, Any] = {
        "app": FastAPI(),
        "asyncio": asyncio,
        "GatewayTestClient": GatewayTestClient,
        "WebSocket": WebSocket,
        "__name__": "timers",
    }
    exec(compile(routes, str(module), "exec"), names)
    exec(test, names)

    names["test_a_tick_comes_every_five_seconds"]()
