"""Records as DynamoDB items, and back."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.exceptions import UnreadableRecord
from gatesocket.registry.base import Entry, EntryKind, Lease, Record
from gatesocket.registry.items import (
    SCHEMA,
    decode,
    decode_entry,
    encode,
    encode_entry,
    group_key,
    group_membership,
    key_of,
    record_key,
    user_key,
    user_membership,
)

RECORD = Record("TXzPWdnOjoECGjA=", b"scope", 1, 2, snapshot=b"waiting", user="ann")

# All that UTF-8 can carry: control characters and line ends, but no surrogates.
texts = st.text(st.characters(codec="utf-8"))
names = st.text(st.characters(codec="utf-8"), min_size=1)
numbers = st.integers(min_value=0, max_value=1 << 53)
kinds = st.sampled_from(get_args(EntryKind))
entries = st.builds(Entry, kind=kinds, id=texts, body=texts, code=st.integers(min_value=0, max_value=4999))
records = st.builds(
    Record,
    connection_id=names,
    scope=st.binary(),
    connected_at=numbers,
    expires_at=numbers,
    snapshot=st.none() | st.binary(),
    due=st.none() | numbers,
    asleep=st.booleans(),
    inbox=st.lists(entries, max_size=3).map(tuple),
    outbox=st.lists(texts, max_size=3).map(tuple),
    live=st.booleans(),
    lease=st.none() | st.builds(Lease, holder=texts, expires_at=numbers),
    attempts=numbers,
    version=numbers,
    groups=st.frozensets(names, max_size=3),
    user=st.none() | names,
)


@given(records)
def test_a_record_is_decoded_as_it_was_encoded(record: Record) -> None:
    assert decode(encode(record)) == record


@given(entries)
def test_an_entry_is_decoded_as_it_was_encoded(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


def test_a_body_is_not_made_longer_by_what_it_holds() -> None:
    """The JSON of control characters would be six times as long."""
    body = '\x01"\\\n' * 1000
    assert len(encode_entry(Entry("message", "m1", body))) < len(body) + 32


@given(names, names, st.integers(min_value=1, max_value=20))
def test_two_groups_never_share_a_partition(one: str, other: str, shards: int) -> None:
    keys = [{group_key(group, shard) for shard in range(shards)} for group in (one, other)]
    assert (one == other) is not keys[0].isdisjoint(keys[1])
    assert all(key.startswith("G#") for key in keys[0])
    assert user_key(one).startswith("U#")


@given(names, names, st.integers(min_value=1, max_value=20))
def test_a_membership_is_found_again_by_its_key(connection_id: str, group: str, shards: int) -> None:
    item = group_membership(connection_id, group, "ann", 7, shards=shards)
    assert item["pk"]["S"] in {group_key(group, shard) for shard in range(shards)}
    again = group_membership(connection_id, group, None, 0, shards=shards)
    assert key_of(item) == key_of(again) == {"pk": item["pk"], "sk": {"S": connection_id}}


def test_memberships_have_a_time_to_live_of_their_own() -> None:
    assert group_membership("c", "lobby", "ann", 7, shards=1) == {
        "pk": {"S": "G#lobby#0"},
        "sk": {"S": "c"},
        "expires_at": {"N": "7"},
        "user": {"S": "ann"},
    }
    assert user_membership("c", "ann", 7) == {"pk": {"S": "U#ann"}, "sk": {"S": "c"}, "expires_at": {"N": "7"}}


def test_what_is_none_has_no_attribute() -> None:
    item = encode(Record("c", b"", 1, 2))
    assert item.keys().isdisjoint({"snapshot", "lease_holder", "lease_expires_at", "user"})
    assert record_key("c").items() <= item.items()


def test_a_record_of_another_schema_is_refused() -> None:
    item = encode(RECORD) | {"schema": {"N": str(SCHEMA + 1)}}
    with pytest.raises(UnreadableRecord, match=f"has schema {SCHEMA + 1}.*reads schema {SCHEMA}.*Deploy one version"):
        decode(item)


@pytest.mark.parametrize("missing", sorted(encode(RECORD).keys() - {"pk", "sk", "snapshot", "user", "inbox_bytes"}))
def test_a_record_without_an_attribute_is_refused(missing: str) -> None:
    item = encode(RECORD)
    del item[missing]
    with pytest.raises(UnreadableRecord, match="wasn't written by Gatesocket, or was damaged"):
        decode(item)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("version", {"N": "one"}),
        ("scope", {"S": "text"}),
        ("groups", {"L": []}),
        ("inbox", {"L": [{"S": "hello"}]}),
        ("inbox", {"L": [{"S": '["shutdown","id",0]\n'}]}),
        ("inbox", {"L": [{"S": '["message","id","0"]\n'}]}),
        ("inbox", {"L": [{"S": '{"kind":"message"}\n'}]}),
        ("inbox", {"L": [{"S": "[" * 100_000}]}),
        ("inbox", {"L": [{"N": "1"}]}),
        ("lease_holder", {"S": "a holder without an expiry"}),
    ],
)
def test_a_planted_value_is_refused(attribute: str, value: Any) -> None:
    with pytest.raises(UnreadableRecord, match="wasn't written by Gatesocket, or was damaged"):
        decode(encode(RECORD) | {attribute: value})


def test_the_head_of_an_entry_is_json() -> None:
    head, body = encode_entry(Entry("disconnect", "r1", "Going away", 1001)).split("\n")
    assert json.loads(head) == ["disconnect", "r1", 1001]
    assert body == "Going away"
