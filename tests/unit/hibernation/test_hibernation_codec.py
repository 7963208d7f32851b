"""Values to typed JSON and back: what the machine does, whatever the kind."""

import gc
import json
import math
import os
import subprocess
import sys
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import codec
from gatesocket.hibernation.codec import Encoder, Unsaveable
from gatesocket.hibernation.home import Home
from support.values import home, read, through, written

LIMITS = {"ann": 3}
NOTHING_TO_REFER_TO = "there is no object"

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(value=values)
def test_what_json_knows_comes_back_with_its_types(value: Any) -> None:
    assert repr(through(value)) == repr(value)


def test_what_json_knows_stays_as_it_is() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {}}

    assert written(value) == value


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_no_json_number_and_comes_back(value: float) -> None:
    assert written(value) == {"$": "float", "v": repr(value)}
    assert through(value) == value


def test_not_a_number_comes_back_as_not_a_number() -> None:
    assert math.isnan(through(math.nan))


def test_an_int_of_any_length_is_kept() -> None:
    for number in (10**300, 1 << 20_000, -(10**5000)):
        assert through(number) == number


@pytest.mark.parametrize("value", [{"$": "name", "v": "os:system"}, {1: "one"}, {("a", 1): {"$": "ref"}}, {None: 0}])
def test_a_dictionary_that_json_would_change_or_that_looks_like_a_kind_is_written_as_pairs(value: Any) -> None:
    assert written(value)["$"] == "dict"
    assert through(value) == value


# Identity.


def test_two_references_to_one_object_stay_two_references_to_one_object() -> None:
    shared: list[int] = []
    first, second, other = through([shared, shared, []])

    first.append(1)

    assert first is second
    assert other == []


def test_objects_are_numbered_in_the_order_in_which_they_are_met() -> None:
    inner: dict[str, Any] = {}

    assert written([inner, [1], inner]) == [{}, [1], {"$": "ref", "v": 1}]


def test_a_list_and_a_dictionary_may_contain_themselves() -> None:
    endless: list[Any] = [1]
    endless.append(endless)
    knot: dict[str, Any] = {"own": endless}
    knot["self"] = knot

    loop, tied = through(endless), through(knot)

    assert loop[1] is loop
    assert tied["self"] is tied
    assert tied["own"][1] is tied["own"]


def test_a_tuple_in_itself_is_refused_because_it_could_not_be_made() -> None:
    inner: list[Any] = []
    knot = (inner,)
    inner.append(knot)

    with pytest.raises(Unsaveable, match="it contains itself") as refused:
        written(knot)
    assert refused.value.path == "[0][0]"


def test_what_was_not_kept_gives_its_numbers_back() -> None:
    encoder = Encoder(home())
    kept: list[Any] = []
    encoder.encode(kept)
    mark = encoder.mark
    encoder.encode([[], {}])

    encoder.forget(mark)

    assert encoder.encode([kept]) == [{"$": "ref", "v": 0}]
    assert encoder.mark == 2
    assert encoder.number_of(kept) == 0
    assert encoder.number_of(LIMITS) is None


# What isn't written by value.


def test_what_the_process_has_by_a_name_is_written_by_the_name() -> None:
    at = home(modules=[__name__])

    assert written(LIMITS, at) == {"$": "name", "v": f"{__name__}:LIMITS"}
    assert through([LIMITS], at)[0] is LIMITS


def test_the_scope_and_its_copies_are_the_scope_of_the_run_that_reads() -> None:
    at = home()

    assert written(at.scope, at) == {"$": "scope", "v": None}
    assert written(dict(at.scope), at) == {"$": "scope", "v": None}
    assert through(at.scope, at) is at.scope


def test_what_a_yield_dependency_gave_is_refused_wherever_it_is() -> None:
    session = ["a session"]
    encoder = Encoder(home())
    encoder.resources = {id(session): session}

    with pytest.raises(Unsaveable, match="it comes from a dependency with `yield`") as refused:
        encoder.encode({"db": session})
    assert (refused.value.path, refused.value.value) == ("['db']", session)


def test_a_refusal_says_where_in_the_value_the_trouble_is() -> None:
    with pytest.raises(Unsaveable, match="it is a built-in function") as refused:
        written({"users": [{"ann": (1, len)}]})
    assert refused.value.path == "['users'][0]['ann'][1]"


def test_a_class_in_a_function_is_of_no_kind() -> None:
    with pytest.raises(Unsaveable, match="no way is known to save it"):
        written(type("Local", (), {}))


# Planted data.


@pytest.mark.parametrize("number", [1, -1, True, "0", None, 0.0, [0]])
def test_a_reference_to_nothing_is_refused(number: Any) -> None:
    with pytest.raises(SnapshotError, match=NOTHING_TO_REFER_TO):
        read([{"$": "ref", "v": number}])


def test_an_object_that_is_not_made_yet_can_not_be_referred_to() -> None:
    made_of_itself: dict[str, Any] = {
        "$": "exception",
        "v": ["builtins:ValueError", [{"$": "ref", "v": 0}], {}, None, False],
    }

    with pytest.raises(SnapshotError, match=NOTHING_TO_REFER_TO):
        read(made_of_itself, home(imports={"ValueError"}))


@pytest.mark.parametrize("name", ["pickle", "", "Set", "__reduce__"])
def test_a_kind_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(SnapshotError, match=f"{name!r} is no kind of value"):
        read({"$": name, "v": None})


@pytest.mark.parametrize(
    "data", [{"$": "set"}, {"$": ["set"], "v": []}, {"$": "float", "v": "x"}, {"$": "set", "v": 1}]
)
def test_whatever_is_wrong_with_a_value_is_said_with_what_was_read(data: Any) -> None:
    with pytest.raises(SnapshotError, match="the snapshot is damaged: the value can't be read"):
        read(data)


json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)
kinds = st.sampled_from([*sorted(codec._BY_NAME), "ref", "name"])
names = st.sampled_from(
    [
        "os:system",
        "builtins:eval",
        "builtins:list",
        "subprocess:Popen",
        "json:loads",
        "sys:modules",
        f"{__name__}:LIMITS",
    ]
)
planted = st.recursive(
    json_values | names,
    lambda inner: (
        st.fixed_dictionaries({"$": kinds, "v": inner | st.lists(inner, max_size=5)}) | st.lists(inner, max_size=3)
    ),
    max_leaves=12,
)


@given(data=planted)
def test_planted_data_is_read_as_values_or_refused_and_nothing_else(data: Any) -> None:
    try:
        value = read(data)
    except SnapshotError:
        return
    assert not _reaches(value, (os.system, eval, subprocess.Popen, json.loads, sys.modules))


def _reaches(value: Any, forbidden: tuple[Any, ...]) -> bool:
    """Whether one of *forbidden* is somewhere in *value*."""
    waiting, seen = [value], {id(value)}
    while waiting:
        found = waiting.pop()
        if any(found is each for each in forbidden):
            return True
        following = [each for each in gc.get_referents(found) if type(found) is not type and id(each) not in seen]
        if not isinstance(found, FunctionType | ModuleType | Home):
            waiting += following
            seen.update(map(id, following))
    return False
