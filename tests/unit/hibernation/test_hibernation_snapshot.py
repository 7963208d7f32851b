"""The bytes that are stored of a hibernated route."""

import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.exceptions import SnapshotError
from gatesocket.hibernation import snapshot as module
from gatesocket.hibernation.snapshot import Frame, Snapshot

FRAME = Frame("app:chat#3f2a", 1, direct=False, locals={"seen": ["hi"], "ws": {"$": "socket", "v": [1, 1]}})

texts = st.text(st.characters(), max_size=5)  # lone surrogates included, as JSON may hold them
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5,
)
cells = (
    st.none()
    | st.text(min_size=1, max_size=5)
    | st.tuples(st.lists(st.integers(), max_size=2), st.lists(json_values, max_size=2))
)
frames = st.builds(Frame, texts, st.integers(), st.booleans(), st.dictionaries(texts, json_values, max_size=3), cells)
snapshots = st.builds(
    Snapshot,
    st.lists(frames, min_size=1, max_size=3).map(tuple),
    st.dictionaries(texts, json_values, max_size=2),
    st.lists(st.tuples(st.text(), json_values), max_size=2),
    json_values,
    st.dictionaries(st.tuples(st.integers(0), st.integers(0)), st.none() | st.integers(0), max_size=2),
    st.none() | st.integers(0),
)


def packed(content: Any, kind: bytes = b"j") -> bytes:
    """A snapshot of any JSON, with the checksum that belongs to it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"G1" + kind + zlib.crc32(kind + body).to_bytes(4, "big") + body


def content(**changes: Any) -> dict[str, Any]:
    return {"py": module._PYTHON, "lib": "1", "f": [["app:chat#3f2a", 1, 0, {}]], **changes}


@given(snapshot=snapshots)
def test_a_snapshot_is_read_as_it_was_written(snapshot: Snapshot) -> None:
    assert Snapshot.load(snapshot.dump()) == snapshot


def test_what_there_is_nothing_to_say_of_takes_no_bytes() -> None:
    data = Snapshot((Frame("a:f#1", 2, direct=True, locals={}),)).dump()

    assert set(json.loads(data[7:])) == {"py", "lib", "f"}
    assert json.loads(data[7:])["f"] == [["a:f#1", 2, 1, {}]]


def test_a_snapshot_is_compressed_if_that_makes_it_smaller() -> None:
    small = Snapshot((FRAME,)).dump()
    large = Snapshot((FRAME,), state={"log": "the same again " * 100}).dump()

    assert small[2:3] == b"j"
    assert large[2:3] == b"z"
    assert len(large) < 300


@pytest.mark.parametrize("depth", [195, 196, 197, 200, 201, 249, 250, 251, 255, 256, 400])
@pytest.mark.parametrize("around", [lambda inner: [inner], lambda inner: {"inner": inner}], ids=["lists", "dicts"])
def test_nesting_may_be_deeper_than_the_fast_reader_and_writer_go(depth: int, around: Callable[[Any], Any]) -> None:
    """pydantic_core reads 200 levels and writes 254, four of which are the snapshot's own; Python's own go on."""
    value: Any = 7
    for _ in range(depth):
        value = around(value)
    snapshot = Snapshot((Frame("a:f#1", 1, direct=False, locals={"value": value}),))

    assert Snapshot.load(snapshot.dump()) == snapshot


def test_a_lone_surrogate_is_kept() -> None:
    snapshot = Snapshot((Frame("a:f#1", 1, direct=False, locals={"half": "\ud83d"}),))

    assert Snapshot.load(snapshot.dump()) == snapshot


def test_what_the_library_does_not_know_is_ignored() -> None:
    assert Snapshot.load(packed(content(deadline=5))).frames[0].point == 1


def test_a_snapshot_is_due_when_its_sleep_ends_or_the_first_of_its_blocks_runs_out() -> None:
    assert Snapshot((FRAME,)).due is None
    assert Snapshot((FRAME,), until=5).due == 5
    assert Snapshot((FRAME,), until=5, deadlines={(0, 1): 4, (0, 2): None, (1, 1): 9}).due == 4


def test_another_python_can_not_wake_it() -> None:
    with pytest.raises(SnapshotError, match=r"hibernated under Python 2\.7 and can't wake under 3\.\d+"):
        Snapshot.load(packed(content(py="2.7")))


# Damage.


@pytest.mark.parametrize("data", [b"", b"G", b"G2j", b"\x80\x04K\x01.", b"null"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError, match="damaged, or was written by another version of Gatesocket"):
        Snapshot.load(data)


@given(data=st.data(), snapshot=snapshots)
def test_a_snapshot_that_is_cut_off_anywhere_is_refused(data: st.DataObject, snapshot: Snapshot) -> None:
    whole = snapshot.dump()
    length = data.draw(st.integers(0, len(whole) - 1))

    with pytest.raises(SnapshotError, match="damaged"):
        Snapshot.load(whole[:length])


@given(data=st.data(), snapshot=snapshots)
def test_a_snapshot_with_a_flipped_bit_is_refused(data: st.DataObject, snapshot: Snapshot) -> None:
    whole = bytearray(snapshot.dump())
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8

    with pytest.raises(SnapshotError, match="damaged"):
        Snapshot.load(bytes(whole))


@given(data=st.binary())
def test_any_bytes_at_all_are_refused(data: bytes) -> None:
    for planted in (data, packed(data), packed(data, b"z"), packed(zlib.compress(data), b"z")):
        with pytest.raises(SnapshotError):
            Snapshot.load(planted)


@given(planted=json_values)
def test_any_json_at_all_with_the_right_checksum_is_refused(planted: Any) -> None:
    with pytest.raises(SnapshotError):
        Snapshot.load(packed(json.dumps(planted).encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize(
    ("planted", "why"),
    [
        (content(t=[[0, 1, "soon"]]), "'soon' is no time"),
        (content(t=[[0, 1]]), "not enough values"),
        (content(u=True), "True is no time"),
        (content(f=[]), "nothing is in it"),
        (content(s=[]), "nothing is in it"),
        (content(f=[[1, 1, 0, {}]]), "1 is no frame"),
        (content(f=[["a", "1", 0, {}]]), "'a' is no frame"),
        (content(f=[["a", True, 0, {}]]), "'a' is no frame"),
        (content(f=[["a", 1, 0, []]]), "'a' is no frame"),
        (content(f=[["a", 1, 0, {}, [1]]]), "not enough values"),
        (content(f=[["a", 1]]), "missing 2 required"),
        (content(f=5), "not iterable"),
        (content(c=[["name"]]), "not enough values"),
        (b'{"py": "3.', "Unterminated"),
        (b"[" * 100_000, "recursion"),
        (b'"\xff"', "utf-8"),
    ],
)
def test_json_of_another_shape_is_refused(planted: Any, why: str) -> None:
    with pytest.raises(SnapshotError, match=f"the snapshot is damaged: .*{why}"):
        Snapshot.load(packed(planted))


def test_a_snapshot_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1000)
    bomb = zlib.compress(json.dumps(content(x="0" * 2000)).encode())

    with pytest.raises(SnapshotError, match="cut off, or longer than 1000 bytes"):
        Snapshot.load(packed(bomb, b"z"))


def test_a_compressed_snapshot_that_ends_early_is_refused() -> None:
    with pytest.raises(SnapshotError, match="cut off"):
        Snapshot.load(packed(zlib.compress(b"{}")[:-4], b"z"))
