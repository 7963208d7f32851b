"""Objects of classes: what of them is saved, what is refused, and what a planted snapshot can't make."""

import asyncio
import contextlib
import dataclasses
import enum
import io
import threading
from typing import Any, ClassVar, NamedTuple

import pytest
from fastapi import WebSocketDisconnect
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, PrivateAttr
from starlette.endpoints import WebSocketEndpoint

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import register_saver
from gatesocket.hibernation.codec import Unsaveable
from gatesocket.manager import ConnectionManager
from support.values import home, read, through, written


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796 - an alias


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


class Place(NamedTuple):
    row: int
    column: list[int]


class Corner(Place):
    """A subclass keeps the fields."""


@dataclasses.dataclass
class User:
    name: str
    friends: list["User"] = dataclasses.field(default_factory=list)
    made: ClassVar[int] = 0

    def __post_init__(self) -> None:
        type(self).made += 1


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    x: int
    y: int


class Slotted:
    __slots__ = ("__hidden", "late", "shown")

    def __init__(self) -> None:
        self.__hidden = 1
        self.shown = 2

    @property
    def hidden(self) -> int:
        return self.__hidden


class OneSlot:
    __slots__ = "only"  # noqa: PLC0205 - it is allowed

    def __init__(self) -> None:
        self.only = 1


class Extensible:
    __slots__ = ("__dict__", "__weakref__", "shown")

    def __init__(self) -> None:
        self.shown = 1
        self.more = 2


class WithBoth(Slotted):
    """Slots of the base, and a dictionary."""


class Chat:
    limit = 3

    def __init__(self) -> None:
        self.names: list[str] = []
        self.me = self


class Session(WebSocketEndpoint):
    encoding = "text"


class Refused(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Message(BaseModel):
    text: str
    tags: list[str] = []
    _seen: int = PrivateAttr(default=0)


class Open(BaseModel, extra="allow"):
    id: int


class Url:
    def __init__(self, text: str) -> None:
        self.text = text
        self.socket = threading.Lock()


register_saver(Url, save=lambda url: url.text, load=Url)


class Unknown:
    """A class that loses its saver."""


# Enums and named tuples.


def test_an_enum_member_is_the_member() -> None:
    assert through(Colour.RED) is Colour.RED
    assert through([Level.LOW, Rights.WRITE]) == [Level.LOW, Rights.WRITE]
    assert type(through(Level.LOW)) is Level


def test_a_combination_of_flags_is_written_by_its_value() -> None:
    assert written(Rights.READ | Rights.WRITE)["v"][1:] == [None, 3]
    assert through(Rights.READ | Rights.WRITE) == Rights.READ | Rights.WRITE


def test_a_named_tuple_keeps_its_class_and_its_fields() -> None:
    found = through(Corner(1, [2]))

    assert type(found) is Corner
    assert (found.row, found.column) == (1, [2])
    with pytest.raises(Unsaveable) as refused:
        written(Place(1, [open]))  # type: ignore[list-item]
    assert refused.value.path == ".column[0]"


# Plain objects.


def test_a_dataclass_comes_back_without_its_constructor_being_called() -> None:
    ann = User("ann")
    ann.friends.append(ann)
    made = User.made

    found = through(ann)

    assert found.name == "ann"
    assert found.friends[0] is found
    assert User.made == made


@given(x=st.integers(), y=st.integers())
def test_a_frozen_dataclass_with_slots_comes_back_equal(x: int, y: int) -> None:
    assert through(Move(x, y)) == Move(x, y)


def test_slots_are_attributes_if_they_are_set() -> None:
    found = through(Slotted())

    assert (found.hidden, found.shown) == (1, 2)
    assert not hasattr(found, "late")
    assert through(OneSlot()).only == 1


def test_an_object_may_have_slots_and_a_dictionary() -> None:
    both = WithBoth()
    both.more = [1]  # type: ignore[attr-defined]

    found = through(both)

    assert (found.hidden, found.shown, found.more) == (1, 2, [1])
    assert vars(through(Extensible())) == {"more": 2}
    assert through(Extensible()).shown == 1


def test_an_object_is_its_attributes_and_may_hold_itself() -> None:
    chat = Chat()
    chat.names.append("ann")

    found = through({"chat": chat})["chat"]

    assert found.names == ["ann"]
    assert found.me is found
    assert found.limit == 3
    chat.names.append(open)  # type: ignore[arg-type]
    with pytest.raises(Unsaveable) as refused:
        written(chat)
    assert refused.value.path == ".names[1]"


def test_an_endpoint_of_starlettes_class_is_saved_as_the_apps_own() -> None:
    at = home()
    session = Session(at.scope, at.receive, at.send)

    found = through(session, at)

    assert type(found) is Session
    assert found.scope is at.scope


class Finalised:
    def __del__(self) -> None: ...


class Reduced:
    def __reduce__(self) -> Any: ...


class Listed(list[int]):
    pass


class Locked(threading.local):
    pass


class Closing(contextlib.AbstractContextManager["Closing"]):
    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (iter(lambda: 1, 2), "it is based on the built-in callable_iterator"),
        (Finalised(), "its class defines __del__"),
        (Reduced(), "its class defines __reduce__"),
        (Listed(), "it is based on the built-in list"),
        (Locked(), "_thread._local belongs to the standard library"),
        (io.StringIO(), "StringIO"),
        (threading.Thread(), "threading.Thread belongs to the standard library, which keeps more than shows"),
        (asyncio.Queue(), "asyncio.queues.Queue belongs to the standard library"),
        (ConnectionManager(), "it belongs to the framework"),
        (type("Made", (), {})(), "its class Made isn't found by that name in module"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_object_that_is_more_than_its_attributes_is_refused(value: Any, why: str) -> None:
    with pytest.raises(Unsaveable, match=why):
        written(value)


def test_a_class_based_on_an_abstract_one_is_no_less_its_own() -> None:
    assert type(through(Closing())) is Closing


def test_a_class_in_a_function_is_refused_with_a_remedy() -> None:
    class Local:
        pass

    with pytest.raises(Unsaveable, match="isn't found by that name") as refused:
        written(Local())
    assert refused.value.remedy == "Define the class at the top of its module"


# Exceptions.


def test_an_exception_keeps_its_class_arguments_attributes_and_cause() -> None:
    try:
        try:
            raise KeyError("k")
        except KeyError as cause:
            raise Refused(4001, "no") from cause
    except Refused as error:
        error.add_note("as agreed")
        found = through(error, home(imports={"KeyError"}))

    assert type(found) is Refused
    assert (str(found), found.code, found.reason) == ("4001: no", 4001, "no")
    assert found.__notes__ == ["as agreed"]
    assert repr(found.__cause__) == "KeyError('k')"
    assert found.__suppress_context__


def test_an_exception_of_the_framework_is_saved_if_the_function_names_it() -> None:
    found = through(WebSocketDisconnect(1001, "bye"))

    assert (type(found), found.code, found.reason) == (WebSocketDisconnect, 1001, "bye")


def test_an_error_of_the_operating_system_keeps_its_number() -> None:
    found = through(FileNotFoundError(2, "No such file"))

    assert (type(found), found.errno) == (FileNotFoundError, 2)


def test_an_argument_of_an_exception_that_can_not_be_saved_is_named() -> None:
    with pytest.raises(Unsaveable) as refused:
        written(ValueError("a", open))
    assert refused.value.path == ".args[1]"


# Models.


def test_a_model_comes_back_with_what_was_set_and_its_private_attributes() -> None:
    message = Message(text="hi")
    message._seen = 4

    found = through(message)

    assert found == message
    assert found._seen == 4
    assert found.model_fields_set == {"text"}


def test_what_a_model_allows_beyond_its_fields_comes_back() -> None:
    found = through(Open.model_validate({"id": 1, "more": [2]}))

    assert found.model_extra == {"more": [2]}


# What the app says itself.


def test_a_registered_saver_has_the_last_word() -> None:
    first, second = through([url := Url("ws://a"), url])

    assert first.text == "ws://a"
    assert first is second


def test_a_saver_that_is_gone_can_not_read() -> None:
    register_saver(Unknown, save=lambda _: None, load=lambda _: Unknown())
    data = written(Unknown())
    from gatesocket.hibernation import instances

    del instances._savers[Unknown]

    with pytest.raises(SnapshotError, match="no saver is registered for '.*:Unknown'"):
        read(data)


# Planted data.

HERE = __name__


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"$": "object", "v": [f"{HERE}:home", {}]}, "is no class"),
        ({"$": "object", "v": ["no.such:Thing", {}]}, "no module 'no.such' is loaded"),
        ({"$": "object", "v": ["subprocess:Popen", {}]}, "can't have been saved .*defines __del__|standard library"),
        ({"$": "object", "v": [f"{HERE}:Finalised", {}]}, "can't have been saved"),
        ({"$": "object", "v": [f"{HERE}:Move", {"z": 1}]}, "can't be read"),
        ({"$": "enum", "v": [f"{HERE}:Chat", "RED", None]}, "is no enum"),
        ({"$": "enum", "v": [f"{HERE}:Colour", None, "red"]}, "has no combinations"),
        ({"$": "enum", "v": [f"{HERE}:Colour", "GREEN", None]}, "can't be read"),
        ({"$": "namedtuple", "v": ["builtins:tuple", []]}, "is no named tuple"),
        ({"$": "exception", "v": [f"{HERE}:Chat", [], {}, None, 0]}, "is no exception"),
        ({"$": "exception", "v": [f"{HERE}:Refused", [], {}, 5, 0]}, "can't be read"),
        ({"$": "model", "v": [f"{HERE}:Chat", {}, [], None, None]}, "is no model"),
        ({"$": "model", "v": [f"{HERE}:Message", 5, [], None, None]}, "can't be read"),
        ({"$": "saved", "v": [f"{HERE}:Chat", None]}, "no saver is registered"),
    ],
)
def test_planted_data_makes_no_object_that_would_not_have_been_saved(data: Any, why: str) -> None:
    with pytest.raises(SnapshotError, match=why):
        read(data)


def test_a_planted_attribute_can_not_change_the_class_of_an_exception() -> None:
    data: dict[str, Any] = {
        "$": "exception",
        "v": [f"{HERE}:Refused", [], {"__class__": {"$": "name", "v": f"{HERE}:Chat"}}, None, 0],
    }

    assert type(read(data)) is Refused
