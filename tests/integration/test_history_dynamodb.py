"""A group's history in DynamoDB: writers that meet, answers that are lost, late deletions, items that others put."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from gatesocket.exceptions import RegistryError, UnreadableHistory
from gatesocket.registry import dynamodb as dynamodb_registry
from gatesocket.registry.base import REMEMBERED_SECONDS, START, Place
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.kept import history_key, sort_key
from support import dynamodb
from support.botocore_events import interleave, limit_pages, lose_first_answers, record_calls

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_700_000_000_000  # ms since the epoch
RUN = NOW // 1000
OVER = NOW + REMEMBERED_SECONDS * 1000


@pytest.fixture
def own_client(moto_client: "DynamoDBClient") -> Iterator["DynamoDBClient"]:
    """A client of the test's own, to do things to."""
    own = dynamodb.connect(moto_client.meta.endpoint_url)
    yield own
    own.close()


@pytest.fixture
def registry(moto_table: str, own_client: "DynamoDBClient") -> DynamoDBRegistry:
    return DynamoDBRegistry(moto_table, client=own_client)


@pytest.fixture
def rival(moto_table: str, moto_client: "DynamoDBClient") -> DynamoDBRegistry:
    """Another process with the same table."""
    return DynamoDBRegistry(moto_table, client=moto_client)


async def keep(registry: DynamoDBRegistry, text: str, *, now: int = NOW) -> Place:
    return (await registry.keep("lobby", text, id=f"the call of {text}", seconds=300, messages=100, now=now)).place


async def recent(registry: DynamoDBRegistry, *, now: int = NOW) -> list[tuple[Place, str]]:
    found = await registry.recent("lobby", since=START, most=100, now=now)
    return [(kept.place, kept.text) for kept in found]


# Writers that meet.


async def test_a_text_costs_a_query_and_a_put_and_a_run_begins_with_one_put_more(
    registry: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    calls = record_calls(own_client)
    await keep(registry, "{1}")
    await keep(registry, "{2}")
    assert calls == ["Query", "PutItem", "PutItem", "Query", "PutItem"]


async def test_of_two_that_want_one_place_the_slower_takes_the_next(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    await keep(rival, "{1}")
    interleave(own_client, "PutItem", {1: lambda: keep(rival, "{rival}")})
    assert await keep(registry, "{mine}") == Place(RUN, 3)
    assert await recent(rival) == [(Place(RUN, 1), "{1}"), (Place(RUN, 2), "{rival}"), (Place(RUN, 3), "{mine}")]


@pytest.mark.parametrize("put", [1, 2], ids=["before it begins a run", "before it takes the first place"])
async def test_two_that_begin_at_once_begin_one_run(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient", put: int
) -> None:
    """Even if their clocks differ: otherwise each would begin a run, and readers of one might never see the other."""
    interleave(own_client, "PutItem", {put: lambda: keep(rival, "{rival}", now=NOW + 2000)})
    place = await keep(registry, "{mine}")
    run = RUN + 2 if put == 1 else RUN
    assert place == Place(run, 2)
    assert await recent(rival) == [(Place(run, 1), "{rival}"), (Place(run, 2), "{mine}")]


async def test_who_dies_after_beginning_a_run_stops_nobody(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    class Killed(Exception):
        pass

    async def die() -> None:
        raise Killed

    interleave(own_client, "PutItem", {2: die})
    with pytest.raises(Killed):
        await keep(registry, "{never}")
    assert await keep(rival, "{1}", now=NOW + 2000) == Place(RUN, 1)


async def test_somebody_who_is_always_too_late_is_told_so(
    registry: DynamoDBRegistry, rival: DynamoDBRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_registry, "KEEP_ATTEMPTS", 2)
    await keep(rival, "{0}")

    async def put_too_late(*_arguments: object) -> bool:
        await keep(rival, "{faster}")
        return False  # what DynamoDB answers now

    monkeypatch.setattr(registry._table, "put", put_too_late)
    with pytest.raises(RegistryError, match="group 'lobby' could not be kept: others took 2 places before it"):
        await keep(registry, "{mine}")


async def test_a_text_is_kept_once_although_every_first_answer_is_lost(
    registry: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    for operation in ("PutItem", "GetItem", "Query"):
        lose_first_answers(own_client, operation)
    assert await keep(registry, "{1}") == Place(RUN, 1)
    assert await keep(registry, "{2}") == Place(RUN, 2)
    assert await recent(registry) == [(Place(RUN, 1), "{1}"), (Place(RUN, 2), "{2}")]


# What DynamoDB does with time, and with much.


async def test_what_has_expired_is_absent_although_it_is_still_there(registry: DynamoDBRegistry) -> None:
    await keep(registry, "{1}")
    assert await recent(registry, now=OVER) == []
    assert await keep(registry, "{2}", now=OVER) == Place(OVER // 1000, 1)
    assert await recent(registry, now=OVER) == [(Place(OVER // 1000, 1), "{2}")]


async def test_it_does_not_matter_which_of_what_has_expired_is_deleted_first(
    registry: DynamoDBRegistry, moto_client: "DynamoDBClient", moto_table: str
) -> None:
    for text in ("{1}", "{2}", "{3}"):
        await keep(registry, text)
    for sk in (sort_key(Place(RUN, 3)), "run"):
        moto_client.delete_item(TableName=moto_table, Key={"pk": {"S": history_key("lobby")}, "sk": {"S": sk}})
    assert await keep(registry, "{4}", now=OVER) == Place(OVER // 1000, 1)


async def test_a_history_is_read_page_by_page_and_no_further_than_wanted(
    registry: DynamoDBRegistry, own_client: "DynamoDBClient"
) -> None:
    for number in range(5):
        await keep(registry, f"{{{number}}}")
    limit_pages(own_client, 2)
    calls = record_calls(own_client)
    assert [text for _, text in await recent(registry)] == ["{0}", "{1}", "{2}", "{3}", "{4}"]
    assert len(await registry.recent("lobby", since=START, most=4, now=NOW)) == 4
    assert calls == ["Query"] * (3 + 2)


# What somebody else has put there.


async def test_an_item_that_gatesocket_did_not_write_is_refused(
    registry: DynamoDBRegistry, moto_client: "DynamoDBClient", moto_table: str
) -> None:
    planted = {"pk": {"S": history_key("lobby")}, "sk": {"S": sort_key(Place(RUN, 7))}, "text": {"S": "{}"}}
    moto_client.put_item(TableName=moto_table, Item=planted)
    with pytest.raises(UnreadableHistory, match="the history of group 'lobby' can't be read: ") as caught:
        await recent(registry)
    assert caught.value.group == "lobby"
    with pytest.raises(UnreadableHistory):
        await keep(registry, "{}")
