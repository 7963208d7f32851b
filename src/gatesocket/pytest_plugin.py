"""Fixtures for tests of WebSocket routes and of what sends to them.

pytest loads this module in every project that has Gatesocket installed. Therefore it imports nothing but
pytest until a fixture is asked for: a test run that uses none pays nothing, and coverage sees the import of
what it measures.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp

    from gatesocket.gateway.fake import FakeGateway
    from gatesocket.registry.memory import MemoryRegistry
    from gatesocket.testing import GatewayTestClient

__all__ = ["Clock", "fake_gateway", "gatesocket_clock", "gatesocket_registry", "gateway_client"]


class Clock:
    """The time of a test's clients, which stands still until the test lets it pass."""

    def __init__(self) -> None:
        self.clients: list[GatewayTestClient] = []
        """Those that `gateway_client` has made."""

    def advance(self, seconds: float) -> None:
        """Let time pass for the routes of all clients, one client after the other; see `GatewayTestClient.advance`."""
        for client in self.clients:
            client.advance(seconds)


@pytest.fixture
def gatesocket_clock() -> Clock:
    """The time of this test's clients of `gateway_client`, which their routes sleep and wait by."""
    return Clock()


@pytest.fixture
def gatesocket_registry() -> "MemoryRegistry":
    """An empty registry in memory, the one that this test's clients of `gateway_client` use."""
    from gatesocket.registry.memory import MemoryRegistry  # noqa: PLC0415

    return MemoryRegistry()


@pytest.fixture
def fake_gateway() -> "FakeGateway":
    """A gateway client for code that sends, without a gateway: it remembers what was sent to whom."""
    from gatesocket.gateway.fake import FakeGateway  # noqa: PLC0415

    return FakeGateway()


@pytest.fixture
def gateway_client(
    gatesocket_registry: "MemoryRegistry", gatesocket_clock: Clock
) -> "Iterator[Callable[..., GatewayTestClient]]":
    """Makes clients: ``gateway_client(app)`` is a `gatesocket.testing.GatewayTestClient`, entered already.

    So the app's lifespan has run when the test gets the client, and ends with the test. Keyword arguments are
    passed on.
    """
    from gatesocket.testing import GatewayTestClient  # noqa: PLC0415

    with ExitStack() as clients:

        def make(app: "ASGIApp", **options: Any) -> GatewayTestClient:
            options.setdefault("registry", gatesocket_registry)
            client = clients.enter_context(GatewayTestClient(app, **options))
            gatesocket_clock.clients.append(client)
            return client

        yield make
