"""What client and server say to each other; `gatesocket.messages` puts each model into an envelope.

::

    a client says                       the server answers, with the same id
    "subscribe"    {"series": …}        "subscribed"    {"series": …, "points": [{"at": …, "value": …}, …]}
    "unsubscribe"  {"series": …}        "unsubscribed"  {"series": …}
    "ping"                              "pong"

    the server says unasked
    "welcome"      {"series": [{"name": …, "label": …, "unit": …}, …], "every": …}
    "measured"     {"series": …, "at": …, "value": …}

Times are seconds since the epoch.
"""

from typing import Annotated

from pydantic import BaseModel, FiniteFloat, StringConstraints

__all__ = [
    "Described",
    "Measured",
    "Ping",
    "Point",
    "Pong",
    "Series",
    "Subscribe",
    "Subscribed",
    "Unsubscribe",
    "Unsubscribed",
    "Welcome",
]

Series = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class Subscribe(BaseModel):
    """Let me see a series."""

    series: Series


class Unsubscribe(BaseModel):
    """I have seen enough of it."""

    series: Series


class Ping(BaseModel):
    """Are you there?"""


class Pong(BaseModel):
    """I am."""


class Described(BaseModel):
    """A series that is always there."""

    name: Series
    label: str
    unit: str


class Welcome(BaseModel):
    """What there is to see, and how often it is told."""

    series: list[Described]
    every: float
    """Seconds."""


class Point(BaseModel):
    """A value, and when it was measured."""

    at: float
    value: FiniteFloat


class Subscribed(BaseModel):
    """What a series has been lately; from now on it is told."""

    series: Series
    points: list[Point]


class Unsubscribed(BaseModel):
    """A series isn't told any more."""

    series: Series


class Measured(Point):
    """A new value of a series."""

    series: Series
