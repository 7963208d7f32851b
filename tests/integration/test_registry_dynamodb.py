"""What is special about the registry in DynamoDB: what it costs, how it survives races, and its errors."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from gatesocket.aws import Boto3Client
from gatesocket.exceptions import ConfigurationError, InboxFull, LeaseLost, RegistryError
from gatesocket.registry.base import EVERYONE, Busy, Changes, Entry, Lease, Record, Taken
from gatesocket.registry.bounds import Bounds
from gatesocket.registry.dynamodb import ATTEMPTS, DynamoDBRegistry
from gatesocket.registry.items import encode, record_key
from gatesocket.registry.table import BATCH_ATTEMPTS, LONGEST_PAUSE
from support import dynamodb
from support.botocore_events import interleave, limit_batches, limit_pages, lose_first_answers, record_calls
from support.table import create_table, table_properties

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_700_000_000_000
LATER = NOW + 30_000
ANN = "TXzPWdnOjoECGjA="
RECORD = Record(ANN, b"scope", NOW, NOW // 1000 + 7200, snapshot=b"before", groups=frozenset({EVERYONE}))
FIRST = Lease("first", expires_at=LATER)
SECOND = Lease("second", expires_at=LATER + 30_000)
HELLO = Entry("message", "m1", "hello")
THERE = Entry("message", "m2", "there")


@pytest.fixture
def own_client(client: "DynamoDBClient") -> Iterator["DynamoDBClient"]:
    """A client of the test's own, to do things to."""
    own = dynamodb.connect(client.meta.endpoint_url)
    yield own
    own.close()


@pytest.fixture
def registry(table: str, own_client: "DynamoDBClient") -> DynamoDBRegistry:
    return DynamoDBRegistry(table, client=own_client)


@pytest.fixture
def rival(table: str, client: "DynamoDBClient") -> DynamoDBRegistry:
    """Another process with the same table."""
    return DynamoDBRegistry(table, client=client)


async def take(registry: DynamoDBRegistry, entry: Entry = HELLO, lease: Lease = FIRST, *, now: int = NOW) -> Record:
    answer = await registry.take(ANN, entry, lease, now=now)
    assert isinstance(answer, Taken)
    return answer.record


# What it costs.


async def test_an_uncontended_message_costs_two_writes_and_no_read(
    registry: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    calls = record_calls(own_client)
    record = await take(registry)
    await registry.release(record, Changes(b"after"), seen=1, now=NOW)
    assert calls == ["UpdateItem", "UpdateItem"]


async def test_a_message_beside_a_running_holder_costs_two_calls(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    await take(rival)
    calls = record_calls(own_client)
    assert await registry.take(ANN, THERE, SECOND, now=NOW) == Busy()
    assert calls == ["UpdateItem", "UpdateItem"]


async def test_a_connection_begins_with_its_record_and_then_its_memberships(
    registry: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    """A broadcast that found a member without a record would take the connection for one that is gone."""
    calls = record_calls(own_client)
    await registry.create(RECORD)
    assert calls == ["PutItem", "BatchWriteItem"]


# Races, each forced.


async def test_a_lease_given_up_between_the_two_writes_of_a_take_is_taken(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    held = await take(rival)

    async def give_up() -> None:
        await rival.release(held, Changes(b"after"), seen=1, now=NOW)

    interleave(own_client, "UpdateItem", {2: give_up})
    answer = await registry.take(ANN, THERE, SECOND, now=NOW)
    assert isinstance(answer, Taken)
    assert (answer.record.inbox, answer.record.snapshot, answer.record.lease) == ((THERE,), b"after", SECOND)


async def test_a_connection_deleted_between_the_two_writes_of_a_take_is_unknown(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    await take(rival)
    interleave(own_client, "UpdateItem", {2: lambda: rival.delete(ANN)})
    assert await registry.take(ANN, THERE, SECOND, now=NOW) is None


async def test_a_record_deleted_while_it_is_created_again_is_said_so(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await rival.create(RECORD)
    interleave(own_client, "GetItem", {1: lambda: rival.delete(ANN)})
    with pytest.raises(RegistryError, match="could not be created: there was a record of it, which is gone"):
        await registry.create(RECORD)


async def test_a_take_that_always_comes_at_the_wrong_moment_gives_up_loudly(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    """Held at every first write, free at every second."""
    await registry.create(RECORD)

    async def grab() -> None:
        await take(rival, Entry("wake", "w"))

    async def give_up() -> None:
        record = await rival.get(ANN, now=NOW)
        assert record is not None
        await rival.release(record, Changes(b"after"), seen=1, now=NOW)

    calls = range(1, 2 * ATTEMPTS + 1)
    interleave(own_client, "UpdateItem", {call: grab if call % 2 else give_up for call in calls})
    with pytest.raises(RegistryError, match=f"could not be taken: .* {ATTEMPTS} times in a row"):
        await registry.take(ANN, THERE, SECOND, now=NOW)


async def test_an_inbox_emptied_just_in_time_is_not_full(
    table: str, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    registry = DynamoDBRegistry(table, client=own_client, bounds=Bounds(inbox_entries=1))
    await registry.create(RECORD)
    held = await take(rival)

    async def give_up() -> None:
        await rival.release(held, Changes(b"after"), seen=1, now=NOW)

    interleave(own_client, "GetItem", {1: give_up})
    answer = await registry.take(ANN, THERE, SECOND, now=NOW)
    assert isinstance(answer, Taken)
    assert answer.record.inbox == (THERE,)


async def test_an_entry_that_comes_while_a_release_writes_memberships_is_returned(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    record = await take(registry)
    interleave(own_client, "UpdateItem", {1: lambda: rival.take(ANN, THERE, SECOND, now=NOW)})
    changes = Changes(b"after", joined=frozenset({"lobby"}))
    assert await registry.release(record, changes, seen=1, now=NOW) == (THERE,)


async def test_a_lease_that_is_taken_over_during_a_release_is_lost(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    record = await take(registry)
    interleave(own_client, "UpdateItem", {1: lambda: take(rival, THERE, SECOND, now=LATER)})
    with pytest.raises(LeaseLost):
        await registry.release(record, Changes(b"after"), seen=1, now=LATER)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert stored.snapshot == b"before"


async def test_a_connection_that_becomes_live_is_not_held_back_for(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(RECORD)
    held = await take(rival)
    interleave(
        own_client, "UpdateItem", {1: lambda: rival.release(held, Changes(b"after", live=True), seen=1, now=NOW)}
    )
    assert await registry.hold_back(ANN, Entry("post", "p1", "welcome"), now=NOW) is False


async def test_holding_back_gives_up_loudly_when_the_inbox_is_full_at_every_write(
    table: str, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    registry = DynamoDBRegistry(table, client=own_client, bounds=Bounds(inbox_entries=1))
    await registry.create(RECORD)

    async def fill() -> None:
        await take(rival)

    async def empty() -> None:
        record = await rival.get(ANN, now=NOW)
        assert record is not None
        await rival.release(record, Changes(b"after"), seen=1, now=NOW)

    every = range(1, ATTEMPTS + 1)
    interleave(own_client, "UpdateItem", dict.fromkeys(every, fill))
    interleave(own_client, "GetItem", dict.fromkeys(every, empty))
    with pytest.raises(RegistryError, match="could not be reached"):
        await registry.hold_back(ANN, Entry("post", "p1", "welcome"), now=NOW)


# Answers that are lost on their way back, so that botocore repeats a write that was done.


async def test_a_whole_life_survives_the_loss_of_every_first_answer(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    for operation in ("PutItem", "UpdateItem", "BatchWriteItem", "Query", "GetItem"):
        lose_first_answers(own_client, operation)
    await registry.create(RECORD)
    assert await registry.hold_back(ANN, Entry("post", "p1", "welcome"), now=NOW) is True
    record = await take(registry)
    assert (record.inbox, record.lease, record.attempts) == ((Entry("post", "p1", "welcome"), HELLO), FIRST, 1)
    assert await rival.take(ANN, THERE, SECOND, now=NOW) == Busy()
    assert await registry.take(ANN, Entry("wake", "w"), SECOND, now=NOW) == Busy()
    assert await registry.release(record, Changes(b"after"), seen=2, now=NOW) == (THERE, Entry("wake", "w"))
    assert await registry.join(ANN, "lobby", user=None, expires_at=RECORD.expires_at) is True
    assert await registry.release(record, Changes(b"after"), seen=4, now=NOW) == ()
    stored = await rival.get(ANN, now=NOW)
    assert stored == replace(RECORD, snapshot=b"after", version=2, groups=frozenset({EVERYONE, "lobby"}))
    assert await registry.count("lobby", now=NOW) == 1
    await registry.leave(ANN, "lobby")
    assert await registry.count("lobby", now=NOW) == 0


async def test_members_stop_waiting_although_the_answer_to_the_release_is_lost(
    registry: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await registry.create(replace(RECORD, outbox=("welcome",), groups=frozenset({"lobby"})))
    record = await take(registry)
    lose_first_answers(own_client, "UpdateItem")
    assert await registry.release(record, Changes(b"after", live=True), seen=1, now=NOW) == ()
    assert [member.waits async for member in registry.members("lobby", now=NOW)] == [False]


# Many items.


async def test_members_are_read_page_by_page(registry: DynamoDBRegistry, own_client: "DynamoDBClient") -> None:
    ids = {f"connection-{number}" for number in range(5)}
    for connection_id in ids:
        await registry.create(replace(RECORD, connection_id=connection_id, user="ann"))
    limit_pages(own_client, 2)
    calls = record_calls(own_client)
    assert {member.connection_id async for member in registry.members(EVERYONE, now=NOW)} == ids
    assert {member.connection_id async for member in registry.connections("ann", now=NOW)} == ids
    assert await registry.count(EVERYONE, now=NOW) == 5
    assert calls == ["Query"] * 9


async def test_a_group_can_be_spread_over_shards(table: str, own_client: "DynamoDBClient") -> None:
    registry = DynamoDBRegistry(table, client=own_client, shards=3)
    ids = {f"connection-{number}" for number in range(12)}
    for connection_id in ids:
        await registry.create(replace(RECORD, connection_id=connection_id))
    assert {member.connection_id async for member in registry.members(EVERYONE, now=NOW)} == ids
    assert await registry.count(EVERYONE, now=NOW) == 12
    for connection_id in ids:
        await registry.leave(connection_id, EVERYONE)
    assert await registry.count(EVERYONE, now=NOW) == 0
    partitions = {item["pk"]["S"] for item in own_client.scan(TableName=table)["Items"]}
    assert {f"C#{connection_id}" for connection_id in ids} == partitions


def test_a_group_has_at_least_one_shard() -> None:
    with pytest.raises(ValueError, match="shards=0"):
        DynamoDBRegistry("connections", shards=0)


async def test_writes_that_are_put_off_are_tried_again(table: str, own_client: "DynamoDBClient") -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    registry = DynamoDBRegistry(table, client=own_client, sleep=sleep)
    limit_batches(own_client, 2)
    groups = frozenset(f"room {number}" for number in range(5))
    await registry.create(replace(RECORD, groups=groups))
    assert [await registry.count(group, now=NOW) for group in groups] == [1] * 5
    assert len(pauses) == 2
    assert all(0 <= pause <= LONGEST_PAUSE for pause in pauses)


async def test_writes_that_are_put_off_for_ever_are_an_error(table: str, own_client: "DynamoDBClient") -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    registry = DynamoDBRegistry(table, client=own_client, sleep=sleep)
    limit_batches(own_client, 1)
    groups = frozenset(f"room {number}" for number in range(BATCH_ATTEMPTS + 3))
    with pytest.raises(RegistryError, match=f"put off 3 writes to table '{table}' {BATCH_ATTEMPTS} times"):
        await registry.create(replace(RECORD, groups=groups))
    assert len(pauses) == BATCH_ATTEMPTS


# What is in the table.


def test_the_templates_table_is_the_one_that_is_written_to() -> None:
    properties = table_properties()
    item = encode(RECORD)
    keys = {key["AttributeName"] for key in properties["KeySchema"]}
    assert keys == set(record_key(ANN))
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert item["expires_at"] == {"N": str(RECORD.expires_at)}


async def test_a_damaged_record_is_refused(registry: DynamoDBRegistry, table: str, client: "DynamoDBClient") -> None:
    item = encode(RECORD)
    del item["version"]
    client.put_item(TableName=table, Item=item)
    with pytest.raises(RegistryError, match="wasn't written by Gatesocket, or was damaged"):
        await registry.get(ANN, now=NOW)


async def test_a_full_inbox_is_said_before_dynamodb_refuses_the_item(dynalite_client: "DynamoDBClient") -> None:
    """With everything as large as the bounds allow, the item still fits; moto would count the inbox twice."""
    create_table(dynalite_client, "full")
    registry = DynamoDBRegistry("full", client=dynalite_client)
    await registry.create(replace(RECORD, snapshot=b"x" * (Bounds().kept_bytes - 100)))
    await take(registry)
    for number in range(9):
        entry = Entry("message", f"n{number}", "x" * 20_000)
        assert await registry.take(ANN, entry, SECOND, now=NOW) == Busy()
    with pytest.raises(InboxFull):
        await registry.take(ANN, Entry("message", "n9", "x" * 20_000), SECOND, now=NOW)
    assert await registry.take(ANN, Entry("message", "n9", "x" * 16_000), SECOND, now=NOW) == Busy()
    assert isinstance(await registry.take(ANN, Entry("disconnect", "d", "x" * 123, 1006), SECOND, now=NOW), Busy)


# Errors.


async def test_a_missing_table_is_named_with_the_remedy(own_client: "DynamoDBClient") -> None:
    registry = DynamoDBRegistry("not-there", client=own_client)
    with pytest.raises(ConfigurationError, match="no table 'not-there'.*deploy template.yaml.*GATESOCKET_TABLE"):
        await registry.get(ANN, now=NOW)
    with pytest.raises(ConfigurationError, match="no table 'not-there'"):
        await registry.take(ANN, HELLO, FIRST, now=NOW)
    with pytest.raises(ConfigurationError, match="no table 'not-there'"):
        await registry.create(RECORD)


async def test_what_dynamodb_refuses_is_said_in_its_words(table: str, own_client: "DynamoDBClient") -> None:
    """A partition key has 2048 bytes."""
    registry = DynamoDBRegistry(table, client=own_client)
    with pytest.raises(RegistryError, match=f"refused a call on table '{table}': ValidationException: ") as caught:
        await registry.create(replace(RECORD, connection_id="x" * 3000))
    assert isinstance(caught.value.__cause__, Exception)
    assert isinstance(caught.value.__cause__.__cause__, ClientError)


async def test_a_dynamodb_that_can_not_be_reached_is_an_error() -> None:
    config = Config(retries={"total_max_attempts": 1}, signature_version=UNSIGNED)
    nobody: DynamoDBClient = boto3.session.Session().client(
        "dynamodb", endpoint_url="http://127.0.0.1:9", region_name="eu-central-1", config=config
    )
    with pytest.raises(RegistryError, match=r"can't be reached for table 'connections': .*127\.0\.0\.1:9"):
        await DynamoDBRegistry("connections", client=nobody).get(ANN, now=NOW)
    nobody.close()


async def test_one_client_of_boto3_is_made_by_the_first_calls_and_closed(
    monkeypatch: pytest.MonkeyPatch, table: str, client: "DynamoDBClient"
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    made: list[Any] = []
    make = boto3.session.Session.client

    def note(session: boto3.session.Session, *args: Any, **options: Any) -> Any:
        made.append(make(session, *args, **options))
        return made[-1]

    monkeypatch.setattr(boto3.session.Session, "client", note)
    threads = Boto3Client("dynamodb", region="eu-central-1", endpoint_url=client.meta.endpoint_url)
    registry = DynamoDBRegistry(table, client=threads)
    assert made == []
    await asyncio.gather(*(registry.get(ANN, now=NOW) for _ in range(4)))
    assert len(made) == 1
    await registry.aclose()
