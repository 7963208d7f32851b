"""The registry of one process: `gatesocket.session` on dictionaries, and the memberships beside it."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from gatesocket.registry.base import (
    REMEMBERED_SECONDS,
    Busy,
    Changes,
    Entry,
    Kept,
    Lease,
    Member,
    Place,
    Record,
    Taken,
)
from gatesocket.registry.bounds import Bounds, check_names
from gatesocket.session import Arrived, Created, Ended, Event, HeldBack, Released, Restored, advance
from gatesocket.values import frozen

__all__ = ["MemoryRegistry"]

E = TypeVar("E")


@frozen
class _Membership:
    user: str | None
    expires_at: int
    waits: bool


class MemoryRegistry:
    """Keeps connections in this process, for the local life and for tests.

    It awaits nothing, so that each call is atomic among the tasks of one event loop; it isn't for several threads.
    What has expired is treated as absent and kept until it is deleted, as in a table whose TTL is late.

    Args:
        bounds: how much an inbox holds; the same as DynamoDB's, so that what is refused there is refused here.
    """

    def __init__(self, *, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._records: dict[str, Record] = {}
        # What each group and each user has: its memberships, by connection id.
        self._groups: defaultdict[str, dict[str, _Membership]] = defaultdict(dict)
        self._users: defaultdict[str, dict[str, _Membership]] = defaultdict(dict)
        # What each group keeps; the one that has kept something last is the last.
        self._histories: OrderedDict[str, deque[Kept]] = OrderedDict()

    async def create(self, record: Record) -> None:
        """See `Registry.create`."""
        check_names(record.groups, record.user)
        self._bounds.check_kept(record)
        self._happen(record.connection_id, Created(record))
        self._add(record, record.groups, record.user)

    async def take(self, connection_id: str, entry: Entry, lease: Lease, *, now: int) -> Taken | Busy | None:
        """See `Registry.take`."""
        return self._happen(connection_id, Arrived(entry, lease), now=now)

    async def release(self, record: Record, changes: Changes, *, seen: int, now: int) -> tuple[Entry, ...]:
        """See `Registry.release`."""
        if record.lease is None:
            raise ValueError(f"connection {record.connection_id!r} was not taken, so that it can't be released")
        check_names(changes.joined, changes.user)
        self._bounds.check_kept(record.after(changes))
        before = self._records.get(record.connection_id)
        more = self._happen(record.connection_id, Released(record, changes, seen), now=now)
        if more is not None:
            return more.entries
        after = self._records[record.connection_id]
        if before is not None and before is not after:
            self._remove(before.connection_id, changes.left, before.user)
            self._add(after, changes.joined, after.user)
            if before.waits and not after.waits:
                self._stop_waiting(after)
        return ()

    async def restore(self, record: Record, entry: Entry, lease: Lease, *, expires_at: int) -> Taken | None:
        """See `Registry.restore`."""
        return self._happen(record.connection_id, Restored(record, entry, lease, expires_at))

    async def delete(self, connection_id: str, *, holder: str | None = None) -> bool:
        """See `Registry.delete`."""
        forgotten = self._happen(connection_id, Ended(holder))
        if forgotten is not None:
            self._remove(connection_id, forgotten.record.groups, forgotten.record.user)
        return forgotten is not None

    def forget(self, connection_id: str) -> frozenset[str]:
        """Delete a connection at once, for who can't await; return the groups that it was in, none if there is none."""
        forgotten = self._happen(connection_id, Ended())
        if forgotten is None:
            return frozenset()
        self._remove(connection_id, forgotten.record.groups, forgotten.record.user)
        return forgotten.record.groups

    async def get(self, connection_id: str, *, now: int) -> Record | None:
        """See `Registry.get`."""
        record = self._records.get(connection_id)
        return None if record is None or record.expired(now) else record

    async def hold_back(self, connection_id: str, entry: Entry, *, now: int) -> bool:
        """See `Registry.hold_back`."""
        return self._happen(connection_id, HeldBack(entry), now=now) is not None

    async def join(self, connection_id: str, group: str, *, user: str | None, expires_at: int) -> bool:
        """See `Registry.join`."""
        check_names({group}, user)
        record = self._records.get(connection_id)
        if record is None:
            return False
        self._records[connection_id] = replace(record, groups=record.groups | {group})
        self._groups[group][connection_id] = _Membership(user, expires_at, record.waits)
        return True

    async def leave(self, connection_id: str, group: str) -> bool:
        """See `Registry.leave`."""
        check_names({group}, None)
        self._remove(connection_id, [group], None)
        record = self._records.get(connection_id)
        if record is None or group not in record.groups:
            return False
        self._records[connection_id] = replace(record, groups=record.groups - {group})
        return True

    def groups_of(self, connection_id: str) -> frozenset[str]:
        """Return the groups that a connection is in, for who can't await; none if there is no such connection."""
        record = self._records.get(connection_id)
        return frozenset() if record is None else record.groups

    async def members(self, group: str, *, now: int) -> AsyncIterator[Member]:
        """See `Registry.members`."""
        check_names({group}, None)
        for connection_id, membership in _unexpired(self._groups.get(group, {}), now):
            yield Member(connection_id, membership.user, membership.waits)

    async def connections(self, user: str, *, now: int) -> AsyncIterator[Member]:
        """See `Registry.connections`."""
        check_names((), user)
        for connection_id, membership in _unexpired(self._users.get(user, {}), now):
            yield Member(connection_id, user, membership.waits)

    async def count(self, group: str, *, now: int) -> int:
        """See `Registry.count`."""
        check_names({group}, None)
        return len(_unexpired(self._groups.get(group, {}), now))

    async def keep(self, group: str, text: str, *, id: str, seconds: int, messages: int, now: int) -> Kept:  # noqa: A002
        """See `Registry.keep`; nobody repeats a call whose answer is lost, so that *id* says nothing here."""
        check_names({group}, None)
        at = now // 1000
        self._forget_histories(at)
        history = self._histories.setdefault(group, deque())
        place = history[-1].place.next if history else Place(at, 1)
        new = Kept(place, text, at, at + seconds)
        history.append(new)
        self._histories.move_to_end(group)
        while len(history) > messages or history[0].until <= at:
            history.popleft()
        return new

    async def recent(self, group: str, *, since: Place, most: int, now: int) -> list[Kept]:
        """See `Registry.recent`."""
        check_names({group}, None)
        self._forget_histories(now // 1000)
        return [kept for kept in self._histories.get(group, ()) if kept.place >= since][-most:]

    async def aclose(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _forget_histories(self, now_seconds: int) -> None:
        """Forget the groups that nothing was sent to for as long as their history is remembered."""
        while self._histories:
            oldest = next(iter(self._histories.values()))
            if oldest[-1].at + REMEMBERED_SECONDS > now_seconds:
                return
            self._histories.popitem(last=False)

    def _happen(self, connection_id: str, event: Event[E], *, now: int = 0) -> E:
        """Let *event* happen; without *now* if it makes no difference to it whether the record has expired."""
        after, effect = advance(self._records.get(connection_id), event, now, bounds=self._bounds)
        if after is None:
            self._records.pop(connection_id, None)
        else:
            self._records[connection_id] = after
        return effect

    def _add(self, record: Record, groups: Iterable[str], user: str | None) -> None:
        membership = _Membership(record.user, record.expires_at, record.waits)
        for group in groups:
            self._groups[group][record.connection_id] = membership
        if user is not None:
            self._users[user][record.connection_id] = membership

    def _stop_waiting(self, record: Record) -> None:
        memberships = [self._groups[group] for group in record.groups]
        if record.user is not None:
            memberships.append(self._users[record.user])
        for of_one in memberships:
            of_one[record.connection_id] = replace(of_one[record.connection_id], waits=False)

    def _remove(self, connection_id: str, groups: Iterable[str], user: str | None) -> None:
        leaving = [(self._groups, group) for group in groups]
        if user is not None:
            leaving.append((self._users, user))
        for index, name in leaving:
            index[name].pop(connection_id, None)
            if not index[name]:
                del index[name]


def _unexpired(memberships: Mapping[str, _Membership], now: int) -> list[tuple[str, _Membership]]:
    # A list, because who iterates over members may prune one of them.
    return [(id_, membership) for id_, membership in memberships.items() if membership.expires_at * 1000 > now]
