"""What a client says of how far it has come, and how a message tells it: texts, without any I/O.

A cursor is ``{tag}.{run}.{index}.{at}``: whose history it is of, the text's place in it (`Place`), and a time, in
seconds since the epoch, at which nothing after that place had been kept. A client that is in several groups has one of
each, joined by commas. It is the client's word, and believed as far as the history bears it out: whose histories are
read is for the route to say, so that a made-up cursor shows nobody anything.
"""

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from gatesocket.gateway.base import wire_bytes
from gatesocket.limits import URL_CHARACTERS
from gatesocket.registry.base import Kept, Place

__all__ = ["Cursor", "checked", "cursor_of", "marker", "parse", "read", "tag_of", "with_cursor"]

TAG_BYTES: Final = 6
"""Bytes of a group's tag: it tells the groups of one client apart, and hides nothing."""

PATTERN: Final = re.compile(r"[\w-]{8}\.\d{1,12}\.\d{1,12}\.\d{1,12}", re.ASCII)

LONGEST: Final = ".".join(("x" * 8, *["9" * 12] * 3))

WHITESPACE: Final = " \t\r\n"
"""What JSON may have around a value (RFC 8259, section 2)."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a client has come in one group's history."""

    tag: str
    """Whose history."""
    place: Place
    """Nothing up to here is missing."""
    at: int
    """Whatever stands after *place* was kept at this time or later; seconds since the epoch."""

    def __str__(self) -> str:
        return f"{self.tag}.{self.place.run}.{self.place.index}.{self.at}"


def tag_of(group: str) -> str:
    """Return what stands for a group in its cursors: eight letters, digits, ``-`` and ``_``."""
    return urlsafe_b64encode(blake2b(group.encode(), digest_size=TAG_BYTES).digest()).decode("ascii")


def cursor_of(group: str, kept: Kept) -> Cursor:
    """Return the cursor of a client that has come to *kept*."""
    return Cursor(tag_of(group), kept.place, kept.at)


def parse(text: str) -> Cursor | None:
    """Return the cursor that *text* is; None if it is none."""
    if not PATTERN.fullmatch(text):
        return None
    tag, *numbers = text.split(".")
    run, index, at = map(int, numbers)
    return Cursor(tag, Place(run, index), at)


def read(text: str, groups: Iterable[str]) -> dict[str, Cursor]:
    """Return the cursors of *groups* that a client's *text* has, by group; what else is in it is left out."""
    if len(text) > URL_CHARACTERS:
        return {}
    found = {cursor.tag: cursor for cursor in map(parse, text.split(",")) if cursor is not None}
    return {group: found[tag] for group in groups if (tag := tag_of(group)) in found}


def checked(text: str) -> str:
    """Return *text* as it is kept, if a cursor can be added to it.

    Raises:
        MessageTooLarge: with a cursor it is over 128 KB.
        ValueError: it is no JSON object, or has a cursor of its own.
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(  # noqa: TRY004  # of whatever type the message was, the text of it is what is wrong
            "expected a JSON object, such as a dict or an envelope, to which a history can add a cursor, but got "
            f"another text of {len(text)} characters. Send an object, or leave keep=True out"
        )
    if "cursor" in value:
        raise ValueError(
            "expected a JSON object without a member 'cursor', which a history adds. Call it otherwise, or leave "
            "keep=True out"
        )
    kept = text.strip(WHITESPACE)
    wire_bytes(with_cursor(kept, LONGEST))
    return kept


def with_cursor(text: str, cursor: Cursor | str) -> str:
    """Return the JSON object *text*, which `checked` has returned, with a cursor as its last member."""
    comma = "," if text[1:-1].strip(WHITESPACE) else ""
    return f'{text[:-1]}{comma}"cursor":"{cursor}"}}'


def marker(cursor: Cursor, *, complete: bool) -> str:
    """Return the message that tells a client from where its group's history goes on, and whether that is all."""
    return json.dumps({"type": "history", "cursor": str(cursor), "complete": complete}, separators=(",", ":"))
