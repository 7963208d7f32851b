"""What every registry promises (`gatesocket.registry.base.Registry`), asked of each of them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from gatesocket.exceptions import InboxFull, LeaseLost, RecordTooLarge, RegistryError
from gatesocket.registry.base import (
    EVERYONE,
    REMEMBERED_SECONDS,
    START,
    Busy,
    Changes,
    Entry,
    Kept,
    Lease,
    Member,
    Place,
    Record,
    Registry,
    Replay,
    Taken,
)
from gatesocket.registry.bounds import NAME_BYTES, Bounds

MakeRegistry = Callable[..., Registry]
T = TypeVar("T")

NOW = 1_700_000_000_000  # ms since the epoch
LATER = NOW + 30_000
ANN = "TXzPWdnOjoECGjA="
BOB = "YlzQXenPjoFDGkB="
RECORD = Record(
    connection_id=ANN,
    scope=b"scope",
    connected_at=NOW - 5000,
    expires_at=NOW // 1000 + 7200,
    snapshot=b"before",
    groups=frozenset({EVERYONE, "lobby"}),
    user="ann",
)
FIRST = Lease("first", expires_at=LATER)
SECOND = Lease("second", expires_at=LATER + 30_000)
HELLO = Entry("message", "m1", "hello")
THERE = Entry("message", "m2", "there")
LEFT = Entry("disconnect", "r3", "Going away", 1001)


async def everything(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


async def members(registry: Registry, group: str, *, now: int = NOW) -> set[str]:
    return {member.connection_id async for member in registry.members(group, now=now)}


async def connections(registry: Registry, user: str, *, now: int = NOW) -> set[str]:
    return {member.connection_id async for member in registry.connections(user, now=now)}


async def taken(registry: Registry, *, record: Record = RECORD, entry: Entry = HELLO, lease: Lease = FIRST) -> Record:
    """Create *record* and take it."""
    await registry.create(record)
    answer = await registry.take(record.connection_id, entry, lease, now=NOW)
    assert isinstance(answer, Taken)
    return answer.record


# Creating and reading.


async def test_a_record_is_read_as_it_was_created(registry: Registry) -> None:
    record = replace(
        RECORD,
        inbox=(HELLO, LEFT, Entry("wake", "w"), Entry("post", 'p"\n', 'a "quoted"\nline\0\u2028')),
        outbox=("", "welcome", Replay(("*", "lobby"), "cursor", 100), "\U0001f44b\n", Replay((), "", 1)),
        live=True,
        lease=FIRST,
        attempts=2,
        version=7,
    )
    await registry.create(record)
    assert await registry.get(ANN, now=NOW) == record


async def test_what_a_record_does_not_have_it_does_not_get(registry: Registry) -> None:
    record = Record(ANN, b"", NOW, RECORD.expires_at, groups=frozenset())
    await registry.create(record)
    assert await registry.get(ANN, now=NOW) == record


async def test_an_unknown_connection_has_no_record(registry: Registry) -> None:
    assert await registry.get(BOB, now=NOW) is None


async def test_a_record_is_absent_from_the_second_that_it_expires_in(registry: Registry) -> None:
    await registry.create(RECORD)
    assert await registry.get(ANN, now=RECORD.expires_at * 1000 - 1) is not None
    assert await registry.get(ANN, now=RECORD.expires_at * 1000) is None


async def test_creating_writes_the_memberships_of_groups_and_user(registry: Registry) -> None:
    await registry.create(RECORD)
    assert await everything(registry.members("lobby", now=NOW)) == [Member(ANN, "ann")]
    assert await everything(registry.members(EVERYONE, now=NOW)) == [Member(ANN, "ann")]
    assert await connections(registry, "ann") == {ANN}


async def test_a_record_without_a_user_belongs_to_nobody(registry: Registry) -> None:
    await registry.create(replace(RECORD, user=None))
    assert await everything(registry.members("lobby", now=NOW)) == [Member(ANN, None)]


async def test_a_record_that_is_too_large_is_not_created(registry: Registry) -> None:
    most = Bounds().kept_bytes
    with pytest.raises(RecordTooLarge, match="room for") as caught:
        await registry.create(replace(RECORD, snapshot=b"x" * most))
    assert (caught.value.connection_id, caught.value.limit) == (ANN, most)
    assert caught.value.size > most
    assert await registry.get(ANN, now=NOW) is None
    assert await members(registry, "lobby") == set()


# Taking.


async def test_taking_appends_the_entry_and_gives_the_lease(registry: Registry) -> None:
    await registry.create(RECORD)
    answer = await registry.take(ANN, HELLO, FIRST, now=NOW)
    expected = replace(RECORD, inbox=(HELLO,), lease=FIRST, attempts=1, version=1)
    assert answer == Taken(expected)
    assert await registry.get(ANN, now=NOW) == expected


async def test_an_unknown_connection_can_not_be_taken(registry: Registry) -> None:
    assert await registry.take(BOB, HELLO, FIRST, now=NOW) is None
    assert await registry.get(BOB, now=NOW) is None


async def test_an_expired_connection_can_not_be_taken(registry: Registry) -> None:
    await registry.create(RECORD)
    assert await registry.take(ANN, HELLO, FIRST, now=RECORD.expires_at * 1000) is None


async def test_entries_wait_in_order_while_another_holds_the_lease(registry: Registry) -> None:
    await taken(registry)
    assert await registry.take(ANN, THERE, SECOND, now=NOW) == Busy()
    assert await registry.take(ANN, LEFT, SECOND, now=LATER - 1) == Busy(look_again=30_001)
    record = await registry.get(ANN, now=NOW)
    assert record is not None
    assert (record.inbox, record.lease) == ((HELLO, THERE, LEFT), FIRST)


async def test_an_expired_lease_is_taken_with_what_its_holder_left_undone(registry: Registry) -> None:
    await taken(registry)
    answer = await registry.take(ANN, THERE, SECOND, now=LATER)
    assert answer == Taken(replace(RECORD, inbox=(HELLO, THERE), lease=SECOND, attempts=2, version=2))


async def test_a_take_that_is_repeated_by_its_holder_changes_nothing(registry: Registry) -> None:
    record = await taken(registry)
    assert await registry.take(ANN, HELLO, FIRST, now=NOW) == Taken(record)
    assert await registry.get(ANN, now=NOW) == record


async def test_an_entry_that_waits_already_is_not_appended_again(registry: Registry) -> None:
    await taken(registry)
    for _ in range(2):
        assert await registry.take(ANN, THERE, SECOND, now=NOW) == Busy()
    record = await registry.get(ANN, now=NOW)
    assert record is not None
    assert record.inbox == (HELLO, THERE)


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(inbox_entries=2), id="entries"),
        pytest.param(Bounds(inbox_bytes=100), id="bytes"),
    ],
)
async def test_a_full_inbox_takes_nothing_but_a_disconnect(make_registry: MakeRegistry, bounds: Bounds) -> None:
    registry = make_registry(bounds=bounds)
    await taken(registry)
    assert await registry.take(ANN, THERE, SECOND, now=NOW) == Busy()
    with pytest.raises(InboxFull, match="2 entries of 78 bytes") as caught:
        await registry.take(ANN, Entry("message", "m3", "more"), SECOND, now=NOW)
    assert (caught.value.connection_id, caught.value.entries, caught.value.size) == (ANN, 2, 78)
    assert await registry.take(ANN, LEFT, SECOND, now=NOW) == Busy(look_again=60_000)
    record = await registry.get(ANN, now=NOW)
    assert record is not None
    assert record.inbox == (HELLO, THERE, LEFT)


async def test_a_full_inbox_of_a_dead_holder_can_be_taken_by_a_disconnect(make_registry: MakeRegistry) -> None:
    registry = make_registry(bounds=Bounds(inbox_entries=1))
    await taken(registry)
    with pytest.raises(InboxFull):
        await registry.take(ANN, THERE, SECOND, now=LATER)
    answer = await registry.take(ANN, LEFT, SECOND, now=LATER)
    assert isinstance(answer, Taken)
    assert answer.record.inbox == (HELLO, LEFT)


async def test_a_full_inbox_of_a_dead_holder_can_be_taken_by_a_wake(make_registry: MakeRegistry) -> None:
    registry = make_registry(bounds=Bounds(inbox_entries=1))
    await taken(registry)
    wake = Entry("wake", "w")
    with pytest.raises(InboxFull):
        await registry.take(ANN, wake, SECOND, now=NOW)
    answer = await registry.take(ANN, wake, SECOND, now=LATER)
    assert isinstance(answer, Taken)
    assert answer.record.inbox == (HELLO, wake)


async def test_the_largest_message_fits_beside_another_half_as_large(registry: Registry) -> None:
    await taken(registry, entry=Entry("message", "m1", "x" * 128 * 1024))
    assert await registry.take(ANN, Entry("message", "m2", '"' * 63 * 1024), SECOND, now=NOW) == Busy()


# Releasing.


async def test_releasing_writes_the_changes_and_empties_the_inbox(registry: Registry) -> None:
    record = await taken(registry)
    changes = Changes(b"after", outbox=("still", "waiting"), live=True, user="ann")
    assert await registry.release(record, changes, seen=1, now=NOW) == ()
    expected = replace(RECORD, snapshot=b"after", outbox=("still", "waiting"), live=True, version=2)
    assert await registry.get(ANN, now=NOW) == expected


async def test_a_holder_can_leave_a_part_of_the_inbox_to_the_next(registry: Registry) -> None:
    record = await taken(registry)
    await registry.take(ANN, THERE, SECOND, now=NOW)
    rest = (THERE,)
    assert await registry.release(record, Changes(b"after", inbox=rest), seen=1, now=NOW) == (THERE,)
    assert await registry.release(record, Changes(b"after", inbox=rest, user="ann"), seen=2, now=NOW) == ()
    expected = replace(RECORD, snapshot=b"after", inbox=rest, version=2)
    assert await registry.get(ANN, now=NOW) == expected
    wake = Entry("wake", "w")
    assert await registry.take(ANN, wake, SECOND, now=NOW) == Taken(
        replace(expected, inbox=(THERE, wake), lease=SECOND, attempts=1, version=3)
    )


async def test_what_a_holder_left_counts_against_the_bound(make_registry: MakeRegistry) -> None:
    registry = make_registry(bounds=Bounds(inbox_bytes=100))
    record = await taken(registry)
    await registry.release(record, Changes(b"after", inbox=(HELLO,)), seen=1, now=NOW)
    await registry.take(ANN, THERE, SECOND, now=NOW)
    with pytest.raises(InboxFull, match="2 entries of 78 bytes"):
        await registry.take(ANN, Entry("message", "m3", "more"), FIRST, now=NOW)


async def test_a_release_writes_when_the_route_goes_on_by_itself_and_the_next_takes_it_back(registry: Registry) -> None:
    record = await taken(registry)
    await registry.release(record, Changes(b"asleep", due=NOW + 5000, asleep=True, user="ann"), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert (stored.snapshot, stored.due, stored.asleep) == (b"asleep", NOW + 5000, True)

    answer = await registry.take(ANN, THERE, SECOND, now=NOW)
    assert isinstance(answer, Taken)
    assert (answer.record.due, answer.record.asleep) == (NOW + 5000, True)
    await registry.release(answer.record, Changes(b"awake", user="ann"), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert (stored.snapshot, stored.due, stored.asleep) == (b"awake", None, False)


async def test_a_released_connection_can_be_taken_at_once(registry: Registry) -> None:
    record = await taken(registry)
    await registry.release(record, Changes(b"after", user="ann"), seen=1, now=NOW)
    answer = await registry.take(ANN, THERE, SECOND, now=NOW)
    assert answer == Taken(replace(RECORD, snapshot=b"after", inbox=(THERE,), lease=SECOND, attempts=1, version=3))


async def test_a_release_that_has_not_seen_everything_returns_the_rest(registry: Registry) -> None:
    record = await taken(registry)
    await registry.take(ANN, THERE, SECOND, now=NOW)
    await registry.take(ANN, LEFT, SECOND, now=NOW)
    assert await registry.release(record, Changes(b"after"), seen=1, now=NOW) == (THERE, LEFT)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert (stored.snapshot, stored.lease, stored.inbox) == (b"before", FIRST, (HELLO, THERE, LEFT))
    assert await registry.release(record, Changes(b"after"), seen=3, now=NOW) == ()


async def test_a_release_that_returns_the_rest_changes_no_membership(registry: Registry) -> None:
    record = await taken(registry)
    await registry.take(ANN, THERE, SECOND, now=NOW)
    changes = Changes(b"after", joined=frozenset({"attic"}), left=frozenset({"lobby"}), user="beth")
    assert await registry.release(record, changes, seen=1, now=NOW) == (THERE,)
    assert (await members(registry, "lobby"), await members(registry, "attic")) == ({ANN}, set())
    assert await connections(registry, "ann") == {ANN}
    assert await connections(registry, "beth") == set()


async def test_a_lost_lease_can_not_be_released(registry: Registry) -> None:
    record = await taken(registry)
    answer = await registry.take(ANN, THERE, SECOND, now=LATER)
    with pytest.raises(LeaseLost, match="is lost") as caught:
        await registry.release(record, Changes(b"after"), seen=1, now=LATER)
    assert caught.value.connection_id == ANN
    assert isinstance(answer, Taken)
    assert await registry.get(ANN, now=NOW) == answer.record


async def test_a_lease_that_was_taken_over_and_released_stays_lost(registry: Registry) -> None:
    record = await taken(registry)
    answer = await registry.take(ANN, THERE, SECOND, now=LATER)
    assert isinstance(answer, Taken)
    await registry.release(answer.record, Changes(b"by the second"), seen=2, now=LATER)
    with pytest.raises(LeaseLost):
        await registry.release(record, Changes(b"by the first"), seen=1, now=LATER)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert stored.snapshot == b"by the second"


async def test_an_expired_lease_that_nobody_took_is_still_its_holders(registry: Registry) -> None:
    record = await taken(registry)
    assert await registry.release(record, Changes(b"after"), seen=1, now=LATER + 1) == ()


async def test_a_deleted_connection_can_not_be_released(registry: Registry) -> None:
    record = await taken(registry)
    await registry.delete(ANN)
    with pytest.raises(LeaseLost):
        await registry.release(record, Changes(b"after"), seen=1, now=NOW)
    assert await registry.get(ANN, now=NOW) is None


async def test_a_lost_lease_changes_no_membership(registry: Registry) -> None:
    record = await taken(registry)
    await registry.take(ANN, THERE, SECOND, now=LATER)
    changes = Changes(b"after", joined=frozenset({"attic"}), left=frozenset({"lobby"}), user="beth")
    with pytest.raises(LeaseLost):
        await registry.release(record, changes, seen=1, now=LATER)
    assert (await members(registry, "lobby"), await members(registry, "attic")) == ({ANN}, set())
    assert await connections(registry, "ann") == {ANN}
    assert await connections(registry, "beth") == set()


async def test_a_release_leaves_no_membership_of_a_deleted_connection(registry: Registry) -> None:
    record = await taken(registry)
    await registry.delete(ANN)
    with pytest.raises(LeaseLost):
        await registry.release(record, Changes(b"after", joined=frozenset({"attic"}), user="beth"), seen=1, now=NOW)
    assert await members(registry, "attic") == set()
    assert await connections(registry, "beth") == set()


async def test_an_expired_connection_can_not_be_released(registry: Registry) -> None:
    record = await taken(registry)
    with pytest.raises(LeaseLost):
        await registry.release(record, Changes(b"after"), seen=1, now=RECORD.expires_at * 1000)


async def test_a_connection_that_was_not_taken_can_not_be_released(registry: Registry) -> None:
    await registry.create(RECORD)
    with pytest.raises(ValueError, match="was not taken"):
        await registry.release(RECORD, Changes(b"after"), seen=0, now=NOW)


async def test_more_entries_than_there_are_can_not_have_been_seen(registry: Registry) -> None:
    record = await taken(registry)
    with pytest.raises(ValueError, match="holds 1 entries, so that 2"):
        await registry.release(record, Changes(b"after"), seen=2, now=NOW)


async def test_a_release_that_keeps_too_much_leaves_the_lease(registry: Registry) -> None:
    record = await taken(registry)
    with pytest.raises(RecordTooLarge):
        await registry.release(record, Changes(b"x" * Bounds().kept_bytes), seen=1, now=NOW)
    assert await registry.get(ANN, now=NOW) == record


async def test_releasing_joins_and_leaves_groups(registry: Registry) -> None:
    record = await taken(registry)
    joined, left = frozenset({"kitchen", "attic"}), frozenset({"lobby"})
    await registry.release(record, Changes(b"after", joined=joined, left=left, user="ann"), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert stored.groups == {EVERYONE, "kitchen", "attic"}
    assert await members(registry, "lobby") == set()
    assert await everything(registry.members("kitchen", now=NOW)) == [Member(ANN, "ann")]


async def test_releasing_can_change_the_person(registry: Registry) -> None:
    record = await taken(registry)
    await registry.release(record, Changes(b"after", user="beth"), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert stored.user == "beth"
    assert await connections(registry, "ann") == set()
    assert await connections(registry, "beth") == {ANN}


async def test_releasing_without_a_person_makes_it_nobodys(registry: Registry) -> None:
    record = await taken(registry)
    await registry.release(record, Changes(b"after"), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert stored.user is None
    assert await connections(registry, "ann") == set()


async def test_a_group_joined_from_elsewhere_survives_a_release(registry: Registry) -> None:
    record = await taken(registry)
    await registry.join(ANN, "attic", user="ann", expires_at=RECORD.expires_at)
    await registry.release(record, Changes(b"after", joined=frozenset({"kitchen"})), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert stored.groups == {EVERYONE, "lobby", "attic", "kitchen"}


async def test_nobody_joins_and_leaves_a_group_in_one_release() -> None:
    with pytest.raises(ValueError, match="'lobby'"):
        Changes(b"after", joined=frozenset({"lobby"}), left=frozenset({"lobby"}))


# Deleting.


async def test_deleting_removes_the_record_and_every_membership(registry: Registry) -> None:
    await registry.create(RECORD)
    await registry.join(ANN, "attic", user="ann", expires_at=RECORD.expires_at)
    assert await registry.delete(ANN) is True
    assert await registry.get(ANN, now=NOW) is None
    for group in (EVERYONE, "lobby", "attic"):
        assert await members(registry, group) == set()
    assert await connections(registry, "ann") == set()


async def test_deleting_leaves_other_connections_alone(registry: Registry) -> None:
    await registry.create(RECORD)
    await registry.create(replace(RECORD, connection_id=BOB))
    await registry.delete(ANN)
    assert await members(registry, "lobby") == {BOB}
    assert await connections(registry, "ann") == {BOB}


@pytest.mark.parametrize("holder", [None, "first"])
async def test_deleting_what_is_not_there_says_so(registry: Registry, holder: str | None) -> None:
    assert await registry.delete(ANN, holder=holder) is False


async def test_the_holder_of_the_lease_can_delete(registry: Registry) -> None:
    await taken(registry)
    assert await registry.delete(ANN, holder="first") is True
    assert await registry.get(ANN, now=NOW) is None


async def test_nobody_else_can_delete_as_its_holder(registry: Registry) -> None:
    await taken(registry)
    with pytest.raises(LeaseLost):
        await registry.delete(ANN, holder="second")
    assert await registry.get(ANN, now=NOW) is not None
    assert await members(registry, "lobby") == {ANN}


# Restoring.


async def test_what_expired_is_restored_without_its_memberships(registry: Registry) -> None:
    record = replace(RECORD, inbox=(HELLO,), attempts=1, version=4)
    later = NOW // 1000 + 60
    expected = replace(record, inbox=(HELLO, LEFT), expires_at=later, lease=FIRST, attempts=2, version=5)
    assert await registry.restore(record, LEFT, FIRST, expires_at=later) == Taken(expected)
    assert await registry.get(ANN, now=NOW) == expected
    assert await members(registry, "lobby") == set()
    assert await registry.delete(ANN, holder="first") is True


async def test_a_record_that_is_there_is_not_overwritten(registry: Registry) -> None:
    await registry.create(RECORD)
    old = replace(RECORD, snapshot=b"old")
    assert await registry.restore(old, LEFT, FIRST, expires_at=RECORD.expires_at) is None
    with pytest.raises(RegistryError, match="can't be created: its record is IDLE already"):
        await registry.create(old)
    assert await registry.get(ANN, now=NOW) == RECORD


async def test_creating_the_very_same_record_once_more_changes_nothing(registry: Registry) -> None:
    """As a store's client does whose first answer was lost."""
    await registry.create(RECORD)
    await registry.create(RECORD)
    assert await registry.get(ANN, now=NOW) == RECORD
    assert await members(registry, "lobby") == {ANN}


# Holding back.


async def test_an_entry_is_held_back_for_a_connection_that_is_not_live(registry: Registry) -> None:
    post = Entry("post", "p1", "welcome")
    await registry.create(RECORD)
    assert await registry.hold_back(ANN, post, now=NOW) is True
    assert await registry.get(ANN, now=NOW) == replace(RECORD, inbox=(post,))


async def test_a_holder_sees_what_was_held_back_before_it_can_release(registry: Registry) -> None:
    post = Entry("post", "p1", "welcome")
    record = await taken(registry)
    assert await registry.hold_back(ANN, post, now=NOW) is True
    assert await registry.release(record, Changes(b"after", live=True), seen=1, now=NOW) == (post,)


async def test_an_entry_is_held_back_once(registry: Registry) -> None:
    post = Entry("post", "p1", "welcome")
    await registry.create(RECORD)
    for _ in range(2):
        assert await registry.hold_back(ANN, post, now=NOW) is True
    assert await registry.get(ANN, now=NOW) == replace(RECORD, inbox=(post,))


async def test_nothing_is_held_back_for_a_live_connection(registry: Registry) -> None:
    await registry.create(replace(RECORD, live=True))
    assert await registry.hold_back(ANN, HELLO, now=NOW) is False
    assert await registry.get(ANN, now=NOW) == replace(RECORD, live=True)


async def test_nothing_is_held_back_for_a_connection_that_is_not_there(registry: Registry) -> None:
    assert await registry.hold_back(ANN, HELLO, now=NOW) is False
    await registry.create(RECORD)
    assert await registry.hold_back(ANN, HELLO, now=RECORD.expires_at * 1000) is False


async def test_a_full_inbox_holds_nothing_more_back(make_registry: MakeRegistry) -> None:
    registry = make_registry(bounds=Bounds(inbox_entries=1))
    await registry.create(RECORD)
    await registry.hold_back(ANN, HELLO, now=NOW)
    with pytest.raises(InboxFull):
        await registry.hold_back(ANN, THERE, now=NOW)


# Waiting.

WAITING = replace(RECORD, outbox=("welcome",))


async def waiting(registry: Registry) -> list[bool]:
    """Whether a member of each kind waits."""
    found = [
        *await everything(registry.members(EVERYONE, now=NOW)),
        *await everything(registry.members("lobby", now=NOW)),
        *await everything(registry.connections("ann", now=NOW)),
    ]
    assert {member.connection_id for member in found} <= {ANN}
    return [member.waits for member in found]


async def test_the_members_of_a_new_connection_wait_if_it_has_an_outbox(registry: Registry) -> None:
    await registry.create(WAITING)
    assert await waiting(registry) == [True, True, True]


async def test_without_an_outbox_nobody_waits(registry: Registry) -> None:
    await registry.create(RECORD)
    assert await waiting(registry) == [False, False, False]


async def test_members_wait_until_the_outbox_is_delivered(registry: Registry) -> None:
    record = await taken(registry, record=WAITING)
    await registry.release(record, Changes(b"after", outbox=record.outbox, user="ann"), seen=1, now=NOW)
    assert await waiting(registry) == [True, True, True]
    answer = await registry.take(ANN, THERE, SECOND, now=NOW)
    assert isinstance(answer, Taken)
    await registry.release(answer.record, Changes(b"after", live=True, user="ann"), seen=1, now=NOW)
    assert await waiting(registry) == [False, False, False]


async def test_members_wait_as_long_as_something_is_held_back_behind_the_outbox(registry: Registry) -> None:
    record = await taken(registry, record=WAITING)
    post = Entry("post", "p1", "joined")
    assert await registry.hold_back(ANN, post, now=NOW) is True
    assert await registry.release(record, Changes(b"after", live=True, user="ann"), seen=1, now=NOW) == (post,)
    assert await waiting(registry) == [True, True, True]


async def test_a_connection_waits_until_its_route_has_come_to_its_first_receive(registry: Registry) -> None:
    published = replace(RECORD, snapshot=None, lease=FIRST, attempts=1)
    await registry.create(published)
    assert await waiting(registry) == [True, True, True]
    await registry.release(published, Changes(b"first", user="ann"), seen=0, now=NOW)
    assert await waiting(registry) == [False, False, False]


async def test_a_release_may_say_that_the_route_has_ended(registry: Registry) -> None:
    record = await taken(registry)
    changes = Changes(None, outbox=("goodbye",), user="ann")
    assert await registry.release(record, changes, seen=1, now=NOW) == ()
    assert await registry.get(ANN, now=NOW) == record.after(changes)


async def test_a_connection_that_stops_waiting_joins_nothing_that_it_has_left(registry: Registry) -> None:
    record = await taken(registry, record=WAITING)
    changes = Changes(b"after", live=True, joined=frozenset({"attic"}), left=frozenset({"lobby"}))
    await registry.release(record, changes, seen=1, now=NOW)
    assert await waiting(registry) == [False]
    assert await members(registry, "attic") == {ANN}


async def test_who_joins_while_the_connection_waits_waits_as_well(registry: Registry) -> None:
    record = await taken(registry, record=replace(WAITING, user=None))
    await registry.join(ANN, "attic", user=None, expires_at=RECORD.expires_at)
    assert await everything(registry.members("attic", now=NOW)) == [Member(ANN, None, waits=True)]
    await registry.release(record, Changes(b"after", live=True), seen=1, now=NOW)
    assert await everything(registry.members("attic", now=NOW)) == [Member(ANN, None)]


async def test_a_lost_lease_leaves_members_waiting(registry: Registry) -> None:
    record = await taken(registry, record=WAITING)
    await registry.take(ANN, THERE, SECOND, now=LATER)
    changes = Changes(b"after", live=True, left=frozenset({"lobby"}), user="ann")
    with pytest.raises(LeaseLost):
        await registry.release(record, changes, seen=1, now=LATER)
    assert await waiting(registry) == [True, True, True]


# Groups and people.


async def test_a_member_joins_and_leaves(registry: Registry) -> None:
    await registry.create(RECORD)
    for _ in range(2):
        assert await registry.join(ANN, "attic", user="beth", expires_at=RECORD.expires_at) is True
    assert await everything(registry.members("attic", now=NOW)) == [Member(ANN, "beth")]
    assert await registry.count("attic", now=NOW) == 1
    for _ in range(2):
        await registry.leave(ANN, "attic")
    assert await members(registry, "attic") == set()
    assert await registry.get(ANN, now=NOW) == RECORD


async def test_whoever_makes_a_connection_leave_is_told_so_and_nobody_after(registry: Registry) -> None:
    """So that of two who find it gone, one announces it."""
    await registry.create(RECORD)
    await registry.join(ANN, "attic", user=None, expires_at=RECORD.expires_at)
    assert await registry.leave(ANN, "cellar") is False
    assert [await registry.leave(ANN, "attic") for _ in range(2)] == [True, False]
    assert await registry.leave(BOB, "attic") is False


async def test_a_connection_that_is_not_there_can_not_join(registry: Registry) -> None:
    assert await registry.join(ANN, "attic", user=None, expires_at=RECORD.expires_at) is False
    assert await members(registry, "attic") == set()


async def test_a_connection_that_is_not_there_can_leave(registry: Registry) -> None:
    """What prunes a membership needn't know whether its connection has a record."""
    await registry.create(RECORD)
    await registry.leave(BOB, "lobby")
    assert await members(registry, "lobby") == {ANN}


async def test_a_membership_is_absent_from_the_second_that_it_expires_in(registry: Registry) -> None:
    await registry.create(RECORD)
    end = RECORD.expires_at * 1000
    assert await members(registry, "lobby", now=end - 1) == {ANN}
    assert await members(registry, "lobby", now=end) == set()
    assert await registry.count("lobby", now=end) == 0
    assert await connections(registry, "ann", now=end) == set()


async def test_a_person_has_every_connection_that_is_theirs(registry: Registry) -> None:
    await registry.create(RECORD)
    await registry.create(replace(RECORD, connection_id=BOB))
    assert await connections(registry, "ann") == {ANN, BOB}
    assert await registry.count("lobby", now=NOW) == 2


async def test_members_may_leave_while_they_are_iterated_over(registry: Registry) -> None:
    await registry.create(RECORD)
    await registry.create(replace(RECORD, connection_id=BOB))
    async for member in registry.members("lobby", now=NOW):
        await registry.leave(member.connection_id, "lobby")
    assert await registry.count("lobby", now=NOW) == 0


async def test_a_connection_can_be_in_many_groups(registry: Registry) -> None:
    """More than DynamoDB writes in one batch."""
    groups = frozenset(f"room {number}" for number in range(60))
    record = await taken(registry, record=replace(RECORD, groups=groups))
    assert await members(registry, "room 59") == {ANN}
    await registry.release(record, Changes(b"after", left=groups), seen=1, now=NOW)
    assert [await registry.count(group, now=NOW) for group in groups] == [0] * 60


async def test_any_text_is_a_group_of_its_own(registry: Registry) -> None:
    names = ["a", "a#0", "a#0#0", "A", "#", " ", "\0", "\n", "é", "e\u0301", "*x", "\U0001f44b", "x" * NAME_BYTES]
    await registry.create(replace(RECORD, groups=frozenset(names[::2])))
    await registry.create(replace(RECORD, connection_id=BOB, groups=frozenset(names[1::2])))
    assert [await members(registry, name) for name in names] == [{BOB} if n % 2 else {ANN} for n in range(len(names))]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("", "'' has 0", id="empty"),
        pytest.param("x" * (NAME_BYTES + 1), f"has {NAME_BYTES + 1}", id="too long"),
        pytest.param("\udc80", "surrogates not allowed", id="not UTF-8"),
    ],
)
async def test_what_can_not_be_a_name_is_refused_everywhere(registry: Registry, name: str, reason: str) -> None:
    record = await taken(registry)
    with pytest.raises(ValueError, match=reason):
        await registry.create(replace(RECORD, groups=frozenset({name})))
    with pytest.raises(ValueError, match=reason):
        await registry.create(replace(RECORD, user=name))
    with pytest.raises(ValueError, match=reason):
        await registry.release(record, Changes(b"after", joined=frozenset({name})), seen=1, now=NOW)
    with pytest.raises(ValueError, match=reason):
        await registry.release(record, Changes(b"after", user=name), seen=1, now=NOW)
    with pytest.raises(ValueError, match=reason):
        await registry.join(ANN, name, user=None, expires_at=RECORD.expires_at)
    with pytest.raises(ValueError, match=reason):
        await registry.join(ANN, "attic", user=name, expires_at=RECORD.expires_at)
    with pytest.raises(ValueError, match=reason):
        await registry.leave(ANN, name)
    with pytest.raises(ValueError, match=reason):
        await everything(registry.members(name, now=NOW))
    with pytest.raises(ValueError, match=reason):
        await everything(registry.connections(name, now=NOW))
    with pytest.raises(ValueError, match=reason):
        await registry.count(name, now=NOW)
    with pytest.raises(ValueError, match=reason):
        await keep(registry, "{}", group=name)
    with pytest.raises(ValueError, match=reason):
        await registry.recent(name, since=START, most=1, now=NOW)
    assert await registry.get(ANN, now=NOW) == record


# Histories.

RUN = NOW // 1000


async def keep(registry: Registry, text: str, *, group: str = "lobby", seconds: int = 300, now: int = NOW) -> Kept:
    return await registry.keep(group, text, id=f"{text} at {now}", seconds=seconds, messages=100, now=now)


async def recent(registry: Registry, *, since: Place = START, most: int = 100, now: int = NOW) -> list[str]:
    return [kept.text for kept in await registry.recent("lobby", since=since, most=most, now=now)]


async def test_what_is_kept_has_places_one_after_the_other(registry: Registry) -> None:
    first, second = await keep(registry, '{"n":1}'), await keep(registry, '{"n":2}', now=NOW + 1000)
    assert first == Kept(Place(RUN, 1), '{"n":1}', at=RUN, until=RUN + 300)
    assert second == Kept(Place(RUN, 2), '{"n":2}', at=RUN + 1, until=RUN + 301)
    assert await registry.recent("lobby", since=START, most=100, now=NOW) == [first, second]


async def test_a_history_is_read_from_a_place_on_and_no_more_than_the_newest(registry: Registry) -> None:
    for number in range(1, 6):
        await keep(registry, f"{{{number}}}")
    assert await recent(registry, since=Place(RUN, 3)) == ["{3}", "{4}", "{5}"]
    assert await recent(registry, since=Place(RUN, 3), most=2) == ["{4}", "{5}"]
    assert await recent(registry, since=Place(RUN, 6)) == []
    assert await recent(registry, since=Place(RUN - 1, 7), most=1) == ["{5}"]


async def test_each_group_has_a_history_of_its_own(registry: Registry) -> None:
    await keep(registry, "{1}", group="lobby#0")
    await keep(registry, "{2}", group="attic")
    assert await recent(registry) == []
    assert (await keep(registry, "{3}")).place == Place(RUN, 1)


async def test_the_last_place_is_remembered_for_a_day_after_which_the_count_begins_anew(registry: Registry) -> None:
    await keep(registry, "{1}")
    await keep(registry, "{2}", seconds=1)
    remembered = NOW + REMEMBERED_SECONDS * 1000 - 1
    assert await recent(registry, most=1, now=remembered) == ["{2}"]
    assert (await keep(registry, "{3}", now=remembered)).place == Place(RUN, 3)

    over = remembered + REMEMBERED_SECONDS * 1000
    assert await recent(registry, now=over) == []
    again = await keep(registry, "{4}", now=over)
    assert again.place == Place(over // 1000, 1)
    assert await recent(registry, now=over) == ["{4}"]


async def test_a_place_is_remembered_as_long_as_those_before_it_whatever_the_clocks_say(registry: Registry) -> None:
    """Of two processes, the later writer's clock is behind."""
    await keep(registry, "{1}", now=NOW + 5000)
    await keep(registry, "{2}", now=NOW)
    end = NOW + REMEMBERED_SECONDS * 1000
    assert await recent(registry, most=1, now=end - 1) == ["{2}"]


async def test_the_largest_message_can_be_kept(registry: Registry) -> None:
    largest = "{" + "x" * (128 * 1024 - 2) + "}"
    await keep(registry, largest)
    await keep(registry, largest)
    assert await recent(registry) == [largest, largest]


async def test_a_release_replaces_what_is_to_be_read_in_the_outbox(registry: Registry) -> None:
    record = await taken(registry)
    outbox = (Replay(("lobby",), "", 7), "and a text")
    await registry.release(record, Changes(b"after", outbox=outbox, user="ann"), seen=1, now=NOW)
    stored = await registry.get(ANN, now=NOW)
    assert stored is not None
    assert (stored.outbox, stored.waits) == (outbox, True)


async def test_closing_twice_is_harmless(registry: Registry) -> None:
    await registry.aclose()
    await registry.aclose()
