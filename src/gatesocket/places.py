"""Where a handshake carries a token: how it is found there, and how the stored scope forgets it.

A browser can't set headers of a WebSocket, so that its token comes in the query, in a cookie, or among the subprotocols
that it offers.
"""

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from starlette.requests import HTTPConnection

from gatesocket.scope import Scope

__all__ = ["InCookie", "InHeader", "InQuery", "InSubprotocol", "Place"]


class Place(Protocol):
    """A part of a handshake, or of another request, that may hold a token."""

    def find(self, connection: HTTPConnection) -> str | None:
        """Return the token; empty where one was, and None if the client hasn't used this place."""
        ...

    def blank(self, scope: Scope) -> None:
        """Take the token out of *scope*, which is about to be stored; its name stays, for routes that require it."""
        ...


@dataclass(frozen=True, slots=True)
class InQuery:
    """``?token=…``. Addresses end up in logs, uvicorn's among them: let it be one that is soon worth nothing."""

    name: str = "token"

    def find(self, connection: HTTPConnection) -> str | None:
        """See `Place.find`."""
        return connection.query_params.get(self.name)

    def blank(self, scope: Scope) -> None:
        """See `Place.blank`."""
        query = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True)
        scope["query_string"] = urlencode(
            [(name, "" if name == self.name else value) for name, value in query]
        ).encode()


@dataclass(frozen=True, slots=True)
class InHeader:
    """``Authorization: Bearer …``, or another header.

    Args:
        name: the header's name.
        scheme: the word before the token (RFC 9110, section 11.4), in any case; empty if the token is all there is.
    """

    name: str = "authorization"
    scheme: str = "Bearer"

    def find(self, connection: HTTPConnection) -> str | None:
        """See `Place.find`."""
        value = connection.headers.get(self.name)
        if value is None or not self.scheme:
            return value
        scheme, _, token = value.partition(" ")
        if scheme.lower() == self.scheme.lower():
            return token.strip()
        return None if value else ""

    def blank(self, scope: Scope) -> None:
        """See `Place.blank`."""
        _set_header(scope, self.name, "")


@dataclass(frozen=True, slots=True)
class InCookie:
    """A cookie. Browsers send it with whatever page opens the socket: `AllowedOrigins` belongs beside it."""

    name: str

    def find(self, connection: HTTPConnection) -> str | None:
        """See `Place.find`."""
        return connection.cookies.get(self.name)

    def blank(self, scope: Scope) -> None:
        """See `Place.blank`."""
        for name, value in scope["headers"]:
            if name == b"cookie":
                pairs = (pair.partition("=") for pair in value.decode("latin-1").split(";"))
                kept = [f"{key.strip()}={'' if key.strip() == self.name else item}" for key, _, item in pairs]
                _set_header(scope, "cookie", "; ".join(kept))


@dataclass(frozen=True, slots=True)
class InSubprotocol:
    """``new WebSocket(url, ["bearer", token])``: the subprotocol that is offered after *scheme*.

    The answer has to choose one of those offered, or the browser gives up (RFC 6455, section 4.1), and it must not be
    the token: ``accept(subprotocol="bearer")``. A token has to consist of letters, digits and ``!#$%&'*+-.^_`|~``, as
    JWTs and `gatesocket.tickets` do.
    """

    scheme: str = "bearer"

    def find(self, connection: HTTPConnection) -> str | None:
        """See `Place.find`."""
        offered: list[str] = connection.scope.get("subprotocols", [])
        if self.scheme not in offered:
            return None
        return next(iter(offered[offered.index(self.scheme) + 1 :]), "")

    def blank(self, scope: Scope) -> None:
        """See `Place.blank`."""
        offered = scope["subprotocols"]
        at = offered.index(self.scheme) + 1
        scope["subprotocols"] = offered[:at] + offered[at + 1 :]
        _set_header(scope, "sec-websocket-protocol", ", ".join(scope["subprotocols"]))


def _set_header(scope: Scope, name: str, value: str) -> None:
    wanted = name.lower().encode("latin-1")
    scope["headers"] = [
        (each, value.encode("latin-1") if each == wanted else found) for each, found in scope["headers"]
    ]
