"""Ids of the shape that API Gateway gives to connections, requests and messages."""

import base64
import re
import secrets

__all__ = ["is_connection_id", "random_id"]

_BYTES = 11  # base64 makes 15 characters and one "=" of them, as in "TXzPWdnOjoECGjA="
_SHAPE = re.compile(r"[A-Za-z0-9_-]{15}=")


def random_id() -> str:
    """Make an id that nobody can guess: whoever knows a connection's id may post to it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).decode("ascii")


def is_connection_id(text: str) -> bool:
    """Whether *text* has a connection id's shape; others are answered with 400 (facts sheet, section 4)."""
    return _SHAPE.fullmatch(text) is not None
