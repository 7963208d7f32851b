"""A token in the first message: it is in no address and in no header, and every client can send it.

Of all of Gatesocket's coroutines this one alone is continued where it waits, as a function of the app's own is (see
`gatesocket.hibernation.origin`): a route hibernates in it, against a clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, Generic, NoReturn, TypeVar, overload

from pydantic import BaseModel, SecretStr
from starlette.exceptions import WebSocketException
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.websockets import WebSocket

from gatesocket.auth import Verify, verified
from gatesocket.messages import messages

__all__ = ["Authenticated", "Credentials", "FirstMessage"]

P = TypeVar("P")


class Credentials(BaseModel):
    """The first message: ``{"type": "authenticate", "data": {"token": "…"}}``."""

    type: ClassVar[str] = "authenticate"

    token: SecretStr


class Authenticated(BaseModel):
    """The reply to a token that is valid."""


class FirstMessage(Generic[P]):
    """A dependency that accepts the socket, waits for a token, and gives whoever *verify* says it stands for.

    The route finds the socket accepted and doesn't accept it again; `ConnectionManager.connect` doesn't either. Whoever
    says anything else first, or nothing in time, is closed with 1008 (RFC 6455, section 7.4.1).

    Everybody can open a connection and hold it for that time: where that matters, a ticket is better.

    Args:
        verify: checks a token; what it returns has to be something that is kept while a route hibernates.
        within: seconds that a client has.
    """

    @overload
    def __init__(self, verify: Callable[[str], Awaitable[P | None]], *, within: float = 10) -> None: ...

    @overload
    def __init__(self, verify: Callable[[str], P | None], *, within: float = 10) -> None: ...

    def __init__(self, verify: Verify[P], *, within: float = 10) -> None:
        self._verify = verify
        self._within = within

    async def __call__(self, websocket: WebSocket) -> P:
        """Wait for the token.

        Raises:
            WebSocketException: it didn't come, or isn't valid; it closes with 1008.
            WebSocketDisconnect: the client has left, or its first message was another.
        """
        await websocket.accept()
        incoming = messages(websocket, Credentials, max_errors=0)
        try:
            credentials = await asyncio.wait_for(incoming.receive(), timeout=self._within)
        except TimeoutError:
            raise WebSocketException(WS_1008_POLICY_VIOLATION, "authenticate first") from None
        person = await verified(self._verify, credentials.token.get_secret_value())
        if person is None:
            raise WebSocketException(WS_1008_POLICY_VIOLATION, "invalid token")
        await incoming.reply(Authenticated())
        return person

    def __reduce__(self) -> NoReturn:
        # So that it isn't kept while the route hibernates but taken from the app again: *verify* may hold a key.
        raise TypeError("a FirstMessage isn't saved: it belongs to the app")
