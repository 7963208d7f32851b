"""What a client says as text frames, and what frames say to it."""

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any, Literal

from gatesocket.conversation import BINARY_PREFIX, received
from gatesocket.encoding import to_text
from gatesocket.exceptions import MessageTooLarge
from gatesocket.limits import FRAME_BYTES

__all__ = ["Codec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """The form of one connection's messages; `gatesocket.client.Connection` says what the options mean."""

    largest_frame: int | None = FRAME_BYTES
    json: bool = True
    binary: Literal["base64"] | None = None
    close_message: bool = True

    def encode(self, message: Any) -> str:
        """Turn a message into the frame that is sent.

        Raises:
            MessageTooLarge: it is larger than a frame may be.
            TypeError: it is bytes, and no form was agreed on; or nothing that JSON knows.
            ValueError: it has a value that JSON or UTF-8 can't say.
        """
        frame = self._of_bytes(message) if isinstance(message, bytes | bytearray | memoryview) else to_text(message)
        size = len(frame.encode())
        if self.largest_frame is not None and size > self.largest_frame:
            raise MessageTooLarge(size, self.largest_frame)
        return frame

    def decode(self, frame: str | bytes) -> Any:
        """Return the message that a frame brings: bytes in the agreed form, JSON, or the text itself.

        Raises:
            ValueError: it is text that isn't JSON, although it should be.
        """
        if isinstance(frame, bytes):
            return frame  # of a server that isn't behind API Gateway
        if (data := received(frame, binary=self.binary is not None).get("bytes")) is not None:
            return data
        if not self.json:
            return frame
        try:
            return json.loads(frame)
        except ValueError as error:
            raise ValueError(f"expected JSON from the server, but got something else: {error}") from error

    def farewell(self, frame: str | bytes) -> tuple[int, str] | None:
        """Return code and reason of the close that a last message tells of; None for any other frame.

        Its form is ``{"type": "close", "code", "reason"}``, and has nothing else.
        """
        if not self.close_message or isinstance(frame, bytes) or not (frame.startswith("{") and '"close"' in frame):
            return None
        try:
            match json.loads(frame):
                case {"type": "close", "code": int(code), "reason": str(reason), **others} if not others:
                    return code, reason
        except ValueError:
            pass  # an app's own text
        return None

    def _of_bytes(self, data: bytes | bytearray | memoryview) -> str:
        if self.binary is None:
            raise TypeError('bytes can\'t be sent: API Gateway has no binary messages. Agree on binary="base64"')
        return BINARY_PREFIX + b64encode(data).decode("ascii")
