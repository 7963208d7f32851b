"""What happens in a stack, said as it happens: to its log, its screen and its recorder.

Whatever does something tells a *watch* of it, a function that takes one `Activity`. The gateway model's effects on
clients are activities as they are; the classes below are the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gatesocket.emulator.answers import Answer, Failed
from gatesocket.emulator.effects import Accept, Close, Refuse, SendText
from gatesocket.emulator.report import Report
from gatesocket.whereabouts import Place

__all__ = [
    "Activity",
    "Answered",
    "Arrived",
    "Faulted",
    "Invoked",
    "Left",
    "Place",
    "Printed",
    "Received",
    "Reported",
    "Waits",
    "Watch",
    "all_of",
    "result_of",
]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A client asks for a connection."""

    connection_id: str
    query: str
    """That of the stage's URL, as the client or the edge sent it."""


@dataclass(frozen=True, slots=True)
class Received:
    """A client sent a message."""

    connection_id: str
    data: str | bytes


@dataclass(frozen=True, slots=True)
class Left:
    """A client closed its connection, or the connection broke."""

    connection_id: str
    code: int | None
    """None if there was no close frame."""
    reason: str
    fault: str = ""
    """How it broke the protocol, so that the gateway closed it with that code; empty if it didn't."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """A function is invoked."""

    function: str
    """The logical id."""
    request_id: str
    about: str
    """What it is invoked with, in a few words."""
    event: Any
    connection_id: str | None
    """None if it isn't a WebSocket's event."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An invocation is over."""

    function: str
    request_id: str
    about: str
    milliseconds: float
    """From the invocation to its answer, the wait for a free process included."""
    answer: Answer
    connection_id: str | None


@dataclass(frozen=True, slots=True)
class Printed:
    """A function printed or logged a line."""

    function: str
    request_id: str | None
    """None outside of an invocation, as while the handler is imported."""
    line: str


@dataclass(frozen=True, slots=True)
class Reported:
    """Lambda's report of an invocation."""

    function: str
    report: Report


@dataclass(frozen=True, slots=True)
class Waits:
    """A connection's route hibernates."""

    connection_id: str
    places: tuple[Place, ...]
    """Outermost first."""


@dataclass(frozen=True, slots=True)
class Faulted:
    """A fault was made on purpose."""

    fault: str
    about: str


Activity = (
    Arrived
    | Accept
    | Refuse
    | Received
    | SendText
    | Close
    | Left
    | Invoked
    | Answered
    | Printed
    | Reported
    | Waits
    | Faulted
)

Watch = Callable[[Activity], None]
"""Is told of each activity, on the stack's event loop or on a function's thread. Never blocks, never raises."""


def all_of(*watches: Watch) -> Watch:
    """Make one watch of several; each is told in turn."""

    def watch(activity: Activity) -> None:
        for each in watches:
            each(activity)

    return watch


def result_of(answer: Answer) -> str:
    """Say in a few words what a function answered."""
    if isinstance(answer, Failed):
        return f"{answer.error_type}: {answer.message}"
    if isinstance(answer.value, Mapping) and "statusCode" in answer.value:
        return str(answer.value["statusCode"])
    return "ok"
