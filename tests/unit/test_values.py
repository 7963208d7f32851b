"""Values: as frozen dataclasses are, but for how long their classes take to make."""

import copy
import pickle
from dataclasses import asdict, dataclass, field, fields, replace

import pytest

from gatesocket.values import frozen


@frozen
class Point:
    """A place."""

    x: int
    y: int = 0
    note: str = field(default="", repr=False)


@frozen
class Size:
    """As wide as it says."""

    x: int
    y: int = 0
    note: str = ""


@frozen
class Odd:
    """An odd number, as it says itself."""

    number: int

    def __post_init__(self) -> None:
        if self.number % 2 == 0:
            raise ValueError(f"{self.number} is even")

    def __repr__(self) -> str:
        return f"<{self.number}>"


def test_values_are_equal_if_their_fields_are() -> None:
    assert Point(1, 2) == Point(1, y=2)
    assert Point(1) != Point(2)
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_values_of_two_classes_are_never_equal() -> None:
    others: list[object] = [Size(1), (1, 0, "")]
    assert Point(1) not in others


def test_a_value_shows_its_fields_but_for_those_that_it_hides() -> None:
    assert repr(Point(1, note="secret")) == "Point(x=1, y=0)"


def test_a_class_keeps_what_it_defines_itself() -> None:
    assert repr(Odd(3)) == "<3>"
    with pytest.raises(ValueError, match="4 is even"):
        replace(Odd(3), number=4)


def test_a_value_is_a_dataclass_with_slots() -> None:
    point = Point(1, 2)
    assert replace(point, y=3) == Point(1, 3)
    assert asdict(point) == {"x": 1, "y": 2, "note": ""}
    assert [each.name for each in fields(point)] == ["x", "y", "note"]
    assert not hasattr(point, "__dict__")
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_a_value_can_be_copied_and_pickled() -> None:
    assert copy.deepcopy(Point(1)) == Point(1)
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)


def test_a_value_shows_what_a_frozen_dataclass_would() -> None:
    @dataclass(frozen=True, slots=True)
    class Usual:
        """As Python makes it."""

        x: int
        y: int = 0

    @frozen
    class Ours:
        """As we make it."""

        x: int
        y: int = 0

    assert repr(Ours(1)).replace("Ours", "Usual") == repr(Usual(1))
    assert hash(Ours(1)) == hash(Usual(1))
