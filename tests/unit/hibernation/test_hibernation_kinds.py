"""Plain values: what goes into a snapshot comes out of it, as the same type and at the same place."""

import collections
import datetime as dt
import decimal
import fractions
import io
import ipaddress
import itertools
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation.codec import Unsaveable
from support.values import home, read, through, written

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

zones = st.none() | st.just(dt.UTC) | st.just(BERLIN) | st.timezones()
offsets = st.timedeltas(min_value=dt.timedelta(hours=-23), max_value=dt.timedelta(hours=23))
fixed_zones = st.builds(dt.timezone, offsets) | st.builds(dt.timezone, offsets, st.text(max_size=4))
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.complex_numbers(allow_nan=False),
    st.dates(),
    st.datetimes(timezones=zones),
    st.times(),
    st.times(timezones=fixed_zones),
    st.timedeltas(),
    fixed_zones,
    st.decimals(allow_nan=False),
    st.fractions(),
    st.ip_addresses(),
    st.uuids(),
    st.builds(pathlib.PurePosixPath, st.text("abc/.", max_size=8)),
    st.builds(range, st.integers(), st.integers(), st.integers(min_value=1)),
    st.just(...),
)
hashable = st.recursive(atoms, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
values = st.recursive(
    hashable,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(hashable, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        st.builds(collections.OrderedDict, st.dictionaries(hashable, inner, max_size=3)),
        st.builds(collections.deque, st.lists(inner, max_size=4), st.none() | st.integers(min_value=4, max_value=9)),
    ),
    max_leaves=12,
)


@given(value=values)
def test_any_value_of_these_kinds_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    found = through(value)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\xff",
        decimal.Decimal("1.10"),
        decimal.Decimal("NaN"),
        fractions.Fraction(1, 3),
        ipaddress.IPv6Address("2001:db8::1"),
        uuid.UUID(int=7),
        BERLIN,
        pathlib.Path("/tmp/x"),
        pathlib.PureWindowsPath("C:/x"),
        dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        dt.time(2, 30, tzinfo=dt.timezone(dt.timedelta(hours=2), "CEST"), fold=1),
        dt.UTC,
        dt.timezone(dt.timedelta(0), "GMT"),
        slice(1, None, [2]),
        types.SimpleNamespace(a=[1], b="x"),
        collections.Counter("hello"),
        re.compile(r"(?i)a+", re.ASCII),
        re.compile(rb"a+"),
        ...,
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_reads_the_same_afterwards(value: Any) -> None:
    found = through(value)

    assert repr(found) == repr(value)
    assert type(found) is type(value)


def test_utc_is_the_one_that_there_is() -> None:
    assert through(dt.UTC) is dt.UTC
    assert through(BERLIN) is BERLIN


def test_a_fold_survives_the_change_of_the_clocks() -> None:
    second = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)

    assert through(second).utcoffset() == dt.timedelta(hours=1)


def test_a_time_zone_without_a_key_is_refused() -> None:
    counts = b"".join(number.to_bytes(4, "big") for number in (0, 0, 0, 0, 1, 4))
    file = io.BytesIO(b"TZif" + bytes(16) + counts + bytes(6) + b"UTC\0")

    with pytest.raises(Unsaveable, match="it was read from a file and has no key"):
        written(zoneinfo.ZoneInfo.from_file(file))


# Containers.


def test_a_bytearray_stays_one_object_that_can_change() -> None:
    first, second = through([buffer := bytearray(b"ab"), buffer])
    first.append(99)

    assert second == b"abc"


def test_a_defaultdict_goes_on_making_its_defaults() -> None:
    found = through(collections.defaultdict(list, {"a": [1]}))

    found["b"].append(2)

    assert found == {"a": [1], "b": [2]}
    assert type(found) is collections.defaultdict


def test_a_deque_goes_on_forgetting_what_is_too_much() -> None:
    found = through(collections.deque([1, 2, 3], maxlen=3))

    found.append(4)

    assert list(found) == [2, 3, 4]


def test_a_set_and_a_namespace_may_contain_what_refers_to_them() -> None:
    space = types.SimpleNamespace(members=[])
    space.members.append(space)

    found = through(space)

    assert found.members[0] is found


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {1: open}}, "['a'][1]"),
        ((0, open), "[1]"),
        (types.SimpleNamespace(f=open), ".f"),
        ({"f": {open}}, "['f']{…}"),
        ({open: 1, 2: 3}, "{key}"),
        (collections.deque([open]), "[0]"),
        (enumerate([open]), "(…)(…)[0]"),
    ],
)
def test_the_refusal_of_an_item_says_which_it_is(value: Any, path: str) -> None:
    with pytest.raises(Unsaveable) as refused:
        written(value)
    assert refused.value.path == path


# Iterators: a `for` goes on where it was.

RUNNING: dict[str, Callable[[], Iterator[Any]]] = {
    "list": lambda: iter([1, 2, 3]),
    "tuple": lambda: iter((1, 2, 3)),
    "str": lambda: iter("abc"),
    "str beyond ASCII": lambda: iter("aäé"),
    "bytes": lambda: iter(b"abc"),
    "range": lambda: iter(range(3)),
    "a range of large numbers": lambda: iter(range(1 << 70, (1 << 70) + 3)),
    "dict": lambda: iter({"a": 1, "b": 2, "c": 3}),
    "values": lambda: iter({"a": 1, "b": 2, "c": 3}.values()),
    "items": lambda: iter({"a": 1, "b": 2, "c": 3}.items()),
    "set": lambda: iter({1, 2, 3}),
    "deque": lambda: iter(collections.deque([1, 2, 3])),
    "reversed list": lambda: reversed([1, 2, 3]),
    "reversed tuple": lambda: reversed((1, 2, 3)),
    "enumerate": lambda: iter(enumerate(["a", "b", "c"], start=5)),
    "zip": lambda: zip("abc", [1, 2, 3], strict=False),
    "map": lambda: map(str, [1, 2, 3]),
    "filter": lambda: filter(None, [1, 0, 2, 3]),
    "count": lambda: itertools.islice(itertools.count(3, 2), 3),
    "nested": lambda: iter(enumerate(zip(range(3), reversed([1, 2, 3]), strict=False))),
}


@pytest.mark.parametrize("taken", range(4))
@pytest.mark.parametrize("kind", [kind for kind in RUNNING if kind != "count"])
def test_an_iterator_goes_on_behind_what_it_has_given(kind: str, taken: int) -> None:
    iterator, same = RUNNING[kind](), RUNNING[kind]()
    for _ in range(taken):
        assert next(iterator) == next(same)

    assert list(through(iterator)) == list(same)


@pytest.mark.parametrize("kind", [kind for kind in RUNNING if kind != "count"])
def test_an_iterator_that_has_ended_has_ended(kind: str) -> None:
    iterator = RUNNING[kind]()
    list(iterator)

    assert list(through(iterator)) == []


def test_a_list_and_its_iterator_stay_together() -> None:
    names = ["ann", "bob"]
    found, iterator = through([names, iter(names)])

    found.append("cy")

    assert list(iterator) == ["ann", "bob", "cy"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (itertools.count(), [0, 1]),
        (itertools.count(5), [5, 6]),
        (itertools.count(5, -2), [5, 3]),
        (itertools.count(0.5), [0.5, 1.5]),
        (itertools.count(1, 0.25), [1, 1.25]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_count_goes_on(count: Iterator[float], expected: list[float]) -> None:
    found = through(count)

    assert [next(found), next(found)] == expected


# Planted data.


@pytest.mark.parametrize(
    "kind", ["bytes", "complex", "date", "decimal", "fraction", "ip4", "ip6", "uuid", "zone", "PosixPath"]
)
@pytest.mark.parametrize("data", [None, 1, [], {"a": 1}, ["x"]])
def test_a_text_that_is_none_is_refused(kind: str, data: Any) -> None:
    with pytest.raises(SnapshotError, match=f"a {kind} is not written as"):
        read({"$": kind, "v": data})


def test_a_regular_expression_of_unlikely_length_is_refused() -> None:
    with pytest.raises(SnapshotError, match="a regular expression has 10001 characters"):
        read({"$": "pattern", "v": ["a" * 10_001, 0]})


def test_a_pattern_is_not_compiled_with_debug_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert through(re.compile("ab")).pattern == "ab"
    assert read({"$": "pattern", "v": ["xyz", re.DEBUG | re.IGNORECASE]}).flags & re.IGNORECASE
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data",
    [
        {"$": "date", "v": "yesterday"},
        {"$": "zone", "v": "../../etc/passwd"},
        {"$": "datetime", "v": ["2026-01-01T00:00:00", 5, 0]},
        {"$": "timedelta", "v": [1 << 80]},
        {"$": "range", "v": []},
        {"$": "iter-list", "v": [[5], None]},
        {"$": "iter-range", "v": [[{"$": "range", "v": [3]}], "x"]},
        {"$": "deque", "v": [-1, []]},
        {"$": "Counter", "v": [[[], 1]]},
        {"$": "count", "v": ["a"]},
        {"$": "pattern", "v": ["(", 0]},
        {"$": "bytearray", "v": 5},
    ],
    ids=lambda data: str(data["$"]),
)
def test_contents_that_can_not_be_are_refused(data: Any) -> None:
    with pytest.raises(SnapshotError, match="the value can't be read"):
        read(data, home())
