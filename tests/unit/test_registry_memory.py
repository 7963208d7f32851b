"""What the registry in memory has beyond what the contract suite asks of it."""

from gatesocket.registry.base import EVERYONE, Record
from gatesocket.registry.memory import MemoryRegistry

ANN = "TXzPWdnOjoECGjA="


async def test_a_connection_can_be_forgotten_without_awaiting() -> None:
    """`ConnectionManager.disconnect` is called without ``await``."""
    registry = MemoryRegistry()
    await registry.create(Record(ANN, b"", 0, 1 << 53, user="ann"))
    registry.forget(ANN)
    assert await registry.get(ANN, now=0) is None
    assert await registry.count(EVERYONE, now=0) == 0
    assert [member async for member in registry.connections("ann", now=0)] == []


async def test_forgetting_what_is_not_there_is_harmless() -> None:
    registry = MemoryRegistry()
    registry.forget(ANN)
    assert await registry.delete(ANN) is False


async def test_nothing_is_left_behind_by_connections_that_have_gone() -> None:
    """A local server may run for months."""
    registry = MemoryRegistry()
    await registry.create(Record(ANN, b"", 0, 1 << 53, groups=frozenset({"lobby"}), user="ann"))
    await registry.leave(ANN, "attic")
    await registry.delete(ANN)
    assert (registry._records, dict(registry._groups), dict(registry._users)) == ({}, {}, {})
