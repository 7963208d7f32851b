"""What client and server of the chat say to each other, each as a pydantic model.

`gatesocket.messages` puts them into envelopes: ``{"type": "say", "id": "7", "data": {"text": "Hello"}}``. The *type* is
the name of the model. A client may add an *id*; what the server answers to that message repeats it. ::

    a client says                                               the server answers, with the same id
    "say"              {"text": …}                              nothing: the room hears "said"
    "tell-user"        {"user": …, "text": …}                   "delivered"    {"sent": …}
    "tell-connection"  {"connection": …, "text": …}             "delivered"    {"sent": …}
    "typing"                                                    nothing: the others hear "is-typing"
    "who"                                                       "people"       {"people": […]}
    "ping"                                                      "pong"
    "work"             {"below": …}                             "accepted", "progress" …, "done"
    anything else                                               "error"        {"code": …, "detail": …, "errors": […]}

    the server says unasked
    "welcome"          {"room": …, "name": …, "connection": …, "people": […]}
    "joined", "left"   {"name": …}
    "said"             {"name": …, "text": …, "number": …}
    "told"             {"name": …, "connection": …, "text": …}
    "is-typing"        {"name": …}
    "announced"        {"text": …}

"said" and "announced" are kept for those who come back, and so have a "cursor" beside their data.
What comes in was written by anybody, so its fields say exactly what they may hold.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = [
    "Accepted",
    "Announced",
    "Authenticated",
    "Delivered",
    "Done",
    "IsTyping",
    "Joined",
    "Left",
    "Name",
    "People",
    "Ping",
    "Pong",
    "Progress",
    "Room",
    "Said",
    "Say",
    "TellConnection",
    "TellUser",
    "Text",
    "Told",
    "Typing",
    "Welcome",
    "Who",
    "Work",
]

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
# A room is a group of the manager. The pattern leaves out "*", which is the group of everyone.
Room = Annotated[str, StringConstraints(pattern=r"^[\w-]+$", max_length=40)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class Data(BaseModel):
    """The data of one type of message; a field that it doesn't name is an error, not something overlooked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# What a client says.


class Say(Data):
    """A text to everybody in the room."""

    text: Text


class TellUser(Data):
    """A text to one person, in every tab that they have open."""

    user: Name
    text: Text


class TellConnection(Data):
    """A text to one connection: an answer to the very tab that something came from."""

    connection: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    text: Text


class Typing(Data):
    """A text is being written. Say it again every few seconds for as long as it is: nobody is told that it stopped."""


class Who(Data):
    """Asks for the names of the people in the room."""


class Ping(Data):
    """Asks whether the server is there, and keeps the connection from falling silent."""


class Work(Data):
    """Asks how many primes there are below a number."""

    below: Annotated[int, Field(ge=2, le=1_000_000)]


# What the server answers.


class Delivered(Data):
    """How many connections a personal text has reached."""

    sent: int


class People(Data):
    """Who is in the room."""

    people: list[str]


class Pong(Data):
    """The server is there."""


class Accepted(Data):
    """The work has begun."""


class Progress(Data):
    """How far the work is."""

    percent: int


class Done(Data):
    """What came of the work."""

    below: int
    primes: int


# What the server says unasked.


class Welcome(Data):
    """Where a newcomer is, as whom, and among whom."""

    room: str
    name: str
    connection: str
    people: list[str]


class Joined(Data):
    """Somebody has come."""

    name: str


class Left(Data):
    """Somebody has left, with their last tab."""

    name: str


class Said(Data):
    """A text to everybody in the room."""

    name: str
    text: str
    number: int
    """How many texts this tab has sent so far."""


class Told(Data):
    """A text to this person, or to this connection."""

    name: str
    connection: str
    """Where it came from, and where an answer goes."""
    text: str


class IsTyping(Data):
    """Somebody is writing a text, or was until some seconds ago."""

    name: str


class Announced(Data):
    """A text from outside of the room."""

    text: str


class Authenticated(Data):
    """The token of the first message was right."""
