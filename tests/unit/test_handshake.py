"""How a handshake is answered."""

from dataclasses import replace

import pytest

from gatesocket.conversation import Conversation, State
from gatesocket.handshake import Answer, answer

CONVERSATION = Conversation("TXzPWdnOjoECGjA=")
CHOSEN = (("Sec-WebSocket-Protocol", "chat"),)


def test_a_refusal_is_answered_with_what_the_route_has_said() -> None:
    refused = replace(CONVERSATION, state=State.REFUSED, status=401, headers=(("x-why", "token"),), body=b"no token")

    assert answer(refused, speaks=False, failed=False) == Answer(401, (("x-why", "token"),), b"no token")


def test_a_route_that_waits_or_has_spoken_is_let_in_with_its_subprotocol() -> None:
    accepted = replace(CONVERSATION, state=State.ACCEPTED, headers=CHOSEN)

    assert answer(accepted, speaks=True, failed=False) == Answer(200, CHOSEN)


@pytest.mark.parametrize(("failed", "status"), [(False, 403), (True, 500)])
def test_a_client_that_would_hear_nothing_is_not_let_in(failed: bool, status: int) -> None:
    accepted = replace(CONVERSATION, state=State.ACCEPTED, headers=CHOSEN)

    assert answer(accepted, speaks=False, failed=failed) == Answer(status)


@pytest.mark.parametrize(("failed", "status"), [(False, 200), (True, 500)])
def test_a_client_that_is_to_see_the_close_is_let_in_for_it(failed: bool, status: int) -> None:
    accepted = replace(CONVERSATION, state=State.ACCEPTED, opens=True)

    assert answer(accepted, speaks=False, failed=failed) == Answer(status)


@pytest.mark.parametrize("state", [State.CONNECTING, State.DENYING])
@pytest.mark.parametrize("failed", [False, True])
def test_a_route_that_ends_without_an_answer_is_a_server_error_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
    state: State,
    failed: bool,
) -> None:
    assert answer(replace(CONVERSATION, state=state), speaks=False, failed=failed) == Answer(500)
    # What failed was logged with its exception.
    assert ("ended without answering the handshake" in caplog.text) is not failed
