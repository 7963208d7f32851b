"""The chat's envelope: what is read from a client, and what it is told of its mistakes."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chat.messages import BadMessageError, Event, Ping, Reply, Say, TellUser, Who, Work, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = (Say, TellUser, Who, Ping, Work)


def answer_to(text: str) -> Reply | None:
    """What a client is told of *text*; None if there is nothing wrong with it."""
    try:
        read(text, *KINDS)
    except BadMessageError as error:
        return error.reply
    return None


def test_a_message_is_read_into_its_id_and_its_data() -> None:
    text = '{"type": "say", "id": "7", "data": {"text": " Hello "}}'
    assert read(text, *KINDS) == ("7", Say(text="Hello"))


def test_id_and_data_may_be_left_out() -> None:
    assert read('{"type": "ping"}', *KINDS) == (None, Ping())


def test_a_type_that_is_not_expected_here_is_named_with_those_that_are() -> None:
    with pytest.raises(BadMessageError, match="^type: expected one of say, work, got 'ping'$"):
        read('{"type": "ping"}', Say, Work)


def test_an_error_repeats_the_id_of_the_message_that_it_answers() -> None:
    problem = {"code": "invalid", "message": "data.text: Field required"}
    assert answer_to('{"type": "say", "id": "7"}') == Reply(type="error", id="7", data=problem)


@pytest.mark.parametrize("length", [0, 4001])
def test_a_text_has_between_1_and_4000_characters(length: int) -> None:
    assert answer_to(json.dumps({"type": "say", "data": {"text": "x" * length}})) is not None
    assert answer_to(json.dumps({"type": "say", "data": {"text": "x" * 4000}})) is None


@given(st.text() | JSON.map(json.dumps))
def test_whatever_a_client_sends_is_read_or_answered(text: str) -> None:
    answer = answer_to(text)
    assert answer is None or (answer.type, bool(answer.data["message"])) == ("error", True)


@given(JSON)
def test_data_that_do_not_fit_are_answered_with_the_id_where_the_envelope_is_sound(data: object) -> None:
    answer = answer_to(json.dumps({"type": "work", "id": "7", "data": data}))
    assert answer is not None
    assert answer.data["code"] == "invalid"
    assert answer.id == ("7" if isinstance(data, dict) else None)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4000))
def test_every_text_that_can_be_said_is_read_as_it_was_said(text: str) -> None:
    assume(text.strip())
    assert read(json.dumps({"type": "say", "data": {"text": text}}), *KINDS) == (None, Say(text=text))


@given(JSON.filter(lambda value: isinstance(value, dict)))
def test_what_the_server_says_has_the_form_of_an_envelope(data: dict[str, object]) -> None:
    assert json.loads(Event(type="said", data=data).model_dump_json()) == {"type": "said", "data": data}
