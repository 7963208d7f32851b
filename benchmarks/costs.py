"""What events cost on AWS: DynamoDB units by the kind of event, and dollars, from counted calls and a dated price file.

The events run through the handler, on the template's table in moto's server, with each call counted on its way there.
Beside it stand the calls of AWS's own sample, https://github.com/aws-samples/simple-websockets-chat-app as of 2026-07:
one PutItem to connect, one DeleteItem to disconnect, and for each message one Scan of its table, of which every
connection is a part. ::

    .venv/bin/python benchmarks/costs.py
"""

import asyncio
import json
import math
import os
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from canned_aws import environment
from gatesocket import ConnectionManager, WebSocketHandler
from gatesocket.aws import AsyncioClient
from gatesocket.clock import milliseconds
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.description import describe
from gatesocket.emulator.resources import Addresses
from gatesocket.emulator.template import load
from gatesocket.gateway.fake import FakeGateway
from gatesocket.registry.base import EVERYONE, Record
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import group_membership
from gatesocket.registry.table import PAGE
from gatesocket.settings import Settings
from measure import Results, options, report
from metered import READ_UNIT_BYTES, MeteredClient, item_bytes
from sample_events import CONNECTION, REGION, Context, connect, disconnect, message

ROOT: Final = Path(__file__).parents[1]
PRICES: Final = json.loads((Path(__file__).parent / "prices.json").read_text(encoding="utf-8"))
DOLLARS: Final = {unit: dollars / 1_000_000 for unit, dollars in PRICES["dollars_per_million"].items()}
MILLION: Final = 1_000_000

ROOM: Final = 10
"""Members of the room whose messages are counted."""
ROOMS: Final = (10, 100, 1_000)
SAMPLE_ITEM_BYTES: Final = len("connectionId") + len(CONNECTION)
"""What the sample keeps of a connection."""

IDLE: Final = 10_000
MINUTES: Final = 30 * 24 * 60
"""In a month."""
CONNECTION_MINUTES: Final = 120
"""After which API Gateway ends a connection, and its client comes again."""
KEEP_ALIVE_MINUTES: Final = 9
"""Between two messages by which a client keeps API Gateway from ending its connection after ten."""

SHARDS: Final = (1, 2, 4, 8, 16)
PARTITION_WRITES: Final = 1000
"""Write units that one partition takes in a second.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""


@dataclass(frozen=True, slots=True)
class Event:
    """What one event costs."""

    name: str
    calls: str
    write_units: float
    read_units: float
    messages: int
    """That the gateway charges for: received and posted."""

    @property
    def dynamodb(self) -> float:
        """Dollars for DynamoDB."""
        return self.write_units * DOLLARS["dynamodb_write_units"] + self.read_units * DOLLARS["dynamodb_read_units"]

    @property
    def dollars(self) -> float:
        """Dollars in all, but for what Lambda asks for time."""
        return self.dynamodb + self.messages * DOLLARS["gateway_messages"] + DOLLARS["lambda_requests"]


app = FastAPI()
manager = ConnectionManager()


@app.websocket("/ws/{room}")
async def chat(websocket: WebSocket, room: str, name: str = "guest") -> None:
    """Be the chat of the README."""
    await manager.connect(websocket, groups=[room], user=name)
    number = 0
    try:
        while True:
            text = await websocket.receive_text()
            number += 1
            if text != "ping":
                await manager.broadcast(f"{name} #{number}: {text}", group=room)
    except WebSocketDisconnect:
        manager.disconnect(websocket)


def main() -> None:
    """Count, and print."""
    chosen = options("What events cost in DynamoDB units and in dollars.", samples=1, seconds=60)
    ours = {event.name: event for event in asyncio.run(_counted())}
    report("costs", [_units(ours), _messages(ours), _idle(ours), _shards()], chosen)


async def _counted() -> list[Event]:
    """Let one connection of a room live, and count each of its events."""
    stand_in = AwsStandIn(REGION)
    await stand_in.start()
    os.environ |= environment(stand_in.endpoint)
    try:
        addresses = Addresses(gateway="http://127.0.0.1:1", aws=stand_in.endpoint)
        resources = describe(load(ROOT / "template.yaml", region=REGION), region=REGION, addresses=addresses)
        stand_in.create(resources.tables, [])
        client = MeteredClient(AsyncioClient("dynamodb", region=REGION, endpoint_url=stand_in.endpoint))
        registry = DynamoDBRegistry(resources.tables[0].name, client=client)
        events = await _one_life(registry, client)
        await registry.aclose()
        await client.aclose()
        return events
    finally:
        await stand_in.aclose()


async def _one_life(registry: DynamoDBRegistry, client: MeteredClient) -> list[Event]:
    gateway, now = FakeGateway(), milliseconds()
    for number in range(ROOM - 1):
        connection_id = f"{number:015}="
        groups = frozenset({EVERYONE, "lobby"})
        await registry.create(Record(connection_id, b"", now, now // 1000 + 7200, live=True, groups=groups, user="Bob"))
        gateway.open(connection_id)
    gateway.open(CONNECTION)
    handler = WebSocketHandler(app, registry=registry, gateway=gateway, settings=Settings(table=None))

    async def count(name: str, event: dict[str, Any], received: int) -> Event:
        client.reset()
        posts = sum(map(len, gateway.sent.values()))
        await _succeed(handler.invoke(event, Context()))
        posted = sum(map(len, gateway.sent.values())) - posts
        return Event(name, ", ".join(client.calls), client.write_units, client.read_units, received + posted)

    # A handshake and an end aren't known to count as messages.
    events = [
        await count("CONNECT", connect("/ws/lobby", now=now), 0),
        await count("MESSAGE, broadcast", message("Good morning!", now=now), 1),
        await count("MESSAGE, kept to itself", message("ping", now=now), 1),
        await count("DISCONNECT", disconnect(now=now), 0),
    ]
    await handler.shutdown()
    return events


async def _succeed(invocation: Awaitable[dict[str, Any]]) -> None:
    answer = await invocation
    if answer["statusCode"] != 200:
        raise RuntimeError(f"an event was answered with {answer}")


def _sample(connections: int) -> dict[str, Event]:
    """Return what the sample's events cost with so many connections, all of them in its one room."""
    # A Scan is read eventually consistently, at half the price.
    read = max(1, math.ceil(connections * SAMPLE_ITEM_BYTES / READ_UNIT_BYTES)) / 2
    events = [
        Event("CONNECT", "PutItem", 1, 0, 0),
        Event("MESSAGE, broadcast", "Scan", 0, read, 1 + connections),
        Event("DISCONNECT", "DeleteItem", 1, 0, 0),
    ]
    return {event.name: event for event in events}


def _membership_units(members: int, shards: int = 1) -> int:
    """Return the units of reading so many members, spread evenly over so many shards."""
    item = group_membership(CONNECTION, "lobby", "Ada", milliseconds() // 1000, shards=1)
    units = 0
    for shard in range(shards):
        left = members // shards + (shard < members % shards)
        pages = [min(PAGE, left - first) for first in range(0, max(left, 1), PAGE)]
        units += sum(max(1, math.ceil(page * item_bytes(item) / READ_UNIT_BYTES)) for page in pages)
    return units


def _broadcast(counted: Event, members: int) -> Event:
    """Return what the counted broadcast would cost in a room of so many."""
    read_units = counted.read_units - _membership_units(ROOM) + _membership_units(members)
    return Event(counted.name, counted.calls, counted.write_units, read_units, 1 + members)


def _units(ours: dict[str, Event]) -> Results:
    rows = [
        {
            "event": f"{event.name}: {whose}",
            "calls": event.calls,
            "write units": event.write_units,
            "read units": event.read_units,
            "DynamoDB, $ a million": MILLION * event.dynamodb,
        }
        for name, own in ours.items()
        for whose, event in (("Gatesocket", own), ("the sample", _sample(ROOM).get(name)))
        if event is not None
    ]
    return Results(f"What an event costs; a room of {ROOM}", rows)


def _messages(ours: dict[str, Event]) -> Results:
    rows = []
    for members in ROOMS:
        own, sample = _broadcast(ours["MESSAGE, broadcast"], members), _sample(members)["MESSAGE, broadcast"]
        rows.append(
            {
                "members": members,
                "DynamoDB, $": MILLION * own.dynamodb,
                "the sample's, $": MILLION * sample.dynamodb,
                "API Gateway, $": MILLION * own.messages * DOLLARS["gateway_messages"],
                "in all, $": MILLION * own.dollars,
                "the sample's in all, $": MILLION * sample.dollars,
                "ratio": f"{own.dollars / sample.dollars:.3f}",
            }
        )
    return Results("A million messages that are broadcast to a room, without Lambda's time", rows)


def _idle(ours: dict[str, Event]) -> Results:
    lives = IDLE * MINUTES / CONNECTION_MINUTES
    pings = IDLE * MINUTES / KEEP_ALIVE_MINUTES
    sample = _sample(IDLE)
    rows = [
        ("connection minutes", *[IDLE * MINUTES * DOLLARS["gateway_connection_minutes"]] * 2),
        (
            f"CONNECT and DISCONNECT every {CONNECTION_MINUTES} minutes",
            lives * (ours["CONNECT"].dollars + ours["DISCONNECT"].dollars),
            lives * (sample["CONNECT"].dollars + sample["DISCONNECT"].dollars),
        ),
        (
            f"a message every {KEEP_ALIVE_MINUTES} minutes",
            pings * ours["MESSAGE, kept to itself"].dollars,
            # Its route key is none that the sample knows, so that no function runs.
            pings * DOLLARS["gateway_messages"],
        ),
    ]
    rows.append(("in all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    return Results(
        f"{IDLE:,} idle connections for a month",
        [{"": name, "Gatesocket, $": own, "the sample, $": theirs} for name, own, theirs in rows],
    )


def _shards() -> Results:
    rows = [
        {
            "shards": shards,
            # Whoever comes also goes, and both write one unit into the group's partition.
            "handshakes a second": shards * PARTITION_WRITES // 2,
            **{f"{members:,} members, units": _membership_units(members, shards) for members in (0, 10, 1_000, 10_000)},
            "10 members, $ a million": MILLION * _membership_units(10, shards) * DOLLARS["dynamodb_read_units"],
        }
        for shards in SHARDS
    ]
    return Results("A group's members by the number of its shards: who can come, and what a broadcast reads", rows)


if __name__ == "__main__":
    main()
