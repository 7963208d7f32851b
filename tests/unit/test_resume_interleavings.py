"""However those who send and those who come back interleave, and die: nothing is lost, and nothing comes twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gatesocket.aws import AsyncioClient
from gatesocket.backend import Backend
from gatesocket.cursors import Cursor, read, tag_of
from gatesocket.gateway.fake import FakeGateway
from gatesocket.history import History, keep_text, replay_of, texts
from gatesocket.registry.base import START
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.table import Table
from gatesocket.registry.writes import Write
from support.scheduler import Scheduler

NOW = 1_700_000_000_000
HISTORY = History(messages=100, seconds=60)
GROUP = "lobby"


class FakeTable(Table):
    """What DynamoDB promises and no more: single writes are atomic; a query sees each item when it comes to it."""

    def __init__(self, point: Callable[[], Awaitable[None]]) -> None:
        super().__init__("fake", AsyncioClient("dynamodb", region="eu-central-1"))
        self._items: dict[str, Any] = {}
        self._point = point

    async def put(self, item: Any, write: Write) -> bool:
        await self._point()
        there = self._items.get(item["sk"]["S"])
        done = there is None or ("#id" in write.condition and there["id"] == write.values[":id"])
        if done:
            self._items[item["sk"]["S"]] = item
        await self._point()
        return done

    async def get(self, key: Any) -> Any:
        await self._point()
        found = self._items.get(key["sk"]["S"])
        await self._point()
        return found

    async def newest(self, partition: str, first: str, last: str, most: int) -> Any:
        found: list[Any] = []
        while len(found) < most:
            await self._point()
            before = [key for key in self._items if first <= key <= last and (not found or key < found[-1]["sk"]["S"])]
            if not before:
                break
            found.append(self._items[max(before)])
        await self._point()
        return found[::-1]


@dataclass
class Client:
    """Somebody who comes back, and does what docs/resume.md asks of a client."""

    cursor: Cursor = field(default_factory=lambda: Cursor(tag_of(GROUP), START, NOW // 1000))
    told: list[int] = field(default_factory=list)
    beyond: dict[tuple[int, int], Cursor] = field(default_factory=dict)
    complete: list[bool] = field(default_factory=list)
    held: list[str] | None = field(default_factory=list)
    """What others have posted while it is sent what it missed; None once that is over."""

    def post(self, text: str) -> None:
        if self.held is None:
            self.hear(text)
        else:
            self.held.append(text)

    def hear(self, text: str) -> None:
        message = json.loads(text)
        cursor = read(message["cursor"], [GROUP])[GROUP]
        if "complete" in message:
            self.complete.append(message["complete"])
            if not message["complete"] or cursor.place >= self.cursor.place:
                self.cursor = cursor
            return
        place = (cursor.place.run, cursor.place.index)
        if cursor.place <= self.cursor.place or place in self.beyond:
            return
        self.told.append(message["n"])
        self.beyond[place] = cursor
        if self.cursor.place == START and (first := (cursor.place.run, 1)) in self.beyond:
            self.cursor = self.beyond[first]
        while (following := (self.cursor.place.run, self.cursor.place.index + 1)) in self.beyond:
            self.cursor = self.beyond[following]


class World:
    """A table, members, and processes that a test runs from point to point."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.registry = DynamoDBRegistry("fake", client=AsyncioClient("dynamodb", region="eu-central-1"))
        self.registry._table = FakeTable(self.scheduler.point)
        self.through = Backend(self.registry, FakeGateway(), clock=lambda: NOW)
        self.numbers = count(1)
        self.members: list[Client] = []
        self.sent: set[int] = set()
        """The messages whose broadcast has returned."""

    async def broadcast(self) -> None:
        for number in (next(self.numbers), next(self.numbers)):
            text = await keep_text(f'{{"n":{number}}}', GROUP, HISTORY, self.through)
            await self.scheduler.point()
            for member in list(self.members):
                member.post(text)
                await self.scheduler.point()
            self.sent.add(number)

    async def come_back(self) -> None:
        """Be a member, whose posts are held back, and only then read the history; as `Run` does."""
        client = Client()
        self.members.append(client)
        await self.scheduler.point()
        for text in await texts(replay_of(str(client.cursor), [GROUP], HISTORY), self.registry, now=NOW):
            client.hear(text)
        held, client.held = client.held or [], None
        for text in held:
            client.hear(text)

    async def settle(self) -> list[int]:
        """Let everybody come back once more, with nobody about; return what the history holds."""
        await self.scheduler.close()
        for client in self.members:
            for text in await texts(replay_of(str(client.cursor), [GROUP], HISTORY), self.registry, now=NOW):
                client.hear(text)
        kept = await self.registry.recent(GROUP, since=START, most=1000, now=NOW)
        return [json.loads(each.text)["n"] for each in kept]


async def play(actors: list[bool], choices: list[tuple[int, bool]]) -> None:
    world = World()
    tasks = [await world.scheduler.start(world.broadcast() if sends else world.come_back()) for sends in actors]
    turns = iter(choices)
    while parked := world.scheduler.parked:
        chosen, dies = next(turns, (0, False))
        task = parked[chosen % len(parked)]
        # Whoever comes back lives; what becomes of a route that dies is a matter of the connection's lease.
        if dies and actors[tasks.index(task)]:
            world.scheduler.kill(task)
        else:
            await world.scheduler.resume(task)
    for task in tasks:
        if task.done():
            task.result()
    arrived = [list(client.told) for client in world.members]
    history = await world.settle()
    assert len(history) == len(set(history)), "nothing is kept twice"
    assert world.sent <= set(history)
    for client, told in zip(world.members, arrived, strict=True):
        assert all(client.complete)
        assert world.sent <= set(told), "whoever is a member got what was sent to the end"
        assert sorted(client.told) == sorted(history), "and in the end all that was kept, once"
        if actors.count(True) == 1:
            assert client.told == history, "what one caller awaits comes in that order"


@given(
    st.lists(st.booleans(), min_size=2, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([False] * 9 + [True])), max_size=60),
)
@example([True, True, False], [(0, False)] * 7 + [(1, False)] * 3 + [(2, False)] * 5)
def test_nothing_is_lost_and_nothing_comes_twice(actors: list[bool], choices: list[tuple[int, bool]]) -> None:
    asyncio.run(play(actors, choices))
