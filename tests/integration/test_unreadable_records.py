"""A record that this release can't read ends its connection with 1012, once, whatever event finds it."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from gatesocket import ConnectionManager
from gatesocket.aws import Refused
from gatesocket.exceptions import ConnectionGone, RegistryError, SnapshotError, UnreadableRecord
from gatesocket.registry.base import Changes, Entry, Lease, Record, Registry, Taken
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import SCHEMA, encode, record_key
from support.cloud import NOW, Cloud, end_all
from support.lambda_events import CONNECTION, connect, disconnect, message, removal

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FAREWELL = '{"type": "close", "code": 1012, "reason": ""}'

DAMAGES: dict[str, dict[str, Any]] = {
    "of a newer release": {"schema": {"N": str(SCHEMA + 1)}},
    "of an older release": {"schema": {"N": str(SCHEMA - 1)}},
    "of a newer release, which some holder has": {
        "schema": {"N": str(SCHEMA + 1)},
        "lease_holder": {"S": "newer"},
        "lease_expires_at": {"N": str(NOW + 60_000)},
    },
    "whose schema is no number": {"schema": {"S": "one"}},
    "whose inbox is no list": {"inbox": {"S": "hello"}},
    "whose inbox holds strange entries": {"inbox": {"L": [{"S": '["shutdown","id",0]\n'}]}},
    "whose version is no number": {"version": {"S": "one"}},
    "whose scope is text": {"scope": {"S": "scope"}},
    "whose time to live is text": {"expires_at": {"S": "soon"}},
}
EVENTS: dict[str, dict[str, Any]] = {
    "message": message("hello"),
    "disconnect": disconnect(1001),
    "wake": {
        "Records": [
            {"messageId": "w", "eventSource": "aws:sqs", "body": f'{{"connection_id":"{CONNECTION}"}}'},
        ]
    },
}

manager = ConnectionManager()


@pytest.fixture(autouse=True)
async def shut_down() -> AsyncIterator[None]:
    yield
    await end_all()


def diary(seen: list[str]) -> FastAPI:
    """An app whose one route writes down what it receives, and how it ends."""
    app = FastAPI()

    @app.websocket("/")
    async def route(websocket: WebSocket) -> None:
        await manager.connect(websocket, groups=["lobby"], user="ann")
        try:
            while True:
                seen.append(await websocket.receive_text())
        except WebSocketDisconnect as left:
            seen.append(f"left with {left.code}")

    return app


async def connected(registry: Registry, seen: list[str]) -> Cloud:
    cloud = Cloud(diary(seen), registry=registry, close_message=True)
    assert (await cloud(connect()))["statusCode"] == 200
    return cloud


async def members(cloud: Cloud) -> list[str]:
    found = [member.connection_id async for member in cloud.registry.members("lobby", now=cloud.now)]
    return found + [member.connection_id async for member in cloud.registry.connections("ann", now=cloud.now)]


# DynamoDB and dynalite find values of two types different, where moto fails to compare them.
@pytest.mark.parametrize("client", ["dynalite"], indirect=True)
@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_the_connection_is_closed_with_1012_and_nothing_is_left_of_it(
    damage: dict[str, Any],
    event: dict[str, Any],
    table: str,
    client: "DynamoDBClient",
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    cloud = await connected(DynamoDBRegistry(table, client=client), seen)
    record = await cloud.record()
    assert record is not None
    client.put_item(TableName=table, Item=encode(record) | damage)

    answer = await cloud(event)

    assert answer in ({"statusCode": 200}, {"batchItemFailures": []}), "no other try would read it"
    assert (cloud.sent, cloud.gateway.closed) == ([FAREWELL], [CONNECTION])
    assert f"connection {CONNECTION} can't go on and is closed with 1012: the record of connection" in caplog.text
    assert [type(error) for error in cloud.errors] == [UnreadableRecord]
    assert "Item" not in client.get_item(TableName=table, Key=record_key(CONNECTION))
    assert await members(cloud) == []
    assert seen == [], "the route isn't woken, for its end neither"


async def test_a_client_that_has_left_already_is_forgotten_all_the_same(
    moto_table: str, moto_client: "DynamoDBClient", caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "gatesocket")
    cloud = await connected(DynamoDBRegistry(moto_table, client=moto_client), [])
    record = await cloud.record()
    assert record is not None
    moto_client.put_item(TableName=moto_table, Item=encode(record) | DAMAGES["of a newer release"])
    cloud.gateway.gone(CONNECTION)

    await cloud(disconnect(1001))
    caplog.clear()
    await cloud(disconnect(1001))

    assert await members(cloud) == []
    assert caplog.messages == [], "the second one finds no record, which is nothing strange"


async def test_an_expired_one_is_closed_when_the_stream_tells_of_it(
    moto_table: str, moto_client: "DynamoDBClient", caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    cloud = await connected(DynamoDBRegistry(moto_table, client=moto_client), seen)
    record = await cloud.record()
    assert record is not None
    moto_client.delete_item(TableName=moto_table, Key=record_key(CONNECTION))
    change = removal(record)
    change["dynamodb"]["OldImage"] |= DAMAGES["of a newer release"]

    assert await cloud({"Records": [change]}) == {"batchItemFailures": []}

    assert (cloud.sent, cloud.gateway.closed, seen) == ([FAREWELL], [CONNECTION], [])
    assert "is closed with 1012" in caplog.text


async def test_a_send_from_elsewhere_leaves_it_to_the_next_event(
    moto_table: str, moto_client: "DynamoDBClient"
) -> None:
    """Whoever sends may be of another release than whoever runs the connection."""
    cloud = await connected(DynamoDBRegistry(moto_table, client=moto_client), [])
    record = await cloud.record()
    assert record is not None
    newer = encode(record) | DAMAGES["of a newer release"]
    moto_client.put_item(TableName=moto_table, Item=newer)

    with pytest.raises(UnreadableRecord, match=f"has schema {SCHEMA + 1}, but this Gatesocket reads schema {SCHEMA}"):
        await cloud.registry.hold_back(CONNECTION, Entry("post", "p", "hello"), now=cloud.now)

    assert moto_client.get_item(TableName=moto_table, Key=record_key(CONNECTION))["Item"] == newer


async def test_a_snapshot_of_other_code_ends_the_connection_in_every_registry(
    make_registry: Callable[..., Registry], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    cloud = await connected(make_registry(), seen)
    taken = await cloud.registry.take(CONNECTION, Entry("wake", "w"), Lease("h", NOW + 1), now=NOW)
    assert isinstance(taken, Taken)
    changes = Changes(b"of other code", live=True, user="ann")
    assert await cloud.registry.release(taken.record, changes, seen=1, now=NOW) == ()

    assert await cloud(message("hello")) == {"statusCode": 200}

    assert (cloud.sent, cloud.gateway.closed, seen) == ([FAREWELL], [CONNECTION], [])
    assert "is closed with 1012" in caplog.text
    assert [type(error) for error in cloud.errors] == [SnapshotError]
    assert await cloud.record() is None
    assert await members(cloud) == []
    with pytest.raises(ConnectionGone):
        await cloud.gateway.post(CONNECTION, "anything more")


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        # DynamoDB answers so if an attribute has another type, and if it is asked for something that it doesn't do.
        ("ValidationException", ["UpdateItem", "GetItem"]),
        ("AccessDeniedException", ["UpdateItem"]),
    ],
)
async def test_a_refused_write_to_a_record_that_can_be_read_is_what_it_is(code: str, calls: list[str]) -> None:
    stored = Record(CONNECTION, b"scope", NOW, NOW // 1000 + 7200, b"snapshot")
    called: list[str] = []

    class Refusing:
        async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
            called.append(operation)
            assert parameters["Key"] == record_key(CONNECTION)
            if operation == "GetItem":
                return {"Item": encode(stored)}
            raise Refused(code, "Not this one", 400)

        async def aclose(self) -> None:
            pass

    registry = DynamoDBRegistry("connections", client=Refusing())

    with pytest.raises(RegistryError, match="Not this one") as refused:
        await registry.take(CONNECTION, Entry("message", "m", "hello"), Lease("h", NOW + 1), now=NOW)
    assert not isinstance(refused.value, UnreadableRecord)
    assert called == calls
