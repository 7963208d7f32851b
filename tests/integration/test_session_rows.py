"""Each row of `gatesocket.session`'s table means the same in DynamoDB's language, and in the registry in memory."""

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from gatesocket.exceptions import InboxFull, LeaseLost, RegistryError
from gatesocket.registry.base import Record, Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.items import decode, encode, record_key
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.session import Arrived, Created, Ended, Event, HeldBack, Released, Restored, advance
from support.rows import BOUNDS, CONNECTION, EVENTS, NOW, STORED
from support.table import create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROWS = [pytest.param(*row, id=", ".join(row)) for row in product(STORED, EVENTS)]


async def happen(registry: Registry, event: Event[Any]) -> object:
    """Let *event* happen to a registry; return what it answers, or the type of what it raises."""
    try:
        match event:
            case Created(record):
                return await registry.create(record)  # type: ignore[func-returns-value]  # None is an answer
            case Arrived(entry, lease):
                return await registry.take(CONNECTION, entry, lease, now=NOW)
            case HeldBack(entry):
                return await registry.hold_back(CONNECTION, entry, now=NOW)
            case Released(record, changes, seen):
                return await registry.release(record, changes, seen=seen, now=NOW)
            case Restored(record, entry, lease, expires_at):
                return await registry.restore(record, entry, lease, expires_at=expires_at)
            case Ended(holder):
                return await registry.delete(CONNECTION, holder=holder)
    except (RegistryError, ValueError) as error:
        return type(error)
    raise AssertionError(f"no call of a registry makes {event} happen")


def expected(record: Record | None, event: Event[Any]) -> tuple[Record | None, object]:
    """Return what the machine leaves, and its effect as the answer of a registry."""
    try:
        after, effect = advance(record, event, NOW, bounds=BOUNDS)
    except (InboxFull, LeaseLost, RegistryError, ValueError) as error:
        return record, type(error)
    match event:
        case HeldBack() | Ended():
            return after, effect is not None
        case Released():
            return after, effect.entries if effect is not None else ()
    return after, effect


@pytest.fixture(scope="module")
def rows_table(moto_client: "DynamoDBClient") -> str:
    create_table(moto_client, "rows")
    return "rows"


@pytest.mark.parametrize(("stored", "happening"), ROWS)
async def test_the_conditional_writes_are_the_rows(
    stored: str, happening: str, rows_table: str, moto_client: "DynamoDBClient"
) -> None:
    record, event = STORED[stored], EVENTS[happening]
    key = record_key(CONNECTION)
    moto_client.delete_item(TableName=rows_table, Key=key)
    if record is not None:
        moto_client.put_item(TableName=rows_table, Item=encode(record))
    registry = DynamoDBRegistry(rows_table, client=moto_client, bounds=BOUNDS)

    answer = await happen(registry, event)

    item = moto_client.get_item(TableName=rows_table, Key=key).get("Item")
    assert (None if item is None else decode(item), answer) == expected(record, event)


@pytest.mark.parametrize(("stored", "happening"), ROWS)
async def test_the_registry_in_memory_is_the_rows(stored: str, happening: str) -> None:
    record, event = STORED[stored], EVENTS[happening]
    registry = MemoryRegistry(bounds=BOUNDS)
    if record is not None:
        registry._records[CONNECTION] = record

    answer = await happen(registry, event)

    assert (registry._records.get(CONNECTION), answer) == expected(record, event)
