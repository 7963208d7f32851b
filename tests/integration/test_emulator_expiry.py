"""What has expired in a table of the stand-in for DynamoDB is deleted."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from gatesocket.emulator import expiry
from gatesocket.emulator.aws import AwsStandIn
from gatesocket.emulator.expiry import Reaper
from gatesocket.emulator.resources import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_700_000_000
NAMES = count(1)


@pytest.fixture(scope="module")
async def stand_in() -> AsyncIterator[AwsStandIn]:
    stand_in = AwsStandIn("eu-west-1")
    await stand_in.start()
    yield stand_in
    await stand_in.aclose()


@pytest.fixture
def table(stand_in: AwsStandIn) -> Table:
    name = f"expiring-{next(NAMES)}"
    definition = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
    }
    stand_in.create([made := Table(name, definition, "expires_at")], [])
    return made


def put(dynamodb: "DynamoDBClient", table: Table, key: str, expires_at: int | None) -> None:
    item: dict[str, Any] = {"pk": {"S": key}}
    if expires_at is not None:
        item["expires_at"] = {"N": str(expires_at)}
    dynamodb.put_item(TableName=table.name, Item=item)


def keys(dynamodb: "DynamoDBClient", table: Table) -> set[str]:
    return {item["pk"]["S"] for item in dynamodb.scan(TableName=table.name)["Items"]}


def changes(stand_in: AwsStandIn, table: Table) -> list[dict[str, Any]]:
    streams = stand_in.streams()
    (stream,) = streams.list_streams(TableName=table.name)["Streams"]
    arn = stream["StreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    place = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    found: list[dict[str, Any]] = streams.get_records(ShardIterator=place["ShardIterator"])["Records"]
    return found


async def test_what_has_expired_is_deleted_and_told_apart(stand_in: AwsStandIn, table: Table) -> None:
    """In the stream, from what an app deletes, even from what it has put there under the same key."""
    dynamodb = stand_in.dynamodb()
    for key, expires_at in {"past": NOW - 1, "now": NOW, "future": NOW + 1, "never": None}.items():
        put(dynamodb, table, key, expires_at)
    reaper = Reaper(table, dynamodb, clock=lambda: NOW)

    reaper.reap()
    assert keys(dynamodb, table) == {"future", "never"}

    put(dynamodb, table, "past", NOW + 60)
    for key in ("past", "never"):
        dynamodb.delete_item(TableName=table.name, Key={"pk": {"S": key}})
    told = [
        (change["dynamodb"]["Keys"]["pk"]["S"], reaper.deleted(change))
        for change in changes(stand_in, table)
        if change["eventName"] == "REMOVE"
    ]
    assert sorted(told[:2]) == [("now", True), ("past", True)]
    assert told[2:] == [("past", False), ("never", False)]


async def test_what_is_renewed_at_the_last_moment_stays(stand_in: AwsStandIn, table: Table) -> None:
    dynamodb = stand_in.dynamodb()
    put(dynamodb, table, "key", NOW - 1)
    delete = dynamodb.delete_item

    def late(**what: Any) -> Any:
        put(dynamodb, table, "key", NOW + 60)
        return delete(**what)

    dynamodb.delete_item = late  # type: ignore[method-assign]
    Reaper(table, dynamodb, clock=lambda: NOW).reap()
    assert keys(dynamodb, table) == {"key"}


async def test_it_looks_again_and_again(
    table: Table, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that can't be searched is searched again."""
    monkeypatch.setattr(expiry, "REAP_SECONDS", 0)
    looks = asyncio.Event()
    outcomes: list[Exception | None] = [EndpointConnectionError(endpoint_url="http://dynamodb"), None]

    class Scripted(Reaper):
        def reap(self) -> None:
            if not outcomes:
                loop.call_soon_threadsafe(looks.set)
            elif outcome := outcomes.pop(0):
                raise outcome

    loop = asyncio.get_running_loop()
    client: Any = None
    running = asyncio.create_task(Scripted(table, client).run())
    await asyncio.wait_for(looks.wait(), 10)
    running.cancel()
    await asyncio.wait([running])
    assert f"table {table.name} can't be searched for what has expired: Could not connect" in caplog.text
