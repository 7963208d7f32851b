"""What each kind of event costs in calls to DynamoDB: the table in docs/costs-per-event.md, row by row."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager, backend
from gatesocket.history import History
from gatesocket.registry.base import Entry, Lease
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import encode, record_key
from support import dynamodb
from support.botocore_events import record_calls
from support.cloud import NOW, Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, message, removal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DOCS = Path(__file__).parents[2] / "docs" / "costs-per-event.md"
ROWS = dict(re.findall(r"^\| (?!event|---)(.+?) \| (.+?) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE))

app = FastAPI()
manager = ConnectionManager(history=History())


@app.websocket("/plain")
async def plain(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


@app.websocket("/refused")
async def refused(websocket: WebSocket) -> None:
    await websocket.close()


@app.websocket("/greeting")
async def greeting(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("welcome")
    await websocket.receive_text()


@app.websocket("/ticks")
async def ticks(websocket: WebSocket) -> None:
    await websocket.accept()
    while True:
        await asyncio.sleep(5)
        await websocket.send_text("tick")


@app.websocket("/member")
async def member(
    websocket: WebSocket, name: str = "ann", greet: bool = False, tell: bool = False, after: str | None = None
) -> None:
    await manager.connect(websocket, groups=["lobby"], user=name, after=after)
    if greet:
        await websocket.send_text("welcome")
    if tell:
        await manager.broadcast(f"{name} joined", group="lobby")
    count = 0
    try:
        while True:
            text = await websocket.receive_text()
            count += 1
            if text == "tell all":
                await manager.broadcast(f"{name} #{count}: {text}", group="lobby")
            if text == "keep":
                await manager.broadcast({"text": text}, group="lobby", keep=True)
            if text == "join":
                await manager.join(websocket, "attic")
    except WebSocketDisconnect:
        manager.disconnect(websocket)


class Metered:
    """A handler on a table, and the calls that it makes."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self.registry = DynamoDBRegistry(table, client=client)
        self.cloud = Cloud(app, registry=self.registry)
        self.client = client
        self.table = table
        self.calls = record_calls(client)

    async def connect(self, path: str, **query: str) -> None:
        await self.cloud(connect(path, query=query))

    async def count(self, happening: Awaitable[Any]) -> str:
        """Return the calls that something makes, as the table has them."""
        self.calls.clear()
        await happening
        return ", ".join(self.calls) or "none"


async def refuse(metered: Metered) -> str:
    return await metered.count(metered.connect("/refused"))


async def accept(metered: Metered) -> str:
    return await metered.count(metered.connect("/plain"))


async def accept_member(metered: Metered) -> str:
    return await metered.count(metered.connect("/member"))


async def accept_member_who_tells(metered: Metered) -> str:
    return await metered.count(metered.connect("/member", tell="true"))


async def receive(metered: Metered) -> str:
    await metered.connect("/plain")
    return await metered.count(metered.cloud(message("hello")))


async def receive_beside_another(metered: Metered) -> str:
    await metered.connect("/plain")
    await metered.registry.take(CONNECTION, Entry("message", "1"), Lease("other", NOW + 1000), now=NOW)
    return await metered.count(metered.cloud(message("hello")))


async def broadcast(metered: Metered) -> str:
    await metered.connect("/member")
    return await metered.count(metered.cloud(message("tell all")))


async def keep(metered: Metered) -> str:
    await metered.connect("/member")
    await metered.cloud(message("keep"))
    return await metered.count(metered.cloud(message("keep")))


async def keep_for_the_first_time(metered: Metered) -> str:
    await metered.connect("/member")
    return await metered.count(metered.cloud(message("keep")))


async def come_back(metered: Metered) -> str:
    return await metered.count(metered.connect("/member", after=""))


async def catch_up(metered: Metered) -> str:
    await metered.connect("/member", after="")
    return await metered.count(metered.cloud.wake())


async def join(metered: Metered) -> str:
    await metered.connect("/member")
    return await metered.count(metered.cloud(message("join")))


async def leave(metered: Metered) -> str:
    await metered.connect("/plain")
    return await metered.count(metered.cloud(disconnect()))


async def leave_as_member(metered: Metered) -> str:
    await metered.connect("/member")
    return await metered.count(metered.cloud(disconnect()))


async def deliver(metered: Metered) -> str:
    await metered.connect("/greeting")
    return await metered.count(metered.cloud.wake())


async def deliver_to_member(metered: Metered) -> str:
    await metered.connect("/member", greet="true")
    return await metered.count(metered.cloud.wake())


async def wake_late(metered: Metered) -> str:
    await metered.connect("/greeting")
    await metered.registry.delete(CONNECTION)
    return await metered.count(metered.cloud.wake())


async def tick(metered: Metered) -> str:
    await metered.connect("/ticks")
    metered.cloud.now += 5000
    calls = await metered.count(metered.cloud.wake())
    assert (metered.cloud.sent, metered.cloud.delays) == (["tick"], [5, 5]), "one message to the queue for each tick"
    return calls


async def receive_asleep(metered: Metered) -> str:
    await metered.connect("/ticks")
    calls = await metered.count(metered.cloud(message("hello")))
    assert metered.cloud.delays == [5], "the wake is on its way"
    return calls


async def expire(metered: Metered) -> str:
    await metered.connect("/member")
    record = await metered.registry.get(CONNECTION, now=NOW)
    assert record is not None
    metered.client.delete_item(TableName=metered.table, Key=record_key(CONNECTION))
    return await metered.count(metered.cloud({"Records": [removal(record)]}))


async def send_to(metered: Metered) -> str:
    await metered.connect("/plain")
    with backend.use(metered.cloud.backend):
        return await metered.count(manager.send_to(CONNECTION, "hello"))


async def send_to_user(metered: Metered) -> str:
    await metered.connect("/member")
    with backend.use(metered.cloud.backend):
        return await metered.count(manager.send_to_user("ann", "hello"))


EVENTS: dict[str, Callable[[Metered], Awaitable[str]]] = {
    "CONNECT, refused": refuse,
    "CONNECT, accepted": accept,
    "CONNECT of a member": accept_member,
    "CONNECT of a member that is broadcast to a group": accept_member_who_tells,
    "CONNECT of a member with `after`": come_back,
    "MESSAGE": receive,
    "MESSAGE while another one is worked on": receive_beside_another,
    "MESSAGE that is broadcast to a group": broadcast,
    "MESSAGE that is broadcast to a group and kept": keep,
    "MESSAGE that is kept as the first for a day": keep_for_the_first_time,
    "MESSAGE that joins a group": join,
    "DISCONNECT": leave,
    "DISCONNECT of a member": leave_as_member,
    "wake that delivers what was held back": deliver,
    "wake that delivers what was held back for a member": deliver_to_member,
    "wake that reads what a member of two groups has missed": catch_up,
    "wake that comes too late": wake_late,
    "wake of a timer": tick,
    "MESSAGE while the route sleeps": receive_asleep,
    "expiry of a member": expire,
    "`send_to` one connection": send_to,
    "`send_to_user`": send_to_user,
}


@pytest.fixture
async def metered(moto_client: "DynamoDBClient", moto_table: str) -> AsyncIterator[Metered]:
    client = dynamodb.connect(moto_client.meta.endpoint_url)
    yield Metered(client, moto_table)
    await end_all()
    client.close()


def test_every_row_of_the_documentation_is_counted() -> None:
    assert list(ROWS) == list(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
async def test_an_event_costs_what_the_documentation_says(metered: Metered, event: str) -> None:
    assert await EVENTS[event](metered) == ROWS[event]


async def test_a_small_routes_record_has_less_than_two_kilobytes(metered: Metered) -> None:
    await metered.connect("/member", name="somebody with a longer name")
    await metered.cloud(message("hello"))
    record = await metered.registry.get(CONNECTION, now=NOW)
    assert record is not None
    assert item_bytes(encode(record)) < 2 * 1024


def item_bytes(value: Any) -> int:
    """Bytes that DynamoDB counts of an item: names, texts and bytes as they are, some more for what holds them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    match value:
        case {"M": dict() as entries}:
            return 3 + sum(len(name) + 1 + item_bytes(entry) for name, entry in entries.items())
        case {"L": list() as entries}:
            return 3 + sum(1 + item_bytes(entry) for entry in entries)
        case {"S": str() as text}:
            return len(text.encode())
        case {"B": bytes() as raw}:
            return len(raw)
        case {"N": str()}:
            return 21
        case {"BOOL": _} | {"NULL": _}:
            return 1
        case dict() as attributes:
            return sum(len(name) + item_bytes(attribute) for name, attribute in attributes.items())
    raise AssertionError(value)
