"""From a handshake to a scope, and from what is stored of it back to one."""

import contextlib
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatesocket.events import Connect, Origin, parse
from gatesocket.exceptions import SnapshotError
from gatesocket.scope import Scope, build, dump, load

EVENTS = Path(__file__).parent.parent / "events"


def connect(*, headers: tuple[tuple[str, str], ...] = (), query: tuple[tuple[str, str], ...] = ()) -> Connect:
    origin = Origin("abcd1234", "prod", "abcd1234.execute-api.us-east-1.amazonaws.com")
    return Connect("TXzPWdnOjoECGjA=", "r", origin, 1_708_326_702_789, "192.0.2.1", headers, query)


def scope_of(event: Connect) -> Scope:
    return build(event, path_parameter="__path", default_path="/")


def test_a_scope_says_what_a_server_would() -> None:
    scope = scope_of(connect(headers=(("Host", "h"),), query=(("name", "Zoë & co"),)))

    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"name=Zo%C3%AB+%26+co",
        "headers": [(b"host", b"h")],
        "subprotocols": [],
        "client": ("192.0.2.1", 0),
        "server": ("abcd1234.execute-api.us-east-1.amazonaws.com", 443),
        "extensions": {"websocket.http.response": {}},
    }


def test_the_path_comes_in_a_query_parameter_that_the_app_does_not_see() -> None:
    scope = scope_of(connect(query=(("__path", "/ws/caf\u00e9 1"), ("name", "ann"))))

    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/ws/café 1",
        b"/ws/caf%C3%A9%201",
        b"name=ann",
    )


def test_a_path_without_its_slash_gets_one() -> None:
    assert scope_of(connect(query=(("__path", "ws"),)))["path"] == "/ws"


def test_without_a_path_it_is_the_default() -> None:
    assert build(connect(), path_parameter="__path", default_path="/ws")["path"] == "/ws"


def test_offered_subprotocols_are_listed_in_the_clients_order() -> None:
    headers = (("Sec-WebSocket-Protocol", "chat.v2, chat.v1"), ("sec-websocket-protocol", "json,"))

    assert scope_of(connect(headers=headers))["subprotocols"] == ["chat.v2", "chat.v1", "json"]


def test_a_gateway_without_tls_is_ws() -> None:
    assert scope_of(connect(headers=(("X-Forwarded-Proto", "http"),)))["scheme"] == "ws"


def test_a_header_that_is_not_latin_1_is_passed_on_as_its_utf_8_bytes() -> None:
    headers = scope_of(connect(headers=(("X-Name", "Łukasz"), ("X-Old", "Zoë"))))["headers"]

    assert headers == [(b"x-name", "Łukasz".encode()), (b"x-old", "Zoë".encode("latin-1"))]


def test_a_browsers_scope_takes_a_third_of_its_size() -> None:
    event = parse(json.loads((EVENTS / "connect.json").read_text()))
    assert isinstance(event, Connect)
    scope = scope_of(event)

    assert len(dump(scope)) < 340
    assert load(dump(scope)) == scope


NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1)


@given(
    st.lists(st.tuples(NAMES, st.text(st.characters(codec="latin-1")))),
    st.lists(st.tuples(st.text(), st.text(st.characters(codec="utf-8")))),
    st.text(st.characters(codec="utf-8")),
)
def test_every_scope_is_loaded_as_it_was_built(
    headers: list[tuple[str, str]], query: list[tuple[str, str]], path: str
) -> None:
    try:
        scope = scope_of(connect(headers=tuple(headers), query=(*query, ("__path", path))))
    except UnicodeEncodeError:
        return  # a lone surrogate, which no client can send

    assert load(dump(scope)) == scope


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a stored scope of version b'.x01', but got version b''"),
        (b"\x02abc", "but got version b'.x02'"),
        (b"\x01abc", "a stored scope is damaged"),
    ],
)
def test_what_is_no_scope_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(SnapshotError, match=message):
        load(data)


def test_a_stored_scope_that_lacks_a_part_is_refused() -> None:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)

    with pytest.raises(SnapshotError, match="damaged"):
        load(b"\x01" + compressor.compress(b'{"path": "/"}') + compressor.flush())


def test_a_planted_scope_can_not_fill_the_memory() -> None:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = b"\x01" + compressor.compress(b" " * 100_000_000) + compressor.flush()

    with pytest.raises(SnapshotError, match="larger than 131072 bytes"):
        load(bomb)


@given(st.binary(max_size=64), st.integers(min_value=0))
def test_no_damage_raises_anything_but_a_snapshot_error(noise: bytes, where: int) -> None:
    data = bytearray(dump(scope_of(connect(headers=(("Host", "h"),)))))
    at = where % len(data)
    data[at : at + len(noise)] = noise

    with contextlib.suppress(SnapshotError):
        load(bytes(data))
