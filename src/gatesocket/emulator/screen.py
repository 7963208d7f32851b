"""What a developer sees of a running stack, as rows: activities in, rows out, and nothing drawn.

`gatesocket.emulator.display` draws them.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gatesocket.emulator.activity import (
    Activity,
    Answered,
    Arrived,
    Faulted,
    Left,
    Place,
    Printed,
    Received,
    Reported,
    Waits,
    result_of,
)
from gatesocket.emulator.answers import Failed
from gatesocket.emulator.effects import Accept, Close, Refuse, SendText

__all__ = ["ConnectionRow", "FrameRow", "InvocationRow", "OutputRow", "Rows", "Screen"]

KEPT: Final = 200
"""Rows of each kind that are kept: more than any terminal shows."""

LONGEST: Final = 500
"""Characters of a message that are kept: more than any line shows."""


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One connection."""

    id: str
    query: str
    since: int
    """When its client came, in milliseconds since the epoch."""
    open: bool = False
    """Whether its handshake is over."""
    received: int = 0
    """Messages from the client."""
    sent: int = 0
    """Messages to the client."""
    places: tuple[Place, ...] = ()
    """Where its route waits, outermost function first; empty while that isn't known."""


@dataclass(frozen=True, slots=True)
class FrameRow:
    """What went over a socket."""

    at: int
    """Milliseconds since the epoch."""
    connection_id: str
    sign: str
    """``>`` from the client, ``<`` to it, ``+`` for its coming and ``x`` for its end."""
    text: str


@dataclass(frozen=True, slots=True)
class InvocationRow:
    """One invocation that is over."""

    at: int
    """Milliseconds since the epoch."""
    function: str
    about: str
    milliseconds: float
    memory: int | None
    """Megabytes that its process has taken; None if that isn't known."""
    result: str
    failed: bool


@dataclass(frozen=True, slots=True)
class OutputRow:
    """A line, or an error with its traceback."""

    at: int
    """Milliseconds since the epoch."""
    text: str
    error: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """All that there is to see at one moment; what came last is last."""

    connections: tuple[ConnectionRow, ...]
    frames: tuple[FrameRow, ...]
    invocations: tuple[InvocationRow, ...]
    output: tuple[OutputRow, ...]
    errors: int
    """How many there have been."""


@dataclass(slots=True)
class Screen:
    """Keeps the rows.

    Not for two threads at once; `gatesocket.emulator.display.Display` sees to that.
    """

    _connections: dict[str, ConnectionRow] = field(default_factory=dict)
    _frames: deque[FrameRow] = field(default_factory=lambda: deque(maxlen=KEPT))
    _invocations: deque[InvocationRow] = field(default_factory=lambda: deque(maxlen=KEPT))
    _output: deque[OutputRow] = field(default_factory=lambda: deque(maxlen=KEPT))
    _memory: dict[str, int | None] = field(default_factory=dict)
    """By request id, from an invocation's report to its answer."""
    _errors: int = 0

    def rows(self) -> Rows:
        """Return what there is to see now."""
        connections = tuple(self._connections.values())
        return Rows(connections, tuple(self._frames), tuple(self._invocations), tuple(self._output), self._errors)

    def tell(self, activity: Activity, *, now: int) -> None:
        """Take note of an activity; *now* is milliseconds since the epoch."""
        match activity:
            case Reported(_, report):
                self._memory[report.request_id] = report.used
            case Answered(function, request_id, about, milliseconds, answer):
                memory = self._memory.pop(request_id, None)
                failed = isinstance(answer, Failed)
                self._invocations.append(
                    InvocationRow(now, function, about, milliseconds, memory, result_of(answer), failed)
                )
            case Printed(function, request_id, line):
                self.say(f"{function} {request_id} | {line}" if request_id else f"{function} | {line}", now=now)
            case Faulted(fault, about):
                self.say(f"chaos: {fault}: {about}", now=now)
            case _:
                self._tell_of_connection(activity, now)

    def _tell_of_connection(self, activity: Activity, now: int) -> None:
        match activity:
            case Arrived(connection_id, query):
                self._connections[connection_id] = ConnectionRow(connection_id, query, now)
                self._frame(now, connection_id, "+", f"?{query}")
            case Accept(connection_id):
                self._change(connection_id, lambda row: replace(row, open=True))
            case Refuse(connection_id, status, body, why):
                self._end(now, connection_id, f"refused with {status} {why or body}")
            case Received(connection_id, data):
                self._change(connection_id, lambda row: replace(row, received=row.received + 1))
                self._frame(now, connection_id, ">", data if isinstance(data, str) else f"{len(data)} bytes")
            case SendText(connection_id, text):
                self._change(connection_id, lambda row: replace(row, sent=row.sent + 1))
                self._frame(now, connection_id, "<", text)
            case Close(connection_id, code, reason, why):
                self._end(now, connection_id, f"closed with {code} {why or reason}")
            case Left(connection_id, code, _, fault) if fault:
                self._end(now, connection_id, f"closed with {code} {fault}")
            case Left(connection_id, code, reason):
                self._end(now, connection_id, "broke" if code is None else f"left with {code} {reason}")
            case Waits(connection_id, places):
                self._change(connection_id, lambda row: replace(row, places=places))

    def say(self, text: str, *, now: int, error: bool = False) -> None:
        """Add lines of output."""
        self._errors += error
        self._output.append(OutputRow(now, text, error))

    def _end(self, now: int, connection_id: str, how: str) -> None:
        # Of a connection that the gateway has closed, the client's leaving is no news.
        if self._connections.pop(connection_id, None) is not None:
            self._frame(now, connection_id, "x", how)

    def _frame(self, now: int, connection_id: str, sign: str, text: str) -> None:
        self._frames.append(FrameRow(now, connection_id, sign, text[:LONGEST].rstrip()))

    def _change(self, connection_id: str, change: Callable[[ConnectionRow], ConnectionRow]) -> None:
        # What comes after its end is too late.
        if (row := self._connections.get(connection_id)) is not None:
            self._connections[connection_id] = change(row)
