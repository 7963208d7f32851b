"""How much one record may hold, so that it always fits into one DynamoDB item."""

from collections.abc import Iterable
from typing import Final

from gatesocket import limits
from gatesocket.exceptions import InboxFull, RecordTooLarge
from gatesocket.registry.base import Entry, Record
from gatesocket.values import frozen

__all__ = ["NAME_BYTES", "Bounds", "check_names", "entry_bytes", "inbox_bytes", "kept_bytes"]

NAME_BYTES: Final = 1024
"""Bytes of a group's or a user's name at the most; with what is put around it, under a partition key's 2048."""

ENTRY_OVERHEAD: Final = 32
"""Bytes around an entry's id and body, rounded up."""

RESERVE: Final = 8 * 1024
"""Bytes of an item that no bound counts: attribute names, numbers, a disconnect, groups joined from elsewhere."""


@frozen
class Bounds:
    """What waits in an inbox at the most; the rest of the item is for what the connection keeps.

    A disconnect is let into a full inbox: it is small, it comes once, and it ends the route. So is a wake that takes
    the lease: it is small, and the inbox is emptied next, or its connection given up after some more that died of it.

    Raises:
        ValueError: a bound isn't positive, or leaves nothing of the item for the rest.
    """

    inbox_entries: int = 1000
    inbox_bytes: int = 192 * 1024
    """Half as much again as the largest message, so that one can wait while another is worked on."""

    def __post_init__(self) -> None:
        most = limits.ITEM_BYTES - RESERVE - 1
        if self.inbox_entries < 1 or not 1 <= self.inbox_bytes <= most:
            raise ValueError(
                f"an inbox holds at least 1 entry and between 1 and {most} bytes, but the bounds are "
                f"{self.inbox_entries} entries and {self.inbox_bytes} bytes"
            )

    @property
    def kept_bytes(self) -> int:
        """Bytes that a record has for all but its inbox."""
        return limits.ITEM_BYTES - RESERVE - self.inbox_bytes

    def limited(self, entry: Entry, *, taking: bool) -> bool:
        """Whether a full inbox refuses *entry*, which takes the lease or doesn't."""
        return entry.kind != "disconnect" and not (entry.kind == "wake" and taking)

    def check_room(self, record: Record, entry: Entry, *, taking: bool) -> None:
        """Make sure that *entry* fits into the inbox.

        Raises:
            InboxFull: it doesn't.
        """
        size = inbox_bytes(record.inbox)
        full = len(record.inbox) >= self.inbox_entries or size + entry_bytes(entry) > self.inbox_bytes
        if full and self.limited(entry, taking=taking):
            raise InboxFull(record.connection_id, len(record.inbox), size)

    def check_kept(self, record: Record) -> None:
        """Make sure that what *record* keeps leaves room for a full inbox.

        Raises:
            RecordTooLarge: they are more than a record has room for.
        """
        size = kept_bytes(record)
        if size > self.kept_bytes:
            raise RecordTooLarge(record.connection_id, size, self.kept_bytes)


def entry_bytes(entry: Entry) -> int:
    """Bytes that *entry* takes in an inbox."""
    return len(entry.id.encode()) + len(entry.body.encode()) + ENTRY_OVERHEAD


def inbox_bytes(inbox: Iterable[Entry]) -> int:
    """Bytes that all of *inbox* takes."""
    return sum(entry_bytes(entry) for entry in inbox)


def kept_bytes(record: Record) -> int:
    """Bytes of scope, snapshot, outbox, groups and user."""
    texts = [*record.groups, record.user or ""]
    for each in record.outbox:
        texts += [each] if isinstance(each, str) else [each.after, *each.groups]
    return len(record.scope) + len(record.snapshot or b"") + sum(len(text.encode()) for text in texts)


def check_names(groups: Iterable[str], user: str | None) -> None:
    """Make sure that *groups* and *user* can be names: any text can, from 1 to `NAME_BYTES` bytes of UTF-8.

    Raises:
        TypeError: one isn't a text.
        ValueError: one is empty, too long, or no text that UTF-8 can carry.
    """
    for group in groups:
        _check_name("group", group)
    if user is not None:
        _check_name("user", user)


def _check_name(what: str, name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"expected a {what}'s name, but got {type(name).__name__}")
    # UnicodeEncodeError is a ValueError, and says which character it is.
    size = len(name.encode())
    if not 1 <= size <= NAME_BYTES:
        raise ValueError(f"a {what}'s name has 1 to {NAME_BYTES} bytes of UTF-8, but {name[:40]!r} has {size}")
