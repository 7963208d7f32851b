"""Who is there: dependencies that check a handshake before the route begins.

::

    async def user_of(token: str) -> User | None: ...

    CurrentUser = Annotated[User, Depends(Authenticate(user_of, InHeader(), InSubprotocol()))]

    @app.websocket("/ws", dependencies=[Depends(AllowedOrigins("https://chat.example"))])
    async def chat(websocket: WebSocket, user: CurrentUser) -> None: ...

What checks a token is any function: one of your own, `gatesocket.tokens.JWTs`, or `gatesocket.tickets.Tickets.spend`.
`gatesocket.first_message.FirstMessage` takes the token from the first message instead of the handshake.

Somebody who isn't let in gets HTTP status 403 instead of a connection, in both lives; from an HTTP route, 401.

A token is never logged here, and once it is checked it is nowhere in the connection's record: the route wakes with a
scope that has forgotten it.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast, overload
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection
from starlette.status import HTTP_401_UNAUTHORIZED, HTTP_403_FORBIDDEN, WS_1008_POLICY_VIOLATION

from gatesocket.connection import SUBPROTOCOL_KEY, current_connection
from gatesocket.places import InCookie, InHeader, InQuery, InSubprotocol, Place

__all__ = [
    "AllowedOrigins",
    "Authenticate",
    "InCookie",
    "InHeader",
    "InQuery",
    "InSubprotocol",
    "Place",
    "Verify",
    "authorizer_context",
    "verified",
]

P = TypeVar("P")

Verify = Callable[[str], Awaitable[P | None]] | Callable[[str], P | None]
"""Tells who brings a token; None if nobody may. It may raise what it can't decide: the client is answered with 500."""


class Authenticate(Generic[P]):
    """A dependency that gives whoever *verify* says the token stands for.

    It serves HTTP routes as well, so that one of them can issue tickets to the same people.

    What *verify* returns has to be something that is kept while a route hibernates (docs/hibernation.md): a text, a
    dataclass of the app's, a pydantic model. The token isn't, so that it can't be asked again.

    Args:
        verify: checks a token.
        places: where to look for it, in this order; the first that the client has used counts.

    Raises:
        ValueError: no place is given.
    """

    @overload
    def __init__(self, verify: Callable[[str], Awaitable[P | None]], *places: Place) -> None: ...

    @overload
    def __init__(self, verify: Callable[[str], P | None], *places: Place) -> None: ...

    def __init__(self, verify: Verify[P], *places: Place) -> None:
        if not places:
            raise ValueError("expected where to look for a token, as in Authenticate(verify, InHeader(), InQuery())")
        self._verify = verify
        self._places = places

    async def __call__(self, connection: HTTPConnection) -> P:
        """Check the token of *connection*.

        Raises:
            WebSocketException: there is none, or it isn't valid. It closes with 1008, which before the accept is a 403.
            HTTPException: the same, with 401, on an HTTP route.
            ConfigurationError: the record of the connection is written already, with the token in it.
        """
        for place in self._places:
            token = place.find(connection)
            if token is None:
                continue
            _forget(place)
            person = await verified(self._verify, token) if token else None
            if person is None:
                raise _refusal(connection, "invalid token")
            if isinstance(place, InSubprotocol):
                connection.scope[SUBPROTOCOL_KEY] = place.scheme
            return person
        raise _refusal(connection, "no token")


async def verified(verify: Verify[P], token: str) -> P | None:
    """Ask *verify*, which may be a coroutine function or not."""
    answer = verify(token)
    return cast("P | None", await answer if inspect.isawaitable(answer) else answer)


def _refusal(
    connection: HTTPConnection, reason: str, *, status: int = HTTP_401_UNAUTHORIZED
) -> WebSocketException | HTTPException:
    """What turns a client away: a close with 1008 (RFC 6455, section 7.4.1), or the status of an HTTP route."""
    if connection.scope["type"] == "websocket":
        return WebSocketException(WS_1008_POLICY_VIOLATION, reason)
    # RFC 9110, section 15.5.2: a 401 says how to do better.
    headers = {"www-authenticate": "Bearer"} if status == HTTP_401_UNAUTHORIZED else None
    return HTTPException(status, reason, headers)


def _forget(place: Place) -> None:
    """Have the record, if there will be one, keep nothing of what is in *place*."""
    stored = current_connection.get()
    if stored is not None:
        stored.redact(place.blank)


class AllowedOrigins:
    """A dependency that lets only pages of these origins open a socket.

    Nothing else keeps another site's page from opening one with a visitor's cookies: the same-origin policy doesn't
    apply to WebSockets (RFC 6455, section 10.2). A client that isn't a browser sends no ``Origin``, or any it likes.

    Args:
        origins: as browsers write them, ``https://chat.example``, ``http://localhost:8000``.
        required: whether a client without an ``Origin`` is turned away as well.

    Raises:
        ValueError: one of *origins* can't be an origin.
    """

    def __init__(self, *origins: str, required: bool = False) -> None:
        for origin in origins:
            parts = urlsplit(origin)
            if not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}".lower():
                raise ValueError(f"expected an origin such as https://chat.example, in lower case, but got {origin!r}")
        self._origins = frozenset(origins)
        self._required = required

    def __call__(self, connection: HTTPConnection) -> None:
        """Check the origin of *connection*.

        Raises:
            WebSocketException: it isn't allowed. It closes with 1008, which before the accept is a 403.
            HTTPException: the same, with 403, on an HTTP route.
        """
        origin = connection.headers.get("origin")
        if origin in self._origins or (origin is None and not self._required):
            return
        raise _refusal(connection, "origin not allowed", status=HTTP_403_FORBIDDEN)


def authorizer_context(connection: HTTPConnection) -> dict[str, Any]:
    """Give what the Lambda authorizer of the WebSocket API has said of the client: a dependency.

    That is ``principalId`` and the context, whose values API Gateway turns into text (facts sheet, section 9). Under
    uvicorn there is no authorizer: an app that runs there too puts something in its place with
    ``app.dependency_overrides[authorizer_context]``.

    Raises:
        WebSocketException: no authorizer let this client in. It closes with 1008, which before the accept is a 403.
        HTTPException: the same, with 401, on an HTTP route.
    """
    context = connection.scope.get("aws.event", {}).get("requestContext", {}).get("authorizer")
    if not context:
        raise _refusal(connection, "no authorizer")
    return dict(context)
