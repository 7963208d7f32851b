"""One connection is one actor, however its invocations interleave, die, are repeated or come late."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatesocket import ConnectionManager, backend, hibernation
from gatesocket.backend import Backend
from gatesocket.driver import Driver
from gatesocket.events import Connect, Disconnect, Message, Origin, Wake
from gatesocket.gateway.fake import FakeGateway
from gatesocket.invocation import Invocation
from gatesocket.registry.base import GiveUp, Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import record_key
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.settings import Settings
from support.scheduler import Points, Scheduler
from support.table import create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from gatesocket.gateway.base import GatewayClient

BEGIN = 1_700_000_000_000  # ms since the epoch
TIME_LIMIT = 10_000  # ms that an invocation has
SKEW = 400  # ms by which a host's clock is ahead or behind; any two differ by less than `invocation.LEASE_MARGIN`
TIMER = 5  # seconds, less than an invocation has
FOREVER = 1 << 50
ORIGIN = Origin("abcd1234", "prod", "abcd1234.execute-api.eu-west-1.amazonaws.com")
CLOSE = "\0"
IDS = count(1)
TABLES = count(1)

app = FastAPI()
manager = ConnectionManager()


class Recorder(FakeGateway):
    """A gateway that writes down what it is asked for, whether or not it does it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        """Texts to post, and `CLOSE`."""

    async def post(self, connection_id: str, text: str) -> None:
        self.asked.append(text)
        await super().post(connection_id, text)

    async def close(self, connection_id: str) -> None:
        self.asked.append(CLOSE)
        await super().close(connection_id)


class Stage:
    """Where the app's route finds the world that it plays in."""

    world: "World"


async def note(websocket: WebSocket, what: str, text: str, number: int = 0) -> None:
    await Stage.world.note(websocket.scope["aws.context"], what, text, number)


@app.websocket("/")
async def route(websocket: WebSocket) -> None:
    await manager.connect(websocket, groups=["lobby"], user="ann")
    await websocket.send_text("welcome")
    number = 0
    limit = None
    try:
        while True:
            try:
                text = await asyncio.wait_for(websocket.receive_text(), limit)
            except TimeoutError:
                limit = None
                await note(websocket, "silence", "")
                continue
            number += 1
            limit = TIMER if text.startswith("watch") else None
            await note(websocket, "begin", text, number)
            if text.startswith("join"):
                await manager.join(websocket, "attic")
            if text.startswith("say"):
                try:
                    await websocket.send_text(text)
                except WebSocketDisconnect:
                    await note(websocket, "cut", text)
                    raise
            if text.startswith("close"):
                await note(websocket, "cut", text)
                await websocket.close()
                break
            await note(websocket, "end", text)
            if text.startswith("nap"):
                await asyncio.sleep(TIMER)
                await note(websocket, "awake", text)
    except WebSocketDisconnect:
        pass
    finally:
        await note(websocket, "over", "")


BLUEPRINT = hibernation.prepare(app)


@pytest.fixture(autouse=True, scope="module")
def no_timer_is_too_short() -> Iterator[None]:
    """Have every timer hibernate: nothing here takes any time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatesocket.run.TIMER_THRESHOLD", 0)
        yield


@dataclass
class Running:
    """One invocation: its number, by when Lambda ends it, and what brings it again if it is killed."""

    number: int
    deadline: int
    again: Callable[[], None] = lambda: None


@dataclass
class World:
    """A connection from its handshake until nothing is left of it, and all that can befall it."""

    registry: Registry
    expire: Callable[[str], None]
    """Deletes a record as DynamoDB does when its time to live is over."""
    now: int = BEGIN
    connection_id: str = ""
    skew: int = 0
    """By how many milliseconds the clocks of the next invocations are ahead."""
    gateway: Recorder = field(default_factory=Recorder)
    scheduler: Scheduler = field(default_factory=Scheduler)
    running: dict[asyncio.Task[Any], Running] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)
    wakes: list[tuple[int, int | None]] = field(default_factory=list)
    """For each wake on the queue, from when it can come, and the timer's *due* that it is for."""
    journal: list[tuple[int, str, str, int]] = field(default_factory=list)
    """What the route noted: in which invocation, what, of which text, and the route's own count."""
    arrived: list[str] = field(default_factory=list)
    """Messages and the disconnect, in the order in which the registry accepted them."""
    told: int = 0
    wrong: list[str] = field(default_factory=list)
    created: bool = False
    given_up: bool = False
    cut_short: bool = False
    """Whether the route ended by a send to somebody who had left, or by its own close."""

    def __post_init__(self) -> None:
        # Of API Gateway's shape, and never the same twice: one table serves many worlds.
        self.connection_id = f"{next(IDS):015d}="
        self.gateway.connecting(self.connection_id)
        self.numbers = count(1)
        self.messages = count(1)
        self.open = False

    # What the parts report.

    async def note(self, number: int, what: str, text: str, counted: int) -> None:
        if what == "begin":
            busy = [other for other in self.at_work() if other != number and other not in self.killed]
            if busy:
                self.wrong.append(f"{number} began {text} while {busy} were at work")
        self.cut_short = self.cut_short or what == "cut"
        self.journal.append((number, what, text, counted))
        await self.scheduler.point()

    def at_work(self) -> list[int]:
        """The invocations that have begun a message and not ended it."""
        begun: list[int] = []
        for number, what, _, _ in self.journal:
            if what == "begin":
                begun.append(number)
            elif number in begun:
                begun.remove(number)
        return begun

    def asked_registry(self, name: str, args: tuple[Any, ...], answer: Any) -> None:
        if name == "create":
            self.created = True
        if name == "take" and answer is not None:
            entry = args[1]
            text = {"message": entry.body, "disconnect": "left"}.get(entry.kind)
            if text is not None and text not in self.arrived:
                self.arrived.append(text)
            if isinstance(answer, GiveUp):
                self.given_up = True

    def asked_gateway(self, name: str, args: tuple[Any, ...], answer: Any) -> None:
        if name == "close":
            self.open = False

    # What happens.

    async def invoke(
        self,
        serve: Callable[[Driver, Invocation], Coroutine[Any, Any, Any]],
        *,
        again: Callable[[], None] = lambda: None,
        limit: int = TIME_LIMIT,
    ) -> None:
        """Run something in a process of its own, to its first point."""
        number, skew = next(self.numbers), self.skew
        running = Running(number, self.now + limit, again)

        driver = Driver(
            app,
            BLUEPRINT,
            Backend(
                cast("Registry", Points(self.registry, self.scheduler, self.asked_registry)),
                cast("GatewayClient", Points(self.gateway, self.scheduler, self.asked_gateway)),
                Waker(self),
                clock=lambda: self.now + skew,
            ),
            Settings(),
            lambda error: self.wrong.append(f"in {number} the route let out {error!r}"),
            sleep=lambda _: self.scheduler.point(),
        )
        scope = {"aws.event": {}, "aws.context": number, "state": {}}
        invocation = Invocation(str(number), running.deadline + skew, scope)
        task = await self.scheduler.start(serve(driver, invocation))
        self.running[task] = running
        self.reap()

    def reap(self) -> None:
        """Look after the invocations that have ended."""
        for task in [task for task in self.running if task.done()]:
            running = self.running.pop(task)
            if (error := task.exception()) is not None:
                self.wrong.append(f"{running.number} raised {error!r}")

    async def step(self, index: int) -> None:
        parked = self.scheduler.parked
        if parked:
            await self.scheduler.resume(parked[index % len(parked)])
            self.reap()

    def kill(self, task: asyncio.Task[Any]) -> None:
        running = self.running.pop(task)
        self.scheduler.kill(task)
        self.killed.add(running.number)
        running.again()

    def kill_one(self, index: int) -> None:
        mortal = [task for task, running in self.running.items() if running.deadline < FOREVER]
        if mortal:
            self.kill(mortal[index % len(mortal)])

    async def connect(self) -> None:
        async def serve(driver: Driver, invocation: Invocation) -> None:
            answer = await driver.connect(
                Connect(self.connection_id, "c", ORIGIN, BEGIN, "127.0.0.1", (), ()), invocation
            )
            assert answer.status == 200
            self.open = True
            self.gateway.open(self.connection_id)

        await self.invoke(serve)

    async def send(self, word: str) -> None:
        if self.open:
            text = f"{word} {next(self.messages)}"
            message = Message(self.connection_id, text, ORIGIN, text, text)
            await self.invoke(lambda driver, invocation: driver.message(message, invocation))

    async def leave(self, *, told: bool) -> None:
        if self.open:
            self.open = False
            self.gateway.gone(self.connection_id)
            if told:
                disconnect = Disconnect(self.connection_id, "d", ORIGIN, 1001, "left")
                await self.invoke(lambda driver, invocation: driver.disconnect(disconnect, invocation))

    async def tell(self) -> None:
        """Send to the connection from another process."""
        if not self.open:
            return
        self.told += 1
        text = f"told {self.told}"

        async def serve(driver: Driver, invocation: Invocation) -> None:
            with backend.use(driver._backend):
                await manager.send_to_user("ann", text)

        await self.invoke(serve, limit=FOREVER)

    async def wake(self, index: int, *, twice: bool) -> None:
        can_come = [(when, due) for when, due in self.wakes if when <= self.now]
        if not can_come:
            return
        when, due = can_come[index % len(can_come)]
        if not twice:
            self.wakes.remove((when, due))
        await self.invoke(
            lambda driver, invocation: driver.wake(Wake(self.connection_id, f"w{invocation.id}", due), invocation),
            # A wake whose invocation died is delivered again.
            again=lambda: self.wakes.append((self.now, due)),
        )

    def pass_time(self, milliseconds: int) -> None:
        self.now += milliseconds
        for task in [task for task, running in self.running.items() if running.deadline <= self.now]:
            self.kill(task)

    async def settle(self) -> None:
        """Let everything that is under way come to its end, and every wake in its time."""
        for _ in range(2000):
            if self.scheduler.parked:
                await self.step(0)
            elif self.wakes:
                self.pass_time(max(0, min(when for when, _ in self.wakes) - self.now))
                await self.wake(0, twice=False)
            else:
                return
        self.wrong.append("it never comes to rest")

    async def end(self) -> None:
        """Let the client leave, and DynamoDB delete what is still there when its time is over."""
        await self.settle()
        record = await self.registry.get(self.connection_id, now=0)
        if record is not None and record.due is not None:
            self.wrong.append("a timer waits for a wake that doesn't come")
        await self.leave(told=True)
        await self.settle()
        record = await self.registry.get(self.connection_id, now=0)
        if record is not None:
            self.now = record.expires_at * 1000
            self.expire(self.connection_id)
            await self.invoke(lambda driver, invocation: driver.expire(record, "left", invocation))
            await self.settle()

    # What must hold.

    async def check(self) -> None:
        assert self.wrong == []
        begun = [(number, text, counted) for number, what, text, counted in self.journal if what == "begin"]
        for index, (number, text, _) in enumerate(begun):
            again = [other for other, later, _ in begun[index + 1 :] if later == text]
            assert not again or number in self.killed, f"{text} was received by {number} and then by {again}"
        messages = [text for text in self.arrived if text != "left"]
        last = [text for index, (_, text, _) in enumerate(begun) if text not in {t for _, t, _ in begun[index + 1 :]}]
        assert last == [text for text in messages if text in last], "in the order of their arrival"
        counts = {text: counted for _, text, counted in begun}
        assert [counts[text] for text in last] == list(range(1, len(last) + 1)), "with its locals"
        naps = {text for text in last if text.startswith("nap")}
        if not self.given_up and not self.killed:
            awake = [text for _, what, text, _ in self.journal if what == "awake"]
            assert awake == [text for text in last if text in naps], "every sleep ends, and ends once"
        overs = [number for number, what, _, _ in self.journal if what == "over"]
        assert all(number in self.killed for number in overs[:-1]), f"the route ended in {overs}"
        if self.created:
            assert overs, "the route has ended"
        if self.created and not self.given_up and not self.cut_short:
            before = self.arrived[: self.arrived.index("left")] if "left" in self.arrived else self.arrived
            assert set(before) <= set(last), "nothing is lost"
        sent = self.gateway.sent[self.connection_id]
        assert "welcome" in sent[:1] or not sent, "nothing overtakes what the route sent first"
        if not self.killed:
            assert len(sent) == len(set(sent)), "nothing is sent twice"
            # What others send may still come and find that nobody is there.
            asked = [text for text in self.gateway.asked if not text.startswith("told")]
            assert CLOSE not in asked[:-1], "nothing is sent after the close"
            said = [text for text in sent if text.startswith("say")]
            assert said == [text for text in last if text in said], "in the order of the route's sends"
        assert await self.registry.get(self.connection_id, now=0) is None
        for group in ("*", "lobby", "attic"):
            assert [m async for m in self.registry.members(group, now=0) if m.connection_id == self.connection_id] == []
        assert [m async for m in self.registry.connections("ann", now=0) if m.connection_id == self.connection_id] == []


class Waker:
    """The wake queue of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def wake(self, connection_id: str, *, delay: float = 0, due: int | None = None) -> None:
        await self._world.scheduler.point()
        self._world.wakes.append((self._world.now + math.ceil(delay) * 1000, due))
        await self._world.scheduler.point()


# The schedules.

ACTIONS = [
    *["step"] * 12,
    *["send"] * 3,
    *["say"] * 2,
    *["wake"] * 2,
    "join",
    "nap",
    "watch",
    "close",
    "leave",
    "vanish",
    "tell",
    "wake twice",
    "kill",
    "second",
    "almost",
    "lease",
    "minute",
    "ahead",
    "behind",
]
PASSES = {"second": 1_000, "almost": TIME_LIMIT - 100, "lease": 11_000, "minute": 60_000}
"""Milliseconds that pass: all but the last of an invocation's time, more than its lease, or more than any timer."""
Schedule = list[tuple[str, int]]
schedules = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5)), min_size=5, max_size=80)


async def play(world: World, schedule: Schedule) -> None:
    """Let a schedule happen, then everything come to its end; check what must hold."""
    Stage.world = world
    await world.connect()
    try:
        for action, index in schedule:
            match action:
                case "step":
                    await world.step(index)
                case "send" | "say" | "join" | "nap" | "watch" | "close":
                    await world.send(action)
                case "leave" | "vanish":
                    await world.leave(told=action == "leave")
                case "tell":
                    await world.tell()
                case "wake" | "wake twice":
                    await world.wake(index, twice=action == "wake twice")
                case "kill":
                    world.kill_one(index)
                case "second" | "almost" | "lease" | "minute":
                    world.pass_time(PASSES[action])
                case "ahead" | "behind":
                    world.skew = SKEW if action == "ahead" else -SKEW
        await world.end()
        await world.check()
    finally:
        await world.scheduler.close()


def in_memory() -> World:
    registry = MemoryRegistry()

    def expire(connection_id: str) -> None:
        del registry._records[connection_id]

    return World(registry, expire)


# A post finds that the client has left, while a message that came before its disconnect isn't taken up yet.
@example([*[("step", 0)] * 4, ("send", 0), ("join", 0), ("leave", 0)])
# A holder whose clock is late is at work to the end of its time, when a message comes to a host whose clock is early.
@example(
    [
        *[*[("step", 0)] * 4, ("behind", 0), ("send", 0)],
        *[*[("step", 0)] * 5, ("almost", 0), ("ahead", 0), ("send", 0)],
        *[("step", 1)] * 4,
    ]
)
# A timer's wake finds the holder of a message, who dies of it.
@example(
    [
        *[*[("step", 0)] * 12, ("wake", 0), *[("step", 0)] * 12],
        *[("nap", 0), *[("step", 0)] * 20, ("send", 0), ("step", 0)],
        *[("almost", 0), ("wake", 0), *[("step", 1)] * 5, ("kill", 0)],
    ]
)
@given(schedules)
@settings(max_examples=400, deadline=None)
def test_one_connection_is_one_actor(schedule: Schedule) -> None:
    asyncio.run(play(in_memory(), schedule))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(schedules)
@settings(max_examples=10_000, deadline=None)
def test_one_connection_is_one_actor_in_thousands_of_schedules(schedule: Schedule) -> None:
    asyncio.run(play(in_memory(), schedule))


class Table:
    """A table in moto's server, for many worlds."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self.client = client
        self.name = f"actors-{next(TABLES)}"
        create_table(client, self.name)

    def world(self) -> World:
        def expire(connection_id: str) -> None:
            self.client.delete_item(TableName=self.name, Key=record_key(connection_id))

        return World(DynamoDBRegistry(self.name, client=self.client), expire)


@pytest.fixture(scope="module")
def table(moto_client: "DynamoDBClient") -> Table:
    return Table(moto_client)


@pytest.mark.timeout(120)
@given(schedule=schedules)
@settings(max_examples=15, deadline=None)
def test_one_connection_is_one_actor_in_dynamodb(table: Table, schedule: Schedule) -> None:
    asyncio.run(play(table.world(), schedule))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(schedule=schedules)
@settings(max_examples=500, deadline=None)
def test_one_connection_is_one_actor_in_dynamodb_for_long(table: Table, schedule: Schedule) -> None:
    asyncio.run(play(table.world(), schedule))
