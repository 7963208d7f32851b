"""One invocation's hold on one connection."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from gatesocket.conversation import Conversation, State
from gatesocket.exceptions import ApplicationProtocolError, ConnectionGone, MessageTooLarge
from gatesocket.gateway.fake import FakeGateway
from gatesocket.hibernation import TIMER_THRESHOLD, Hibernated
from gatesocket.registry.base import EVERYONE, Entry, Record
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.run import HANDSHAKE_PAUSES, Run

ANN = "AAAAAAAAAAAAAAA="
FAR = 1 << 40
RECORD = Record(ANN, b"scope", 0, FAR, b"snapshot", live=True, groups=frozenset({EVERYONE, "lobby"}), user="ann")


class Hold:
    """A run, and what is around it."""

    def __init__(self, record: Record | None = None, *, opens_after: int | None = None, **options: Any) -> None:
        self.gateway = FakeGateway()
        self.registry = MemoryRegistry()
        self.pauses: list[float] = []
        self.opens_after = opens_after
        self.has_time = True
        if opens_after is None:
            self.gateway.open(ANN)
        else:
            self.gateway.connecting(ANN)
        self.run = Run(
            Conversation(ANN, State.OPEN if record else State.CONNECTING, binary=options.pop("binary", False)),
            self.registry,
            self.gateway,
            expires_at=FAR,
            close_message=options.pop("close_message", False),
            record=record,
            unwritten=None if record else Record(ANN, b"scope", 0, FAR, groups=frozenset()),
            has_time=lambda: self.has_time,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == self.opens_after:
            self.gateway.open(ANN)

    @property
    def sent(self) -> list[str]:
        return self.gateway.sent[ANN]

    def received(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while (message := self.run.next_message()) is not None:
            messages.append(message)
            if message["type"] == "websocket.disconnect":
                break
        return messages


def accept() -> dict[str, Any]:
    return {"type": "websocket.accept"}


def send(text: str) -> dict[str, Any]:
    return {"type": "websocket.send", "text": text}


CLOSE = {"type": "websocket.close", "code": 4001, "reason": "enough"}


def messages(*texts: str) -> Iterable[Entry]:
    return [Entry("message", str(number), text) for number, text in enumerate(texts)]


async def test_a_route_sees_the_handshake_and_then_waits() -> None:
    hold = Hold()
    hold.run.connect()

    assert hold.received() == [{"type": "websocket.connect"}]
    assert not hold.run.waiting


async def test_what_is_sent_before_the_socket_is_live_is_held_back_in_order() -> None:
    hold = Hold()
    for message in (accept(), send("one"), send("two")):
        await hold.run.send(message)

    assert (hold.run.outbox, hold.sent) == (["one", "two"], [])


async def test_what_is_too_large_is_refused_at_the_send_and_not_held_back() -> None:
    hold = Hold()
    await hold.run.send(accept())

    with pytest.raises(MessageTooLarge, match="a message of 131073 bytes can't be sent"):
        await hold.run.send(send("x" * 131_073))
    assert (hold.run.outbox, hold.run.conversation.held_back) == ([], 0)


async def test_a_clients_first_message_proves_the_socket_live_and_what_was_held_back_goes_first() -> None:
    hold = Hold(replace(RECORD, live=False, outbox=("one", "two")))

    hold.run.feed(messages("hi"))
    await hold.run.deliver()
    await hold.run.send(send("three"))

    assert hold.sent == ["one", "two", "three"]
    assert hold.received() == [{"type": "websocket.receive", "text": "hi"}]
    assert hold.run.changes(Hibernated(b"s")).live


async def test_a_wake_that_comes_before_the_handshake_is_over_waits_for_it() -> None:
    hold = Hold(replace(RECORD, live=False, outbox=("one", "two")), opens_after=3)

    hold.run.feed([Entry("wake", "w")])
    await hold.run.deliver()

    assert hold.sent == ["one", "two"]
    assert hold.pauses == list(HANDSHAKE_PAUSES[:3])
    assert not hold.run.waiting


async def test_a_close_that_comes_before_the_handshake_is_over_waits_for_it_too() -> None:
    hold = Hold(replace(RECORD, snapshot=None, live=False), opens_after=2)

    await hold.run.close(1000)

    assert (hold.gateway.closed, hold.pauses) == ([ANN], list(HANDSHAKE_PAUSES[:2]))


async def test_a_client_that_never_comes_has_left_after_a_bounded_wait() -> None:
    hold = Hold(replace(RECORD, live=False, outbox=("one", "two")), opens_after=99)

    hold.run.feed([Entry("wake", "w")])
    await hold.run.deliver()

    assert hold.pauses == list(HANDSHAKE_PAUSES)
    assert (hold.run.unannounced, hold.run.waiting) == (True, False)


async def test_a_live_socket_that_is_gone_is_not_waited_for() -> None:
    hold = Hold(replace(RECORD, outbox=("one",)), opens_after=99)

    hold.run.feed(messages("hi"))
    await hold.run.deliver()

    assert (hold.pauses, hold.run.unannounced) == ([], True)


async def test_that_a_client_has_left_is_received_in_its_turn_behind_what_came_before() -> None:
    """However it turned out: a post says so at once, but messages may wait in the inbox that weren't seen yet."""
    hold = Hold(replace(RECORD, outbox=("one",)), opens_after=99)
    hold.run.feed(messages("hi"))
    await hold.run.deliver()
    assert hold.received() == [{"type": "websocket.receive", "text": "hi"}]

    hold.run.feed(
        [Entry("message", "2", "bye"), Entry("disconnect", "d", "", 1001), Entry("disconnect", "e", "", 1006)]
    )

    assert not hold.run.unannounced
    assert hold.received() == [
        {"type": "websocket.receive", "text": "bye"},
        {"type": "websocket.disconnect", "code": 1001, "reason": ""},
    ]


async def test_a_text_from_elsewhere_that_waited_in_the_inbox_is_posted() -> None:
    hold = Hold(replace(RECORD, live=False))

    hold.run.feed([Entry("post", "p", "hello from bob")])
    await hold.run.deliver()

    assert hold.sent == ["hello from bob"]
    assert not hold.run.waiting


async def test_texts_from_elsewhere_and_messages_take_their_turns() -> None:
    hold = Hold(replace(RECORD, live=False))
    hold.run.feed([*messages("one"), Entry("post", "p", "hello from bob"), Entry("message", "3", "three")])

    await hold.run.deliver()
    assert [hold.run.next_message(), hold.run.next_message()] == [{"type": "websocket.receive", "text": "one"}, None]
    assert (hold.sent, hold.run.waiting) == ([], False)

    await hold.run.deliver()
    assert (hold.sent, hold.run.waiting) == (["hello from bob"], True)
    assert hold.received() == [{"type": "websocket.receive", "text": "three"}]
    assert hold.run.rest == ()


async def test_a_text_from_elsewhere_is_nothing_to_a_client_that_has_left() -> None:
    hold = Hold(RECORD)
    hold.run.feed([Entry("post", "p", "hello from bob"), Entry("disconnect", "d", "", 1001)])

    await hold.run.deliver()

    assert (hold.sent, hold.run.waiting) == ([], True)


async def test_a_message_that_a_queue_brought_twice_is_received_once() -> None:
    """Its first holder has died, so that it waits in the inbox twice."""
    hold = Hold(RECORD)
    hold.run.feed([*messages("one", "two"), *messages("one")])

    assert [message["text"] for message in hold.received()] == ["one", "two"]


async def test_without_time_one_message_is_received_and_the_rest_is_left() -> None:
    hold = Hold(RECORD)
    hold.has_time = False
    left = Entry("disconnect", "d", "Going away", 1001)
    hold.run.feed([*messages("one", "two"), Entry("wake", "w"), left])

    assert hold.received() == [{"type": "websocket.receive", "text": "one"}]
    assert not hold.run.waiting
    assert hold.run.changes(Hibernated(b"s")).inbox == (Entry("message", "1", "two"), left)


async def test_a_connection_that_is_given_up_has_ended_for_its_route_and_its_client() -> None:
    hold = Hold(replace(RECORD, outbox=("one",)), close_message=True)
    hold.run.feed(messages("poison"))

    await hold.run.give_up(1011)

    assert [json.loads(text) for text in hold.sent] == [{"type": "close", "code": 1011, "reason": ""}]
    assert hold.gateway.closed == [ANN]
    assert hold.received() == [{"type": "websocket.disconnect", "code": 1011, "reason": ""}]
    with pytest.raises(ConnectionGone):
        await hold.run.send(send("bye"))


async def test_a_client_that_has_left_is_given_up_with_its_own_code() -> None:
    hold = Hold(RECORD)
    hold.run.feed([*messages("poison"), Entry("disconnect", "d", "", 1001)])

    await hold.run.give_up(1011)

    assert hold.gateway.closed == []
    assert hold.received() == [{"type": "websocket.disconnect", "code": 1001, "reason": ""}]


async def test_a_disconnect_comes_after_the_messages_before_it_and_again_whenever_it_is_asked_for() -> None:
    hold = Hold(RECORD)

    hold.run.feed([*messages("bye"), Entry("disconnect", "d", "Going away", 1001)])
    await hold.run.deliver()

    assert hold.run.next_message() == {"type": "websocket.receive", "text": "bye"}
    for _ in range(2):
        assert hold.run.next_message() == {"type": "websocket.disconnect", "code": 1001, "reason": "Going away"}


async def test_bytes_in_their_agreed_form_are_received_as_bytes() -> None:
    hold = Hold(RECORD, binary=True)

    hold.run.feed(messages("data:;base64,AP8="))
    await hold.run.deliver()

    assert hold.received() == [{"type": "websocket.receive", "bytes": b"\x00\xff"}]


async def test_a_send_to_a_client_that_has_left_is_an_os_error() -> None:
    hold = Hold(RECORD)
    hold.gateway.gone(ANN)

    with pytest.raises(OSError, match="is gone"):
        await hold.run.send(send("hello?"))

    assert (hold.run.unannounced, hold.received()) == (True, [])


async def test_a_send_that_does_not_fit_changes_nothing() -> None:
    hold = Hold()

    with pytest.raises(ApplicationProtocolError):
        await hold.run.send(send("too early"))

    assert hold.run.conversation.state is State.CONNECTING


async def test_a_close_ends_the_connection_and_is_what_the_next_receive_reports() -> None:
    hold = Hold(RECORD)

    await hold.run.send(CLOSE)

    assert hold.gateway.closed == [ANN]
    assert hold.received() == [{"type": "websocket.disconnect", "code": 4001, "reason": "enough"}]


async def test_a_close_message_tells_the_client_the_code_first() -> None:
    hold = Hold(RECORD, close_message=True)

    await hold.run.send(CLOSE)

    assert [json.loads(text) for text in hold.sent] == [{"type": "close", "code": 4001, "reason": "enough"}]
    assert hold.gateway.closed == [ANN]


async def test_a_close_message_waits_with_whatever_else_is_held_back() -> None:
    hold = Hold(close_message=True)
    for message in (accept(), send("sorry"), CLOSE):
        await hold.run.send(message)

    assert [json.loads(str(text)) for text in hold.run.outbox[1:]] == [
        {"type": "close", "code": 4001, "reason": "enough"}
    ]
    assert hold.gateway.closed == []


async def test_without_a_close_message_only_what_was_sent_is_held_back() -> None:
    hold = Hold()
    for message in (accept(), send("sorry"), CLOSE):
        await hold.run.send(message)

    assert hold.run.outbox == ["sorry"]


async def test_closing_a_connection_whose_client_has_left_is_harmless() -> None:
    hold = Hold(RECORD)
    hold.gateway.gone(ANN)

    await hold.run.close(1000)
    await hold.run.close(1000)

    assert hold.run.conversation.state is State.CLOSED


async def test_a_manager_sends_in_order_with_the_route() -> None:
    hold = Hold()
    await hold.run.send(accept())
    await hold.run.send(send("one"))
    await hold.run.post("two")
    await hold.run.send(send("three"))

    assert hold.run.outbox == ["one", "two", "three"]


async def test_a_manager_learns_that_a_connection_has_ended() -> None:
    hold = Hold(RECORD)
    await hold.run.send(CLOSE)

    with pytest.raises(ConnectionGone):
        await hold.run.post("late")


async def test_what_is_joined_before_the_socket_is_live_is_written_with_the_record() -> None:
    hold = Hold()
    await hold.run.send(accept())
    await hold.run.enter(["lobby"], "ann")
    await hold.run.join("cellar")
    await hold.run.leave("lobby")

    assert hold.run.groups == {EVERYONE, "cellar"}
    assert hold.run.user == "ann"
    assert (hold.run.unwritten("cellar"), hold.run.unwritten("lobby")) == (1, 0)
    assert await hold.registry.count("cellar", now=0) == 0


async def test_what_is_joined_later_is_written_at_once() -> None:
    hold = Hold(RECORD)
    await hold.registry.create(RECORD)

    await hold.run.join("cellar")
    await hold.run.leave("lobby")

    assert (hold.run.unwritten("cellar"), hold.run.unwritten("lobby")) == (0, 0)
    assert (await hold.registry.count("cellar", now=0), await hold.registry.count("lobby", now=0)) == (1, 0)
    changes = hold.run.changes(Hibernated(b"s"))
    assert (changes.joined, changes.left, changes.user) == (frozenset(), frozenset(), "ann")


async def test_forgetting_needs_no_await_and_is_written_when_the_route_hibernates() -> None:
    hold = Hold(RECORD)

    hold.run.forget()

    assert (hold.run.groups, hold.run.user, hold.run.unwritten("lobby")) == (frozenset(), None, -1)
    changes = hold.run.changes(Hibernated(b"s"))
    assert (changes.left, changes.user) == (frozenset({EVERYONE, "lobby"}), None)


# Timers.


def test_a_short_timer_is_waited_for_while_there_is_time_and_a_long_one_never() -> None:
    hold = Hold(RECORD)
    assert hold.run.stays(TIMER_THRESHOLD / 2, receiving=False)
    assert hold.run.stays(TIMER_THRESHOLD * 0.9, receiving=False), "however many there were"
    assert not hold.run.stays(TIMER_THRESHOLD, receiving=False)
    hold.has_time = False
    assert not hold.run.stays(TIMER_THRESHOLD / 2, receiving=False)


def test_short_timers_around_a_receive_are_waited_for_until_they_add_up_to_the_threshold() -> None:
    hold = Hold(RECORD)
    stayed = [hold.run.stays(TIMER_THRESHOLD * 0.4, receiving=True) for _ in range(3)]
    assert stayed == [True, True, False]


async def test_a_handshake_waits_for_short_timers_until_they_add_up_to_the_threshold_too() -> None:
    hold = Hold(opens_after=1)
    assert hold.run.stays(60, receiving=False), "nobody could be woken before the handshake is decided"
    await hold.run.send(accept())
    stayed = [hold.run.stays(TIMER_THRESHOLD * 0.4, receiving=False) for _ in range(3)]
    assert stayed == [True, True, False]


async def test_after_its_own_close_a_route_waits_for_any_timer() -> None:
    hold = Hold(RECORD)
    await hold.run.send(CLOSE)
    assert hold.run.stays(60, receiving=False)
