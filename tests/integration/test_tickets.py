"""Tickets, beside a registry of each kind: good for one handshake, and not for long."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from gatesocket.aws import Refused, Unreachable
from gatesocket.backend import Backend, use
from gatesocket.exceptions import ConfigurationError, RegistryError
from gatesocket.gateway.sockets import SocketGateway
from gatesocket.registry.base import Registry
from gatesocket.registry.dynamodb import DynamoDBRegistry
from gatesocket.registry.memory import MemoryRegistry
from gatesocket.tickets import DynamoDBTickets, MemoryTickets, Tickets


class User(BaseModel):
    name: str


ANN = User(name="ann")


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def backend(registry: Registry, time: Time) -> Backend:
    return Backend(registry, SocketGateway(), clock=time)


async def test_a_ticket_is_spent_once(backend: Backend) -> None:
    tickets = Tickets(User)
    with use(backend):
        ticket = await tickets.issue(ANN)
        assert await tickets.spend(ticket) == ANN
        assert await tickets.spend(ticket) is None


async def test_of_many_who_spend_one_ticket_at_once_one_gets_in(backend: Backend) -> None:
    tickets = Tickets(str)
    with use(backend):
        ticket = await tickets.issue("ann")
        answers = await asyncio.gather(*(tickets.spend(ticket) for _ in range(8)))

    assert sorted(answers, key=str) == [None] * 7 + ["ann"]


async def test_a_ticket_expires(backend: Backend, time: Time) -> None:
    tickets = Tickets(User, valid_for=30)
    with use(backend):
        early, late = await tickets.issue(ANN), await tickets.issue(ANN)
        time.now += 29_000
        assert await tickets.spend(early) == ANN
        time.now += 1_000
        assert await tickets.spend(late) is None


@pytest.mark.parametrize("ticket", ["", "made-up", "größe 🧦", "x" * 4000])
async def test_what_was_never_issued_is_no_ticket(backend: Backend, ticket: str) -> None:
    with use(backend):
        assert await Tickets(User).spend(ticket) is None


async def test_a_ticket_can_stand_in_an_address_or_among_subprotocols_and_is_no_other(backend: Backend) -> None:
    tickets = Tickets(str)
    with use(backend):
        one, other = await tickets.issue("ann"), await tickets.issue("ann")

    assert one != other
    assert len(one) == len(other) == 43
    assert (one + other).replace("-", "").replace("_", "").isalnum()


async def test_the_table_never_holds_a_ticket(moto_client: Any, moto_table: str) -> None:
    with use(Backend(DynamoDBRegistry(moto_table, client=moto_client), SocketGateway())):
        ticket = await Tickets(User).issue(ANN)

    [item] = moto_client.scan(TableName=moto_table)["Items"]
    assert item["subject"] == {"B": b'{"name":"ann"}'}
    assert ticket not in repr(item)


async def test_unspent_tickets_in_memory_are_let_go_of(time: Time) -> None:
    store = MemoryTickets()
    with use(Backend(MemoryRegistry(), SocketGateway(), clock=time)):
        tickets = Tickets(str, store=store)
        for _ in range(3):
            await tickets.issue("ann")
        time.now += 30_000
        await tickets.spend("another")

    assert store._kept == {}


async def test_each_registry_has_tickets_of_its_own() -> None:
    tickets = Tickets(str)
    one = Backend(MemoryRegistry(), SocketGateway())
    with use(one):
        ticket = await tickets.issue("ann")
    with use(replace(one, registry=MemoryRegistry())):
        assert await tickets.spend(ticket) is None
    with use(one):
        assert await tickets.spend(ticket) == "ann"


async def test_a_registry_of_the_app_s_own_needs_a_store() -> None:
    class Own(MemoryRegistry):
        pass

    class Other:
        pass

    other: Any = Other()
    with use(Backend(Own(), SocketGateway())):
        assert await Tickets(str).issue("ann")
    with (
        use(Backend(other, SocketGateway())),
        pytest.raises(ConfigurationError, match=r"kept in a Other, .* Tickets\(…, store=…\)"),
    ):
        await Tickets(str).issue("ann")


class Failing:
    """DynamoDB, when it is of no help."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def call(self, operation: str, parameters: Any) -> dict[str, Any]:
        raise self.error

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("error", [Refused("AccessDeniedException", "no", 400), Unreachable("nobody is there")])
async def test_a_table_that_can_t_be_asked_is_no_refusal_of_the_client(error: Exception) -> None:
    store = DynamoDBTickets("connections", Failing(error))

    with pytest.raises(RegistryError, match="a ticket couldn't be kept"):
        await store.put("key", b"{}", expires_at=0)
    with pytest.raises(RegistryError, match="a ticket couldn't be spent"):
        await store.take("key", now=0)
