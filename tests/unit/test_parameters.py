"""Arguments as JSON: what arrives is what was sent, or nothing is sent."""

import datetime as dt
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, get_origin
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue, SecretStr, computed_field

from gatesocket.exceptions import ConfigurationError, InvalidArguments
from gatesocket.parameters import Parameters


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Point:
    x: float
    y: float


class Shape(BaseModel):
    colour: Colour
    id: UUID = Field(default_factory=uuid4)
    outline: list[Point] = Field(default=[], alias="outLine")


class Circle(Shape):
    radius: float


def of(function: Any) -> Parameters:
    return Parameters(function, "studio:render")


def travel(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call *function* with arguments that were JSON in between."""
    parameters = of(function)
    bound = parameters.from_json(json.loads(json.dumps(parameters.to_json(args, kwargs))))
    return function(*bound.args, **bound.kwargs)


def taking(kind: Any) -> Any:
    """Make a function of one parameter of a type."""

    def function(value: Any) -> Any:
        return value

    function.__annotations__["value"] = kind
    return function


texts = st.text(st.characters(exclude_categories=["Cs"]))
floats = st.floats(allow_nan=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)
points = st.builds(Point, finite, finite)
shapes = st.builds(Shape, colour=st.sampled_from(Colour), id=st.uuids(), outLine=st.lists(points, max_size=3))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (int, st.integers()),
        (float, floats),
        (str, texts),
        (bytes, st.binary()),
        (dt.date, st.dates()),
        (dt.datetime, st.datetimes(timezones=st.just(dt.UTC))),
        (dt.timedelta, st.timedeltas()),
        (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
        (UUID, st.uuids()),
        (Colour, st.sampled_from(Colour)),
        (Point, points),
        (Shape, shapes),
        (JsonValue, json_values),
        (Any, json_values),
        (list[Shape] | None, st.none() | st.lists(shapes, max_size=2)),
        (dict[str, tuple[int, set[str]]], st.dictionaries(texts, st.tuples(st.integers(), st.sets(texts)), max_size=2)),
    ],
    ids=lambda value: "" if isinstance(value, st.SearchStrategy) else str(value),
)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_what_is_sent_arrives(kind: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    """The function sees what it would see if it were called directly."""
    value = data.draw(values)

    arrived = travel(taking(kind), value)

    assert arrived == value
    assert type(arrived) is type(value)


@settings(deadline=None)
@given(kind=st.sampled_from([int, float, bool, str, list[int], Colour]), value=json_values)
def test_what_does_not_fit_its_type_is_converted_or_refused_but_never_let_through(kind: Any, value: Any) -> None:
    with suppress(InvalidArguments):
        assert isinstance(travel(taking(kind), value), get_origin(kind) or kind)


def test_arguments_go_by_the_names_of_their_parameters() -> None:
    def function(page: int, /, scale: float = 1.0, *, title: str | None = None) -> None: ...

    assert of(function).to_json((3,), {"title": "x"}) == {"page": 3, "title": "x"}


def test_positional_and_keyword_only_parameters_are_called_as_they_must_be() -> None:
    def function(a: int, /, b: int = 2, *, c: int) -> object:
        return (a, b, c)

    assert travel(function, 1, c=3) == (1, 2, 3)
    assert travel(function, 1, 4, c=3) == (1, 4, 3)


def test_a_default_is_the_functions_own_and_does_not_travel() -> None:
    """A release with another default applies it to what was enqueued before."""

    def function(page: int, scale: float = 1.0) -> object:
        return (page, scale)

    assert of(function).to_json((3,), {}) == {"page": 3}
    assert travel(function, 3) == (3, 1.0)


def test_a_models_own_defaults_travel() -> None:
    """They were made when the model was; an id made anew would be another one."""

    def function(shape: Shape) -> Shape:
        return shape

    shape = Shape(colour=Colour.RED)

    assert travel(function, shape) == shape


def test_what_a_model_computes_is_computed_again() -> None:
    """It is no input, so that sending it would be refused on the other side."""

    class Square(BaseModel, extra="forbid"):
        side: int

        @computed_field
        def area(self) -> int:
            return self.side**2

    arrived = travel(taking(Square), Square(side=3))

    assert (arrived.side, arrived.area) == (3, 9)


@pytest.mark.parametrize("name", ["json", "schema", "copy", "model_config", "_private", "p0", "self"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def function({name}: int): return {name}", namespace)  # the only way to choose a name

    assert travel(namespace["function"], 7) == 7


def test_annotations_may_be_texts() -> None:
    def function(shapes: "list[Shape]") -> "list[Shape]":
        return shapes

    assert travel(function, [Shape(colour=Colour.RED)]) != []


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "missing a required argument: 'page'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"sclae": 2}, "got an unexpected keyword argument 'sclae'"),
        (
            ("one",),
            {},
            "page: Input should be a valid integer, unable to parse string as an integer, but got a value of type str",
        ),
        ((0,), {}, "page: Input should be greater than or equal to 1, but got a value of type int"),
        (
            (0, "big"),
            {},
            (
                "page: Input should be greater than or equal to 1, but got a value of type int; scale: Input should be "
                "a valid number, unable to parse string as a number, but got a value of type str"
            ),
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_the_parameters_name(
    args: tuple[Any, ...], kwargs: dict[str, Any], problem: str
) -> None:
    def function(page: Annotated[int, Field(ge=1)], scale: float = 1.0) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        of(function).to_json(args, kwargs)

    assert str(refused.value) == f"studio:render: {problem}"


@pytest.mark.parametrize(
    ("value", "before", "after"),
    [
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "datetime", "str"),
        ((1, 2), "tuple", "list"),
        (math.nan, "float", "str"),
        ({1: "one"}, "dict", "dict"),
    ],
)
def test_what_would_arrive_as_something_else_is_refused(value: object, before: str, after: str) -> None:
    """An annotation that says nothing lets JSON decide, and JSON knows fewer types."""

    def function(value: Any) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        of(function).to_json((value,), {})

    assert str(refused.value) == (
        f"studio:render: value: expected what JSON can carry, but this value of type {before} would arrive as another "
        f"one, of type {after}"
    )


def test_a_secret_is_not_sent_as_asterisks() -> None:
    def function(token: SecretStr) -> None: ...

    with pytest.raises(InvalidArguments, match="token: expected what JSON can carry"):
        of(function).to_json((SecretStr("hush"),), {})


def test_a_model_does_not_lose_what_its_subclass_has() -> None:
    def function(shape: Shape) -> None: ...

    with pytest.raises(InvalidArguments, match="this value of type Circle would arrive as another one, of type Shape"):
        of(function).to_json((Circle(colour=Colour.RED, radius=1),), {})


@pytest.mark.parametrize("value", [object(), "\ud800"], ids=["an object", "half a character"])
def test_what_cannot_be_json_at_all_is_refused(value: object) -> None:
    def function(value: Any) -> None: ...

    with pytest.raises(InvalidArguments, match="studio:render: an argument can't be written as JSON: "):
        of(function).to_json((value,), {})


def test_an_error_never_quotes_a_value() -> None:
    def function(token: int, pin: Annotated[str, Field(max_length=4)]) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        of(function).to_json(("hunter2", "123456"), {})

    assert "hunter2" not in str(refused.value)
    assert "123456" not in str(refused.value)
    assert refused.value.__suppress_context__


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "page: Field required"),
        ({"page": "x"}, "page: Input should be a valid integer"),
        ({"page": 1, "scale": 2}, "scale: Extra inputs are not permitted, but got a value of type int"),
    ],
    ids=["one is missing", "one doesn't fit", "one too many"],
)
def test_arguments_of_another_release_are_refused(arguments: dict[str, Any], problem: str) -> None:
    def function(page: int) -> None: ...

    with pytest.raises(InvalidArguments, match=f"studio:render: {problem}"):
        of(function).from_json(arguments)


def no_annotation(page) -> None: ...  # type: ignore[no-untyped-def]


def many_positional(*pages: int) -> None: ...


def many_keywords(**pages: int) -> None: ...


def unknown_name(page: "Pgae") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # that is the test


def unknown_type(page: "Parameters") -> None: ...


def a_function(page: Callable[[], int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (
            no_annotation,
            "no_annotation: the parameter page has no annotation. Say its type: JSON is read by it",
        ),
        (many_positional, "many_positional: it takes any number of arguments, *pages: int. Take a list or a dict"),
        (many_keywords, "many_keywords: it takes any number of arguments, **pages: int. Take a list or a dict"),
        (
            unknown_name,
            (
                "unknown_name: an annotation can't be looked up: name 'Pgae' is not defined. Import or define the type "
                "before the function"
            ),
        ),
        (
            unknown_type,
            (
                "unknown_type: a parameter has a type that pydantic doesn't know: Unable to generate pydantic-core "
                "schema for <class 'gatesocket.parameters.Parameters'>. Take numbers, texts, lists, dicts or pydantic "
                "models, and make the rest of them inside"
            ),
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_function_whose_arguments_cannot_travel_is_refused_with_its_place(function: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        of(function)

    assert str(refused.value) == f"{__file__}:{function.__code__.co_firstlineno}: {problem}"


def test_a_type_that_pydantic_knows_and_json_does_not_is_refused_with_the_value() -> None:
    with pytest.raises(InvalidArguments, match="can't be written as JSON"):
        of(a_function).to_json((lambda: 1,), {})
