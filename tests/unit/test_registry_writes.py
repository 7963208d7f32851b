"""The conditional writes, as what DynamoDB would refuse before it looks at any item."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.registry import writes
from gatesocket.registry.base import Changes, Entry, Lease, Record
from gatesocket.registry.bounds import Bounds
from gatesocket.registry.writes import Write

LEASE = Lease("holder", 1000)
HELLO = Entry("message", "m1", "hello")
LEFT = Entry("disconnect", "r1", "", 1001)
RECORD = Record("c", b"", 1, 2, snapshot=b"", lease=LEASE, user="ann")
BOUNDS = Bounds()


def consistent(write: Write) -> bool:
    """Whether the placeholders in the expressions are exactly those that are given; DynamoDB refuses any others."""
    expressions = f"{write.update} {write.condition}"
    names, values = set(re.findall(r"#\w+", expressions)), set(re.findall(r":\w+", expressions))
    return names == set(write.names) and values == set(write.values)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(writes.take(HELLO, LEASE, now=1, bounds=BOUNDS), id="take"),
        pytest.param(writes.take(LEFT, LEASE, now=1, bounds=BOUNDS), id="take, unbounded"),
        pytest.param(writes.append(HELLO, now=1, bounds=BOUNDS), id="append"),
        pytest.param(writes.append(LEFT, now=1, bounds=BOUNDS), id="append, unbounded"),
        pytest.param(writes.hold_back(HELLO, now=1, bounds=BOUNDS), id="hold back"),
        pytest.param(writes.join("lobby"), id="join"),
        pytest.param(writes.leave("lobby"), id="leave"),
        pytest.param(writes.put(), id="put"),
        pytest.param(writes.stop_waiting(), id="stop waiting"),
        pytest.param(writes.delete("holder"), id="delete"),
    ],
)
def test_every_placeholder_is_given_and_none_for_nothing(write: Write) -> None:
    assert consistent(write)


names = st.frozensets(st.text(min_size=1), max_size=4)


@given(names, names, st.none() | st.text(min_size=1), st.none() | st.integers(0), st.booleans())
def test_a_release_names_each_group_by_a_placeholder(
    joined: frozenset[str], left: frozenset[str], user: str | None, due: int | None, asleep: bool
) -> None:
    """A group's name may hold anything, even what means something in an expression."""
    changes = Changes(b"after", joined=joined - left, left=left, user=user, due=due, asleep=asleep)
    write = writes.release(RECORD, LEASE, changes, seen=1, now=1)
    assert consistent(write)
    assert set(write.groups.values()) == joined | left


def test_a_bound_is_a_condition_except_for_what_empties_the_inbox() -> None:
    wake = Entry("wake", "w")
    assert writes.ROOM in writes.take(HELLO, LEASE, now=1, bounds=BOUNDS).condition
    assert writes.ROOM not in writes.take(LEFT, LEASE, now=1, bounds=BOUNDS).condition
    assert writes.ROOM not in writes.append(LEFT, now=1, bounds=BOUNDS).condition
    assert writes.ROOM not in writes.take(wake, LEASE, now=1, bounds=BOUNDS).condition
    assert writes.ROOM in writes.append(wake, now=1, bounds=BOUNDS).condition


def test_nobody_stays_nobody_without_a_write() -> None:
    nobody = Record("c", b"", 1, 2, lease=LEASE)
    assert "#user" not in writes.release(nobody, LEASE, Changes(b"after"), seen=1, now=1).names
    assert "#user" in writes.release(RECORD, LEASE, Changes(b"after"), seen=1, now=1).names
