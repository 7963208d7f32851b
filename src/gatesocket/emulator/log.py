"""A stack's activities as lines of the log, and what functions of this process print as activities.

A line of a function begins with its logical id and the request id, ``WebSocketFunction TXzPWdnOjoECGjA= | …``, so that
the lines of invocations that run beside one another can be told apart.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TextIO

from gatesocket.emulator.activity import Activity, Answered, Faulted, Left, Printed, Reported, Waits, Watch, result_of
from gatesocket.emulator.effects import Close, Refuse

__all__ = ["Origin", "captured", "inside", "write"]

logger = logging.getLogger("gatesocket.emulator")


def write(activity: Activity) -> None:
    """Log an activity, if it is one that has a line in the log."""
    match activity:
        case Printed(function, None, line):
            logger.info("%s | %s", function, line)
        case Printed(function, request_id, line):
            logger.info("%s %s | %s", function, request_id, line)
        case Reported(function, report):
            logger.info("%s %s | %s", function, report.request_id, report)
        case Answered(function, _, about, milliseconds, answer):
            logger.info("%s  %s  %.1f ms  %s", function, about, milliseconds, result_of(answer))
        case Waits(connection_id, places):
            logger.info("%s hibernates at %s", connection_id, " > ".join(map(str, places)))
        case Refuse(connection_id, status, _, why) if why:
            logger.warning("%s refused with %d: %s", connection_id, status, why)
        case Close(connection_id, code, _, why) if why:
            logger.warning("%s closed with %d: %s", connection_id, code, why)
        case Left(connection_id, code, _, fault) if fault:
            logger.warning("%s closed with %s: it broke the protocol: %s", connection_id, code, fault)
        case Faulted(fault, about):
            logger.warning("chaos: %s: %s", fault, about)


@dataclass(slots=True)
class _Lines:
    """What one invocation has printed and not ended with a newline yet."""

    function: str
    request_id: str
    watch: Watch
    rest: str = ""

    def write(self, text: str) -> None:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.watch(Printed(self.function, self.request_id, line))

    def end(self) -> None:
        if self.rest:
            self.write("\n")


_current: ContextVar[_Lines | None] = ContextVar("gatesocket.emulator.log", default=None)


@contextmanager
def inside(function: str, request_id: str, watch: Watch) -> Iterator[None]:
    """Take what is printed in this context, while outputs are `captured`, as an invocation's."""
    lines = _Lines(function, request_id, watch)
    token = _current.set(lines)
    try:
        yield
    finally:
        lines.end()
        _current.reset(token)


class _Output:
    """Stands in for an output of the process: an invocation's text goes to its lines, other text to the output."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        lines = _current.get()
        if lines is None:
            return self._stream.write(text)
        lines.write(text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))


@contextmanager
def captured() -> Iterator[None]:
    """Give what functions print in this process to whoever watches their invocations, as long as the context lasts."""
    out: Any = _Output(sys.stdout)
    error: Any = _Output(sys.stderr)
    with redirect_stdout(out), redirect_stderr(error):
        yield


class Origin(logging.Filter):
    """Puts the function and the request id before what is logged within an invocation."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark *record*; keep it."""
        lines = _current.get()
        if lines is not None and record.name != logger.name:
            record.msg = f"{lines.function} {lines.request_id} | {record.getMessage()}"
            record.args = None
        return True
