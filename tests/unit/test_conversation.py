"""The conversation between an app and one connection, without I/O."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.conversation import (
    BINARY_PREFIX,
    TRANSITIONS,
    Close,
    Conversation,
    HoldBack,
    Post,
    State,
    advance,
    received,
)
from gatesocket.exceptions import ApplicationProtocolError, ConnectionGone

CONNECTING = Conversation("c")
ACCEPTED = Conversation("c", State.ACCEPTED)
OPEN = Conversation("c", State.OPEN)

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 1008, "reason": "no token"}


def text(value: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": value}


def test_an_accept_answers_the_handshake_with_200() -> None:
    conversation, effect = advance(CONNECTING, ACCEPT)

    assert (conversation.state, conversation.status, conversation.headers, effect) == (State.ACCEPTED, 200, (), None)


def test_a_chosen_subprotocol_is_the_only_header_of_the_answer() -> None:
    conversation, _ = advance(CONNECTING, {**ACCEPT, "subprotocol": "chat.v1", "headers": [(b"set-cookie", b"a=b")]})

    assert conversation.headers == (("Sec-WebSocket-Protocol", "chat.v1"),)


def test_a_close_before_the_accept_refuses_the_handshake_with_403() -> None:
    conversation, effect = advance(CONNECTING, CLOSE)

    assert (conversation.state, conversation.status, conversation.code, effect) == (State.REFUSED, 403, 1006, None)


def test_a_denial_response_refuses_the_handshake_with_its_own_status_headers_and_body() -> None:
    conversation, _ = advance(
        CONNECTING,
        {"type": "websocket.http.response.start", "status": 401, "headers": [(b"www-authenticate", b"Bearer")]},
    )
    assert conversation.state is State.DENYING

    conversation, _ = advance(
        conversation, {"type": "websocket.http.response.body", "body": b"who are ", "more_body": True}
    )
    assert conversation.state is State.DENYING

    conversation, _ = advance(conversation, {"type": "websocket.http.response.body", "body": b"you?"})
    assert (conversation.state, conversation.status, conversation.headers, conversation.body) == (
        State.REFUSED,
        401,
        (("www-authenticate", "Bearer"),),
        b"who are you?",
    )


def test_a_denial_response_may_have_neither_headers_nor_body() -> None:
    conversation, _ = advance(CONNECTING, {"type": "websocket.http.response.start", "status": 404})
    conversation, _ = advance(conversation, {"type": "websocket.http.response.body"})

    assert (conversation.status, conversation.headers, conversation.body) == (404, (), b"")


def test_a_text_sent_before_the_socket_is_live_is_held_back() -> None:
    conversation, effect = advance(ACCEPTED, text("welcome"))

    assert (conversation.held_back, effect) == (1, HoldBack("welcome"))


def test_a_text_sent_through_a_live_socket_is_posted() -> None:
    assert advance(OPEN, text("hello")) == (OPEN, Post("hello"))


def test_a_close_after_the_accept_with_nothing_sent_refuses_the_handshake() -> None:
    conversation, effect = advance(ACCEPTED, CLOSE)

    assert (conversation.state, conversation.status, conversation.headers, effect) == (State.REFUSED, 403, (), None)


def test_a_close_after_something_was_sent_opens_the_connection_first() -> None:
    conversation, _ = advance(ACCEPTED, text("sorry"))
    conversation, effect = advance(conversation, CLOSE)

    assert (conversation.state, conversation.status, conversation.code, conversation.reason) == (
        State.CLOSED,
        200,
        1008,
        "no token",
    )
    assert effect == Close()


def test_a_close_of_a_live_socket_ends_it_with_its_code() -> None:
    conversation, effect = advance(OPEN, CLOSE)

    assert (conversation.state, conversation.code, conversation.reason, effect) == (
        State.CLOSED,
        1008,
        "no token",
        Close(),
    )


def test_a_close_without_a_code_is_a_normal_one() -> None:
    conversation, _ = advance(OPEN, {"type": "websocket.close", "reason": None})

    assert (conversation.code, conversation.reason) == (1000, "")


def test_bytes_are_refused_with_the_remedy() -> None:
    with pytest.raises(ApplicationProtocolError, match='API Gateway has no binary messages.*binary="base64"'):
        advance(OPEN, {"type": "websocket.send", "bytes": b"\x00"})


def test_bytes_are_sent_as_a_data_url_when_that_was_agreed() -> None:
    _, effect = advance(replace(OPEN, binary=True), {"type": "websocket.send", "bytes": b"\x00\xff", "text": None})

    assert effect == Post("data:;base64,AP8=")


def test_a_message_that_does_not_fit_names_what_would() -> None:
    with pytest.raises(ApplicationProtocolError) as caught:
        advance(CONNECTING, text("too early"))

    assert str(caught.value) == (
        "expected 'websocket.accept', 'websocket.close', 'websocket.http.response.start' from an app whose connection "
        "is CONNECTING, but got 'websocket.send'"
    )


@pytest.mark.parametrize("state", [State.CLOSED, State.REFUSED])
def test_nothing_may_be_sent_after_a_close(state: State) -> None:
    with pytest.raises(ApplicationProtocolError, match="expected nothing more .*'websocket.close'"):
        advance(Conversation("c", state), CLOSE)


def test_a_send_to_a_client_that_has_left_is_an_os_error() -> None:
    with pytest.raises(OSError, match="connection 'c' is gone") as caught:
        advance(Conversation("c", State.GONE), text("hello?"))

    assert isinstance(caught.value, ConnectionGone)


@pytest.mark.parametrize(
    ("state", "ended"), [(state, state in {State.REFUSED, State.CLOSED, State.GONE}) for state in State]
)
def test_a_connection_has_ended_when_no_message_can_come(state: State, ended: bool) -> None:
    assert Conversation("c", state).ended is ended


MESSAGES = st.one_of(
    st.builds(text, st.text()),
    st.builds(lambda value: {"type": "websocket.send", "bytes": value}, st.binary()),
    st.sampled_from(
        [
            ACCEPT,
            CLOSE,
            {"type": "websocket.http.response.start", "status": 401},
            {"type": "websocket.http.response.body"},
            {"type": "http.response.start"},
            {},
        ]
    ),
)


@given(st.lists(MESSAGES, max_size=8))
def test_whatever_an_app_sends_is_done_or_refused_and_nothing_is_sent_after_the_end(
    messages: list[dict[str, Any]],
) -> None:
    conversation = CONNECTING
    for message in messages:
        before = conversation
        try:
            conversation, effect = advance(conversation, message)
        except ApplicationProtocolError:
            assert conversation is before
            continue
        assert not before.ended
        assert message["type"] in TRANSITIONS[before.state]
        assert isinstance(effect, HoldBack) == (before.state is State.ACCEPTED and message["type"] == "websocket.send")


def test_a_clients_text_is_received_as_text() -> None:
    assert received("hi", binary=False) == {"type": "websocket.receive", "text": "hi"}


def test_a_data_url_is_received_as_text_unless_binary_was_agreed() -> None:
    assert received(BINARY_PREFIX + "AP8=", binary=False)["text"] == "data:;base64,AP8="
    assert received(BINARY_PREFIX + "AP8=", binary=True)["bytes"] == b"\x00\xff"


def test_a_text_that_only_begins_like_a_data_url_stays_text() -> None:
    assert received(BINARY_PREFIX + "not base64!", binary=True)["text"] == "data:;base64,not base64!"


@given(st.binary())
def test_bytes_come_back_from_their_text_form(data: bytes) -> None:
    _, effect = advance(replace(OPEN, binary=True), {"type": "websocket.send", "bytes": data})

    assert isinstance(effect, Post)
    assert received(effect.text, binary=True)["bytes"] == data
