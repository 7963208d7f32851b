"""Broadcasts by the client that functions use, when posts can't be made: every member's failure is named, no more."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gatesocket import ConnectionManager
from gatesocket.aws import AsyncioClient
from gatesocket.aws.credentials import Given
from gatesocket.aws.sigv4 import Credentials
from gatesocket.backend import Backend, use
from gatesocket.batches import Batch
from gatesocket.exceptions import GatewayError
from gatesocket.gateway.management_api import ManagementAPI
from gatesocket.queues import MemoryQueue
from gatesocket.registry.base import EVERYONE, Record
from gatesocket.registry.memory import MemoryRegistry
from support.canned_http import Request, answer, canned_server

FAR = 1 << 40
ANN, BOB, EVE = "AAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBB=", "EEEEEEEEEEEEEEE="
SLOW_DOWN = answer(429, b'{"message": "Too Many Requests"}')
EXPIRED = answer(
    403, b'{"message": "The security token included in the request is expired"}', x_amzn_ErrorType="ExpiredToken"
)


class World:
    """A clock that only pauses move, and chance that makes them as long as they may be."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.queued: list[str] = []

    @property
    def passed(self) -> float:
        return (self.now - 1_700_000_000_000) / 1000

    async def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)

    async def put(self, body: str) -> None:
        self.queued.append(body)

    @asynccontextmanager
    async def deployed(self, url: str, *connection_ids: str, fanout: bool = False) -> AsyncIterator[Backend]:
        """Have managers post to the Management API at *url*, to members of one room."""
        client = AsyncioClient(
            "apigatewaymanagementapi",
            region="eu-central-1",
            endpoint_url=url,
            credentials=Given(Credentials("ASIA", "topsecret", "toptoken")),
            clock=lambda: self.now,
            sleep=self.sleep,
            chance=lambda: 1.0,
        )
        through = Backend(
            MemoryRegistry(), ManagementAPI(client=client), fanout=MemoryQueue(self.put) if fanout else None
        )
        for connection_id in connection_ids:
            groups = frozenset({EVERYONE, "lobby"})
            await through.registry.create(Record(connection_id, b"", 0, FAR, b"snapshot", live=True, groups=groups))
        with use(through):
            yield through
        await client.aclose()


async def test_over_a_dead_network_every_failure_is_named_and_nobody_is_taken_for_gone() -> None:
    world, manager = World(), ConnectionManager()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        nobody = f"http://127.0.0.1:{listening.getsockname()[1]}/prod"
    async with world.deployed(nobody, ANN, BOB):
        delivery = await manager.broadcast("hello", group="lobby")

        assert (delivery.sent, delivery.gone, delivery.queued, delivery.failed) == (0, 0, 0, 2)
        assert set(delivery.failures) == {ANN, BOB}
        for connection_id, error in delivery.failures.items():
            assert isinstance(error, GatewayError)
            assert f"{connection_id!r}: {nobody.removesuffix('/prod')} can't be connected to" in str(error)
        assert await manager.count("lobby") == 2


@pytest.mark.parametrize("fanout", [False, True])
async def test_expired_credentials_are_each_members_failure_with_the_remedy_and_go_to_no_queue(*, fanout: bool) -> None:
    world, manager = World(), ConnectionManager()

    async def respond(request: Request) -> bytes:
        return EXPIRED

    async with (
        canned_server(respond=respond) as server,
        world.deployed(f"{server.url}/prod", ANN, BOB, fanout=fanout),
    ):
        delivery = await manager.broadcast("hello", group="lobby")

        assert (delivery.failed, set(delivery.failures)) == (2, {ANN, BOB})
        for error in delivery.failures.values():
            assert "The credentials have expired: renew them" in str(error)
            assert "topsecret" not in str(error)
            assert "toptoken" not in str(error)
        assert (await manager.count("lobby"), world.queued) == (2, [])
    assert len(server.requests) == 2, "another try would be refused as well"


async def test_one_members_failure_is_nobody_elses() -> None:
    world, manager = World(), ConnectionManager()

    async def respond(request: Request) -> bytes | None:
        return None if "BBBB" in request.path else answer()  # a connection that breaks off

    async with canned_server(respond=respond) as server, world.deployed(f"{server.url}/prod", ANN, BOB, EVE):
        delivery = await manager.broadcast("hello", group="lobby")

    assert (delivery.sent, delivery.failed, set(delivery.failures)) == (2, 1, {BOB})


@pytest.mark.parametrize(("fanout", "seconds"), [(False, 1.55), (True, 0.75)])
async def test_with_a_queue_to_leave_a_slow_client_to_a_broadcast_waits_for_a_second_at_the_most(
    *, fanout: bool, seconds: float
) -> None:
    """Six tries in 1.55 seconds, if chance makes each pause as long as it can; the fifth pause would pass a second."""
    world, manager = World(), ConnectionManager()

    async def respond(request: Request) -> bytes:
        return SLOW_DOWN if "BBBB" in request.path else answer()

    async with (
        canned_server(respond=respond) as server,
        world.deployed(f"{server.url}/prod", ANN, BOB, fanout=fanout),
    ):
        delivery = await manager.broadcast("hello", group="lobby")

    assert world.passed == seconds
    assert (delivery.sent, delivery.queued, delivery.failed) == (1, *((1, 0) if fanout else (0, 1)))
    assert [Batch.read(body)[0].connections for body in world.queued] == ([(BOB,)] if fanout else [])
