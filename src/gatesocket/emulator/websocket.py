"""uvicorn's protocols, with what API Gateway looks at and ASGI has no words for."""

from collections import deque
from collections.abc import Iterable
from typing import Final

import h11
from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

__all__ = ["LARGEST_FRAME", "PING", "GatewayHttp", "GatewaySocket"]

LARGEST_FRAME: Final = "gatesocket.largest_frame"
"""Key of a ``websocket.receive`` message: bytes of the largest frame that the message came in."""


PING: Final = "gatesocket.ping"
"""Type of a message that tells of a client's ping; the ping is answered already."""


_INVALID_DATA: Final = 1007
"""The code for a text that isn't UTF-8 (RFC 6455, section 7.4.1)."""


class GatewayHttp(H11Protocol):
    """The server's end of a connection until its client asks for a WebSocket.

    Names of the handshake's headers reach functions as the client spelt them (facts sheet, section 1); uvicorn spells
    them in small letters.
    """

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to `GatewaySocket`."""
        self.headers = event.headers.raw_items()
        super().handle_websocket_upgrade(event)


class GatewaySocket(WebSocketsSansIOProtocol):
    """The server's end of a client's WebSocket.

    * Every received message tells the size of its largest frame: API Gateway's limit of 32 KB is one of frames
      (facts sheet, section 7), while uvicorn gives whole messages.
    * A connection that breaks without a close frame is reported as 1006; uvicorn says 1005, which is a close frame
      without a code (RFC 6455, section 7.4.1).
    * A client's ping is reported: it may be what keeps its connection alive (facts sheet, section 7).
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._largest = 0
        self._sizes: deque[int] = deque()

    def handle_text(self, event: Frame) -> None:
        """Take the first or only frame of a text message."""
        self._largest = len(event.data)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Take the first or only frame of a binary message."""
        self._largest = len(event.data)
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a further frame of a message."""
        self._largest = max(self._largest, len(event.data))
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping."""
        super().handle_ping()
        self.queue.put_nowait({"type": PING})  # type: ignore[arg-type, misc]

    def send_receive_event_to_app(self) -> None:
        """Take note of a message that is complete."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            # uvicorn would end the connection as well, but with a traceback in the log for a client's mistake.
            self.conn.send_close(_INVALID_DATA)
            self.handle_parser_exception()
            return
        # Messages are queued and received in the same order, so that the sizes can wait in a queue of their own.
        self._sizes.append(self._largest)
        super().send_receive_event_to_app()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app that the connection broke, unless a close frame has said why it ends."""
        if self.handshake_complete and not self.close_sent and self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)

    async def receive(self) -> ASGIReceiveEvent:
        """Receive the next ASGI message."""
        message = await super().receive()
        if message["type"] == "websocket.receive":
            return {**message, LARGEST_FRAME: self._sizes.popleft()}  # type: ignore[return-value]
        return message


def _is_text(frames: Iterable[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True
