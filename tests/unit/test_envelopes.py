"""Envelopes: which texts are messages, what is said of those that aren't, and what a message looks like on its way."""

import json
from contextlib import suppress
from typing import Annotated, Any, ClassVar, TypeAlias, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from gatesocket.envelopes import BadMessage, Envelope, Kinds, envelope, kinds_in, type_name
from gatesocket.exceptions import MessageTooLarge


class Say(BaseModel):
    text: str
    loud: bool = False


class TellUser(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str
    numbers: list[int] = []


class HTTPRequest2Go(BaseModel):
    pass


class Leave(BaseModel):
    type: ClassVar[str] = "bye"


Command: TypeAlias = Say | Leave
Aliased = TypeAliasType("Aliased", Command)

KINDS = Kinds[Say | TellUser | Leave](Say, TellUser, Leave)


def refusal(text: str) -> BadMessage:
    """How *text* is refused."""
    with pytest.raises(BadMessage) as caught:
        KINDS.read(text)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "name"), [(Say, "say"), (TellUser, "tell-user"), (HTTPRequest2Go, "http-request2-go"), (Leave, "bye")]
)
def test_a_type_is_the_name_of_the_class_or_its_class_variable(kind: type[BaseModel], name: str) -> None:
    assert type_name(kind) == name


def test_what_can_t_be_a_message_is_refused_with_the_remedy() -> None:
    class Tagged(BaseModel):
        type: str

    class Numbered(BaseModel):
        type: ClassVar[int] = 7

    class Long(BaseModel):
        type: ClassVar[str] = "x" * 65

    with pytest.raises(
        TypeError, match=r"expected pydantic models, as in messages\(websocket, Join \| Say\), but got 7"
    ):
        Kinds(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Tagged.type is a field, but a message's type stands beside its data"):
        type_name(Tagged)
    for kind in (Numbered, Long):
        with pytest.raises(TypeError, match=f"{kind.__name__}.type has to be a text of 1 to 64 characters"):
            type_name(kind)


def test_two_models_of_one_type_are_refused() -> None:
    class Bye(BaseModel):
        pass

    with pytest.raises(TypeError, match="Leave and .*Bye are both 'bye'"):
        Kinds[BaseModel](Leave, Bye)
    assert Kinds(Leave, Leave).by_type == {"bye": Leave}


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        (Say, [Say]),
        (Say | Leave, [Say, Leave]),
        (Union[Say, Leave], [Say, Leave]),  # noqa: UP007 - as older code has it
        (Command | TellUser, [Say, Leave, TellUser]),
        (Annotated[Say | Leave, Field(description="what can be said")], [Say, Leave]),
        (Aliased, [Say, Leave]),
    ],
)
def test_models_are_found_in_whatever_names_several(form: Any, kinds: list[type[BaseModel]]) -> None:
    assert list(kinds_in(form)) == kinds


def test_a_message_is_read_as_the_model_of_its_type() -> None:
    text = '{"type": "say", "id": "7", "ack": true, "data": {"text": "hello"}}'

    assert KINDS.read(text) == Envelope[Say](type="say", id="7", ack=True, data=Say(text="hello"))


def test_data_may_be_left_out_if_no_field_is_required() -> None:
    assert KINDS.read('{"type": "bye"}').data == Leave()
    assert [each.loc for each in refusal('{"type": "say"}').error.errors] == [["data", "text"]]


@pytest.mark.parametrize(
    ("text", "loc"),
    [
        ("", []),
        ("{", []),
        ("[]", []),
        ("{}", ["type"]),
        ('{"type": 7}', ["type"]),
        ('{"type": "say", "data": 7}', ["data"]),
        ('{"type": "say", "id": 7}', ["id"]),
        ('{"type": "say", "id": ""}', ["id"]),
        ('{"type": "say", "more": 7}', ["more"]),
        ('{"type": "say", "ack": true}', []),
        ('{"type": "' + "x" * 65 + '"}', ["type"]),
        ("[" * 10_000, []),
    ],
)
def test_a_text_that_is_no_envelope_is_malformed(text: str, loc: list[str]) -> None:
    error = refusal(text).error

    assert error.code == "malformed"
    assert [each.loc for each in error.errors] == [loc]
    assert error.detail == f"{loc[0]}: {error.errors[0].msg}" if loc else error.errors[0].msg


def test_an_error_answers_to_the_id_that_could_be_read() -> None:
    assert refusal('{"type": 7, "id": "7"}').answers == "7"
    for text in ("{", "[]", '{"type": "no", "id": 7}', '{"type": "no", "id": ""}', json.dumps({"id": "x" * 65})):
        assert refusal(text).answers is None


def test_an_unknown_type_is_told_which_there_are() -> None:
    error = refusal('{"type": "shout", "data": {}}').error

    assert (error.code, error.detail) == ("unknown-type", "no type 'shout'; there are bye, say, tell-user")


def test_an_error_repeats_nothing_at_length_of_what_a_client_sent() -> None:
    many = {"user": "secret", "numbers": ["wrong"] * 1000, "x" * 10_000: 1}
    error = refusal(json.dumps({"type": "tell-user", "data": many})).error
    made_up = refusal(json.dumps({"type": "tell-user", "data": {"user": "secret", "x" * 10_000: 1}})).error

    assert len(error.errors) == 20
    assert error.detail.count("; ") == 2
    assert made_up.errors[0].loc == ["data", "x" * 64]
    assert "secret" not in error.model_dump_json() + made_up.model_dump_json()
    assert len(error.model_dump_json()) < 8192


def test_an_envelope_names_type_id_and_data() -> None:
    assert envelope(Leave(), id="7") == '{"type":"bye","id":"7","data":{}}'
    assert envelope(Say(text="größe")) == '{"type":"say","data":{"text":"größe","loud":false}}'


def test_an_envelope_has_the_limits_of_any_message() -> None:
    with pytest.raises(MessageTooLarge, match="128|131072"):
        envelope(Say(text="x" * 131_072))


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_any_text_is_a_message_or_is_refused(text: str) -> None:
    assert refusal(text).error.code in {"malformed", "unknown-type", "invalid"}


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["say", "bye", "tell-user", "no"])},
        optional={
            "id": st.text(max_size=70) | st.integers(),
            "data": st.dictionaries(st.sampled_from(["text", "user", "numbers", "loud"]), st.text() | st.booleans()),
        },
    )
)
def test_any_envelope_is_read_as_its_type_or_refused(message: dict[str, Any]) -> None:
    read: Envelope[Say | TellUser | Leave] | None = None
    with suppress(BadMessage):
        read = KINDS.read(json.dumps(message))

    if read is None:
        assert refusal(json.dumps(message)).answers in {None, message.get("id")}
    else:
        assert (type_name(type(read.data)), read.id) == (message["type"], message.get("id"))


@given(st.builds(Say, text=st.text(st.characters(codec="utf-8")), loud=st.booleans()), st.none() | st.just("7"))
def test_what_is_put_into_an_envelope_is_read_from_it(message: Say, id: str | None) -> None:  # noqa: A002
    read = KINDS.read(envelope(message, id=id))

    assert (read.data, read.id) == (message, id)
