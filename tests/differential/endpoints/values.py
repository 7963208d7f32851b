"""Locals of every kind, kept from one message to the next."""

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import logging
import pathlib
import re
import types
import typing
import uuid

from fastapi import WebSocket
from pydantic import BaseModel, PrivateAttr
from support.lives import Endpoints, fx

endpoint = Endpoints()
app = endpoint.app
app.state.rooms = {"lobby": ["ann"]}
ROOMS = {"lobby": ["ann"]}
logger = logging.getLogger("values")


@endpoint("a", "b")
async def atoms(ws: WebSocket):
    await ws.accept()
    values = (None, True, 7, -(2**70), 1.5, float("inf"), "tëxt \ud800", b"\x00\xff", 2j, ..., range(3), slice(1, None))
    fx(await ws.receive_text())
    fx(values)


@endpoint("a", "b")
async def containers(ws: WebSocket):
    await ws.accept()
    plain = [1, [2, {"a": (3,)}], {"$": "dollar"}, {1: "one", (2, 3): "two"}]
    sets = ({1, 2}, frozenset({3, 4}), bytearray(b"x"))
    recent = collections.deque([1, 2, 3], maxlen=3)
    groups = collections.defaultdict(list, {"a": [1]})
    ordered = collections.OrderedDict(b=1, a=2)
    counts = collections.Counter("abca")
    space = types.SimpleNamespace(x=1, y=[2])
    while True:
        recent.append(await ws.receive_text())
        groups["b"].append(len(recent))
        fx(plain, sets, recent, groups, ordered, counts, space)


@endpoint("a", "b")
async def times(ws: WebSocket):
    await ws.accept()
    utc = dt.timezone.utc
    values = [
        dt.date(2026, 11, 23),
        dt.datetime(2026, 11, 23, 12, 0, 0, 5),
        dt.datetime(2026, 11, 23, 12, tzinfo=utc),
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET"), fold=1),
        dt.time(12, 30, tzinfo=utc),
        dt.timedelta(days=1, microseconds=-3),
        utc,
    ]
    fx(await ws.receive_text())
    fx(values, values[2].tzinfo is utc, values[3].tzname())


@endpoint("a", "b")
async def numbers_and_names(ws: WebSocket):
    await ws.accept()
    values = [decimal.Decimal("1.10"), fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.Path("/tmp/x")]
    pattern = re.compile(r"(?P<word>\w+)", re.IGNORECASE)
    fx(pattern.match(await ws.receive_text())["word"])
    fx(values, pattern)


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


@endpoint("a", "b")
async def enums(ws: WebSocket):
    await ws.accept()
    colour, rights, level = Colour.RED, Rights.READ | Rights.WRITE, Level.LOW
    fx(await ws.receive_text())
    fx(colour is Colour.RED, rights, level + 1, Rights(0))


@dataclasses.dataclass
class Player:
    name: str
    score: int = 0
    friends: list["Player"] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int


class Pair(typing.NamedTuple):
    left: str
    right: list


@endpoint("a", "b", "c")
async def data_classes(ws: WebSocket):
    await ws.accept()
    ann = Player("ann")
    bob = Player("bob", 3, [ann])
    where = {Point(1, 2): "here"}
    pair = Pair("l", [1])
    while True:
        text = await ws.receive_text()
        ann.score += 1
        bob.friends[0].name += text
        fx(ann, bob, where[Point(1, 2)], pair, pair.right)


class User(BaseModel):
    id: int
    name: str = "?"
    tags: list[str] = []
    _seen: int = PrivateAttr(default=0)

    def see(self):
        self._seen += 1
        return self._seen


@endpoint('{"id": 1}', "a", "b")
async def models(ws: WebSocket):
    await ws.accept()
    user = User.model_validate_json(await ws.receive_text())
    fx(user.model_fields_set)
    while True:
        user.tags.append(await ws.receive_text())
        fx(user, user.see(), user.model_fields_set, user.model_dump_json(exclude_unset=True))


class Slotted:
    __slots__ = ("__secret", "value")

    def __init__(self, value):
        self.value = value
        self.__secret = value * 2

    def secret(self):
        return self.__secret


class Plain:
    kind = "plain"

    def __init__(self, **members):
        vars(self).update(members)

    def __eq__(self, other):
        return vars(self) == vars(other)


@endpoint("a", "b")
async def plain_objects(ws: WebSocket):
    await ws.accept()
    plain = Plain(x=1, inner=Plain(y=[2]))
    slotted = Slotted(21)
    while True:
        text = await ws.receive_text()
        plain.inner.y.append(text)
        fx(plain.x, plain.inner.y, plain.kind, slotted.value, slotted.secret())


@endpoint("a", "b")
async def shared_and_cyclic(ws: WebSocket):
    await ws.accept()
    shared = [1]
    table = {"first": shared, "second": shared}
    cycle = ["start"]
    cycle.append(cycle)
    node = Plain(name="root")
    node.self = node
    while True:
        shared.append(await ws.receive_text())
        fx(table["first"] is shared, table, cycle[1] is cycle, node.self is node)


@endpoint("a", "b")
async def module_level_objects(ws: WebSocket):
    await ws.accept()
    rooms, log, convert, colours, named = ROOMS, logger, len, Colour, dt.datetime
    state = ws.app.state
    members = ws.app.state.rooms
    text = await ws.receive_text()
    fx(rooms is ROOMS, log is logger, convert(text), colours is Colour, state.rooms is members)
    fx(members is app.state.rooms, named is dt.datetime, await ws.receive_text())


@endpoint("a", "b")
async def exceptions(ws: WebSocket):
    await ws.accept()
    errors = [ValueError("x", 1), KeyError("k"), OSError(2, "gone"), UnicodeDecodeError("utf-8", b"x", 0, 1, "bad")]
    cause = RuntimeError("outer")
    cause.__cause__ = errors[0]
    cause.add_note("a note")
    fx(await ws.receive_text())
    fx(errors, errors[2].errno, cause, cause.__cause__ is errors[0], cause.__notes__)


def twice(text):
    return text * 2


@endpoint("a", "b", "c")
async def iterators(ws: WebSocket):
    await ws.accept()
    ids = iter(range(100, 200))
    lines = iter(["x", "y", "z"])
    numbered = enumerate(lines)
    doubled = map(twice, iter("pqr"))
    while True:
        text = await ws.receive_text()
        fx(next(ids), next(numbered, None), next(lines, None), next(doubled), text)


@endpoint("a", "b")
async def methods_and_functions(ws: WebSocket):
    await ws.accept()
    texts = []
    add = texts.append
    send = ws.send_text
    plain = Plain(n=1)
    compare = plain.__eq__
    while True:
        add(await ws.receive_text())
        await send(str(texts))
        fx(compare(Plain(n=1)))


@endpoint("a", "b")
async def parts_of_the_socket(ws: WebSocket):
    await ws.accept()
    headers, query, client, url, state = ws.headers, ws.query_params, ws.client, ws.url, ws.state
    ws.state.user = "ann"
    cookies, path = ws.cookies, ws.path_params
    text = await ws.receive_text()
    fx(text, headers["x-token"], query, client.host, str(url), state.user, cookies, path)
    fx(ws.state.user, ws.client.port, ws.headers["host"], ws.client_state.name, ws.application_state.name)
    fx(await ws.receive_text())


@endpoint("a", "b", "c")
async def dead_locals_are_not_kept(ws: WebSocket):
    await ws.accept()
    file = open(__file__)
    with contextlib.closing(file):
        fx(file.readline())
    text = await ws.receive_text()
    generator = (letter for letter in text)
    fx(list(generator))
    for other in [ws]:
        await other.send_text(text)
    fx(await ws.receive_text())


@endpoint("a", "b", "c")
async def maybe_unset(ws: WebSocket):
    await ws.accept()
    if await ws.receive_text() == "x":
        never = 1
    try:
        fx(await ws.receive_text())
        fx(never)
    except UnboundLocalError as error:
        fx(str(error))
    fx(await ws.receive_text())


@endpoint("a", "b")
async def imported_inside(ws: WebSocket):
    import json as j
    from json import dumps

    await ws.accept()
    fx(j.loads("[1]"), await ws.receive_text())
    fx(j.dumps(1), dumps("x"), await ws.receive_text())


@endpoint("a", "b")
async def global_variables(ws: WebSocket):
    global LAST
    await ws.accept()
    while True:
        text = await ws.receive_text()
        LAST = text
        fx(LAST)


@endpoint("a", "b")
async def class_defined_inside(ws: WebSocket):
    await ws.accept()

    class Local:
        x = 1

    fx(Local.x, await ws.receive_text())
    fx(await ws.receive_text())


@endpoint("a", "b")
async def ten_plain_locals(ws: WebSocket):
    await ws.accept()
    a, b, c, d, e = 1, "two", 3.0, [4], {"five": 5}
    f, g, h, i, j = (6,), None, True, "nine", 10
    while True:
        d.append(await ws.receive_text())
        fx(a, b, c, d, e, f, g, h, i, j)
