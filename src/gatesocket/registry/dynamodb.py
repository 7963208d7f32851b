"""The registry in DynamoDB: one table, conditional writes, nothing that needs a transaction."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from gatesocket.aws import AWSClient, Refused, Unreachable, client_for
from gatesocket.exceptions import ConfigurationError, LeaseLost, RegistryError
from gatesocket.registry import writes
from gatesocket.registry.base import Busy, Changes, Entry, Lease, Member, Record, Taken
from gatesocket.registry.bounds import Bounds, check_names
from gatesocket.registry.items import (
    Item,
    belongings,
    decode,
    encode,
    group_key,
    group_membership,
    key_of,
    member,
    number,
    record_key,
    user_key,
    user_membership,
)
from gatesocket.registry.merge import merged
from gatesocket.registry.writes import Write
from gatesocket.session import Arrived, Created, HeldBack, Restored, advance, busy, restored, taken

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.literals import ReturnValueType
    from mypy_boto3_dynamodb.type_defs import (
        DeleteItemInputTypeDef,
        GetItemInputTypeDef,
        PutItemInputTypeDef,
        QueryInputTypeDef,
        UpdateItemInputTypeDef,
        WriteRequestUnionTypeDef,
    )

__all__ = ["DynamoDBRegistry"]

ATTEMPTS: Final = 8
"""How often something is tried that others got in the way of. Each time, one of them got on with its own work."""

BATCH: Final = 25
"""Writes in one BatchWriteItem at the most.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

PAGE: Final = 1000
"""Memberships in one page. DynamoDB's own 1 MB holds some 17,000, which take long to come and much memory when read."""

FIRST_PAUSE: Final = 0.05
"""Seconds that the first wait for a put-off write takes at the most; each later one may take twice as long."""

LONGEST_PAUSE: Final = 1.0
"""Seconds that any of these waits takes at the most."""

REFUSED: Final = "ConditionalCheckFailedException"
"""The answer to a write whose condition doesn't hold."""


class DynamoDBRegistry:
    """Keeps connections in the DynamoDB table of ``template.yaml``.

    An uncontended `take` is one UpdateItem, and so is `release`; neither reads. A `take` beside a running holder is
    two. Memberships that a release writes come on top, 25 to a call.

    A `delete` removes the record first, in the one write that decides whether it may, and the memberships then. If the
    process dies between the two, or that write's answer is lost, the memberships stay until the time to live that they
    have of their own is over, or a broadcast prunes them.

    Args:
        table: the table's name.
        client: calls DynamoDB; a boto3 ``dynamodb`` client can, and its maker closes it. None makes an `AsyncioClient`.
        region: the table's region; None leaves it to that client.
        endpoint_url: another DynamoDB than AWS's; None leaves it to that client.
        shards: over how many partitions each group is spread, which are read at once; docs/broadcast.md says when more
            than one pays. The number can't be changed while there are connections.
        bounds: how much an inbox holds.
        sleep: waits before writes that DynamoDB has put off are tried again.
    """

    def __init__(
        self,
        table: str,
        *,
        client: "AWSClient | DynamoDBClient | None" = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        shards: int = 1,
        bounds: Bounds | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if shards < 1:
            raise ValueError(f"a group has at least 1 shard, but shards={shards}")
        self._table = table
        self._client = client_for("dynamodb", client, region=region, endpoint_url=endpoint_url)
        self._shards = shards
        self._bounds = bounds or Bounds()
        self._sleep = sleep

    @property
    def table(self) -> str:
        """The table's name."""
        return self._table

    @property
    def client(self) -> AWSClient:
        """What calls DynamoDB."""
        return self._client

    async def create(self, record: Record) -> None:
        """See `Registry.create`."""
        check_names(record.groups, record.user)
        self._bounds.check_kept(record)
        if not await self._put(record):
            item = await self._get(record.connection_id)
            if item is None:
                raise RegistryError(
                    f"connection {record.connection_id!r} could not be created: there was a record of it, which is gone"
                )
            # It may be this very call that wrote it, and whose answer was lost.
            advance(decode(item), Created(record), now=0)
        # Only now: a broadcast that finds a member without a record would take the connection for one that is gone.
        await self._write(put=self._memberships(record, record.groups, record.user))

    async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
        """See `Registry.take`."""
        take = writes.take(entry, lease, now=now, bounds=self._bounds)
        for _ in range(ATTEMPTS):
            item = await self._update(connection_id, take, returning="ALL_NEW")
            if item is not None:
                return taken(decode(item))
            append = writes.append(entry, now=now, bounds=self._bounds)
            if await self._update(connection_id, append) is not None:
                return busy(entry, lease, now)
            record = await self.get(connection_id, now=now)
            after, answer = advance(record, Arrived(entry, lease), now, bounds=self._bounds)
            if after is record:
                # There is none, or this very call wrote it and the answer was lost.
                return answer
        raise _contended("taken", connection_id)

    async def release(self, record: Record, changes: Changes, *, seen: int, now: int) -> tuple[Entry, ...]:
        """See `Registry.release`."""
        connection_id, lease = record.connection_id, record.lease
        if lease is None:
            raise ValueError(f"connection {connection_id!r} was not taken, so that it can't be released")
        check_names(changes.joined, changes.user)
        after = record.after(changes)
        self._bounds.check_kept(after)
        old_user, new_user = (None, None) if record.user == after.user else (record.user, after.user)
        await self._write(
            put=self._memberships(after, changes.joined, new_user),
            delete=self._memberships(record, changes.left, old_user),
        )
        delivered = record.waits and not after.waits
        write = writes.release(record, lease, changes, seen=seen, now=now)
        item = await self._update(connection_id, write, returning="ALL_NEW" if delivered else "NONE")
        if item is not None:
            if delivered:
                await self._stop_waiting(decode(item))
            return ()
        stored = await self.get(connection_id, now=now)
        if stored is not None and stored.lease is None and stored.version == after.version:
            # This very call wrote it, and the answer was lost: anybody else's release follows on anybody else's take.
            if delivered:
                await self._stop_waiting(stored)
            return ()
        await self._settle(record, stored, changes)
        if stored is None or not stored.held_by(lease.holder):
            raise LeaseLost(connection_id)
        if more := stored.inbox[seen:]:
            return more
        raise ValueError(f"the inbox holds {len(stored.inbox)} entries, so that {seen} can't have been seen")

    async def restore(self, record: Record, entry: Entry, lease: Lease, *, expires_at: int) -> Taken | None:
        """See `Registry.restore`."""
        again = restored(Restored(record, entry, lease, expires_at))
        return taken(again) if await self._put(again) else None

    async def delete(self, connection_id: str, *, holder: str | None = None) -> bool:
        """See `Registry.delete`."""
        item = await self._delete(connection_id, holder)
        if item is None:
            return False
        groups, user = belongings(item)
        memberships = [group_membership(connection_id, group, None, 0, shards=self._shards) for group in sorted(groups)]
        if user is not None:
            memberships.append(user_membership(connection_id, user, 0))
        await self._write(delete=memberships)
        return True

    async def get(self, connection_id: str, *, now: int) -> Record | None:
        """See `Registry.get`."""
        item = await self._get(connection_id)
        record = decode(item) if item is not None else None
        return None if record is None or record.expired(now) else record

    async def hold_back(self, connection_id: str, entry: Entry, *, now: int) -> bool:
        """See `Registry.hold_back`."""
        write = writes.hold_back(entry, now=now, bounds=self._bounds)
        for _ in range(ATTEMPTS):
            if await self._update(connection_id, write) is not None:
                return True
            record = await self.get(connection_id, now=now)
            after, answer = advance(record, HeldBack(entry), now, bounds=self._bounds)
            if after is record:
                # There is none, it is live, or this very call wrote it and the answer was lost.
                return answer is not None
        raise _contended("reached", connection_id)

    async def join(self, connection_id: str, group: str, *, user: str | None, expires_at: int) -> bool:
        """See `Registry.join`."""
        check_names({group}, user)
        # The record first: it names at least the groups that have a membership, so that `delete` finds them all.
        item = await self._update(connection_id, writes.join(group), returning="ALL_NEW")
        if item is None:
            return False
        waits = decode(item).waits
        membership = group_membership(connection_id, group, user, expires_at, shards=self._shards, waits=waits)
        await self._write(put=[membership])
        return True

    async def leave(self, connection_id: str, group: str) -> bool:
        """See `Registry.leave`."""
        check_names({group}, None)
        await self._write(delete=[group_membership(connection_id, group, None, 0, shards=self._shards)])
        return await self._update(connection_id, writes.leave(group)) is not None

    async def members(self, group: str, *, now: int) -> AsyncIterator[Member]:
        """See `Registry.members`."""
        async with aclosing(self._pages(group, now)) as pages:
            async for page in pages:
                for item in page["Items"]:
                    yield member(item)

    async def connections(self, user: str, *, now: int) -> AsyncIterator[Member]:
        """See `Registry.connections`."""
        check_names((), user)
        async for page in self._query(user_key(user), now):
            for item in page["Items"]:
                yield member(item, user)

    async def count(self, group: str, *, now: int) -> int:
        """See `Registry.count`."""
        async with aclosing(self._pages(group, now, counting=True)) as pages:
            return sum([page["Count"] async for page in pages])

    async def aclose(self) -> None:
        """See `Registry.aclose`."""
        await self._client.aclose()

    def _memberships(self, record: Record, groups: Iterable[str], user: str | None) -> list[Item]:
        """Return the memberships of *record*'s connection in *groups*, and the one that makes it *user*'s."""
        connection_id, expires_at = record.connection_id, record.expires_at
        items = [
            group_membership(connection_id, group, record.user, expires_at, shards=self._shards, waits=record.waits)
            for group in sorted(groups)
        ]
        if user is not None:
            items.append(user_membership(connection_id, user, expires_at, waits=record.waits))
        return items

    async def _stop_waiting(self, record: Record) -> None:
        """Let members be posted to, as a release has just written that what they waited for is delivered.

        Only now: as long as the inbox isn't known to be empty, a post could overtake what was held back in it. One by
        one, and only where a membership still is: the lease is given up, so that another holder may be leaving.
        """
        for membership in self._memberships(record, record.groups, record.user):
            await self._update_item(key_of(membership), writes.stop_waiting())

    async def _settle(self, record: Record, stored: Record | None, changes: Changes) -> None:
        """Make the memberships say again what is *stored*, after a release that wrote them and then didn't happen."""
        touched = changes.joined | changes.left
        users = {record.user, changes.user} if record.user != changes.user else set()
        groups = stored.groups & touched if stored is not None else frozenset()
        user = stored.user if stored is not None and stored.user in users else None
        put = self._memberships(stored or record, groups, user)
        delete = self._memberships(record, touched - groups, None)
        delete += [user_membership(record.connection_id, other, 0) for other in users - {user} if other is not None]
        await self._write(put=put, delete=delete)

    async def _get(self, connection_id: str) -> Item | None:
        request: GetItemInputTypeDef = {
            "TableName": self._table,
            "Key": record_key(connection_id),
            "ConsistentRead": True,
        }
        item: Item | None = (await self._call("GetItem", request)).get("Item")
        return item

    async def _update(self, connection_id: str, write: Write, *, returning: "ReturnValueType" = "NONE") -> Item | None:
        """Do *write* on a record; return what DynamoDB returns of it, None if the condition doesn't hold.

        Raises:
            UnreadableRecord: the write doesn't fit what is stored.
        """
        try:
            return await self._update_item(record_key(connection_id), write, returning=returning)
        except RegistryError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.code == "ValidationException":
                # An attribute may be of another type than any that this release writes.
                await self.get(connection_id, now=0)
            raise

    async def _put(self, record: Record) -> bool:
        """Put a record where none is; return whether that was so."""
        write = writes.put()
        request: PutItemInputTypeDef = {
            "TableName": self._table,
            "Item": encode(record),
            "ConditionExpression": write.condition,
            "ExpressionAttributeNames": write.names,
        }
        return await self._write_if("PutItem", request) is not None

    async def _update_item(self, key: Item, write: Write, *, returning: "ReturnValueType" = "NONE") -> Item | None:
        request: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": key,
            "UpdateExpression": write.update,
            "ConditionExpression": write.condition,
            "ExpressionAttributeNames": write.names,
            "ReturnValues": returning,
        }
        if write.values:
            request["ExpressionAttributeValues"] = write.values
        answer = await self._write_if("UpdateItem", request)
        return None if answer is None else answer.get("Attributes", {})

    async def _delete(self, connection_id: str, holder: str | None) -> Item | None:
        """Delete a record, with *holder* only if that holder has the lease; return what it was, None without one."""
        request: DeleteItemInputTypeDef = {
            "TableName": self._table,
            "Key": record_key(connection_id),
            "ReturnValues": "ALL_OLD",
        }
        if holder is not None:
            write = writes.delete(holder)
            request["ConditionExpression"] = write.condition
            request["ExpressionAttributeNames"] = write.names
            request["ExpressionAttributeValues"] = write.values
        answer = await self._write_if("DeleteItem", request)
        item: Item | None = None if answer is None else answer.get("Attributes")
        if item is None and holder is not None and await self._get(connection_id) is not None:
            raise LeaseLost(connection_id)
        return item

    def _pages(self, group: str, now: int, *, counting: bool = False) -> AsyncGenerator[dict[str, Any], None]:
        """Query the unexpired memberships of a group, page by page, all of its shards at once."""
        check_names({group}, None)
        return merged([self._query(group_key(group, shard), now, counting=counting) for shard in range(self._shards)])

    async def _query(self, partition: str, now: int, *, counting: bool = False) -> AsyncGenerator[dict[str, Any], None]:
        """Query the unexpired memberships of one partition, page by page."""
        request: QueryInputTypeDef = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "#pk = :pk",
            "FilterExpression": "#expires_at > :now_seconds",
            "ExpressionAttributeNames": {"#pk": "pk", "#expires_at": "expires_at"},
            "ExpressionAttributeValues": {":pk": {"S": partition}, ":now_seconds": number(now // 1000)},
        }
        if counting:
            request["Select"] = "COUNT"
        else:
            request["Limit"] = PAGE
        while True:
            page = await self._call("Query", request)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    async def _write(self, *, put: Iterable[Item] = (), delete: Iterable[Item] = ()) -> None:
        """Write memberships, each one by itself: together they aren't atomic, and DynamoDB may put some off."""
        requests: list[WriteRequestUnionTypeDef] = [{"PutRequest": {"Item": item}} for item in put]
        requests += [{"DeleteRequest": {"Key": key_of(item)}} for item in delete]
        for first in range(0, len(requests), BATCH):
            await self._write_batch(requests[first : first + BATCH])

    async def _write_batch(self, requests: "Sequence[WriteRequestUnionTypeDef]") -> None:
        for attempt in range(ATTEMPTS):
            answer = await self._call("BatchWriteItem", {"RequestItems": {self._table: requests}})
            requests = answer.get("UnprocessedItems", {}).get(self._table, [])
            if not requests:
                return
            # "Full jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
            longest = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
            await self._sleep(random.uniform(0, longest))  # noqa: S311  # spreads load, hides nothing
        raise RegistryError(
            f"DynamoDB put off {len(requests)} writes to table {self._table!r} {ATTEMPTS} times: it is throttled. "
            "Raise the table's limits, or spread groups over more shards"
        )

    async def _write_if(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
        """Do a write that has a condition; return None if that doesn't hold."""
        try:
            return await self._call(operation, parameters)
        except RegistryError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.code == REFUSED:
                return None
            raise

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call DynamoDB, and say its errors in our words."""
        try:
            return await self._client.call(operation, parameters)
        except Refused as error:
            if error.code == "ResourceNotFoundException":
                raise ConfigurationError(
                    f"DynamoDB has no table {self._table!r} in this account and region: deploy template.yaml, which "
                    "makes it, and set GATESOCKET_TABLE to its name"
                ) from error
            raise RegistryError(f"DynamoDB refused a call on table {self._table!r}: {error}") from error
        except Unreachable as error:
            raise RegistryError(f"DynamoDB can't be reached for table {self._table!r}: {error}") from error


def _contended(done: str, connection_id: str) -> RegistryError:
    return RegistryError(
        f"connection {connection_id!r} could not be {done}: its record was changed between two calls, {ATTEMPTS} times "
        "in a row. Try again"
    )
