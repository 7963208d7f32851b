"""What nobody outside AWS knows for certain about API Gateway, as settings."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from pydantic import PositiveInt, TypeAdapter, ValidationError

from gatesocket.exceptions import ConfigurationError
from gatesocket.limits import FRAME_BYTES, MESSAGE_BYTES

__all__ = ["Quirks", "settle"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """One field for each fact that the facts sheet marks UNCONFIRMED and that a client or a handler can see.

    The defaults are what the evidence suggests; where there is none, what is harder for a handler to live
    with.
    """

    malformed_connect_status: int = 502
    """Status of the handshake when the answer to `$connect` is no proxy response (section 2)."""
    connect_timeout_status: int = 504
    """Status of the handshake when `$connect` has not answered after 29 s (section 2)."""
    long_url_status: int = 414
    """Status of the handshake when its URL has more than 4096 characters (section 8)."""
    authorizer_timeout_status: int = 500
    """Status of the handshake when the authorizer has not answered after 29 s (section 9)."""
    throttled_message: str = "Too Many Requests"
    """What the error frame says that answers a message over the request rate (section 3)."""
    largest_post_bytes: int = MESSAGE_BYTES
    """Bytes of the largest post, beyond which it is answered 413 (section 4)."""
    sent_frame_bytes: PositiveInt = FRAME_BYTES
    """Bytes of the largest frame that a client is sent; what is longer comes in several (section 4)."""
    client_buffer_bytes: int = 1024 * 1024
    """Bytes that wait for a client that doesn't read; beyond them posts are answered 429 (section 4)."""
    accepts_compression: bool = False
    """Whether a client that offers permessage-deflate gets it (section 7)."""
    ping_keeps_alive: bool = False
    """Whether a client's ping starts the ten idle minutes anew (section 7)."""
    refusal_carries_body: bool = True
    """Whether a refused client gets the body that the function answered to `$connect` (section 2)."""
    refusal_carries_headers: bool = False
    """Whether a refused client gets the headers that the function answered to `$connect` (section 2)."""
    expression_alone_replies: bool = False
    """Whether a response selection expression makes a route two-way without a RouteResponse (section 3)."""
    error_status_carries_body: bool = True
    """Whether a two-way route's body is delivered although its status isn't 2xx (section 3)."""
    query_is_decoded: bool = True
    """Whether functions get the query percent-decoded (section 1)."""
    empty_message_has_body: bool = False
    """Whether the event of an empty text frame has the key `body`, which then is `""` (section 1)."""
    undecodable_post_refused: bool = True
    """Whether a post that isn't UTF-8 is answered 400; otherwise its bad bytes become U+FFFD (section 4)."""
    oversize_reason: str = ""
    """Reason of the 1009 close after a frame over 32 KB or a message over 128 KB (section 7)."""
    binary_reason: str = ""
    """Reason of the 1003 close after a binary frame (section 7)."""
    dropped_reason: str = ""
    """`disconnectReason` of a connection that broke without a close frame, 1006 (section 7)."""
    lifetime_code: int = 1001
    """Close code after 2 hours (section 7)."""
    lifetime_reason: str = "Going away"
    """Close reason after 2 hours (section 7)."""
    deleted_reason: str = "Connection Closed Normally"
    """Reason that the client sees after DELETE; the `$disconnect` event does carry this text (section 4)."""


def settle(given: Mapping[str, str]) -> Quirks:
    """Make quirks of some that are given as texts, ``{"ping_keeps_alive": "true"}``; the others have their defaults.

    Raises:
        ConfigurationError: there is no such quirk, or it has no such values.
    """
    names = [field.name for field in fields(Quirks)]
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
            raise ConfigurationError(f"API Gateway has no quirk {name!r}; {remedy}")
    try:
        return TypeAdapter(Quirks).validate_python(dict(given))
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ConfigurationError(f"the quirk {wrong['loc'][0]} can't be {wrong['input']!r}: {wrong['msg']}") from error
