"""The chat's messages: what each is called, and what its fields may hold."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from chat.messages import Joined, Name, Ping, Room, Say, TellConnection, TellUser, Typing, Welcome, Who, Work
from gatesocket.envelopes import BadMessage, Kinds, envelope

KINDS = Kinds[BaseModel](Say, TellUser, TellConnection, Typing, Who, Ping, Work)


def is_read(**message: object) -> bool:
    """Whether a message is one of a client's."""
    try:
        KINDS.read(json.dumps(message))
    except BadMessage:
        return False
    return True


def test_a_message_is_called_as_the_page_calls_it() -> None:
    assert set(KINDS.by_type) == {"say", "tell-user", "tell-connection", "typing", "who", "ping", "work"}
    assert json.loads(envelope(Joined(name="ann"))) == {"type": "joined", "data": {"name": "ann"}}


@pytest.mark.parametrize("length", [0, 4001])
def test_a_text_has_between_1_and_4000_characters(length: int) -> None:
    assert not is_read(type="say", data={"text": "x" * length})
    assert is_read(type="say", data={"text": "x" * 4000})


def test_a_field_that_a_message_does_not_have_is_an_error() -> None:
    assert is_read(type="who")
    assert not is_read(type="who", data={"room": "lobby"})
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Welcome(room="lobby", name="ann", connection="x", people=[], secret="x")  # type: ignore[call-arg]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4000))
def test_every_text_that_can_be_said_is_read_as_it_was_said(text: str) -> None:
    assume(text.strip())
    assert KINDS.read(json.dumps({"type": "say", "data": {"text": text}})).data == Say(text=text)


@pytest.mark.parametrize(("room", "fits"), [("lobby", True), ("two-words", True), ("*", False), ("", False)])
def test_a_room_is_no_group_of_everyone(room: Room, fits: bool) -> None:
    class Place(BaseModel):
        room: Room
        name: Name = "guest"

    if fits:
        assert Place(room=room).room == room
    else:
        with pytest.raises(ValidationError):
            Place(room=room)
