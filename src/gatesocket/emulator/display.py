"""The screen of ``gatesocket dev``: the rows of `gatesocket.emulator.screen`, drawn by rich and kept up to date."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Self, TypeVar

from rich.console import Console, Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gatesocket.clock import Clock, milliseconds
from gatesocket.emulator.activity import Activity, Place
from gatesocket.emulator.screen import ConnectionRow, FrameRow, InvocationRow, OutputRow, Rows, Screen

__all__ = ["Display", "draw"]

PER_SECOND: Final = 8
"""How often the screen is drawn anew."""

_COLOURS: Final = {">": "cyan", "<": "green", "+": "bold", "x": "yellow"}

Row = TypeVar("Row")

Addresses = Sequence[tuple[str, str]]
"""What the addresses are for, and the addresses."""


class Display:
    """The terminal, from entering the context to leaving it; a watch, and where the log's records go meanwhile.

    Args:
        console: the terminal.
        clock: milliseconds since the epoch.
    """

    def __init__(self, console: Console, *, clock: Clock = milliseconds) -> None:
        self._console = console
        self._clock = clock
        self._screen = Screen()
        self._lock = threading.Lock()
        self._addresses: Addresses = ()
        self._live = Live(
            console=console, screen=True, refresh_per_second=PER_SECOND, get_renderable=self._draw, transient=True
        )
        self.handler: logging.Handler = _Handler(self._say)
        """Puts what is logged on the screen."""

    def __enter__(self) -> Self:
        """Take the terminal over."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back, and leave on it what went wrong."""
        self._live.stop()
        for row in self._screen.rows().output:
            if row.error:
                self._console.print(Text(f"{_time(row.at)}  {row.text}"))

    def __call__(self, activity: Activity) -> None:
        """Take note of an activity, in any thread."""
        with self._lock:
            self._screen.tell(activity, now=self._clock())

    def show_addresses(self, addresses: Addresses) -> None:
        """Say where the stack is, in the first lines."""
        self._addresses = addresses

    def _say(self, text: str, *, error: bool) -> None:
        with self._lock:
            self._screen.say(text, now=self._clock(), error=error)

    def _draw(self) -> RenderableType:
        with self._lock:
            rows = self._screen.rows()
        return draw(rows, self._addresses, height=self._console.size.height, now=self._clock())


class _Handler(logging.Handler):
    """Gives each record, formatted with its traceback, to *say*."""

    def __init__(self, say: Callable[..., None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(self.format(record), error=record.levelno >= logging.ERROR)


def draw(rows: Rows, addresses: Addresses, *, height: int, now: int) -> RenderableType:
    """Draw all there is to see, for a terminal of *height* lines; *now* is milliseconds since the epoch."""
    head = len(addresses) + 2
    rest = max(height - head, 8)
    # Connections get what they need, up to a third; the rest is for what happens.
    top = min(len(rows.connections) + 3, max(rest // 3, 4))
    bottom = max(min(_lines(rows.output) + 2, rest // 3), 3)
    middle = rest - top - bottom
    layout = Layout()
    layout.split_column(
        Layout(_header(addresses, rows), name="addresses", size=head),
        Layout(_connections(rows.connections, top - 3, now), name="connections", size=top),
        Layout(name="middle"),
        Layout(_output(rows.output, bottom - 2), name="output", size=bottom),
    )
    layout["middle"].split_row(
        Layout(_frames(rows.frames, middle - 2), name="frames"),
        Layout(_invocations(rows.invocations, middle - 3), name="invocations"),
    )
    return layout


def _header(addresses: Addresses, rows: Rows) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for name, value in addresses:
        grid.add_row(Text(name, style="dim"), Text(value, overflow="ellipsis", no_wrap=True))
    errors = _count(rows.errors, "error")
    state = Text.assemble(
        ("Gatesocket", "bold"), "  Ctrl+C ends it.  ", (errors, "bold red" if rows.errors else "dim"), no_wrap=True
    )
    return Group(state, grid)


def _connections(connections: Sequence[ConnectionRow], room: int, now: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False)
    for name in ("connection", "asked for", "for", "in", "out"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("waits at (and keeps)", no_wrap=True, overflow="ellipsis", ratio=1)
    for row in _last(connections, room):
        style = "" if row.open else "dim"
        waits = " > ".join(map(_place, row.places)) if row.open else "its handshake isn't over"
        cells = (row.id, f"?{row.query}", _age(now - row.since), str(row.received), str(row.sent), waits)
        table.add_row(*(Text(cell) for cell in cells), style=style)
    return Panel(table, title=_count(len(connections), "connection"), title_align="left", border_style="dim")


def _frames(frames: Sequence[FrameRow], room: int) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in _last(frames, room):
        text = Text(_one_line(row.text), style=_COLOURS[row.sign])
        table.add_row(Text(_time(row.at), style="dim"), Text(row.connection_id[:6]), Text(row.sign), text)
    return Panel(table, title="frames: > from a client, < to one", title_align="left", border_style="dim")


def _invocations(invocations: Sequence[InvocationRow], room: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("function", no_wrap=True, overflow="ellipsis")
    table.add_column("with", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("ms", no_wrap=True, justify="right")
    table.add_column("MB", no_wrap=True, justify="right")
    table.add_column("answer", no_wrap=True, overflow="ellipsis", max_width=24)
    for row in _last(invocations, room):
        memory = "" if row.memory is None else str(row.memory)
        cells = (row.function, row.about, f"{row.milliseconds:.0f}", memory, _one_line(row.result))
        table.add_row(*(Text(cell) for cell in cells), style="red" if row.failed else "")
    return Panel(table, title="invocations", title_align="left", border_style="dim")


def _output(output: Sequence[OutputRow], room: int) -> RenderableType:
    lines = [
        Text(f"{_time(row.at)}  {line}", style="red" if row.error else "", no_wrap=True, overflow="ellipsis")
        for row in output
        for line in row.text.splitlines()
    ]
    return Panel(Group(*_last(lines, room)), title="output and errors", title_align="left", border_style="dim")


def _lines(output: Iterable[OutputRow]) -> int:
    return sum(len(row.text.splitlines()) for row in output)


def _last(rows: Sequence[Row], room: int) -> Sequence[Row]:
    return rows[-room:] if room > 0 else ()


def _place(place: Place) -> str:
    if place.file is None:
        return str(place)
    # As short as it can be clicked on.
    near = os.path.relpath(place.file)
    return f"{near if len(near) < len(place.file) else place.file}:{place.line} ({', '.join(place.names)})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _age(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%H:%M:%S")
