"""What can be sent, and the text that it becomes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from gatesocket.exceptions import ApplicationProtocolError
from gatesocket.gateway.base import wire_bytes

__all__ = ["Message", "encode", "to_text"]

Message = str | bytes | BaseModel | Mapping[str, Any] | Sequence[Any]
"""What can be sent: text as it is, a pydantic model or whatever JSON knows as compact JSON; bytes are refused."""


def encode(message: Message) -> str:
    """Turn a message into the text that is sent.

    Raises:
        ApplicationProtocolError: it is bytes; API Gateway has no binary messages.
        MessageTooLarge: it is over 128 KB.
        TypeError: it isn't text, a pydantic model or JSON.
        ValueError: it is, but for a value that JSON or UTF-8 can't say: NaN, an infinity, a cycle, half a surrogate
            pair.
    """
    if isinstance(message, bytes | bytearray | memoryview):
        raise ApplicationProtocolError(
            "bytes can't be sent through a manager: API Gateway has no binary messages. "
            "Encode them, as base64 for example"
        )
    text = to_text(message)
    try:
        wire_bytes(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"expected text that UTF-8 can carry, but got half a surrogate pair: {error}") from error
    return text


def to_text(message: Any) -> str:
    """Turn text, a pydantic model or what JSON knows into text of any size.

    Raises:
        TypeError: it is none of these.
        ValueError: it is, but for a value that JSON can't say.
    """
    if isinstance(message, str):
        return message
    kind = type(message).__name__
    try:
        if isinstance(message, BaseModel):
            return message.model_dump_json()
        # Python would write NaN, at which every browser's JSON.parse stumbles.
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise TypeError(f"expected text, a pydantic model or what JSON knows, but got {kind}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected what JSON can say, but got {kind}: {error}") from error
