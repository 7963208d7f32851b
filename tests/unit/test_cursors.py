"""How a message tells how far a history has come, and what a client may say of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.cursors import Cursor, checked, cursor_of, marker, read, tag_of, with_cursor
from gatesocket.exceptions import MessageTooLarge
from gatesocket.limits import MESSAGE_BYTES
from gatesocket.registry.base import Kept, Place

RUN = 1_700_000_000
LOBBY = Cursor(tag_of("lobby"), Place(RUN, 7), RUN + 60)

numbers = st.integers(0, 10**12 - 1)
values = st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists, max_leaves=5)
objects = st.dictionaries(st.text().filter(lambda name: name != "cursor"), values, max_size=4)


def test_a_cursor_is_a_short_text_that_an_address_can_carry() -> None:
    assert cursor_of("lobby", Kept(Place(RUN, 7), "{}", RUN + 60, RUN + 360)) == LOBBY
    assert str(LOBBY) == f"{tag_of('lobby')}.1700000000.7.1700000060"


@given(st.text(), numbers, numbers, numbers)
def test_a_cursor_is_read_as_it_was_written(group: str, run: int, index: int, at: int) -> None:
    cursor = Cursor(tag_of(group), Place(run, index), at)
    assert read(str(cursor), [group]) == {group: cursor}


def test_each_group_finds_its_own_among_several() -> None:
    attic = Cursor(tag_of("attic"), Place(RUN, 1), RUN)
    assert read(f"{attic},{LOBBY}", ["attic", "cellar", "lobby"]) == {"attic": attic, "lobby": LOBBY}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        ",,,",
        str(LOBBY)[:-11],
        str(LOBBY).replace("7", "-7"),
        str(LOBBY).replace("7", "\N{ARABIC-INDIC DIGIT SEVEN}"),
        f"{LOBBY} ",
        f"{LOBBY}\n",
        f"{LOBBY}.1",
        f"{tag_of('lobby')}.{10**12}.1.1",
        str(Cursor(tag_of("attic"), Place(RUN, 7), RUN)),
        "x" * 5000 + f",{LOBBY}",
    ],
)
def test_what_is_no_cursor_of_the_group_is_left_out(text: str) -> None:
    assert read(text, ["lobby"]) == {}


@given(st.text())
def test_no_text_that_a_client_may_send_is_an_error(text: str) -> None:
    read(text, ["lobby"])


@given(objects, st.booleans())
def test_a_cursor_becomes_the_last_member_of_an_object(value: dict[str, object], indented: bool) -> None:
    text = json.dumps(value, indent=2 if indented else None)
    sent = with_cursor(checked(f"\n {text}\t"), LOBBY)
    assert list(json.loads(sent).items()) == [*value.items(), ("cursor", str(LOBBY))]


@pytest.mark.parametrize("text", ["hello", "", "[1]", '"{}"', "null", "{", "[" * 100_000])
def test_what_is_no_object_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a JSON object.* leave keep=True out"):
        checked(text)


def test_an_object_with_a_cursor_of_its_own_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"without a member 'cursor'.* leave keep=True out"):
        checked('{"cursor": 1}')


def test_a_cursor_counts_for_the_size_of_a_message() -> None:
    room = MESSAGE_BYTES - len(with_cursor('{"a":""}', LOBBY)) - 20
    checked('{"a":"%s"}' % ("x" * room))
    with pytest.raises(MessageTooLarge):
        checked('{"a":"%s"}' % ("x" * (room + 40)))


def test_a_marker_says_where_the_history_goes_on_and_whether_anything_is_missing() -> None:
    assert json.loads(marker(LOBBY, complete=False)) == {
        "type": "history",
        "cursor": str(LOBBY),
        "complete": False,
    }
