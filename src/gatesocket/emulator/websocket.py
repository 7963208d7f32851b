"""The server's end of a client's WebSocket: frames in, the gateway model's effects out, and nothing waits in between.

The protocol itself is that of the websockets package, without its I/O. uvicorn's own end of a WebSocket isn't used, for
what API Gateway looks at and ASGI has no words for: the size of frames, pings, and a connection that breaks without a
close frame. And an ASGI application takes two tasks and three turns of the event loop for each message.
"""

import asyncio
import http
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from gatesocket.emulator.close_codes import INVALID_DATA, MESSAGE_TOO_BIG, SERVICE_RESTART
from gatesocket.emulator.connections import Client, Socket
from gatesocket.emulator.events import Handshake
from gatesocket.emulator.quirks import Quirks
from gatesocket.limits import MESSAGE_BYTES

__all__ = ["Admit", "GatewaySocket"]

Admit = Callable[[Socket, str, str, Handshake], Client | None]
"""Takes a client's handshake: its socket, and the path and query that it asks for; None if the socket was refused.

The `Handshake` is without the query, which may have to be rewritten first.
"""

TEXT: Final = "text/plain; charset=utf-8"
"""What a refusal's body is unless it is said."""

EARLY_MESSAGES: Final = 16
"""How many messages of a client are kept that doesn't wait for the answer to its handshake, before it is made to."""

CLOSE_SECONDS: Final = 10
"""How long a client may take to answer a close frame."""


class GatewaySocket(asyncio.Protocol):
    """A `Socket`, from the handshake that uvicorn hands over to the end of its connection.

    Args:
        admit: takes the handshake.
        quirks: settles what is not known of API Gateway's frames.
        config: uvicorn's.
        server_state: uvicorn's list of what it has to end.
        app_state: what a lifespan has left, of which there is none.
    """

    def __init__(
        self,
        admit: Admit,
        *,
        quirks: Quirks,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any] | None = None,
    ) -> None:
        self._admit = admit
        self._frame_bytes = quirks.sent_frame_bytes
        self._sockets: set[Any] = server_state.connections
        extensions = [ServerPerMessageDeflateFactory()] if quirks.accepts_compression else None
        self._protocol = _Protocol(extensions=extensions, max_size=config.ws_max_size)
        self._protocol.oversize_reason = quirks.oversize_reason
        self._transport: asyncio.Transport
        self._acceptance: Response
        self._client: Client | None = None
        """Whom to tell of what the client does; None before its handshake."""
        self._over = False
        """Whether there is nothing to tell any more: the connection ends, or never was."""
        self._accepted = False
        self._early: list[tuple[str | bytes, int]] = []
        """Messages from before the handshake was accepted, each with the size of its largest frame."""
        self._parts: list[bytes | bytearray | memoryview] = []
        """Frames of a message that isn't complete."""
        self._largest = 0
        """Size of the largest frame of that message."""
        self._is_text = False
        self._close_timer: asyncio.TimerHandle | None = None

    # What the gateway does: a `Socket`'s methods.

    @property
    def buffered(self) -> int:
        """How many bytes wait to be sent: more than a few only if the client doesn't read."""
        return self._transport.get_write_buffer_size()

    def accept(self, subprotocol: str | None) -> None:
        """Answer the handshake with 101, and take what has come too early."""
        if subprotocol is not None:
            self._acceptance.headers["Sec-WebSocket-Protocol"] = subprotocol
        self._protocol.send_response(self._acceptance)
        self._write()
        self._accepted = True
        self._transport.resume_reading()
        early, self._early = self._early, []
        for data, largest in early:
            self._received(data, largest)

    def refuse(self, status: int, body: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer the handshake with *status*, and end the connection."""
        self._over = True
        content = body.encode()
        fields = {"Date": formatdate(usegmt=True), "Connection": "close", "Content-Length": str(len(content))}
        sent = Headers([*fields.items(), *headers])
        sent.setdefault("Content-Type", TEXT)
        response = Response(status, _phrase(status), sent, content)
        self._protocol.send_response(response)
        self._write()

    def send(self, text: str) -> None:
        """Send a text message, in as many frames as it needs."""
        content, size = text.encode(), self._frame_bytes
        self._protocol.send_text(content[:size], fin=len(content) <= size)
        for begin in range(size, len(content), size):
            self._protocol.send_continuation(content[begin : begin + size], fin=begin + size >= len(content))
        self._write()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and end the connection as soon as the client has answered it."""
        self._over = True
        self._protocol.send_close(code, reason)
        self._write()
        loop = asyncio.get_running_loop()
        self._close_timer = loop.call_later(CLOSE_SECONDS, self._transport.abort)

    # What the client does: asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._sockets.add(self)

    def data_received(self, data: bytes) -> None:
        """Take the handshake, or frames."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._begin(event)
            else:
                self._take(cast("Frame", event))  # of the third kind of events, responses, a server gets none
        if self._protocol.parser_exc is not None:
            self._broke_the_protocol()
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the connection broke, unless a close frame has said why it ends."""
        self._sockets.discard(self)
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._leave(None, "")

    def shutdown(self) -> None:
        """End the connection, as the server does with all that it has."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(SERVICE_RESTART)
            self._leave(SERVICE_RESTART, "")
            self._write()
        elif not self._over:
            self._leave(None, "")
            self.refuse(http.HTTPStatus.SERVICE_UNAVAILABLE, "")
        self._transport.close()

    # One frame after the other.

    def _begin(self, request: Request) -> None:
        self._acceptance = self._protocol.accept(request)
        if self._acceptance.status_code != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self._protocol.send_response(self._acceptance)  # it is no handshake
            return
        client, server = get_remote_addr(self._transport), get_local_addr(self._transport)
        secure = is_ssl(self._transport)
        handshake = Handshake(
            headers=tuple(request.headers.raw_items()),
            query=(),
            source_ip=client[0] if client else "127.0.0.1",
            scheme="https" if secure else "http",
            port=server[1] if server and server[1] is not None else 443 if secure else 80,
        )
        path, _, query = request.path.partition("?")
        self._client = self._admit(self, path, query, handshake)

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                self._is_text = frame.opcode is Opcode.TEXT
                self._parts, self._largest = [frame.data], len(frame.data)
            case Opcode.CONT:
                self._parts.append(frame.data)
                self._largest = max(self._largest, len(frame.data))
            case Opcode.CLOSE if (close := self._protocol.close_rcvd) is not None:
                self._leave(close.code, close.reason)
                return
            case Opcode.PING if self._client is not None and not self._over:
                self._client.pinged()
                return
            case _:
                return
        if frame.fin:
            self._complete()

    def _complete(self) -> None:
        """Take a message whose last frame has come."""
        parts, self._parts = self._parts, []
        content = bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
        try:
            data = content.decode() if self._is_text else content
        except UnicodeDecodeError:
            self._protocol.fail(INVALID_DATA)
            self._leave(INVALID_DATA, "", "its text isn't UTF-8")
            return
        if self._accepted:
            self._received(data, self._largest)
            return
        self._early.append((data, self._largest))
        if len(self._early) == EARLY_MESSAGES:
            self._transport.pause_reading()

    def _received(self, data: str | bytes, largest: int) -> None:
        if self._client is not None and not self._over:
            self._client.received(data, largest)

    def _broke_the_protocol(self) -> None:
        close = self._protocol.close_sent
        if close is None:  # it is the connection that broke
            self._leave(None, "")
        elif close.code == MESSAGE_TOO_BIG:
            self._leave(close.code, close.reason, f"a message has {MESSAGE_BYTES} bytes at the most")
        else:
            self._leave(close.code, close.reason, str(self._protocol.parser_exc))

    def _leave(self, code: int | None, reason: str, fault: str = "") -> None:
        if self._client is not None and not self._over:
            self._over = True
            self._client.left(code, reason, fault)

    def _write(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()  # which still sends what was written before


class _Protocol(ServerProtocol):
    """What a client is told of a message that doesn't fit into memory is what it is told of any that is too large."""

    oversize_reason = ""

    def fail(self, code: int, reason: str = "") -> None:
        """Fail the connection."""
        super().fail(code, self.oversize_reason if code == MESSAGE_TOO_BIG else reason)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""  # functions answer what they like
