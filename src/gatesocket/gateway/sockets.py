"""The local life's gateway client: it posts to the sockets that this process holds."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gatesocket.exceptions import ConnectionGone
from gatesocket.gateway.base import ConnectionInfo, wire_bytes

__all__ = ["SocketGateway"]


@dataclass(slots=True)
class _Socket:
    websocket: WebSocket
    connected_at: float
    last_active_at: float
    waiting: deque[str] = field(default_factory=deque)
    """What others have posted while something else is to come first."""
    held: int = 0
    """How many callers of `SocketGateway.post_first` others wait for."""


class SocketGateway:
    """Posts to and closes sockets that a server such as uvicorn holds in this process.

    It refuses what API Gateway would refuse, so that a message that is too large is found before the cloud is.
    """

    def __init__(self) -> None:
        self._sockets: dict[str, _Socket] = {}

    def attach(self, connection_id: str, websocket: WebSocket) -> None:
        """Make *websocket* reachable by its connection id."""
        now = time.time()
        self._sockets[connection_id] = _Socket(websocket, now, now)

    def detach(self, connection_id: str) -> None:
        """Forget a socket; forgetting one that isn't attached is harmless."""
        self._sockets.pop(connection_id, None)

    def websocket(self, connection_id: str) -> WebSocket | None:
        """Return the socket of a connection; None if it isn't attached."""
        socket = self._sockets.get(connection_id)
        return None if socket is None else socket.websocket

    async def post(self, connection_id: str, text: str) -> None:
        """Send one text message; see `GatewayClient.post`."""
        wire_bytes(text)
        socket = self._open(connection_id)
        if socket.held:
            socket.waiting.append(text)
        else:
            await self._send(connection_id, socket, text)

    async def post_first(self, connection_id: str, texts: Callable[[], Awaitable[Iterable[str]]]) -> None:
        """Send what *texts* returns before anything that is posted from this call on.

        Raises:
            ConnectionGone: the client has left.
        """
        socket = self._open(connection_id)
        socket.held += 1
        try:
            for text in await texts():
                await self._send(connection_id, socket, text)
            while socket.held == 1 and socket.waiting:
                await self._send(connection_id, socket, socket.waiting.popleft())
        finally:
            socket.held -= 1

    async def close(self, connection_id: str) -> None:
        """End the connection; see `GatewayClient.close`."""
        socket = self._open(connection_id)
        self.detach(connection_id)
        await socket.websocket.close()

    async def info(self, connection_id: str) -> ConnectionInfo:
        """Describe the connection; see `GatewayClient.info`."""
        socket = self._open(connection_id)
        client = socket.websocket.client
        return ConnectionInfo(
            connected_at=datetime.fromtimestamp(socket.connected_at, UTC),
            last_active_at=datetime.fromtimestamp(socket.last_active_at, UTC),
            source_ip=client.host if client else "",
            user_agent=socket.websocket.headers.get("user-agent"),
        )

    async def aclose(self) -> None:
        """Forget every socket; the server that holds them closes them."""
        self._sockets.clear()

    async def _send(self, connection_id: str, socket: _Socket, text: str) -> None:
        try:
            await socket.websocket.send_text(text)
        except WebSocketDisconnect as error:
            self.detach(connection_id)
            raise ConnectionGone(connection_id) from error
        socket.last_active_at = time.time()

    def _open(self, connection_id: str) -> _Socket:
        socket = self._sockets.get(connection_id)
        if socket is None:
            raise ConnectionGone(connection_id)
        states = {socket.websocket.application_state, socket.websocket.client_state}
        if states != {WebSocketState.CONNECTED}:
            self.detach(connection_id)
            raise ConnectionGone(connection_id)
        return socket
