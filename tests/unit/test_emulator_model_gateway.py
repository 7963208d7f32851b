"""The gateway client that asks the gateway model; what the test client does with it is in test_testing.py."""

from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect

from gatesocket.emulator.ids import random_id
from gatesocket.exceptions import ConnectionGone, InvalidConnectionId, MessageTooLarge
from gatesocket.limits import MESSAGE_BYTES
from gatesocket.testing import GatewayTestClient


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.websocket("/ws")
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            raise AssertionError("nobody sends anything here")

    return app


def test_it_posts_closes_and_asks(app: FastAPI) -> None:
    with GatewayTestClient(app).websocket_connect("/ws") as websocket:
        gateway = websocket.gateway.backend.gateway
        websocket.portal.call(gateway.post, websocket.connection_id, "größe")
        assert websocket.receive_text() == "größe"
        info = websocket.portal.call(gateway.info, websocket.connection_id)
        assert (info.source_ip, info.user_agent) == ("testclient", "testclient")
        assert info.connected_at <= info.last_active_at <= datetime.now(UTC) + timedelta(seconds=1)
        websocket.portal.call(gateway.close, websocket.connection_id)
        with pytest.raises(WebSocketDisconnect):
            websocket.receive_text()
        with pytest.raises(ConnectionGone):
            websocket.portal.call(gateway.post, websocket.connection_id, "late")
        websocket.portal.call(gateway.aclose)


def test_it_refuses_what_api_gateway_refuses(app: FastAPI) -> None:
    with GatewayTestClient(app).websocket_connect("/ws") as websocket:
        gateway = websocket.gateway.backend.gateway
        with pytest.raises(MessageTooLarge):
            websocket.portal.call(gateway.post, websocket.connection_id, "x" * (MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionGone):
            websocket.portal.call(gateway.info, random_id())
        with pytest.raises(InvalidConnectionId, match="Invalid connectionId: nobody") as invalid:
            websocket.portal.call(gateway.close, "nobody")
        assert invalid.value.status == 400
