"""What client and server of the chat say to each other: JSON texts of one form.

Every message is an envelope: ``{"type": "say", "id": "7", "data": {"text": "Hello"}}``. The *data* belong to
the *type*. A client may add an *id*; what the server answers to that message repeats it. ::

    a client says                                               the server answers, with the same id
    "say"              {"text": …}                              nothing: the room hears "said"
    "tell-user"        {"user": …, "text": …}                   "delivered"    {"sent": …}
    "tell-connection"  {"connection": …, "text": …}             "delivered"    {"sent": …}
    "who"                                                       "people"       {"people": […]}
    "ping"                                                      "pong"
    "work"             {"below": …}                             "accepted", "progress" …, "done"
    anything else                                               "error"        {"code": …, "message": …}

    the server says unasked
    "welcome"          {"room": …, "name": …, "connection": …, "people": […]}
    "joined", "left"   {"name": …}
    "said"             {"name": …, "text": …, "number": …}
    "told"             {"name": …, "connection": …, "text": …}
    "announced"        {"text": …}

What comes in was written by anybody, so `read` checks it field by field. What goes out is our own, so `Event`
and `Reply` only give it its form.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

__all__ = [
    "BadMessageError",
    "Data",
    "Event",
    "Name",
    "Ping",
    "Reply",
    "Room",
    "Say",
    "TellConnection",
    "TellUser",
    "Text",
    "Who",
    "Work",
    "read",
]

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
# A room is a group of the manager. The pattern leaves out "*", which is the group of everyone.
Room = Annotated[str, StringConstraints(pattern=r"^[\w-]+$", max_length=40)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class Data(BaseModel):
    """The data of one type of message; a field that it doesn't name is an error, not something overlooked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: ClassVar[str]


class Say(Data):
    """A text to everybody in the room."""

    type = "say"
    text: Text


class TellUser(Data):
    """A text to one person, in every tab that they have open."""

    type = "tell-user"
    user: Name
    text: Text


class TellConnection(Data):
    """A text to one connection: an answer to the very tab that something came from."""

    type = "tell-connection"
    connection: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    text: Text


class Who(Data):
    """Asks for the names of the people in the room."""

    type = "who"


class Ping(Data):
    """Asks whether the server is there, and keeps the connection from falling silent."""

    type = "ping"


class Work(Data):
    """Asks how many primes there are below a number."""

    type = "work"
    below: Annotated[int, Field(ge=2, le=1_000_000)]


class Event(BaseModel):
    """What the server says unasked."""

    type: Literal["welcome", "joined", "left", "said", "told", "announced", "authenticated"]
    data: dict[str, Any] = {}


class Reply(BaseModel):
    """What the server answers to one message, whose *id* it repeats; None if the message had none."""

    type: Literal["delivered", "people", "pong", "accepted", "progress", "done", "error"]
    id: str | None
    data: dict[str, Any] = {}


class BadMessageError(ValueError):
    """A client sent something that can't be understood; *reply* tells it what, and what to send instead."""

    def __init__(self, code: Literal["malformed", "unknown-type", "invalid"], what: str, answers: str | None) -> None:
        super().__init__(what)
        self.reply = Reply(type="error", id=answers, data={"code": code, "message": what})


class Envelope(BaseModel):
    """The form of every message that a client sends."""

    model_config = ConfigDict(extra="forbid")

    type: str
    id: Annotated[str, StringConstraints(max_length=64)] | None = None
    data: dict[str, JsonValue] = {}


AnyData = TypeVar("AnyData", bound=Data)


def read(text: str, *kinds: type[AnyData]) -> tuple[str | None, AnyData]:
    """Return the id and the data of a client's message, which has to be of one of *kinds*.

    Raises:
        BadMessageError: *text* isn't JSON, or isn't an envelope, or its type isn't expected here, or its data
            don't fit its type.
    """
    try:
        envelope = Envelope.model_validate_json(text)
    except ValidationError as error:
        code: Literal["malformed", "invalid"] = "invalid"
        if error.errors()[0]["type"] == "json_invalid":
            code = "malformed"
        raise BadMessageError(code, _in_words(error), None) from error

    expected = {kind.type: kind for kind in kinds}
    if envelope.type not in expected:
        what = f"type: expected one of {', '.join(expected)}, got {envelope.type[:40]!r}"
        raise BadMessageError("unknown-type", what, envelope.id)
    try:
        return envelope.id, expected[envelope.type].model_validate(envelope.data)
    except ValidationError as error:
        raise BadMessageError("invalid", _in_words(error, "data"), envelope.id) from error


def _in_words(error: ValidationError, *within: str) -> str:
    """Put what pydantic found into one line: where, and what is wrong there."""
    problems = []
    for problem in error.errors(include_input=False, include_url=False):
        where = ".".join(str(step) for step in (*within, *problem["loc"]))
        problems.append(f"{where}: {problem['msg']}" if where else problem["msg"])
    return "; ".join(problems)
