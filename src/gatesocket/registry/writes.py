"""The conditional writes to a record: the table of `gatesocket.session` in DynamoDB's language.

Pure functions from what is wanted to one UpdateItem each.

A lease in time, as DynamoDB's conditions see it::

    now ──►        lease_expires_at
    ───┬───────────────────┬──────────────────────────►
       │ HELD: append only │ FREE: anybody may take it
       take                (the holder's Lambda timed out before)

`take` writes if the record is `FREE`, and `append` if it is `HELD`, so that exactly one of the two fits a record at any
one *now*. A record that passes from one to the other between the two calls is why the caller tries again.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Final

from gatesocket.registry.base import Changes, Entry, Lease, Record
from gatesocket.registry.bounds import Bounds, entry_bytes, inbox_bytes
from gatesocket.registry.items import PRESENT, SCHEMA, Item, encode_entry, encode_sent, number
from gatesocket.values import frozen

__all__ = ["Write", "append", "delete", "hold_back", "join", "leave", "put", "release", "stop_waiting", "take"]

# The clauses of the conditions. Each is named for what it says of the record, and a record that doesn't exist fails
# every one of them but the first half of FREE, which never stands without CURRENT: a comparison with an absent
# attribute is false.

CURRENT: Final = "#schema = :schema AND #expires_at > :now_seconds"
"""The record exists in the form of this release, and isn't past its time to live; DynamoDB may be late to act on it."""

FREE: Final = "(attribute_not_exists(#lease_holder) OR #lease_expires_at <= :now)"
"""Nobody has the lease: it was given up, or its holder has died."""

HELD: Final = "#lease_expires_at > :now"
"""Somebody has the lease, and will see the inbox before it can give the lease up."""

MINE: Final = "#lease_holder = :holder"
"""The lease is this invocation's own. An expired one is, too, as long as nobody else has taken it."""

ALL_SEEN: Final = "size(#inbox) = :seen"
"""Nothing has come since the holder looked: an inbox only grows until its holder gives the lease up."""

ROOM: Final = "size(#inbox) < :inbox_entries AND #inbox_bytes <= :inbox_bytes_left"
"""Another entry fits. Bytes are counted beside the inbox: DynamoDB's ``size`` of a list is its length."""

NEW: Final = "NOT contains(#inbox, :entry)"
"""The entry doesn't wait already, put there by this very call, whose answer was lost and which botocore repeats."""

NOT_LIVE: Final = "#live = :false"
"""The socket isn't known to be open."""

APPEND: Final = "#inbox = list_append(#inbox, :entries), #inbox_bytes = #inbox_bytes + :entry_bytes"


@frozen
class Write:
    """One UpdateItem: what it does, and what must hold for it."""

    update: str
    condition: str
    values: Item = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    """Groups' names by their placeholders; every other placeholder is ``#`` and the attribute's own name."""

    @property
    def names(self) -> Mapping[str, str]:
        """Every placeholder that is used, and none that isn't, which DynamoDB would refuse."""
        names = _names(f"{self.update} {self.condition}")
        return {**names, **self.groups} if self.groups else names


@lru_cache(maxsize=64)  # a process makes the same few writes over and over; the others join or leave many groups
def _names(expressions: str) -> Mapping[str, str]:
    return {placeholder: placeholder[1:] for placeholder in re.findall(r"#\w+", expressions)}


def take(entry: Entry, lease: Lease, *, now: int, bounds: Bounds) -> Write:
    """Append *entry* and take the lease, if nobody has it."""
    return _into_inbox(
        "#lease_holder = :holder, #lease_expires_at = :lease_expires_at, "
        "#attempts = #attempts + :one, #version = #version + :one",
        [CURRENT, FREE],
        {
            ":now": number(now),
            ":holder": {"S": lease.holder},
            ":lease_expires_at": number(lease.expires_at),
            ":one": number(1),
        },
        entry=entry,
        taking=True,
        now=now,
        bounds=bounds,
    )


def append(entry: Entry, *, now: int, bounds: Bounds) -> Write:
    """Append *entry* for the holder of the lease, if somebody has it."""
    values: Item = {":now": number(now), ":entry": {"S": encode_entry(entry)}}
    return _into_inbox("", [CURRENT, HELD, NEW], values, entry=entry, now=now, bounds=bounds)


def hold_back(entry: Entry, *, now: int, bounds: Bounds) -> Write:
    """Append *entry* for whoever finds the socket live, if it isn't yet."""
    values: Item = {":false": {"BOOL": False}, ":entry": {"S": encode_entry(entry)}}
    return _into_inbox("", [CURRENT, NOT_LIVE, NEW], values, entry=entry, now=now, bounds=bounds)


def put() -> Write:
    """Put a record where none is; it is a PutItem, so that there is nothing to update."""
    return Write("", "attribute_not_exists(#pk)")


def _into_inbox(
    also: str, clauses: list[str], values: Item, *, entry: Entry, now: int, bounds: Bounds, taking: bool = False
) -> Write:
    size = entry_bytes(entry)
    values = values | {
        ":schema": number(SCHEMA),
        ":now_seconds": number(now // 1000),
        ":entries": {"L": [{"S": encode_entry(entry)}]},
        ":entry_bytes": number(size),
    }
    if bounds.limited(entry, taking=taking):
        clauses = [*clauses, ROOM]
        values[":inbox_entries"] = number(bounds.inbox_entries)
        values[":inbox_bytes_left"] = number(bounds.inbox_bytes - size)
    update = f"SET {APPEND}, {also}" if also else f"SET {APPEND}"
    return Write(update, " AND ".join(clauses), values)


def release(record: Record, lease: Lease, changes: Changes, *, seen: int, now: int) -> Write:
    """Write *changes* and give *lease* up, if it is still there and nothing more has come."""
    assignments = [
        "#inbox = :rest",
        "#inbox_bytes = :rest_bytes",
        "#outbox = :outbox",
        "#live = :live",
        "#attempts = :zero",
        "#version = #version + :one",
    ]
    removals = ["#lease_holder", "#lease_expires_at"]
    values: Item = {
        ":schema": number(SCHEMA),
        ":now_seconds": number(now // 1000),
        ":holder": {"S": lease.holder},
        ":seen": number(seen),
        ":rest": {"L": [{"S": encode_entry(entry)} for entry in changes.inbox]},
        ":rest_bytes": number(inbox_bytes(changes.inbox)),
        ":outbox": {"L": [encode_sent(sent) for sent in changes.outbox]},
        ":live": {"BOOL": changes.live},
        ":zero": number(0),
        ":one": number(1),
    }
    if changes.snapshot is None:
        removals.append("#snapshot")
    else:
        assignments.append("#snapshot = :snapshot")
        values[":snapshot"] = {"B": changes.snapshot}
    if changes.due is None:
        removals.append("#due")
    else:
        assignments.append("#due = :due")
        values[":due"] = number(changes.due)
    if changes.asleep:
        assignments.append("#asleep = :present")
        values[":present"] = PRESENT
    else:
        removals.append("#asleep")
    groups: dict[str, str] = {}
    # Name by name, and not the set that *record* had: another process may have made the connection join a group since.
    for index, group in enumerate(sorted(changes.joined)):
        groups[f"#joined_{index}"] = group
        assignments.append(f"#groups.#joined_{index} = :present")
        values[":present"] = PRESENT
    for index, group in enumerate(sorted(changes.left)):
        groups[f"#left_{index}"] = group
        removals.append(f"#groups.#left_{index}")
    if changes.user is not None:
        assignments.append("#user = :user")
        values[":user"] = {"S": changes.user}
    elif record.user is not None:
        removals.append("#user")
    update = f"SET {', '.join(assignments)} REMOVE {', '.join(removals)}"
    return Write(update, f"{CURRENT} AND {MINE} AND {ALL_SEEN}", values, groups)


def join(group: str) -> Write:
    """Name *group* in the record, if there is one."""
    return Write("SET #groups.#group = :present", "attribute_exists(#pk)", {":present": PRESENT}, {"#group": group})


def leave(group: str) -> Write:
    """Name *group* no more, if there is a record that does."""
    return Write("REMOVE #groups.#group", "attribute_exists(#groups.#group)", groups={"#group": group})


def stop_waiting() -> Write:
    """Let a membership say no more that its connection waits, if it does."""
    return Write("REMOVE #waits", "attribute_exists(#waits)")


def delete(holder: str) -> Write:
    """Delete the record, if *holder* has its lease; there is nothing to update then."""
    return Write("", MINE, {":holder": {"S": holder}})
