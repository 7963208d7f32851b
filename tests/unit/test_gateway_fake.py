"""The fake gateway client beyond what the contract suite asks of it."""

from datetime import UTC, datetime, timedelta

import pytest

from gatesocket.exceptions import ConnectionGone, GatewayError, InvalidConnectionId
from gatesocket.gateway.fake import FakeGateway


async def test_an_id_that_the_test_has_named_is_taken_as_it_is() -> None:
    gateway = FakeGateway()
    with pytest.raises(InvalidConnectionId, match="'ann'.*'TXzPWdnOjoECGjA='"):
        await gateway.post("ann", "hello")
    gateway.open("ann")
    await gateway.post("ann", "hello")
    gateway.gone("ann")
    with pytest.raises(ConnectionGone):
        await gateway.post("ann", "there")
    assert gateway.sent == {"ann": ["hello"]}


def test_what_nobody_was_sent_can_be_asserted() -> None:
    gateway = FakeGateway()
    gateway.open("ann")
    gateway.connecting("bob")
    assert gateway.sent == {"ann": [], "bob": []}


async def test_a_client_may_leave_before_it_was_connected() -> None:
    gateway = FakeGateway()
    gateway.gone("ann")
    with pytest.raises(ConnectionGone):
        await gateway.info("ann")


async def test_connections_that_were_closed_are_listed() -> None:
    gateway = FakeGateway()
    gateway.open("ann")
    await gateway.close("ann")
    assert gateway.closed == ["ann"]


async def test_a_refusal_ends_after_so_many_calls() -> None:
    gateway = FakeGateway()
    gateway.open("ann")
    gateway.refuse("ann", 429, times=2)
    for _ in range(2):
        with pytest.raises(GatewayError, match="429") as caught:
            await gateway.post("ann", "hello")
        assert caught.value.status == 429
    await gateway.post("ann", "hello")
    assert gateway.sent["ann"] == ["hello"]


async def test_times_are_those_of_the_clock_that_is_given() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    gateway = FakeGateway(clock=lambda: now)
    gateway.open("ann")
    opened, now = now, now + timedelta(minutes=1)
    await gateway.post("ann", "hello")
    info = await gateway.info("ann")
    assert (info.connected_at, info.last_active_at) == (opened, now)
