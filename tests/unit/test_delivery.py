"""One text on its way to many connections: who gets it when, and what becomes of everybody else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket import ConnectionManager
from gatesocket.aws.http import TIMEOUTS
from gatesocket.aws.retry import Policy
from gatesocket.backend import Backend
from gatesocket.batches import PATIENCE
from gatesocket.delivery import FAILURES_NAMED, POSTS_AT_ONCE, Delivery, Round, members_of
from gatesocket.exceptions import ConnectionGone, GatewayError, QueueError, RegistryError
from gatesocket.gateway.fake import FakeGateway
from gatesocket.limits import INTEGRATION_SECONDS, REQUESTS_PER_SECOND
from gatesocket.patience import in_context
from gatesocket.registry.base import Member, Record
from gatesocket.registry.memory import MemoryRegistry

FAR = 1 << 40


class Gateway(FakeGateway):
    """Every connection is open but for those that a test names."""

    def __init__(self, errors: dict[str, Exception] | None = None) -> None:
        super().__init__()
        self.errors = errors or {}
        self.posted: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.crowded = asyncio.Event()
        self.anybody = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def post(self, connection_id: str, text: str) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self.under_way == POSTS_AT_ONCE:
            self.crowded.set()
        try:
            await self.free.wait()
            if error := self.errors.get(connection_id):
                raise error
            self.posted.append(connection_id)
            self.anybody.set()
        finally:
            self.under_way -= 1


class Elsewhere:
    """Takes over what a round hands to it, in batches of *size*."""

    def __init__(self, *, above: int, size: int, errors: Iterator[Exception | None]) -> None:
        self.above = above
        self.patience: float | None = 0.5
        self.size = size
        self.errors = errors
        self.collected: list[str] = []
        self.batches: list[list[str]] = []

    def takes(self, error: Exception) -> bool:
        return isinstance(error, GatewayError) and error.status == 429

    def add(self, connection_id: str) -> list[str]:
        self.collected.append(connection_id)
        return self.rest() if len(self.collected) == self.size else []

    def rest(self) -> list[str]:
        batch, self.collected = self.collected, []
        return batch

    async def put(self, batch: list[str]) -> None:
        if error := next(self.errors, None):
            raise error
        self.batches.append(batch)


async def each(*members: Member | str) -> AsyncIterator[Member]:
    for member in members:
        yield Member(member, None) if isinstance(member, str) else member


def throttled(connection_id: str) -> GatewayError:
    return GatewayError("throttled", connection_id=connection_id, status=429)


async def test_the_first_post_is_under_way_before_the_last_page_is_read() -> None:
    gateway = Gateway()

    async def two_pages() -> AsyncIterator[Member]:
        yield Member("a", None)
        await asyncio.wait_for(gateway.anybody.wait(), 10)
        yield Member("b", None)

    assert await Round("hello", Backend(MemoryRegistry(), gateway)).send(two_pages()) == Delivery(sent=2)


async def test_members_are_read_no_faster_than_they_are_posted_to() -> None:
    """So that memory doesn't grow with their number."""
    gateway, read = Gateway(), 0
    gateway.free.clear()

    async def many() -> AsyncIterator[Member]:
        nonlocal read
        for number in range(10 * POSTS_AT_ONCE):
            read += 1
            yield Member(str(number), None)

    sending = asyncio.create_task(Round("hello", Backend(MemoryRegistry(), gateway)).send(many()))
    await asyncio.wait_for(gateway.crowded.wait(), 10)
    for _ in range(10):
        await asyncio.sleep(0)  # it could go on now
    assert read == POSTS_AT_ONCE + 1
    gateway.free.set()

    assert (await sending).sent == 10 * POSTS_AT_ONCE
    assert gateway.most_under_way == POSTS_AT_ONCE


async def test_what_is_under_way_ends_before_an_unreadable_page_is_an_error() -> None:
    gateway = Gateway()

    async def two_pages() -> AsyncIterator[Member]:
        yield Member("a", None)
        raise RegistryError("the second page is throttled")

    with pytest.raises(RegistryError, match="the second page is throttled"):
        await Round("hello", Backend(MemoryRegistry(), gateway)).send(two_pages())

    assert gateway.posted == ["a"]


async def test_what_was_handed_over_before_an_unreadable_page_is_on_its_way() -> None:
    elsewhere = Elsewhere(above=0, size=10, errors=iter(()))

    async def two_pages() -> AsyncIterator[Member]:
        yield Member("a", None)
        raise RegistryError("the second page is throttled")

    with pytest.raises(RegistryError):
        await Round("hello", Backend(MemoryRegistry(), Gateway()), hand_over=elsewhere).send(two_pages())

    assert elsewhere.batches == [["a"]]


async def test_of_many_failures_all_are_counted_and_some_are_named(caplog: pytest.LogCaptureFixture) -> None:
    ids = [str(number) for number in range(FAILURES_NAMED + 5)]
    gateway = Gateway({connection_id: throttled(connection_id) for connection_id in ids})

    delivery = await Round("hello", Backend(MemoryRegistry(), gateway)).send(each(*ids, "well"))

    assert (delivery.sent, delivery.failed) == (1, FAILURES_NAMED + 5)
    assert list(delivery.failures) == ids[:FAILURES_NAMED]
    assert len(caplog.records) == FAILURES_NAMED + 1
    assert caplog.messages[-1] == "a message was not delivered to 105 connections; not all of them are named"


async def test_a_gateway_client_that_breaks_is_one_members_failure_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = Gateway({"a": KeyError("a bug")})

    delivery = await Round("hello", Backend(MemoryRegistry(), gateway)).send(each("a", "b"))

    assert (delivery.sent, delivery.failed) == (1, 1)
    assert isinstance(delivery.failures["a"], KeyError)
    assert "connection a: a post failed in a way that no gateway does" in caplog.messages


async def test_a_member_that_can_not_be_pruned_is_gone_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Unwilling(MemoryRegistry):
        async def leave(self, connection_id: str, group: str) -> bool:
            raise RegistryError("throttled")

    gateway = Gateway({"a": ConnectionGone("a")})

    delivery = await Round("hello", Backend(Unwilling(), gateway), group="lobby").send(each("a", "b"))

    assert delivery == Delivery(sent=1, gone=1)
    assert caplog.messages == ["connection a is gone and could not be removed: throttled"]


async def test_who_is_gone_is_told_of_once_and_only_by_whoever_removes_it() -> None:
    registry, gateway = MemoryRegistry(), Gateway({"a": ConnectionGone("a"), "b": ConnectionGone("b")})
    await registry.create(Record("a", b"", 0, FAR, groups=frozenset({"lobby"})))
    left: list[Member] = []

    for _ in range(2):
        sending = Round("hello", Backend(registry, gateway), group="lobby", on_left=left.append)
        assert (await sending.send(each("a", "b"))).gone == 2

    assert left == [Member("a", None)]


async def test_what_waits_for_its_handshake_is_never_handed_over() -> None:
    """Only the record that it waits in keeps the order of what its route sent first."""
    gateway, elsewhere = Gateway({"a": throttled("a")}), Elsewhere(above=0, size=1, errors=iter(()))

    delivery = await Round("hello", Backend(MemoryRegistry(), gateway), hand_over=elsewhere).send(
        each(Member("a", None, waits=True), "b")
    )

    assert (delivery.queued, delivery.failed, elsewhere.batches) == (1, 1, [["b"]])


async def test_only_those_who_can_be_handed_over_are_given_up_sooner() -> None:
    """Of the others nobody else would try again."""
    given: dict[str, float | None] = {}

    class Patient(Gateway):
        async def post(self, connection_id: str, text: str) -> None:
            given[connection_id] = in_context()

    through = Backend(MemoryRegistry(), Patient())
    elsewhere = Elsewhere(above=9, size=1, errors=iter(()))
    await Round("hello", through, hand_over=elsewhere).send(each(Member("a", None, waits=True), "b"))
    await Round("hello", through).send(each("c"))

    assert given == {"a": None, "b": 0.5, "c": None}
    assert in_context() is None


async def test_the_members_of_a_group_are_those_of_the_registry_outside_of_a_route() -> None:
    registry = MemoryRegistry()
    await registry.create(Record("a", b"", 0, FAR, live=True, groups=frozenset({"lobby"}), user="ann"))

    found = [member async for member in members_of("lobby", Backend(registry, Gateway()))]

    assert found == [Member("a", "ann")]


FATES = st.sampled_from(["sent", "gone", "throttled", "refused", "broken"])


@given(
    fates=st.lists(FATES, max_size=200),
    above=st.integers(0, 250),
    size=st.integers(1, 60),
    queue=st.lists(st.booleans(), max_size=20),
    with_queue=st.booleans(),
)
async def test_everybody_has_exactly_one_fate(
    fates: list[str], above: int, size: int, queue: list[bool], with_queue: bool
) -> None:
    """Whatever fails: each member is counted once, is posted to once at the most, and is in one batch or in none."""
    ids = [f"{number}-{fate}" for number, fate in enumerate(fates)]
    errors: dict[str, Exception] = {}
    for connection_id, fate in zip(ids, fates, strict=True):
        match fate:
            case "gone":
                errors[connection_id] = ConnectionGone(connection_id)
            case "throttled":
                errors[connection_id] = throttled(connection_id)
            case "refused":
                errors[connection_id] = GatewayError("no permission", connection_id=connection_id, status=403)
            case "broken":
                errors[connection_id] = ZeroDivisionError()
    gateway = Gateway(errors)
    elsewhere = Elsewhere(above=above, size=size, errors=iter([None if ok else QueueError("full") for ok in queue]))

    through = Backend(MemoryRegistry(), gateway)
    delivery = await Round("hello", through, hand_over=elsewhere if with_queue else None).send(each(*ids))

    batched = [connection_id for batch in elsewhere.batches for connection_id in batch]
    assert len(set(gateway.posted)) == len(gateway.posted) == delivery.sent
    assert len(set(batched)) == len(batched) == delivery.queued
    assert not set(gateway.posted) & set(batched)
    assert delivery.sent + delivery.gone + delivery.queued + delivery.failed == len(ids)
    named = set(delivery.failures)
    assert len(named) == min(delivery.failed, FAILURES_NAMED)
    assert not named & {*gateway.posted, *batched}
    if with_queue:
        directly = ids[:above]
        assert delivery.gone == sum(connection_id.endswith("gone") for connection_id in directly)
        assert {*batched} <= {*ids[above:], *(i for i in directly if i.endswith("throttled"))}


def test_the_times_that_are_promised_of_a_broadcast_are_those_that_hold() -> None:
    """In its docstring and on the docs page: by the default client, of a gateway that refuses or says nothing."""
    policy, try_ = Policy(), TIMEOUTS.connect + TIMEOUTS.answer
    pauses = [min(policy.first_pause * 2**number, policy.longest_pause) for number in range(policy.attempts - 1)]
    promised = {
        "places": f"{POSTS_AT_ONCE} places",
        "refused at once": f"{sum(pauses):g} s at most",
        "connect": f"{TIMEOUTS.connect} s to connect",
        "answer": f"{TIMEOUTS.answer} s",
        "budget": f"after {policy.budget:g} s",
        "no answer": f"{policy.budget + try_:g} s at",
        "no answer, with a queue": f"{PATIENCE + try_:g} s at",
        "rate": f"{REQUESTS_PER_SECOND:,} requests a second",
        "function": f"{INTEGRATION_SECONDS} s",
    }
    said = " ".join((ConnectionManager.broadcast.__doc__ or "").split())
    page = " ".join((Path(__file__).parents[2] / "docs" / "broadcast.md").read_text().split())
    assert {name for name, words in promised.items() if words not in said} == set()
    assert {name for name, words in promised.items() if words not in page} == set()
    assert (policy.attempts, "six times" in said, "six times" in page) == (6, True, True)
