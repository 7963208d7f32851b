"""Opens the WebSocket routes of assistant.app:app as the cloud serves them.

Each frame goes through an emulated API Gateway and wakes its route anew.
"""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from gatesocket.hibernation import check
from gatesocket.testing import GatewayTestClient
from starlette.websockets import WebSocketDisconnect

from assistant.app import app

OPEN = [
    "/ws/assistant",
]
"""Where whoever knows the address is let in."""


@pytest.fixture
def client() -> Iterator[GatewayTestClient]:
    with GatewayTestClient(app) as client:
        yield client


def test_every_route_can_hibernate() -> None:
    assert check(app).findings == ()


@pytest.mark.parametrize("url", OPEN)
def test_a_client_comes_and_leaves(client: GatewayTestClient, url: str) -> None:
    let_in = False
    # Many a route ends with what its last receive raises when the client leaves.
    with suppress(WebSocketDisconnect), client.websocket_connect(url):
        let_in = True
    assert let_in
