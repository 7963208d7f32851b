"""What somebody who comes back is told of a group's history, and what they get of it."""

import json
import logging

import pytest

from gatesocket.backend import Backend
from gatesocket.cursors import Cursor, tag_of
from gatesocket.exceptions import UnreadableHistory
from gatesocket.gateway.fake import FakeGateway
from gatesocket.history import MOST_MESSAGES, History, keep_text, replay_of, texts
from gatesocket.registry.base import REMEMBERED_SECONDS, START, Kept, Place
from gatesocket.registry.memory import MemoryRegistry

BEGIN = 1_700_000_000  # s since the epoch


class Room:
    """A group and its history, and a clock that only the test moves."""

    def __init__(self, *, messages: int = 3, seconds: int = 60) -> None:
        self.registry = MemoryRegistry()
        self.history = History(messages=messages, seconds=seconds)
        self.now = BEGIN
        self.said = 0

    async def say(self, times: int = 1, *, seconds: int | None = None) -> str:
        """Say something so many times; return the last one's cursor."""
        history = self.history if seconds is None else History(self.history.messages, seconds)
        through = Backend(self.registry, FakeGateway(), clock=lambda: self.now * 1000)
        for _ in range(times):
            self.said += 1
            sent = await keep_text(f'{{"n":{self.said}}}', "lobby", history, through)
        cursor: str = json.loads(sent)["cursor"]
        return cursor

    async def come(self, after: str = "") -> tuple[str, bool, list[int]]:
        """Come after a cursor; return the marker's cursor, whether it says that all is there, and what has followed."""
        replay = replay_of(after, ["lobby"], self.history)
        told, *missed = map(json.loads, await texts(replay, self.registry, now=self.now * 1000))
        assert told.pop("type") == "history"
        return told["cursor"], told["complete"], [message["n"] for message in missed]


def at(run: int, index: int, seconds: int) -> str:
    return str(Cursor(tag_of("lobby"), Place(run, index), seconds))


async def test_what_was_said_since_the_cursor_follows_in_order() -> None:
    room = Room()
    seen = await room.say(2)
    room.now += 10
    await room.say(3)
    assert await room.come(seen) == (seen, True, [3, 4, 5])


async def test_what_follows_has_the_cursors_that_it_was_sent_with() -> None:
    room = Room()
    first, second = await room.say(), await room.say()
    _, missed = await texts(replay_of(first, ["lobby"], room.history), room.registry, now=room.now * 1000)
    assert missed == f'{{"n":2,"cursor":"{second}"}}'


async def test_who_comes_for_the_first_time_is_told_where_the_history_stands_and_gets_nothing_of_it() -> None:
    room = Room()
    assert await room.come() == (at(0, 0, BEGIN), True, [])
    await room.say(2)
    room.now += 5
    assert await room.come() == (at(BEGIN, 2, BEGIN + 5), True, [])


async def test_who_came_before_anything_was_said_gets_all_of_it() -> None:
    room = Room()
    begin, _, _ = await room.come()
    room.now += 5
    await room.say(3)
    assert await room.come(begin) == (begin, True, [1, 2, 3])


async def test_who_has_missed_nothing_is_told_so_however_long_nothing_was_said() -> None:
    room = Room()
    seen = await room.say()
    room.now += REMEMBERED_SECONDS - 1
    assert await room.come(seen) == (at(BEGIN, 1, room.now), True, [])


async def test_a_history_that_nothing_is_remembered_of_had_nothing_for_who_was_there_within_that_time() -> None:
    room = Room()
    await room.say()
    room.now += REMEMBERED_SECONDS - 1
    seen, _, _ = await room.come()
    room.now += 10
    seen, *rest = await room.come(seen)
    assert (seen, *rest) == (at(BEGIN, 1, room.now), True, [])
    room.now += 10
    await room.say(2)
    assert await room.come(seen) == (seen, True, [2, 3]), "the count began anew, and nothing was in between"


async def test_who_was_away_for_longer_than_anything_is_remembered_is_told_so() -> None:
    room = Room()
    seen = await room.say()
    room.now += REMEMBERED_SECONDS
    assert await room.come(seen) == (at(BEGIN, 1, room.now), False, [])
    await room.say()
    assert await room.come(seen) == (at(room.now, 0, room.now), False, [2])


async def test_who_was_away_for_longer_than_the_history_reaches_gets_what_is_left_and_is_told_so() -> None:
    room = Room()
    seen = await room.say()
    room.now += 10
    await room.say()
    room.now += 10
    await room.say()
    room.now += 50
    assert await room.come(seen) == (at(BEGIN, 2, BEGIN + 20), False, [3])
    room.now += 10
    assert await room.come(seen) == (at(BEGIN, 3, room.now), False, [])


async def test_who_has_missed_more_than_the_history_holds_gets_the_newest_and_is_told_so() -> None:
    room = Room()
    seen = await room.say()
    await room.say(4)
    assert await room.come(seen) == (at(BEGIN, 2, BEGIN), False, [3, 4, 5])


async def test_no_gap_is_passed_over_where_messages_are_kept_for_different_times() -> None:
    room = Room()
    seen = await room.say()
    await room.say()
    await room.say(seconds=5)
    await room.say()
    room.now += 10
    assert await room.come(seen) == (at(BEGIN, 3, BEGIN), False, [4])


@pytest.mark.parametrize("says", [0, 1], ids=["before anything is said again", "after"])
async def test_who_comes_back_to_a_process_that_has_lost_its_memory_is_told_so(says: int) -> None:
    room = Room()
    seen = await room.say()
    room.registry = MemoryRegistry()
    room.now += 30
    if says:
        await room.say()
    _, complete, missed = await room.come(seen)
    assert (complete, missed) == (False, [2][:says])


@pytest.mark.parametrize(
    "made_up",
    [
        "hello",
        "lobby",
        str(Cursor(tag_of("attic"), Place(BEGIN, 1), BEGIN)),
        at(BEGIN, 99, BEGIN),
        at(BEGIN + 1, 1, BEGIN),
        "\0" * 10_000,
    ],
    ids=["no cursor", "the group's name", "another group's", "of what isn't said yet", "of another count", "long"],
)
async def test_a_cursor_that_this_history_has_not_given_is_told_to_be_none_and_nothing_follows(made_up: str) -> None:
    room = Room()
    await room.say(2)
    assert await room.come(made_up) == (at(BEGIN, 2, BEGIN), False, [])


async def test_each_group_is_told_of_by_itself() -> None:
    room = Room()
    seen = await room.say()
    await room.say()
    replay = replay_of(f"{seen},{Cursor(tag_of('cellar'), START, BEGIN)}", {"lobby", "attic"}, room.history)
    assert replay.after == seen, "what is stored is no longer than what is of use"
    told = [json.loads(text) for text in await texts(replay, room.registry, now=BEGIN * 1000)]
    assert [(each.get("complete"), each["cursor"].split(".")[0]) for each in told] == [
        (False, tag_of("attic")),
        (True, tag_of("lobby")),
        (None, tag_of("lobby")),
    ]


async def test_a_history_that_can_not_be_read_is_told_to_be_incomplete(caplog: pytest.LogCaptureFixture) -> None:
    class Planted(MemoryRegistry):
        async def recent(self, group: str, *, since: Place, most: int, now: int) -> list[Kept]:
            raise UnreadableHistory(group, "it was planted")

    room = Room()
    room.registry = Planted()
    with caplog.at_level(logging.ERROR):
        assert await room.come(at(BEGIN, 1, BEGIN)) == (at(0, 0, BEGIN), False, [])
    assert "the history of group 'lobby' can't be read: it was planted; a client that comes back" in caplog.text


@pytest.mark.parametrize(("messages", "seconds"), [(0, 1), (MOST_MESSAGES + 1, 1), (1, 0), (1, REMEMBERED_SECONDS + 1)])
def test_a_history_that_can_not_be_is_refused(messages: int, seconds: int) -> None:
    with pytest.raises(ValueError, match=f"messages={messages}, seconds={seconds}"):
        History(messages=messages, seconds=seconds)
