"""Records as DynamoDB items, and back: the table of design section 6, without any I/O.

::

    pk                      sk               the rest
    C#<connection id>       C                the fields of `Record`, each an attribute of its name
    G#<group>#<shard>       <connection id>  expires_at, user, waits
    U#<user>                <connection id>  expires_at, waits
    T#<hash of a ticket>    T                subject, expires_at
    H#<group>               a place, or run  `gatesocket.registry.kept`

Any text can name a group or a user, a ``#`` in it too: a shard is digits only, so that no two keys are alike.

What is read may have been written by another version, or by somebody else who can write to the table. It is data:
nothing in it is executed, and what doesn't fit is refused.
"""

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args
from zlib import crc32

from gatesocket.exceptions import UnreadableRecord
from gatesocket.registry.base import Entry, EntryKind, Lease, Member, Record, Replay
from gatesocket.registry.bounds import inbox_bytes

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Item: TypeAlias = dict[str, AttributeValueTypeDef]
else:
    # One item, or a part of one, as boto3's low-level client has it. Its types are stubs, absent at run time.
    Item = dict[str, Any]

__all__ = [
    "PRESENT",
    "SCHEMA",
    "Item",
    "belongings",
    "decode",
    "decode_entry",
    "decode_sent",
    "encode",
    "encode_entry",
    "encode_sent",
    "group_key",
    "group_membership",
    "key_of",
    "member",
    "number",
    "record_key",
    "ticket_key",
    "user_key",
    "user_membership",
]

SCHEMA: Final = 1
"""The form of the items below; one more with every change that an older Gatesocket would misread."""

KINDS: Final[dict[str, EntryKind]] = {kind: kind for kind in get_args(EntryKind)}

PRESENT: Final["AttributeValueTypeDef"] = {"NULL": True}
"""What says all by being there.

So does a group in a record: in a map and no set, so that one write can add some names and remove others.
"""


def record_key(connection_id: str) -> Item:
    """Return the key of a connection's record."""
    return {"pk": {"S": f"C#{connection_id}"}, "sk": {"S": "C"}}


def group_key(group: str, shard: int) -> str:
    """Return the partition key of one shard of a group's memberships."""
    return f"G#{group}#{shard}"


def user_key(user: str) -> str:
    """Return the partition key of a user's connections."""
    return f"U#{user}"


def ticket_key(digest: str) -> Item:
    """Return the key of what a ticket stands for; *digest* is the ticket's hash."""
    return {"pk": {"S": f"T#{digest}"}, "sk": {"S": "T"}}


def group_membership(
    connection_id: str, group: str, user: str | None, expires_at: int, *, shards: int, waits: bool = False
) -> Item:
    """Return the membership of *user*'s connection in *group*, which is spread over *shards* partitions."""
    # The same shard in every process, unlike ``hash``.
    shard = crc32(connection_id.encode()) % shards
    item = _membership(group_key(group, shard), connection_id, expires_at, waits=waits)
    if user is not None:
        item["user"] = {"S": user}
    return item


def user_membership(connection_id: str, user: str, expires_at: int, *, waits: bool = False) -> Item:
    """Return what makes a connection one of *user*'s."""
    return _membership(user_key(user), connection_id, expires_at, waits=waits)


def _membership(partition: str, connection_id: str, expires_at: int, *, waits: bool) -> Item:
    item: Item = {"pk": {"S": partition}, "sk": {"S": connection_id}, "expires_at": number(expires_at)}
    return item | {"waits": PRESENT} if waits else item


def member(item: Item, user: str | None = None) -> Member:
    """Return what the membership *item* says; of *user* if it doesn't say so itself."""
    return Member(item["sk"]["S"], item["user"]["S"] if "user" in item else user, waits="waits" in item)


def key_of(item: Item) -> Item:
    """Return the key of *item*."""
    return {"pk": item["pk"], "sk": item["sk"]}


def number(value: int) -> "AttributeValueTypeDef":
    """Return *value* as an attribute; DynamoDB's numbers travel as text."""
    return {"N": str(value)}


def encode(record: Record) -> Item:
    """Return the item of *record*, key included."""
    item = record_key(record.connection_id) | {
        "schema": number(SCHEMA),
        "scope": {"B": record.scope},
        "connected_at": number(record.connected_at),
        "expires_at": number(record.expires_at),
        "inbox": {"L": [{"S": encode_entry(entry)} for entry in record.inbox]},
        "inbox_bytes": number(inbox_bytes(record.inbox)),
        "outbox": {"L": [encode_sent(sent) for sent in record.outbox]},
        "live": {"BOOL": record.live},
        "attempts": number(record.attempts),
        "version": number(record.version),
        "groups": {"M": dict.fromkeys(sorted(record.groups), PRESENT)},
    }
    # What is None has no attribute, so that a condition can ask for its absence.
    if record.snapshot is not None:
        item["snapshot"] = {"B": record.snapshot}
    if record.due is not None:
        item["due"] = number(record.due)
    if record.asleep:
        item["asleep"] = PRESENT
    if record.lease is not None:
        item["lease_holder"] = {"S": record.lease.holder}
        item["lease_expires_at"] = number(record.lease.expires_at)
    if record.user is not None:
        item["user"] = {"S": record.user}
    return item


def decode(item: Item) -> Record:
    """Return the record that `encode` made *item* of.

    Raises:
        UnreadableRecord: it is no such item, or one of another schema.
    """
    connection_id = item["pk"]["S"].removeprefix("C#")
    try:
        if (schema := int(item["schema"]["N"])) != SCHEMA:
            raise UnreadableRecord(
                connection_id,
                f"it has schema {schema}, but this Gatesocket reads schema {SCHEMA}. Deploy one version to every "
                "function that uses the table",
            )
        return _decode(connection_id, item)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UnreadableRecord(
            connection_id, f"it wasn't written by Gatesocket, or was damaged: {type(error).__name__}: {error}"
        ) from error


def _decode(connection_id: str, item: Item) -> Record:
    lease = None
    if "lease_holder" in item:
        lease = Lease(item["lease_holder"]["S"], int(item["lease_expires_at"]["N"]))
    return Record(
        connection_id=connection_id,
        scope=item["scope"]["B"],
        connected_at=int(item["connected_at"]["N"]),
        expires_at=int(item["expires_at"]["N"]),
        snapshot=item["snapshot"]["B"] if "snapshot" in item else None,
        due=int(item["due"]["N"]) if "due" in item else None,
        asleep="asleep" in item,
        inbox=tuple(decode_entry(entry["S"]) for entry in item["inbox"]["L"]),
        outbox=tuple(decode_sent(sent) for sent in item["outbox"]["L"]),
        live=item["live"]["BOOL"],
        lease=lease,
        attempts=int(item["attempts"]["N"]),
        version=int(item["version"]["N"]),
        groups=frozenset(item["groups"]["M"]),
        user=item["user"]["S"] if "user" in item else None,
    )


def belongings(item: Item) -> tuple[frozenset[str], str | None]:
    """Return the groups and the user that a record's item names, as far as one of another schema does so as ours."""
    return frozenset(item.get("groups", {}).get("M", {})), item.get("user", {}).get("S")


def encode_sent(sent: str | Replay) -> "AttributeValueTypeDef":
    """Return what waits in an outbox as an attribute: a text as such, what is to be read as a map."""
    if isinstance(sent, str):
        return {"S": sent}
    groups: list[AttributeValueTypeDef] = [{"S": group} for group in sent.groups]
    return {"M": {"groups": {"L": groups}, "after": {"S": sent.after}, "messages": number(sent.messages)}}


def decode_sent(attribute: "AttributeValueTypeDef") -> str | Replay:
    """Return what `encode_sent` made *attribute* of.

    Raises:
        KeyError: it is no such attribute.
        ValueError: the same.
    """
    if "S" in attribute:
        return attribute["S"]
    replay = attribute["M"]
    groups = tuple(group["S"] for group in replay["groups"]["L"])
    return Replay(groups, replay["after"]["S"], int(replay["messages"]["N"]))


# Made once: `json.dumps` would make one for each entry.
_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def encode_entry(entry: Entry) -> str:
    """Return *entry* as one string: a line of JSON, then the body as it is.

    A string and no map, because DynamoDB's ``contains`` finds only scalars in a list. The body stays outside of the
    JSON, whose escapes could make it six times as long.
    """
    return _to_json([entry.kind, entry.id, entry.code]) + "\n" + entry.body


def decode_entry(text: str) -> Entry:
    """Return the entry that `encode_entry` made *text* of.

    Raises:
        ValueError: it is no such text.
    """
    head, _, body = text.partition("\n")
    fields: Any = json.loads(head)
    match fields:
        case [str(kind), str(id_), int(code)] if kind in KINDS:
            return Entry(KINDS[kind], id_, body, code)
    raise ValueError(f"expected [kind, id, code] at the head of an inbox entry, but got {head[:80]!r}")
