"""How much one record holds."""

import pytest

from gatesocket import limits
from gatesocket.registry.base import Entry, Record
from gatesocket.registry.bounds import RESERVE, Bounds, entry_bytes, inbox_bytes, kept_bytes


def test_inbox_and_the_rest_fill_an_item() -> None:
    bounds = Bounds(inbox_bytes=100_000)
    assert bounds.inbox_bytes + bounds.kept_bytes + RESERVE == limits.ITEM_BYTES


def test_both_parts_have_room_for_the_largest_message() -> None:
    bounds = Bounds()
    assert entry_bytes(Entry("message", "m1", "x" * limits.MESSAGE_BYTES)) <= bounds.inbox_bytes
    assert bounds.kept_bytes > limits.MESSAGE_BYTES


@pytest.mark.parametrize(
    ("entries", "size"), [(0, 1000), (1, 0), (1, limits.ITEM_BYTES), (1, limits.ITEM_BYTES - RESERVE)]
)
def test_bounds_that_leave_nothing_are_refused(entries: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"but the bounds are {entries} entries and {size} bytes"):
        Bounds(inbox_entries=entries, inbox_bytes=size)


def test_bytes_are_those_of_utf_8() -> None:
    assert entry_bytes(Entry("message", "m1", "é")) == entry_bytes(Entry("message", "m1", "ab"))
    assert inbox_bytes([Entry("message", "m1"), Entry("message", "m2")]) == 2 * entry_bytes(Entry("message", "m1"))
    record = Record("c", b"1234", 1, 2, snapshot=b"12", outbox=("é",), groups=frozenset({"ab"}), user="abc")
    assert kept_bytes(record) == 4 + 2 + 2 + 2 + 3
