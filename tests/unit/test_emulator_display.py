"""The screen as it is drawn, by rich's recording console."""

import io
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gatesocket.emulator.activity import Answered, Arrived, Place, Printed, Received, Reported, Waits
from gatesocket.emulator.answers import Failed, Returned
from gatesocket.emulator.display import Display, draw
from gatesocket.emulator.effects import Accept, SendText
from gatesocket.emulator.report import Report
from gatesocket.emulator.screen import Screen

ADDRESSES = [("page", "http://127.0.0.1:8000/"), ("WebSocket", "ws://127.0.0.1:8000/<path of the route>")]
HERE = Place("app:chat", str(Path.cwd() / "handlers" / "app.py"), 24, ("count", "room"))


def drawn(screen: Screen, *, height: int = 24, now: int = 0) -> str:
    console = Console(file=io.StringIO(), width=140, height=height, record=True)
    console.print(draw(screen.rows(), ADDRESSES, height=height, now=now))
    return console.export_text()


def line_with(text: str, drawing: str) -> str:
    (line,) = (line for line in drawing.splitlines() if text in line)
    return " ".join(line.split())


def test_an_empty_stack_shows_its_addresses() -> None:
    drawing = drawn(Screen())
    assert "http://127.0.0.1:8000/" in drawing
    assert "ws://127.0.0.1:8000/<path of the route>" in drawing
    assert "0 connections" in drawing
    assert "0 errors" in drawing


def test_a_connection_shows_its_age_its_counts_and_where_it_waits() -> None:
    screen = Screen()
    screen.tell(Arrived("TXzPWdnOjoECGjA=", "name=ann"), now=0)
    assert "its handshake isn't over" in drawn(screen)
    screen.tell(Accept("TXzPWdnOjoECGjA=", None), now=0)
    screen.tell(SendText("TXzPWdnOjoECGjA=", "hello"), now=0)
    elsewhere = replace(HERE, file="/elsewhere/lib.py")
    screen.tell(Waits("TXzPWdnOjoECGjA=", (HERE, elsewhere, replace(HERE, file=None))), now=0)
    line = line_with("app.py", drawn(screen, now=65_000))
    assert "TXzPWdnOjoECGjA= ?name=ann 1:05 0 1 handlers/app.py:24 (count, room) > /elsewhere/lib.py:24" in line
    assert " 2:00:05 " in line_with("app.py", drawn(screen, now=7_205_000))


def test_frames_and_invocations_stand_beside_one_another() -> None:
    screen = Screen()
    screen.tell(Received("TXzPWdnOjoECGjA=", "two\nlines [bold]"), now=0)
    screen.tell(Reported("Chat", Report("r1", 11.0, 256, 71)), now=0)
    screen.tell(Answered("Chat", "r1", "TXzP $default", 12.4, Returned({"statusCode": 200}), None), now=0)
    screen.tell(Answered("Chat", "r2", "TXzP $connect", 9.0, Failed("ValueError", "boom"), None), now=0)
    drawing = drawn(screen)
    # What clients send is never taken for rich's own markup.
    assert "TXzPWd > two lines [bold]" in drawing
    assert "Chat TXzP $default 12 71 200" in line_with("$default", drawing)
    assert "Chat TXzP $connect 9 ValueError: boom" in line_with("$connect", drawing)


def test_an_error_is_shown_with_the_end_of_its_traceback() -> None:
    screen = Screen()
    screen.tell(Printed("Chat", "r1", "before"), now=0)
    screen.say("failed\n" + "".join(f"line {n}\n" for n in range(30)) + "ValueError: boom", now=0, error=True)
    drawing = drawn(screen)
    assert "1 error\n" in "".join(line.rstrip(" ") + "\n" for line in drawing.splitlines())
    assert "ValueError: boom" in drawing
    assert "line 3\n" not in drawing


@pytest.mark.parametrize("height", [5, 12, 60])
def test_a_screen_of_any_height_is_filled_and_not_exceeded(height: int) -> None:
    screen = Screen()
    for number in range(50):
        screen.tell(Arrived(f"c{number}", ""), now=0)
        screen.tell(Accept(f"c{number}", None), now=0)
        screen.say("output", now=0)
    assert len(drawn(screen, height=height).splitlines()) == height


def test_the_terminal_is_given_back_with_the_errors_on_it() -> None:
    file = io.StringIO()
    console = Console(file=file, width=100, height=30, force_terminal=True)
    with Display(console, clock=lambda: 0) as display:
        logger = logging.Logger("test")  # noqa: LOG001 (one that no other test has)
        logger.addHandler(display.handler)
        display.show_addresses(ADDRESSES)
        display(Arrived("c1", "name=ann"))
        logger.info("only a line")
        try:
            raise ValueError("boom")
        except ValueError:
            logger.exception("request r1 failed")
        display._live.refresh()
        shown = file.getvalue()
    assert "?name=ann" in shown
    assert "only a line" in shown
    after = file.getvalue()[len(shown) :]
    assert "request r1 failed" in after
    assert "ValueError: boom" in after
    assert "only a line" not in after
