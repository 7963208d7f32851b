"""Where a token is looked for in a handshake, and that a stored scope has forgotten it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from gatesocket.places import InCookie, InHeader, InQuery, InSubprotocol, Place
from gatesocket.scope import Scope, dump, load


def handshake(query: str = "", headers: dict[str, str] | None = None, subprotocols: tuple[str, ...] = ()) -> Scope:
    """The scope of a handshake."""
    offered = {"sec-websocket-protocol": ", ".join(subprotocols)} if subprotocols else {}
    return {
        "type": "websocket",
        "path": "/ws",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in ((headers or {}) | offered).items()],
        "subprotocols": list(subprotocols),
        "scheme": "wss",
        "client": ("192.0.2.1", 0),
        "server": ("testserver", 443),
    }


@pytest.mark.parametrize(
    ("place", "scope", "token"),
    [
        (InQuery(), handshake("lang=en&token=abc"), "abc"),
        (InQuery("ticket"), handshake("ticket="), ""),
        (InQuery(), handshake("ticket=abc"), None),
        (InHeader(), handshake(headers={"authorization": "bearer abc"}), "abc"),
        (InHeader(), handshake(headers={"authorization": ""}), ""),
        (InHeader(), handshake(headers={"authorization": "Basic abc"}), None),
        (InHeader(), handshake(), None),
        (InHeader("x-token", scheme=""), handshake(headers={"x-token": "abc"}), "abc"),
        (InCookie("session"), handshake(headers={"cookie": "a=b; session=abc"}), "abc"),
        (InCookie("session"), handshake(headers={"cookie": "a=b"}), None),
        (InSubprotocol(), handshake(subprotocols=("chat", "bearer", "abc")), "abc"),
        (InSubprotocol(), handshake(subprotocols=("chat", "bearer")), ""),
        (InSubprotocol(), handshake(subprotocols=("chat",)), None),
    ],
)
def test_a_token_is_found_in_its_place(place: Place, scope: Scope, token: str | None) -> None:
    assert place.find(HTTPConnection(scope)) == token


@pytest.mark.parametrize(
    ("place", "before", "after"),
    [
        (InQuery(), handshake("a=1&token=abc&empty=&token=def"), handshake("a=1&token=&empty=&token=")),
        (
            InHeader(),
            handshake(headers={"authorization": "Bearer abc", "host": "x"}),
            handshake(headers={"authorization": "", "host": "x"}),
        ),
        (
            InCookie("session"),
            handshake(headers={"cookie": "a=b=c; session=abc; flag"}),
            handshake(headers={"cookie": "a=b=c; session=; flag="}),
        ),
        (InCookie("session"), handshake(headers={"host": "x"}), handshake(headers={"host": "x"})),
        (
            InSubprotocol(),
            handshake(subprotocols=("bearer", "abc", "chat")),
            handshake(subprotocols=("bearer", "chat")),
        ),
    ],
)
def test_only_the_token_is_taken_out(place: Place, before: Scope, after: Scope) -> None:
    place.blank(before)

    assert before == after


@given(st.from_regex(r"s3cr3t[a-z0-9]{6,60}", fullmatch=True))
def test_no_part_of_a_stored_scope_keeps_the_token(token: str) -> None:
    scope = handshake(
        f"token={token}", {"authorization": f"Bearer {token}", "cookie": f"a=b; session={token}"}, ("bearer", token)
    )
    for place in (InQuery(), InHeader(), InCookie("session"), InSubprotocol()):
        assert place.find(HTTPConnection(scope)) == token
        place.blank(scope)
        assert not place.find(HTTPConnection(scope))

    assert token not in repr(load(dump(scope)))
