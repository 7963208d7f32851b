"""What client and server say to each other; `gatesocket.messages` puts each model into an envelope.

::

    a client says                  the server answers, with the same id
    "ask"     {"text": …}          "said"      {"text": …}, as often as it takes, and in the end
                                   "answered"  {"stopped": …}
    "stop"                         nothing: the question's "answered" comes
    "forget"                       "forgotten"
    "ping"                         "pong"

    the server says unasked
    "welcome" {"model": …}

While an answer is under way, another question or "forget" is answered with "busy".
"""

from typing import Annotated

from pydantic import BaseModel, StringConstraints

__all__ = ["Answered", "Ask", "Busy", "Forget", "Forgotten", "Ping", "Pong", "Said", "Stop", "Welcome"]


class Ask(BaseModel):
    """A question."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]


class Stop(BaseModel):
    """I have read enough."""


class Forget(BaseModel):
    """Let us begin again."""


class Ping(BaseModel):
    """Are you there?"""


class Pong(BaseModel):
    """I am."""


class Welcome(BaseModel):
    """Who answers here."""

    model: str


class Said(BaseModel):
    """The next piece of an answer."""

    text: str


class Answered(BaseModel):
    """That was the answer."""

    stopped: bool
    """Whether the client wanted no more of it."""


class Busy(BaseModel):
    """First an answer has to come to its end, or to be stopped."""


class Forgotten(BaseModel):
    """Nothing of what was said is known any more."""
