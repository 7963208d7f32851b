"""The Python client, against sockets that the test plays and a clock that jumps.

The tests of the same for browsers are tests/javascript/connection.test.js, in about the same order.
"""

import asyncio
import functools
import inspect
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Self

import pytest
from pydantic import BaseModel
from websockets.protocol import State as SocketState

import gatesocket.client
from gatesocket.client import DIRECTORY, Connection, State
from gatesocket.exceptions import ConnectionEnded, MessageTooLarge, OutboxFull
from support.played_sockets import PlayedSockets, refusal, settle
from support.virtual_time import in_virtual_time

MINUTE = 60
HAND_OVER = 115 * MINUTE  # by the longest draw
CONNECTING, OPEN, CLOSED = State("connecting"), State("open"), State("closed", code=1000)


def virtual(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on an event loop whose time jumps, and see that it leaves no task behind."""

    @functools.wraps(test)
    def run() -> None:
        async def main() -> None:
            await test()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        in_virtual_time(main)

    return run


class Client:
    """A connection, and what it has told so far. Chance takes the longest of each draw."""

    def __init__(self, url: Any = "wss://example.com/ws", **options: Any) -> None:
        self.sockets = PlayedSockets()
        self.states: list[State] = []
        self.messages: list[Any] = []
        self.connection = Connection(
            url, **{"connect": self.sockets, "random": lambda: 1.0, "on_state": self.states.append, **options}
        )

    async def __aenter__(self) -> Self:
        await self.connection.__aenter__()
        await settle()
        return self

    async def __aexit__(self, *raised: Any) -> None:  # noqa: PYI036  # handed on as they are
        for socket in self.sockets:
            await socket.move()
        await self.connection.__aexit__(*raised)

    def is_handing_over(self) -> bool:
        return self.connection.handing_over

    async def take(self, number: int) -> list[Any]:
        """Receive so many messages, of those that have come."""
        async with asyncio.timeout(1):
            return [await self.connection.recv() for _ in range(number)]


class Opened(Client):
    """A client whose first socket is open."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.sockets[0].accept()
        return self


@virtual
async def test_it_connects_sends_and_receives_json() -> None:
    async with Client(subprotocols=["chat"]) as client:
        socket = client.sockets[0]
        assert (socket.address, socket.subprotocols) == ("wss://example.com/ws", ["chat"])
        await socket.accept()
        await client.connection.send({"type": "say"})
        await client.connection.send("a text as it is")
        assert socket.sent == ['{"type":"say"}', "a text as it is"]
        await socket.says('{"type": "said"}')
        assert await client.connection.recv() == {"type": "said"}
    assert client.states == [CONNECTING, OPEN, CLOSED]
    assert client.connection.state == CLOSED
    assert socket.closed_with == (1000, "")


@virtual
async def test_a_model_is_sent_as_json() -> None:
    class Say(BaseModel):
        text: str

    async with Opened() as client:
        await client.connection.send(Say(text="hello"))
        assert client.sockets[0].sent == ['{"text":"hello"}']


@virtual
async def test_an_iteration_goes_on_through_any_number_of_sockets_and_ends_with_a_close() -> None:
    heard = []

    async def listen(client: Client) -> None:
        async for message in client.connection:
            heard.append(message)  # noqa: PERF401  # as an app would

    async with Opened() as client:
        listening = asyncio.create_task(listen(client))
        await client.sockets[0].says("1")
        await client.sockets[0].ends(1001)
        await asyncio.sleep(0.5)
        await client.sockets[1].accept()
        await client.sockets[1].says("2")
        await client.connection.close()
        await listening
    assert heard == [1, 2]


@virtual
async def test_texts_can_be_left_as_they_are() -> None:
    async with Opened(json=False) as client:
        await client.sockets[0].says('{"type":"said"}')
        assert await client.connection.recv() == '{"type":"said"}'


@virtual
async def test_a_text_that_should_be_json_is_an_error_of_its_receiver_and_nothing_else() -> None:
    async with Opened() as client:
        await client.sockets[0].says("hello", "1")
        with pytest.raises(ValueError, match="expected JSON from the server, but got something else"):
            await client.connection.recv()
        assert await client.connection.recv() == 1


def test_an_option_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="pings"):
        Connection("wss://example.com", pings=1)  # type: ignore[call-arg]


@virtual
async def test_it_comes_back_each_time_after_twice_the_wait_up_to_a_limit() -> None:
    async with Client() as client:
        for delay in (0.5, 1, 2, 4, 8, 16, 30, 30):
            attempts = len(client.sockets)
            await client.sockets[-1].fail(OSError("unreachable"))
            assert client.states[-1] == State("waiting", delay, 1006, "unreachable")
            await asyncio.sleep(delay - 0.01)
            assert len(client.sockets) == attempts
            await asyncio.sleep(0.02)
            assert len(client.sockets) == attempts + 1
        assert client.states.count(CONNECTING) == 9


@virtual
async def test_the_wait_is_a_random_part_of_that() -> None:
    async with Client(random=lambda: 0.25) as client:
        await client.sockets[0].fail(TimeoutError())
        assert client.states[-1] == State("waiting", 0.125, 1006, "TimeoutError")


@virtual
async def test_a_connection_that_was_stable_begins_again_with_the_shortest_wait() -> None:
    async with Client() as client:
        await client.sockets[0].fail(OSError())
        await asyncio.sleep(0.6)
        await client.sockets[1].accept()
        await asyncio.sleep(5.1)
        await client.sockets[1].ends(1001)
        assert client.states[-1] == State("waiting", 0.5, 1001)


@virtual
async def test_it_stays_away_where_it_is_refused() -> None:
    with pytest.raises(ConnectionEnded, match="the connection was ended with 1008: not on the list"):  # noqa: PT012
        async with Opened() as client:
            await client.sockets[0].says("1")
            await client.sockets[0].ends(1008, "not on the list")
            assert client.states[-1] == State("refused", code=1008, reason="not on the list")
            await asyncio.sleep(10 * MINUTE)
            assert len(client.sockets) == 1
            with pytest.raises(ConnectionEnded):
                await client.connection.send("too late")
            async for message in client.connection:
                assert message == 1  # what had come before is there


@virtual
async def test_a_refused_handshake_is_final_too() -> None:
    async with Client() as client:
        await client.sockets[0].fail(refusal(403))
        with pytest.raises(ConnectionEnded) as raised:
            await client.connection.recv()
        assert (raised.value.code, raised.value.status) == (1006, 403)


@virtual
async def test_a_last_message_tells_the_code_and_the_reason_of_a_close_that_api_gateway_cannot() -> None:
    async with Opened() as client:
        await client.sockets[0].says('{"type": "close", "code": 1008, "reason": "expired"}')
        await client.sockets[0].ends(1000)
        assert client.states[-1] == State("refused", code=1008, reason="expired")
        with pytest.raises(ConnectionEnded):
            await client.connection.recv()


@virtual
async def test_an_apps_own_message_that_only_looks_like_it_is_an_apps() -> None:
    own = [
        '{"type": "close", "code": "x", "reason": ""}',
        '{"type": "close", "code": 1000, "reason": "", "id": 1}',
        '{"type": "close", "code": 1000}',
        '{"type": "close", not JSON',
    ]
    async with Opened(json=False) as client:
        await client.sockets[0].says(*own)
        assert await client.take(4) == own


@virtual
async def test_or_the_form_is_not_looked_for() -> None:
    text = '{"type": "close", "code": 1000, "reason": ""}'
    async with Opened(json=False, close_message=False) as client:
        await client.sockets[0].says(text)
        assert await client.connection.recv() == text


@virtual
async def test_what_is_said_while_there_is_no_connection_is_sent_in_order_when_there_is_one() -> None:
    client = Client()
    await client.connection.send("before the context")
    async with client:
        await client.connection.send("while connecting")
        assert client.connection.unsent == 2
        await client.sockets[0].accept()
        assert client.sockets[0].sent == ["before the context", "while connecting"]
        assert client.connection.unsent == 0


@virtual
async def test_no_more_is_kept_than_there_is_room_for_and_the_sender_is_told() -> None:
    async with Client(unsent=1) as client:
        await client.connection.send("kept")
        with pytest.raises(OutboxFull, match="1 wait already"):
            await client.connection.send("not kept")
        assert client.connection.unsent == 1


@virtual
async def test_who_sends_waits_until_it_has_left_this_process() -> None:
    async with Opened() as client:
        client.sockets[0].stuck = True
        sending = [asyncio.create_task(client.connection.send(f"line {number}")) for number in range(2)]
        await settle()
        assert [task.done() for task in sending] == [False, False]
        await client.sockets[0].move()
        assert [task.done() for task in sending] == [True, True]
        assert client.sockets[0].sent == ["line 0", "line 1"]


@virtual
async def test_what_never_left_is_sent_again_and_nothing_that_may_have_arrived() -> None:
    async with Opened() as client:
        client.sockets[0].stuck = True
        sending = [asyncio.create_task(client.connection.send(text)) for text in ("half gone", "unsent")]
        await settle()
        await client.sockets[0].ends()
        assert [task.done() for task in sending] == [True, True]  # the second is kept
        await asyncio.sleep(0.6)
        await client.sockets[1].accept()
        assert client.sockets[1].sent == ["unsent"]


@virtual
async def test_what_meets_a_closed_socket_is_sent_through_the_next() -> None:
    async with Opened() as client:
        client.sockets[0].end(1001)  # nobody has read that yet
        await client.connection.send("kept")
        await asyncio.sleep(0.6)
        await client.sockets[1].accept()
        assert (client.sockets[0].sent, client.sockets[1].sent) == ([], ["kept"])


@virtual
async def test_what_meets_a_closing_socket_waits_for_the_next() -> None:
    async with Opened() as client:
        client.sockets[0].state = SocketState.CLOSING
        await client.connection.send("kept")
        assert client.connection.unsent == 1
        await client.sockets[0].ends(1001)
        await asyncio.sleep(0.6)
        await client.sockets[1].accept()
        assert (client.sockets[0].sent, client.sockets[1].sent) == ([], ["kept"])


@virtual
async def test_a_write_that_fails_is_the_end_of_its_socket_only_when_there_is_nothing_more_to_read() -> None:
    async with Opened() as client:
        client.sockets[0].stuck = True
        sending = asyncio.create_task(client.connection.send("half gone"))
        await settle()
        await client.sockets[0].breaks()
        assert client.connection.state == OPEN
        await client.sockets[0].says("1")
        await client.sockets[0].ends()
        await sending
        assert client.connection.state.name == "waiting"
        assert await client.connection.recv() == 1


@virtual
async def test_cancelling_a_send_takes_nothing_back() -> None:
    async with Opened() as client:
        client.sockets[0].stuck = True
        sending = [asyncio.create_task(client.connection.send(text)) for text in ("first", "second")]
        await settle()
        sending[1].cancel()
        await client.sockets[0].move()
        assert client.sockets[0].sent == ["first", "second"]


@virtual
async def test_a_message_that_api_gateway_would_close_the_connection_for_is_not_sent() -> None:
    most = "ü" * 16 * 1024
    async with Opened() as client:
        await client.connection.send(most)
        with pytest.raises(MessageTooLarge, match="a message of 32769 bytes can't be sent: .* at most 32768 bytes"):
            await client.connection.send(f"{most}!")
        assert len(client.sockets[0].sent) == 1
    async with Opened(largest_frame=None) as client:
        await client.connection.send(f"{most}!")


@virtual
async def test_bytes_travel_as_text_if_that_was_agreed_on() -> None:
    data = bytes([0, 128, 255])
    async with Opened(binary="base64") as client:
        for kind in (bytes, bytearray, memoryview):
            await client.connection.send(kind(data))
        assert client.sockets[0].sent == ["data:;base64,AID/"] * 3
        await client.sockets[0].says("data:;base64,AID/", '"data:;base64,AID/"', "data:;base64,!")
        assert await client.take(2) == [data, "data:;base64,AID/"]
        with pytest.raises(ValueError, match="expected JSON"):  # somebody's text that only begins like ours
            await client.connection.recv()


@virtual
async def test_and_are_refused_otherwise() -> None:
    async with Opened() as client:
        with pytest.raises(TypeError, match='Agree on binary="base64"'):
            await client.connection.send(b"\0")


@virtual
async def test_binary_frames_of_other_servers_are_bytes() -> None:
    async with Opened() as client:
        await client.sockets[0].says(b"\0")
        assert await client.connection.recv() == b"\0"


@virtual
async def test_a_silent_connection_is_asked_and_kept_if_it_answers() -> None:
    async with Opened(ping={"type": "ping"}) as client:
        await asyncio.sleep(4 * MINUTE - 1)
        assert client.sockets[0].sent == []
        await asyncio.sleep(1)
        assert client.sockets[0].sent == ['{"type":"ping"}']
        await client.sockets[0].says('{"type": "pong"}')
        await asyncio.sleep(MINUTE)
        assert client.connection.state == OPEN
        assert await client.connection.recv() == {"type": "pong"}


@virtual
async def test_one_that_does_not_answer_is_given_up_and_cut_off() -> None:
    async with Opened(ping="ping") as client:
        client.sockets[0].answers_close = False  # nobody is there
        await asyncio.sleep(4 * MINUTE)
        await asyncio.sleep(10)
        await settle()
        assert client.states[-1] == State("waiting", 0.5, 1006, "no answer to a ping")
        assert client.sockets[0].aborted
        await asyncio.sleep(0.6)
        assert len(client.sockets) == 2


@virtual
async def test_without_a_ping_nothing_is_asked() -> None:
    async with Opened() as client:
        await asyncio.sleep(100 * MINUTE)
        assert client.sockets[0].sent == []


@virtual
async def test_what_nobody_takes_is_not_read_and_does_not_count_as_silence() -> None:
    async with Opened(ping="ping", untaken=2) as client:
        await client.sockets[0].says(*"12345")
        assert client.sockets[0]._brought.qsize() == 2  # two wait here, and one to wait
        await asyncio.sleep(9 * MINUTE)
        assert client.connection.state == OPEN
        assert client.sockets[0].sent == ["ping"]
        assert await client.take(5) == [1, 2, 3, 4, 5]


@virtual
async def test_closing_is_for_good_and_forgets_what_waits() -> None:
    async with Opened() as client:
        client.sockets[0].stuck = True
        sending = [asyncio.create_task(client.connection.send(text)) for text in ("half gone", "unsent")]
        await settle()
        await client.connection.close(3000, "bye")
        assert client.sockets[0].closed_with == (3000, "bye")
        assert client.states[-1] == State("closed", code=3000, reason="bye")
        for task in sending:
            with pytest.raises(ConnectionEnded, match="ended with 3000: bye"):
                await task
        await asyncio.sleep(10 * MINUTE)
        await client.connection.close()  # once more
        assert len(client.sockets) == 1
        with pytest.raises(ConnectionEnded):
            await client.connection.recv()


@virtual
async def test_a_connection_can_be_closed_while_it_connects_or_waits() -> None:
    async with Client() as client:
        pass
    assert client.states == [CONNECTING, CLOSED]
    async with Client() as client:
        await client.sockets[0].fail(OSError())
    assert len(client.sockets) == 1


@virtual
async def test_the_server_is_told_if_an_error_leaves_the_context() -> None:
    with pytest.raises(LookupError):
        async with Opened() as client:
            raise LookupError
    assert client.sockets[0].closed_with == (1011, "")


@virtual
async def test_who_is_cancelled_while_it_closes_leaves_nothing_open() -> None:
    async with Opened() as client:
        client.sockets[0].answers_close = False
        closing = asyncio.create_task(client.connection.close())
        await settle()
        assert not client.sockets[0].aborted
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert client.sockets[0].aborted


@virtual
async def test_a_context_is_entered_once() -> None:
    client = Opened()
    with pytest.raises(RuntimeError, match="nothing can be received yet"):
        await client.connection.recv()
    async with client:
        with pytest.raises(RuntimeError, match="can be entered once"):
            await client.connection.__aenter__()
    with pytest.raises(ConnectionEnded):
        await client.connection.recv()


@virtual
async def test_one_that_was_closed_before_is_not_opened() -> None:
    client = Client()
    await client.connection.close()
    async with client:
        assert client.connection.state == CLOSED
    assert client.sockets == []


@virtual
async def test_a_context_that_is_left_at_once_opens_nothing() -> None:
    client = Client()
    async with client.connection:
        pass
    assert (client.sockets, client.states) == ([], [CLOSED])


@virtual
async def test_an_address_can_be_made_anew_for_each_attempt() -> None:
    tickets = iter(range(9))
    async with Client(lambda: f"wss://example.com/?ticket={next(tickets)}") as client:
        await client.sockets[0].fail(OSError())
        await asyncio.sleep(0.6)
        assert [socket.address[-1] for socket in client.sockets] == ["0", "1"]


@virtual
async def test_an_address_may_take_its_time_and_may_fail() -> None:
    answers: list[Exception | str] = [LookupError("no ticket"), "wss://example.com/"]

    async def address() -> str:
        await asyncio.sleep(1)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with Client(address) as client:
        await asyncio.sleep(1)
        assert client.states[-1] == State("waiting", 0.5, 1006, "no address: no ticket")
        await asyncio.sleep(1.6)
        assert len(client.sockets) == 1


@virtual
async def test_it_says_something_first_on_each_new_socket_before_all_that_waits() -> None:
    tokens = iter(["one", "two", "three"])

    async def first() -> dict[str, str]:
        return {"token": next(tokens)}

    async with Client(first=first, hand_over_after=MINUTE, hand_over_spread=0) as client:
        await client.connection.send("waits")
        await client.sockets[0].accept()
        assert client.sockets[0].sent == ['{"token":"one"}', "waits"]
        await client.sockets[0].ends(1001)
        await asyncio.sleep(0.6)
        await client.sockets[1].accept()
        assert client.sockets[1].sent == ['{"token":"two"}']
        await asyncio.sleep(MINUTE)
        await client.sockets[2].accept()
        assert client.sockets[2].sent == ['{"token":"three"}']


@virtual
async def test_a_first_message_that_can_not_be_made_is_an_attempt_that_failed() -> None:
    def first() -> str:
        raise LookupError("no token")

    async with Client(first=first) as client:
        assert client.states[-1] == State("waiting", 0.5, 1006, "no first message: no token")
        assert client.sockets == []


@virtual
async def test_a_first_message_that_can_not_be_sent_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="bytes"):
        async with Client(first=b"hello"):
            pass


@virtual
async def test_a_socket_that_closes_before_the_first_message_is_said_is_lost_like_any_other() -> None:
    async with Client(first="hello") as client:
        client.sockets[0].stuck = True
        await client.sockets[0].accept()
        await client.sockets[0].ends(1001)
        assert (client.states[-1].name, client.states[-1].code) == ("waiting", 1006)
        assert OPEN not in client.states


@virtual
async def test_an_address_that_comes_after_the_end_opens_nothing() -> None:
    never = asyncio.Event()

    async def address() -> str:
        await never.wait()
        raise AssertionError

    async with Client(address) as client:
        pass
    assert client.sockets == []


@virtual
async def test_what_is_no_matter_of_the_network_ends_the_connection_and_is_raised() -> None:
    with pytest.raises(ValueError, match="isn't a valid address"):  # noqa: PT012
        async with Client() as client:
            await client.sockets[0].fail(ValueError("isn't a valid address"))
            for use in (client.connection.recv, lambda: client.connection.send("text")):
                with pytest.raises(ValueError, match="isn't a valid address"):
                    await use()


@virtual
async def test_an_error_of_the_callers_function_is_the_callers() -> None:
    with pytest.raises(LookupError, match="'id'"):  # noqa: PT012
        async with Opened(key=lambda message: message["id"]) as client:
            client.sockets[0].stuck = True
            sending = asyncio.create_task(client.connection.send("text"))
            await settle()
            await client.sockets[0].says("{}")
            with pytest.raises(LookupError):
                await sending
            assert client.sockets[0].closed_with == (1000, "")
            await client.connection.recv()


# The hand-over, before API Gateway's two hours are over.


@virtual
async def test_a_second_socket_takes_over_before_two_hours_without_a_gap() -> None:
    async with Opened() as client:
        await asyncio.sleep(HAND_OVER - 1)
        assert len(client.sockets) == 1
        await asyncio.sleep(1)
        old, new = client.sockets
        await client.connection.send("through the old")
        await old.says("1")
        await new.accept()
        await client.connection.send("through the new")
        await old.says("2")  # was on its way
        await new.says("3")
        assert client.is_handing_over()
        await asyncio.sleep(5)
        assert not client.is_handing_over()
        assert old.closed_with == (1000, "")
        assert (old.sent, new.sent) == (["through the old"], ["through the new"])
        assert await client.take(3) == [1, 2, 3]
        assert client.states == [CONNECTING, OPEN]  # nobody has noticed
        await asyncio.sleep(HAND_OVER)
        assert len(client.sockets) == 3


@virtual
async def test_the_new_socket_takes_over_when_the_server_has_let_it_in_if_that_can_be_told() -> None:
    async with Opened(ready=lambda message: message == "welcome") as client:
        await asyncio.sleep(HAND_OVER)
        old, new = client.sockets
        await new.accept()
        await client.connection.send("still through the old")
        await new.says('"news"', '"welcome"')
        await client.connection.send("through the new")
        assert (old.sent, new.sent) == (["still through the old"], ["through the new"])
        assert await client.take(2) == ["news", "welcome"]


@virtual
async def test_what_both_sockets_bring_is_received_once_if_messages_have_a_key() -> None:
    async with Opened(key=lambda message: message or None) as client:
        await asyncio.sleep(HAND_OVER)
        old, new = client.sockets
        await old.says('"a"')
        await new.accept()
        await new.says('"a"', '"b"')
        await old.says('"b"')
        await new.says('"b"')  # of the same socket: said twice
        await old.says('""')
        await new.says('""')
        await asyncio.sleep(5)
        await new.says('"a"')  # not compared any more
        assert await client.take(6) == ["a", "b", "b", "", "", "a"]


@virtual
async def test_what_the_new_socket_brings_late_when_the_old_one_is_gone_is_received_once_all_the_same() -> None:
    async with Opened(key=lambda message: message) as client:
        await asyncio.sleep(HAND_OVER)
        old, new = client.sockets
        await new.accept()
        await old.says('"a"')
        await asyncio.sleep(5)
        await new.says('"a"', '"b"', '"b"')  # "b" of the same socket: said twice
        assert await client.take(3) == ["a", "b", "b"]


@virtual
async def test_a_hand_over_that_fails_is_tried_again_and_the_old_socket_stays() -> None:
    async with Opened() as client:
        await asyncio.sleep(HAND_OVER)
        await client.sockets[1].fail(OSError())
        assert not client.is_handing_over()
        await asyncio.sleep(0.6)
        await client.sockets[2].accept()
        assert client.is_handing_over()
        assert client.states == [CONNECTING, OPEN]


@virtual
async def test_if_the_old_socket_ends_first_the_new_one_takes_over_at_once_with_what_was_unsent() -> None:
    async with Opened(ready=lambda message: False) as client:
        await asyncio.sleep(HAND_OVER)
        old, new = client.sockets
        await new.accept()
        old.stuck = True
        sending = [asyncio.create_task(client.connection.send(text)) for text in ("half gone", "unsent")]
        await settle()
        await old.ends(1001)
        assert new.sent == ["unsent"]
        assert [task.done() for task in sending] == [True, True]
        assert not client.is_handing_over()
        assert client.states == [CONNECTING, OPEN]


@virtual
async def test_if_both_are_lost_it_comes_back_as_ever() -> None:
    async with Opened() as client:
        await asyncio.sleep(HAND_OVER)
        await client.sockets[0].ends(1001)
        assert client.states[-1] == State("waiting", 0.5, 1001)
        await asyncio.sleep(0.6)
        assert len(client.sockets) == 3


@virtual
async def test_the_old_socket_may_end_by_itself_during_the_overlap() -> None:
    async with Opened() as client:
        await asyncio.sleep(HAND_OVER)
        await client.sockets[1].accept()
        await client.sockets[0].ends(1001)
        assert not client.is_handing_over()
        await asyncio.sleep(5)
        assert len(client.sockets) == 2


@virtual
async def test_an_old_socket_is_not_closed_while_nobody_takes_what_it_has_brought() -> None:
    async with Opened(untaken=1) as client:
        await asyncio.sleep(HAND_OVER)
        await client.sockets[1].accept()
        await client.sockets[0].says(*"1234")
        await asyncio.sleep(MINUTE)
        assert client.is_handing_over()
        assert await client.take(4) == [1, 2, 3, 4]
        await asyncio.sleep(5)
        assert not client.is_handing_over()


@virtual
async def test_hand_overs_can_be_left_out() -> None:
    async with Opened(hand_over_after=None) as client:
        await asyncio.sleep(24 * 60 * MINUTE)
        assert len(client.sockets) == 1


# What importing it costs.


def test_who_only_serves_the_module_for_browsers_needs_no_websockets() -> None:
    script = "import sys, gatesocket.client as client; client.DIRECTORY; sys.exit('websockets' in sys.modules)"
    assert subprocess.run([sys.executable, "-Ic", script], check=False, timeout=60).returncode == 0


def test_who_lacks_websockets_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(gatesocket.client), "Connection", raising=False)
    monkeypatch.delitem(sys.modules, "gatesocket.client.connection", raising=False)
    monkeypatch.delitem(sys.modules, "gatesocket.client.sockets", raising=False)
    monkeypatch.setitem(sys.modules, "websockets.asyncio.client", None)
    with pytest.raises(ImportError, match=r"pip install 'gatesocket\[client\]'"):
        gatesocket.client.Connection  # noqa: B018  # the access is the test


def test_a_name_that_it_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'gatesocket.client' has no attribute 'Client'"):
        gatesocket.client.Client  # noqa: B018  # the access is the test


def snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


def test_its_options_are_those_of_the_module_for_browsers() -> None:
    """docs/client.md says why the others differ."""
    types = (DIRECTORY / "connection.d.ts").read_text(encoding="utf-8")
    options = types.partition("export interface Options")[2].partition("\n}")[0]
    theirs = {snake_case(name) for name in re.findall(r"^  (\w+)\?:", options, re.MULTILINE)}
    ours = set(inspect.signature(Connection).parameters) - {"url"}
    assert theirs - ours == {"protocols", "_web_socket"}
    assert ours - theirs == {"subprotocols", "connect", "on_state", "on_history", "untaken"}
