"""Sample events, made by the gateway model itself: what API Gateway sends a function in the life of a connection."""

import itertools
from collections.abc import Callable
from typing import cast

from gatesocket.emulator.answers import Returned
from gatesocket.emulator.api import CONNECT, DEFAULT, DISCONNECT, Api, Route
from gatesocket.emulator.effects import Effect, Invoke
from gatesocket.emulator.events import Handshake
from gatesocket.emulator.gateway import Gateway
from gatesocket.emulator.ids import is_connection_id, random_id
from gatesocket.events import WebSocketEvent
from gatesocket.exceptions import ConfigurationError

__all__ = ["SAMPLE_CONNECTION", "SampleConnection"]

SAMPLE_CONNECTION = "TXzPWdnOjoECGjA="
"""The connection of samples that name no other, so that those of several calls are of one connection."""


class SampleConnection:
    """A connection that exists in the gateway model only.

    Args:
        handshake: what its client asked for.
        connection_id: its id.
        stage: the API's stage.
        route_key: the route that messages go to; None for ``$default``.
        now: milliseconds since the epoch, at which all of it happens.
        new_id: makes the ids of requests and messages.

    Raises:
        ConfigurationError: *connection_id* hasn't the shape of AWS's.
    """

    def __init__(
        self,
        handshake: Handshake,
        *,
        connection_id: str = SAMPLE_CONNECTION,
        stage: str = "prod",
        route_key: str | None = None,
        now: int,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        if not is_connection_id(connection_id):
            raise ConfigurationError(
                f"a connection id is 15 letters, digits, - or _ and an equals sign, as in {SAMPLE_CONNECTION}; got "
                f"{connection_id!r}"
            )
        ids = itertools.chain([connection_id], iter(new_id, None))
        routes = {key: Route("F") for key in (CONNECT, route_key or DEFAULT, DISCONNECT)}
        host = "abcd1234.execute-api.us-east-1.amazonaws.com"
        expression = (route_key or DEFAULT).replace("$", r"\$")
        api = Api("abcd1234", stage, "us-east-1", host, expression, routes)
        self._gateway = Gateway(api, new_id=lambda: next(ids))
        self._now = now
        self.connection_id, effects = self._gateway.handshake(handshake, now=now)
        self.connect = _event(effects)
        """The event of its handshake."""
        accepted = Returned({"statusCode": 200})
        self._gateway.answered(self.connect["requestContext"]["requestId"], accepted, now=now)

    def message(self, text: str) -> WebSocketEvent:
        """Return the event of a message.

        Raises:
            ConfigurationError: API Gateway would not take it: it is too large.
        """
        effects = self._gateway.frame(self.connection_id, text, now=self._now)
        if not isinstance(effects[0], Invoke):
            raise ConfigurationError(
                f"API Gateway takes frames of 32 KB at the most, and this message has {len(text.encode())} bytes"
            )
        return _event(effects)

    def disconnect(self, code: int | None = None, reason: str = "") -> WebSocketEvent:
        """Return the event of its end; without a *code*, of one that broke, which functions see as 1006."""
        return _event(self._gateway.left(self.connection_id, code, reason, now=self._now))


def _event(effects: list[Effect]) -> WebSocketEvent:
    (effect,) = effects
    assert isinstance(effect, Invoke)  # noqa: S101 (each of the three is one invocation: the API has all routes)
    # An authorizer's would have another shape; this API has none.
    return cast("WebSocketEvent", effect.event)
