"""Any history of calls means the same to the registry in memory and to the one in DynamoDB."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gatesocket.cursors import Cursor, tag_of
from gatesocket.exceptions import InboxFull, LeaseLost
from gatesocket.history import History, replay_of, texts
from gatesocket.registry.base import (
    EVERYONE,
    REMEMBERED_SECONDS,
    START,
    Changes,
    Entry,
    Kept,
    Lease,
    Member,
    Record,
    Registry,
    Taken,
)
from gatesocket.registry.bounds import Bounds
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.memory import MemoryRegistry
from support.table import create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONNECTIONS = ["ann", "bob", "eve", "joe"]
GROUPS = [EVERYONE, "lobby", "attic"]
USERS = [None, "beth"]
BOUNDS = Bounds(inbox_entries=3)
HISTORY = History(messages=2)
BEGIN = 1_700_000_000_000
EXPIRES_AT = BEGIN // 1000 + 60

connections = st.sampled_from(CONNECTIONS)
groups = st.frozensets(st.sampled_from(GROUPS))
users = st.sampled_from(USERS)
outboxes = st.sampled_from([(), ("welcome",)])


class Registries(RuleBasedStateMachine):
    """Two registries that are asked the same, and a clock that only these rules move."""

    client: ClassVar["DynamoDBClient"]
    tables: ClassVar[Iterator[int]] = count(1)

    def __init__(self) -> None:
        super().__init__()
        name = f"machine-{next(self.tables)}"
        create_table(self.client, name)
        self.registries: list[Registry] = [
            MemoryRegistry(bounds=BOUNDS),
            DynamoDBRegistry(name, client=self.client, bounds=BOUNDS),
        ]
        self.runner = asyncio.Runner()
        self.ids = count(1)
        self.now = BEGIN
        self.created: set[str] = set()
        self.deleted: dict[str, Record] = {}
        """Connections' records as they were when they were deleted."""
        self.held: list[tuple[Record, int]] = []
        """What was taken and may or may not be held still, with how many entries were seen."""
        self.cursors = [Cursor(tag_of("lobby"), START, BEGIN // 1000)]
        """What members of the lobby may have seen."""

    def teardown(self) -> None:
        with self.runner:
            self.memberships_are_alike()

    def ask(self, question: Callable[[Registry], Coroutine[Any, Any, Any]]) -> Any:
        """Return the one answer of both: what they return, or the type of what they raise."""

        async def answer(registry: Registry) -> Any:
            try:
                return await question(registry)
            except (InboxFull, LeaseLost) as error:
                return type(error)

        ours, theirs = (self.runner.run(answer(registry)) for registry in self.registries)
        assert ours == theirs
        return ours

    @rule(connection_id=connections, groups=groups, user=users, live=st.booleans(), outbox=outboxes)
    def create(
        self, connection_id: str, groups: frozenset[str], user: str | None, live: bool, outbox: tuple[str, ...]
    ) -> None:
        if connection_id in self.created:
            return  # API Gateway gives no id twice
        self.created.add(connection_id)
        record = Record(
            connection_id,
            b"",
            BEGIN,
            EXPIRES_AT,
            snapshot=b"",
            outbox=outbox,
            live=live,
            groups=groups,
            user=user,
        )
        self.ask(lambda registry: registry.create(record))

    @rule(
        connection_id=connections,
        kind=st.sampled_from(["message", "disconnect", "wake"]),
        seconds=st.integers(min_value=1, max_value=20),
    )
    def take(self, connection_id: str, kind: Any, seconds: int) -> None:
        number = next(self.ids)
        entry, lease = Entry(kind, f"e{number}"), Lease(f"h{number}", self.now + seconds * 1000)
        answer = self.ask(lambda registry: registry.take(connection_id, entry, lease, now=self.now))
        if isinstance(answer, Taken):
            self.held.append((answer.record, len(answer.record.inbox)))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), live=st.booleans(), delivered=st.booleans(), joined=groups, left=groups, user=users)
    def release(
        self,
        data: st.DataObject,
        live: bool,
        delivered: bool,
        joined: frozenset[str],
        left: frozenset[str],
        user: str | None,
    ) -> None:
        record, seen = self.held.pop(data.draw(st.integers(min_value=0, max_value=len(self.held) - 1)))
        rest = record.inbox[data.draw(st.integers(min_value=0, max_value=len(record.inbox))) :]
        outbox = () if delivered else record.outbox
        changes = Changes(b"after", outbox, live, joined=joined - left, left=left, user=user, inbox=rest)
        answer = self.ask(lambda registry: registry.release(record, changes, seen=seen, now=self.now))
        if answer not in {(), LeaseLost}:
            self.held.append((record, seen + len(answer)))

    @rule(connection_id=connections)
    def hold_back(self, connection_id: str) -> None:
        entry = Entry("post", f"p{next(self.ids)}")
        self.ask(lambda registry: registry.hold_back(connection_id, entry, now=self.now))

    @rule(connection_id=connections)
    def delete(self, connection_id: str) -> None:
        record = self.read(connection_id, now=BEGIN)
        if self.ask(lambda registry: registry.delete(connection_id)):
            self.deleted[connection_id] = record

    @precondition(lambda self: self.deleted)
    @rule(data=st.data(), seconds=st.integers(min_value=1, max_value=20))
    def restore(self, data: st.DataObject, seconds: int) -> None:
        record = self.deleted.pop(data.draw(st.sampled_from(sorted(self.deleted))))
        number = next(self.ids)
        entry, lease = Entry("disconnect", f"e{number}"), Lease(f"h{number}", self.now + seconds * 1000)
        # Without memberships, as they are gone; whether a release that doesn't happen would write them again is open.
        bare = replace(record, groups=frozenset(), user=None)
        taken = self.ask(lambda registry: registry.restore(bare, entry, lease, expires_at=EXPIRES_AT))
        self.held.append((taken.record, len(taken.record.inbox)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def delete_as_holder(self, data: st.DataObject) -> None:
        record, _ = data.draw(st.sampled_from(self.held))
        assert record.lease is not None
        holder = record.lease.holder
        stored = self.read(record.connection_id, now=BEGIN)
        if self.ask(lambda registry: registry.delete(record.connection_id, holder=holder)) is True:
            self.deleted[record.connection_id] = stored

    @rule(connection_id=connections, group=st.sampled_from(GROUPS), user=users)
    def join(self, connection_id: str, group: str, user: str | None) -> None:
        self.ask(lambda registry: registry.join(connection_id, group, user=user, expires_at=EXPIRES_AT))

    @rule(connection_id=connections, group=st.sampled_from(GROUPS))
    def leave(self, connection_id: str, group: str) -> None:
        self.ask(lambda registry: registry.leave(connection_id, group))

    @rule(seconds=st.sampled_from([1, 30, 300]))
    def keep(self, seconds: int) -> None:
        id_ = f"k{next(self.ids)}"
        kept: Kept = self.ask(
            lambda registry: registry.keep(
                "lobby", f'{{"n":"{id_}"}}', id=id_, seconds=seconds, messages=HISTORY.messages, now=self.now
            )
        )
        self.cursors.append(Cursor(tag_of("lobby"), kept.place, kept.at))

    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        after = data.draw(st.sampled_from(["", "made up", *map(str, self.cursors)]))
        replay = replay_of(after, ["lobby", "attic"], HISTORY)
        self.ask(lambda registry: texts(replay, registry, now=self.now))

    @precondition(lambda self: len(self.cursors) > 3)
    @rule()
    def wait_until_nothing_is_remembered(self) -> None:
        self.now += REMEMBERED_SECONDS * 1000

    @rule(seconds=st.integers(min_value=1, max_value=25))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1000

    @invariant()
    def records_are_alike(self) -> None:
        for connection_id in CONNECTIONS:
            self.read(connection_id, now=self.now)

    @rule()
    def memberships_are_alike(self) -> None:
        async def all_of(registry: Registry) -> tuple[list[set[tuple[str, bool]]], set[Member], list[int]]:
            return (
                [
                    {(member.connection_id, member.waits) async for member in registry.members(group, now=self.now)}
                    for group in GROUPS
                ],
                {member async for member in registry.connections("beth", now=self.now)},
                [await registry.count(group, now=self.now) for group in GROUPS],
            )

        self.ask(all_of)

    def read(self, connection_id: str, *, now: int) -> Any:
        return self.ask(lambda registry: registry.get(connection_id, now=now))


@pytest.mark.timeout(120)
def test_memory_and_dynamodb_answer_alike(moto_client: "DynamoDBClient") -> None:
    Registries.client = moto_client
    run_state_machine_as_test(
        Registries,
        settings=settings(
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_and_dynamodb_answer_alike_for_long(moto_client: "DynamoDBClient") -> None:
    Registries.client = moto_client
    run_state_machine_as_test(
        Registries,
        settings=settings(
            max_examples=150,
            stateful_step_count=50,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
