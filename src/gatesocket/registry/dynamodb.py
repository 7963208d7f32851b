"""The registry in DynamoDB: one table, conditional writes, nothing that needs a transaction."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from gatesocket.aws import AWSClient, Refused, client_for
from gatesocket.exceptions import LeaseLost, RegistryError
from gatesocket.registry import kept, writes
from gatesocket.registry.base import START, Busy, Changes, Entry, Kept, Lease, Member, Place, Record, Taken
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
    record_key,
    user_key,
    user_membership,
)
from gatesocket.registry.merge import merged
from gatesocket.registry.table import Table
from gatesocket.registry.writes import Write
from gatesocket.session import Arrived, Created, HeldBack, Restored, advance, busy, restored, taken

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.literals import ReturnValueType

__all__ = ["DynamoDBRegistry"]

ATTEMPTS: Final = 8
"""How often something is tried that others got in the way of. Each time, one of them got on with its own work."""


KEEP_ATTEMPTS: Final = 64
"""How often a text asks for a place in its group's history that somebody else is faster to take.

Each time one of the others got it, so that as many broadcasts to one group may begin at once.
"""


class DynamoDBRegistry:
    """Keeps connections in the DynamoDB table of ``template.yaml``.

    An uncontended `take` is one UpdateItem, and so is `release`; neither reads. A `take` beside a running holder is
    two. Memberships that a release writes come on top, 25 to a call.

    A `delete` removes the record first, in the one write that decides whether it may, and the memberships then. If the
    process dies between the two, or that write's answer is lost, the memberships stay until the time to live that they
    have of their own is over, or a broadcast prunes them.

    A `keep` is a Query and a PutItem, and the same again for each that was faster.

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
        calls = client_for("dynamodb", client, region=region, endpoint_url=endpoint_url)
        self._table = Table(table, calls, sleep=sleep)
        self._shards = shards
        self._bounds = bounds or Bounds()

    @property
    def table(self) -> str:
        """The table's name."""
        return self._table.name

    @property
    def client(self) -> AWSClient:
        """What calls DynamoDB."""
        return self._table.client

    async def create(self, record: Record) -> None:
        """See `Registry.create`."""
        check_names(record.groups, record.user)
        self._bounds.check_kept(record)
        if not await self._table.put(encode(record), writes.put()):
            item = await self._table.get(record_key(record.connection_id))
            if item is None:
                raise RegistryError(
                    f"connection {record.connection_id!r} could not be created: there was a record of it, which is gone"
                )
            # It may be this very call that wrote it, and whose answer was lost.
            advance(decode(item), Created(record), now=0)
        # Only now: a broadcast that finds a member without a record would take the connection for one that is gone.
        await self._table.write(put=self._memberships(record, record.groups, record.user))

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
        await self._table.write(
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
        return taken(again) if await self._table.put(encode(again), writes.put()) else None

    async def delete(self, connection_id: str, *, holder: str | None = None) -> bool:
        """See `Registry.delete`."""
        key = record_key(connection_id)
        item = await self._table.delete(key, None if holder is None else writes.delete(holder))
        if item is None:
            if holder is not None and await self._table.get(key) is not None:
                raise LeaseLost(connection_id)
            return False
        groups, user = belongings(item)
        memberships = [group_membership(connection_id, group, None, 0, shards=self._shards) for group in sorted(groups)]
        if user is not None:
            memberships.append(user_membership(connection_id, user, 0))
        await self._table.write(delete=memberships)
        return True

    async def get(self, connection_id: str, *, now: int) -> Record | None:
        """See `Registry.get`."""
        item = await self._table.get(record_key(connection_id))
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
        await self._table.write(put=[membership])
        return True

    async def leave(self, connection_id: str, group: str) -> bool:
        """See `Registry.leave`."""
        check_names({group}, None)
        await self._table.write(delete=[group_membership(connection_id, group, None, 0, shards=self._shards)])
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
        async for page in self._table.pages(user_key(user), now):
            for item in page["Items"]:
                yield member(item, user)

    async def count(self, group: str, *, now: int) -> int:
        """See `Registry.count`."""
        async with aclosing(self._pages(group, now, counting=True)) as pages:
            return sum([page["Count"] async for page in pages])

    async def keep(self, group: str, text: str, *, id: str, seconds: int, messages: int, now: int) -> Kept:  # noqa: A002
        """See `Registry.keep`."""
        check_names({group}, None)
        at = now // 1000
        for _ in range(KEEP_ATTEMPTS):
            place, least = await self._free_place(group, at)
            new = Kept(place, text, at, at + seconds)
            if await self._table.put(kept.encode(group, new, id=id, least=least), kept.put(id)):
                return new
        raise RegistryError(
            f"a message to group {group!r} could not be kept: others took {KEEP_ATTEMPTS} places before it, one after "
            "the other. Send fewer at once, or without a history"
        )

    async def recent(self, group: str, *, since: Place, most: int, now: int) -> list[Kept]:
        """See `Registry.recent`."""
        return [found for found, _ in await self._recent(group, since, most, now // 1000)]

    async def aclose(self) -> None:
        """See `Registry.aclose`."""
        await self._table.client.aclose()

    async def _recent(self, group: str, since: Place, most: int, now_seconds: int) -> list[tuple[Kept, int]]:
        """Read the end of a history, each text with when it expires."""
        check_names({group}, None)
        first, last = kept.sort_key(since), kept.sort_key(kept.LAST)
        items = await self._table.newest(kept.history_key(group), first, last, most)
        found = [kept.decode(group, item) for item in items]
        return [(each, expires_at) for each, expires_at in found if expires_at > now_seconds]

    async def _free_place(self, group: str, now_seconds: int) -> tuple[Place, int]:
        """Return the place after a group's last text, and until when what is put there has to stay at least."""
        for last, expires_at in await self._recent(group, START, 1, now_seconds):
            return last.place.next, expires_at
        run = kept.run_item(group, now_seconds)
        if not await self._table.put(run, kept.begin(now_seconds)):
            # Somebody else is about to keep the first text.
            run = await self._table.get(key_of(run)) or {}
        number, expires_at = kept.run_of(group, run)
        return Place(number, 1), expires_at

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
            await self._table.update(key_of(membership), writes.stop_waiting())

    async def _settle(self, record: Record, stored: Record | None, changes: Changes) -> None:
        """Make the memberships say again what is *stored*, after a release that wrote them and then didn't happen."""
        touched = changes.joined | changes.left
        users = {record.user, changes.user} if record.user != changes.user else set()
        groups = stored.groups & touched if stored is not None else frozenset()
        user = stored.user if stored is not None and stored.user in users else None
        put = self._memberships(stored or record, groups, user)
        delete = self._memberships(record, touched - groups, None)
        delete += [user_membership(record.connection_id, other, 0) for other in users - {user} if other is not None]
        await self._table.write(put=put, delete=delete)

    async def _update(self, connection_id: str, write: Write, *, returning: "ReturnValueType" = "NONE") -> Item | None:
        """Do *write* on a record; return what DynamoDB returns of it, None if the condition doesn't hold.

        Raises:
            UnreadableRecord: the write doesn't fit what is stored.
        """
        try:
            return await self._table.update(record_key(connection_id), write, returning=returning)
        except RegistryError as error:
            if isinstance(error.__cause__, Refused) and error.__cause__.code == "ValidationException":
                # An attribute may be of another type than any that this release writes.
                await self.get(connection_id, now=0)
            raise

    def _pages(self, group: str, now: int, *, counting: bool = False) -> AsyncGenerator[dict[str, Any], None]:
        """Query the unexpired memberships of a group, page by page, all of its shards at once."""
        check_names({group}, None)
        shards = range(self._shards)
        return merged([self._table.pages(group_key(group, shard), now, counting=counting) for shard in shards])


def _contended(done: str, connection_id: str) -> RegistryError:
    return RegistryError(
        f"connection {connection_id!r} could not be {done}: its record was changed between two calls, {ATTEMPTS} times "
        "in a row. Try again"
    )
